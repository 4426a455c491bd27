package engine

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/keyframe"
	"github.com/drtc-network/drtc/medianode/engine/level"
	"github.com/drtc-network/drtc/medianode/engine/loss"
	"github.com/drtc-network/drtc/medianode/engine/reception"
	"github.com/drtc-network/drtc/medianode/engine/ring"
	"github.com/drtc-network/drtc/medianode/engine/svc"
)

// maxLayers bounds the layers of one track.
const maxLayers = 4

// track is what a peer publishes on one section, in one or more layers.
type track struct {
	cfg           TrackConfig
	peer          *peer
	section       *section
	mirror        *mirror // of a track of another core, which has no peer and no section
	mime          string  // of the packets that came last, empty before the first
	clockRate     uint32
	muted         bool
	mutes         uint32      // how often it was
	layers        []*layer    // low to high
	sizes         []LayerSize // as announced last, low to high
	allowed       []int       // by SetPublisherLayers; nil for all
	subscriptions []*subscription
	links         []*link  // mirrors in other cores
	aliases       []*alias // names in other rooms

	level   *level.Track // nil before the first audio level
	carried *carried     // counts what a relay peer sends of it; nil of a client's
	asleep  bool         // see sleep.go

	demand      uint8                // bit per layer, as last reported
	reported    bool                 // LayerDemand was emitted at least once
	wantedUntil [maxLayers]time.Time // end of the hold of layers that are not wanted any more
}

// layer is one encoding of a track: one SSRC at a time.
type layer struct {
	track      *track
	index      int
	rid        string
	size       LayerSize
	ssrc       uint32
	repairSSRC uint32
	// incarnation counts the SSRCs that the layer has had.
	incarnation uint8
	remote      uint8 // incarnation in the home, if this is a mirror
	live        bool
	codec       codec.Kind
	lastPacket  time.Time
	news        bool   // it lives again: mirrors are told with its first frame
	withheld    uint64 // what came up to this number is not replayed: a mute or a gap came after it

	held      []packet  // of a frame that is not complete
	heldUntil time.Time // when they leave even so

	ring      *ring.Ring
	traffic   traffic
	loss      *loss.Detector
	reception *reception.Statistics
	key       keyframe.Throttle
	clock     clock.Mapping
	scalable  *svc.Reader // nil before the first packet of VP9 or AV1
}

func newTrack(p *peer, s *section, cfg TrackConfig, core Config) *track {
	t := &track{cfg: cfg, peer: p, section: s, muted: cfg.Muted}
	t.carried = p.carriedIn(t.room())
	if len(s.Codecs) > 0 {
		t.clockRate = s.Codecs[0].ClockRate
	}
	for i, rid := range s.rids() {
		l := &layer{track: t, index: i, rid: rid}
		l.restart(0, core)
		t.layers = append(t.layers, l)
	}
	t.resize(cfg.Layers)
	return t
}

// restart begins a layer anew with another SSRC: a publisher may replace its
// encoder, and what was sent before can't be asked for any more.
func (l *layer) restart(ssrc uint32, core Config) {
	l.ssrc = ssrc
	l.renew(core)
	l.loss = loss.New(loss.Config{})
	l.reception = reception.New(ssrc, l.track.clockRate)
}

// renew forgets what was forwarded of the layer.
func (l *layer) renew(core Config) {
	l.live, l.clock, l.withheld, l.scalable = false, clock.Mapping{}, 0, nil
	l.incarnation++
	l.ring = ring.New(ring.Config{Packets: core.RingPackets})
	l.key = keyframe.New(keyframe.Config{Spacing: core.KeyFrameInterval})
}

// resize takes the announced sizes: by rid where there are rids, else in order.
func (t *track) resize(sizes []LayerSize) {
	t.sizes = sizes[:min(len(sizes), maxLayers)]
	for _, l := range t.layers {
		for i, s := range sizes {
			if l.rid != "" && s.RID == l.rid || (l.rid == "" || s.RID == "") && i == min(l.index+len(sizes)-len(t.layers), len(sizes)-1) {
				l.size = s
			}
		}
	}
}

func (t *track) layerOf(rid string) *layer {
	for _, l := range t.layers {
		if l.rid == rid {
			return l
		}
	}
	return nil
}

func (t *track) sources() []LayerSource {
	var out []LayerSource
	for _, l := range t.layers {
		if l.live {
			out = append(out, LayerSource{RID: l.rid, SSRC: l.ssrc, RepairSSRC: l.repairSSRC})
		}
	}
	return out
}

func (t *track) allows(l *layer) bool {
	return t.allowed == nil || t.scalable() || slices.Contains(t.allowed, l.index)
}

// running reports whether packets of the layer arrive at the moment.
func (l *layer) running(now time.Time, timeout time.Duration) bool {
	return l.live && now.Sub(l.lastPacket) <= timeout
}

// MuteTrack stops or resumes the forwarding of a published track, of an alias in
// its room alone.
func (c *Core) MuteTrack(now time.Time, id drtc.TrackID, muted bool) error {
	if a := c.aliases[id]; a != nil {
		c.muteAlias(now, a, muted)
		return nil
	}
	t := c.tracks[id]
	if t == nil {
		return ErrTrack
	}
	c.mute(now, t, muted)
	return nil
}

func (c *Core) mute(now time.Time, t *track, muted bool) {
	if t.muted == muted {
		return
	}
	if t.muted = muted; muted {
		t.mutes++
	}
	c.tellTrack(t)
	if muted {
		c.silence(t)
		for _, l := range t.layers {
			c.dropFrame(l)
		}
		for _, s := range t.subscriptions {
			s.pause()
		}
		return
	}
	for _, s := range t.subscriptions {
		s.begin(now)
	}
}

// SetPublisherLayers restricts which layers may be forwarded; none means all.
func (c *Core) SetPublisherLayers(now time.Time, id drtc.TrackID, layers []int) error {
	t := c.tracks[id]
	if t == nil {
		return ErrTrack
	}
	t.allowed = nil
	if len(layers) > 0 {
		t.allowed = slices.Clone(layers)
	}
	c.tellTrack(t)
	for _, s := range t.subscriptions {
		s.choose(now)
	}
	return nil
}

// watchLayers moves subscribers off layers that their publisher stopped.
func (c *Core) watchLayers(now time.Time, t *track) {
	for _, l := range t.layers {
		c.tellNews(l)
	}
	if t.muted {
		return
	}
	for _, l := range t.layers {
		if l.live && !l.running(now, c.cfg.LayerTimeout) {
			l.live = false
			c.tellLayer(l)
			for _, s := range t.subscriptions {
				s.choose(now)
			}
		}
	}
}

// updateDemand reports which layers subscribers want: more at once, less after
// Config.DemandHold, of which there is a quarter for what another node sends: its
// publisher holds it again. The lowest layer stays wanted as long as any is: it
// is cheap, and the first thing that a new viewer can be shown.
func (c *Core) updateDemand(now time.Time, t *track) {
	var demand uint8
	hold := c.cfg.DemandHold
	if t.peer.cfg.Relay {
		hold /= 4
	}
	wanted := t.wanted()
	for i := range t.qualities() {
		if wanted&(1<<i) != 0 {
			t.wantedUntil[i] = now.Add(hold)
		}
		if t.wantedUntil[i].After(now) {
			demand |= 1 << i
		}
	}
	if t.reported && demand == t.demand || !t.reported && !t.asked() {
		return
	}
	t.demand, t.reported = demand, true
	e := LayerDemand{Peer: t.peer.cfg.ID, Track: t.cfg.ID}
	for i := range t.qualities() {
		if demand&(1<<i) != 0 {
			e.Layers = append(e.Layers, i)
		}
	}
	c.emit(e)
}

// wanted is the set of layers that somebody wants, in any core: a bit per layer.
func (t *track) wanted() (bits uint8) {
	for _, s := range t.subscriptions {
		bits |= t.demanded(s)
	}
	for _, k := range t.links {
		bits |= k.demand
	}
	return bits
}

// asked reports whether there is anybody whose wishes count, in any core.
func (t *track) asked() bool {
	return len(t.subscriptions) > 0 || slices.ContainsFunc(t.links, func(k *link) bool { return k.known })
}

// watched reports whether anybody is subscribed, in any core.
func (t *track) watched() bool { return len(t.subscriptions) > 0 || len(t.links) > 0 }

// setClock takes what a sender report said of a layer.
func (c *Core) setClock(l *layer, m clock.Mapping) {
	l.clock = m
	for _, s := range l.track.subscriptions {
		if s.current == l && s.stream != nil {
			s.align()
		}
	}
	c.tellClock(l)
}

// skip leaves a packet of padding out of every stream.
func (c *Core) skip(now time.Time, l *layer, k packet) {
	l.ring.Put(now, k.seq, ringPacket(k)) // nothing is missing there
	for _, s := range l.track.subscriptions {
		s.skip(l, k)
	}
	c.handSkip(l, &k)
}

func ringPacket(k packet) ring.Packet {
	return ring.Packet{Payload: k.payload, Descriptor: k.dependency, Timestamp: k.timestamp, Marker: k.marker, KeyFrame: k.key}
}
