package shape

import (
	"fmt"
	"time"
)

// Settings says what one direction of a link does. The zero value passes every
// packet at once.
type Settings struct {
	// Down cuts the link: arriving packets and those in the queue are gone,
	// those in flight still arrive.
	Down bool
	// Delay is the time of flight, zero or more. It does not include the time
	// that Rate takes.
	Delay     time.Duration
	Jitter    Jitter
	Loss      Loss
	Duplicate float64 // chance that a packet arrives twice, in [0, 1]
	Reorder   Reorder
	Rate      Rate
	// MTU is the largest packet in bytes. A larger one disappears without a
	// word to its sender, as on a path that filters ICMP. Zero is no limit.
	MTU int
}

// Distribution names how Jitter spreads.
type Distribution int

// The distributions, each with what Jitter.Spread means to it. A time of flight
// below zero counts as zero.
const (
	Uniform     Distribution = iota // Delay ± Spread, every value as likely
	Normal                          // Delay plus a normal variate of deviation Spread
	Exponential                     // Delay plus an exponential variate of mean Spread: never early, as behind queues
	Pareto                          // Delay plus a Lomax variate of mean Spread and shape 3: rare delays of many Spreads
)

// String returns the distribution's name in lower case.
func (d Distribution) String() string {
	switch d {
	case Uniform:
		return "uniform"
	case Normal:
		return "normal"
	case Exponential:
		return "exponential"
	case Pareto:
		return "pareto"
	}
	return fmt.Sprintf("distribution %d", int(d))
}

// Jitter varies the time of flight from packet to packet.
type Jitter struct {
	Distribution Distribution
	Spread       time.Duration // zero or more; zero is no jitter
	// Correlation of a packet's jitter with the one before, in [0, 1): 0 draws
	// each anew, near 1 the delay wanders. It does not change Distribution.
	Correlation float64
	// Overtake lets a packet of little delay arrive before an earlier one of
	// much. Without it packets wait for those before them, which narrows the
	// distribution where they follow each other faster than Spread.
	Overtake bool
}

// Loss says which packets disappear in flight. With both parts set, a packet is
// lost if either says so.
type Loss struct {
	Probability float64 // of each packet by itself, in [0, 1]
	Burst       Burst
}

// Burst is loss by the model of Gilbert and Elliott: the link is good or bad
// and changes between packets. Every packet is first judged by the state, then
// the state may change.
type Burst struct {
	Enter  float64 // chance to turn bad after a packet, in [0, 1]; zero is no bursts
	Leave  float64 // chance to turn good after a packet, in (0, 1]
	InGood float64 // chance of loss while good, in [0, 1]
	InBad  float64 // chance of loss while bad, in [0, 1]
}

// Bursts returns the Burst that loses the share rate of all packets, in [0, 1),
// in bursts of mean packets, at least 1, on average. Nothing is lost between
// them. Validate refuses what no such Burst can do: a rate above mean/(mean+1).
func Bursts(rate, mean float64) Burst {
	if rate == 0 {
		return Burst{}
	}
	leave := 1 / mean
	return Burst{Enter: leave * rate / (1 - rate), Leave: leave, InBad: 1}
}

// Reorder holds single packets back so that later ones overtake them.
type Reorder struct {
	Probability float64       // chance to be held back, in [0, 1]
	Late        time.Duration // how much longer such a packet flies, more than zero
	Gap         int           // packets after a held one that are not held, zero or more
}

// Rate is the bottleneck: a token bucket before which packets wait in a queue.
type Rate struct {
	// BitsPerSecond counts IP packets with their headers. Zero is no limit.
	BitsPerSecond int64
	// Burst is the depth of the token bucket in bytes: as much passes at once
	// after a pause. With zero every packet takes its time of transmission.
	Burst int
	// QueueBytes and QueueTime bound the queue: a packet that would make it hold
	// more bytes, or wait longer for its turn, is dropped. An empty queue takes
	// every packet. With both zero DefaultQueue is the bound.
	QueueBytes int
	QueueTime  time.Duration
}

// DefaultQueue bounds the queue of a Rate that has no bound of its own, and is
// what access links of homes commonly have.
const DefaultQueue = 200 * time.Millisecond

// Validate names the first field that is out of its range.
func (s Settings) Validate() error {
	chances := []struct {
		field string
		value float64
	}{
		{"Loss.Probability", s.Loss.Probability},
		{"Loss.Burst.Enter", s.Loss.Burst.Enter},
		{"Loss.Burst.Leave", s.Loss.Burst.Leave},
		{"Loss.Burst.InGood", s.Loss.Burst.InGood},
		{"Loss.Burst.InBad", s.Loss.Burst.InBad},
		{"Duplicate", s.Duplicate},
		{"Reorder.Probability", s.Reorder.Probability},
	}
	for _, c := range chances {
		if !(c.value >= 0 && c.value <= 1) { // also refuses NaN
			return fmt.Errorf("shape: %s is %v, give a probability from 0 to 1", c.field, c.value)
		}
	}
	amounts := []struct {
		field string
		value int64
	}{
		{"Delay", int64(s.Delay)},
		{"Jitter.Spread", int64(s.Jitter.Spread)},
		{"Reorder.Late", int64(s.Reorder.Late)},
		{"Reorder.Gap", int64(s.Reorder.Gap)},
		{"Rate.BitsPerSecond", s.Rate.BitsPerSecond},
		{"Rate.Burst", int64(s.Rate.Burst)},
		{"Rate.QueueBytes", int64(s.Rate.QueueBytes)},
		{"Rate.QueueTime", int64(s.Rate.QueueTime)},
		{"MTU", int64(s.MTU)},
	}
	for _, a := range amounts {
		if a.value < 0 {
			return fmt.Errorf("shape: %s is negative, give zero or more", a.field)
		}
	}
	switch {
	case s.Jitter.Distribution < Uniform || s.Jitter.Distribution > Pareto:
		return fmt.Errorf("shape: Jitter.Distribution is %v, give Uniform, Normal, Exponential or Pareto", s.Jitter.Distribution)
	case !(s.Jitter.Correlation >= 0 && s.Jitter.Correlation < 1):
		return fmt.Errorf("shape: Jitter.Correlation is %v, give 0 or more and less than 1", s.Jitter.Correlation)
	case s.Loss.Burst.Enter > 0 && s.Loss.Burst.Leave == 0:
		return fmt.Errorf("shape: Loss.Burst.Leave is 0: a bad link would never be good again; to cut it set Down")
	case s.Loss.Burst.Enter == 0 && s.Loss.Burst != Burst{}:
		return fmt.Errorf("shape: Loss.Burst.Enter is 0, so the rest of Burst does nothing; for loss of single packets set Loss.Probability")
	case s.Reorder.Probability > 0 && s.Reorder.Late == 0:
		return fmt.Errorf("shape: Reorder.Late is 0, give the time that a packet is held back")
	case s.Rate.BitsPerSecond == 0 && s.Rate != Rate{}:
		return fmt.Errorf("shape: Rate.BitsPerSecond is 0, so the rest of Rate does nothing")
	}
	return nil
}
