package room

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc/orchestrator/plan"
)

// A link that gets worse than it was when the plan was made has the room ask for
// another plan, which goes round the link if there is a better way.
const (
	// badReports in a row of one end tell a link that got worse from a moment.
	badReports = 3
	// rerouteEvery is the least time between two plans for this reason.
	rerouteEvery = 10 * time.Second
	// A link is worse when it costs so much more than the plan took it to, and so
	// many milliseconds; lossCost is what one that loses all costs, as the plan
	// has it.
	worseFactor = 1.5
	worseBy     = 30
	lossCost    = 1000
)

// costMs is what a link costs a stream by the figures of one end.
func (f RelayFigures) costMs() float64 {
	return float64(f.RoundTrip)/float64(time.Millisecond) + lossCost*max(f.LossSent, f.LossReceived)
}

// reported takes the figures of one end of a link.
func (r *Room) reported(c RelayReported) {
	i := slices.IndexFunc(r.hops, func(h hop) bool { return h.link == c.Link && h.node == c.Node })
	if i < 0 {
		i = len(r.hops)
		// The plan went by the distance, and by nothing that is lost.
		r.hops = append(r.hops, hop{node: c.Node, link: c.Link, planned: RelayFigures{RoundTrip: c.Figures.RoundTrip}})
	}
	h := &r.hops[i]
	if h.planned.RoundTrip == 0 {
		h.planned.RoundTrip = c.Figures.RoundTrip
	}
	h.figures = c.Figures
	if cost, usual := c.Figures.costMs(), h.planned.costMs(); c.Figures.RoundTrip > 0 && cost > usual*worseFactor && cost > usual+worseBy {
		h.bad++
	} else {
		h.bad = 0
	}
	if h.bad >= badReports {
		r.reroute()
	}
}

// reroute asks for a plan because of links, now or as soon as it may.
func (r *Room) reroute() {
	next := r.reroutedAt.Add(rerouteEvery)
	switch {
	case r.reroutedAt.After(r.now):
		return // there will be one
	case r.reroutedAt.IsZero() || !r.now.Before(next):
		r.reroutedAt = r.now
		r.needPlan()
	default:
		r.reroutedAt = next
		r.planWithin(next.Sub(r.now))
	}
}

// watchFailing asks for a plan when two nodes that are to be linked can't be:
// nobody may come or go for long. While a plan is made, that waits for the next
// one.
func (r *Room) watchFailing() {
	if r.planning {
		return
	}
	failing := r.cascade.Failing()
	if slices.ContainsFunc(failing, func(pair plan.Link) bool {
		return !slices.Contains(r.failing, pair) && slices.Contains(r.state.Plan.Links, pair)
	}) {
		r.reroute()
	}
	r.failing = failing
}

// priced notes what links cost as the plan took them.
func (r *Room) priced() {
	for i := range r.hops {
		h := &r.hops[i]
		h.planned, h.bad = h.figures, 0
	}
}
