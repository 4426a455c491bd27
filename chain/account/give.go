package account

import (
	"context"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
)

// GiveHUDL sends HUDL to another account.
func (a *Account) GiveHUDL(ctx context.Context, to drtc.NodeID, wei *big.Int) (Done, error) {
	b := bindings.NewHUDL()
	done, _, err := a.do(ctx, act{"give-hudl", []any{to, wei}, func() (call, error) {
		return call{
			contract: "HUDL", input: b.PackTransfer(common.Address(to), wei),
			what: "give to " + to.String(), pays: HUDL(wei) + " HUDL",
		}, a.affordable(ctx, wei)
	}})
	return done, err
}

// GiveCoin sends so many wei of the chain's own coin, which pays for gas.
func (a *Account) GiveCoin(ctx context.Context, to drtc.NodeID, wei *big.Int) (Done, error) {
	receiver := common.Address(to)
	done, _, err := a.do(ctx, act{"give-coin", []any{to, wei}, func() (call, error) {
		return call{to: &receiver, value: wei, what: "give to " + to.String(), pays: HUDL(wei) + " of the chain's coin"}, nil
	}})
	return done, err
}
