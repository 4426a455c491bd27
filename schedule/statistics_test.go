package schedule_test

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/schedule"
)

var (
	statisticSeeds = flag.Int("statistics", 6, "seeds of TestStatistics")
	recordOracle   = flag.Bool("record-oracle", false, "TestStatistics runs the oracle over all of its seeds and writes testdata/oracle.json")
)

const (
	statisticNodes  = 200
	statisticEpochs = 30
	oracleFile      = "testdata/oracle.json"
)

// counts of one seed: how many others each node met, and how often each pair that
// may meet did.
type counts struct{ partners, pairs []int }

// summary of counts: numbers in which two seeds can be compared.
func (c counts) summary() map[string]float64 {
	s := map[string]float64{}
	for _, n := range c.partners {
		s["partners, mean"] += float64(n) / float64(len(c.partners))
	}
	for _, n := range c.partners {
		d := float64(n) - s["partners, mean"]
		s["partners, deviation"] += d * d / float64(len(c.partners))
	}
	s["partners, deviation"] = math.Sqrt(s["partners, deviation"])
	s["partners, least"] = float64(slices.Min(c.partners))
	s["partners, most"] = float64(slices.Max(c.partners))
	for met, name := range []string{"pairs that never met", "pairs that met once", "pairs that met twice", "pairs that met 3 times", "pairs that met 4 times"} {
		n := 0
		for _, times := range c.pairs {
			if times == met {
				n++
			}
		}
		s[name] = float64(n) / float64(len(c.pairs))
	}
	return s
}

// tally makes counts of a matrix of meetings; pairs that may never meet are left out.
func tally(met [][]int, may func(a, b int) bool) (c counts) {
	for a := range met {
		partners := 0
		for b, n := range met[a] {
			if n > 0 {
				partners++
			}
			if a < b && may(a, b) {
				c.pairs = append(c.pairs, n)
			}
		}
		c.partners = append(c.partners, partners)
	}
	return c
}

func square(n int) [][]int {
	m := make([][]int, n)
	for i := range m {
		m[i] = make([]int, n)
	}
	return m
}

func statisticWorld(seed uint64) (schedule.Rules, []schedule.Node) {
	rules := schedule.DefaultRules(genesis)
	rules.CapacityEpochs = 0
	return rules, town(statisticNodes, rand.New(rand.NewPCG(seed, 6)))
}

func mayMeet(nodes []schedule.Node) func(a, b int) bool {
	return func(a, b int) bool {
		return nodes[a].Owner != nodes[b].Owner && (nodes[a].Pool != nodes[b].Pool || nodes[a].Pool == [20]byte{})
	}
}

// plannedCounts are those of the plan; it fails if a rule is broken on the way.
func plannedCounts(t *testing.T, seed uint64) counts {
	rules, nodes := statisticWorld(seed)
	agreed := schedule.Agreed{Nodes: nodes, Registries: registries(5)}
	at := map[drtc.NodeID]int{}
	for i, n := range nodes {
		at[n.ID] = i
	}
	met := square(statisticNodes)
	for range statisticEpochs {
		tests := epoch(t, rules, agreed, source(seed))
		checkSlots(t, agreed, tests)
		roles := perRole(tests)
		for _, n := range nodes {
			for role, got := range roles[n.ID] {
				if got < 3 || got > 5 {
					t.Fatalf("seed %d, epoch %d: %d tests in role %d, want 4 give or take 1", seed, agreed.Epoch, got, role)
				}
			}
		}
		for _, test := range tests {
			a, b := at[test.Prover], at[test.Challengers[0]]
			met[a][b]++
			met[b][a]++
		}
		var err error
		if agreed, err = rules.Carry(agreed, tests); err != nil {
			t.Fatal(err)
		}
	}
	return tally(met, mayMeet(nodes))
}

func oracleCounts(seed uint64) counts {
	rules, nodes := statisticWorld(seed)
	o := newOracle(rules, nodes, rand.New(rand.NewPCG(seed, 7)))
	met := square(statisticNodes)
	for range statisticEpochs {
		o.run(func(a, b int) { met[a][b]++; met[b][a]++ })
	}
	return tally(met, mayMeet(nodes))
}

// interval is from the 0.1 to the 99.9 % quantile.
type interval struct{ Low, High float64 }

func intervalOf(values []float64) interval {
	slices.Sort(values)
	out := len(values) / 1000
	return interval{values[out], values[len(values)-1-out]}
}

func (i interval) holds(v float64) bool { return v >= i.Low && v <= i.High }

// recorded is what the oracle gave.
type recorded struct {
	Seeds    int
	Partners interval            // of a node
	Pairs    interval            // of a pair
	Summary  map[string]interval // of a seed
}

// series collects counts of many seeds.
type series struct {
	partners, pairs map[int]int // histograms
	summary         map[string][]float64
}

func newSeries() *series {
	return &series{partners: map[int]int{}, pairs: map[int]int{}, summary: map[string][]float64{}}
}

func (s *series) add(c counts) {
	for _, n := range c.partners {
		s.partners[n]++
	}
	for _, n := range c.pairs {
		s.pairs[n]++
	}
	for name, v := range c.summary() {
		s.summary[name] = append(s.summary[name], v)
	}
}

// outside is the share of a histogram beyond an interval.
func outside(h map[int]int, i interval) float64 {
	out, all := 0, 0
	for v, n := range h {
		if all += n; !i.holds(float64(v)) {
			out += n
		}
	}
	return float64(out) / float64(all)
}

// middle is the interval of a histogram that leaves out at most a thousandth at
// each end.
func middle(h map[int]int) interval {
	var values []int
	all := 0
	for v, n := range h {
		values, all = append(values, v), all+n
	}
	slices.Sort(values)
	end := func(values []int) float64 {
		sum := 0
		for _, v := range values {
			if sum += h[v]; sum > all/1000 {
				return float64(v)
			}
		}
		panic("an empty histogram")
	}
	low := end(values)
	slices.Reverse(values)
	return interval{low, end(values)}
}

// Counts of partners and of pairs over 30 epochs of 200 nodes lie where those of a
// naive rejection sampler with the same rules lie (oracle). The intervals come from
// 500 seeds of it; make schedule-statistics runs the plan over 500 too.
func TestStatistics_partnersAndPairsAreThoseOfRejectionSampling(t *testing.T) {
	if *recordOracle {
		writeOracle(t)
	}
	text, err := os.ReadFile(oracleFile)
	if err != nil {
		t.Fatal(err)
	}
	var want recorded
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	plan, check := newSeries(), newSeries()
	for i := range *statisticSeeds {
		plan.add(plannedCounts(t, uint64(10_000+i)))
	}
	for i := range min(2, *statisticSeeds) { // the file is of this oracle
		check.add(oracleCounts(uint64(20_000 + i)))
	}
	for name, s := range map[string]*series{"plan": plan, "oracle": check} {
		for what, share := range map[string]float64{"partners": outside(s.partners, want.Partners), "pairs": outside(s.pairs, want.Pairs)} {
			// By its making an interval leaves out up to 0.2 %; a share of few seeds varies.
			if share > 0.002+0.006/math.Sqrt(float64(len(s.summary["partners, mean"]))) {
				t.Errorf("%s: %.3f %% of the counts of %s are outside the oracle's 0.1 to 99.9 %%", name, 100*share, what)
			} else {
				t.Logf("%s: %.4f %% of the counts of %s are outside the oracle's 0.1 to 99.9 %%", name, 100*share, what)
			}
		}
		for what, values := range s.summary {
			out := 0
			sum := 0.0
			for _, v := range values {
				if sum += v; !want.Summary[what].holds(v) {
					out++
				}
			}
			// One in 500 is outside by chance.
			if limit := 1 + len(values)/60; out > limit {
				t.Errorf("%s: %s is outside %v in %d of %d seeds, want at most %d", name, what, want.Summary[what], out, len(values), limit)
			}
			t.Logf("%s: %s: mean %.4f, outside %v in %d of %d seeds", name, what, sum/float64(len(values)), want.Summary[what], out, len(values))
		}
	}
}

func writeOracle(t *testing.T) {
	s := newSeries()
	for i := range *statisticSeeds {
		s.add(oracleCounts(uint64(30_000 + i)))
	}
	r := recorded{Seeds: *statisticSeeds, Partners: middle(s.partners), Pairs: middle(s.pairs), Summary: map[string]interval{}}
	for name, values := range s.summary {
		r.Summary[name] = intervalOf(values)
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		t.Logf("oracle, recorded: %s: mean %.4f", name, sum/float64(len(values)))
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(oracleFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
