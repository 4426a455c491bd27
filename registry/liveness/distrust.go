package liveness

import (
	"slices"
	"time"
)

// A prober whose own line is broken sees everybody else die (Lifeguard's local
// health). It looks at the nodes that it does not yet call down: if many of them
// missed their last dial, it makes no votes until they answer. Nodes that it
// called down long before keep their votes and count neither way.

// tally adds w to the counts, or takes it off before it changes.
func (p *Prober) tally(w *watched, n int) {
	switch {
	case w.cast:
		p.voted += n
	case w.missed:
		p.missing += n
	}
}

// reconsider decides whether to distrust, after anything was counted.
func (p *Prober) reconsider(now time.Time) {
	share := float64(p.missing) / float64(max(1, len(p.nodes)-p.voted))
	switch {
	case !p.distrust && (p.isolated || p.missing > p.config.DistrustNodes && share > p.config.Distrust):
		p.distrust = true
		p.withhold(now)
	case p.distrust && !p.isolated && (p.missing <= p.config.DistrustNodes || share <= p.config.Distrust/2):
		p.distrust = false
		p.release(now)
	}
}

// withhold takes back the young votes: they may be the first of the same.
func (p *Prober) withhold(now time.Time) {
	for _, w := range p.nodes {
		if w.cast && now.Sub(w.voted) < p.config.Reconsider {
			p.tally(w, -1)
			w.cast = false
			p.dirty(w)
			p.tally(w, 1)
		}
	}
	p.asks = slices.DeleteFunc(p.asks, func(w *watched) bool { return !w.cast })
}

// release forgets the votes that were withheld: they rest on dials of a line that
// was broken, and nodes that live may be among them. They are dialled again, and
// the next misses are counted after a first one.
func (p *Prober) release(now time.Time) {
	for _, w := range p.nodes {
		if w.vote != none && !w.cast {
			w.vote, w.misses = none, min(w.misses, 1)
			p.lookNow(now, w)
		}
	}
}
