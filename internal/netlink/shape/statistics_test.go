package shape

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Every test here draws a new seed, prints it, and allows five standard
// deviations: a right Shaper fails one check of two million.
const deviations = 5

func newSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// wantShare holds that hits of n are a share p, by the binomial distribution.
// dependence is the variance of the count over that of independent trials.
func wantShare(t *testing.T, what string, hits, n int, p, dependence float64) {
	t.Helper()
	got := float64(hits) / float64(n)
	bound := deviations * math.Sqrt(dependence*p*(1-p)/float64(n))
	if math.Abs(got-p) > bound {
		t.Errorf("%s: got %.5f of %d, want %.5f ± %.5f", what, got, n, p, bound)
	}
}

// delays returns the time of flight of every packet, by its number.
func delays(left []departure, gap time.Duration) []float64 {
	out := make([]float64, len(left))
	for _, d := range left {
		out[d.number] = float64(d.after - time.Duration(d.number)*gap)
	}
	return out
}

func meanAndDeviation(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean) / float64(len(values))
	}
	return mean, math.Sqrt(deviation)
}

// correlation of each value with the one before.
func correlation(values []float64) float64 {
	mean, deviation := meanAndDeviation(values)
	var sum float64
	for i := 1; i < len(values); i++ {
		sum += (values[i] - mean) * (values[i-1] - mean)
	}
	return sum / float64(len(values)-1) / deviation / deviation
}

func TestLoss_singleIsBinomial(t *testing.T) {
	const n = 100_000
	seed := newSeed(t)
	for _, p := range []float64{0.001, 0.01, 0.1, 0.5, 1} {
		s := mustNew(t, Settings{Loss: Loss{Probability: p}}, seed)
		left := send(s, n, 4, time.Millisecond)
		wantShare(t, "lost", n-len(left), n, p, 1)
	}
}

func TestLoss_burstsHaveTheirRateAndLength(t *testing.T) {
	const n = 200_000
	seed := newSeed(t)
	for _, test := range []struct{ rate, mean float64 }{{0.01, 5}, {0.05, 10}, {0.2, 3}, {0.3, 1}} {
		s := mustNew(t, Settings{Loss: Loss{Burst: Bursts(test.rate, test.mean)}}, seed)
		left := send(s, n, 4, time.Millisecond)

		// The state of a two-state chain correlates by 1-enter-leave per packet.
		b := Bursts(test.rate, test.mean)
		lambda := 1 - b.Enter - b.Leave
		wantShare(t, "lost", n-len(left), n, test.rate, (1+lambda)/(1-lambda))

		runs, lost, one := 0, 0, 0
		for i := 1; i < len(left); i++ {
			if gap := left[i].number - left[i-1].number - 1; gap > 0 {
				runs, lost = runs+1, lost+gap
				if gap == 1 {
					one++
				}
			}
		}
		// Lengths are geometric with mean m: their deviation is sqrt(m(m-1)).
		mean := float64(lost) / float64(runs)
		bound := deviations*math.Sqrt(test.mean*(test.mean-1)/float64(runs)) + 1e-9
		if math.Abs(mean-test.mean) > bound {
			t.Errorf("rate %v: mean of %d bursts: got %.3f packets, want %.3f ± %.3f", test.rate, runs, mean, test.mean, bound)
		}
		wantShare(t, "bursts of one packet", one, runs, 1/test.mean, 1)
	}
}

func TestLoss_bothStatesOfABurstLose(t *testing.T) {
	const n = 200_000
	b := Burst{Enter: 0.05, Leave: 0.2, InGood: 0.01, InBad: 0.6}
	s := mustNew(t, Settings{Loss: Loss{Burst: b}}, newSeed(t))
	left := send(s, n, 4, time.Millisecond)
	bad := b.Enter / (b.Enter + b.Leave)
	lambda := 1 - b.Enter - b.Leave
	wantShare(t, "lost", n-len(left), n, bad*b.InBad+(1-bad)*b.InGood, (1+lambda)/(1-lambda))
}

func TestDuplicate_isBinomialAndFollowsItsOriginal(t *testing.T) {
	const n, p = 100_000, 0.03
	s := mustNew(t, Settings{Duplicate: p, Delay: time.Millisecond}, newSeed(t))
	left := send(s, n, 4, time.Millisecond)
	wantShare(t, "twice", len(left)-n, n, p, 1)
	copies := 0
	for i := 1; i < len(left); i++ {
		if left[i] == left[i-1] {
			copies++
		}
	}
	if want := len(left) - n; copies != want {
		t.Errorf("copies right behind their original: got %d, want %d", copies, want)
	}
}

func TestJitter_hasItsDistribution(t *testing.T) {
	const n = 50_000
	const delay, spread = 100 * time.Millisecond, 5 * time.Millisecond
	seed := newSeed(t)
	// below is the share of values that are less than so many spreads from Delay.
	type below struct{ spreads, share float64 }
	tests := []struct {
		distribution Distribution
		points       []below
	}{
		{Uniform, []below{{-1, 0}, {-0.5, 0.25}, {0, 0.5}, {0.5, 0.75}, {1, 1}}},
		{Normal, []below{{-2, 0.02275}, {-1, 0.158655}, {0, 0.5}, {1, 0.841345}, {2, 0.97725}}},
		{Exponential, []below{{0, 0}, {math.Ln2, 0.5}, {1, 1 - 1/math.E}, {3, 1 - math.Exp(-3)}}},
		{Pareto, []below{{0, 0}, {2 * (math.Cbrt(2) - 1), 0.5}, {1, 1 - 8./27}, {8, 1 - 1./125}}},
	}
	for _, test := range tests {
		for _, rho := range []float64{0, 0.5} {
			s := mustNew(t, Settings{Delay: delay, Jitter: Jitter{test.distribution, spread, rho, true}}, seed)
			got := delays(send(s, n, 4, time.Millisecond), time.Millisecond)
			for _, point := range test.points {
				hits := 0
				for _, d := range got {
					if d-float64(delay) < point.spreads*float64(spread) {
						hits++
					}
				}
				name := test.distribution.String() + " values below a quantile"
				wantShare(t, name, hits, n, point.share, (1+rho)/(1-rho))
			}
		}
	}
}

func TestJitter_correlatesWithThePacketBefore(t *testing.T) {
	const n = 50_000
	seed := newSeed(t)
	for _, rho := range []float64{0, 0.3, 0.9} {
		s := mustNew(t, Settings{Delay: time.Second, Jitter: Jitter{Normal, 10 * time.Millisecond, rho, true}}, seed)
		got := correlation(delays(send(s, n, 4, time.Millisecond), time.Millisecond))
		if bound := deviations * math.Sqrt((1-rho*rho)/n); math.Abs(got-rho) > bound {
			t.Errorf("correlation: got %.4f, want %.4f ± %.4f", got, rho, bound)
		}
	}
}

func TestJitter_keepsOrderUnlessToldOtherwise(t *testing.T) {
	seed := newSeed(t)
	for _, overtake := range []bool{false, true} {
		s := mustNew(t, Settings{Delay: 50 * time.Millisecond, Jitter: Jitter{Distribution: Normal, Spread: 10 * time.Millisecond, Overtake: overtake}}, seed)
		left := send(s, 5000, 4, time.Millisecond)
		sorted := slices.IsSortedFunc(left, func(a, b departure) int { return a.number - b.number })
		if sorted == overtake || (s.Counters().Reordered > 0) != overtake {
			t.Errorf("overtake %v: in order %v, %d counted as reordered", overtake, sorted, s.Counters().Reordered)
		}
	}
}

func TestReorder_holdsBackItsShareAndNothingElse(t *testing.T) {
	const n = 100_000
	seed := newSeed(t)
	for _, test := range []struct {
		p   float64
		gap int
	}{{0.01, 0}, {0.1, 0}, {0.1, 5}, {1, 3}} {
		s := mustNew(t, Settings{Delay: 20 * time.Millisecond, Reorder: Reorder{test.p, 2500 * time.Microsecond, test.gap}}, seed)
		left := send(s, n, 4, time.Millisecond)
		held, last := 0, -1000
		for number, d := range delays(left, time.Millisecond) {
			switch time.Duration(d) {
			case 20 * time.Millisecond:
			case 22500 * time.Microsecond:
				if number-last <= test.gap {
					t.Fatalf("packets %d and %d were held back, want %d between them", last, number, test.gap)
				}
				held, last = held+1, number
			default:
				t.Fatalf("packet %d flew %v", number, time.Duration(d))
			}
		}
		// One held packet uses gap more that are not asked: a renewal process.
		share := test.p / (1 + test.p*float64(test.gap))
		wantShare(t, "held back", held, n, share, 1)
		if test.p < 1 && s.Counters().Reordered == 0 {
			t.Errorf("p %v: nothing counted as reordered", test.p)
		}
	}
}

// Switching one kind of chance on leaves what the others do as it was.
func TestChance_kindsAreIndependent(t *testing.T) {
	seed := newSeed(t)
	bare := Settings{Loss: Loss{Probability: 0.1}}
	full := bare
	full.Delay, full.Duplicate = time.Second, 0.1
	full.Jitter = Jitter{Distribution: Pareto, Spread: time.Millisecond}
	full.Reorder = Reorder{Probability: 0.1, Late: time.Millisecond}
	arrived := func(settings Settings) []int {
		var numbers []int
		for _, d := range send(mustNew(t, settings, seed), 2000, 4, time.Millisecond) {
			numbers = append(numbers, d.number)
		}
		slices.Sort(numbers)
		return slices.Compact(numbers)
	}
	if !slices.Equal(arrived(bare), arrived(full)) {
		t.Error("jitter, duplication and reordering changed which packets are lost")
	}
	other := mustNew(t, bare, seed+1)
	if len(send(other, 2000, 4, time.Millisecond)) == 2000 {
		t.Error("another seed lost nothing")
	}
}
