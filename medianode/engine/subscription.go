package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/level"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/rewrite"
	"github.com/drtc-network/drtc/medianode/engine/sending"
	"github.com/drtc-network/drtc/medianode/engine/sequence"
	"github.com/drtc-network/drtc/medianode/engine/svc"
)

// Settings is what a viewer wants of a track.
type Settings struct {
	Disabled bool
	// Width and Height of the picture on the screen, pixels; 0 when unknown.
	Width, Height uint32
	// MaxLayer is the highest wanted layer plus one; 0 when the size decides.
	MaxLayer int
	// MaxTemporal is the highest wanted temporal layer plus one, of streams that
	// can do with fewer frames; 0 for all.
	MaxTemporal int
	// Priority decides whose video stays when not all can be served: the higher
	// one, 0 is the lowest.
	Priority uint32
}

// SendSection says how a subscription's packets must look to its client.
type SendSection struct {
	Track      drtc.TrackID
	Mid        string
	Codec      PayloadType
	Extensions ExtensionIDs
	Active     bool
}

// subscription forwards one track to one peer.
type subscription struct {
	peer     *peer
	track    *track
	settings Settings
	ssrc     uint32
	rtxSSRC  uint32

	section     SendSection
	ready       bool // the section is negotiated and active
	codec       codec.Kind
	stream      *rewrite.Stream
	sent        *sequence.Map
	sender      *sending.Stream
	bytes       *meter.Stream
	rtxSeq      uint64        // index of the next retransmission
	current     *layer        // whose packets are forwarded
	incarnation uint8         // of current when forwarding began
	target      *layer        // to which the next key frame switches
	waiting     bool          // for the packet with which forwarding begins (again)
	announce    bool          // SubscriptionActive is still due
	selector    *svc.Selector // nil before the first packet of a scalable stream
	// firstUntil is until when a request for a key frame means that the viewer
	// sees nothing yet: what was sent before its client knew the answer is lost.
	firstUntil time.Time
	backlog    backlog
	listed     bool   // in the core's backlogs
	entered    uint64 // the packet with which the present layer began, until it left
	seen       [maxLayers]seen
	replays    int       // since forwarding to the client began
	began      time.Time // with the present layer
	// nudged says that the first settings have asked for a key frame again.
	nudged bool
	// shedding is what an overload takes from it.
	shedding shedding
	// vacant is what a seat shows without a source; nil for other subscriptions.
	// leaving is the source of a seat until its new one, track, has begun.
	vacant, leaving *track
	// relay is what makes it a relay layer, nil for other subscriptions; voice is
	// its place in an audio group, nil without.
	relay *relayed
	voice *level.Voice
}

// firstPicture is how long a viewer may take to its first picture.
const firstPicture = 2 * time.Second

// sentPackets is how many packets a subscriber may ask for again.
const sentPackets = 1024

// maxFirst is the highest sequence number with which a stream begins, a power of
// two less one. A receiver takes its first packet to be before the first wrap: if
// all before that were lost, it could open nothing from then on (RFC 3711 section
// 3.3.1).
const maxFirst = 1<<15 - 1

// SubscribeConfig forwards a track to a peer.
type SubscribeConfig struct {
	Track drtc.TrackID
	// Home is the core in which the track is published.
	Home CoreID
	// SSRC and RTX are what the client will see: two numbers that are not in
	// use on the transport, not zero.
	SSRC, RTX uint32
	Settings  Settings
}

// Subscribe forwards a track to a peer of the same room as soon as SetSend has
// told how. Subscribing again changes the settings alone.
func (c *Core) Subscribe(now time.Time, id PeerID, cfg SubscribeConfig) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	s := p.subscription(cfg.Track)
	if s == nil && (!p.unused(cfg.SSRC) || !p.unused(cfg.RTX) || cfg.SSRC == cfg.RTX) {
		return fmt.Errorf("%w: %d and %d", ErrSSRC, cfg.SSRC, cfg.RTX)
	}
	t, err := c.findTrack(p.cfg.Room, cfg.Track, cfg.Home)
	if err != nil {
		return err
	}
	if s == nil {
		s = &subscription{peer: p, ssrc: cfg.SSRC, rtxSSRC: cfg.RTX, announce: true}
		c.overload.enrol(s)
		p.bySSRC[s.ssrc], p.bySSRC[s.rtxSSRC] = s, s
		p.subscriptions = append(p.subscriptions, s)
	}
	if s.track != t {
		c.watch(s, t)
	}
	s.settings = cfg.Settings
	s.choose(now)
	return nil
}

// watch makes a subscription one of a track: its first, or the same track in
// the core to which it went.
func (c *Core) watch(s *subscription, t *track) {
	if s.track != nil {
		s.catchUp()
		c.leave(s, s.track)
	}
	t.subscriptions = append(t.subscriptions, s)
	s.track, s.current, s.target, s.waiting = t, nil, nil, true
	s.seen = [maxLayers]seen{}
	if s.sent != nil { // what was sent lies in the rings of the other
		s.sent = sequence.NewMap(sentPackets)
	}
}

// leave takes a subscription off a track.
func (c *Core) leave(s *subscription, t *track) {
	t.subscriptions = slices.DeleteFunc(t.subscriptions, func(o *subscription) bool { return o == s })
	c.releaseMirror(t)
}

func (p *peer) unused(ssrc uint32) bool {
	return ssrc != 0 && p.bySSRC[ssrc] == nil && p.sources[ssrc] == nil && ssrc != p.reporter
}

// SetSend tells how each subscription of a peer is carried after a negotiation.
// Subscriptions that it does not list are held.
func (c *Core) SetSend(now time.Time, id PeerID, sections []SendSection) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	for _, s := range p.subscriptions {
		if s.relay != nil {
			continue
		}
		i := slices.IndexFunc(sections, func(x SendSection) bool { return x.Track == s.id() })
		if i < 0 || !sections[i].Active {
			s.ready = false
			continue
		}
		was := s.ready
		anew := s.carry(c, sections[i])
		if !was {
			s.firstUntil, s.replays = now.Add(firstPicture), 0
		}
		if !was || anew {
			s.begin(now)
		}
	}
	return nil
}

// carry takes over a negotiated section, and reports whether forwarding begins
// anew: with the first codec, or with another.
func (s *subscription) carry(c *Core, x SendSection) (anew bool) {
	kind := codec.Of(x.Codec.Mime)
	changed := kind != s.codec || x.Codec.ClockRate != s.section.Codec.ClockRate
	if s.stream == nil || changed && s.vacant == nil {
		anew = true
		s.remember()
		s.codec = kind
		before := s.stream
		s.stream = rewrite.New(uint16(c.cfg.Random())&maxFirst, c.cfg.Random(), kind, x.Codec.ClockRate)
		if before != nil { // never the same number twice: it is the cipher's nonce
			s.stream.Follow(before)
		}
		s.sender = sending.New(s.ssrc, x.Codec.ClockRate)
		s.sent = sequence.NewMap(sentPackets)
		s.bytes = s.meterOf().Stream()
	}
	if s.sent == nil { // a relay layer that has rested
		s.sent = sequence.NewMap(sentPackets)
	}
	s.section, s.ready = x, true
	return anew
}

// Unsubscribe ends a subscription.
func (c *Core) Unsubscribe(now time.Time, id PeerID, track drtc.TrackID) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	s := p.subscription(track)
	if s == nil {
		return fmt.Errorf("%w: %s", ErrSubscription, track)
	}
	c.removeSubscription(now, s)
	return nil
}

func (c *Core) removeSubscription(_ time.Time, s *subscription) {
	s.catchUp()
	s.peer.subscriptions = slices.DeleteFunc(s.peer.subscriptions, func(o *subscription) bool { return o == s })
	c.leave(s, s.track)
	if s.leaving != nil {
		c.leave(s, s.leaving)
	}
	delete(s.peer.bySSRC, s.ssrc)
	delete(s.peer.bySSRC, s.rtxSSRC)
	if s.relay != nil {
		s.peer.trunk.rest(s)
	}
}

// SetSettings says what the viewer wants from now on.
func (c *Core) SetSettings(now time.Time, id PeerID, track drtc.TrackID, settings Settings) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	s := p.subscription(track)
	if s == nil {
		return fmt.Errorf("%w: %s", ErrSubscription, track)
	}
	enabled := s.settings.Disabled && !settings.Disabled
	s.settings = settings
	if settings.Disabled {
		s.pause()
	}
	if enabled {
		s.begin(now)
	}
	s.choose(now)
	if !s.nudged && now.Before(s.firstUntil) {
		// Who says how large the picture is has taken the answer by now. What
		// was sent before that is lost, the first key frame with it.
		s.nudged = true
		s.again(now, s.target)
	}
	return nil
}

func (p *peer) subscription(id drtc.TrackID) *subscription {
	for _, s := range p.subscriptions {
		if s.relay == nil && s.id() == id {
			return s
		}
	}
	return nil
}

// begin waits for a packet to start with, and asks for it.
func (s *subscription) begin(now time.Time) {
	s.pause()
	s.choose(now)
	s.seek(now, s.target)
}

// askKeyFrame asks for a key frame of a layer, if one could be forwarded: a key
// frame that comes while the client has no section for it only uses up the
// layer's next half second.
func (s *subscription) askKeyFrame(now time.Time, l *layer) {
	s.track.touch()
	if s.expected(now, l) {
		l.key.Ask(now)
		return
	}
	switch {
	case l == nil || !s.track.cfg.Video || !s.ready || !s.peer.sendable() || s.settings.Disabled || s.shedding.paused:
	case now.Before(s.firstUntil):
		l.key.AskUrgent(now)
	default:
		l.key.Ask(now)
	}
}

// expected reports whether the seat's client is about to connect, as one that
// comes from another node, and would find nothing in the ring to begin with. The
// key frame is asked for ahead then, and replayed.
func (s *subscription) expected(now time.Time, l *layer) bool {
	if l == nil || s.vacant == nil || !s.track.cfg.Video || !s.ready || s.settings.Disabled || s.peer.keys != nil || !s.peer.backlogs.replay {
		return false
	}
	_, _, bytes, ok := l.ring.Group(now)
	return !ok || bytes > maxReplay
}

func (s *subscription) pause() {
	s.waiting = true
	s.catchUp()
}

// wanted is the layer that the settings ask for, nil for none.
func (s *subscription) wanted() *layer {
	if s.settings.Disabled || !s.track.cfg.Video {
		return nil
	}
	if s.relay != nil {
		return s.fixed()
	}
	var best *layer
	for i, l := range s.track.layers {
		if s.settings.MaxLayer > 0 && i >= s.settings.MaxLayer && best != nil {
			break
		}
		if !s.track.allows(l) {
			continue
		}
		if best != nil && s.fits(best) {
			break
		}
		best = l
	}
	return best
}

// fits reports whether a layer fills the viewer's picture. Five percent less is
// filled too: browsers round sizes to whole blocks.
func (s *subscription) fits(l *layer) bool { return s.settings.filledBy(l.size.Width, l.size.Height) }

func (s *Settings) filledBy(width, height uint32) bool {
	if s.Width == 0 || s.Height == 0 || width == 0 {
		return false
	}
	return width*100 >= s.Width*95 && height*100 >= s.Height*95 ||
		width*100 >= s.Height*95 && height*100 >= s.Width*95 // a phone turned round
}

// choose sets the layer to switch to: the wanted one if its packets arrive,
// else the highest below it that does, else the lowest above.
func (s *subscription) choose(now time.Time) {
	s.track.touch()
	if len(s.track.layers) == 0 { // a mirror of which nothing is known yet
		return
	}
	if s.relay != nil {
		s.chooseFixed(now)
		return
	}
	if !s.track.cfg.Video {
		s.target = s.track.layers[0]
		return
	}
	want := s.wanted()
	if want == nil || s.shedding.paused {
		return
	}
	target := s.best(s.shedding.within(want))
	if target == nil || target == s.target && target == s.current {
		return
	}
	changed := target != s.target
	s.target = target
	if changed && (target != s.current || s.waiting) {
		s.seek(now, target)
	}
}

// best is the layer that comes nearest to the one that is wanted, nil if none
// arrives.
func (s *subscription) best(want *layer) *layer {
	if want == nil {
		return nil
	}
	var best *layer
	for _, l := range s.track.layers {
		if !l.live || !s.track.allows(l) || s.relay != nil && l != want {
			continue
		}
		if best == nil || l.index <= want.index {
			best = l
		}
	}
	return best
}

// skip leaves a padding packet out of the forwarded stream.
func (s *subscription) skip(l *layer, k packet) {
	if s.current == l && s.stream != nil && !s.waiting && !s.behind(l, k.seq) {
		s.stream.Drop(rewrite.Source{Sequence: k.seq, Timestamp: k.timestamp})
	}
}

// firstExtended is the extended sequence number that has the SRTP index 0: a
// stream's first number is at 2^16 or above, and its index below.
const firstExtended = 1 << 16

// generation marks the layer and its incarnation in a sent packet's memory.
func (l *layer) generation() uint8 { return uint8(l.index)&0x0f | l.incarnation<<4 }

// forward sends one packet of a layer to a subscriber, if it is its turn.
func (c *Core) forward(now time.Time, s *subscription, l *layer, k *packet, batch *Batch) {
	if !s.ready || s.settings.Disabled || s.codec != l.codec || !s.peer.sendable() || s.behind(l, k.seq) ||
		len(l.track.aliases) > 0 && l.track.hushed(s.room()) {
		return
	}
	if s.voice != nil && !s.track.cfg.Video && !s.voice.Hears(now, k.level) {
		s.waiting = true // it goes on with the packet with which it is heard again
		return
	}
	src := k.source()
	awaited := l == s.target && (k.key || !l.codec.Video()) && (s.current != l || s.waiting)
	begins := awaited && s.unseen(l, k.seq)
	if awaited && !begins { // all who asked count as answered, but this viewer is not
		s.askKeyFrame(now, l)
	}
	if begins && s.refused(now, l, k) {
		return
	}
	if begins {
		var from clock.Mapping
		if s.current != nil && s.current.track == l.track { // two publishers' clocks may differ
			from = s.current.clock
		}
		s.enter(now, src, from, l)
		s.current, s.waiting = l, false
		if s.leaving != nil && l.track == s.track {
			c.takeSeat(s)
		}
		s.align()
		s.selectAnew()
		if s.relay != nil {
			c.announceClock(now, s, batch)
		}
	}
	if s.current != l || s.waiting || c.overtaken(now, s, l, k.seq, batch) || !c.selects(now, s, k, &src, batch) {
		return
	}
	if !begins && s.refused(now, l, k) || s.delayed(now, l, k) {
		return
	}
	out, ok := s.stream.Next(now, src)
	if !ok {
		return
	}
	k.frame = out.Picture.ID
	plain := c.header(now, s, s.ssrc, s.section.Codec.Number, out.Sequence, out.Timestamp, out.Marker, k, batch)
	head := len(plain)
	plain = appendPayload(plain, k, out.Picture)
	unpadded := len(plain)
	plain = appendPadding(plain, k.padding)
	if !c.seal(s, plain, head, s.ssrc, out.Extended-firstExtended, batch) {
		return
	}
	c.depart(now, s, len(plain))
	if s.section.Codec.RTXNumber != 0 { // else it is not sent again
		s.sent.Push(out.Sequence, sequence.Entry{
			Source: k.seq, Timestamp: out.Timestamp, Marker: out.Marker, Picture: out.Picture, Active: k.active, Layer: l.generation(),
		})
	}
	s.sender.Sent(now, out.Extended, out.Timestamp, len(k.payload))
	c.counters.Forwarded++
	s.bytes.Sent(out.Extended, unpadded)
	if s.announce {
		s.announce = false
		c.emit(SubscriptionActive{Peer: s.peer.cfg.ID, Track: s.track.nameIn(s.room())})
	}
}

// retransmit answers one sequence number of a NACK from the layer's ring (RFC
// 4588). Without a retransmission stream nothing is sent: the same sequence
// number with another header would use an AEAD nonce twice.
func (c *Core) retransmit(now time.Time, s *subscription, lost uint16, batch *Batch) {
	c.counters.NACKed++
	if s.sent == nil || s.section.Codec.RTXNumber == 0 || !s.ready || !s.peer.sendable() {
		c.counters.NotRetransmittable++
		return
	}
	e, ok := s.sent.Retransmit(now, lost, s.peer.roundTrip, maxRetransmits)
	if !ok {
		return
	}
	index := int(e.Layer & 0x0f)
	layers := s.source().layers
	if index >= len(layers) || layers[index].generation() != e.Layer {
		c.counters.NotRetransmittable++
		return
	}
	kept, ok := layers[index].ring.Get(now, e.Source)
	if !ok {
		c.counters.NotRetransmittable++
		return
	}
	k := packet{codec: s.codec, payload: kept.Payload, dependency: kept.Descriptor, frame: e.Picture.ID, active: e.Active}
	if !k.parsePayload() || !s.peer.pacer.Take(now, pacing.Retransmission, len(kept.Payload)) {
		return // in the latter case it is asked for again
	}
	plain := c.header(now, s, s.rtxSSRC, s.section.Codec.RTXNumber, uint16(s.rtxSeq), e.Timestamp, e.Marker, &k, batch)
	head := len(plain)
	plain = append(plain, byte(lost>>8), byte(lost))
	plain = appendPayload(plain, &k, e.Picture)
	if !c.seal(s, plain, head, s.rtxSSRC, s.rtxSeq, batch) {
		return
	}
	c.depart(now, s, len(plain))
	s.rtxSeq++
	c.counters.Retransmitted++
}

// maxRetransmits is how often one packet is sent again to one subscriber.
const maxRetransmits = 3

func (s *subscription) align() {
	if s.current == nil || s.current.clock.IsZero() || s.stream == nil {
		return
	}
	m := s.current.clock
	m.Timestamp = s.stream.Timestamp(m.Timestamp)
	s.sender.Align(m)
}
