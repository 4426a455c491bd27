package econ

import "fmt"

// Distribution is one payout to a pool, divided (spec E27).
type Distribution struct {
	Commission Wei // to the operator; all of it when the pool has no keys
	PerKey     Wei
	Dust       Wei // carried to the next payout, below the number of keys
}

// Distribute divides a payout to a pool among its keys, commission first and
// rounded down, with the dust of the payout before. Commission is at most Whole.
func Distribute(payout, dust Wei, keys uint64, commission Bps) (Distribution, error) {
	if commission > Whole {
		return Distribution{}, fmt.Errorf("%w: commission is %d bps, want at most %d", ErrDomain, commission, Whole)
	}
	if keys == 0 {
		return Distribution{Commission: payout, Dust: dust}, nil
	}
	d := Distribution{Commission: payout.Share(commission)}
	rest := payout.Sub(d.Commission).Add(dust)
	d.PerKey = rest.MulDiv(NewWei(1), NewWei(keys))
	d.Dust = rest.Sub(d.PerKey.MulDiv(NewWei(keys), NewWei(1)))
	return d, nil
}
