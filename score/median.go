package score

import (
	"math/bits"

	"github.com/drtc-network/drtc/econ"
)

// weighted is a value and how much it counts.
type weighted struct {
	value  econ.Wad
	weight uint32
}

// median of values in ascending order: the middle of the least value at which
// half of the weight is reached and the least at which more than half is (spec
// K6). ok is false when nothing weighs anything.
func median(ordered []weighted) (value econ.Wad, ok bool) {
	var total uint64
	for _, w := range ordered {
		total += uint64(w.weight)
	}
	if total == 0 {
		return 0, false
	}
	var sum uint64
	for i, w := range ordered {
		sum += uint64(w.weight)
		if 2*sum > total {
			return w.value, true
		}
		if 2*sum == total {
			upper := i + 1
			for ordered[upper].weight == 0 {
				upper++
			}
			return w.value + (ordered[upper].value-w.value)/2, true
		}
	}
	panic("score: half of a weight was not reached")
}

// mulDiv is floor(a*b/c), saturated at the greatest uint64.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}
