package challenge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

var (
	// ErrOrder is returned for an order outside spec Q9; the text names the field.
	ErrOrder = errors.New("challenge: order")
	// ErrNetwork is returned for an order of another network.
	ErrNetwork = errors.New("challenge: another network")
	// ErrSignature is returned for something that was not signed by who it says.
	ErrSignature = errors.New("challenge: signature")
)

// Bounds of an order.
const (
	MaxNetwork     = 64 // bytes of a network's name
	MaxChallengers = 16
	MaxSamples     = 600 // of one report, besides the first
	MinPacketBytes = 64
	MaxPacketBytes = 1400
	MaxRateKbps    = 1_000_000_000 // 1 Tbit/s
	maxSpan        = 24 * time.Hour
	MaxOrder       = 512 + 24*MaxChallengers // bytes of an order
)

// Kind says what a test is for.
type Kind uint8

// The kinds of tests.
const (
	Quality  Kind = iota + 1 // one of the plan's for every node: V
	Capacity                 // several Challengers at once: provenMbps
	Extra                    // for a node that was flagged: V
)

// String is the name of the kind.
func (k Kind) String() string {
	switch k {
	case Quality:
		return "quality"
	case Capacity:
		return "capacity"
	case Extra:
		return "extra"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Target is a Challenger, whom a stream is sent to, and the round trip that the
// declared places of both allow: qos.RTTBudget in whole milliseconds, 1 ms to a
// minute.
type Target struct {
	ID        drtc.NodeID
	RTTBudget time.Duration
}

// Order has a Prover stream to its Challengers. All but Witness and Signature
// follow from the plan; whoever of the test's witnesses sends it, it is the same
// order.
type Order struct {
	Network     string
	Test        [32]byte // id of the test in the plan
	Attempt     uint8    // 0, and one more each time that it was deferred
	Epoch, Slot uint64
	Kind        Kind
	Prover      drtc.NodeID
	Challengers []Target //  ascending by id
	RateKbps    uint32   // of each stream: RTP headers and payloads
	PacketBytes uint16   // of each packet: RTP header and payload
	// Start is when set-up begins, Latest the latest that a deferred attempt may
	// start; both in whole milliseconds.
	Start, Latest time.Time
	// SetUp, then Duration with a sample each Interval; whole milliseconds.
	SetUp, Duration, Interval time.Duration

	Witness   drtc.NodeID
	Signature identity.Signature
}

// Samples is how many intervals are measured. A whole report has one sample
// more: the one from which they count.
func (o *Order) Samples() int {
	if o.Interval <= 0 {
		return 0
	}
	return int(o.Duration / o.Interval)
}

// Begin is when the measured part begins.
func (o *Order) Begin() time.Time { return o.Start.Add(o.SetUp) }

// End is when the measured part ends.
func (o *Order) End() time.Time { return o.Begin().Add(o.Duration) }

// Target finds one of the order's Challengers.
func (o *Order) Target(id drtc.NodeID) (Target, bool) {
	for _, c := range o.Challengers {
		if c.ID == id {
			return c, true
		}
	}
	return Target{}, false
}

func badOrder(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrOrder, field, fmt.Sprintf(format, args...))
}

// Validate names the first field outside spec Q9.
func (o *Order) Validate() error {
	switch {
	case o.Network == "" || len(o.Network) > MaxNetwork:
		return badOrder("network", "has %d bytes, want 1 to %d", len(o.Network), MaxNetwork)
	case o.Test == [32]byte{}:
		return badOrder("test", "is missing")
	case o.Kind < Quality || o.Kind > Extra:
		return badOrder("kind", "is %d, want 1 to 3", o.Kind)
	case o.Prover.IsZero():
		return badOrder("prover", "is missing")
	case o.Witness.IsZero():
		return badOrder("witness", "is missing")
	case o.RateKbps == 0 || o.RateKbps > MaxRateKbps:
		return badOrder("rateKbps", "is %d, want 1 to %d", o.RateKbps, MaxRateKbps)
	case o.PacketBytes < MinPacketBytes || o.PacketBytes > MaxPacketBytes:
		return badOrder("packetBytes", "is %d, want %d to %d", o.PacketBytes, MinPacketBytes, MaxPacketBytes)
	}
	if err := o.checkTimes(); err != nil {
		return err
	}
	return o.checkChallengers()
}

func (o *Order) checkTimes() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{{"setUp", o.SetUp, 0}, {"interval", o.Interval, 100 * time.Millisecond}, {"duration", o.Duration, o.Interval}} {
		if d.value < d.least || d.value > maxSpan || d.value%time.Millisecond != 0 {
			return badOrder(d.name, "is %v, want whole milliseconds, %v to %v", d.value, d.least, maxSpan)
		}
	}
	if o.Duration%o.Interval != 0 || o.Samples() > MaxSamples {
		return badOrder("duration", "is %v, want 1 to %d times the interval of %v", o.Duration, MaxSamples, o.Interval)
	}
	if !wholeMillis(o.Start) {
		return badOrder("start", "is %v, want whole milliseconds from 1970 on", o.Start)
	}
	if !wholeMillis(o.Latest) || o.Latest.Before(o.Start) || o.Latest.Sub(o.Start) > maxSpan {
		return badOrder("latest", "is %v, want whole milliseconds, not before the start and at most %v after it", o.Latest, maxSpan)
	}
	return nil
}

func wholeMillis(t time.Time) bool {
	ms := t.UnixMilli()
	return ms >= 0 && ms < 1<<48 && time.UnixMilli(ms).Equal(t)
}

func (o *Order) checkChallengers() error {
	n := len(o.Challengers)
	if n == 0 || n > MaxChallengers {
		return badOrder("challengers", "are %d, want 1 to %d", n, MaxChallengers)
	}
	if n > 1 && o.Kind != Capacity {
		return badOrder("challengers", "are %d, want one in a test of kind %s", n, o.Kind)
	}
	for i, c := range o.Challengers {
		if c.ID.IsZero() || c.ID == o.Prover {
			return badOrder("challengers", "hold %s at %d, want somebody else than the prover", c.ID, i)
		}
		if i > 0 && bytes.Compare(o.Challengers[i-1].ID[:], c.ID[:]) >= 0 {
			return badOrder("challengers", "are not strictly ascending at %d", i)
		}
		if c.RTTBudget < time.Millisecond || c.RTTBudget > time.Minute || c.RTTBudget%time.Millisecond != 0 {
			return badOrder("challengers", "hold a budget of %v at %d, want whole milliseconds, 1 ms to 1 m", c.RTTBudget, i)
		}
	}
	return nil
}

// domain is that of all signatures of tests; the network is part of the terms.
func domain() [32]byte {
	return identity.Domain{Name: "drtc challenge", Version: "1"}.Separator()
}

func termsType() identity.Type {
	return identity.Type{Name: "TestTerms", Fields: []identity.Field{
		{Name: "network", Type: "string"}, {Name: "test", Type: "bytes32"}, {Name: "attempt", Type: "uint8"},
		{Name: "epoch", Type: "uint64"}, {Name: "slot", Type: "uint64"}, {Name: "kind", Type: "uint8"},
		{Name: "prover", Type: "address"}, {Name: "challengers", Type: "bytes"},
		{Name: "rateKbps", Type: "uint32"}, {Name: "packetBytes", Type: "uint16"},
		{Name: "start", Type: "uint64"}, {Name: "latest", Type: "uint64"},
		{Name: "setUp", Type: "uint32"}, {Name: "duration", Type: "uint32"}, {Name: "interval", Type: "uint32"},
	}}
}

func (o *Order) terms() []any {
	return []any{
		o.Network, o.Test, uint64(o.Attempt), o.Epoch, o.Slot, uint64(o.Kind), o.Prover, o.challengers(),
		uint64(o.RateKbps), uint64(o.PacketBytes), uint64(o.Start.UnixMilli()), uint64(o.Latest.UnixMilli()),
		millis(o.SetUp), millis(o.Duration), millis(o.Interval),
	}
}

// challengers are 20 bytes id and 4 bytes milliseconds each.
func (o *Order) challengers() []byte {
	b := make([]byte, 0, 24*len(o.Challengers))
	for _, c := range o.Challengers {
		b = binary.BigEndian.AppendUint32(append(b, c.ID[:]...), uint32(millis(c.RTTBudget)))
	}
	return b
}

func millis(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

// ID is the hash of the terms of a valid order, the same whoever signs it: what
// samples, reports and refusals refer to.
func (o *Order) ID() [32]byte { return mustHash(termsType(), o.terms()...) }

// mustHash is hashStruct of values that were checked.
func mustHash(t identity.Type, values ...any) [32]byte {
	h, err := t.HashStruct(values...)
	if err != nil {
		panic("challenge: hashing a statement that was not checked: " + err.Error())
	}
	return h
}

func (o *Order) typed() identity.TypedHash {
	terms := termsType()
	t := identity.Type{Name: "TestOrder", Fields: []identity.Field{{Name: "terms", Struct: &terms}, {Name: "witness", Type: "address"}}}
	return identity.TypedHash{Separator: domain(), Struct: mustHash(t, o.terms(), o.Witness)}
}

// Sign makes the key's owner the witness.
func (o *Order) Sign(key *identity.Key) error {
	o.Witness = key.ID()
	if err := o.Validate(); err != nil {
		return err
	}
	o.Signature = key.SignTyped(o.typed())
	return nil
}

// Verify holds fields, network and signature to account. Whether the witness is
// one, and the test planned, is the plan's part. The error wraps ErrOrder,
// ErrNetwork or ErrSignature.
func (o *Order) Verify(network string) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Network != network {
		return fmt.Errorf("%w: the order is of %q, this is %q", ErrNetwork, o.Network, network)
	}
	return signedBy(o.Witness, o.typed(), o.Signature, "the order")
}

func signedBy(who drtc.NodeID, h identity.TypedHash, s identity.Signature, what string) error {
	if s[64] != 27 && s[64] != 28 { // one form of each signature
		return fmt.Errorf("%w: %s has a V of %d, want 27 or 28", ErrSignature, what, s[64])
	}
	key, err := identity.RecoverTyped(h, s)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSignature, what, err)
	}
	if key.ID() != who {
		return fmt.Errorf("%w: %s is not signed by %s", ErrSignature, what, who)
	}
	return nil
}

// Bytes is the form of a valid order that ParseOrder reads.
func (o *Order) Bytes() []byte {
	b := append(make([]byte, 0, MaxOrder), version, byte(len(o.Network)))
	b = append(append(b, o.Network...), o.Test[:]...)
	b = append(b, o.Attempt)
	b = binary.BigEndian.AppendUint64(b, o.Epoch)
	b = binary.BigEndian.AppendUint64(b, o.Slot)
	b = append(append(b, byte(o.Kind)), o.Prover[:]...)
	b = append(append(b, byte(len(o.Challengers))), o.challengers()...)
	b = binary.BigEndian.AppendUint32(b, o.RateKbps)
	b = binary.BigEndian.AppendUint16(b, o.PacketBytes)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Start.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(o.Latest.UnixMilli()))
	for _, d := range []time.Duration{o.SetUp, o.Duration, o.Interval} {
		b = binary.BigEndian.AppendUint32(b, uint32(millis(d)))
	}
	return append(append(b, o.Witness[:]...), o.Signature[:]...)
}

// ParseOrder reads an order and checks its fields, not its signature: call
// Verify. The error wraps ErrOrder.
func ParseOrder(b []byte) (Order, error) {
	r := reader{rest: b}
	r.begin()
	var o Order
	o.Network = string(r.take(int(r.u8())))
	r.fill(o.Test[:])
	o.Attempt = r.u8()
	o.Epoch, o.Slot = r.u64(), r.u64()
	o.Kind = Kind(r.u8())
	r.fill(o.Prover[:])
	for range min(r.u8(), MaxChallengers+1) {
		var c Target
		r.fill(c.ID[:])
		c.RTTBudget = r.duration()
		o.Challengers = append(o.Challengers, c)
	}
	o.RateKbps, o.PacketBytes = r.u32(), r.u16()
	o.Start, o.Latest = r.time(), r.time()
	o.SetUp, o.Duration, o.Interval = r.duration(), r.duration(), r.duration()
	r.fill(o.Witness[:])
	r.fill(o.Signature[:])
	if err := r.end(); err != nil {
		return Order{}, fmt.Errorf("%w: %d bytes: %w", ErrOrder, len(b), err)
	}
	return o, o.Validate()
}

func (r *reader) duration() time.Duration { return time.Duration(r.u32()) * time.Millisecond }

// time reads milliseconds since 1970; what does not fit is before it.
func (r *reader) time() time.Time {
	ms := r.u64()
	if ms > math.MaxInt64 {
		return time.UnixMilli(-1).UTC()
	}
	return time.UnixMilli(int64(ms)).UTC()
}
