package econ

import (
	"fmt"
	"math/big"
	"math/bits"
	"slices"
)

// Availability is uptime over lifetime, both in one unit; 0 when there is no
// lifetime yet (spec E3).
func Availability(uptime, lifetime uint64) (Wad, error) {
	if uptime > lifetime {
		return 0, fmt.Errorf("%w: uptime %d is longer than lifetime %d", ErrDomain, uptime, lifetime)
	}
	return fraction(uptime, lifetime), nil
}

// Location is the demand in a node's cell over the reference demand, at most One
// (spec E4). Reference is Percentile(95) of the cells with any demand.
func Location(cell, reference uint64) Wad {
	if cell >= reference && reference > 0 {
		return One
	}
	return fraction(cell, reference)
}

// Coverage is the number of nodes in the least occupied cell over that in the
// node's own (spec E5). Both are at least 1 and own is not below sparsest.
func Coverage(sparsest, own uint64) (Wad, error) {
	if sparsest == 0 || own < sparsest {
		return 0, fmt.Errorf("%w: %d nodes in the sparsest cell and %d in the node's own, want 1 <= sparsest <= own", ErrDomain, sparsest, own)
	}
	return fraction(sparsest, own), nil
}

// fraction is floor(a*One/b) for a <= b, 0 when b is 0.
func fraction(a, b uint64) Wad {
	if b == 0 {
		return 0
	}
	hi, lo := bits.Mul64(a, uint64(One))
	q, _ := bits.Div64(hi, lo, b) // a <= b < 2^64, so hi < b
	return Wad(q)
}

// Percentile is the value below or at which percent of 100 values lie: the
// one at place ceil(percent*n/100) in ascending order; 0 without values (spec
// E4). percent is 1 to 100. values is left alone.
func Percentile(values []uint64, percent int) uint64 {
	if len(values) == 0 {
		return 0
	}
	ordered := slices.Clone(values)
	slices.Sort(ordered)
	place := (percent*len(ordered) + 99) / 100
	return ordered[place-1]
}

// Rank is a node's place among all that count, by bytes supplied.
type Rank struct {
	Less  uint64 // nodes that supplied fewer
	Equal uint64 // nodes that supplied as many, itself included
	Nodes uint64 // all
}

// Ranks gives each node's Rank for the bytes that each supplied, in their order.
func Ranks(supplied []Bytes) []Rank {
	order := make([]int, len(supplied))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return supplied[a].Cmp(supplied[b]) })
	ranks := make([]Rank, len(supplied))
	for start := 0; start < len(order); {
		end := start
		for end < len(order) && supplied[order[end]] == supplied[order[start]] {
			end++
		}
		for _, i := range order[start:end] {
			ranks[i] = Rank{Less: uint64(start), Equal: uint64(end - start), Nodes: uint64(len(order))}
		}
		start = end
	}
	return ranks
}

// Fraction is the percentile rank as numerator and denominator, 2*less + equal
// over 2*nodes: never 0 and never 1 for a node that counts.
func (r Rank) Fraction() (numerator, denominator uint64) { return 2*r.Less + r.Equal, 2 * r.Nodes }

// History is the rank as a score, not below minimum (spec E6).
func (r Rank) History(minimum Wad) Wad { return max(fraction(r.Fraction()), minimum) }

// HistoryAffine is the rank as a score between minimum and One that keeps the
// order of all nodes (spec E6, by option).
func (r Rank) HistoryAffine(minimum Wad) Wad {
	n, d := r.Fraction()
	if d == 0 {
		return minimum
	}
	return minimum + Wad(NewWei(uint64(One-minimum)).MulDiv(NewWei(n), NewWei(d)).low())
}

// Tally counts the samples of a series and those that were good.
type Tally struct{ Good, Total uint64 }

// Quality is V of one test, from its series of fractional loss, bitrate and
// round trips (spec E7). adequacy is One unless the network has it on.
func Quality(loss, bitrate, roundTrip Tally, adequacy Wad) (Wad, error) {
	for _, s := range []struct {
		name string
		t    Tally
	}{{"loss", loss}, {"bitrate", bitrate}, {"round trip", roundTrip}} {
		if s.t.Good > s.t.Total {
			return 0, fmt.Errorf("%w: %d good samples of %d in the %s series", ErrDomain, s.t.Good, s.t.Total, s.name)
		}
		if s.t.Total == 0 {
			return 0, nil
		}
	}
	if err := adequacy.Valid("adequacy"); err != nil {
		return 0, err
	}
	half := new(big.Rat).Add(loss.of(bitrate), loss.of(roundTrip))
	half.Mul(half, new(big.Rat).SetFrac(new(big.Int).SetUint64(uint64(adequacy)), big.NewInt(2)))
	return Wad(new(big.Int).Quo(half.Num(), half.Denom()).Uint64()), nil
}

// of is the product of two exact fractions.
func (t Tally) of(u Tally) *big.Rat {
	a := new(big.Rat).SetFrac(new(big.Int).SetUint64(t.Good), new(big.Int).SetUint64(t.Total))
	b := new(big.Rat).SetFrac(new(big.Int).SetUint64(u.Good), new(big.Int).SetUint64(u.Total))
	return a.Mul(a, b)
}

// Scores are those of a node for an epoch, as they stand in its leaf: history
// after its floor.
type Scores struct {
	Availability, History, Location, Coverage, Quality Wad
}

// Validate names the first score that is above One.
func (s Scores) Validate() error {
	for _, score := range []struct {
		name string
		wad  Wad
	}{
		{"availability", s.Availability}, {"history", s.History}, {"location", s.Location},
		{"coverage", s.Coverage}, {"quality", s.Quality},
	} {
		if err := score.wad.Valid(score.name); err != nil {
			return err
		}
	}
	return nil
}

// Weights of the scores in the sum S. Together they are Whole.
type Weights struct {
	Availability, History, Location, Coverage Bps
}

// Validate refuses weights that do not sum to Whole.
func (w Weights) Validate() error {
	return wholeWeights(w.Availability, w.History, w.Location, w.Coverage)
}

func (w Weights) list() [4]Bps { return [4]Bps{w.Availability, w.History, w.Location, w.Coverage} }

// Sum is S for the scores of a node, rounded down (spec E8).
func (w Weights) Sum(s Scores) Wad {
	return weighted([]Bps{w.Availability, w.History, w.Location, w.Coverage},
		[]Wad{s.Availability, s.History, s.Location, s.Coverage})
}

// QualityWeights are those of the sum in whitepaper 3.2, where quality counts in
// the sum and in the exponent. Together they are Whole.
type QualityWeights struct {
	Availability, History, Quality Bps
}

// Validate refuses weights that do not sum to Whole.
func (w QualityWeights) Validate() error {
	return wholeWeights(w.Availability, w.History, w.Quality)
}

// Sum is S of the profile of whitepaper 3.2 (spec E8).
func (w QualityWeights) Sum(s Scores) Wad {
	return weighted([]Bps{w.Availability, w.History, w.Quality}, []Wad{s.Availability, s.History, s.Quality})
}

func wholeWeights(weights ...Bps) error {
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	if sum != uint64(Whole) {
		return fmt.Errorf("%w: weights sum to %d bps, want exactly %d", ErrDomain, sum, Whole)
	}
	return nil
}

// weighted is floor(sum of weight*score / 10^4). The sum is below 2^78: two words.
func weighted(weights []Bps, scores []Wad) Wad {
	var hi, lo uint64
	for i, w := range weights {
		h, l := bits.Mul64(uint64(w), uint64(scores[i]))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi += h + carry
	}
	q, _ := bits.Div64(hi, lo, uint64(Whole))
	return Wad(q)
}
