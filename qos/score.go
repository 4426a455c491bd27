package qos

import (
	"errors"
	"fmt"
	"math"

	"github.com/drtc-network/drtc/econ"
)

// ErrSample is returned for a sample outside spec Q1; the text names sample,
// field and range.
var ErrSample = errors.New("qos: sample")

// MaxSamples bounds a series: 20 minutes of seconds, with room.
const MaxSamples = 2048

// Sample is what was measured in one interval of a test.
type Sample struct {
	BitrateKbps float64 // received, not negative
	RTTMs       float64 // not negative
	Loss        float64 // fraction of packets lost, 0 to 1
}

// Validate names the first field that is not a number in its range.
func (s Sample) Validate() error {
	for _, f := range []struct {
		name        string
		value, most float64
	}{{"bitrate", s.BitrateKbps, math.MaxFloat64}, {"round trip", s.RTTMs, math.MaxFloat64}, {"loss", s.Loss, 1}} {
		if !(f.value >= 0 && f.value <= f.most) { // so that NaN is refused
			return fmt.Errorf("%w: %s is %v, want a finite number that is not negative (a loss at most 1)", ErrSample, f.name, f.value)
		}
	}
	return nil
}

// Buckets are those of a series, one per sample in each list.
type Buckets struct{ Bitrate, Latency, Loss []Bucket }

// Scores are how many samples of each series are good: B, L and F of the
// whitepaper as exact fractions.
type Scores struct{ Bitrate, Latency, Loss econ.Tally }

// Classify puts each sample of a test into its buckets (spec Q2, Q3). The error
// wraps ErrSample or ErrOptions.
func Classify(samples []Sample, o Options) (Buckets, error) {
	if err := o.Validate(); err != nil {
		return Buckets{}, err
	}
	if len(samples) > MaxSamples {
		return Buckets{}, fmt.Errorf("%w: there are %d, want at most %d", ErrSample, len(samples), MaxSamples)
	}
	n := len(samples)
	b := Buckets{Bitrate: make([]Bucket, n), Latency: make([]Bucket, n), Loss: make([]Bucket, n)}
	bitrate := series{Options: o, alpha: o.AlphaBitrate, bucket: BitrateBucket}
	latency := series{Options: o, alpha: o.AlphaRTT, bucket: LatencyBucket}
	for i, s := range samples {
		if err := s.Validate(); err != nil {
			return Buckets{}, fmt.Errorf("sample %d: %w", i, err)
		}
		b.Bitrate[i], b.Latency[i] = bitrate.next(s.BitrateKbps), latency.next(s.RTTMs)
		b.Loss[i] = FractionalLossBucket(s.Loss)
	}
	return b, nil
}

// series follows the average of one metric.
type series struct {
	Options
	alpha  float64
	bucket func(value float64, ewma *float64) Bucket
	ewma   *float64
}

func (s *series) next(value float64) Bucket {
	if s.ewma == nil {
		switch {
		case s.Seed == SeedZero:
			s.ewma = new(float64)
		case s.Seed == SeedFirst || s.Order == UpdateThenClassify:
			s.ewma = &value
			return s.bucket(value, s.ewma)
		default:
			s.ewma = &value
			return s.bucket(value, nil)
		}
	}
	updated := EWMA(s.alpha, value, *s.ewma)
	against := s.ewma
	if s.Order == UpdateThenClassify {
		against = &updated
	}
	s.ewma = &updated
	return s.bucket(value, against)
}

// Scores counts the good ones.
func (b Buckets) Scores() Scores {
	return Scores{Bitrate: count(b.Bitrate), Latency: count(b.Latency), Loss: count(b.Loss)}
}

func count(buckets []Bucket) econ.Tally {
	t := econ.Tally{Total: uint64(len(buckets))}
	for _, b := range buckets {
		if b == Good {
			t.Good++
		}
	}
	return t
}

// Evaluate is B, L and F of a test (spec Q3). The error is that of Classify.
func Evaluate(samples []Sample, o Options) (Scores, error) {
	b, err := Classify(samples, o)
	if err != nil {
		return Scores{}, err
	}
	return b.Scores(), nil
}

// V is F (B + L) / 2 times adequacy, rounded down once; 0 when there are no
// samples (spec Q4, E7). The whitepaper's V has an adequacy of econ.One. The
// error wraps econ.ErrDomain: more good samples than samples, or an adequacy
// above one.
func (s Scores) V(adequacy econ.Wad) (econ.Wad, error) {
	return econ.Quality(s.Loss, s.Bitrate, s.Latency, adequacy)
}
