package engine

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/loss"
	"github.com/drtc-network/drtc/medianode/engine/rtpheader"
	"github.com/drtc-network/drtc/medianode/engine/sequence"
	"github.com/drtc-network/drtc/medianode/engine/svc"
	"github.com/drtc-network/drtc/medianode/engine/twcc"
)

// ExtensionIDs are the negotiated ids of the header extensions that the engine
// knows; zero means not negotiated.
type ExtensionIDs struct {
	Mid, RID, RepairedRID uint8 // RFC 9143, RFC 8852
	AudioLevel            uint8 // RFC 6464
	TransportCC           uint8
	AbsSendTime           uint8
	DependencyDescriptor  uint8 // AV1 RTP specification, appendix A
	// Mixed says that elements of more than 16 bytes may be sent (RFC 8285
	// section 4.1.2).
	Mixed bool
}

// PayloadType is what one RTP payload type stands for.
type PayloadType struct {
	Number    uint8
	RTXNumber uint8 // zero without retransmission (RFC 4588)
	Mime      string
	ClockRate uint32
}

// SourceGroup is a media stream and its retransmission stream.
type SourceGroup struct{ SSRC, RTX uint32 }

// ReceiveSection is a section on which the peer publishes.
type ReceiveSection struct {
	Mid        string
	Codecs     []PayloadType
	Extensions ExtensionIDs
	RIDs       []string // low to high; empty for one layer
	SSRCs      []SourceGroup
	Active     bool
}

type section struct {
	ReceiveSection
	track   *track
	sources []uint32 // SSRCs that are known
}

// rids are those of its layers, low to high.
func (s *section) rids() []string {
	if len(s.RIDs) == 0 {
		return []string{""}
	}
	return s.RIDs[:min(len(s.RIDs), maxLayers)]
}

// source is one SSRC that a peer sends with.
type source struct {
	section *section
	rtx     bool
	layer   *layer // nil until the section has a track
	rid     string
	unwrap  sequence.Unwrapper
}

// SetReceive replaces the sections on which a peer publishes. Tracks stay on
// the sections that keep their mid; a section that is gone or inactive keeps
// its track, silent, until it is unpublished.
func (c *Core) SetReceive(now time.Time, id PeerID, sections []ReceiveSection) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	if p.trunk != nil {
		return c.setSections(now, p, sections)
	}
	var merged ExtensionIDs
	next := make([]*section, 0, len(sections))
	for _, rs := range sections {
		s := p.section(rs.Mid)
		if s == nil {
			s = &section{}
		}
		s.ReceiveSection = rs
		next = append(next, s)
		merged.merge(rs.Extensions)
	}
	for _, old := range p.sections {
		if !slices.Contains(next, old) && old.track != nil {
			old.Active = false
			next = append(next, old)
		}
	}
	p.sections, p.extensions = next, ExtensionIDs{}
	p.extend(now, merged)
	return nil
}

// extend adds header extensions to those that the peer sends.
func (p *peer) extend(now time.Time, ids ExtensionIDs) {
	p.extensions.merge(ids)
	if p.extensions.TransportCC != 0 && p.feedback == nil {
		p.feedback = twcc.New()
		p.nextFeedback = now.Add(feedbackInterval)
	}
}

// merge takes the ids of one section into those of the transport: in a BUNDLE
// group one id has one meaning.
func (e *ExtensionIDs) merge(o ExtensionIDs) {
	for _, f := range []struct {
		to   *uint8
		from uint8
	}{
		{&e.Mid, o.Mid}, {&e.RID, o.RID}, {&e.RepairedRID, o.RepairedRID}, {&e.AudioLevel, o.AudioLevel},
		{&e.TransportCC, o.TransportCC}, {&e.AbsSendTime, o.AbsSendTime},
		{&e.DependencyDescriptor, o.DependencyDescriptor},
	} {
		if *f.to == 0 {
			*f.to = f.from
		}
	}
}

func (p *peer) section(mid string) *section {
	if p.trunk != nil {
		return p.trunk.sections[mid]
	}
	for _, s := range p.sections {
		if s.Mid == mid {
			return s
		}
	}
	return nil
}

// LayerSize is the picture of one layer as the publisher announced it.
type LayerSize struct {
	RID           string
	Width, Height uint32
	Bitrate       uint32 // bits per second
}

// TrackConfig publishes what arrives on a section under a track id.
type TrackConfig struct {
	ID    drtc.TrackID
	Mid   string
	Video bool
	Muted bool
	// Layers by announced size, low to high; may be empty.
	Layers []LayerSize
	// Room of a track that a relay peer publishes; empty for the peer's.
	Room drtc.RoomID
}

// Publish gives the media of a section its track id. Publishing the same track
// on the same section again updates sizes and the mute. A track that a relay peer
// publishes goes over to another peer that publishes it, with all who watch it,
// if kind, room and number of layers are the same.
func (c *Core) Publish(now time.Time, id PeerID, cfg TrackConfig) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	s := p.section(cfg.Mid)
	if s == nil {
		return fmt.Errorf("%w: %q", ErrSection, cfg.Mid)
	}
	if p.trunk != nil {
		if _, err := p.described(s); err != nil {
			return err
		}
	}
	t := c.tracks[cfg.ID]
	switch {
	case c.aliases[cfg.ID] != nil:
		return fmt.Errorf("%w: %s", ErrTrackExists, cfg.ID)
	case t != nil && t.peer != p:
		return c.rehome(now, t, p, s, cfg)
	case t != nil && t.section == s:
		t.resize(cfg.Layers)
		c.tellTrack(t)
		c.mute(now, t, cfg.Muted)
		return nil
	case t != nil:
		c.removeTrack(now, t)
	}
	if s.track != nil {
		c.removeTrack(now, s.track)
	}
	t = newTrack(p, s, cfg, c.cfg)
	s.track = t
	p.enter(t)
	c.republished = true
	c.tracks[cfg.ID] = t
	c.identified(now, t) // packets may have come before the name
	c.adopt(t.cfg.ID)
	if p.trunk != nil {
		return c.describe(now, p, s)
	}
	return nil
}

// Unpublish forgets a track, or an alias of one, and ends its subscriptions.
func (c *Core) Unpublish(now time.Time, id drtc.TrackID) error {
	if a := c.aliases[id]; a != nil {
		c.removeAlias(now, a)
		return nil
	}
	t := c.tracks[id]
	if t == nil {
		return fmt.Errorf("%w: %s", ErrTrack, id)
	}
	c.removeTrack(now, t)
	return nil
}

func (c *Core) removeTrack(now time.Time, t *track) {
	for _, s := range append([]*subscription(nil), t.subscriptions...) {
		c.endSubscription(now, s, t)
	}
	c.endLinks(t)
	for len(t.aliases) > 0 {
		c.forgetAlias(t.aliases[0])
	}
	for _, l := range t.layers {
		c.dropFrame(l)
	}
	delete(c.tracks, t.cfg.ID)
	t.peer.leave(t)
	t.section.track = nil
	c.forgetSources(t.peer, t.section)
	c.silence(t)
	c.republished = true
}

// endSubscription ends one whose track has gone. A seat stays.
func (c *Core) endSubscription(now time.Time, s *subscription, t *track) {
	if s.vacant != nil {
		c.lose(now, s, t)
		return
	}
	c.removeSubscription(now, s)
}

// sourceOf finds the source of a packet, by SSRC once it is known, else by what
// the packet or the description says of it.
func (c *Core) sourceOf(now time.Time, p *peer, h *rtpheader.Header, plain []byte) *source {
	if s := p.sources[h.SSRC]; s != nil {
		return s
	}
	if p.trunk != nil || len(p.sources) >= maxSources { // a relay peer's are all known
		return nil
	}
	s := p.identify(h, plain)
	if s == nil {
		return nil
	}
	c.addSource(p, h.SSRC, s)
	if s.section.track != nil {
		c.attach(now, s.section.track, h.SSRC, s)
	}
	return s
}

func (c *Core) forgetSource(p *peer, ssrc uint32) {
	if s := p.sources[ssrc]; s != nil {
		s.section.sources = slices.DeleteFunc(s.section.sources, func(o uint32) bool { return o == ssrc })
	}
	delete(p.sources, ssrc)
	if c.bySSRC[ssrc] == p {
		delete(c.bySSRC, ssrc)
	}
}

// identify tells the section, layer and kind of a new SSRC (RFC 9143 section
// 9.2): by mid and rid of its header extensions, by the description's SSRCs,
// or by a payload type that only one section uses.
func (p *peer) identify(h *rtpheader.Header, plain []byte) *source {
	src := &source{}
	if mid := h.Extension(plain, p.extensions.Mid); len(mid) > 0 {
		src.section = p.section(string(mid))
	}
	if rid := h.Extension(plain, p.extensions.RepairedRID); len(rid) > 0 {
		src.rid, src.rtx = string(rid), true
	} else if rid := h.Extension(plain, p.extensions.RID); len(rid) > 0 {
		src.rid = string(rid)
	}
	for _, s := range p.sections {
		for i, g := range s.SSRCs {
			if g.SSRC == h.SSRC || g.RTX == h.SSRC && g.RTX != 0 {
				src.section, src.rtx = s, g.RTX == h.SSRC
				if src.rid == "" && i < len(s.RIDs) {
					src.rid = s.RIDs[i]
				}
			}
		}
	}
	if src.section == nil {
		src.section = p.onlySectionOf(h.PayloadType)
	}
	if src.section == nil {
		return nil
	}
	if pt, rtx := src.section.payload(h.PayloadType); pt == nil {
		return nil
	} else if rtx {
		src.rtx = true
	}
	if src.rid != "" && !slices.Contains(src.section.RIDs, src.rid) {
		return nil
	}
	if src.rid == "" && len(src.section.RIDs) > 0 {
		return nil // simulcast without a rid: wait for a packet that has one
	}
	return src
}

func (p *peer) onlySectionOf(pt uint8) *section {
	var found *section
	for _, s := range p.sections {
		if d, _ := s.payload(pt); d == nil || !s.Active {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

// payload looks a payload type up; rtx says that it is the retransmission type.
func (s *section) payload(number uint8) (pt *PayloadType, rtx bool) {
	for i := range s.Codecs {
		switch number {
		case s.Codecs[i].Number:
			return &s.Codecs[i], false
		case s.Codecs[i].RTXNumber:
			if number != 0 {
				return &s.Codecs[i], true
			}
		}
	}
	return nil, false
}

// attach binds a source to the layer of its track.
func (c *Core) attach(now time.Time, t *track, ssrc uint32, src *source) {
	src.layer = t.layerOf(src.rid)
	if src.layer == nil {
		return
	}
	l := src.layer
	if src.rtx {
		if l.repairSSRC != 0 && l.repairSSRC != ssrc {
			c.forgetSource(t.peer, l.repairSSRC)
		}
		l.repairSSRC = ssrc
		return
	}
	if l.ssrc != ssrc {
		if l.ssrc != 0 {
			c.forgetSource(t.peer, l.ssrc)
		}
		c.renewLayer(now, l, ssrc)
	}
}

// renewLayer begins a layer anew with another SSRC: what was forwarded of it can't
// go on without a key frame, and whoever saw it sees nothing until then.
func (c *Core) renewLayer(now time.Time, l *layer, ssrc uint32) {
	c.dropFrame(l)
	l.restart(ssrc, c.cfg)
	c.tellLayer(l)
	for _, s := range l.track.subscriptions {
		if s.current == l {
			s.waiting = true
		}
	}
	l.key.AskUrgent(now)
}

// receive takes one authentic media packet of a known source.
func (c *Core) receive(now time.Time, p *peer, src *source, seq uint64, h *rtpheader.Header, plain []byte, batch *Batch) {
	if p.feedback != nil {
		if v := h.Extension(plain, p.extensions.TransportCC); len(v) == 2 {
			p.feedback.Record(batch.arrival(now), binary.BigEndian.Uint16(v))
			c.wake(p, p.nextFeedback)
		}
	}
	p.receivedBytes += uint64(len(plain) - h.PaddingSize)
	l := src.layer
	if l == nil {
		return
	}
	if k := l.track.carried; k != nil {
		k.received += uint64(len(plain) - h.PaddingSize)
	}
	pt, rtx := src.section.payload(h.PayloadType)
	if pt == nil {
		return
	}
	payload := h.Payload(plain)
	if src.rtx || rtx {
		c.receiveRepair(now, p, src, h, pt, payload, plain, batch)
		return
	}
	l.reception.Receive(now, h.SequenceNumber, h.Timestamp, len(plain)-h.PaddingSize)
	k := packet{seq: seq, timestamp: h.Timestamp, marker: h.Marker, payload: payload, arrived: batch.Arrival}
	k.describe(src.section, pt, h, plain)
	c.deliver(now, l, k, batch)
}

// receiveRepair takes a retransmission (RFC 4588 section 4): two bytes of
// original sequence number, then the original payload.
func (c *Core) receiveRepair(now time.Time, p *peer, src *source, h *rtpheader.Header, pt *PayloadType, payload, plain []byte, batch *Batch) {
	l := src.layer
	if len(payload) < 2 || l.ssrc == 0 { // probing padding, or nothing to repair yet
		return
	}
	media := p.sources[l.ssrc]
	if media == nil {
		return
	}
	highest := media.unwrap.Highest()
	original := binary.BigEndian.Uint16(payload)
	behind := uint16(highest) - original
	if behind > 1<<14 {
		return // newer than anything that was sent: not a repair
	}
	k := packet{
		seq: highest - uint64(behind), timestamp: h.Timestamp, marker: h.Marker, payload: payload[2:],
		repaired: true, arrived: batch.Arrival,
	}
	k.describe(src.section, pt, h, plain)
	c.deliver(now, l, k, batch)
}

// packet is one media packet on its way through the engine.
type packet struct {
	seq       uint64
	timestamp uint32
	marker    bool
	repaired  bool
	key       bool // a key frame starts with it
	padding   uint8
	payload   []byte
	arrived   time.Time // at the kernel; zero if the shell does not tell
	pt        *PayloadType
	codec     codec.Kind
	vp8       codec.VP8Descriptor
	level     []byte // RFC 6464 element, nil if absent
	// dependency is the dependency descriptor of VP9 and AV1, nil if absent.
	dependency []byte
	vp9        codec.VP9Descriptor
	layers     *svc.Frame // what a scalable stream's packet is part of, nil for others
	// The frame number and the decode targets of its dependency descriptor as
	// sent, set for each subscriber.
	frame  uint16
	active dependency.Targets
}

// describe sets what the payload type and the header extensions say.
func (k *packet) describe(s *section, pt *PayloadType, h *rtpheader.Header, plain []byte) {
	k.pt, k.codec = pt, codec.Of(pt.Mime)
	k.level = h.Extension(plain, s.Extensions.AudioLevel)
	if k.codec == codec.AV1 || k.codec == codec.VP9 {
		if v := h.Extension(plain, s.Extensions.DependencyDescriptor); dependency.Whole(v) {
			k.dependency = v
		}
	}
}

// deliver forwards a packet of a layer, once.
func (c *Core) deliver(now time.Time, l *layer, k packet, batch *Batch) {
	t := l.track
	if l.loss.Receive(now, k.seq) == loss.Duplicate {
		return
	}
	if at := l.loss.NextTimeout(); !at.IsZero() && !at.After(now) {
		c.requestLost(now, l, batch)
	}
	l.lastPacket = now
	if !l.encodedAs(&k) {
		return
	}
	if len(k.payload) == 0 { // padding: leave it out of every stream
		c.skip(now, l, k)
		return
	}
	if !l.live || t.mime != k.pt.Mime {
		l.live, t.mime, t.clockRate = true, k.pt.Mime, k.pt.ClockRate
		c.wakeTrack(t)
		c.emit(TrackLive{Peer: t.peer.cfg.ID, Track: t.cfg.ID, Mid: t.section.Mid, Mime: t.mime, Layers: t.sources()})
		l.news = true
		for _, s := range t.subscriptions {
			s.choose(now)
		}
	}
	switch {
	case l.codec == codec.VP8:
		d, err := codec.ParseVP8(k.payload)
		if err != nil {
			return
		}
		k.vp8, k.key = d, d.KeyFrame
	case l.codec == codec.AV1 && len(k.dependency) > 0:
		k.key = dependency.Begins(k.dependency)
	case l.codec.Video():
		k.key = codec.StartsKeyFrame(l.codec, k.payload) && !l.headless(now, &k)
	}
	if k.key {
		l.key.Satisfied(now)
	}
	if len(k.level) == 1 && !t.muted {
		c.observe(now, t, k.level[0])
	}
	l.ring.Put(now, k.seq, ringPacket(k))
	if t.muted {
		l.withheld = max(l.withheld, k.seq)
	} else {
		c.gather(now, l, k, batch)
	}
}

// headless reports whether a slice of an H.264 key frame may not be its first:
// what was before it is missing or belongs to the same frame. Nobody could show
// what begins there.
func (l *layer) headless(now time.Time, k *packet) bool {
	if l.codec != codec.H264 || codec.HasParameterSet(k.payload) {
		return false
	}
	before, ok := l.ring.Get(now, k.seq-1)
	return !ok || before.Timestamp == k.timestamp
}

// encodedAs notes the codec of a packet. It reports false for one of a codec that
// the publisher has left, which came late. What the ring has of that codec is
// nothing to begin with.
func (l *layer) encodedAs(k *packet) bool {
	if k.codec == l.codec {
		return true
	}
	if highest := l.ring.Highest(); l.codec.Video() && highest > 0 {
		if k.seq < highest {
			return false
		}
		l.withheld = max(l.withheld, k.seq-1)
	}
	l.codec = k.codec
	return true
}
