package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/shed"
)

const (
	// planInterval is how often it is looked at who is served while not all are.
	planInterval = 200 * time.Millisecond
	// upkeepInterval is how often packet rates are taken, unused memory is given
	// back, and an overload that goes on is reported.
	upkeepInterval = time.Second
	// unknownRate stands for the rate of a layer that was not measured yet,
	// packets per second.
	unknownRate = 50
)

// Overload reports what a core leaves out since it cannot serve all: at every
// change, and each second while it lasts.
type Overload struct {
	Core CoreID
	// Ratio is the share of the video to leave out, 0 to 1.
	Ratio float64
	// Paused subscriptions get no video at the moment, Lowered ones a lower
	// layer than they would.
	Paused, Lowered int
}

func (Overload) event() {}

// overload is what a core does about too much work. Video goes first, by the
// priority that the viewers gave it; audio, data and control packets stay.
type overload struct {
	control    *shed.Controller
	nextPlan   time.Time
	nextUpkeep time.Time
	told       Overload
	joined     uint64          // subscriptions so far
	viewers    []*subscription // scratch of plan
}

// shedding is the part of an overload that falls on one subscription.
type shedding struct {
	joined uint64 // the later, the sooner it falls on it
	paused bool
	// limit is the index of the highest layer that is served plus one, 0 for all.
	limit int
	// natural is the layer that would be served, planned the one that is from
	// now on; nil for none. Scratch of plan.
	natural, planned *layer
}

// traffic is the packet rate of a layer.
type traffic struct {
	at      time.Time
	highest uint64
	rate    float64 // packets per second, 0 when unknown
}

// ObserveLag tells how long the oldest of the datagrams that were taken from the
// kernel together had waited there for a worker that was busy with others: until
// the worker was ready to take more, not until it did, which is the scheduler's
// doing; zero or less if it came later. The worker calls it once for each
// receive, before it hands them over.
func (c *Core) ObserveLag(now time.Time, lag time.Duration) {
	if c.overload.control.Observe(now, lag) {
		c.plan(now)
	}
}

// serveOverload follows an overload between receives.
func (c *Core) serveOverload(now time.Time, batch *Batch) {
	o := &c.overload
	if o.control.Tick(now) || o.control.Ratio() > 0 && !now.Before(o.nextPlan) {
		c.plan(now)
	}
	if now.Before(o.nextUpkeep) {
		return
	}
	o.nextUpkeep = now.Add(upkeepInterval)
	c.eachLayer(func(l *layer) {
		l.traffic.measure(now, l.ring.Highest())
		l.ring.Trim(now)
	})
	batch.trim()
	if o.told.Ratio > 0 {
		c.emit(o.told)
	}
}

// eachLayer calls f for every layer of which the core keeps packets: of its own
// tracks, and of those of other cores that it has subscribers to.
func (c *Core) eachLayer(f func(*layer)) {
	for _, p := range c.order {
		for _, t := range p.tracks {
			for _, l := range t.layers {
				f(l)
			}
		}
		for _, s := range p.subscriptions {
			if s.track.peer != nil || slices.Index(s.track.subscriptions, s) != 0 {
				continue
			}
			for _, l := range s.track.layers {
				f(l)
			}
		}
	}
}

func (t *traffic) measure(now time.Time, highest uint64) {
	switch elapsed := now.Sub(t.at).Seconds(); {
	case elapsed == 0:
		return
	case t.at.IsZero() || t.highest == 0 || highest < t.highest: // another source, or the first
		t.rate = 0
	case t.rate == 0:
		t.rate = float64(highest-t.highest) / elapsed
	default:
		t.rate += (float64(highest-t.highest)/elapsed - t.rate) / 4
	}
	t.at, t.highest = now, highest
}

func (l *layer) cost() float64 {
	if l == nil {
		return 0
	}
	if l.traffic.rate == 0 {
		return unknownRate
	}
	return l.traffic.rate
}

// enrol gives a subscription its place among those that an overload may fall on.
func (o *overload) enrol(s *subscription) {
	o.joined++
	s.shedding.joined = o.joined
}

// plan decides which subscriptions an overload falls on: the lowest priority
// first, and the later of equal ones. Those of one priority all go down in
// layers before the first of them is paused.
func (c *Core) plan(now time.Time) {
	o := &c.overload
	o.nextPlan = now.Add(planInterval)
	total := c.rank(now)
	excess := o.control.Ratio() * total
	c.backlogs.overloaded = excess > 0
	for rest := o.viewers; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].settings.Priority == rest[0].settings.Priority && (rest[n].relay == nil) == (rest[0].relay == nil) {
			n++
		}
		excess = lower(rest[:n], excess)
		excess = pause(rest[:n], excess)
		rest = rest[n:]
	}
	told := Overload{Core: c.cfg.Self, Ratio: o.control.Ratio()}
	for _, s := range o.viewers {
		s.apply(now)
		switch {
		case s.shedding.paused:
			told.Paused++
		case s.shedding.planned != s.shedding.natural:
			told.Lowered++
		}
	}
	clear(o.viewers)
	if told != o.told {
		o.told = told
		c.emit(told)
	}
}

// rank lists the subscriptions that have video to lose, the first to lose it
// first, and returns the packet rate that serving them all would take.
func (c *Core) rank(now time.Time) (total float64) {
	o := &c.overload
	o.viewers = o.viewers[:0]
	for _, p := range c.order {
		for _, s := range p.subscriptions {
			d := &s.shedding
			d.natural = nil
			if s.track.cfg.Video && s.ready && s.peer.sendable() && !s.track.muted {
				d.natural = s.best(s.wanted())
			}
			if d.planned = d.natural; d.natural == nil {
				s.apply(now)
				continue
			}
			total += d.natural.cost()
			o.viewers = append(o.viewers, s)
		}
	}
	slices.SortFunc(o.viewers, func(a, b *subscription) int {
		if r := byRelay(a, b); r != 0 || a.relay != nil {
			return r
		}
		return cmp.Or(cmp.Compare(a.settings.Priority, b.settings.Priority), cmp.Compare(b.shedding.joined, a.shedding.joined))
	})
	return total
}

// byRelay puts relay layers last, the highest of them first. Others see all that
// a relay layer carries: to pause one saves what one viewer costs, and takes the
// picture from everybody on the other node. It has no lower layer to go to either:
// what is below is a relay layer of its own.
func byRelay(a, b *subscription) int {
	switch {
	case a.relay == nil && b.relay == nil:
		return 0
	case a.relay == nil:
		return -1
	case b.relay == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(b.relay.name.layer, a.relay.name.layer), cmp.Compare(b.shedding.joined, a.shedding.joined))
}

// lower plans lower layers until that saves enough, and returns what is left to
// save.
func lower(viewers []*subscription, excess float64) float64 {
	for _, s := range viewers {
		d := &s.shedding
		if excess <= 0 || s.relay != nil {
			break
		}
		for i := d.natural.index - 1; i >= 0; i-- {
			l := s.track.layers[i]
			saved := d.natural.cost() - l.cost()
			if !l.live || !s.track.allows(l) || saved <= 0 || !s.worth(excess, saved) {
				continue
			}
			d.planned = l
			if saved >= excess {
				break
			}
		}
		excess -= d.natural.cost() - d.planned.cost()
	}
	return excess
}

// pause plans to serve nothing until that saves enough.
func pause(viewers []*subscription, excess float64) float64 {
	for _, s := range viewers {
		d := &s.shedding
		if excess <= 0 {
			break
		}
		if cost := d.planned.cost(); s.worth(excess, cost) {
			d.planned = nil
			excess -= cost
		}
	}
	return excess
}

// worth reports whether an excess justifies what would be saved: at least half
// of it must be needed. One that is served less already is held to that by a
// little less, so that rates that waver do not switch it back and forth.
func (s *subscription) worth(excess, saved float64) bool {
	if s.shedding.paused || s.shedding.limit > 0 {
		return excess >= 0.35*saved
	}
	return excess >= 0.65*saved
}

// apply makes the plan true. What is served less stops at once and begins again
// with a key frame; what is served more goes on until its key frame comes.
func (s *subscription) apply(now time.Time) {
	d := &s.shedding
	paused, limit := d.natural != nil && d.planned == nil, 0
	if d.planned != nil && d.planned != d.natural {
		limit = d.planned.index + 1
	}
	resumed, lowered := d.paused && !paused, limit > 0 && (d.limit == 0 || limit < d.limit)
	if paused == d.paused && limit == d.limit {
		return
	}
	d.paused, d.limit = paused, limit
	switch {
	case paused:
		s.target = nil
		s.pause()
	case resumed:
		s.begin(now)
	default:
		s.choose(now)
		if lowered && s.target != s.current {
			s.pause()
		}
	}
}

// within is the layer to serve instead of the one that is wanted.
func (d *shedding) within(want *layer) *layer {
	if d.limit > 0 && d.limit <= want.index {
		return want.track.layers[d.limit-1]
	}
	return want
}
