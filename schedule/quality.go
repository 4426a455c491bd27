package schedule

import "slices"

// tries of a draw before the nodes that may be drawn are looked at one by one.
const tries = 8

// maxChain bounds the provers that an exchange looks at, so that a plan of ten
// thousand nodes of one owner ends (spec T22).
const maxChain = 64

// match is a quality test while it is made.
type match struct {
	prover     int
	challenger int // -1 while there is none
	rank       Rank
}

// qualities draws provers, then a challenger for each, first for all of them
// without breaking anything, then for those left with one constraint after the
// other given up (spec T19 to T22).
func (d *draft) qualities(number int) {
	number = min(number, d.free()/2)
	urns := d.urns()
	matches := d.pressing(urns, number)
	number = max(number, min(len(matches)+d.waiting(urns[prover], prover), d.free()/2))
	for len(matches) < number && urns[prover].total > 0 {
		p := urns[prover].draw(d.random)
		urns[prover].remove(p)
		urns[challenger].remove(p)
		matches = append(matches, match{prover: p, challenger: -1})
	}
	for limit := None; limit < Forbidden; limit++ {
		for i := range matches {
			if matches[i].challenger < 0 && !d.draw(urns[challenger], &matches[i], limit) {
				d.exchange(urns[challenger], matches, i, limit)
			}
		}
	}
	for _, m := range matches {
		if m.challenger >= 0 {
			d.take(planned{Quality, m.prover, []int{m.challenger}, []uint32{d.rules.QualityKbps}, m.rank})
		}
	}
}

// waiting counts the nodes of an urn that cannot wait for a role.
func (d *draft) waiting(u *urn, role int) (n int) {
	for i, t := range u.tickets {
		if at, due := d.dueRole(i); due && at == role && t > 0 {
			n++
		}
	}
	return n
}

// pressing draws a prover for each node that cannot wait to be a challenger:
// provers who draw would pass it by for one with whom nothing is broken.
func (d *draft) pressing(urns [roles]*urn, number int) []match {
	matches := make([]match, 0, number)
	var challengers []int
	for j := range d.nodes {
		if role, due := d.dueRole(j); due && role == challenger && !d.busy[j] {
			challengers = append(challengers, j)
		}
	}
	d.random.shuffle(challengers)
	for _, j := range challengers {
		if len(matches) == number || urns[challenger].tickets[j] == 0 {
			continue // drawn as a prover meanwhile
		}
		urns[prover].remove(j)
		urns[challenger].remove(j)
		for limit := None; limit < Forbidden; limit++ {
			if p, ok := d.lot(urns[prover], j, limit); ok {
				urns[prover].remove(p)
				urns[challenger].remove(p)
				matches = append(matches, match{p, j, d.rank(p, j)})
				break
			}
		}
	}
	return matches
}

// urns hold the tickets of the nodes that are free, by role. A node that cannot
// wait has many in the role in which it lacks more; and where the tests left are
// no more than those that nodes lack, so have these.
func (d *draft) urns() (urns [roles]*urn) {
	for role := range urns {
		lacking := uint64(0)
		for i := range d.nodes {
			lacking += uint64(d.lacks(i, role))
		}
		scarce := d.goal-min(d.goal, d.made) <= lacking
		tickets := make([]uint64, len(d.nodes))
		for i := range tickets {
			if d.busy[i] {
				continue
			}
			tickets[i] = d.tickets(i, role)
			if at, due := d.dueRole(i); due && at == role || scarce && d.lacks(i, role) > 0 {
				tickets[i] *= forDue
			}
		}
		urns[role] = newUrn(tickets)
	}
	return urns
}

// draw gives a match a challenger that breaks no more than limit.
func (d *draft) draw(u *urn, m *match, limit Rank) bool {
	j, ok := d.lot(u, m.prover, limit)
	if ok {
		m.challenger, m.rank = j, d.rank(m.prover, j)
		u.remove(j)
	}
	return ok
}

// lot draws a node that breaks no more than limit together with i, and reports if
// there is one.
func (d *draft) lot(u *urn, i int, limit Rank) (int, bool) {
	if u.total == 0 {
		return 0, false
	}
	for range tries {
		if j := u.draw(d.random); d.rank(i, j) <= limit {
			return j, true
		}
	}
	return d.look(u, i, limit)
}

// look is lot by looking at every node: distributed alike, and it finds the last one.
func (d *draft) look(u *urn, i int, limit Rank) (int, bool) {
	var may []int
	var tickets []uint64
	for j, t := range u.tickets {
		if t > 0 && d.rank(i, j) <= limit {
			may, tickets = append(may, j), append(tickets, t)
		}
	}
	if len(may) == 0 {
		return 0, false
	}
	return may[newUrn(tickets).draw(d.random)], true
}

// exchange finds match i a challenger by giving other provers another one, if
// there is a way in which none of them breaks more than it did: an augmenting
// path, the shortest first. So as many provers as possible break nothing.
func (d *draft) exchange(u *urn, matches []match, i int, limit Rank) {
	type step struct{ match, from int }
	chain := []step{{i, -1}}
	seen := []int{i}
	for at := 0; at < len(chain); at++ {
		m := matches[chain[at].match]
		allowed := m.rank
		if at == 0 {
			allowed = limit
		} else if j, ok := d.look(u, m.prover, allowed); ok {
			// Everybody on the way takes the challenger of who comes after.
			u.remove(j)
			for ; at >= 0; at = chain[at].from {
				mover := &matches[chain[at].match]
				mover.rank = d.rank(mover.prover, j)
				mover.challenger, j = j, mover.challenger
			}
			return
		}
		for other := range matches {
			if len(chain) < maxChain && matches[other].challenger >= 0 && !slices.Contains(seen, other) && d.rank(m.prover, matches[other].challenger) <= allowed {
				chain = append(chain, step{other, at})
				seen = append(seen, other)
			}
		}
	}
}
