package registry

import (
	"log/slog"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/geoip"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/place"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// directory makes the answers: for each node its record, what the probers say of
// it, and whether it can be where it says.
type directory struct {
	log    *slog.Logger
	ledger *ledger.Ledger
	rounds *rounds
	book   *book
	geoip  *geoip.DB // nil: none
	board  api.Board

	mu      sync.Mutex // one publication at a time; guards all below
	nodes   *index.Snapshot
	waiting map[drtc.NodeID]shown // to be published soon
	root    [32]byte
	rooted  time.Time // when root was true
}

// states are the words of the answers for what probers say.
var states = map[liveness.State]index.State{
	liveness.Unknown: index.Unknown, liveness.Up: index.Up, liveness.Suspect: index.Suspect, liveness.Down: index.Down,
}

func nodeKey(id drtc.NodeID) record.Key {
	return record.Key{Kind: record.KindNode, Subject: id, Issuer: id}
}

// shown is a node's record, and whether it is shown.
type shown struct {
	id     drtc.NodeID
	record envelope.Envelope
	live   bool
}

// look reads a node's record. left says that a tombstone ended it.
func (d *directory) look(now time.Time, id drtc.NodeID) (s shown, left bool) {
	e, held := d.ledger.Get(nodeKey(id))
	return shown{id, e, held && now.Before(d.ledger.LiveUntil(&e))}, held && e.IsTombstone()
}

// refresh looks at nodes again and publishes them.
func (d *directory) refresh(now time.Time, ids []drtc.NodeID) {
	nodes := make([]shown, len(ids))
	for i, id := range ids {
		nodes[i], _ = d.look(now, id)
	}
	d.publish(now, nodes)
}

// soon has nodes published with the next flush: what other Registries tell comes
// in masses, and many changes at once cost little more than one.
func (d *directory) soon(nodes []shown) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range nodes {
		d.waiting[s.id] = s
	}
}

// flush publishes what waits.
func (d *directory) flush(now time.Time) {
	d.mu.Lock()
	nodes := make([]shown, 0, len(d.waiting))
	for _, s := range d.waiting {
		nodes = append(nodes, s)
	}
	d.mu.Unlock()
	if len(nodes) > 0 {
		d.publish(now, nodes)
	}
}

// publish puts nodes into the answers, or takes them out.
func (d *directory) publish(now time.Time, nodes []shown) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changes := d.changes(now, nodes)
	for i := range nodes {
		if waiting, ok := d.waiting[nodes[i].id]; ok && waiting.record.Version() == nodes[i].record.Version() {
			delete(d.waiting, nodes[i].id)
		}
	}
	d.nodes = d.nodes.With(changes)
	if now.Sub(d.rooted) >= time.Second {
		d.root, d.rooted = d.ledger.Root(), now
	}
	d.board.Publish(d.nodes, d.root, now)
}

// changes makes the entries, on all processors when there are many, as at the
// start.
func (d *directory) changes(now time.Time, nodes []shown) []index.Change {
	changes := make([]index.Change, len(nodes))
	share := max(256, (len(nodes)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var parts sync.WaitGroup
	for from := 0; from < len(nodes); from += share {
		parts.Go(func() {
			for i := from; i < min(from+share, len(nodes)); i++ {
				changes[i] = index.Change{ID: nodes[i].id, Entry: d.entry(now, &nodes[i])}
			}
		})
	}
	parts.Wait()
	return changes
}

// entry is what the answers are to say about a node, nil for nothing.
func (d *directory) entry(now time.Time, s *shown) *index.Entry {
	if !s.live {
		return nil
	}
	payload, err := wire.HeldNode(s.record.Body)
	if err != nil { // written under other rules
		d.log.Warn("record not shown", slog.String("node", s.id.String()), slog.Any("error", err))
		return nil
	}
	verdict, availability := d.rounds.verdict(now, s.id)
	entry := index.NewEntry(payload, &s.record)
	entry.State, entry.Availability = states[verdict.State], availability
	judged := d.judge(entry, verdict)
	entry.PlaceVerdict = judged.Finding.String()
	if judged.Finding == place.Doubted || judged.Finding == place.Refuted { // others would take more memory than the record
		entry.PlaceReasons = judged.Reasons
	}
	if advice := d.advice(&payload); advice != "" {
		entry.PlaceReasons = append(entry.PlaceReasons, advice)
	}
	return entry
}

// judge is whether a node can be where it says, and why.
func (d *directory) judge(e *index.Entry, v liveness.Verdict) place.Verdict {
	var measured []place.Measurement
	for _, vote := range v.Votes {
		if vote.Sighting.RTTMin == 0 {
			continue
		}
		m := place.Measurement{Prober: vote.Registry, RTT: vote.Sighting.RTTMin}
		if prober, ok := d.book.find(vote.Registry); ok {
			at, err := drtc.ParsePlace(prober.Geolocation)
			m.Place, m.HasPlace = at, err == nil
		}
		measured = append(measured, m)
	}
	declared, ok := e.Place()
	return place.Judge(declared, ok, measured)
}

// advice is what a database of addresses has to say, if the operator has one.
func (d *directory) advice(p *node.Payload) string {
	if d.geoip == nil {
		return ""
	}
	declared, ok := p.Place()
	at, err := netip.ParseAddr(p.IP)
	if !ok || err != nil {
		return ""
	}
	return d.geoip.Advice(declared, at)
}

// sweepParts is in how many sweeps every node's place and availability are
// looked at.
const sweepParts = 30

// sweep looks for nodes whose record has ended, and in one part of them for
// those whose place or availability reads otherwise than is shown. It returns
// those that ended.
func (d *directory) sweep(now time.Time, part int) (ended []drtc.NodeID) {
	d.mu.Lock()
	nodes := d.nodes
	d.mu.Unlock()
	var changed []drtc.NodeID
	grace := record.DefaultRules("").Grace
	i := 0
	for entry := range nodes.All() {
		i++
		switch {
		case !now.Before(entry.ExpiresAt().Add(grace)):
			if again, _ := d.look(now, entry.ID); !again.live {
				ended = append(ended, entry.ID)
			}
		case i%sweepParts == part%sweepParts && d.differs(now, entry):
			changed = append(changed, entry.ID)
		}
	}
	d.refresh(now, append(changed, ended...))
	return ended
}

// differs reports whether what time changes reads otherwise than is shown.
func (d *directory) differs(now time.Time, e *index.Entry) bool {
	verdict, availability := d.rounds.verdict(now, e.ID)
	return e.State != states[verdict.State] || math.Abs(e.Availability-availability) >= 0.001 ||
		e.PlaceVerdict != d.judge(e, verdict).Finding.String()
}
