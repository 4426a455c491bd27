package qos

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/drtc-network/drtc/econ"
)

// ErrTerms is returned for Terms that nothing can be held against; the text
// names the field.
var ErrTerms = errors.New("qos: terms")

// Terms are what a test ordered: what its samples are adequate to.
type Terms struct {
	OfferedKbps uint32        // rate of the stream, at least 1
	RTTBudget   time.Duration // round trip up to which nothing is taken off; positive
}

// Validate names the first field outside its range.
func (t Terms) Validate() error {
	switch {
	case t.OfferedKbps == 0:
		return fmt.Errorf("%w: OfferedKbps is 0, want at least 1", ErrTerms)
	case t.RTTBudget <= 0:
		return fmt.Errorf("%w: RTTBudget is %v, want more than 0", ErrTerms, t.RTTBudget)
	}
	return nil
}

// RTTBudget is the round trip that a test over a distance may take: 50 ms, and
// half as much again as light in fibre needs, 1 ms for 100 km there and back
// (spec Q6). Where a place is not known the distance is 0: who wants a longer
// budget declares a place.
func RTTBudget(km uint32) time.Duration {
	return 50*time.Millisecond + time.Duration(km)*15*time.Microsecond
}

// Adequacy is min(1, received/offered) min(1, budget/median) of a test, rounded
// down (spec Q5). Received is the mean of the bitrates, none counted above what
// was offered, so that a burst makes up for no gap; the median is the one at
// place ceil(n/2) in ascending order. Without samples it is 0. The error wraps
// ErrSample or ErrTerms.
func Adequacy(samples []Sample, t Terms) (econ.Wad, error) {
	if err := t.Validate(); err != nil {
		return 0, err
	}
	if len(samples) == 0 {
		return 0, nil
	}
	if len(samples) > MaxSamples {
		return 0, fmt.Errorf("%w: there are %d, want at most %d", ErrSample, len(samples), MaxSamples)
	}
	offered, sum := float64(t.OfferedKbps), 0.0
	trips := make([]float64, len(samples))
	for i, s := range samples {
		if err := s.Validate(); err != nil {
			return 0, fmt.Errorf("sample %d: %w", i, err)
		}
		sum += min(s.BitrateKbps, offered)
		trips[i] = s.RTTMs
	}
	slices.Sort(trips)
	median := trips[(len(trips)-1)/2]

	g := new(big.Rat).SetFloat64(sum)
	g.Quo(g, new(big.Rat).SetUint64(uint64(t.OfferedKbps)*uint64(len(samples))))
	one := big.NewRat(1, 1)
	if g.Cmp(one) > 0 {
		g.Set(one) // a sum of many roundings
	}
	budget := big.NewRat(int64(t.RTTBudget), int64(time.Millisecond))
	if trip := new(big.Rat).SetFloat64(median); trip.Cmp(budget) > 0 {
		g.Mul(g, budget.Quo(budget, trip))
	}
	g.Mul(g, new(big.Rat).SetUint64(uint64(econ.One)))
	return econ.Wad(new(big.Int).Quo(g.Num(), g.Denom()).Uint64()), nil
}

// Result is a test's quality. Samples that say the same give the same Result.
type Result struct {
	Scores   Scores
	PaperV   econ.Wad // v_paper: the whitepaper's V
	Adequacy econ.Wad // g, also where it is not used
	V        econ.Wad // v: what counts
}

// Assess is Evaluate, Adequacy and both V in one (spec Q4, Q5). The error wraps
// ErrSample, ErrOptions or ErrTerms.
func Assess(samples []Sample, t Terms, o Options) (Result, error) {
	scores, err := Evaluate(samples, o)
	if err != nil {
		return Result{}, err
	}
	r := Result{Scores: scores}
	if r.Adequacy, err = Adequacy(samples, t); err != nil {
		return Result{}, err
	}
	if r.PaperV, err = scores.V(econ.One); err != nil {
		return Result{}, err
	}
	if r.V = r.PaperV; o.Adequacy {
		r.V, err = scores.V(r.Adequacy)
	}
	return r, err
}
