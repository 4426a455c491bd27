package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/sequence"
)

// SeatConfig opens a seat: a subscription that its client negotiates once and
// whose track may change any number of times after. Sequence numbers,
// timestamps and picture ids go on.
type SeatConfig struct {
	// ID names the seat in SendSection.Track, SetSource and SetSettings. It must
	// not be the id of a track.
	ID    drtc.TrackID
	Video bool
	// SSRC and RTX are as in SubscribeConfig.
	SSRC, RTX uint32
}

// OpenSeat gives a peer a seat without a source. A seat that is open already
// stays as it is.
func (c *Core) OpenSeat(_ time.Time, id PeerID, cfg SeatConfig) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	if p.subscription(cfg.ID) != nil {
		return nil
	}
	if !p.unused(cfg.SSRC) || !p.unused(cfg.RTX) || cfg.SSRC == cfg.RTX {
		return fmt.Errorf("%w: %d and %d", ErrSSRC, cfg.SSRC, cfg.RTX)
	}
	vacant := &track{cfg: TrackConfig{ID: cfg.ID, Video: cfg.Video}, peer: p}
	vacant.layers = []*layer{{track: vacant}}
	s := &subscription{peer: p, track: vacant, vacant: vacant, ssrc: cfg.SSRC, rtxSSRC: cfg.RTX, waiting: true}
	c.overload.enrol(s)
	p.bySSRC[s.ssrc], p.bySSRC[s.rtxSSRC] = s, s
	p.subscriptions = append(p.subscriptions, s)
	return nil
}

// SetSource says which track a seat shows, published in the core home, and in
// which of the client's formats it goes out; an empty track is none. Video goes on with the old source until
// the next key frame of the new one, if both are of the same codec.
func (c *Core) SetSource(now time.Time, id PeerID, seat, source drtc.TrackID, home CoreID, format PayloadType) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	s := p.subscription(seat)
	if s == nil || s.vacant == nil {
		return fmt.Errorf("%w: seat %s", ErrSubscription, seat)
	}
	if source == "" {
		c.vacate(s)
		return nil
	}
	t, err := c.findTrack(p.cfg.Room, source, home)
	if err != nil {
		return err
	}
	if known := t.mirror == nil || t.mirror.known; known && t.cfg.Video != s.vacant.cfg.Video {
		c.releaseMirror(t)
		return fmt.Errorf("%w: %s", ErrTrack, source)
	}
	c.seat(now, s, t, format)
	return nil
}

// seat makes t the source.
func (c *Core) seat(now time.Time, s *subscription, t *track, format PayloadType) {
	sent := s.source()
	if sent != s.track { // a change that has not taken place
		pending := s.track
		s.track, s.leaving = sent, nil
		if pending != t {
			c.leave(s, pending)
		} else {
			t.subscriptions = slices.DeleteFunc(t.subscriptions, func(o *subscription) bool { return o == s })
		}
	}
	same := codec.Of(format.Mime) == s.codec
	switch {
	case t == sent && same:
		s.target = s.current
		s.choose(now)
	case sent == s.vacant || s.current == nil || s.waiting || !same:
		s.remember() // it may come back in the codec that it had
		c.vacate(s)
		if t.mirror != nil { // it may have been the source, and released
			t = c.mirrorOf(mirrorName{t.cfg.ID, t.mirror.home, t.mirror.room})
		}
		s.track, s.announce = t, true
		s.codec, s.section.Codec = codec.Of(format.Mime), format
		t.subscriptions = append(t.subscriptions, s)
		s.begin(now)
	default:
		s.track, s.leaving, s.target = t, sent, nil
		t.subscriptions = append(t.subscriptions, s)
		s.choose(now)
	}
}

// id names the subscription: the seat, else its track.
func (s *subscription) id() drtc.TrackID {
	if s.vacant != nil {
		return s.vacant.cfg.ID
	}
	return s.track.nameIn(s.room())
}

// source is the track whose packets are forwarded, or will be.
func (s *subscription) source() *track {
	if s.leaving != nil {
		return s.leaving
	}
	return s.track
}

// takeSeat ends a change of the source: the new one has begun.
func (c *Core) takeSeat(s *subscription) {
	c.leave(s, s.leaving)
	s.leaving, s.announce = nil, true
	s.sent = sequence.NewMap(sentPackets) // a later request must not get the new source's packets
}

// vacate leaves a seat without a source.
func (c *Core) vacate(s *subscription) {
	s.catchUp()
	c.leave(s, s.track)
	if s.leaving != nil {
		c.leave(s, s.leaving)
	}
	s.track, s.leaving, s.current, s.target, s.waiting = s.vacant, nil, nil, nil, true
	if s.sent != nil {
		s.sent = sequence.NewMap(sentPackets)
	}
}

// lose tells a seat that a track has ended.
func (c *Core) lose(now time.Time, s *subscription, t *track) {
	switch {
	case s.leaving == t: // the new source begins from nothing
		s.catchUp()
		s.leaving, s.current, s.waiting = nil, nil, true
		s.sent = sequence.NewMap(sentPackets)
		s.begin(now)
	case s.leaving != nil: // the new source ended before it began
		s.track, s.leaving, s.target = s.leaving, nil, s.current
	default:
		c.vacate(s)
	}
	c.leave(s, t)
}
