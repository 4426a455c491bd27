package challenge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

var (
	// ErrRefusal is returned for bytes that are no refusal.
	ErrRefusal = errors.New("challenge: refusal")
	// ErrExcuse is returned for a refusal whose reason does not hold.
	ErrExcuse = errors.New("challenge: the reason does not hold")
)

// Reason is why a node did not take an order.
type Reason uint8

// The reasons. Each can be held against data that everybody has (spec Q13).
const (
	Busy     Reason = iota + 1 // it would hurt paying sessions: Advertised
	Draining                   // the node is leaving: Advertised
	Overlaps                   // another order of the plan is at the same time: Other
)

// String is the name of the reason.
func (r Reason) String() string {
	switch r {
	case Busy:
		return "busy"
	case Draining:
		return "draining"
	case Overlaps:
		return "overlaps"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Refusal is a node's signed word that it does not take an order, or not now.
type Refusal struct {
	Order      [32]byte // Order.ID
	Node       drtc.NodeID
	Reason     Reason
	Until      time.Time // start of the attempt that it would take; zero: none
	Advertised Advertised
	Other      [32]byte // id of the order that overlaps, or zero
	Signature  identity.Signature
}

// MaxRefusal is the length of a refusal in bytes.
const MaxRefusal = 1 + 32 + 20 + 1 + 8 + advertisedSize + 32 + 65

func (r *Refusal) until() uint64 {
	if r.Until.IsZero() {
		return 0
	}
	return uint64(r.Until.UnixMilli())
}

func (r *Refusal) typed() identity.TypedHash {
	t := identity.Type{Name: "TestRefusal", Fields: []identity.Field{
		{Name: "order", Type: "bytes32"}, {Name: "node", Type: "address"}, {Name: "reason", Type: "uint8"},
		{Name: "until", Type: "uint64"}, {Name: "advertised", Type: "bytes"}, {Name: "other", Type: "bytes32"},
	}}
	return identity.TypedHash{Separator: domain(), Struct: mustHash(t,
		r.Order, r.Node, uint64(r.Reason), r.until(), r.Advertised.bytes(), r.Other)}
}

// Verify holds a refusal to its order and its signer, and its reason to what it
// says itself. That Advertised is what the node's record of that version says,
// and that Other is an order of the plan, is for who holds those. The error wraps
// ErrForeign, ErrExcuse or ErrSignature.
func (r *Refusal) Verify(o *Order, rules Rules) error {
	side := Prover
	if r.Node != o.Prover {
		side = Challenger
		if _, in := o.Target(r.Node); !in {
			return fmt.Errorf("%w: node %s has no part in the order", ErrForeign, r.Node)
		}
	}
	if r.Order != o.ID() {
		return fmt.Errorf("%w: it is of another order", ErrForeign)
	}
	holds := false
	switch r.Reason {
	case Busy:
		holds = !r.Advertised.Draining && r.Advertised.Hurts(o, side, rules)
	case Draining:
		holds = r.Advertised.Draining
	case Overlaps:
		holds = r.Other != [32]byte{} && r.Other != r.Order
	}
	if !holds {
		return fmt.Errorf("%w: %s, with %d of %d Mbit/s in use", ErrExcuse, r.Reason, r.Advertised.LoadMbps, r.Advertised.CapacityMbps)
	}
	if until, _ := deferred(o, r.Reason, rules); !r.Until.Equal(until) {
		return fmt.Errorf("%w: until is %v, want %v", ErrExcuse, r.Until, until)
	}
	return signedBy(r.Node, r.typed(), r.Signature, "the refusal")
}

// deferred is when the next attempt of an order may start, if there may be one.
func deferred(o *Order, reason Reason, rules Rules) (time.Time, bool) {
	next := o.Start.Add(rules.DeferBy)
	if reason == Draining || next.After(o.Latest) || o.Attempt == 255 {
		return time.Time{}, false
	}
	return next, true
}

// Bytes is the form that ParseRefusal reads.
func (r *Refusal) Bytes() []byte {
	b := append(append(make([]byte, 0, MaxRefusal), version), r.Order[:]...)
	b = append(append(b, r.Node[:]...), byte(r.Reason))
	b = binary.BigEndian.AppendUint64(b, r.until())
	b = append(append(b, r.Advertised.bytes()...), r.Other[:]...)
	return append(b, r.Signature[:]...)
}

// ParseRefusal reads a refusal. The error wraps ErrRefusal.
func ParseRefusal(b []byte) (Refusal, error) {
	rd := reader{rest: b}
	rd.begin()
	var r Refusal
	rd.fill(r.Order[:])
	rd.fill(r.Node[:])
	r.Reason = Reason(rd.u8())
	switch ms := rd.u64(); {
	case ms >= maxCounter && rd.err == nil:
		rd.err = errors.New("until is past 2^48")
	case ms != 0:
		r.Until = time.UnixMilli(int64(ms)).UTC()
	}
	r.Advertised = rd.advertised()
	rd.fill(r.Other[:])
	rd.fill(r.Signature[:])
	if err := rd.end(); err != nil {
		return Refusal{}, fmt.Errorf("%w: %d bytes: %w", ErrRefusal, len(b), err)
	}
	return r, nil
}
