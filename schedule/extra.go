package schedule

// extras plans tests of nodes that score wants to look at again: an even share of
// those left in each slot, in the nodes that quality tests do not need, challenged by credible nodes that are not flagged and
// have not done so often; if there are none, by credible ones, then by those not
// flagged, then by anybody (spec T23).
func (d *draft) extras(quality int) {
	var chosen []int
	for i := range d.nodes {
		if e := d.nodes[i].extra; e > 0 && d.random.below(uint64(d.left())) < uint64(e) {
			chosen = append(chosen, i)
		}
	}
	d.random.shuffle(chosen)
	for _, p := range chosen {
		if d.busy[p] || d.due(p) || d.free() < 2*quality+2 {
			continue
		}
		if j, ok := d.judge(p); ok {
			d.take(planned{Extra, p, []int{j}, []uint32{d.rules.QualityKbps}, d.rank(p, j)})
		}
	}
}

// judge draws the challenger of an extra test.
func (d *draft) judge(p int) (int, bool) {
	spared := 2 * d.rules.PerRole
	credible := func(j int) bool {
		return d.agreed.Nodes[j].Credibility >= d.rules.Credible && !d.agreed.Nodes[j].Flagged
	}
	for _, fit := range []func(j int) bool{
		func(j int) bool { return credible(j) && d.nodes[j].duties < spared },
		credible,
		func(j int) bool { return !d.agreed.Nodes[j].Flagged },
		func(int) bool { return true },
	} {
		var may []int
		best := Forbidden
		for j := range d.nodes {
			if d.busy[j] || d.due(j) || !fit(j) {
				continue
			}
			switch r := d.rank(p, j); {
			case r < best:
				may, best = append(may[:0], j), r
			case r == best && r < Forbidden:
				may = append(may, j)
			}
		}
		if len(may) > 0 {
			return may[d.random.below(uint64(len(may)))], true
		}
	}
	return 0, false
}
