package shape

import (
	"math"
	"math/rand/v2"
	"time"
)

// chance makes the random choices for one packet after the other.
type chance struct {
	loss, burst, jitter, twice, late *rand.Rand

	bad     bool    // state of the link after the last packet
	wander  float64 // standard normal variate of the last jitter
	started bool    // wander is set
	rest    int     // packets that may not be held back after the last that was
}

// choice is what happens to one packet.
type choice struct {
	lost   bool
	twice  bool
	flight time.Duration // Delay with Jitter
	late   time.Duration // more for a packet that is held back
}

func newChance(seed uint64) chance {
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	return chance{loss: stream(1), burst: stream(2), jitter: stream(3), twice: stream(4), late: stream(5)}
}

func (c *chance) next(s Settings) choice {
	lost := c.single(s.Loss.Probability)
	lost = c.inBurst(s.Loss.Burst) || lost
	return choice{
		lost:   lost,
		twice:  s.Duplicate > 0 && c.twice.Float64() < s.Duplicate,
		flight: max(0, s.Delay+c.spread(s.Jitter)),
		late:   c.holdBack(s.Reorder),
	}
}

func (c *chance) single(probability float64) bool {
	return probability > 0 && c.loss.Float64() < probability
}

func (c *chance) inBurst(b Burst) bool {
	if b.Enter == 0 {
		c.bad = false
		return false
	}
	loss, turn := b.InGood, b.Enter
	if c.bad {
		loss, turn = b.InBad, b.Leave
	}
	lost := c.burst.Float64() < loss
	if c.burst.Float64() < turn {
		c.bad = !c.bad
	}
	return lost
}

// spread draws from the distribution by its quantiles, at the probability that
// a first-order autoregressive normal process stands at. So the distribution
// is the one named whatever the correlation.
func (c *chance) spread(j Jitter) time.Duration {
	if j.Spread == 0 {
		return 0
	}
	innovation := c.jitter.NormFloat64()
	if c.started {
		c.wander = j.Correlation*c.wander + math.Sqrt(1-j.Correlation*j.Correlation)*innovation
	} else {
		c.wander, c.started = innovation, true
	}
	return time.Duration(float64(j.Spread) * quantile(j.Distribution, c.wander))
}

// quantile returns the value that d, with a spread of one, stays below as
// often as a standard normal variate stays below z.
func quantile(d Distribution, z float64) float64 {
	above := math.Erfc(z/math.Sqrt2) / 2 // chance of more than z
	switch d {
	case Normal:
		return z
	case Exponential:
		return -math.Log(above)
	case Pareto:
		return 2 * (math.Pow(above, -1./3) - 1)
	}
	return 1 - 2*above
}

func (c *chance) holdBack(r Reorder) time.Duration {
	if r.Probability == 0 {
		c.rest = 0
		return 0
	}
	drawn := c.late.Float64() < r.Probability
	if c.rest > 0 {
		c.rest--
		return 0
	}
	if !drawn {
		return 0
	}
	c.rest = r.Gap
	return r.Late
}
