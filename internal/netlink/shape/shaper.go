package shape

import (
	"fmt"
	"slices"
	"time"
)

// MaxPackets bounds what a Shaper holds, in its queue and in flight together.
// A packet beyond it is dropped.
const MaxPackets = 1 << 15

// Shaper is one direction of a link.
//
// Time must not run backwards: a now before an earlier one counts as that one.
type Shaper struct {
	settings Settings
	now      time.Time
	steps    []step // in order of time
	queue    queue
	chance   chance
	flight   flight
	spare    [][]byte // buffers to use again
	handed   []byte   // the buffer of the last Poll
	counters Counters
	arrivals uint64    // numbers packets as they arrive
	lastLeft uint64    // the highest number that left
	ordered  time.Time // no packet in order leaves before
}

type step struct {
	at       time.Time
	settings Settings
}

// packet is one in the queue.
type packet struct {
	number  uint64
	arrived time.Time
	bytes   []byte
}

// New returns an empty Shaper. Everything random comes from seed.
func New(settings Settings, seed uint64) (*Shaper, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	return &Shaper{settings: settings, chance: newChance(seed)}, nil
}

// Settings returns those in force at the last now that was passed in.
func (s *Shaper) Settings() Settings { return s.settings }

// Set changes the settings at now. What is in flight keeps its time; what is
// in the queue is sent at the new rate, and stays even if the new bound is
// less.
func (s *Shaper) Set(now time.Time, settings Settings) error {
	if err := settings.Validate(); err != nil {
		return err
	}
	s.advance(now)
	s.set(s.now, settings)
	return nil
}

// Schedule changes the settings at a time to come. Changes for the same time
// take effect in the order of the calls.
func (s *Shaper) Schedule(at time.Time, settings Settings) error {
	if err := settings.Validate(); err != nil {
		return err
	}
	if at.Before(s.now) {
		return fmt.Errorf("shape: scheduling a change: the time is %v in the past", s.now.Sub(at))
	}
	i, _ := slices.BinarySearchFunc(s.steps, at, func(have step, at time.Time) int {
		if have.at.After(at) {
			return 1
		}
		return -1
	})
	s.steps = slices.Insert(s.steps, i, step{at, settings})
	return nil
}

// Push takes a packet that arrives at now. It copies what it keeps.
func (s *Shaper) Push(now time.Time, bytes []byte) {
	s.advance(now)
	s.counters.In++
	s.counters.InBytes += uint64(len(bytes))
	switch {
	case s.settings.Down:
		s.counters.Cut++
	case s.settings.MTU > 0 && len(bytes) > s.settings.MTU:
		s.counters.Oversize++
	case !s.queue.takes(s.now, len(bytes), s.settings.Rate), s.queue.len()+len(s.flight.heap) >= MaxPackets:
		s.counters.Dropped++
	default:
		s.arrivals++
		s.queue.push(packet{s.arrivals, s.now, append(s.buffer(), bytes...)})
		s.advance(s.now)
	}
}

// Poll returns the next packet that has left by now and when it did, in the
// order of leaving. The packet is valid until the next call of Poll or Push.
func (s *Shaper) Poll(now time.Time) (bytes []byte, left time.Time, ok bool) {
	s.recycle(s.handed)
	s.handed = nil
	s.advance(now)
	if left, ok = s.flight.next(); !ok || left.After(s.now) {
		return nil, time.Time{}, false
	}
	f := s.flight.pop()
	s.handed = f.bytes
	s.counters.Out++
	s.counters.OutBytes += uint64(len(f.bytes))
	if f.number < s.lastLeft {
		s.counters.Reordered++
	}
	s.lastLeft = max(s.lastLeft, f.number)
	return f.bytes, left, true
}

// NextTimeout returns when to call Poll again if nothing else happens. It may
// be too early, never too late.
func (s *Shaper) NextTimeout() (at time.Time, ok bool) {
	at, ok = s.flight.next()
	if done, busy := s.queue.done(s.settings.Rate); busy && (!ok || done.Before(at)) {
		at, ok = done, true
	}
	if len(s.steps) > 0 && (!ok || s.steps[0].at.Before(at)) {
		at, ok = s.steps[0].at, true
	}
	return at, ok
}

// Counters returns what happened up to the last now that was passed in.
func (s *Shaper) Counters() Counters {
	c := s.counters
	c.Queued, c.QueuedBytes = s.queue.len(), s.queue.bytes
	c.Flying = len(s.flight.heap)
	return c
}

// advance does everything that happens up to now, in order of time: so when it
// is called has no influence on the result.
func (s *Shaper) advance(now time.Time) {
	if now.Before(s.now) {
		now = s.now
	}
	for {
		done, busy := s.queue.done(s.settings.Rate)
		busy = busy && !done.After(now)
		change := len(s.steps) > 0 && !s.steps[0].at.After(now)
		switch {
		case busy && (!change || !s.steps[0].at.Before(done)):
			s.launch(s.queue.pop(s.settings.Rate), done)
		case change:
			first := s.steps[0]
			s.steps = slices.Delete(s.steps, 0, 1)
			s.set(first.at, first.settings)
		default:
			s.now = now
			return
		}
	}
}

func (s *Shaper) set(now time.Time, settings Settings) {
	s.queue.rerate(now, s.settings.Rate, settings.Rate)
	s.settings = settings
	if settings.Down {
		s.counters.Cut += uint64(s.queue.len())
		for _, p := range s.queue.clear() {
			s.recycle(p.bytes)
		}
	}
}

// launch sends a packet that the bottleneck let go at now on its flight.
func (s *Shaper) launch(p packet, now time.Time) {
	c := s.chance.next(s.settings)
	if c.lost {
		s.counters.Lost++
		s.recycle(p.bytes)
		return
	}
	at := now.Add(c.flight)
	if !s.settings.Jitter.Overtake && at.Before(s.ordered) {
		at = s.ordered
	}
	if c.late > 0 {
		at = at.Add(c.late)
	} else if at.After(s.ordered) {
		s.ordered = at
	}
	if c.twice && len(s.flight.heap) < MaxPackets {
		s.counters.Duplicated++
		s.flight.push(at, p.number, append(s.buffer(), p.bytes...))
	}
	s.flight.push(at, p.number, p.bytes)
}

func (s *Shaper) buffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 2048)
}

func (s *Shaper) recycle(b []byte) {
	const most = 1024
	if b != nil && len(s.spare) < most {
		s.spare = append(s.spare, b)
	}
}
