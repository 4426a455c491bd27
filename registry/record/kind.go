package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/envelope"
)

// KindNode is the kind of a Media Node's own record.
const KindNode = "node"

// Kind is what holds for all records of one kind. A network has as many as it
// has things to say; a Set refuses kinds that it does not list.
type Kind struct {
	Name    string
	MaxBody int           // bytes
	MaxTTL  time.Duration // whole seconds
	// SelfIssued kinds are written only by their subject.
	SelfIssued bool
	// Tombstones says whether a subject can leave before its record expires.
	Tombstones bool
	// Check, if set, judges the body of an envelope within the bounds above.
	// Its error reaches whoever sent the record.
	Check func(*envelope.Envelope) error
}

// NodeKind is the kind of a Media Node's own record (whitepaper 4.2.3.1).
func NodeKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindNode, MaxBody: 4 << 10, MaxTTL: 900 * time.Second,
		SelfIssued: true, Tombstones: true, Check: check,
	}
}

// Rules are what a Set holds records to.
type Rules struct {
	Network string
	Kinds   []Kind
	// Skew is how far ahead of the local clock a record may be issued.
	Skew time.Duration
	// Grace is added to every record's life, for clocks that run ahead here.
	Grace time.Duration
	// RateEvery is the sustained time between updates of one key, RateBurst how
	// many may come at once. RateEvery 0 is no limit, for synchronisation, where
	// only the newest of a key is passed on.
	RateEvery time.Duration
	RateBurst int
	// MaxRecords bounds the Set; entries of every state count.
	MaxRecords int
}

// DefaultRules are the network's rules, without any kinds.
func DefaultRules(network string) Rules {
	return Rules{
		Network: network, Skew: 30 * time.Second, Grace: 30 * time.Second,
		RateEvery: 5 * time.Second, RateBurst: 5, MaxRecords: 200_000,
	}
}

// Validate names the field that is out of range.
func (r Rules) Validate() error {
	switch {
	case r.Network == "":
		return errors.New("record: Network is empty: give the network's name")
	case len(r.Kinds) == 0:
		return errors.New("record: Kinds is empty: no record could be stored")
	case r.Skew < 0:
		return fmt.Errorf("record: Skew must not be negative, is %s", r.Skew)
	case r.Grace < 0:
		return fmt.Errorf("record: Grace must not be negative, is %s", r.Grace)
	case r.RateEvery < 0:
		return fmt.Errorf("record: RateEvery must not be negative, is %s", r.RateEvery)
	case r.RateEvery > 0 && r.RateBurst < 1:
		return fmt.Errorf("record: RateBurst must be at least 1, is %d", r.RateBurst)
	case r.MaxRecords < 1:
		return fmt.Errorf("record: MaxRecords must be at least 1, is %d", r.MaxRecords)
	}
	for _, k := range r.Kinds {
		if k.Name == "" || k.MaxBody > envelope.MaxBody || k.MaxTTL < time.Second || k.MaxTTL > envelope.MaxTTL {
			return fmt.Errorf("record: kind %q: needs a name, a MaxBody up to %d and a MaxTTL from 1s to %s", k.Name, envelope.MaxBody, envelope.MaxTTL)
		}
	}
	return nil
}

// liveUntil is when a record stops being shown: for a tombstone, always before.
func (r Rules) liveUntil(e *envelope.Envelope) time.Time {
	if e.IsTombstone() {
		return time.Time{}
	}
	return e.ExpiresAt().Add(r.Grace)
}

// heldUntil is when even the mark goes.
func (r Rules) heldUntil(k Kind, e *envelope.Envelope) time.Time {
	return e.IssuedAt.Add(k.MaxTTL + r.Grace + 2*r.Skew)
}
