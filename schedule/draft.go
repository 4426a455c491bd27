package schedule

// draft is the plan of one slot while it is made.
type draft struct {
	*Course
	random *stream
	busy   []bool
	tests  []planned
}

// planned is a test by places of nodes.
type planned struct {
	kind        Kind
	prover      int
	challengers []int
	shares      []uint32 // kbit/s to each challenger
	rank        Rank
}

// fill plans the slot: extra tests first, since few may challenge in them, then
// capacity tests, both in what quality tests leave free, then those (spec T14).
func (d *draft) fill() {
	quality := d.number()
	d.extras(quality)
	d.capacities(quality)
	d.qualities(quality)
}

// number is how many quality tests the slot is to have: an even share of those
// that the epoch still has to have, rounded at random, and one for every node that
// cannot wait (spec T16).
func (d *draft) number() int {
	want := d.random.rounded(d.goal-min(d.goal, d.made), uint64(d.left()))
	var due [roles]uint64
	for i := range d.nodes {
		if role, ok := d.dueRole(i); ok {
			due[role]++
		}
	}
	return int(max(want, due[prover], due[challenger]))
}

// dueRole is the role in which a node cannot wait: the one in which it lacks more.
func (d *draft) dueRole(i int) (int, bool) {
	p, c := d.lacks(i, prover), d.lacks(i, challenger)
	if p+c == 0 || !d.due(i) {
		return 0, false
	}
	if c > p {
		return challenger, true
	}
	return prover, true
}

// take records a test and makes its nodes busy.
func (d *draft) take(t planned) {
	d.tests = append(d.tests, t)
	d.busy[t.prover] = true
	for _, j := range t.challengers {
		d.busy[j] = true
	}
}

// free counts the nodes that are not busy.
func (d *draft) free() int {
	n := 0
	for _, busy := range d.busy {
		if !busy {
			n++
		}
	}
	return n
}

// finish counts the tests of the slot and names their nodes and witnesses.
func (d *draft) finish(seed [32]byte) []Test {
	tests := make([]Test, 0, len(d.tests))
	for _, p := range d.tests {
		t := Test{Epoch: d.agreed.Epoch, Slot: d.slot, Kind: p.kind, Prover: d.id(p.prover), Shares: p.shares, Broken: p.rank}
		for i, j := range p.challengers {
			t.Challengers = append(t.Challengers, d.id(j))
			t.RateKbps += p.shares[i]
			d.count(p.kind, p.prover, j)
		}
		if p.kind == Capacity {
			d.nodes[p.prover].measure = false
		}
		t.identify(seed)
		t.Witnesses = Witnesses(d.agreed.Registries, t.ID, int(d.rules.Witnesses))
		tests = append(tests, t)
	}
	return tests
}

// count notes that two nodes are in a quality or extra test together. A capacity
// test counts as neither role: it says nothing about quality.
func (d *draft) count(kind Kind, p, c int) {
	switch kind {
	case Quality:
		d.nodes[p].done[prover]++
		d.nodes[c].done[challenger]++
		d.made++
	case Extra:
		d.nodes[p].extra--
		d.nodes[c].duties++
	case Capacity:
		return
	}
	d.nodes[p].ago[prover], d.nodes[c].ago[challenger] = 0, 0
	if d.rules.RepeatEpochs > 0 {
		d.recent[pairKey(p, c)] = struct{}{}
	}
}
