package score

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// world is a simulated network: nodes that are tested by others, some of whom
// lie. It is that of the table that the design gives: honest quality 0.93, noise
// of standard deviation 0.05 in each test, 3 % of tests spoiled by the path.
type world struct {
	t     testing.TB
	rand  *rand.Rand
	rules Rules
	tests int // per role and epoch

	truth []float64
	liar  []bool
	// lie is what a liar says of a prover whose quality it measured; nil lies never.
	lie func(w *world, prover int, measured float64) float64

	epoch  uint64
	book   Book
	report Report
}

const (
	honest  = 0.93
	noise   = 0.05
	spoiled = 0.03
)

// newWorld has liars as the first of its nodes.
func newWorld(t testing.TB, seed uint64, nodes int, liars float64, rules Rules) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 0x5c07e)), rules: rules, tests: 4,
		truth: make([]float64, nodes), liar: make([]bool, nodes),
	}
	for i := range nodes {
		w.truth[i], w.liar[i] = honest, float64(i) < liars*float64(nodes)
	}
	return w
}

func nodeID(i int) (id drtc.NodeID) {
	binary.BigEndian.PutUint32(id[16:], uint32(i)+1)
	return id
}

func (w *world) measure(prover, challenger int) econ.Wad {
	v := clip(w.truth[prover] + noise*w.rand.NormFloat64())
	if w.rand.Float64() < spoiled {
		v = 0.8 * w.rand.Float64()
	}
	if w.liar[challenger] && w.lie != nil {
		v = clip(w.lie(w, prover, v))
	}
	return econ.Wad(v * 1e18)
}

func clip(v float64) float64 { return max(0, min(1, v)) }

// step runs an epoch: each node is prover and challenger in so many tests, and
// those that the last report wants more of are tested by further credible ones.
func (w *world) step() {
	in := Input{Epoch: w.epoch, Nodes: make([]Node, len(w.truth))}
	for i := range in.Nodes {
		in.Nodes[i] = Node{ID: nodeID(i), Delegated: true}
	}
	add := func(prover, challenger int, further bool) {
		r := Result{Slot: uint32(len(in.Results)), Prover: nodeID(prover), Challenger: nodeID(challenger), Further: further, Quality: w.measure(prover, challenger)}
		binary.BigEndian.PutUint64(r.Test[:], uint64(len(in.Results)))
		in.Results = append(in.Results, r)
	}
	for range w.tests {
		circle := w.rand.Perm(len(w.truth))
		for i, p := range circle {
			add(p, circle[(i+1)%len(circle)], false)
		}
	}
	if len(w.report.Scores) > 0 {
		var weights []uint64
		for _, s := range w.report.Scores {
			weights = append(weights, uint64(s.Credibility))
		}
		for p, s := range w.report.Scores {
			for n := 0; n < s.Further; {
				if c := w.rand.IntN(len(w.truth)); c != p && weights[c] >= uint64(w.rules.Credible) {
					add(p, c, true)
					n++
				}
			}
		}
	}
	var err error
	if w.book, w.report, err = Advance(w.book, in, w.rules); err != nil {
		w.t.Fatal(err)
	}
	w.epoch++
}
