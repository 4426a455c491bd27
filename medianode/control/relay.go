package control

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// Bounds of what relays make the node remember.
const (
	maxTrunks     = 1024
	maxLinks      = 8192
	maxPrepared   = 4096
	maxRelayRooms = 8192
	// waitingPackets is how many data packets may wait for the relays: who sends
	// more is slowed down.
	waitingPackets = 256
)

// How long things last that nobody uses.
const (
	trunkIdle  = 30 * time.Second // a trunk without links
	absentFor  = 30 * time.Second // a track that its viewers wait for
	reportEach = 5 * time.Second
)

// relays is what the service does with other nodes (spec/relay.md). One
// goroutine, run, has all of it: others hand it what is to be done, and it takes
// the locks of the service as they do.
//
//	RPC, engine events, data ──▶ post ──▶ run ─┬─▶ relay.Trunk, relay.Exchange
//	                                           └─▶ engine, transport, feeds
type relays struct {
	service *Service
	self    drtc.NodeID
	jobs    *jobs
	packets chan struct{} // a slot per waiting data packet
	busy    atomic.Int32  // rooms with links
	counts  relayCounts

	// The goroutine alone has what follows.
	ends     map[drtc.NodeID]*end
	prepared map[linkKey]*prepared
	trunks   map[engine.PeerID]*trunk
	links    map[linkKey]*relayLink
	rooms    map[drtc.RoomID]*relayRoom
	absent   map[drtc.TrackID]absence
}

// linkKey scopes a link's name by its owner.
type linkKey struct {
	owner drtc.NodeID
	link  string
}

// absence is a track that went and may come back.
type absence struct {
	room  drtc.RoomID
	since time.Time
}

func newRelays(s *Service) *relays {
	r := &relays{
		service: s, jobs: newJobs(), packets: make(chan struct{}, waitingPackets),
		ends: map[drtc.NodeID]*end{}, prepared: map[linkKey]*prepared{}, trunks: map[engine.PeerID]*trunk{},
		links: map[linkKey]*relayLink{}, rooms: map[drtc.RoomID]*relayRoom{}, absent: map[drtc.TrackID]absence{},
	}
	if s.cfg.Key != nil {
		r.self = s.cfg.Key.ID()
	}
	return r
}

// jobs is what is to be done, in order.
type jobs struct {
	wake chan struct{} // holds one token while there may be some
	done chan struct{} // closed when nobody does them any more

	mu   sync.Mutex // guards what follows
	list []func()
	over bool
}

func newJobs() *jobs { return &jobs{wake: make(chan struct{}, 1), done: make(chan struct{})} }

// flush lets the other nodes have what this turn has made.
func (r *relays) flush() {
	for _, k := range r.trunks {
		r.sendFrame(k)
	}
}

// post adds a job. It never blocks, whatever locks the caller holds.
func (j *jobs) post(job func()) {
	j.mu.Lock()
	if !j.over {
		j.list = append(j.list, job)
	}
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

func (j *jobs) take() []func() {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.list
	j.list = nil
	return list
}

func (j *jobs) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over, j.list = true, nil
	close(j.done)
}

// errStopped is the answer of a node that stops.
var errStopped = errors.New("control: the node stops")

// run does what is posted until ctx ends; then it ends every trunk.
func (r *relays) run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-r.jobs.wake:
			for _, job := range r.jobs.take() {
				job()
			}
			r.flush()
		case now := <-t.C:
			r.tick(now)
			r.flush()
		case <-ctx.Done():
			for _, k := range r.trunks {
				r.endTrunk(k, "the node stops")
			}
			r.jobs.end()
			return
		}
	}
}

// ask does a job and waits for what it says.
func (r *relays) ask(ctx context.Context, job func() error) error {
	answer := make(chan error, 1)
	r.jobs.post(func() { answer <- job() })
	select {
	case err := <-answer:
		return err
	case <-r.jobs.done:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// postPacket is post for data packets: it blocks while too many wait, so the
// caller must hold no lock.
func (r *relays) postPacket(job func()) {
	select {
	case r.packets <- struct{}{}:
		r.jobs.post(func() { <-r.packets; job() })
	case <-r.jobs.done:
	}
}

// changed tells that a track of the index has come, changed or gone. Ended says
// that its client published it no longer.
func (r *relays) changed(room drtc.RoomID, id drtc.TrackID, ended bool) {
	if r.busy.Load() > 0 {
		r.jobs.post(func() { r.refresh(room, id, ended) })
	}
}

// demand takes which layers of another node's track are wanted.
func (r *relays) demand(room drtc.RoomID, v engine.LayerDemand) {
	r.jobs.post(func() {
		if m := r.rooms[room]; m != nil {
			var qualities uint8
			for _, l := range v.Layers {
				qualities |= 1 << (l & 7)
			}
			m.exchange.Demand(v.Track, qualities)
			r.act(m)
		}
	})
}

// onPeerState takes the state of a peer that is no session's.
func (r *relays) onPeerState(v engine.PeerState) {
	r.jobs.post(func() {
		if k := r.trunks[v.Peer]; k != nil {
			r.trunkState(k, v.State)
		}
	})
}

// onClosed is told that a peer is gone that is no session's.
func (r *relays) onClosed(peer engine.PeerID, reason error) {
	r.jobs.post(func() {
		if k := r.trunks[peer]; k != nil {
			r.endTrunk(k, reason.Error())
		}
	})
}

// onMessage takes a message from a data channel of a peer that is no session's.
func (r *relays) onMessage(peer engine.PeerID, label string, payload []byte) {
	r.postPacket(func() {
		if k := r.trunks[peer]; k != nil {
			r.receive(k, label, payload)
		}
	})
}

// originate sends a client's data packet to the other nodes of its room.
func (r *relays) originate(room drtc.RoomID, reliable bool, packet []byte) {
	if r.busy.Load() == 0 {
		return
	}
	r.postPacket(func() {
		if m := r.rooms[room]; m != nil {
			d, to := m.exchange.Originate(packet)
			r.sendData(m, to, reliable, d)
		}
	})
}

// orphaned ends the links of a room that nobody looks after.
func (r *relays) orphaned(room drtc.RoomID) {
	r.jobs.post(func() {
		m := r.rooms[room]
		if m == nil {
			return
		}
		for _, l := range m.links {
			r.closeLink(l, "its Orchestrator stayed away")
		}
		m.exchange.SetRoutes(nil)
		r.act(m)
		r.forgetRoom(room)
	})
}

// tick ends what nobody uses, and has figures told.
func (r *relays) tick(now time.Time) {
	for _, k := range r.trunks {
		if len(k.links) == 0 && now.Sub(k.idle) > trunkIdle {
			r.endTrunk(k, "no link uses it")
		}
	}
	for key, p := range r.prepared {
		if r.links[key] == nil && now.Sub(p.at) > descriptionLife+descriptionSkew {
			delete(r.prepared, key)
		}
	}
	for id, e := range r.ends {
		if e.trunk == nil && now.Sub(e.used) > descriptionLife+descriptionSkew {
			delete(r.ends, id)
		}
	}
	for id, m := range r.rooms {
		if m.exchange.Empty() && len(m.links) == 0 {
			r.forgetRoom(id)
		}
	}
	for id, a := range r.absent {
		if now.Sub(a.since) > absentFor {
			delete(r.absent, id)
			r.giveUp(a.room, id)
		}
	}
	r.report(now)
}

// giveUp takes a track from its viewers that has not come back.
func (r *relays) giveUp(room drtc.RoomID, id drtc.TrackID) {
	s := r.service
	s.mu.Lock()
	here := s.tracks[id] != nil
	s.mu.Unlock()
	if !here {
		s.dismiss(room, id)
	}
}
