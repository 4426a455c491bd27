package sim

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/econ"
)

// load reads a scenario file on top of the default, as the program does.
func load(t testing.TB, file string) Scenario {
	t.Helper()
	s := DefaultScenario()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := toml.Decode(string(text), &s)
	if err != nil {
		t.Fatal(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		t.Fatalf("%s: unknown key %s", file, unknown[0])
	}
	return s
}

func summary(t *testing.T, s Scenario, p Policy, seeds uint64) Summary {
	t.Helper()
	var runs []Outcome
	for seed := range seeds {
		o, err := Run(s, p, seed)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, o)
	}
	return Summarize(s.Title, runs)
}

func TestScenarios_nineFiles(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.toml")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d scenario files, %v, want 9", len(files), err)
	}
	for _, file := range files {
		s := load(t, file)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".toml"); s.Name != want {
			t.Errorf("%s: its name is %q", file, s.Name)
		}
	}
}

// What the policy was chosen for (docs/design/0010): the whitepaper's fixed
// parameters leave the band and can be washed, the projection holds.
func TestRun_adaptiveHoldsWhereStaticFails(t *testing.T) {
	for _, name := range []string{"base", "price-boom", "both-crash"} {
		s := load(t, "scenarios/"+name+".toml")
		static, pegged := summary(t, s, Static, 2), summary(t, s, Pegged, 2)
		adaptive, filled := summary(t, s, Adaptive, 2), summary(t, s, Filled, 2)
		if static.InBand > 0.3 || static.WashDays < 10 || static.BurnAboveMint < 100 {
			t.Errorf("%s: static is in the band on %.0f%% of days, washed on %.0f and burns too much on %.0f: want it to fail", name, 100*static.InBand, static.WashDays, static.BurnAboveMint)
		}
		if pegged.InBand > 0.8 || pegged.BurnAboveMint < 50 || pegged.WashDays > 0 {
			t.Errorf("%s: usd-pegged is in the band on %.0f%% of days, burns too much on %.0f, is washed on %.0f", name, 100*pegged.InBand, pegged.BurnAboveMint, pegged.WashDays)
		}
		if adaptive.BurnAboveMint > 0 || adaptive.WashDays > 0 || adaptive.InflationMost > MostInflation+slack || adaptive.InBand < pegged.InBand {
			t.Errorf("%s: adaptive: %+v", name, adaptive)
		}
		if filled.InBand < 1-1e-9 || filled.BurnAboveMint > 0 || filled.WashDays > 0 {
			t.Errorf("%s: adaptive+filler: %+v", name, filled)
		}
	}
}

func TestRun_lastingOracleFaultIsTheOneWayIn(t *testing.T) {
	s := load(t, "scenarios/oracle-fault.toml")
	pegged, adaptive := summary(t, s, Pegged, 3), summary(t, s, Adaptive, 3)
	if adaptive.WashDays < 5 || adaptive.WashDays > 14 {
		t.Errorf("a fault of 14 days is washed on %.1f days", adaptive.WashDays)
	}
	if adaptive.CutDays == 0 || adaptive.Extraction > pegged.Extraction/3 || adaptive.Extraction > 0.02 {
		t.Errorf("it takes %.2f%% of all HUDL under the cap, %.2f%% without, cut on %.1f days", 100*adaptive.Extraction, 100*pegged.Extraction, adaptive.CutDays)
	}
}

func TestRun_isTheSameEachTime(t *testing.T) {
	s := DefaultScenario()
	s.Days = 400
	for _, p := range Policies() {
		a, err := Run(s, p, 7)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(s, p, 7)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Run(s, p, 8)
		if err != nil {
			t.Fatal(err)
		}
		if a.Digest != b.Digest || a.Supply != b.Supply || a.InBand != b.InBand {
			t.Errorf("%s: seed 7 gives %+v, then %+v", p, a, b)
		}
		if a.Digest == c.Digest {
			t.Errorf("%s: seeds 7 and 8 give one digest", p)
		}
	}
}

func TestRun_oneAgentMoreChangesNoOthersChance(t *testing.T) {
	s := DefaultScenario()
	few := newNetwork(&s, 3)
	s.Nodes.Count++
	many := newNetwork(&s, 3)
	for i := range few.nodes {
		if few.nodes[i] != many.nodes[i] {
			t.Fatalf("node %d differs: %+v, %+v", i, few.nodes[i], many.nodes[i])
		}
	}
}

// Worlds drawn at random: no run may break an invariant.
func TestRun_invariantsInAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := DefaultScenario()
		s.Days = 366 + rapid.IntRange(0, 60).Draw(t, "days")
		s.Price = math.Exp(rapid.Float64Range(-6, 3).Draw(t, "log price"))
		s.Demand.GBPerDay = math.Exp(rapid.Float64Range(3, 18).Draw(t, "log demand"))
		s.Demand.Applications = rapid.IntRange(1, 5).Draw(t, "applications")
		s.Nodes.Count = rapid.IntRange(1, 12).Draw(t, "nodes")
		s.Holders.Count = rapid.IntRange(1, 12).Draw(t, "holders")
		s.Market.Volatility = rapid.Float64Range(0, 0.3).Draw(t, "volatility")
		s.Oracle.Lag = rapid.IntRange(0, 5).Draw(t, "lag")
		s.Oracle.Noise = rapid.Float64Range(0, 0.3).Draw(t, "noise")
		s.Network.KappaBps = rapid.Uint32Range(1000, 9500).Draw(t, "kappa")
		s.Network.K = rapid.Uint64Range(5, 20).Draw(t, "k")
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			s.Events = append(s.Events, Event{
				Kind: rapid.SampledFrom([]string{PriceEvent, DemandEvent, NodesEvent, OracleEvent}).Draw(t, "kind"),
				Day:  rapid.IntRange(0, 365).Draw(t, "day"), Over: rapid.IntRange(0, 60).Draw(t, "over"),
				Factor: rapid.Float64Range(1, 3).Draw(t, "factor"),
			})
		}
		policy := rapid.SampledFrom(Policies()).Draw(t, "policy")
		if _, err := Run(s, policy, rapid.Uint64().Draw(t, "seed")); err != nil {
			t.Fatal(err)
		}
	})
}

// A fixed burn can eat the supply to the last credit; the books stay right.
func TestRun_staticUntilNothingIsLeft(t *testing.T) {
	s := DefaultScenario()
	s.Days, s.Nodes.Count = 3000, 2
	s.Events = []Event{{Kind: PriceEvent, Day: 10, Factor: 1e-4}}
	o, err := Run(s, Static, 1)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := econ.ParseWei(o.Supply); err != nil || left.Cmp(econ.NewWei(1e18)) > 0 {
		t.Errorf("%s wei are left, %v: want next to none", o.Supply, err)
	}
}

func TestInvariants_areSeen(t *testing.T) {
	fresh := func() *economy {
		s := DefaultScenario()
		e := &economy{scenario: &s, policy: Filled, parameters: s.parameters(), ledger: newLedger(econ.NewWei(1e18), 1, 1)}
		e.parameters.Filler = true
		e.ledger.supply = econ.NewWei(1e18 + 1e14)
		return e
	}
	q, before := quote{high: 1_000_000}, econ.NewWei(1e18)
	good := closed{Totals: econ.Totals{Mint: econ.NewWei(1e14), Burn: econ.NewWei(1)}}
	if err := fresh().invariants(q, traffic{}, good, before); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*economy, *traffic, *closed){
		"weights sum":       func(e *economy, _ *traffic, _ *closed) { e.parameters.Weights.Coverage++ },
		"serving oneself":   func(_ *economy, t *traffic, _ *closed) { t.top = econ.WeiFromFloat(6e18) },
		"burns":             func(_ *economy, _ *traffic, c *closed) { c.Burn = econ.NewWei(2e14) },
		"above the cap":     func(_ *economy, _ *traffic, c *closed) { c.Mint = econ.NewWei(4e14) },
		"supply grows by 0": func(e *economy, _ *traffic, _ *closed) { e.ledger.supply = econ.NewWei(1e18) },
		"not a number":      func(_ *economy, t *traffic, _ *closed) { t.honestGB = math.NaN() },
	} {
		e, tr, c := fresh(), traffic{}, good
		change(e, &tr, &c)
		if err := e.invariants(q, tr, c, before); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	l := newLedger(econ.NewWei(10), 1, 1)
	l.washer = econ.NewWei(1)
	if l.conserved() == nil {
		t.Error("a wei from nowhere is not seen")
	}
}

func TestScenario_Validate(t *testing.T) {
	for want, change := range map[string]func(*Scenario){
		"name":              func(s *Scenario) { s.Name = "" },
		"days":              func(s *Scenario) { s.Days = 365 },
		"price":             func(s *Scenario) { s.Price = math.NaN() },
		"demand.gb_per_day": func(s *Scenario) { s.Demand.GBPerDay = math.Inf(1) },
		"nodes.count":       func(s *Scenario) { s.Nodes.Count = 0 },
		"oracle.twap":       func(s *Scenario) { s.Oracle.TWAP = 0 },
		"network: ":         func(s *Scenario) { s.Network.KappaBps = 10_000 },
		"k is":              func(s *Scenario) { s.Network.K = math.MaxUint64 },
		"event 1: kind":     func(s *Scenario) { s.Events = []Event{{Kind: "war"}} },
		"event 1: day":      func(s *Scenario) { s.Events = []Event{{Kind: PriceEvent, Day: -1}} },
		"event 1: factor":   func(s *Scenario) { s.Events = []Event{{Kind: PriceEvent}} },
		"event 1: over":     func(s *Scenario) { s.Events = []Event{{Kind: PriceEvent, Over: -1, Factor: 1}} },
		"nodes leave":       func(s *Scenario) { s.Events = []Event{{Kind: NodesEvent, Factor: 0.5}} },
	} {
		s := DefaultScenario()
		change(&s)
		if _, err := Run(s, Adaptive, 0); !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	if _, err := ParsePolicy("other"); err == nil {
		t.Error("other is a policy")
	}
}

func TestStream_drawsAsItShould(t *testing.T) {
	s := newStream(1, ofNode, 2)
	const n = 200_000
	var mean, square, low float64
	for range n {
		x := s.normal()
		mean, square = mean+x/n, square+x*x/n
		if s.uniform() < 0.1 {
			low += 1.0 / n
		}
	}
	if math.Abs(mean) > 0.01 || math.Abs(square-1) > 0.015 || math.Abs(low-0.1) > 0.004 {
		t.Errorf("mean %.4f, variance %.4f, a tenth is %.4f", mean, square, low)
	}
	a, b := newStream(1, ofNode, 2), newStream(1, ofNode, 3)
	if a.uint64() == b.uint64() {
		t.Error("two agents draw one number")
	}
}

func TestQuantile(t *testing.T) {
	ordered := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]float64{0: 1, 0.05: 1, 0.5: 5, 0.95: 10, 1: 10} {
		if got := quantile(ordered, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing has a quantile")
	}
}

// One step is one node in one epoch.
func BenchmarkRun(b *testing.B) {
	s := DefaultScenario()
	b.ReportAllocs()
	seed := uint64(0)
	for b.Loop() {
		if _, err := Run(s, Filled, seed); err != nil {
			b.Fatal(err)
		}
		seed++
	}
	b.ReportMetric(float64(b.N)*float64(s.Days*s.Nodes.Count)/b.Elapsed().Seconds(), "node-steps/s")
}
