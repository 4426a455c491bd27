package record

import "time"

// bucket is a token bucket, kept as the Unix time in nanoseconds at which it is
// full again. Only genuine records are charged, so that a stranger cannot use up
// an issuer's updates by forgeries.
type bucket int64

// wait is how long until an update may come; 0 or less is now.
func (b bucket) wait(now time.Time, k *Kind) time.Duration {
	if k.RateEvery == 0 {
		return 0
	}
	return time.Duration(int64(b)-now.UnixNano()) - time.Duration(k.RateBurst-1)*k.RateEvery
}

func (b *bucket) take(now time.Time, k *Kind) {
	*b = max(*b, bucket(now.UnixNano())) + bucket(k.RateEvery)
}
