package client

import (
	"context"
	"math/big"
)

// fees are what a transaction pays for a unit of gas, in wei: Cap at most in all,
// Tip at most on top of the block's base fee (EIP-1559).
type fees struct {
	Tip *big.Int `json:"tip"`
	Cap *big.Int `json:"cap"`
}

// suggested asks the endpoint and allows for the base fee to double.
func (c *Client) suggested(ctx context.Context) (fees, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return fees{}, err
	}
	tip, err := ask(ctx, c, "tip", c.eth.SuggestGasTipCap)
	if err != nil {
		return fees{}, err
	}
	cap := new(big.Int).Lsh(head.BaseFee, 1)
	return fees{tip, cap.Add(cap, tip)}.within(c.config.maxFee()), nil
}

// raised are fees for the same nonce that every pool takes instead of f: a quarter
// more, or what is suggested now if that is more. It is false at the limit.
func (f fees) raised(now fees, limit *big.Int) (fees, bool) {
	more := func(old, suggested *big.Int) *big.Int {
		raised := new(big.Int).Add(old, new(big.Int).Rsh(old, 2))
		raised.Add(raised, big.NewInt(1)) // a quarter of little is nothing
		if suggested.Cmp(raised) > 0 {
			return new(big.Int).Set(suggested)
		}
		return raised
	}
	next := fees{more(f.Tip, now.Tip), more(f.Cap, now.Cap)}
	return next, next.Cap.Cmp(limit) <= 0
}

func (f fees) within(limit *big.Int) fees {
	if f.Cap.Cmp(limit) > 0 {
		f.Cap = limit
	}
	if f.Tip.Sign() < 0 {
		f.Tip = new(big.Int)
	}
	if f.Tip.Cmp(f.Cap) > 0 {
		f.Tip = f.Cap
	}
	return f
}
