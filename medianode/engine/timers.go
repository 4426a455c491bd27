package engine

import "time"

// wake has the core look at a peer at a time, if it would not do so before.
func (c *Core) wake(p *peer, at time.Time) {
	if !p.timer.IsSet() || at.Before(p.timer.At()) {
		c.deadlines.Set(&p.timer, at)
	}
}

// servePeers does what is due of consent and reports. Peers for whom nothing is
// due are not looked at.
func (c *Core) servePeers(now time.Time, batch *Batch) {
	for p, ok := c.deadlines.Pop(now); ok; p, ok = c.deadlines.Pop(now) {
		c.watchConsent(now, p)
		c.sendChecks(now, p, batch)
		if p.keys != nil {
			c.serveReports(now, p, batch)
			batch.relieve()
		}
		c.wake(p, c.nextDue(now, p))
	}
}

// nextDue is when the peer must be looked at again. What is later than a report
// interval needs no exact answer: the peer is looked at before.
func (c *Core) nextDue(now time.Time, p *peer) time.Time {
	next := now.Add(reportInterval)
	sooner := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	// One nanosecond: they end after, not at these times.
	sooner(p.lastCheck.Add(c.cfg.ConsentTimeout + 1))
	if p.checker != nil && p.state != StateFailed {
		sooner(p.checker.next)
	}
	if p.keys == nil {
		return next
	}
	sooner(p.lastHeard.Add(c.disconnectAfter(p) + 1))
	sooner(p.confirmBy.Add(1))
	sooner(p.nextReport)
	sooner(p.nextFigures)
	if p.feedback != nil && p.feedback.Pending() > 0 {
		sooner(p.nextFeedback)
	}
	return next
}

// publishing lists the peers with tracks, in the order of their opening.
func (c *Core) publishing() []*peer {
	if c.republished {
		c.republished = false
		clear(c.publishers)
		c.publishers = c.publishers[:0]
		for _, p := range c.order {
			if len(p.tracks) > 0 {
				c.publishers = append(c.publishers, p)
			}
		}
	}
	return c.publishers
}
