package challenge

import (
	"math/bits"
	"time"
)

// maxBurst is how far a Pacer lets a late sender catch up. What is older is
// forfeited, so that a stall shows in the samples and no burst follows it.
const maxBurst = 250 * time.Millisecond

// Pacer says when the packets of a constant-bit-rate stream are due: packet n at
// n packets' time, never before, so that never more is sent than was ordered
// (spec Q14).
type Pacer struct {
	start       time.Time
	rateKbps    uint64
	packetBytes uint64
	sent        uint64
}

// NewPacer paces a stream from now on by the rate and packets of an order.
func NewPacer(now time.Time, o *Order) *Pacer {
	return &Pacer{start: now, rateKbps: uint64(o.RateKbps), packetBytes: uint64(o.PacketBytes)}
}

// Due is how many packets are to be sent now. They count as sent.
func (p *Pacer) Due(now time.Time) int {
	due := p.at(now.Sub(p.start))
	if oldest := p.at(now.Sub(p.start) - maxBurst); p.sent < oldest {
		// The clock of the stream goes on from here.
		p.start = p.start.Add(p.time(oldest) - p.time(p.sent))
		due = p.at(now.Sub(p.start))
	}
	n := due - min(due, p.sent)
	p.sent += n
	return int(n)
}

// Next is when the next packet is due.
func (p *Pacer) Next() time.Time { return p.start.Add(p.time(p.sent + 1)) }

// at is how many packets are due after d: floor(d rate / 8 / size).
func (p *Pacer) at(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	// kbit/s times nanoseconds are 10^-6 bits.
	hi, lo := bits.Mul64(uint64(d), p.rateKbps)
	q, _ := bits.Div64(hi, lo, p.packetBytes*8*1e6)
	return q
}

// time is when n packets are due: the first nanosecond at which at gives n.
func (p *Pacer) time(n uint64) time.Duration {
	hi, lo := bits.Mul64(n, p.packetBytes*8*1e6)
	lo, carry := bits.Add64(lo, p.rateKbps-1, 0)
	q, _ := bits.Div64(hi+carry, lo, p.rateKbps)
	return time.Duration(q)
}
