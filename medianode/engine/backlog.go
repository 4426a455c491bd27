package engine

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/ring"
	"github.com/drtc-network/drtc/medianode/engine/svc"
)

const (
	// maxBehind is how long a subscriber may lag behind its publisher: what is
	// older has left the ring.
	maxBehind = time.Second
	// maxMissing is the longest run of packets of the publisher that never came
	// behind which a backlog goes on. After a longer one it takes a key frame.
	maxMissing = 64
)

// backlog is what a subscriber has still to be sent of a layer, as a place in
// the layer's ring: all packets from next on. As long as there is one, live
// packets of the layer wait in the ring for their turn.
type backlog struct {
	layer      *layer // nil for none
	generation uint8
	class      pacing.Class
	next       uint64
	// whole is up to where the ring was seen to hold every packet.
	whole   uint64
	live    uint32 // timestamp of the packet at whole
	since   time.Time
	bytes   int // of the replay, counted against maxReplay
	sending bool
	refused bool        // the pacer did not let the last packet leave
	reader  *svc.Reader // of a scalable stream: what the packets are part of
}

// backlogs are the subscriptions of a core that have one, and when the first of
// them goes on.
type backlogs struct {
	waiting []*subscription
	at      time.Time
	// replay says that new viewers are shown what the rings hold.
	replay bool
	// overloaded says that they are not: it would cost what is short.
	overloaded bool
}

// sooner is when a core must wake that otherwise would wake at t.
func (b *backlogs) sooner(t time.Time) time.Time {
	if len(b.waiting) > 0 && (t.IsZero() || b.at.Before(t)) {
		return b.at
	}
	return t
}

// wake has the core go on at t at the latest.
func (b *backlogs) wake(t time.Time) {
	if b.at.IsZero() || t.Before(b.at) {
		b.at = t
	}
}

// fallBehind begins a backlog, which goes on at a time.
func (s *subscription) fallBehind(now, at time.Time, b backlog) {
	s.catchUp()
	s.backlog = b
	s.backlog.generation, s.backlog.since = b.layer.generation(), now
	s.backlog.reader = b.layer.reread(now, b.next)
	s.peer.replaying += b.bytes
	all := s.peer.backlogs
	if !s.listed {
		s.listed = true
		all.waiting = append(all.waiting, s)
	}
	all.wake(at)
}

// catchUp ends the backlog: from the next packet on the subscriber is live.
func (s *subscription) catchUp() {
	s.peer.replaying -= s.backlog.bytes
	s.backlog = backlog{}
}

// behind reports whether a packet of a layer must wait in the ring because
// earlier ones have not left yet.
func (s *subscription) behind(l *layer, seq uint64) bool {
	b := &s.backlog
	return b.layer == l && !b.sending && seq >= b.next && b.generation == l.generation()
}

// refused asks the pacer about a packet of the backlog.
func (s *subscription) refused(now time.Time, l *layer, k *packet) bool {
	b := &s.backlog
	if b.layer != l || !b.sending {
		return false
	}
	b.refused = !s.peer.pacer.Take(now, b.class, len(k.payload))
	return b.refused
}

// delayed asks the pacer about a live packet that is next to be sent, and begins
// a backlog with it if it must wait.
func (s *subscription) delayed(now time.Time, l *layer, k *packet) bool {
	if s.backlog.layer == l && s.backlog.sending {
		return false
	}
	class := pacing.Video
	if !l.codec.Video() {
		class = pacing.Audio
	}
	if s.peer.pacer.Take(now, class, len(k.payload)) {
		return false
	}
	if s.backlog.layer == nil && k.seq > s.stream.Highest() {
		s.fallBehind(now, s.peer.pacer.Next(now, class), backlog{layer: l, class: class, next: k.seq})
	}
	return true
}

// overtaken sends a packet with which a layer begins, and all that came before it
// though they follow it, from the ring.
func (c *Core) overtaken(now time.Time, s *subscription, l *layer, seq uint64, batch *Batch) bool {
	begins := s.entered == seq
	s.entered = 0
	if !begins || s.backlog.sending || !l.codec.Video() || l.ring.Highest() <= seq {
		return false
	}
	s.fallBehind(now, now, backlog{layer: l, class: pacing.Video, next: seq})
	s.backlog.sending = true
	c.sendBacklog(now, s, batch)
	s.backlog.sending = false
	return true
}

// serveBacklogs sends what is due of all backlogs, in turn.
func (c *Core) serveBacklogs(now time.Time, batch *Batch) {
	if len(c.backlogs.waiting) == 0 || now.Before(c.backlogs.at) {
		return
	}
	c.backlogs.at = time.Time{}
	kept := c.backlogs.waiting[:0]
	for _, s := range c.backlogs.waiting {
		if s.backlog.layer != nil {
			s.backlog.sending = true
			c.sendBacklog(now, s, batch)
			s.backlog.sending = false
			batch.relieve()
		}
		if s.listed = s.backlog.layer != nil; s.listed {
			kept = append(kept, s)
			c.backlogs.wake(s.peer.pacer.Next(now, s.backlog.class))
		}
	}
	clear(c.backlogs.waiting[len(kept):])
	c.backlogs.waiting = kept
}

// sendBacklog sends one backlog as far as the pacer lets it.
func (c *Core) sendBacklog(now time.Time, s *subscription, batch *Batch) {
	b := &s.backlog
	l := b.layer
	if !s.follows(l) || b.generation != l.generation() {
		s.catchUp() // who made it so begins anew
		return
	}
	if now.Sub(b.since) > maxBehind {
		s.giveUp(now)
		return
	}
	for missing := 0; b.next <= l.ring.Highest(); b.next++ {
		kept, ok := l.ring.Get(now, b.next)
		if !ok {
			if missing++; b.next <= b.whole || l.ring.Left(b.next) || missing > maxMissing {
				s.giveUp(now)
				return
			}
			continue
		}
		missing = 0
		if !c.sendKept(now, s, l, b.next, kept, batch) {
			s.giveUp(now)
			return
		}
		if b.refused {
			b.refused = false
			return
		}
	}
	s.catchUp()
	if s.waiting || s.current != l {
		s.askKeyFrame(now, s.target)
	}
}

// follows reports whether the layer's packets go to the subscriber, or will.
func (s *subscription) follows(l *layer) bool {
	return s.ready && !s.settings.Disabled && s.codec == l.codec && s.peer.sendable() && !s.track.muted && !s.track.hushed(s.room()) &&
		(l == s.target || l == s.current && !s.waiting)
}

// giveUp drops the backlog because what it is about can't be had any more, and
// waits for a key frame.
func (s *subscription) giveUp(now time.Time) {
	s.catchUp()
	if s.track.cfg.Video {
		s.waiting = true
		s.askKeyFrame(now, s.target)
	}
}

// sendKept forwards one packet of the ring, false if it can't be read.
func (c *Core) sendKept(now time.Time, s *subscription, l *layer, seq uint64, kept ring.Packet, batch *Batch) bool {
	k := packet{
		seq: seq, timestamp: kept.Timestamp, marker: kept.Marker, key: kept.KeyFrame,
		codec: l.codec, payload: kept.Payload, dependency: kept.Descriptor,
	}
	if len(kept.Payload) == 0 {
		s.skip(l, k)
		return true
	}
	if !k.parsePayload() {
		return false
	}
	c.forward(now, s, l, &k, batch)
	return true
}
