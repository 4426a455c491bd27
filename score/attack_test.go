package score

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/econ"
)

// Two rules to compare with: the plain median, and weights by distance alone.
func plainMedian() Rules {
	r := DefaultRules()
	r.Tolerance, r.Lean = 1000*econ.Whole, econ.Whole
	return r
}

func distanceAlone() Rules {
	r := DefaultRules()
	r.Tolerance, r.Lean = econ.Whole, econ.Whole
	return r
}

// attack is a way to lie and when.
type attack struct {
	name string
	from int // epoch of 7 from which on liars lie
	to   int // and until
	lie  func(w *world, prover int, measured float64) float64
}

// target says whether a node is one of the 5 % that some attacks aim at.
func (w *world) target(i int) bool { return !w.liar[i] && i%20 == 19 }

func good(w *world) float64 { return honest + noise*w.rand.NormFloat64() }
func bad(w *world) float64  { return 0.1 + noise*w.rand.NormFloat64() }

func attacks() []attack {
	boost := func(w *world, p int, v float64) float64 {
		if w.liar[p] {
			return good(w)
		}
		return v
	}
	badmouth := func(w *world, p int, _ float64) float64 {
		if w.liar[p] {
			return good(w)
		}
		return bad(w)
	}
	aimed := func(w *world, p int, v float64) float64 {
		switch {
		case w.liar[p]:
			return good(w)
		case w.target(p):
			return bad(w)
		}
		return v
	}
	all := []attack{
		{name: "nobody lies", to: 0, lie: boost},
		{name: "boost friends", to: 7, lie: boost},
		{name: "and badmouth all", to: 7, lie: badmouth},
		{name: "and badmouth 5 % targets", to: 7, lie: aimed},
	}
	for _, by := range []float64{0.02, 0.03, 0.05, 0.08, 0.12} {
		all = append(all, attack{name: fmt.Sprintf("all by %.2f, friends up", by), to: 7, lie: func(w *world, p int, v float64) float64 {
			if w.liar[p] {
				return v + by
			}
			return v - by
		}})
	}
	for _, by := range []float64{0.05, 0.08, 0.12} {
		all = append(all, attack{name: fmt.Sprintf("targets by %.2f, friends up", by), to: 7, lie: func(w *world, p int, v float64) float64 {
			switch {
			case w.liar[p]:
				return v + by
			case w.target(p):
				return v - by
			}
			return v
		}})
	}
	for _, last := range []int{1, 2, 3} {
		all = append(all, attack{name: fmt.Sprintf("honest, then badmouth all for %d", last), from: 7 - last, to: 7, lie: badmouth})
	}
	all = append(all,
		attack{name: "honest, then targets for 2", from: 5, to: 7, lie: aimed},
		attack{name: "badmouth all for 3, then honest", from: 0, to: 3, lie: badmouth},
	)
	return all
}

// outcome is the mean of what an attack moved, in parts of one.
type outcome struct{ shift, targets, gain float64 }

// run gives an attack a window of seven epochs. Colluders are truly 0.40.
func (a attack) run(t *testing.T, seed uint64, f float64, r Rules) outcome {
	w := newWorld(t, seed, 400, f, r)
	for i := range w.truth {
		if w.liar[i] {
			w.truth[i] = 0.4
		}
	}
	for e := range 7 {
		if w.lie = nil; e >= a.from && e < a.to {
			w.lie = a.lie
		}
		w.step()
	}
	var o outcome
	var honests, targets, liars float64
	for i, s := range w.report.Scores {
		off := s.Quality.Float() - w.truth[i]
		switch {
		case w.liar[i]:
			o.gain += off
			liars++
		default:
			o.shift += off
			honests++
			if w.target(i) {
				o.targets += off
				targets++
			}
		}
	}
	return outcome{o.shift / honests, o.targets / targets, o.gain / max(1, liars)}
}

// runs is the number of seeds: few in CI, as many as DRTC_SCORE_RUNS says in the
// full measurement (make scores), which also compares rules.
func runs(t *testing.T, few int) (count int, full bool) {
	t.Helper()
	s := os.Getenv("DRTC_SCORE_RUNS")
	if s == "" {
		return few, false
	}
	count, err := strconv.Atoi(s)
	if err != nil || count < 1 {
		t.Fatalf("DRTC_SCORE_RUNS is %q, want a number above 0", s)
	}
	return count, true
}

func TestQuality_whatLiarsMove(t *testing.T) {
	count, full := runs(t, 2)
	table := []string{fmt.Sprintf("%d runs of 400 nodes, 7 epochs of 4 tests: shift of honest nodes / of targets / gain of colluders", count)}
	type named struct {
		name  string
		rules Rules
	}
	rules := []named{{"rules", DefaultRules()}}
	if full {
		rules = append(rules, named{"distance alone", distanceAlone()}, named{"plain median", plainMedian()})
	}
	for _, share := range []struct{ f, shift, gain float64 }{{0.2, 0.01, 0.03}, {0.3, 0.02, 0.05}} {
		for _, a := range attacks() {
			row := fmt.Sprintf("f=%.0f%% %-32s", share.f*100, a.name)
			for _, r := range rules {
				var sum outcome
				for seed := range count {
					o := a.run(t, uint64(seed), share.f, r.rules)
					sum.shift += o.shift / float64(count)
					sum.targets += o.targets / float64(count)
					sum.gain += o.gain / float64(count)
				}
				row += fmt.Sprintf(" | %s %+.3f %+.3f %+.3f", r.name, sum.shift, sum.targets, sum.gain)
				if r.name == "rules" && (-sum.shift > share.shift || sum.gain > share.gain) {
					t.Errorf("%s at %.0f %%: honest nodes shifted by %+.4f, colluders gained %+.4f over seeds 0 to %d; want at most %.2f and %.2f",
						a.name, share.f*100, sum.shift, sum.gain, count-1, share.shift, share.gain)
				}
			}
			table = append(table, row)
		}
	}
	t.Log("\n" + strings.Join(table, "\n"))
}
