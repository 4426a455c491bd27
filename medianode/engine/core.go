package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/deadline"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/limit"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/rtpheader"
	"github.com/drtc-network/drtc/medianode/engine/shed"
	"github.com/drtc-network/drtc/medianode/engine/svc"
	"github.com/drtc-network/drtc/medianode/engine/twcc"
)

// The reasons for which a command is refused.
var (
	ErrPeer         = errors.New("engine: no such peer")
	ErrPeerExists   = errors.New("engine: peer id or ICE ufrag is taken")
	ErrTrack        = errors.New("engine: no such track")
	ErrTrackExists  = errors.New("engine: track id is taken by another peer")
	ErrSection      = errors.New("engine: the peer publishes on no section with that mid")
	ErrSubscription = errors.New("engine: the peer is not subscribed to that track")
	ErrSSRC         = errors.New("engine: SSRC is zero or in use on the transport")
	ErrCore         = errors.New("engine: no such core")
	ErrOtherRoom    = errors.New("engine: track and subscriber are in different rooms")
	ErrRelay        = errors.New("engine: the peer is not a relay peer")
	ErrLayer        = errors.New("engine: the track has no such layer")
)

// Config of a Core. A zero field means its default.
type Config struct {
	// Self is the number of this core among those of the node.
	Self CoreID
	// Silence after which media to a peer is held back, default 8 s: a browser
	// checks every 2.7 s once its connection has settled.
	DisconnectAfter time.Duration
	// Time without a valid connectivity check after which consent is gone (RFC
	// 7675 section 5.1), default 30 s.
	ConsentTimeout time.Duration
	// Time for which an address that only media has shown is trusted before a
	// connectivity check must confirm it, default 5 s.
	UnconfirmedFor time.Duration
	// Packets kept per layer for retransmission, default 1024.
	RingPackets int
	// FrameHold is how long the packets of a video frame wait for each other,
	// so that they leave for each subscriber in one message: default 1 ms, at
	// most 3 ms; below zero only those wait together that arrived together.
	FrameHold time.Duration
	// NoPadding sends the packets of a frame as long as they are, though they
	// then need more messages.
	NoPadding bool
	// Least time between key frame requests for a layer, default 500 ms.
	KeyFrameInterval time.Duration
	// How long a layer that nobody wants stays in demand, default 2 s.
	DemandHold time.Duration
	// Silence after which a layer counts as stopped by its publisher, default
	// 1 s: the slowest screen share still sends once a second.
	LayerTimeout time.Duration
	// ReportInterval between PeerReport events of a peer, default 5 s. The first
	// comes after 2 s at most, when receiver reports have told something.
	ReportInterval time.Duration
	// NoReplay makes a new viewer wait for the next key frame, though the layer's
	// ring holds the last one and all since.
	NoReplay bool
	// NewPacer makes the pacer of a peer; default pacing.NewPassThrough.
	NewPacer func() pacing.Pacer
	// STUN bounds the unauthenticated STUN requests taken from one source and
	// from all.
	STUN limit.Config
	// Random is the source of SSRCs and first sequence numbers; required.
	Random func() uint32
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.DisconnectAfter, 8*time.Second)
	def(&c.ConsentTimeout, 30*time.Second)
	def(&c.UnconfirmedFor, 5*time.Second)
	def(&c.KeyFrameInterval, 500*time.Millisecond)
	def(&c.DemandHold, 2*time.Second)
	def(&c.LayerTimeout, time.Second)
	def(&c.ReportInterval, 5*time.Second)
	def(&c.FrameHold, time.Millisecond)
	c.FrameHold = min(max(c.FrameHold, 0), MaxFrameHold)
	if c.RingPackets == 0 {
		c.RingPackets = 1024
	}
	if c.NewPacer == nil {
		c.NewPacer = func() pacing.Pacer { return pacing.NewPassThrough() }
	}
	return c
}

// tick is the grain of all timers of a core.
const tick = 10 * time.Millisecond

// Core is the media engine of one worker.
type Core struct {
	cfg     Config
	peers   map[PeerID]*peer
	byUfrag map[string]*peer
	byAddr  map[netip.AddrPort]*peer
	// bySSRC finds the publisher whose media arrives from an unknown address.
	bySSRC map[uint32]*peer
	tracks map[drtc.TrackID]*track
	// aliases are second names of tracks, in other rooms.
	aliases map[drtc.TrackID]*alias
	rooms   map[drtc.RoomID]*room
	stun    *limit.Limiter
	// trial limits the key trials that find a moved subscriber.
	trial *limit.Limiter

	mirrors  mirrors
	links    links
	checks   map[[12]byte]*peer // whose connectivity checks are not answered
	outbound [MaxCores]*Parcel  // what collects for the other cores
	backlogs backlogs
	// deadlines say when to look at a peer: consent, reports, feedback.
	deadlines deadline.Queue[*peer]
	// publishers are the peers with tracks, unless republished says that they
	// have changed.
	publishers  []*peer
	republished bool
	order       []*peer  // peers in the order of their opening: timers are fair and repeatable
	holding     []*layer // with held packets, who waits longest first
	single      [1]packet
	warmth      uint64 // result of warm, so that the compiler keeps it
	queue       []Event
	head        int
	nextTick    time.Time
	plain       []byte // scratch of one opened packet
	out         []byte // scratch of one packet to seal
	elements    [4]rtpheader.Extension
	values      [8]byte
	// dependency has room for the longest descriptor and for decode targets.
	dependency [dependency.MaxBytes + 8]byte
	layers     []svc.Frame // of the packets that are being distributed
	again      svc.Frame   // of one that is sent from the ring
	lost       []uint16
	frame      []packet               // one that another core handed over
	receptions []rtcp.ReceptionReport // scratch of a receiver report
	report     twcc.Report            // scratch of one transport feedback
	overload   overload
	// ended is what peers counted that are gone, by application.
	ended    map[string]meter.Counters
	counters Counters
}

// Counters of a Core since it was made.
type Counters struct {
	// Datagrams by what became of them.
	STUNRequests, STUNRefused, STUNLimited uint64
	Unknown, Malformed, Unprotected        uint64
	OpenFailures, SealFailures             uint64
	ChecksSent, ChecksAnswered             uint64
	// Media packets taken, forwarded for the first time, sent again.
	Received, Forwarded, Retransmitted uint64
	// Media packets handed over to other cores, one by one, and taken from them.
	HandedOver, Mirrored uint64
	// Requests by subscribers and to publishers.
	NACKed, NotRetransmittable, KeyFrameRequests uint64
	AddressChanges                               uint64
	// Bytes of sealed media, RTP and RTCP.
	SentBytes uint64
}

// New makes an empty Core. It panics if cfg.Random is nil.
func New(cfg Config) *Core {
	if cfg.Random == nil {
		panic("engine: Config.Random is nil")
	}
	cfg = cfg.withDefaults()
	return &Core{
		cfg:      cfg,
		peers:    map[PeerID]*peer{},
		byUfrag:  map[string]*peer{},
		byAddr:   map[netip.AddrPort]*peer{},
		bySSRC:   map[uint32]*peer{},
		tracks:   map[drtc.TrackID]*track{},
		aliases:  map[drtc.TrackID]*alias{},
		rooms:    map[drtc.RoomID]*room{},
		mirrors:  mirrors{byName: map[mirrorName]*track{}, byHandle: map[uint32]*track{}},
		checks:   map[[12]byte]*peer{},
		links:    links{byName: map[linkName]*link{}, waiting: map[drtc.TrackID][]*link{}},
		backlogs: backlogs{replay: !cfg.NoReplay},
		ended:    map[string]meter.Counters{},
		stun:     limit.New(cfg.STUN),
		overload: overload{control: shed.New(shed.Config{})},
		trial:    limit.New(limit.Config{Rate: 20, Burst: 40, GlobalRate: 400, GlobalBurst: 400, Key: cfg.STUN.Key}),
		plain:    make([]byte, 0, 2*MaxDatagram),
		out:      make([]byte, 0, 2*MaxDatagram),
	}
}

// Counters returns what happened so far.
func (c *Core) Counters() Counters { return c.counters }

// Peers is the number of open peers.
func (c *Core) Peers() int { return len(c.peers) }

// AddPeer opens a peer. It fails if the id or the local ufrag is taken.
func (c *Core) AddPeer(now time.Time, cfg PeerConfig) error {
	if c.peers[cfg.ID] != nil || c.byUfrag[cfg.Local.Ufrag] != nil {
		return fmt.Errorf("%w: %d, %q", ErrPeerExists, cfg.ID, cfg.Local.Ufrag)
	}
	if cfg.Relay {
		cfg.Receiver = meter.Relay
	}
	p := newPeer(now, cfg, c.cfg, &c.backlogs)
	c.peers[cfg.ID] = p
	c.byUfrag[cfg.Local.Ufrag] = p
	c.order = append(c.order, p)
	c.wake(p, c.nextDue(now, p))
	c.room(cfg.Room).peers++
	switch {
	case p.checker != nil: // the first checks leave at once
		c.wake(p, now)
		c.nextTick = now
	case c.nextTick.IsZero():
		c.nextTick = now.Add(tick)
	}
	return nil
}

// RestartICE gives a peer new credentials (RFC 8445 section 9). The old ones
// stay good until the first authenticated check with the new.
func (c *Core) RestartICE(now time.Time, id PeerID, local, remote ICE) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	if other := c.byUfrag[local.Ufrag]; other != nil && other != p {
		return fmt.Errorf("%w: %q", ErrPeerExists, local.Ufrag)
	}
	if p.next != nil {
		delete(c.byUfrag, p.next.local.Ufrag)
	}
	p.next = &credentials{local: local, remote: remote}
	p.lastCheck = now // consent starts anew
	c.byUfrag[local.Ufrag] = p
	return nil
}

// SetRemoteICE stores the client's credentials, which a node that offered
// learns from the answer.
func (c *Core) SetRemoteICE(id PeerID, remote ICE) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	p.ice.remote = remote
	return nil
}

// Protect lends the peer its keys; media flows from now on.
func (c *Core) Protect(now time.Time, id PeerID, keys Protection, batch *Batch) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	if p.keys == nil {
		p.nextFigures = now.Add(min(c.cfg.ReportInterval, firstFigures))
	}
	p.keys = keys
	p.lastHeard = now
	c.wake(p, now)
	c.setState(p, StateConnected, "")
	for _, s := range p.subscriptions {
		s.begin(now)
	}
	c.resume(p, batch)
	c.flushKeyFrameRequests(now, batch)
	return nil
}

// RemovePeer ends a peer, its tracks and its subscriptions.
func (c *Core) RemovePeer(now time.Time, id PeerID) {
	p := c.peers[id]
	if p == nil {
		return
	}
	if p.usage() != (meter.Counters{}) { // the last word on what it is to be paid for
		c.emit(PeerReport{Peer: id, Figures: c.figures(p)})
	}
	subscriptions, tracks := p.subscriptions, p.tracks
	p.subscriptions, p.tracks = nil, nil // nobody needs to find them in long lists
	if p.trunk != nil {
		p.trunk.awake = nil
	}
	for _, s := range subscriptions {
		c.removeSubscription(now, s)
	}
	for _, t := range tracks {
		c.removeTrack(now, t)
	}
	c.settle(p)
	c.forgetChecks(p)
	delete(c.peers, id)
	c.deadlines.Stop(&p.timer)
	c.republished = true
	for i, q := range c.order {
		if q == p {
			c.order = append(c.order[:i], c.order[i+1:]...)
			break
		}
	}
	delete(c.byUfrag, p.ice.local.Ufrag)
	if p.next != nil {
		delete(c.byUfrag, p.next.local.Ufrag)
	}
	for _, a := range p.addresses {
		c.forgetAddress(p, a)
	}
	for ssrc := range p.sources {
		c.forgetSource(p, ssrc)
	}
	c.leaveRoom(p.cfg.Room)
}

// Address is where datagrams for the peer go; invalid before the first
// authenticated check.
func (c *Core) Address(id PeerID) netip.AddrPort {
	if p := c.peers[id]; p != nil {
		return p.addr
	}
	return netip.AddrPort{}
}

// CountData adds the user bytes of a data channel message to a client's meter.
// Of those of a relay peer CountRelayData tells who pays.
func (c *Core) CountData(id PeerID, bytes int) {
	if p := c.peers[id]; p != nil && !p.cfg.Relay {
		p.meter.Data(bytes)
	}
}

// Usage returns the paid and sent bytes of a peer (design decision 12).
func (c *Core) Usage(id PeerID) (meter.Counters, bool) {
	p := c.peers[id]
	if p == nil {
		return meter.Counters{}, false
	}
	return p.usage(), true
}

// Figures returns the present figures of a peer.
func (c *Core) Figures(id PeerID) (Figures, bool) {
	p := c.peers[id]
	if p == nil {
		return Figures{}, false
	}
	return c.figures(p), true
}

// Poll returns the next event, until there is none.
func (c *Core) Poll() (Event, bool) {
	if c.head == len(c.queue) {
		clear(c.queue)
		c.queue, c.head = c.queue[:0], 0
		return nil, false
	}
	e := c.queue[c.head]
	c.queue[c.head] = nil
	c.head++
	return e, true
}

func (c *Core) emit(e Event) { c.queue = append(c.queue, e) }

// NextTimeout is when HandleTimeout wants to be called next; zero for never. It
// may lie in the past: what is due goes out with the call.
func (c *Core) NextTimeout() time.Time {
	if len(c.holding) > 0 && (c.nextTick.IsZero() || c.holding[0].heldUntil.Before(c.nextTick)) {
		return c.backlogs.sooner(c.holding[0].heldUntil)
	}
	return c.backlogs.sooner(c.nextTick)
}

// HandleTimeout does the work that is due: frames that were held, consent,
// reports, feedback, retransmission requests, speakers and demand.
func (c *Core) HandleTimeout(now time.Time, batch *Batch) {
	c.releaseFrames(now, batch)
	c.serveBacklogs(now, batch)
	if c.nextTick.IsZero() || now.Before(c.nextTick) {
		return
	}
	c.nextTick = now.Add(tick)
	if len(c.peers) == 0 {
		c.nextTick = time.Time{}
		return
	}
	c.servePeers(now, batch)
	for _, p := range c.publishing() {
		if p.keys != nil {
			c.serveLoss(now, p, batch)
		}
	}
	for _, p := range c.publishing() {
		for _, t := range p.awake() {
			if t.cfg.Video {
				c.watchLayers(now, t)
			}
			if t.cfg.Video || p.cfg.Relay {
				c.updateDemand(now, t)
			}
		}
	}
	c.putToSleep(now)
	c.serveMirrors(now)
	c.serveOverload(now, batch)
	c.flushKeyFrameRequests(now, batch)
	c.serveSpeakers(now)
}
