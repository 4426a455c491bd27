package shape

import (
	"math"
	"math/bits"
	"time"
)

// queue is the bottleneck: packets in order of arrival before a token bucket.
//
// The bucket is kept as a time: it has been used up to free, and what has
// passed since, up to the bucket's depth, are the tokens. Transmission of a
// packet starts at free, or at its arrival less the depth, whichever is later.
// Fractions of a nanosecond are carried in carry/BitsPerSecond, so that n
// packets take exactly the time of all their bits.
type queue struct {
	slots []packet
	head  int // of slots; those before it are gone
	bytes int
	free  time.Time
	carry int64
	sent  int64 // bits of the first packet that went at an earlier rate
}

func (q *queue) len() int { return len(q.slots) - q.head }

// depth returns the time in which rate fills an empty bucket.
func depth(rate Rate) time.Duration { return duration(inBits(rate.Burst), rate) }

// start returns when transmission of a packet that arrived then begins if
// nothing is before it, and the carry at that time.
func (q *queue) start(arrived time.Time, rate Rate) (time.Time, int64) {
	if full := arrived.Add(-depth(rate)); full.After(q.free) {
		return full, 0
	}
	return q.free, q.carry
}

// done returns when the first packet leaves.
func (q *queue) done(rate Rate) (at time.Time, busy bool) {
	if q.len() == 0 {
		return time.Time{}, false
	}
	first := q.slots[q.head]
	at, _ = q.finish(rate)
	if first.arrived.After(at) { // there were tokens for it
		at = first.arrived
	}
	return at, true
}

// finish returns until when and with which carry the bucket is used by the
// first packet.
func (q *queue) finish(rate Rate) (time.Time, int64) {
	first := q.slots[q.head]
	if rate.BitsPerSecond == 0 {
		return q.free, 0
	}
	start, carry := q.start(first.arrived, rate)
	work := (inBits(len(first.bytes))-q.sent)*int64(time.Second) + carry
	return start.Add(time.Duration(work / rate.BitsPerSecond)), work % rate.BitsPerSecond
}

// takes reports whether there is room for a packet of size bytes at now.
func (q *queue) takes(now time.Time, size int, rate Rate) bool {
	first, busy := q.done(rate)
	if !busy || rate.BitsPerSecond == 0 {
		return true
	}
	if rate.QueueBytes > 0 && q.bytes+size > rate.QueueBytes {
		return false
	}
	longest := rate.QueueTime
	if longest == 0 && rate.QueueBytes == 0 {
		longest = DefaultQueue
	}
	behind := inBits(q.bytes - len(q.slots[q.head].bytes))
	return longest == 0 || first.Sub(now)+duration(behind, rate) <= longest
}

func (q *queue) push(p packet) {
	if q.head > 1024 && q.head > len(q.slots)/2 {
		n := copy(q.slots, q.slots[q.head:])
		clear(q.slots[n:])
		q.slots, q.head = q.slots[:n], 0
	}
	q.slots = append(q.slots, p)
	q.bytes += len(p.bytes)
}

// pop takes the first packet, which must be done.
func (q *queue) pop(rate Rate) packet {
	q.free, q.carry = q.finish(rate)
	q.sent = 0
	first := q.slots[q.head]
	q.slots[q.head] = packet{}
	q.head++
	if q.len() == 0 {
		q.slots, q.head = q.slots[:0], 0
	}
	q.bytes -= len(first.bytes)
	return first
}

// rerate goes over to another rate at now, when no packet is due any more.
func (q *queue) rerate(now time.Time, from, to Rate) {
	if from == to {
		return
	}
	switch {
	case from.BitsPerSecond == 0:
		q.free = now // the new bucket is empty
	case q.len() > 0:
		first := q.slots[q.head]
		if start, _ := q.start(first.arrived, from); start.Before(now) {
			q.sent += amount(now.Sub(start), from)
		}
		q.free = now
	case to.BitsPerSecond > 0:
		// Tokens stay, as far as the new bucket holds them.
		tokens := amount(min(now.Sub(q.free), depth(from)), from)
		q.free = now.Add(-duration(tokens, to))
	}
	q.carry = 0
}

// clear empties the queue and returns what was in it, for reading before the
// next push.
func (q *queue) clear() []packet {
	packets := q.slots[q.head:]
	q.slots, q.head, q.bytes, q.sent = nil, 0, 0, 0
	return packets
}

func inBits(bytes int) int64 { return int64(bytes) * 8 }

// duration returns how long rate takes for that many bits, rounded down.
func duration(n int64, rate Rate) time.Duration {
	return time.Duration(scale(n, int64(time.Second), rate.BitsPerSecond))
}

// amount returns how many bits rate sends in d, rounded down.
func amount(d time.Duration, rate Rate) int64 {
	return scale(int64(d), rate.BitsPerSecond, int64(time.Second))
}

// scale returns n*times/by without overflow on the way; all are zero or more.
func scale(n, times, by int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(times))
	if high >= uint64(by) {
		return math.MaxInt64
	}
	result, _ := bits.Div64(high, low, uint64(by))
	return int64(min(result, math.MaxInt64))
}
