package sim

import (
	"math"
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// node is a Media Node, in the network or outside of it.
type node struct {
	chance    stream
	active    bool
	fixedCost float64 // USD a day
	costPerGB float64
	quality   float64 // where V goes back to
	wander    float64 // how far it is from there
	uptime    float64 // A
	capacity  float64 // its share of demand, beside others
	cell      int
	history   float64 // H, location L and coverage C are those of the week
	location  float64
	coverage  float64
	supplied  float64 // bytes, since it entered
	income    float64 // USD of the last four weeks, decaying
	keys      uint64
	gb        float64 // of the day
	v         float64 // of the day
	reward    float64 // wei, of the day
	losing    int     // weeks in a row
}

// network is the nodes with the places that they are in.
type network struct {
	scenario *Scenario
	seed     uint64
	nodes    []node
	demand   []float64 // of cells, shares of one
	active   int
}

func newNetwork(s *Scenario, seed uint64) *network {
	n := &network{scenario: s, seed: seed, demand: make([]float64, s.Nodes.Cells)}
	total := 0.0
	for i := range n.demand { // a few places have much more demand than others
		n.demand[i] = 1 / math.Sqrt(float64(i+10))
		total += n.demand[i]
	}
	for i := range n.demand {
		n.demand[i] /= total
	}
	n.grow(s.Nodes.Count)
	return n
}

// grow adds nodes that take part at once.
func (n *network) grow(count int) {
	s := n.scenario
	for range count {
		id := uint64(len(n.nodes))
		start := newStream(n.seed, ofNodeStart, id)
		n.nodes = append(n.nodes, node{
			chance: newStream(n.seed, ofNode, id), active: true,
			fixedCost: s.Nodes.FixedCost / 30 * math.Exp(0.3*start.normal()),
			costPerGB: s.Nodes.CostPerGB * math.Exp(0.3*start.normal()),
			quality:   start.between(0.72, 0.98), uptime: start.between(0.93, 0.999),
			capacity: math.Exp(0.5 * start.normal()), cell: start.below(s.Nodes.Cells),
		})
	}
	n.active += count
}

// week lets nodes come and go and renews what is ranked among all.
func (n *network) week(day int) {
	if day > 0 {
		n.enterAndLeave()
	}
	occupied := make([]int, n.scenario.Nodes.Cells)
	order := make([]int, 0, len(n.nodes))
	for i := range n.nodes {
		if n.nodes[i].active {
			occupied[n.nodes[i].cell]++
			order = append(order, i)
		}
	}
	sparsest, reference := math.MaxInt, make([]float64, 0, len(occupied))
	for c, count := range occupied {
		if count > 0 {
			sparsest = min(sparsest, count)
		}
		reference = append(reference, n.demand[c])
	}
	slices.Sort(reference)
	top := reference[(95*len(reference)+99)/100-1]
	slices.SortFunc(order, func(a, b int) int {
		switch x, y := n.nodes[a].supplied, n.nodes[b].supplied; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return a - b
	})
	for rank, i := range order {
		node := &n.nodes[i]
		node.history = max((float64(rank)+0.5)/float64(len(order)), econ.DefaultParameters().MinHistory.Float())
		node.location = min(1, n.demand[node.cell]/top)
		node.coverage = float64(sparsest) / float64(occupied[node.cell])
	}
}

// enterAndLeave: a node leaves that has lost money for eight weeks, and comes
// back by chance while those that stayed make twice what they pay.
func (n *network) enterAndLeave() {
	income, cost := 0.0, 0.0
	for i := range n.nodes {
		if node := &n.nodes[i]; node.active {
			income += node.income
			cost += 28 * node.fixedCost
		}
	}
	inviting := income > 2*cost
	for i := range n.nodes {
		node := &n.nodes[i]
		u := node.chance.uniform()
		switch {
		case node.active && node.income < 0:
			if node.losing++; node.losing >= 8 && n.active > 1 {
				node.active, node.losing = false, 0
				n.active--
			}
		case node.active:
			node.losing = 0
		case inviting && u < 0.05:
			node.active, node.income, node.supplied = true, 0, 0
			n.active++
		}
	}
}

// serve divides the day's traffic, draws each node's quality and gives the sum
// of quality factors weighted by traffic.
func (n *network) serve(gb float64) {
	share := 0.0
	for i := range n.nodes {
		if node := &n.nodes[i]; node.active {
			node.wander = 0.9*node.wander + n.scenario.Nodes.QualityNoise*node.chance.normal()
			node.v = min(max(node.quality+node.wander, 0), 1)
			share += node.capacity * node.v
		}
	}
	for i := range n.nodes {
		node := &n.nodes[i]
		node.gb, node.reward = 0, 0
		if node.active && share > 0 {
			node.gb = gb * node.capacity * node.v / share
			node.supplied += node.gb
		}
	}
}

// means are those of the active nodes, for the weights and the threshold.
func (n *network) means() (econ.Means, econ.Wad) {
	var a, h, l, c, v, gb float64
	for i := range n.nodes {
		if node := &n.nodes[i]; node.active {
			a, h, l, c = a+node.uptime, h+node.history, l+node.location, c+node.coverage
			v, gb = v+node.v*node.gb, gb+node.gb
		}
	}
	count := float64(n.active)
	if gb > 0 {
		v /= gb
	}
	return econ.Means{Availability: wad(a / count), History: wad(h / count), Location: wad(l / count), Coverage: wad(c / count)}, wad(v)
}

func wad(f float64) econ.Wad { return econ.Wad(min(max(f, 0), 1) * float64(econ.One)) }

// targets of the means: with all of them met the weights stay.
func targets() econ.Means {
	return econ.Means{Availability: wad(0.96), History: wad(0.625), Location: wad(0.45), Coverage: wad(0.7)}
}

// application buys credits and consumes them.
type application struct {
	chance stream
	share  float64
	level  float64 // logarithm of its demand beside its share
}

func newApplications(s *Scenario, seed uint64) []application {
	apps := make([]application, s.Demand.Applications)
	total := 0.0
	for i := range apps {
		apps[i] = application{chance: newStream(seed, ofApplication, uint64(i)), share: 1 / float64(i+1)}
		total += apps[i].share
	}
	for i := range apps {
		apps[i].share /= total
	}
	return apps
}

// consume is the GB of a day, of all together.
func (a *application) consume(s *Scenario, total float64) float64 {
	a.level = 0.95*a.level + s.Demand.Noise*a.chance.normal()
	return total * a.share * math.Exp(a.level)
}

// demandOn is what all applications consume on a day, but for chance.
func (s *Scenario) demandOn(day int) float64 {
	d := s.Demand.GBPerDay * math.Pow(1+s.Demand.Growth, float64(day)/365)
	for _, e := range s.Events {
		if e.Kind == DemandEvent && day >= e.Day && (e.Until == 0 || day < e.Until) {
			d *= e.Factor
		}
	}
	return d
}

// holder owns keys and has them all at one node.
type holder struct {
	chance stream
	node   int
	keys   uint64
}

// delegate gives each holder a node at first, and later moves a few of them to
// the node that paid its keys best.
func (n *network) delegate(holders []holder, first bool) {
	best, most := 0, -1.0
	for i := range n.nodes {
		if node := &n.nodes[i]; node.active && node.income > most*float64(node.keys+1) {
			best, most = i, node.income/float64(node.keys+1)
		}
	}
	for i := range holders {
		h := &holders[i]
		to := h.node
		switch u := h.chance.uniform(); {
		case first:
			to = min(int(u*float64(len(n.nodes))), len(n.nodes)-1)
		case u < 0.02 || !n.nodes[h.node].active && u < 0.5:
			to = best
		}
		if !first {
			n.nodes[h.node].keys -= h.keys
		}
		h.node = to
		n.nodes[to].keys += h.keys
	}
}
