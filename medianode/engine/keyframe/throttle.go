// Package keyframe throttles key frame requests to the publisher of one layer:
// it delays a request, but never loses one (PLI of RFC 4585, FIR of RFC 5104;
// whitepaper section 4.3).
//
// Contract: after Ask, Due says yes at least once before the request counts as
// answered, and again at every repeat until Satisfied.
//
// Not safe for concurrent use.
package keyframe

import "time"

// Config holds the spacing of requests. Zero fields take their defaults.
type Config struct {
	// Spacing is the least time between two requests, default 500 ms.
	Spacing time.Duration
	// Repeat is the time after which an unanswered request is sent again,
	// default 500 ms, never less than Spacing.
	Repeat time.Duration
	// Urgent is the spacing and the repeat for somebody who sees nothing at all
	// yet, default 150 ms, never more than Spacing. Chromium ignores a request
	// within 300 ms of the last one, so one that comes too early is repeated.
	Urgent time.Duration
}

func (c Config) withDefaults() Config {
	if c.Spacing <= 0 {
		c.Spacing = 500 * time.Millisecond
	}
	if c.Repeat <= 0 {
		c.Repeat = 500 * time.Millisecond
	}
	if c.Urgent <= 0 {
		c.Urgent = 150 * time.Millisecond
	}
	c.Repeat = max(c.Repeat, c.Spacing)
	c.Urgent = min(c.Urgent, c.Spacing)
	return c
}

// Throttle decides when the next request leaves. Use New.
type Throttle struct {
	cfg    Config
	wanted bool
	// sent says that a request left since the last key frame.
	sent bool
	// urgent says that one of those who wait sees nothing yet.
	urgent bool
	// asked is when the first of those who wait did ask.
	asked, last time.Time
}

// New returns a Throttle that nobody has asked yet.
func New(cfg Config) Throttle { return Throttle{cfg: cfg.withDefaults()} }

// Ask notes that somebody needs a key frame from now on.
func (t *Throttle) Ask(now time.Time) {
	if !t.wanted {
		t.wanted, t.asked = true, now
	}
}

// AskUrgent is Ask for somebody who sees nothing yet: the key frame with which
// it was to begin went past it.
func (t *Throttle) AskUrgent(now time.Time) {
	t.Ask(now)
	t.urgent = true
}

// Due reports whether a request must be sent now, and takes it as sent.
func (t *Throttle) Due(now time.Time) bool {
	at := t.NextTimeout()
	if !t.wanted || now.Before(at) {
		return false
	}
	t.sent, t.last = true, now
	return true
}

// Satisfied notes that a key frame began to arrive: it answers all who asked.
func (t *Throttle) Satisfied(time.Time) { t.wanted, t.sent, t.urgent = false, false, false }

// Wanted reports whether somebody still waits for a key frame.
func (t *Throttle) Wanted() bool { return t.wanted }

// Urgent reports whether one of those who wait sees nothing yet.
func (t *Throttle) Urgent() bool { return t.urgent }

// NextTimeout returns when Due will say yes, zero if nothing is wanted.
func (t *Throttle) NextTimeout() time.Time {
	switch {
	case !t.wanted:
		return time.Time{}
	case t.sent && t.urgent:
		return t.last.Add(t.cfg.Urgent)
	case t.sent:
		return t.last.Add(t.cfg.Repeat)
	}
	spacing := t.cfg.Spacing
	if t.urgent {
		spacing = t.cfg.Urgent
	}
	if free := t.last.Add(spacing); !t.last.IsZero() && free.After(t.asked) {
		return free
	}
	return t.asked
}
