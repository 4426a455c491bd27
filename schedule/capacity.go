package schedule

// capacities plans tests of declared rates: an even share of those left in each
// slot, in the nodes that quality tests do not need (spec T24). Their challengers
// belong to owners and pools that differ, so that nobody alone says what a node
// can carry.
func (d *draft) capacities(quality int) {
	var waiting []int
	for i := range d.nodes {
		if d.nodes[i].measure && !d.busy[i] && !d.due(i) {
			waiting = append(waiting, i)
		}
	}
	number := int(d.random.rounded(uint64(len(waiting)), uint64(d.left())))
	if number == 0 {
		return
	}
	room := d.free() - 2*quality
	d.random.shuffle(waiting)
	for _, p := range waiting[:number] {
		if d.busy[p] {
			continue
		}
		group, shares := d.group(p, room-1)
		if len(group) < min(2, len(d.nodes)-1) {
			continue
		}
		room -= 1 + len(group)
		t := planned{kind: Capacity, prover: p, challengers: group, shares: shares}
		for _, j := range group {
			t.rank = max(t.rank, d.apart(p, j))
		}
		d.take(t)
	}
}

// group draws challengers until their shares make up the declared rate, or there
// are no more: those in other networks and systems first. A share is what the
// challenger is believed to take, at most half of the rate.
func (d *draft) group(p, room int) (group []int, shares []uint32) {
	rest := 1000 * d.agreed.Nodes[p].DeclaredMbps
	half := (rest + 1) / 2
	most := min(room, int(d.rules.MaxChallengers))
	for limit := None; limit < Forbidden && rest > 0 && len(group) < most; limit++ {
		var may []int
		for j := range d.nodes {
			if !d.busy[j] && !d.due(j) && !d.agreed.Nodes[j].Flagged && d.apart(p, j) == limit {
				may = append(may, j)
			}
		}
		d.random.shuffle(may)
		for _, j := range may {
			if rest == 0 || len(group) >= most {
				break
			}
			if share := min(rest, half, 1000*d.carries(j)); share > 0 && d.stranger(group, j) {
				group, shares, rest = append(group, j), append(shares, share), rest-share
			}
		}
	}
	return group, shares
}

// stranger reports whether j shares owner and pool with nobody in the group.
func (d *draft) stranger(group []int, j int) bool {
	for _, g := range group {
		if d.apart(g, j) == Forbidden {
			return false
		}
	}
	return true
}

// carries is the rate in Mbit/s that a challenger is believed to take.
func (d *draft) carries(j int) uint32 {
	n := &d.agreed.Nodes[j]
	return max(n.ProvenMbps, min(n.DeclaredMbps, d.rules.TrustedMbps))
}
