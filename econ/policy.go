package econ

import "fmt"

// Steps and bounds of the policy (spec E24 to E26).
const (
	BetaStep      Bps   = 200
	WeightStep    int64 = int64(One) / 20
	WeightFloor   Bps   = 500
	TargetQuality Wad   = One / 10 * 8
	TauStep       int64 = int64(One) / 200
	TauBound      int64 = int64(One) / 10
)

// NextBeta moves the share to burn toward the one that would have needed no
// clamping, by at most BetaStep (spec E24).
func (s Settlement) NextBeta() Bps {
	beta, escrow := s.epoch.Beta, s.epoch.Escrow
	if escrow.IsZero() {
		return beta
	}
	whole := NewWei(uint64(Whole))
	switch s.Burn.Cmp(s.Proposal) {
	case 1:
		return min(beta+BetaStep, Bps(s.Burn.MulDiv(whole, escrow).low()))
	case -1:
		target := Bps(s.Burn.MulDivUp(whole, escrow).low())
		return max(beta-min(beta, BetaStep), target)
	}
	return beta
}

// NextTau moves the threshold by TauStep toward a mean quality of
// TargetQuality, within TauBound (spec E26).
func NextTau(tau int64, mean Wad) int64 {
	switch {
	case mean < TargetQuality:
		return min(max(tau, -TauBound)+TauStep, TauBound)
	case mean > TargetQuality:
		return max(min(tau, TauBound)-TauStep, -TauBound)
	}
	return tau
}

// Means are a value for each score that has a weight.
type Means struct{ Availability, History, Location, Coverage Wad }

func (m Means) list() [4]Wad { return [4]Wad{m.Availability, m.History, m.Location, m.Coverage} }

// Next moves weights toward the scores that lie below their target, by a factor
// of at most e^0.05 each, and projects them on the simplex with every weight at
// least WeightFloor (spec E25). The error wraps ErrDomain.
func (w Weights) Next(mean, target Means) (Weights, error) {
	if err := w.Validate(); err != nil {
		return Weights{}, err
	}
	before, means, targets := w.list(), mean.list(), target.list()
	var grown [4]Wei
	for j := range before {
		if means[j] > One || targets[j] > One {
			return Weights{}, fmt.Errorf("%w: mean %d and target %d of a score, want at most %d", ErrDomain, uint64(means[j]), uint64(targets[j]), uint64(One))
		}
		factor := growth(int64(targets[j]) - int64(means[j]))
		grown[j] = NewWei(uint64(before[j])).MulDiv(factor, NewWei(1))
	}
	after := simplex(grown, WeightFloor)
	return Weights{Availability: after[0], History: after[1], Location: after[2], Coverage: after[3]}, nil
}

// growth is exp(WeightStep * gap) as a wad, the product truncated toward zero.
func growth(gap int64) Wei {
	x := NewWei(uint64(max(gap, -gap))).Times(Wad(WeightStep))
	if gap < 0 {
		x.n.Neg(&x.n)
	}
	return expWad(&x.n)
}

// simplex divides Whole in proportion to parts, with at least floor for each,
// whole basis points by largest remainder, the earlier part first among equals.
func simplex(parts [4]Wei, floor Bps) [4]Bps {
	var result [4]Bps
	var fixed [4]bool
	total := Whole
	for again := true; again; {
		again = false
		sum := freeSum(parts, fixed)
		share := total
		for j, p := range parts {
			if fixed[j] || p.MulDiv(NewWei(uint64(share)), NewWei(1)).Cmp(sum.MulDiv(NewWei(uint64(floor)), NewWei(1))) >= 0 {
				continue
			}
			fixed[j], result[j], again = true, floor, true
			total -= floor
		}
	}
	sum := freeSum(parts, fixed)
	left := total
	var rest [4]Wei
	for j, p := range parts {
		if fixed[j] {
			continue
		}
		product := p.MulDiv(NewWei(uint64(total)), NewWei(1))
		q := product.MulDiv(NewWei(1), sum)
		result[j], rest[j] = Bps(q.low()), product.Sub(q.MulDiv(sum, NewWei(1)))
		left -= result[j]
	}
	for ; left > 0; left-- {
		best := -1
		for j := range parts {
			if !fixed[j] && (best < 0 || rest[j].Cmp(rest[best]) > 0) {
				best = j
			}
		}
		result[best]++
		fixed[best] = true // each part gets at most one
	}
	return result
}

func freeSum(parts [4]Wei, fixed [4]bool) Wei {
	var sum Wei
	for j, p := range parts {
		if !fixed[j] {
			sum = sum.Add(p)
		}
	}
	return sum
}
