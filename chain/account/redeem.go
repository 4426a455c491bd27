package account

import (
	"context"
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

// Redeem burns veHUDL; its HUDL may be withdrawn after the lock.
func (a *Account) Redeem(ctx context.Context, wei *big.Int) (Done, Redemption, error) {
	b := bindings.NewVeHUDL()
	done, receipt, err := a.do(ctx, "redeem", "VeHUDL", b.PackRequestRedeem(wei))
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
	done, _, err := a.do(ctx, "withdraw", "VeHUDL", b.PackWithdraw(number(id)))
	return done, err
}
