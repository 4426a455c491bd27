package account

import (
	"context"
	"errors"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
)

// Redemption is veHUDL that becomes HUDL after its lock (whitepaper 5.4.1).
type Redemption struct {
	ID      uint64    `json:"id"`
	Wei     Amount    `json:"wei"`
	ReadyAt time.Time `json:"ready_at"`
}

// Redemptions of an account that are not withdrawn yet, oldest first.
func (l *Ledger) Redemptions(ctx context.Context, of drtc.NodeID) ([]Redemption, error) {
	b := bindings.NewVeHUDL()
	count, err := read(ctx, l, "VeHUDL", b.PackRedemptionCount(common.Address(of)), b.UnpackRedemptionCount)
	if err != nil {
		return nil, err
	}
	open := []Redemption{}
	for id := range count.Uint64() {
		r, err := read(ctx, l, "VeHUDL", b.PackRedemption(common.Address(of), number(id)), b.UnpackRedemption)
		if err != nil {
			return nil, err
		}
		if r.Amount.Sign() > 0 {
			open = append(open, Redemption{id, Amount{r.Amount}, time.Unix(int64(r.ReadyAt), 0).UTC()})
		}
	}
	return open, nil
}

// ErrNoVeHUDL says that an account has none to redeem.
var ErrNoVeHUDL = errors.New("account: the account has no veHUDL: pools pay it, drtc pool claim")

// Redeem burns veHUDL, all of it with nil; its HUDL may be withdrawn after the lock.
func (a *Account) Redeem(ctx context.Context, wei *big.Int) (Done, Redemption, error) {
	b := bindings.NewVeHUDL()
	done, receipt, err := a.do(ctx, act{"redeem", []any{wei}, func() (call, error) {
		if wei == nil {
			has, err := a.Balances(ctx, a.id)
			if err != nil {
				return call{}, err
			}
			if wei = has.VeHUDL.Int; wei.Sign() == 0 {
				return call{}, ErrNoVeHUDL
			}
		}
		return call{contract: "VeHUDL", input: b.PackRequestRedeem(wei), what: "redeem", pays: HUDL(wei) + " veHUDL"}, nil
	}})
	if err != nil {
		return done, Redemption{}, err
	}
	event, err := find(receipt, b.UnpackRedeemRequestedEvent)
	if err != nil {
		return done, Redemption{}, err
	}
	return done, Redemption{event.Id.Uint64(), Amount{event.Amount}, time.Unix(int64(event.ReadyAt), 0).UTC()}, nil
}

// Withdraw takes the HUDL of a redemption.
func (a *Account) Withdraw(ctx context.Context, id uint64) (Done, error) {
	b := bindings.NewVeHUDL()
	done, _, err := a.do(ctx, simply("withdraw", "VeHUDL", b.PackWithdraw(number(id)), id))
	return done, err
}
