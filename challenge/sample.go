package challenge

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Side is which of the two somebody is.
type Side uint8

// The sides of a test.
const (
	Prover     Side = iota + 1 // sends
	Challenger                 // receives
)

// String is the name of the side.
func (s Side) String() string {
	switch s {
	case Prover:
		return "prover"
	case Challenger:
		return "challenger"
	}
	return fmt.Sprintf("side %d", uint8(s))
}

// Counters are what a side has counted of the stream since its first packet.
// Packets that are sent again, padding and probes do not count.
type Counters struct {
	Bytes   uint64 // RTP headers and payloads, sent or received
	Packets uint64 // sent or received, each once
	// Expected is how many packets there should be by the highest sequence number:
	// of the Challenger the highest that came, of the Prover the highest that a
	// receiver report told it of.
	Expected uint64
	// Lost is how many of Expected are missing: of the Prover what the same receiver
	// report said, of the Challenger Expected less Packets, which its session fills in.
	Lost uint64
	// Trip is the last round trip that this side measured itself, 0 for none in this
	// interval: whole microseconds below an hour, what is finer is cut off.
	Trip time.Duration
	// Jitter is that of RFC 3550 in units of the RTP clock.
	Jitter uint32
}

// Sample is what a side had counted at a time.
type Sample struct {
	At time.Duration // since the measured part began, by this side's clock; whole microseconds
	Counters
}

const (
	sampleSize = 5*8 + 2*4
	maxCounter = 1 << 48
	maxTrip    = time.Hour
)

func (s Sample) append(b []byte) []byte {
	for _, v := range []uint64{uint64(s.At / time.Microsecond), s.Bytes, s.Packets, s.Expected, s.Lost} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(s.Trip/time.Microsecond))
	return binary.BigEndian.AppendUint32(b, s.Jitter)
}

func (r *reader) sample() Sample {
	at := r.u64()
	s := Sample{Counters: Counters{Bytes: r.u64(), Packets: r.u64(), Expected: r.u64(), Lost: r.u64()}}
	s.Trip = time.Duration(r.u32()) * time.Microsecond
	s.Jitter = r.u32()
	if at > uint64(maxSpan/time.Microsecond) {
		at = uint64(maxSpan / time.Microsecond) // later than any sample may be
		if r.err == nil {
			r.err = fmt.Errorf("a sample is later than %v", maxSpan)
		}
	}
	s.At = time.Duration(at) * time.Microsecond
	return s
}

// check holds sample i of a side to spec Q16, given the one before it.
func (s Sample) check(i int, side Side, before *Sample, o *Order) error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%w: sample %d of the %s: %s %s", ErrReport, i, side, field, fmt.Sprintf(format, args...))
	}
	due := time.Duration(i) * o.Interval
	switch {
	case s.At < due || s.At >= due+o.Interval:
		return bad("at", "is %v, want %v and less than %v", s.At, due, due+o.Interval)
	case s.At%time.Microsecond != 0 || s.Trip%time.Microsecond != 0 || s.Trip < 0 || s.Trip >= maxTrip:
		return bad("trip", "is %v, want whole microseconds below %v", s.Trip, maxTrip)
	case max(s.Bytes, s.Packets, s.Expected, s.Lost) >= maxCounter:
		return bad("counters", "want all below 2^48")
	case s.Lost > s.Expected:
		return bad("lost", "is %d of %d expected", s.Lost, s.Expected)
	case side == Challenger && s.Packets+s.Lost != s.Expected:
		return bad("lost", "is %d, %d of %d expected were received", s.Lost, s.Packets, s.Expected)
	case side == Prover && s.Expected > s.Packets:
		return bad("expected", "is %d of %d sent", s.Expected, s.Packets)
	case s.Bytes > s.Packets*MaxPacketBytes:
		return bad("bytes", "are %d in %d packets", s.Bytes, s.Packets)
	}
	if before == nil {
		return nil
	}
	switch {
	case s.At < before.At+time.Millisecond:
		return bad("at", "is %v, want at least 1 ms after the one before at %v", s.At, before.At)
	case s.Bytes < before.Bytes || s.Packets < before.Packets || s.Expected < before.Expected:
		return bad("counters", "run backwards")
	case s.Bytes-before.Bytes > (s.Packets-before.Packets)*MaxPacketBytes:
		return bad("bytes", "grew by %d in %d packets", s.Bytes-before.Bytes, s.Packets-before.Packets)
	}
	return nil
}

// Part is who speaks to whom about which order: what a chain of samples begins
// with.
type Part struct {
	Order      [32]byte // Order.ID
	Side       Side     // of Node
	Node, Peer drtc.NodeID
}

// start is the hash of a chain without samples (spec Q15).
func (p Part) start() [32]byte {
	return identity.Keccak256(p.Order[:], []byte{byte(p.Side)}, p.Node[:], p.Peer[:])
}

// extend is the hash of a chain with one sample more.
func extend(chain [32]byte, s Sample) [32]byte {
	return identity.Keccak256(chain[:], s.append(make([]byte, 0, sampleSize)))
}

// peer is the part of the other one.
func (p Part) peer() Part {
	return Part{Order: p.Order, Side: Prover + Challenger - p.Side, Node: p.Peer, Peer: p.Node}
}

// check holds a part to the order that it names.
func (p Part) check(o *Order) error {
	if p.Order != o.ID() {
		return fmt.Errorf("%w: it is of another order", ErrForeign)
	}
	prover, challenger := p.Node, p.Peer
	switch p.Side {
	case Prover:
	case Challenger:
		prover, challenger = challenger, prover
	default:
		return fmt.Errorf("%w: side is %d, want 1 or 2", ErrForeign, p.Side)
	}
	if _, in := o.Target(challenger); !in || prover != o.Prover {
		return fmt.Errorf("%w: node %s as %s against %s has no part in the order", ErrForeign, p.Node, p.Side, p.Peer)
	}
	return nil
}

func (p Part) append(b []byte) []byte {
	b = append(append(b, p.Order[:]...), byte(p.Side))
	return append(append(b, p.Node[:]...), p.Peer[:]...)
}

func (r *reader) part() Part {
	var p Part
	r.fill(p.Order[:])
	p.Side = Side(r.u8())
	r.fill(p.Node[:])
	r.fill(p.Peer[:])
	return p
}

func partFields() []identity.Field {
	return []identity.Field{
		{Name: "order", Type: "bytes32"}, {Name: "side", Type: "uint8"},
		{Name: "node", Type: "address"}, {Name: "peer", Type: "address"},
	}
}

func (p Part) values() []any { return []any{p.Order, uint64(p.Side), p.Node, p.Peer} }
