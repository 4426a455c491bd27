package record

import "time"

// bucket is the token bucket of one key, kept as the time at which it is full
// again. Only genuine records are charged, so that a stranger cannot use up an
// issuer's updates by forgeries.
type bucket struct{ full time.Time }

// ready reports whether an update may come at now.
func (b bucket) ready(now time.Time, r Rules) bool { return b.wait(now, r) <= 0 }

// wait is how long until ready.
func (b bucket) wait(now time.Time, r Rules) time.Duration {
	if r.RateEvery == 0 || !b.full.After(now) { // the zero time is too far for Sub
		return 0
	}
	return b.full.Sub(now) - time.Duration(r.RateBurst-1)*r.RateEvery
}

func (b *bucket) take(now time.Time, r Rules) {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(r.RateEvery)
}
