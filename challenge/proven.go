package challenge

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// ErrKind is returned for a test of another kind than was asked about.
var ErrKind = errors.New("challenge: not a test of capacity")

// Pair are the reports of one of the Challengers of a test; one may be nil.
type Pair struct{ Prover, Challenger *Report }

// Proven is what a Prover showed in a Capacity test, in Mbit/s, and the verdict on
// each pair (spec Q22). In every interval of the order it sums what the Challengers
// received in it, none above the order's rate, and takes the lower median of the
// sums: what was there for half of the time, at once. Pairs whose test is void and
// intervals that were not measured add nothing. 0 is not known.
//
// One liar of m Challengers adds at most his share, 1/m of what was ordered.
func Proven(o *Order, pairs []Pair, rules Rules) (mbps uint32, verdicts []Verdict, err error) {
	if o.Kind != Capacity {
		return 0, nil, fmt.Errorf("%w: it is of kind %s", ErrKind, o.Kind)
	}
	sums := make([]uint64, o.Samples()) // bit/s
	seen := map[drtc.NodeID]bool{}
	for _, p := range pairs {
		v, err := Judge(o, p.Prover, p.Challenger, rules)
		if err != nil {
			return 0, nil, err
		}
		if seen[v.Challenger] {
			return 0, nil, fmt.Errorf("%w: challenger %s is there twice", ErrForeign, v.Challenger)
		}
		seen[v.Challenger] = true
		verdicts = append(verdicts, v)
		if v.Void != 0 {
			continue
		}
		for i := 1; i < len(p.Challenger.Samples); i++ {
			sums[i-1] += min(received(p.Challenger.Samples[i-1], p.Challenger.Samples[i]), uint64(o.RateKbps)*1000)
		}
	}
	slices.Sort(sums)
	return uint32(sums[(len(sums)-1)/2] / 1_000_000), verdicts, nil
}

// received is the rate between two samples in bit/s, rounded down. Bytes are below
// 2^48 and the time is at least a millisecond.
func received(a, b Sample) uint64 {
	hi, lo := bits.Mul64(b.Bytes-a.Bytes, 8*1e6)
	us := uint64((b.At - a.At) / time.Microsecond)
	if hi >= us {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, us)
	return q
}
