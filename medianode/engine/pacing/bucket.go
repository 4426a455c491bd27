package pacing

import "time"

// Bucket is a token bucket: Burst tokens at most, as many anew per Interval.
// It is full at the first Take.
type Bucket struct {
	Burst    int
	Interval time.Duration

	tokens float64
	at     time.Time // of the last refill
}

// Take takes n tokens if there are as many.
func (b *Bucket) Take(now time.Time, n int) bool {
	b.refill(now)
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Next is when the bucket is full: who waits for that sends few, large bursts.
func (b *Bucket) Next(now time.Time) time.Time {
	b.refill(now)
	missing := (float64(b.Burst) - b.tokens) / float64(b.Burst)
	return now.Add(time.Duration(missing * float64(b.Interval)))
}

func (b *Bucket) refill(now time.Time) {
	elapsed := now.Sub(b.at)
	switch {
	case b.at.IsZero() || elapsed >= b.Interval:
		b.tokens = float64(b.Burst)
	case elapsed > 0:
		b.tokens = min(b.tokens+float64(elapsed)/float64(b.Interval)*float64(b.Burst), float64(b.Burst))
	default:
		return
	}
	b.at = now
}
