package score

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// fall lets one node in forty, friends of the liars, drop to a quality at the
// start of an epoch and counts in how many epochs each is quarantined.
func fall(t *testing.T, seed uint64, liars, to float64, within []float64) (nodes float64) {
	w := newWorld(t, seed, 400, liars, DefaultRules())
	fallen := func(i int) bool { return i%40 == 39 }
	w.lie = func(w *world, p int, v float64) float64 {
		if fallen(p) {
			return good(w)
		}
		return v
	}
	for range 8 {
		w.step()
	}
	for i := range w.truth {
		if fallen(i) {
			w.truth[i] = to
		}
	}
	found := map[int]bool{}
	for e := range within {
		w.step()
		for i := range w.truth {
			found[i] = found[i] || fallen(i) && w.report.Scores[i].Standing == Quarantined
			if found[i] {
				within[e]++
			}
		}
	}
	return 10
}

func TestStanding_fallenNodesAreFound(t *testing.T) {
	count, full := runs(t, 8)
	if full {
		count *= 4
	}
	table := []string{fmt.Sprintf("node falls from %.2f, liars cover for it; %d runs, 10 of 400 nodes each: share quarantined by epoch 1 to 4", honest, count)}
	for _, c := range []struct {
		liars, to float64
		by        int
		least     float64
	}{{0, 0.5, 3, 0.99}, {0.05, 0.5, 3, 0.99}, {0.1, 0.5, 3, 0.99}, {0.2, 0.5, 4, 0.99}, {0.1, 0.7, 4, 0.99}} {
		within, nodes := make([]float64, 4), 0.0
		for seed := range count {
			nodes += fall(t, uint64(seed), c.liars, c.to, within)
		}
		row := fmt.Sprintf("to %.2f, liars %2.0f %%:", c.to, c.liars*100)
		for e := range within {
			row += fmt.Sprintf(" %.4f", within[e]/nodes)
		}
		table = append(table, row)
		// One miss more than the share is chance in a few nodes.
		if missed := nodes - within[c.by-1]; missed > (1-c.least)*nodes+1 {
			t.Errorf("fall to %.2f with %.0f %% liars: %.0f of %.0f are not found by epoch %d, want a share of %.2f found; seeds 0 to %d", c.to, c.liars*100, missed, nodes, c.by, c.least, count-1)
		}
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// upper is the one-sided 95 % limit of a rate of which n events were seen in
// trials (Poisson, exact).
func upper(n int, trials float64) float64 {
	low, high := 0.0, float64(n)+10+5*math.Sqrt(float64(n)+1)
	for range 60 {
		middle := (low + high) / 2
		term, sum := math.Exp(-middle), 0.0
		for k := 0; k <= n; k++ {
			sum += term
			term *= middle / float64(k+1)
		}
		if sum > 0.05 {
			low = middle
		} else {
			high = middle
		}
	}
	return high / trials
}

func TestStanding_honestNodesAreLeftAlone(t *testing.T) {
	worlds, full := runs(t, 1) // of 360 honest nodes and 70 epochs for each way to lie
	if full {
		worlds = (worlds + 9) / 10
	}
	low := func(*world) float64 { return 0.5 }
	under := func(*world) float64 { return 0.79 }
	table := []string{"way to lie, 10 % liars: node-epochs, alarms per node-epoch, false quarantines; of aimed at alone"}
	epochs, quarantines := 0.0, 0
	for _, a := range []struct {
		name string
		aim  func(w *world, i int) bool
		say  func(w *world) float64
	}{
		{"nobody lies", func(*world, int) bool { return false }, nil},
		{"all are bad", func(*world, int) bool { return true }, bad},
		{"all are just below suspicion's bar", func(*world, int) bool { return true }, under},
		{"5 % targets are 0.5", (*world).target, low},
		{"4 victims are 0.5", func(_ *world, i int) bool { return i%100 == 99 }, low},
		{"1 victim is 0.5", func(_ *world, i int) bool { return i == 399 }, low},
	} {
		var nodes, alarms, aimed float64
		taken, falseAimed := 0, 0
		for seed := range worlds {
			w := newWorld(t, uint64(1000+seed), 400, 0.1, DefaultRules())
			w.lie = func(w *world, p int, v float64) float64 {
				if !w.liar[p] && a.aim(w, p) {
					return a.say(w)
				}
				return v
			}
			before := make([]Standing, 400)
			for e := range 77 {
				w.step()
				for i, s := range w.report.Scores {
					if w.liar[i] || e < 7 {
						before[i] = s.Standing
						continue
					}
					nodes++
					hit := a.aim(w, i)
					if hit {
						aimed++
					}
					if s.Standing == Alarmed && before[i] != Alarmed {
						alarms++
					}
					if s.Standing == Quarantined && before[i] != Quarantined {
						if taken++; hit {
							falseAimed++
						}
					}
					before[i] = s.Standing
				}
			}
		}
		table = append(table, fmt.Sprintf("%-36s %7.0f %.5f %d; %6.0f %d", a.name, nodes, alarms/nodes, taken, aimed, falseAimed))
		epochs, quarantines = epochs+nodes, quarantines+taken
	}
	limit := upper(quarantines, epochs)
	t.Logf("\n%s\n%d false quarantines in %.0f node-epochs: upper 95 %% limit %.1e", strings.Join(table, "\n"), quarantines, epochs, limit)
	if limit > 5e-5 {
		t.Errorf("upper limit of false quarantine is %.1e per node-epoch, want 5e-5; seeds 1000 to %d", limit, 999+worlds)
	}
}
