package engine

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/rewrite"
	"github.com/drtc-network/drtc/medianode/engine/svc"
)

// scalable reports whether all sizes of the track come in one stream (SVC).
func (t *track) scalable() bool { return len(t.layers) == 1 && len(t.sizes) > 1 }

// qualities is the number of sizes that demand is told for: simulcast layers, or
// the announced sizes of a track with one stream.
func (t *track) qualities() int {
	if t.scalable() {
		return len(t.sizes)
	}
	return len(t.layers)
}

// demanded is the set of qualities that a subscriber of a track wants of its
// publisher, 0 for none. A seat that leaves the track wants what it gets.
// Spatial layers build on each other: the highest and those below.
func (t *track) demanded(s *subscription) uint8 {
	if !t.cfg.Video {
		if s.settings.Disabled {
			return 0
		}
		return 1
	}
	l := s.wanted()
	if s.track != t && !s.settings.Disabled {
		l = s.current
	}
	if l == nil {
		return 0
	}
	if !t.scalable() {
		return 1 | 1<<l.index
	}
	top := 0
	for top < t.highest(&s.settings) && !s.settings.filledBy(t.sizes[top].Width, t.sizes[top].Height) {
		top++
	}
	return 2<<top - 1
}

// highest is the highest announced size that may be forwarded.
func (t *track) highest(settings *Settings) int {
	top := len(t.sizes) - 1
	if settings.MaxLayer > 0 {
		top = min(top, settings.MaxLayer-1)
	}
	if t.allowed != nil {
		top = min(top, slices.Max(t.allowed))
	}
	return max(top, 0)
}

// readLayers tells of the packets of a scalable stream what they are part of.
// It is done once for all subscribers.
func (c *Core) readLayers(l *layer, frame []packet) {
	if !l.mayScale() {
		return
	}
	if l.scalable == nil {
		l.scalable = &svc.Reader{}
	}
	if len(c.layers) < len(frame) {
		c.layers = make([]svc.Frame, max(len(frame), maxHeld))
	}
	for i := range frame {
		k := &frame[i]
		if k.parsePayload() && k.read(l.scalable, &c.layers[i]) {
			k.layers = &c.layers[i]
		}
	}
}

// mayScale reports whether packets of the layer may tell which part of a
// scalable stream they are.
func (l *layer) mayScale() bool { return l.codec == codec.AV1 || l.codec == codec.VP9 }

// reread returns a Reader for a subscriber that gets the layer's packets from a
// number on later than others: it knows of the stream what was known then.
func (l *layer) reread(now time.Time, from uint64) *svc.Reader {
	if !l.mayScale() {
		return nil
	}
	if l.scalable == nil {
		return &svc.Reader{}
	}
	if first, ok := l.ring.Get(now, from); ok && first.KeyFrame {
		return l.scalable.Rewound()
	}
	r := *l.scalable
	return &r
}

// read tells of a packet what it is part of. It reports false if the packet says
// nothing of it.
func (k *packet) read(r *svc.Reader, into *svc.Frame) bool {
	switch {
	case len(k.dependency) > 0:
		*into = r.Descriptor(k.timestamp, k.dependency)
	case k.vp9.Size > 0:
		*into = r.VP9(k.timestamp, k.vp9, k.payload)
	default:
		return false
	}
	return true
}

// partOf is what a packet of the present layer is part of, nil if that is not
// known. Who has a backlog does not hear it from the layer, which is ahead.
func (c *Core) partOf(s *subscription, k *packet) *svc.Frame {
	b := &s.backlog
	if b.reader == nil || b.layer != s.current {
		return k.layers
	}
	if !k.read(b.reader, &c.again) {
		return nil
	}
	return &c.again
}

// parsePayload reads the payload descriptors that are rewritten for each
// subscriber. It reports false for one that cannot be read.
func (k *packet) parsePayload() bool {
	var err error
	switch k.codec {
	case codec.VP8:
		k.vp8, err = codec.ParseVP8(k.payload)
	case codec.VP9:
		k.vp9, err = codec.ParseVP9(k.payload)
	}
	return err == nil
}

// source is how the packet looks to a stream.
func (k *packet) source() rewrite.Source {
	src := rewrite.Source{Sequence: k.seq, Timestamp: k.timestamp, Marker: k.marker, VP8: k.vp8}
	switch {
	case k.vp9.Size > 0:
		src.VP9 = &k.vp9
	case k.codec == codec.AV1 && len(k.dependency) > 0:
		src.Frame, src.HasFrame = dependency.Number(k.dependency), true
	}
	return src
}

// selectAnew makes the next packet the first of a selection.
func (s *subscription) selectAnew() {
	if s.relay != nil {
		s.relay.carriage = carriage{}
	}
	if s.selector != nil {
		s.selector.Reset()
	}
}

// selects decides whether a packet belongs to the spatial and temporal layers
// that the subscriber gets, and sets how it must look then. Of what it leaves
// out no hole remains.
func (c *Core) selects(now time.Time, s *subscription, k *packet, src *rewrite.Source, batch *Batch) bool {
	k.active = 0
	layers := c.partOf(s, k)
	if layers == nil {
		return true
	}
	if s.relay != nil {
		return c.carries(now, s, k, src, layers, batch)
	}
	if s.selector == nil {
		s.selector = &svc.Selector{}
	}
	v := s.selector.Decide(layers, k.timestamp, s.wantedLayers(layers))
	if v.NeedsKeyFrame {
		s.askKeyFrame(now, s.current)
	}
	if !v.Forward {
		if !s.stream.Drop(*src) {
			c.fill(now, s, src, batch)
		}
		return false
	}
	src.Marker = src.Marker || v.Ends
	k.active = v.Targets
	return true
}

// wantedLayers is what the settings ask for of a scalable stream, in its own
// layers: sizes as it tells them, else as they were announced.
func (s *subscription) wantedLayers(f *svc.Frame) svc.Want {
	want := svc.Want{Spatial: svc.AllLayers, Temporal: svc.AllLayers}
	if s.settings.MaxTemporal > 0 {
		want.Temporal = uint8(min(s.settings.MaxTemporal-1, svc.AllLayers))
	}
	t, st := s.source(), f.Structure
	if st == nil || len(t.layers) > 1 {
		return want
	}
	limit := t.spatialLimit(&s.settings, st)
	for want.Spatial = 0; want.Spatial < limit; want.Spatial++ {
		if size := t.sizeOf(st, int(want.Spatial)); s.settings.filledBy(size.Width, size.Height) {
			break
		}
	}
	return want
}

// spatialLimit is the highest spatial layer that is not larger than the highest
// size that may be forwarded.
func (t *track) spatialLimit(settings *Settings, st *dependency.Structure) uint8 {
	top, highest := st.SpatialLayers-1, t.highest(settings)
	if highest < len(t.sizes)-1 {
		for limit := t.sizes[highest].Width; top > 0 && t.sizeOf(st, top).Width*100 > limit*105; {
			top--
		}
	}
	return uint8(top)
}

// sizeOf is the size of a spatial layer. Browsers leave out the lowest of the
// announced layers where they would be too small.
func (t *track) sizeOf(st *dependency.Structure, spatial int) dependency.Size {
	size := st.Sizes[spatial]
	if at := spatial + len(t.sizes) - st.SpatialLayers; size.Width == 0 && at >= 0 && at < len(t.sizes) {
		size = dependency.Size{Width: t.sizes[at].Width, Height: t.sizes[at].Height}
	}
	return size
}

// fill closes the hole that a packet left by coming late: the receiver waits for
// its number, but has no use for what is in it.
func (c *Core) fill(now time.Time, s *subscription, src *rewrite.Source, batch *Batch) {
	out, ok := s.stream.Next(now, rewrite.Source{Sequence: src.Sequence, Timestamp: src.Timestamp})
	if !ok {
		return
	}
	k := packet{codec: s.codec, padding: 1}
	plain := c.header(now, s, s.ssrc, s.section.Codec.Number, out.Sequence, out.Timestamp, false, &k, batch)
	head := len(plain)
	plain = appendPadding(plain, k.padding)
	if c.seal(s, plain, head, s.ssrc, out.Extended-firstExtended, batch) {
		c.depart(now, s, len(plain))
		s.sender.Sent(now, out.Extended, out.Timestamp, 0)
	}
}
