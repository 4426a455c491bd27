package tally

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/loadtest/traffic"
)

var epoch = time.Unix(1_700_000_000, 0)

func packet(window uint8, sequence uint64) traffic.Trailer {
	return traffic.Trailer{Kind: traffic.Video, Window: window, Sequence: sequence, Sent: epoch.UnixNano()}
}

func TestTrack_countsWhatWasSentInTheWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		// in order of arrival: sequence numbers, negative ones outside of the window
		arrivals []int
		want     Counts
	}{
		{"nothing", nil, Counts{}},
		{"sent before and after the window", []int{-1, 2, 3, -4}, Counts{Unique: 2, Bytes: 200, Span: 2}},
		{"late, behind a packet of after the window", []int{2, -4, 3}, Counts{Unique: 2, Bytes: 200, Span: 2}},
		{"twice", []int{2, 3, 2, 3, 3}, Counts{Unique: 2, Duplicates: 3, Bytes: 200, Span: 2}},
		{"a duplicate of before the window", []int{-1, -1, 2}, Counts{Unique: 1, Bytes: 100, Span: 1}},
		{"out of order", []int{5, 3, 4, 2, 9}, Counts{Unique: 5, Bytes: 500, Span: 8}},
		{"a gap is nobody's packet", []int{2, 4}, Counts{Unique: 2, Bytes: 200, Span: 3}},
		{"late by as much as is remembered", []int{5000, 5000 - 4095, 5000 - 4095}, Counts{Unique: 2, Duplicates: 1, Bytes: 200, Span: 4096}},
		{"later than that", []int{5000, 5000 - 4096}, Counts{Unique: 1, Ancient: 1, Bytes: 100, Span: 1}},
		{"a jump forgets", []int{7, 7 + 4096, 8 + 4096}, Counts{Unique: 3, Bytes: 300, Span: 4098}},
		{"a smaller jump does not", []int{7, 7 + 4095, 7}, Counts{Unique: 2, Duplicates: 1, Bytes: 200, Span: 4096}},
	} {
		track := NewTrack(3)
		for _, n := range c.arrivals {
			window := uint8(3)
			if n < 0 {
				n, window = -n, 0
			}
			track.Add(packet(window, uint64(n)), 100, epoch)
		}
		track.Add(packet(4, 1), 100, epoch) // of another run
		if got := track.Counts(); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestTrack_agreesWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		track := NewTrack(1)
		seen := map[uint64]bool{}
		var want Counts
		low, high, started := uint64(0), uint64(0), false
		for range rapid.IntRange(1, 400).Draw(t, "arrivals") {
			step := rapid.Int64Range(-5000, 5000).Draw(t, "step")
			if near := rapid.Bool().Draw(t, "near"); near {
				step %= 8
			}
			n := uint64(max(0, int64(high)+step))
			switch {
			case started && n+remembered <= high:
				want.Ancient++
				track.Add(packet(1, n), 10, epoch)
				continue
			case seen[n]:
				want.Duplicates++
			default:
				want.Unique++
				want.Bytes += 10
			}
			if !started {
				low = n
			}
			seen[n], started = true, true
			low, high = min(low, n), max(high, n)
			want.Span = high - low + 1
			track.Add(packet(1, n), 10, epoch)
		}
		if got := track.Counts(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestTrack_delayIsOfUniquePackets(t *testing.T) {
	track := NewTrack(1)
	track.Add(packet(1, 1), 10, epoch.Add(2*time.Microsecond))
	track.Add(packet(1, 1), 10, epoch.Add(7*time.Microsecond))
	track.Add(packet(0, 2), 10, epoch.Add(7*time.Microsecond))
	track.Add(traffic.Trailer{Window: 1, Sequence: 3}, 10, epoch) // when it was sent is not known
	var h Histogram
	track.MergeDelay(&h)
	if got := h.Quantile(1); got != 2*time.Microsecond {
		t.Errorf("the longest delay is %v, want 2µs", got)
	}
}

func TestHistogram_quantilesAreWithinAnEighth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(20*time.Second)), 1, 200).Draw(t, "durations")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h, other Histogram
		for i, v := range values {
			if i%2 == 0 {
				h.Add(time.Duration(v))
			} else {
				other.Add(time.Duration(v))
			}
		}
		h.Merge(&other)
		slices.Sort(values)
		want := time.Duration(values[min(int(q*float64(len(values))), len(values)-1)])
		got := h.Quantile(q)
		if got > want || float64(got) < float64(want)*8/9-float64(time.Microsecond) {
			t.Errorf("the %v quantile is %v, want at most %v and not less than 8/9 of it", q, got, want)
		}
	})
}

func TestHistogram_edges(t *testing.T) {
	var h Histogram
	if got := h.Quantile(.5); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	h.Add(-time.Second)
	if got := h.Quantile(.5); got != 0 {
		t.Errorf("of a clock that went back: %v, want 0", got)
	}
	h.Add(100 * time.Hour)
	if got := h.Quantile(1); got <= time.Hour {
		t.Errorf("of 100 hours: %v, want the last bucket", got)
	}
}

func TestPercentile(t *testing.T) {
	if got := Percentile(nil, .5); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	values := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, .5: 3, .95: 5, 1: 5} {
		if got := Percentile(values, q); got != want {
			t.Errorf("the %v percentile is %v, want %v", q, got, want)
		}
	}
	if values[0] != 5 {
		t.Error("the values were sorted in place")
	}
}
