package record

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/drtc-network/drtc/envelope"
)

// ForgetGrid is what the ends of marks are rounded up to, in Unix time, so that
// Sets whose clocks agree about the second forget together.
const ForgetGrid = 10 * time.Second

// Rules are what a Set holds records to.
type Rules struct {
	Network string
	Kinds   []Kind
	// Bonding says who may write; nil lets everybody.
	Bonding Bonding
	// Skew is how far ahead of the local clock a record may be issued.
	Skew time.Duration
	// Grace is added to every record's life, for clocks that run ahead here.
	Grace time.Duration
	// RateEvery is the sustained time between updates of one key, RateBurst how
	// many may come at once. RateEvery 0 is no limit.
	RateEvery time.Duration
	RateBurst int
	// MaxRecords bounds the Set; entries of every state count.
	MaxRecords int
	// MaxPerIssuer bounds the records of one issuer in each kind that is not
	// self-issued. Those with the least ItemIDs are held.
	MaxPerIssuer int
}

// DefaultRules are the network's rules, without any kinds.
func DefaultRules(network string) Rules {
	return Rules{
		Network: network, Skew: 30 * time.Second, Grace: 30 * time.Second,
		RateEvery: 5 * time.Second, RateBurst: 5, MaxRecords: 200_000, MaxPerIssuer: 4096,
	}
}

// Validate names the field that is out of range.
func (r Rules) Validate() error {
	switch {
	case r.Network == "":
		return errors.New("record: Network is empty: give the network's name")
	case len(r.Kinds) == 0:
		return errors.New("record: Kinds is empty: no record could be stored")
	case len(r.Kinds) > math.MaxUint8:
		return fmt.Errorf("record: Kinds must be at most %d, are %d", math.MaxUint8, len(r.Kinds))
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
	case r.MaxPerIssuer < 1:
		return fmt.Errorf("record: MaxPerIssuer must be at least 1, is %d", r.MaxPerIssuer)
	}
	seen := map[string]bool{}
	for _, k := range r.Kinds {
		if seen[k.Name] {
			return fmt.Errorf("record: Kinds has %q twice", k.Name)
		}
		seen[k.Name] = true
		if err := k.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (k Kind) validate() error {
	switch {
	case k.Name == "" || k.MaxBody > envelope.MaxBody || k.MaxTTL < time.Second || k.MaxTTL > envelope.MaxTTL:
		return fmt.Errorf("record: kind %q: needs a name, a MaxBody up to %d and a MaxTTL from 1s to %s", k.Name, envelope.MaxBody, envelope.MaxTTL)
	case k.Issuer != RoleNode && k.Issuer != RoleRegistry && k.Issuer != RoleOrchestrator:
		return fmt.Errorf("record: kind %q: Issuer must be one of the roles, is %q", k.Name, k.Issuer)
	case k.RateEvery < 0 || k.RateBurst < 0 || k.MaxPerIssuer < 0:
		return fmt.Errorf("record: kind %q: RateEvery, RateBurst and MaxPerIssuer must not be negative", k.Name)
	}
	return nil
}

// resolve fills in what a kind leaves to the Rules.
func (r Rules) resolve(k Kind) Kind {
	if k.RateEvery == 0 {
		k.RateEvery = r.RateEvery
	}
	if k.RateBurst == 0 {
		k.RateBurst = max(r.RateBurst, 1)
	}
	if k.MaxPerIssuer == 0 {
		k.MaxPerIssuer = r.MaxPerIssuer
	}
	return k
}

// liveUntil is when a record stops being shown: for a tombstone, always before.
func (r Rules) liveUntil(e *envelope.Envelope) time.Time {
	if e.IsTombstone() {
		return time.Time{}
	}
	return e.ExpiresAt().Add(r.Grace)
}

// heldUntil is when even the mark of a record issued at goes.
func (r Rules) heldUntil(k *Kind, issued time.Time) time.Time {
	end := issued.Add(k.MaxTTL + r.Grace + 2*r.Skew).UnixMilli()
	grid := ForgetGrid.Milliseconds()
	return time.UnixMilli((end + grid - 1) / grid * grid)
}
