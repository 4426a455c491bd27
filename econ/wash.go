package econ

import (
	"math/big"
)

// Wash is one GB served by a node to a client of the same owner, who owns all
// keys of the node too. Amounts of USD are times 10^18.
type Wash struct {
	Alpha    Bps   // minting factor
	Reward   Wei   // the highest unit reward that any node can reach, wei per GB
	Price    Price // what HUDL is really worth
	FlowBack Wei   // all else that comes back: referral, share of the Reserve
	Paid     Wei   // the cheapest real payment for a GB that anybody can reach
	Cost     Wei   // own cost of carrying a GB
}

// Profit is what the owner gains, USD times 10^18; the reward is rounded up
// (spec E28).
func (w Wash) Profit() *big.Int {
	value := new(big.Int).Mul(w.Reward.Big(), new(big.Int).SetUint64(uint64(w.Alpha)))
	value.Mul(value, new(big.Int).SetUint64(uint64(w.Price)))
	unit := big.NewInt(int64(Whole) * 100_000_000)
	value.Add(value, new(big.Int).Sub(unit, big.NewInt(1)))
	value.Quo(value, unit)
	value.Add(value, w.FlowBack.Big())
	value.Sub(value, w.Paid.Big())
	return value.Sub(value, w.Cost.Big())
}

// Unprofitable reports whether nobody gains from serving itself.
func (w Wash) Unprofitable() bool { return w.Profit().Sign() <= 0 }

// FullPrice is what a GB costs at full price, USD times 10^18.
func FullPrice(creditsPerGB uint64) Wei {
	return NewWei(creditsPerGB).MulDiv(NewWei(uint64(One)), NewWei(100_000))
}
