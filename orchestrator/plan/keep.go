package plan

import (
	"cmp"
	"math"
	"slices"
)

// keep leaves members where they are or were to go to, and returns those that
// need a home, with the standby of the node that they lost.
func (p *planner) keep() (unplaced []int, standby map[int]int) {
	p.homes = make([]int, len(p.members))
	standby = map[int]int{}
	moving := p.relieved()
	for i, m := range p.members {
		p.homes[i] = none
		home, planned := p.numberOf(m.Home), p.numberOf(p.in.Current.Homes[m.ID])
		switch {
		case planned != none && planned != home && p.nodes[planned].state == open && p.suits(m, planned) &&
			p.room(planned, m.NeedMbps, m.AudioOnly, p.hard()) > 0:
			p.homes[i] = planned
			p.give(planned, 1, m.NeedMbps, false)
			continue
		case home != none && p.nodes[home].state <= shunned && p.suits(m, home) && !moving[i]:
			p.homes[i] = home
			p.give(home, 1, m.NeedMbps, true)
			continue
		}
		unplaced = append(unplaced, i)
		for _, n := range []int{planned, home} {
			if n == none || p.nodes[n].state != lost {
				continue
			}
			if s := p.numberOf(p.in.Current.Standby[p.nodes[n].id]); s != none {
				standby[i] = s
				break
			}
		}
	}
	return unplaced, standby
}

// suits reports whether the exceptions of a member let it on node i.
func (p *planner) suits(m *Member, i int) bool {
	id := p.nodes[i].id
	return (m.Pin.IsZero() || m.Pin == id) && !slices.Contains(m.Exclude, id)
}

// relieved are the members that are to leave nodes that are too full, at most
// Policy.MaxMoves: first those that only watch, until the node would be in use
// to Policy.Fill.
func (p *planner) relieved() map[int]bool {
	budget := p.in.Policy.MaxMoves
	if budget == 0 {
		return nil
	}
	on := map[int][]int{}
	for i, m := range p.members {
		if home := p.numberOf(m.Home); home != none && p.nodes[home].state == open && p.nodes[home].busy && m.Pin.IsZero() {
			on[home] = append(on[home], i)
		}
	}
	moving := map[int]bool{}
	for _, home := range keys(on) {
		here := on[home]
		slices.SortStableFunc(here, func(a, b int) int {
			return cmp.Compare(rank(p.members[a].Publishes), rank(p.members[b].Publishes))
		})
		for _, i := range here[:min(len(here), budget, p.excess(home, here))] {
			moving[i] = true
			budget--
		}
	}
	return moving
}

// excess is how many of the members that are on a node are too many.
func (p *planner) excess(home int, here []int) int {
	c, fill := p.field.Candidate(home), p.in.Policy.Fill
	count := 0
	if c.LoadFraction > p.hard() {
		count = int(math.Ceil(float64(len(here)) * (c.LoadFraction - fill) / c.LoadFraction))
	}
	if over := c.LoadMbps - c.CapacityMbps*fill; c.CapacityMbps > 0 && c.LoadMbps > c.CapacityMbps*p.hard() {
		for n, i := range here {
			if over <= 0 {
				break
			}
			over -= p.members[i].NeedMbps
			count = max(count, n+1)
		}
	}
	return count
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// keys returns the keys of m in order.
func keys[V any](m map[int]V) []int {
	all := make([]int, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
