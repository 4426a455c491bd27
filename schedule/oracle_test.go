package schedule_test

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/schedule"
)

// oracle is the rules of quality tests (T16 to T22) as plainly as they can be
// written: floating-point races instead of urns, pairs that are drawn and thrown
// away until one may stand, no exchanges, and another source of randomness. It
// does not agree with a plan test by test; it has the same distribution.
type oracle struct {
	rules  schedule.Rules
	nodes  []schedule.Node
	r      *rand.Rand
	recent [][]int // epoch + 1 of the last test of a pair
	ago    [][2]int
	owed   [][2]int
	epoch  int

	target, done [][2]int
	made         int
}

func newOracle(rules schedule.Rules, nodes []schedule.Node, r *rand.Rand) *oracle {
	o := &oracle{rules: rules, nodes: nodes, r: r, ago: make([][2]int, len(nodes)), owed: make([][2]int, len(nodes))}
	for i := range nodes {
		o.recent = append(o.recent, make([]int, len(nodes)))
		o.ago[i] = [2]int{int(rules.Slots), int(rules.Slots)}
	}
	return o
}

// run plans an epoch and reports each test.
func (o *oracle) run(met func(p, c int)) {
	k := int(o.rules.PerRole)
	o.target, o.done, o.made = make([][2]int, len(o.nodes)), make([][2]int, len(o.nodes)), 0
	goal := 0
	for i := range o.nodes {
		o.target[i] = [2]int{k + o.owed[i][0], k + o.owed[i][1]}
		goal += o.target[i][0]
	}
	for slot := range int(o.rules.Slots) {
		for _, pair := range o.slot(slot, goal) {
			met(pair[0], pair[1])
		}
	}
	for i := range o.nodes {
		for role := range 2 {
			o.owed[i][role] = max(-1, min(1, o.target[i][role]-o.done[i][role]))
		}
	}
	o.epoch++
}

func (o *oracle) slot(slot, goal int) (pairs [][2]int) {
	left := int(o.rules.Slots) - slot
	rest := max(0, goal-o.made)
	number := rest / left
	if o.r.Float64() < float64(rest%left)/float64(left) {
		number++
	}
	due := make([]int, len(o.nodes)) // role + 1
	var waiting [2]int
	var lacking [2]int
	for i := range o.nodes {
		p, c := o.lacks(i, 0), o.lacks(i, 1)
		lacking[0], lacking[1] = lacking[0]+p, lacking[1]+c
		if p+c > 0 && p+c+2 >= left {
			due[i] = 1
			if c > p {
				due[i] = 2
			}
			waiting[due[i]-1]++
		}
	}
	number = min(max(number, waiting[0], waiting[1]), len(o.nodes)/2)
	var weight [2][]float64
	for role := range 2 {
		weight[role] = make([]float64, len(o.nodes))
		for i := range o.nodes {
			weight[role][i] = o.weight(i, role)
			if due[i] == role+1 || rest <= lacking[role] && o.lacks(i, role) > 0 {
				weight[role][i] *= 1 << 16
			}
		}
	}
	busy := make([]bool, len(o.nodes))
	for _, c := range o.r.Perm(len(o.nodes)) {
		if due[c] == 2 && !busy[c] && len(pairs) < number {
			busy[c] = true
			if p, ok := o.partner(c, weight[0], busy); ok {
				busy[p] = true
				pairs = append(pairs, [2]int{p, c})
			}
		}
	}
	urgent := 0
	for i := range due {
		if due[i] == 1 && !busy[i] && weight[0][i] > 0 {
			urgent++
		}
	}
	number = max(number, min(len(pairs)+urgent, len(o.nodes)/2))
	var provers []int
	for len(pairs)+len(provers) < number {
		p, ok := o.race(weight[0], busy)
		if !ok {
			break
		}
		busy[p] = true
		provers = append(provers, p)
	}
	for _, p := range provers {
		if c, ok := o.partner(p, weight[1], busy); ok {
			busy[c] = true
			pairs = append(pairs, [2]int{p, c})
		}
	}
	for i := range o.ago {
		o.ago[i] = [2]int{min(o.ago[i][0]+1, int(o.rules.Slots)), min(o.ago[i][1]+1, int(o.rules.Slots))}
	}
	for _, pair := range pairs {
		p, c := pair[0], pair[1]
		o.made++
		o.done[p][0]++
		o.done[c][1]++
		o.ago[p][0], o.ago[c][1] = 1, 1
		o.recent[p][c], o.recent[c][p] = o.epoch+1, o.epoch+1
	}
	return pairs
}

// partner races all who are free and throws away who may not meet i, a hundred
// times for each constraint that could be given up.
func (o *oracle) partner(i int, weight []float64, busy []bool) (int, bool) {
	for limit := range 4 {
		for range 100 {
			j, ok := o.race(weight, busy)
			if !ok {
				return 0, false
			}
			if o.breaks(i, j) <= limit {
				return j, true
			}
		}
	}
	return 0, false
}

// race gives every free node an exponential time of rate weight; the first wins.
func (o *oracle) race(weight []float64, busy []bool) (first int, found bool) {
	best := math.Inf(1)
	for i, w := range weight {
		if w > 0 && !busy[i] {
			if at := o.r.ExpFloat64() / w; at < best {
				best, first, found = at, i, true
			}
		}
	}
	return first, found
}

func (o *oracle) breaks(a, b int) int {
	x, y := o.nodes[a], o.nodes[b]
	prefix := func(n schedule.Node) (nets []drtc.NodeID) {
		for _, addr := range n.Addresses {
			p, _ := addr.Prefix(24)
			four := p.Addr().As4()
			nets = append(nets, drtc.NodeID(append(four[:], make([]byte, 16)...)))
		}
		return nets
	}
	switch {
	case a == b || x.Owner == y.Owner || x.Pool == y.Pool && x.Pool != [20]byte{}:
		return 4
	case slices.ContainsFunc(prefix(x), func(n drtc.NodeID) bool { return slices.Contains(prefix(y), n) }):
		return 3
	case x.AS == y.AS:
		return 2
	case o.recent[a][b] > 0 && o.epoch+1-o.recent[a][b] < int(o.rules.RepeatEpochs):
		return 1
	}
	return 0
}

func (o *oracle) lacks(i, role int) int {
	return max(0, int(o.rules.PerRole)-1-o.done[i][role])
}

func (o *oracle) weight(i, role int) float64 {
	w := 1 + 2*float64(o.ago[i][role])/float64(o.rules.Slots)
	if role == 0 && o.nodes[i].Results < o.rules.FewResults {
		w += 2
	}
	switch need := o.target[i][role] - o.done[i][role]; {
	case o.done[i][role] > int(o.rules.PerRole):
		return 0
	case need <= 0:
		return w
	default:
		return 32 * float64(need) * w
	}
}
