package cascade

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// phase of an attempt.
type phase uint8

const (
	preparing phase = iota // both ends are asked for descriptions
	opening                // both ends are opened
	open
)

// attempt is one try at a link between two nodes.
type attempt struct {
	id      LinkID
	pair    plan.Link
	phase   phase
	ends    [2]end    // of pair.A and pair.B
	since   time.Time // in this phase; the attempt's begin for the first two
	closeAt time.Time // not wanted any more
}

// end is one side of an attempt.
type end struct {
	prepared               bool
	description, signature []byte
	opened, connected      bool
	connectedAt, silentAt  time.Time // first; since when it is silent
	claiming               bool
}

// recent is a link that was closed a short while ago: a process that ends may
// take the order with it.
type recent struct {
	SavedLink
	at time.Time
}

// failures of a pair in a row.
type failures struct {
	count   int
	retryAt time.Time
}

func (a *attempt) end(node drtc.NodeID) *end {
	switch node {
	case a.pair.A:
		return &a.ends[0]
	case a.pair.B:
		return &a.ends[1]
	}
	return nil
}

// deadline of the attempt, or zero.
func (a *attempt) deadline() time.Time {
	if a.phase != open {
		return a.since.Add(openWithin)
	}
	var first time.Time
	for _, e := range a.ends {
		var at time.Time
		switch {
		case !e.silentAt.IsZero():
			at = e.silentAt.Add(silentFor)
		case !e.connected:
			at = a.since.Add(connectWithin)
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// all lists the attempts in a fixed order.
func (c *Cascade) all() []*attempt {
	var out []*attempt
	for _, pair := range slices.SortedFunc(maps.Keys(c.attempts), comparePairs) {
		out = append(out, c.attempts[pair])
	}
	return out
}

func (c *Cascade) find(id LinkID) *attempt {
	for _, a := range c.attempts {
		if a.id == id {
			return a
		}
	}
	return nil
}

// begin makes a new attempt at a pair.
func (c *Cascade) begin(now time.Time, pair plan.Link) {
	c.serial++
	a := &attempt{id: LinkID(c.name + "-" + strconv.FormatUint(c.serial, 36)), pair: pair, since: now}
	c.attempts[pair] = a
	c.order(pair.A, a.id, Prepare{Peer: pair.B})
	c.order(pair.B, a.id, Prepare{Peer: pair.A})
}

// open hands each end the other's description.
func (c *Cascade) open(a *attempt) {
	a.phase = opening
	c.order(a.pair.A, a.id, Open{
		Peer: a.pair.B, Description: a.ends[1].description, Signature: a.ends[1].signature, AudioLimit: c.limit,
	})
	c.order(a.pair.B, a.id, Open{
		Peer: a.pair.A, Description: a.ends[0].description, Signature: a.ends[0].signature, AudioLimit: c.limit,
	})
}

// fail ends an attempt; another may follow after a while.
func (c *Cascade) fail(now time.Time, a *attempt) {
	c.drop(a)
	c.closeEnds(now, a)
	f := c.failed[a.pair]
	for _, e := range a.ends {
		if !e.connectedAt.IsZero() && now.Sub(e.connectedAt) >= steady {
			f.count = 0
		}
	}
	wait := min(maxBackoff, firstBackoff<<min(f.count, 10))
	c.failed[a.pair] = failures{count: f.count + 1, retryAt: now.Add(wait)}
}

// closeEnds closes both ends of an attempt; a lost node's later.
func (c *Cascade) closeEnds(now time.Time, a *attempt) {
	c.recent = append(c.recent, recent{SavedLink{ID: a.id, A: a.pair.A, B: a.pair.B}, now})
	for _, node := range []drtc.NodeID{a.pair.A, a.pair.B} {
		if !c.lost[node] {
			c.order(node, a.id, Close{})
		} else if len(c.ghosts[node]) < maxGhosts {
			c.ghosts[node] = append(c.ghosts[node], a.id)
		}
	}
}

func (c *Cascade) drop(a *attempt) {
	if c.attempts[a.pair] == a {
		delete(c.attempts, a.pair)
	}
}

// settle begins what is wanted, ends what is not, and routes over what there is.
func (c *Cascade) settle(now time.Time) {
	for _, a := range c.all() {
		if d := a.deadline(); !d.IsZero() && !now.Before(d) {
			c.fail(now, a)
		}
	}
	for _, pair := range slices.SortedFunc(maps.Keys(c.wanted), comparePairs) {
		f := c.failed[pair]
		if c.attempts[pair] == nil && !c.lost[pair.A] && !c.lost[pair.B] && !now.Before(f.retryAt) {
			c.begin(now, pair)
		}
	}
	c.route(now)
	c.retire(now)
	c.recent = slices.DeleteFunc(c.recent, func(r recent) bool { return now.Sub(r.at) >= rememberFor })
	maps.DeleteFunc(c.failed, func(pair plan.Link, f failures) bool {
		return !c.wanted[pair] && !now.Before(f.retryAt.Add(avoidFor))
	})
}

// retire closes the links that nobody wants: one that is open after a calm time.
func (c *Cascade) retire(now time.Time) {
	for _, a := range c.all() {
		switch {
		case c.wanted[a.pair]:
			a.closeAt = time.Time{}
			continue
		case a.closeAt.IsZero():
			a.closeAt = now
			if a.phase == open {
				a.closeAt = now.Add(calm)
			}
		}
		if !now.Before(a.closeAt) && (a.phase != open || !c.routed(a) || !now.Before(a.closeAt.Add(2*calm))) {
			c.drop(a)
			c.closeEnds(now, a)
		}
	}
}

// NextTimeout returns when HandleTimeout is due, or the zero time.
func (c *Cascade) NextTimeout() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, a := range c.all() {
		sooner(a.deadline())
		if !a.closeAt.IsZero() && c.routed(a) && a.phase == open {
			sooner(a.closeAt.Add(2 * calm))
		} else {
			sooner(a.closeAt)
		}
	}
	for pair := range c.wanted {
		if c.attempts[pair] == nil && !c.lost[pair.A] && !c.lost[pair.B] {
			sooner(c.failed[pair].retryAt)
		}
	}
	for pair, f := range c.failed {
		if !c.wanted[pair] {
			sooner(f.retryAt.Add(avoidFor))
		}
	}
	for _, r := range c.routers {
		if !r.asked {
			sooner(r.retryAt)
		}
	}
	return next
}

// HandleTimeout does what is due at now.
func (c *Cascade) HandleTimeout(now time.Time) { c.settle(now) }
