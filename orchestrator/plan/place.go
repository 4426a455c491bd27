package plan

import (
	"cmp"
	"slices"
)

// place gives homes to the groups. A group takes what it can on the nodes of
// the room that serve it about as well as any (accept), and what is left opens
// the nodes that serve the most of all that are left, again and again. Nodes
// that are in use to Policy.Fill are not filled further, under Regional and
// FanOut, while there are others.
func (p *planner) place(strategy Strategy) {
	f := filler{planner: p, share: strategy == Regional, least: [2]float64{-1, -1}}
	for _, g := range p.groups {
		if least := &f.least[rank(g.audioOnly)]; *least < 0 || g.needMbps < *least {
			*least = g.needMbps
		}
	}
	for i := range p.nodes[:p.field.Len()] {
		if p.nodes[i].state == open {
			f.candidates = append(f.candidates, int32(i))
		}
	}
	f.cover = make([]int, len(p.nodes))
	f.wins = make([]int, len(p.nodes))
	f.standbys()
	soft := p.hard()
	if strategy != Proximity {
		soft = min(soft, p.in.Policy.Fill)
		f.fill(soft)
	}
	if soft < p.hard() || strategy == Proximity {
		f.fill(p.hard())
	}
	f.limit = soft
	f.nearer()
}

// filler is one run of place.
type filler struct {
	*planner
	candidates []int32
	share      bool       // members of a region share some nodes
	limit      float64    // to which nodes are filled now
	cover      []int      // by node: members left that accept it
	wins       []int      // by node: members left that it serves best
	least      [2]float64 // the least need of a group, and of one that is audio only; -1 is no group
}

// standbys sends members whose node was lost to its standby.
func (f *filler) standbys() {
	for _, g := range f.groups {
		if g.standby != none && g.allows(g.standby) {
			f.assign(g, g.standby, f.room(g.standby, g.needMbps, g.audioOnly, f.hard()))
		}
	}
}

func (f *filler) fill(limit float64) {
	f.limit = limit
	clear(f.cover)
	clear(f.wins)
	for _, g := range f.groups {
		if g.left == 0 {
			continue
		}
		f.look(g)
		if f.share {
			f.spread(g)
		} else {
			f.join(g)
		}
	}
	if f.share {
		return // what is left has nowhere to go
	}
	for {
		for _, g := range f.groups {
			f.again(g)
		}
		n := f.mostWanted()
		if n == none {
			return
		}
		f.open(n)
	}
}

// again looks once more for a group whose best node is full by now: a node of
// the room may serve it about as well as what is left.
func (f *filler) again(g *group) {
	for g.left > 0 && g.best != none && f.room(g.best, g.needMbps, g.audioOnly, f.hard()) == 0 {
		f.look(g)
		f.join(g)
	}
}

// look finds the best node of a group that has room at all, and those that are
// as good for the room: within Policy.Gain of its round trip, and of about the
// same quality, history and price: the affinity that a room has to its nodes
// makes up for the difference.
func (f *filler) look(g *group) {
	f.count(g, -g.left)
	g.best, g.accept = none, g.accept[:0]
	var bestScore, bestKm float64
	for _, c := range f.candidates {
		i := int(c)
		if !g.allows(i) || f.room(i, g.needMbps, g.audioOnly, f.hard()) == 0 {
			continue
		}
		km := g.spot.km(&f.nodes[i].spot)
		score := f.field.Score(i, km)
		if g.best == none || f.field.Compare(i, score, g.best, bestScore) < 0 {
			g.best, bestScore, bestKm = i, score, km
		}
	}
	if g.best == none {
		return
	}
	within := bestKm + milliseconds(f.in.Policy.Gain)/msPerKm
	worth := f.field.Worth(g.best) - f.field.Affinity()
	for _, c := range f.candidates {
		i := int(c)
		if i == g.best || f.field.Worth(i) >= worth && f.field.Own(i) == f.field.Own(g.best) &&
			g.spot.km(&f.nodes[i].spot) < within && g.allows(i) {
			if f.room(i, g.needMbps, g.audioOnly, f.limit) > 0 {
				g.accept = append(g.accept, c)
			}
		}
	}
	f.count(g, g.left)
}

// count adds members of a group to those that are left.
func (f *filler) count(g *group, members int) {
	for _, i := range g.accept {
		f.cover[i] += members
	}
	if g.best != none {
		f.wins[g.best] += members
	}
}

// join puts members of a group on nodes that the room is on, the best first.
func (f *filler) join(g *group) {
	for g.left > 0 {
		i := f.bestFor(g, func(i int) bool { return f.nodes[i].members > 0 })
		if i == none {
			return
		}
		f.assign(g, i, f.room(i, g.needMbps, g.audioOnly, f.limit))
	}
}

// bestFor is the best node with room of those that a group accepts.
func (f *filler) bestFor(g *group, may func(int) bool) int {
	best, bestScore := none, 0.0
	for _, c := range g.accept {
		i := int(c)
		if !may(i) || f.room(i, g.needMbps, g.audioOnly, f.limit) == 0 {
			continue
		}
		score := f.field.Score(i, g.spot.km(&f.nodes[i].spot))
		if best == none || f.field.Compare(i, score, best, bestScore) < 0 {
			best, bestScore = i, score
		}
	}
	return best
}

// mostWanted is the node that takes the most of the members that are left; of
// several the one that is the best for more of them.
func (f *filler) mostWanted() int {
	best, bestTakes := none, 0
	for _, c := range f.candidates {
		i := int(c)
		if f.cover[i] <= 0 || f.cover[i] < bestTakes {
			continue
		}
		takes := min(f.cover[i], f.roomForAny(i))
		if takes == 0 || takes < bestTakes {
			continue
		}
		if takes > bestTakes || cmp.Or(cmp.Compare(f.wins[best], f.wins[i]),
			f.field.Compare(i, f.field.Merit(i), best, f.field.Merit(best))) < 0 {
			best, bestTakes = i, takes
		}
	}
	return best
}

// roomForAny is how many of the members that are left, at most, a node takes.
func (f *filler) roomForAny(i int) (most int) {
	for k, need := range f.least {
		if need >= 0 {
			most = max(most, f.room(i, need, k == 1, f.limit))
		}
	}
	return most
}

// open brings the room to node n, for the groups that accept it: first those
// that it serves best, then the nearest.
func (f *filler) open(n int) {
	type taker struct {
		g  *group
		km float64
	}
	var takers []taker
	for _, g := range f.groups {
		if _, accepted := slices.BinarySearch(g.accept, int32(n)); accepted && g.left > 0 {
			takers = append(takers, taker{g, g.spot.km(&f.nodes[n].spot)})
		}
	}
	slices.SortStableFunc(takers, func(a, b taker) int {
		return cmp.Or(cmp.Compare(rank(a.g.best != n), rank(b.g.best != n)), cmp.Compare(a.km, b.km))
	})
	for _, t := range takers {
		f.assign(t.g, n, f.room(n, t.g.needMbps, t.g.audioOnly, f.limit))
	}
	for _, t := range takers {
		if t.g.left > 0 { // what did not fit
			f.count(t.g, -t.g.left)
			t.g.accept = slices.DeleteFunc(t.g.accept, func(c int32) bool { return int(c) == n })
			f.count(t.g, t.g.left)
		}
	}
}

// spread puts the members of a group on the nodes of a region one after the
// other: on one more node while there are fewer than Policy.RegionNodes, else
// on the one with the fewest members.
func (f *filler) spread(g *group) {
	for g.left > 0 && g.best != none {
		region := f.nodes[g.best].spot.region
		used := 0
		for i := range f.nodes {
			if f.nodes[i].members > 0 && f.nodes[i].spot.region == region {
				used++
			}
		}
		n := none
		if used < f.in.Policy.RegionNodes {
			n = f.bestFor(g, func(i int) bool { return f.nodes[i].members == 0 && f.nodes[i].spot.region == region })
		}
		if n == none {
			n = f.emptiest(g)
		}
		if n == none {
			n = f.bestFor(g, func(int) bool { return true })
		}
		if n == none {
			return
		}
		f.assign(g, n, 1)
		if f.room(g.best, g.needMbps, g.audioOnly, f.hard()) == 0 {
			f.look(g)
		}
	}
}

// emptiest is the node of the room with the fewest members of those that a
// group accepts, and of several the best.
func (f *filler) emptiest(g *group) int {
	best, bestScore := none, 0.0
	for _, c := range g.accept {
		i := int(c)
		if f.nodes[i].members == 0 || f.room(i, g.needMbps, g.audioOnly, f.limit) == 0 {
			continue
		}
		score := f.field.Score(i, g.spot.km(&f.nodes[i].spot))
		if best == none || cmp.Or(cmp.Compare(f.nodes[i].members, f.nodes[best].members),
			f.field.Compare(i, score, best, bestScore)) < 0 {
			best, bestScore = i, score
		}
	}
	return best
}

// assign puts up to most members of a group on node n.
func (f *filler) assign(g *group, n, most int) {
	count := min(g.left, most)
	if count == 0 {
		return
	}
	f.count(g, -count)
	g.left -= count
	f.give(n, count, g.needMbps, false)
	if last := len(g.given) - 1; last >= 0 && g.given[last].node == n {
		g.given[last].count += count
		return
	}
	g.given = append(g.given, share{n, count})
}

// nearer lets members go to a better node of the room that still has room: the
// nodes were opened for many, and another may have come later. Members that
// share a region's nodes stay.
func (f *filler) nearer() {
	if f.share {
		return
	}
	for _, g := range f.groups {
		for k := range g.given {
			from := g.given[k].node
			score := f.field.Score(from, g.spot.km(&f.nodes[from].spot))
			to := f.bestFor(g, func(i int) bool {
				return f.nodes[i].members > 0 && i != from &&
					f.field.Compare(i, f.field.Score(i, g.spot.km(&f.nodes[i].spot)), from, score) < 0
			})
			if to == none || g.standby == from {
				continue
			}
			count := min(g.given[k].count, f.room(to, g.needMbps, g.audioOnly, f.limit))
			g.given[k].count -= count
			f.give(from, -count, g.needMbps, false)
			f.give(to, count, g.needMbps, false)
			g.given = append(g.given, share{to, count})
		}
	}
}
