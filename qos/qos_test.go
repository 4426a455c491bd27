package qos

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/econ"
)

// paperReport is the example of whitepaper 4.3.8.
const paperReport = `{
  "scoreSnapshot": {
    "bitrateScore": 0.6153846153846154,
    "bitrateSnapshot": [64.614, 267.958, 599.459, 742.682, 818.534, 736.214, 834.406, 743.117, 811.645, 730.448, 822.909, 741.19, 834.986],
    "latencyScore": 1,
    "latencySnapshot": [0, 0, 0, 1.007080078125, 1.007080078125, 0.0152587890625, 0.0152587890625, 0.0152587890625, 0.0152587890625, 0.0152587890625, 0.0152587890625, 0, 0],
    "fractionalLossScore": 0.982,
    "fractionalLossSnapshot": [0.01, 0.005, 0.02, 0.015, 0.03, 0.01, 0.025, 0.02, 0.035, 0.015, 0.005, 0.01, 0.02]
  }
}`

// paperStat is the other one.
const paperStat = `{"timestamp": 861130149, "ssrc": 805818640, "kind": "video", "mimeType": "video/H264", "roundTripTime": 0.0152587890625,
  "type": "inbound-rtp", "jitter": 86, "byteCount": 649149, "packetCount": 527, "bitrate": 743117}`

func TestParseReport_thePapersExample(t *testing.T) {
	r, err := ParseReport([]byte(paperReport))
	if err != nil {
		t.Fatal(err)
	}
	scores, err := Evaluate(r.Samples(), Default())
	if err != nil {
		t.Fatal(err)
	}
	want := Scores{Bitrate: econ.Tally{Good: 8, Total: 13}, Latency: econ.Tally{Good: 13, Total: 13}, Loss: econ.Tally{Good: 13, Total: 13}}
	if scores != want {
		t.Errorf("scores %v, want %v", scores, want)
	}
	if v, err := scores.V(econ.One); err != nil || v != 807692307692307692 { // 21/26
		t.Errorf("V %d, %v, want 21/26", v, err)
	}
	// Two of its scores follow from its data, the third does not.
	if err := r.Check(Default()); !errors.Is(err, ErrReport) || !strings.Contains(err.Error(), "fractionalLossScore is 0.982, the raw data give 1") {
		t.Errorf("Check: %v", err)
	}
	r.ScoreSnapshot.FractionalLossScore = 1
	if err := r.Check(Default()); err != nil {
		t.Errorf("Check with F of algorithm 4: %v", err)
	}
}

func TestParseStat_thePapersExample(t *testing.T) {
	s, err := ParseStat([]byte(paperStat))
	if err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	compact := strings.NewReplacer(" ", "", "\n", "").Replace(paperStat)
	if string(back) != compact {
		t.Errorf("written again it is\n%s, want\n%s", back, compact)
	}
	if _, err := ParseStat([]byte(`{"roundTripTime": -1}`)); !errors.Is(err, ErrReport) || !strings.Contains(err.Error(), "roundTripTime") {
		t.Errorf("a negative round trip: %v", err)
	}
}

func TestEvaluate_seedsAndOrders(t *testing.T) {
	// A step up, then steady: only who looks at the average before is surprised.
	samples := []Sample{{1000, 10, 0}, {1400, 40, 0}, {1400, 40, 0.06}}
	with := func(change func(*Options)) Options { o := Default(); change(&o); return o }
	for _, x := range []struct {
		name         string
		o            Options
		bitrate, rtt uint64
	}{
		{"the rule", Default(), 1, 1},
		{"zero", with(func(o *Options) { o.Seed = SeedZero }), 0, 1},
		{"none", with(func(o *Options) { o.Seed = SeedNone }), 0, 0},
		{"update first", with(func(o *Options) { o.Order = UpdateThenClassify }), 2, 1},
		{"update first, zero", with(func(o *Options) { o.Order, o.Seed = UpdateThenClassify, SeedZero }), 0, 1},
		{"update first, none", with(func(o *Options) { o.Order, o.Seed = UpdateThenClassify, SeedNone }), 2, 1},
		{"alpha 1", with(func(o *Options) { o.AlphaBitrate, o.AlphaRTT = 1, 1 }), 2, 2},
	} {
		s, err := Evaluate(samples, x.o)
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		want := Scores{Bitrate: econ.Tally{Good: x.bitrate, Total: 3}, Latency: econ.Tally{Good: x.rtt, Total: 3}, Loss: econ.Tally{Good: 2, Total: 3}}
		if s != want {
			t.Errorf("%s: %v, want %v", x.name, s, want)
		}
	}
}

func TestBuckets_literal(t *testing.T) {
	if b := BitrateBucket(1, nil); b != None {
		t.Errorf("algorithm 3 without average: %q", b)
	}
	if b := LatencyBucket(1, nil); b != None {
		t.Errorf("algorithm 5 without average: %q", b)
	}
	average := 200.0
	for value, want := range map[float64]Bucket{100: Good, 99.999: Bad, 300: Good, 300.001: Bad} {
		if b := BitrateBucket(value, &average); b != want {
			t.Errorf("%v kbit/s about 200: %q, want %q", value, b, want)
		}
	}
}

func TestValidate_namesTheField(t *testing.T) {
	for _, x := range []struct {
		samples []Sample
		o       Options
		is      error
		want    string
	}{
		{[]Sample{{}, {BitrateKbps: math.NaN()}}, Default(), ErrSample, "sample 1: qos: sample: bitrate"},
		{[]Sample{{BitrateKbps: math.Inf(1)}}, Default(), ErrSample, "bitrate"},
		{[]Sample{{BitrateKbps: -1}}, Default(), ErrSample, "bitrate"},
		{[]Sample{{RTTMs: math.NaN()}}, Default(), ErrSample, "round trip"},
		{[]Sample{{RTTMs: math.Inf(1)}}, Default(), ErrSample, "round trip"},
		{[]Sample{{RTTMs: -0.1}}, Default(), ErrSample, "round trip"},
		{[]Sample{{Loss: math.NaN()}}, Default(), ErrSample, "loss"},
		{[]Sample{{Loss: 1.0001}}, Default(), ErrSample, "loss"},
		{[]Sample{{Loss: -0.1}}, Default(), ErrSample, "loss"},
		{make([]Sample, MaxSamples+1), Default(), ErrSample, "want at most 2048"},
		{nil, Options{}, ErrOptions, "Seed"},
		{nil, Options{Seed: SeedFirst}, ErrOptions, "Order"},
		{nil, Options{Seed: SeedFirst, Order: UpdateThenClassify, AlphaBitrate: math.NaN()}, ErrOptions, "AlphaBitrate"},
		{nil, Options{Seed: SeedFirst, Order: UpdateThenClassify, AlphaBitrate: 1, AlphaRTT: 1.1}, ErrOptions, "AlphaRTT"},
	} {
		for _, call := range []func() error{
			func() error { _, err := Evaluate(x.samples, x.o); return err },
			func() error {
				_, err := Assess(x.samples, Terms{OfferedKbps: 1, RTTBudget: 1}, x.o)
				return err
			},
		} {
			if err := call(); !errors.Is(err, x.is) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v with %v: %v, want one that says %q", x.samples[:min(2, len(x.samples))], x.o, err, x.want)
			}
		}
		if errors.Is(x.is, ErrSample) {
			if _, err := Adequacy(x.samples, Terms{OfferedKbps: 1, RTTBudget: 1}); !errors.Is(err, ErrSample) {
				t.Errorf("Adequacy of %v: %v", x.samples[:min(2, len(x.samples))], err)
			}
		}
	}
	for want, terms := range map[string]Terms{"OfferedKbps": {RTTBudget: 1}, "RTTBudget": {OfferedKbps: 1}} {
		if _, err := Assess(nil, terms, Default()); !errors.Is(err, ErrTerms) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want one that says %s", terms, err, want)
		}
	}
}

func TestAdequacy_exact(t *testing.T) {
	terms := Terms{OfferedKbps: 2500, RTTBudget: RTTBudget(0)}
	for _, x := range []struct {
		name    string
		samples []Sample
		want    econ.Wad
	}{
		{"nothing", nil, 0},
		{"as ordered", []Sample{{2500, 50, 0}}, econ.One},
		{"more than ordered", []Sample{{5000, 1, 0}}, econ.One},
		{"a burst makes up for no gap", []Sample{{5000, 1, 0}, {0, 1, 0}}, econ.One / 2},
		{"throttled", []Sample{{50, 10, 0}, {50, 10, 0}}, econ.One / 50},
		{"slow", []Sample{{2500, 800, 0}}, econ.One / 16},
		{"both", []Sample{{1250, 100, 0}}, econ.One / 4},
		{"the median is the lower one", []Sample{{2500, 100, 0}, {2500, 50, 0}}, econ.One},
		{"a third, rounded down", []Sample{{2500, 150, 0}}, 333333333333333333},
		{"a dead stream", []Sample{{0, 0, 1}}, 0},
	} {
		if g, err := Adequacy(x.samples, terms); err != nil || g != x.want {
			t.Errorf("%s: %d, %v, want %d", x.name, g, err, x.want)
		}
	}
	if got, want := RTTBudget(10_000), 200*time.Millisecond; got != want {
		t.Errorf("the budget over 10,000 km is %v, want %v", got, want)
	}
}

func drawSamples(most int) *rapid.Generator[[]Sample] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Sample {
		return Sample{
			BitrateKbps: rapid.OneOf(rapid.Float64Range(0, 5000), rapid.Float64Range(0, math.MaxFloat64)).Draw(t, "kbps"),
			RTTMs:       rapid.OneOf(rapid.Float64Range(0, 300), rapid.Float64Range(0, math.MaxFloat64)).Draw(t, "ms"),
			Loss:        rapid.Float64Range(0, 1).Draw(t, "loss"),
		}
	}), 0, most)
}

func drawOptions(t *rapid.T) Options {
	return Options{
		Seed:         rapid.SampledFrom([]Seed{SeedFirst, SeedZero, SeedNone}).Draw(t, "seed"),
		Order:        rapid.SampledFrom([]Order{ClassifyThenUpdate, UpdateThenClassify}).Draw(t, "order"),
		AlphaBitrate: rapid.Float64Range(0.001, 1).Draw(t, "alpha of bitrate"),
		AlphaRTT:     rapid.Float64Range(0.001, 1).Draw(t, "alpha of round trip"),
		Adequacy:     rapid.Bool().Draw(t, "adequacy"),
	}
}

// Of any series of any length: counts are within their totals, both V within 0
// and 1, V never above v_paper, and V is the exact fraction rounded down.
func TestAssess_anySeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := drawSamples(300).Draw(t, "samples")
		o := drawOptions(t)
		terms := Terms{OfferedKbps: rapid.Uint32Range(1, math.MaxUint32).Draw(t, "offered"), RTTBudget: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "budget"))}
		r, err := Assess(samples, terms, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, tally := range []econ.Tally{r.Scores.Bitrate, r.Scores.Latency, r.Scores.Loss} {
			if tally.Total != uint64(len(samples)) || tally.Good > tally.Total {
				t.Fatalf("counts %v of %d samples", tally, len(samples))
			}
		}
		if r.Adequacy > econ.One || r.V > r.PaperV || r.PaperV > econ.One || !o.Adequacy && r.V != r.PaperV {
			t.Fatalf("v_paper %d, g %d, v %d", r.PaperV, r.Adequacy, r.V)
		}
		if len(samples) > 0 {
			f, b, l := rat(r.Scores.Loss), rat(r.Scores.Bitrate), rat(r.Scores.Latency)
			v := f.Mul(f, b.Add(b, l)) // twice V
			v.Mul(v, big.NewRat(int64(econ.One)/2, 1))
			if want := new(big.Int).Quo(v.Num(), v.Denom()); want.Uint64() != uint64(r.PaperV) {
				t.Fatalf("v_paper %d, want %d", r.PaperV, want)
			}
		} else if r != (Result{}) {
			t.Fatalf("of nothing: %v", r)
		}
		again, err := Assess(samples, terms, o)
		if err != nil || again != r {
			t.Fatalf("again: %v, %v, first %v", again, err, r)
		}
	})
}

func rat(t econ.Tally) *big.Rat { return big.NewRat(int64(t.Good), int64(t.Total)) }

// The average agrees with exact arithmetic to 10^-12, and a series' buckets do
// not depend on what comes after.
func TestClassify_prefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples, o := drawSamples(60).Draw(t, "samples"), drawOptions(t)
		whole, err := Classify(samples, o)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, len(samples)).Draw(t, "n")
		part, err := Classify(samples[:n], o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if part.Bitrate[i] != whole.Bitrate[i] || part.Latency[i] != whole.Latency[i] || part.Loss[i] != whole.Loss[i] {
				t.Fatalf("sample %d of %d", i, len(samples))
			}
		}
	})
}

// What is written is read again, and follows from its data.
func TestReport_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := drawSamples(50).Filter(func(s []Sample) bool { return len(s) > 0 }).Draw(t, "samples")
		result, err := Assess(samples, Terms{OfferedKbps: 2500, RTTBudget: RTTBudget(100)}, Default())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(NewReport(samples, result))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseReport(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Check(Default()); err != nil {
			t.Fatal(err)
		}
		again, err := Assess(r.Samples(), Terms{OfferedKbps: 2500, RTTBudget: RTTBudget(100)}, Default())
		if err != nil || again != result {
			t.Fatalf("of the samples read: %v, %v, want %v", again, err, result)
		}
	})
}

func TestParseReport_refusesByName(t *testing.T) {
	snapshot := func(fields string) string { return `{"scoreSnapshot":{` + fields + `}}` }
	one := `"bitrateSnapshot":[1],"latencySnapshot":[1],"fractionalLossSnapshot":[0]`
	for text, want := range map[string]string{
		"":                                    "unexpected end",
		"[]":                                  "cannot unmarshal",
		"{}":                                  "0 bitrates",
		strings.Repeat(" ", MaxReport) + "{}": "want at most 262144",
		snapshot(`"bitrateSnapshot":[1],"latencySnapshot":[1],"fractionalLossSnapshot":[]`):      "1 bitrates, 1 latencies and 0 fractional losses",
		snapshot(`"bitrateSnapshot":[-1],"latencySnapshot":[1],"fractionalLossSnapshot":[0]`):    "sample 0 of scoreSnapshot: qos: sample: bitrate is -1",
		snapshot(`"bitrateSnapshot":[1e999],"latencySnapshot":[1],"fractionalLossSnapshot":[0]`): "bitrateSnapshot",
		snapshot(one + `,"latencyScore":2`):                                                      "latencyScore is 2",
		`{"v":-1,"scoreSnapshot":{` + one + `}}`:                                                 "v is -1",
		`{"v_paper":1.5,"scoreSnapshot":{` + one + `}}`:                                          "v_paper is 1.5",
		snapshot(`"bitrateSnapshot":["1"]`):                                                      "bitrateSnapshot",
	} {
		if _, err := ParseReport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrReport) && !errors.Is(err, ErrSample) {
			t.Errorf("%.80s: %v, want one that says %q", text, err, want)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(paperReport))
	f.Add([]byte(`{"v":0.5,"v_paper":1,"adequacy":0.5,"scoreSnapshot":{"bitrateSnapshot":[1],"latencySnapshot":[1],"fractionalLossSnapshot":[0]}}`))
	f.Add([]byte(`{"scoreSnapshot":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReport(text)
		if err != nil {
			if !errors.Is(err, ErrReport) && !errors.Is(err, ErrSample) {
				t.Fatalf("an error of no name: %v", err)
			}
			return
		}
		if _, err := Evaluate(r.Samples(), Default()); err != nil {
			t.Fatalf("a report that was read has samples that are none: %v", err)
		}
		written, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseReport(written); err != nil && len(written) <= MaxReport {
			t.Fatalf("written again it is refused: %v", err)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(paperStat))
	f.Add([]byte(`{"ssrc":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseStat(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseStat(written); err == nil && again != s {
			t.Fatalf("%v, written and read again %v", s, again)
		}
	})
}
