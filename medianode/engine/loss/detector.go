// Package loss finds the gaps in what a publisher sends and decides when to ask
// for the missing packets again (NACK of RFC 4585; whitepaper section 4.3).
//
// Contract: a gap is asked for at once, again when a round trip and a margin have
// passed, at most Repeats times; what does not come then, and every jump that is too long to
// be a gap, ends in one "give up", upon which the caller asks for a key frame.
//
// The state is of fixed size and nothing allocates after New. Not safe for
// concurrent use.
package loss

import (
	"slices"
	"time"
)

// Config tunes a Detector. Zero fields take their defaults.
type Config struct {
	// Reorder is how many packets may overtake a missing one before it is asked
	// for, default 0: a gap is asked for at once.
	Reorder int
	// Delay is how long to wait for those packets at most, default 20 ms; it
	// does nothing if Reorder is 0.
	Delay time.Duration
	// Repeats is how often one packet is asked for, default 3.
	Repeats int
	// Outstanding is the largest number of missing packets, default 200; a jump
	// of more is not a gap but a new beginning.
	Outstanding int
}

func (c Config) withDefaults() Config {
	if c.Delay <= 0 {
		c.Delay = 20 * time.Millisecond
	}
	if c.Repeats <= 0 {
		c.Repeats = 3
	}
	if c.Outstanding <= 0 {
		c.Outstanding = 200
	}
	return c
}

// Bounds of the time between two requests for one packet.
const (
	maxInterval     = time.Second
	defaultInterval = 100 * time.Millisecond
	// margin is how much longer than a round trip to wait at least for the answer:
	// some take longer than the mean, and a publisher answers once in a round trip.
	margin = 30 * time.Millisecond
)

// window is how many numbers back a duplicate is still recognised.
const window = 1024

// Outcome says what a packet was.
type Outcome uint8

const (
	// Fresh is a packet ahead of all before it.
	Fresh Outcome = iota
	// Recovered is a packet that was overtaken or lost, for the first time.
	Recovered
	// Duplicate is one that was there before or is too old to tell.
	Duplicate
	// Restart is a packet so far from the others that the count begins anew.
	Restart
)

type missing struct {
	seq   uint64
	due   time.Time
	tries int
}

// Detector watches one source. Use New.
type Detector struct {
	cfg      Config
	started  bool
	highest  uint64
	missing  []missing // by seq
	received [window / 64]uint64
	// gaveUpAt is when something was given up that the caller was not told of.
	gaveUpAt time.Time
}

// New returns a Detector that has seen nothing.
func New(cfg Config) *Detector {
	cfg = cfg.withDefaults()
	return &Detector{cfg: cfg, missing: make([]missing, 0, cfg.Outstanding)}
}

// Receive takes note of a packet, original or retransmitted, by its extended
// sequence number.
func (d *Detector) Receive(now time.Time, seq uint64) Outcome {
	switch {
	case !d.started:
		d.restart(seq)
		return Fresh
	case seq > d.highest:
		return d.advance(now, seq)
	case d.highest-seq >= window || d.has(seq):
		return Duplicate
	}
	d.mark(seq)
	if i, ok := d.find(seq); ok {
		d.missing = slices.Delete(d.missing, i, i+1)
	}
	return Recovered
}

func (d *Detector) advance(now time.Time, seq uint64) Outcome {
	gap := int(min(seq-d.highest-1, window))
	if gap > d.cfg.Outstanding {
		d.restart(seq)
		d.gaveUpAt = now
		return Restart
	}
	if over := len(d.missing) + gap - d.cfg.Outstanding; over > 0 {
		d.missing = slices.Delete(d.missing, 0, over)
		d.giveUp(now)
	}
	for n := d.highest + 1; n < seq; n++ {
		d.received[n%window/64] &^= 1 << (n % 64)
		d.missing = append(d.missing, missing{seq: n, due: now.Add(d.patience())})
	}
	d.highest = seq
	d.mark(seq)
	d.hurry(now)
	return Fresh
}

// patience is how long a fresh gap may wait for packets that were overtaken.
func (d *Detector) patience() time.Duration {
	if d.cfg.Reorder <= 0 {
		return 0
	}
	return d.cfg.Delay
}

// hurry makes those due that enough packets have overtaken.
func (d *Detector) hurry(now time.Time) {
	if d.cfg.Reorder <= 0 {
		return
	}
	for i := range d.missing {
		m := &d.missing[i]
		if d.highest-m.seq > uint64(d.cfg.Reorder) && m.tries == 0 && m.due.After(now) {
			m.due = now
		}
	}
}

// Due appends to dst the sequence numbers to ask for now. giveUp tells once
// that packets were given up since the last call: then a key frame is needed.
// rtt is the round trip to the publisher, 0 if unknown.
func (d *Detector) Due(now time.Time, rtt time.Duration, dst []uint16) (_ []uint16, giveUp bool) {
	interval := defaultInterval
	if rtt > 0 {
		interval = min(rtt+max(rtt/2, margin), maxInterval)
	}
	kept := d.missing[:0]
	for _, m := range d.missing {
		if m.due.After(now) {
			kept = append(kept, m)
			continue
		}
		if m.tries == d.cfg.Repeats {
			d.giveUp(now)
			continue
		}
		m.tries++
		m.due = now.Add(interval)
		dst = append(dst, uint16(m.seq))
		kept = append(kept, m)
	}
	d.missing = kept
	giveUp = !d.gaveUpAt.IsZero()
	d.gaveUpAt = time.Time{}
	return dst, giveUp
}

// NextTimeout returns when Due has something to say, zero if nothing is
// missing.
func (d *Detector) NextTimeout() time.Time {
	next := d.gaveUpAt
	for i := range d.missing {
		if due := d.missing[i].due; next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// Forget stops asking for everything missing, for a source that was paused or
// that just sent a key frame from which all can go on.
func (d *Detector) Forget() { d.missing = d.missing[:0] }

func (d *Detector) restart(seq uint64) {
	d.started, d.highest = true, seq
	d.missing = d.missing[:0]
	d.received = [window / 64]uint64{}
	d.mark(seq)
}

func (d *Detector) giveUp(now time.Time) {
	if d.gaveUpAt.IsZero() {
		d.gaveUpAt = now
	}
}

func (d *Detector) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(d.missing, seq, func(m missing, seq uint64) int {
		switch {
		case m.seq < seq:
			return -1
		case m.seq > seq:
			return 1
		}
		return 0
	})
}

func (d *Detector) mark(seq uint64)     { d.received[seq%window/64] |= 1 << (seq % 64) }
func (d *Detector) has(seq uint64) bool { return d.received[seq%window/64]&(1<<(seq%64)) != 0 }
