package qos

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What the whitepaper's score sees of a stream and what it does not: means over
// 200 tests of 240 samples. The seed is drawn and printed; the means move by
// less than 0.01, those of v by less than 0.001.
func TestAssess_streams(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const offered = 2500
	near := func(mean, deviation float64) float64 { return max(0, mean+deviation*r.NormFloat64()) }
	lost := func(p float64) float64 { // of the packets of 5 s, by chance
		const packets = 5 * offered * 125 / 1200
		return min(1, max(0, p+math.Sqrt(p*(1-p)/packets)*r.NormFloat64()))
	}
	for _, x := range []struct {
		name                     string
		sample                   func() Sample
		paperLeast, paperMost, g float64
		vMost                    float64
	}{
		{"healthy, 2.5 Mbit/s, 40 ms", func() Sample { return Sample{near(offered, 12), near(40, 2), lost(0.001)} }, 0.99, 1, 0.998, 1},
		{"throttled to 50 kbit/s", func() Sample { return Sample{near(50, 1), near(40, 2), 0} }, 0.99, 1, 0.02, 0.1},
		{"constant 800 ms", func() Sample { return Sample{near(offered, 12), near(800, 2), 0} }, 0.99, 1, 0.0625, 0.2},
		{"3 % loss, by chance", func() Sample { l := lost(0.03); return Sample{offered * (1 - l), near(40, 2), l} }, 0.95, 1, 0.97, 0.97},
		{"4.5 % loss, by chance", func() Sample { l := lost(0.045); return Sample{offered * (1 - l), near(40, 2), l} }, 0.7, 0.95, 0.955, 0.9},
		{"content that varies by 12 %", func() Sample { return Sample{near(offered, 0.12*offered), near(40, 2), 0} }, 0.80, 0.92, 0.95, 0.9},
		{"bursty: 20 % and 15 ms", func() Sample { return Sample{near(offered, 0.2*offered), near(40, 15), lost(0.02)} }, 0.55, 0.75, 0.92, 0.7},
	} {
		var paper, g, v float64
		const tests = 200
		for range tests {
			samples := make([]Sample, 240)
			for i := range samples {
				samples[i] = x.sample()
			}
			result, err := Assess(samples, Terms{OfferedKbps: offered, RTTBudget: RTTBudget(0)}, Default())
			if err != nil {
				t.Fatal(err)
			}
			paper += result.PaperV.Float() / tests
			g += result.Adequacy.Float() / tests
			v += result.V.Float() / tests
		}
		t.Logf("%-28s v_paper %.3f, g %.3f, v %.3f", x.name, paper, g, v)
		if paper < x.paperLeast || paper > x.paperMost+1e-9 || math.Abs(g-x.g) > 0.01 || v > x.vMost+0.001 {
			t.Errorf("%s: v_paper %.3f, g %.3f, v %.3f, want v_paper %v to %v, g %v, v at most %v", x.name, paper, g, v, x.paperLeast, x.paperMost, x.g, x.vMost)
		}
	}
}
