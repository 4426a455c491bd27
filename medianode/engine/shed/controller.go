// Package shed decides how much video an overloaded worker leaves out
// (whitepaper 4.3.5: audio is kept when not all can be served).
//
// Contract: the input is how long the oldest of the datagrams that were taken
// together had waited for a busy worker, the output the share of the video to
// leave out, 0 to 1. The share rises while the least wait of an interval stays above
// a target, and falls when it does not, as CoDel (RFC 8289) tells a standing
// queue from a burst: a process that its cgroup confines to a part of a core
// sleeps for tens of milliseconds in every 100, which is no overload as long as
// it catches up in between.
//
//	lag ──▶ least of 200 ms ──▶ above 15 ms: serve less, by how fast it grows
//	                        └─▶ below: serve more, carefully near what failed
//
// A step up that fails is taken back and tried again after 2 and then every 4 s;
// steps begin small and double while they succeed. So the share stands nearly
// still under a load that stays, and is zero within 10 s of the end of a load
// that goes.
//
// A core: deterministic, now is passed in. Not safe for concurrent use.
package shed

import "time"

// Config of a Controller. Zero fields take their defaults.
type Config struct {
	// Target is the least wait of an interval that is still no overload, default
	// 15 ms.
	Target time.Duration
	// Interval over which the least wait is taken, default 200 ms: two periods
	// of a cgroup's quota.
	Interval time.Duration
}

func (c Config) withDefaults() Config {
	if c.Target <= 0 {
		c.Target = 15 * time.Millisecond
	}
	if c.Interval <= 0 {
		c.Interval = 200 * time.Millisecond
	}
	return c
}

const (
	// drainWithin is how soon a queue that shrinks must be gone for the share
	// to be left as it is.
	drainWithin = time.Second
	// firstStep is by how much more is served when that has failed before or was
	// never tried, as a part of what is served. Every success doubles it.
	firstStep = 0.04
	lastStep  = 0.4
	// leastStep is added to every step, of all video.
	leastStep = 0.02
	// provenAfter is how long a small step must stand before the next.
	provenAfter = 800 * time.Millisecond
	// below is how far under what failed the share rises in large steps.
	below = 0.93
	// minWait and maxWait bound the pause after a step that failed.
	minWait = time.Second
	maxWait = 4 * time.Second
	// enough observations make an interval, or longest times its length.
	enough  = 3
	longest = 4
	// forgetAfter is the silence after which what was learnt is void.
	forgetAfter = 10 * time.Second
	// least is the smallest share of the video that is worth serving.
	least = 0.02
)

// Controller is the state of one worker. Use New.
type Controller struct {
	cfg Config

	began  time.Time     // the interval
	last   time.Time     // call
	lag    time.Duration // the least of the interval
	seen   int           // observations in it
	before time.Duration // the least of the interval before
	// settling says that less is served since the end of the interval before:
	// the waits are still those of that time.
	settling bool

	served float64 // share of the video that is served
	// proven was served without overload before the last step up; stepped says
	// that nothing has proven that step yet.
	proven  float64
	stepped bool
	failed  float64       // the share that was too much, 0 for none
	step    float64       // the next step up
	wait    time.Duration // after a step that fails
	rise    time.Time     // no step up before it
}

// New returns a Controller that serves everything.
func New(cfg Config) *Controller {
	return &Controller{cfg: cfg.withDefaults(), served: 1, proven: 1, step: firstStep, wait: minWait}
}

// Ratio is the share of the video to leave out, 0 to 1.
func (c *Controller) Ratio() float64 { return 1 - c.served }

// Observe takes how long the oldest of the datagrams that were taken from the
// kernel together just now had waited for a worker that was busy with others. A
// wait for a worker that had nothing to do counts as none: it says that the
// machine is busy, not that the worker is. It reports whether Ratio changed.
func (c *Controller) Observe(now time.Time, lag time.Duration) bool {
	if c.seen == 0 || lag < c.lag {
		c.lag = max(lag, 0)
	}
	c.seen++
	return c.Tick(now)
}

// Tick lets time pass: an interval in which nothing came was calm. It reports
// whether Ratio changed.
func (c *Controller) Tick(now time.Time) bool {
	if c.began.IsZero() {
		c.began, c.last = now, now
		return false
	}
	took, served := now.Sub(c.began), c.served
	if now.Sub(c.last) > forgetAfter {
		*c = *New(c.cfg)
		c.began, c.last = now, now
		return served != 1
	}
	c.last = now
	if took < c.cfg.Interval {
		return false
	}
	over := c.seen > 0 && c.lag > c.cfg.Target
	if over && c.seen < enough && took < longest*c.cfg.Interval {
		return false // a long wait or two may be chance
	}
	lag, settling := c.lag, c.settling
	c.began, c.lag, c.seen, c.settling = now, 0, 0, false
	if over {
		c.overloaded(now, lag, took, settling)
	} else {
		c.calm(now)
	}
	c.before = lag
	return c.served != served
}

// overloaded serves less, unless what was cut before is about to be enough.
func (c *Controller) overloaded(now time.Time, lag, took time.Duration, settling bool) {
	growth := lag - c.before
	switch {
	case c.stepped:
		c.failed = c.served
		c.wait = min(2*c.wait, maxWait)
		c.lower(0.97 * c.proven)
	case settling:
	case growth < 0 && float64(lag)*float64(took) <= float64(-growth)*float64(drainWithin):
	default:
		// A queue whose wait grows by g in t gets 1-g/t of the service it needs.
		// What waits already has to be served too. A short wait may be the rest
		// of a burst and says little of how much too much it is.
		share, floor := 1-float64(growth)/float64(took), 0.2
		if lag <= c.cfg.Interval/2 {
			floor = 0.85
		}
		share = min(max(share, floor), 1)
		if enough := c.served * share; c.failed == 0 || enough < c.failed {
			c.failed = enough
		}
		share *= 1 - min(float64(lag)/float64(drainWithin), 0.5)
		c.lower(c.served * min(max(share, floor), 0.95))
		c.settling = floor < 0.85
	}
	c.step = firstStep
	c.rise = now.Add(c.wait)
}

func (c *Controller) lower(served float64) {
	if c.served = min(served, c.served); c.served < least {
		c.served = 0
	}
	c.settling, c.stepped = true, false
}

// calm takes a step up when it is time for one.
func (c *Controller) calm(now time.Time) {
	if now.Before(c.rise) || c.served == 1 && !c.stepped {
		return
	}
	if c.stepped { // and it stood
		c.stepped = false
		c.step = min(2*c.step, lastStep)
		if c.served > c.failed && c.failed > 0 {
			c.failed, c.wait, c.step = 0, minWait, firstStep
		}
	}
	if c.served == 1 {
		return
	}
	next := c.served*(1+c.step) + leastStep
	if limit := below * c.failed; next > limit && c.failed > 0 {
		if next = limit; c.served >= limit {
			c.step = firstStep
			next = c.served*(1+c.step) + leastStep
		}
	}
	c.rise = now.Add(2 * c.cfg.Interval)
	if c.step <= 4*firstStep && next > below*c.failed {
		c.rise = now.Add(provenAfter)
	}
	c.proven, c.stepped = c.served, true
	c.served = min(next, 1)
}
