package engine

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/rewrite"
)

const (
	// maxReplay bounds what is sent from the rings to one peer at a time, bytes
	// of payload: 0.15 s of the pacer's rate.
	maxReplay = 256 << 10
	// maxReplays is how often a viewer that sees nothing yet is shown the same
	// again, before the publisher is asked.
	maxReplays = 3
	// onItsWay is how long after a viewer's beginning its request for a key frame
	// counts as answered by that.
	onItsWay = 150 * time.Millisecond
)

// seen is up to where a subscriber was sent a layer, before it left it or was to be
// sent another codec.
type seen struct {
	layer      *layer
	generation uint8
	highest    uint64
}

// enter switches the stream to a layer, of which src is the next to be sent.
func (s *subscription) enter(now time.Time, src rewrite.Source, from clock.Mapping, l *layer) {
	s.remember()
	s.incarnation = l.incarnation
	s.entered, s.began = src.Sequence, now
	if b := &s.backlog; b.sending && b.class == pacing.Replay {
		s.stream.Rewind(now, src, b.live, from, l.clock)
		return
	}
	s.stream.Switch(now, src, from, l.clock)
}

// remember notes how far the subscriber has come on its present layer, before it
// leaves it or gets another stream, which begins to count anew.
func (s *subscription) remember() {
	if l := s.current; l != nil && s.incarnation == l.incarnation {
		s.seen[l.index] = seen{layer: l, generation: l.generation(), highest: s.sentOf(l)}
	}
}

// sentOf is the highest number of a layer that the subscriber was sent, 0 for
// none.
func (s *subscription) sentOf(l *layer) uint64 {
	before := s.seen[l.index]
	if before.layer != l || before.generation != l.generation() {
		before.highest = 0
	}
	if s.current == l && s.incarnation == l.incarnation && s.stream != nil {
		return max(before.highest, s.stream.Highest())
	}
	return before.highest
}

// unseen reports whether the subscriber may begin with a packet of a layer: one
// that came late may lie before what it was sent already.
func (s *subscription) unseen(l *layer, seq uint64) bool {
	return s.backlog.sending || seq > s.sentOf(l)
}

// seek begins with a layer at its last key frame if the ring holds all since
// then, else it asks for a new one.
func (s *subscription) seek(now time.Time, l *layer) {
	if l != nil && s.backlog.layer == l && s.backlog.class == pacing.Replay {
		return
	}
	if !s.rewind(now, l, false) {
		s.askKeyFrame(now, l)
	}
}

// again answers a viewer that asks for a key frame. In its first seconds it may
// have lost what it was sent because it did not know the answer yet: it is sent
// the same again. Another node knew what was to come.
func (s *subscription) again(now time.Time, l *layer) {
	if s.relay == nil && s.peer.backlogs.replay && now.Before(s.firstUntil) {
		replaying := s.backlog.layer == l && s.backlog.class == pacing.Replay
		if replaying || s.current == l && !s.waiting && now.Sub(s.began) < onItsWay {
			return
		}
		if s.replays < maxReplays && s.rewind(now, l, true) {
			return
		}
	}
	s.askKeyFrame(now, l)
}

// rewind begins to replay the group of pictures that the layer's ring holds,
// and reports whether it could. Only what is sent again on purpose is sent twice.
func (s *subscription) rewind(now time.Time, l *layer, twice bool) bool {
	if l == nil || !s.peer.backlogs.replay || s.peer.backlogs.overloaded || l != s.target || !l.live || !s.track.cfg.Video || !s.follows(l) {
		return false
	}
	first, last, bytes, ok := l.ring.Group(now)
	if !ok || first <= l.withheldFrom(s) || !twice && first <= s.sentOf(l) {
		return false
	}
	room := maxReplay - s.peer.replaying + s.backlog.bytes
	if bytes > room {
		return false
	}
	if s.backlog.layer != nil || s.current == l { // no live packet in between
		s.waiting = true
	}
	newest, _ := l.ring.Get(now, last)
	s.fallBehind(now, now, backlog{
		layer: l, class: pacing.Replay, next: first, whole: last, live: newest.Timestamp, bytes: bytes,
	})
	s.replays++
	return true
}
