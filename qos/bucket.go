package qos

// Bucket is what algorithms 3, 4 and 5 make of a value.
type Bucket string

// The buckets. A value that there is no average to compare with is in none.
const (
	None Bucket = ""
	Good Bucket = "good"
	Bad  Bucket = "bad"
)

// Thresholds of the algorithms (spec Q3).
const (
	bitrateFloorKbps = 100  // algorithm 3
	bitrateShare     = 0.15 // of the average, algorithm 3
	lossMost         = 0.05 // algorithm 4
	latencyMs        = 20   // algorithm 5
)

// A float64() around a product keeps the compiler from fusing it with the sum
// after it, which some processors would round differently (spec Q1).

// EWMA is alpha value + (1 - alpha) previous.
func EWMA(alpha, value, previous float64) float64 {
	return float64(alpha*value) + float64(float64(1-alpha)*previous)
}

// BitrateBucket is algorithm 3, in kbit/s: bad is further from the average than
// 100 kbit/s and than 15 % of it.
func BitrateBucket(value float64, ewma *float64) Bucket {
	if ewma == nil {
		return None
	}
	return within(distance(value, *ewma), max(bitrateFloorKbps, float64(*ewma*bitrateShare)))
}

// FractionalLossBucket is algorithm 4: bad is more than 0.05.
func FractionalLossBucket(value float64) Bucket { return within(value, lossMost) }

// LatencyBucket is algorithm 5, in milliseconds: bad is further than 20 from the
// average.
func LatencyBucket(value float64, ewma *float64) Bucket {
	if ewma == nil {
		return None
	}
	return within(distance(value, *ewma), latencyMs)
}

func within(value, threshold float64) Bucket {
	if threshold < value {
		return Bad
	}
	return Good
}

func distance(a, b float64) float64 {
	if a < b {
		return b - a
	}
	return a - b
}
