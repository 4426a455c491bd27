package netsim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Distribution draws the delay of one message. Negative draws count as zero.
type Distribution func(*rand.Rand) time.Duration

// Fixed is always d.
func Fixed(d time.Duration) Distribution {
	return func(*rand.Rand) time.Duration { return d }
}

// Uniform is anything from low to high, high included.
func Uniform(low, high time.Duration) Distribution {
	return func(r *rand.Rand) time.Duration { return low + time.Duration(r.Int64N(int64(high-low)+1)) }
}

// Normal is the bell curve around mean, cut at zero.
func Normal(mean, deviation time.Duration) Distribution {
	return func(r *rand.Rand) time.Duration {
		return max(0, mean+time.Duration(r.NormFloat64()*float64(deviation)))
	}
}

// LongTail is log-normal: half of the messages take less than median, and one
// in forty takes more than median*spread*spread, as on a path with queues.
func LongTail(median time.Duration, spread float64) Distribution {
	sigma := math.Log(spread)
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64()))
	}
}

// Link is the way from one node to another. The zero Link delivers everything
// at once and in order.
type Link struct {
	Delay Distribution // nil: none
	// Loss, Duplicate and Reorder are probabilities of each message. A reordered
	// one is held back by up to ReorderBy while later ones pass it; all others
	// keep their order, whatever their draw of Delay.
	Loss, Duplicate, Reorder float64
	ReorderBy                time.Duration // zero: 100 ms
	// Bandwidth in bytes per second, zero for any; needs Config.Size. A message
	// that would wait longer than Queue for those before it is lost.
	Bandwidth int
	Queue     time.Duration // zero: 1 s
}

const (
	defaultReorderBy = 100 * time.Millisecond
	defaultQueue     = time.Second
	// A frame of a stream that the link loses is sent again after resendAfter,
	// then after twice that, up to maxResend.
	resendAfter = 200 * time.Millisecond
	maxResend   = 3 * time.Second
)

// way is a Link in use, in one direction.
type way struct {
	Link
	last   time.Duration // arrival of the last datagram in order
	stream time.Duration // arrival of the last frame
	busy   time.Duration // when the bytes before are out
}

// transmit is when the bytes of a message have left, or false if the queue is full.
func (w *way) transmit(now time.Duration, size int) (time.Duration, bool) {
	if w.Bandwidth <= 0 || size <= 0 {
		return now, true
	}
	queue := w.Queue
	if queue == 0 {
		queue = defaultQueue
	}
	free := max(now, w.busy)
	if free-now > queue {
		return 0, false
	}
	w.busy = free + time.Duration(float64(size)/float64(w.Bandwidth)*float64(time.Second))
	return w.busy, true
}

// travel draws the delay of one message.
func (w *way) travel(r *rand.Rand) time.Duration {
	if w.Delay == nil {
		return 0
	}
	return max(0, w.Delay(r))
}

// chance is true with probability p and draws nothing when p is zero.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }
