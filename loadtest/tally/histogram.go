package tally

import (
	"math/bits"
	"slices"
	"time"
)

// Histogram counts durations in buckets of an eighth of an octave, from 1 us.
// The zero value is empty.
type Histogram struct{ counts [256]uint64 }

// Add counts a duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) { h.counts[bucket(d)]++ }

// Merge adds the counts of another histogram.
func (h *Histogram) Merge(o *Histogram) {
	for i := range h.counts {
		h.counts[i] += o.counts[i]
	}
}

// Quantile returns the lower edge of the bucket that holds the q-th part of
// the durations, 0 <= q <= 1; 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	var total uint64
	for _, n := range h.counts {
		total += n
	}
	want, passed := uint64(q*float64(total)), uint64(0)
	for i, n := range h.counts {
		passed += n
		if passed > want || passed == total && n > 0 {
			return edge(i)
		}
	}
	return 0
}

// bucket is exact below 8 us; above, three bits follow the highest one.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 8 {
		return int(us)
	}
	octave := bits.Len64(us) - 4
	return min(8*octave+int(us>>octave), 255)
}

func edge(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket) * time.Microsecond
	}
	octave := bucket/8 - 1
	return time.Duration(8+bucket%8) << octave * time.Microsecond
}

// Percentile returns the q-th part of values, 0 <= q <= 1, without changing
// them; 0 when there are none.
func Percentile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
