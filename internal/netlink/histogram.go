package netlink

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations in classes that are a fifth wide: four to each
// doubling.
type histogram struct {
	classes [4 * 64]uint64
	total   uint64
}

func (h *histogram) add(d time.Duration) {
	h.classes[class(d)]++
	h.total++
}

func class(d time.Duration) int {
	n := uint64(max(4, d))
	octave := bits.Len64(n) - 1
	return 4*octave + int(n>>(octave-2)&3)
}

// quantile returns the upper end of the class that holds it.
func (h *histogram) quantile(share float64) time.Duration {
	want := uint64(math.Ceil(share * float64(h.total)))
	var seen uint64
	for i, n := range h.classes {
		if seen += n; n > 0 && seen >= want {
			return time.Duration((5+i%4)<<(i/4)>>2) - 1
		}
	}
	return 0
}
