package econ

import (
	"fmt"
	"math"

	"github.com/holiman/uint256"
)

// GB is the number of bytes in one.
const GB = 1_000_000_000

// Bounds of E9 and E14.
const (
	MaxK         = 100     // of a Curve, times 10^18
	MaxRelayBps  = 100_000 // weight of relay bytes
	maxByteBits  = 96      // of a counter of bytes
	maxScaleBits = 128     // of r_max
	steepest     = 41      // from this exponent on the reward is 0
)

// Curve is the reward function of an epoch: r = max S / (1 + S exp(-k (V - mid - tau))).
// It is one family for both formulas of the whitepaper (spec E13).
type Curve struct {
	Max        Wei   // r_max, wei per GB, at most 2^128
	K          Wei   // curvature times 10^18, at most 100
	Mid        int64 // v_mid, a signed wad
	Tau        int64 // v_tau, a signed wad; Mid + Tau is 0 to One
	MinQuality Wad   // v_min: below it nothing is paid
}

// KFromInt is the curvature k, for Curve.K.
func KFromInt(k uint64) Wei { return NewWei(k).MulDiv(NewWei(uint64(One)), NewWei(1)) }

// ProfileAsymptote is the literal formula of whitepaper 2.3, where r_asym, a wad
// and wei per GB at once, is both scale and twice the midpoint. Above 2 it is
// outside the domain.
func ProfileAsymptote(rAsym, k Wei) Curve {
	half := rAsym.MulDiv(NewWei(1), NewWei(2)).Min(NewWei(math.MaxInt64))
	return Curve{Max: rAsym, K: k, Mid: int64(half.low())}
}

// Validate returns an error that wraps ErrDomain and names the first field
// outside E9.
func (c Curve) Validate() error {
	if c.Max.Cmp(power2(maxScaleBits)) > 0 {
		return fmt.Errorf("%w: r_max is %s wei per GB, want at most 2^128", ErrDomain, c.Max)
	}
	if c.K.Cmp(KFromInt(MaxK)) > 0 {
		return fmt.Errorf("%w: k is %s times 10^-18, want 0 to %d", ErrDomain, c.K, MaxK)
	}
	// Overflow of the sum makes it negative when both are positive, and Mid keeps
	// the other case away.
	if m := c.Mid + c.Tau; m < 0 || m > int64(One) || c.Mid < -int64(One) || c.Tau < -int64(One) {
		return fmt.Errorf("%w: v_mid + v_tau is %d + %d times 10^-18, want a sum of 0 to 1", ErrDomain, c.Mid, c.Tau)
	}
	return c.MinQuality.Valid("v_min")
}

// Unit is the unit reward in wei per GB for the weighted sum and the quality of
// a node: rounded down, never above the true value, and at most
// 1.53 * 10^-18 * Max + 1 wei below (spec E11, E12). The error wraps ErrDomain.
func (c Curve) Unit(sum, quality Wad) (Wei, error) {
	if err := c.Validate(); err != nil {
		return Wei{}, err
	}
	if err := sum.Valid("S"); err != nil {
		return Wei{}, err
	}
	if err := quality.Valid("V"); err != nil {
		return Wei{}, err
	}
	return c.unit(sum, quality), nil
}

// unit is Unit within the domain: steps 2 to 6 of E11.
func (c Curve) unit(sum, quality Wad) Wei {
	if sum == 0 || quality < c.MinQuality {
		return Wei{}
	}
	var y, top uint256.Int
	one := NewWei(uint64(One))
	if d := c.Mid + c.Tau - int64(quality); d > 0 {
		y = c.K.MulDivUp(NewWei(uint64(d)), one).n
		if y.Gt(top.Mul(uint256.NewInt(steepest), &one.n)) {
			return Wei{}
		}
	} else {
		y = c.K.MulDiv(NewWei(uint64(-d)), one).n
		y.Neg(&y)
	}
	e := expWad(&y)
	var up, denominator, r uint256.Int
	up.Rsh(&e.n, 59)
	up.Add(&up, &e.n)
	up.AddUint64(&up, 1)

	s := uint256.NewInt(uint64(sum))
	denominator.Mul(s, &up)
	denominator.Add(&denominator, top.Mul(&one.n, &one.n))
	r.Mul(&c.Max.n, s)
	r.Mul(&r, &one.n)
	return Wei{*r.Div(&r, &denominator)}
}

// Bytes is a counter of bytes: client bytes, relay bytes, or both weighted.
type Bytes = Wei

// Rewardable is the bytes that are paid and charged: those to clients and,
// weighted, those to other nodes (spec E14).
func Rewardable(client, relay Bytes, relayWeight Bps) (Bytes, error) {
	limit := power2(maxByteBits)
	switch {
	case client.Cmp(limit) >= 0:
		return Bytes{}, fmt.Errorf("%w: client bytes are %s, want below 2^96", ErrDomain, client)
	case relay.Cmp(limit) >= 0:
		return Bytes{}, fmt.Errorf("%w: relay bytes are %s, want below 2^96", ErrDomain, relay)
	case relayWeight > MaxRelayBps:
		return Bytes{}, fmt.Errorf("%w: the weight of relay bytes is %d bps, want at most %d", ErrDomain, relayWeight, MaxRelayBps)
	}
	return client.Add(relay.Share(relayWeight)), nil
}

// Session is R, the reward for serving so many bytes at a unit reward, rounded
// down (spec E14).
func Session(unit Wei, served Bytes) Wei { return unit.MulDiv(served, NewWei(GB)) }
