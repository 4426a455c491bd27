package account

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// Pool is that of one Media Node (whitepaper 5.6).
type Pool struct {
	Node     drtc.NodeID `json:"node"`
	Address  drtc.NodeID `json:"address"`
	Operator drtc.NodeID `json:"operator"`
	// CommissionBps holds in the current epoch, NextCommissionBps from the epoch on
	// that an increase announced now would begin with.
	CommissionBps     uint16 `json:"commission_bps"`
	NextCommissionBps uint16 `json:"next_commission_bps"`
	// Keys that are delegated, Counting that count in the current epoch, Most that
	// it may have.
	Keys     uint64 `json:"keys"`
	Counting uint64 `json:"counting"`
	Most     uint64 `json:"most"`
	// ProvenMbps is what tests have shown; 0 is unknown.
	ProvenMbps uint32 `json:"proven_mbps"`
	// LastEpoch is the last whose reward came; nil while none did.
	LastEpoch *uint64 `json:"last_epoch,omitempty"`
	// PerKeyWei is what a key has earned since the pool began.
	PerKeyWei Amount `json:"per_key_wei"`
}

// NoPoolError says that a node has no pool.
type NoPoolError struct{ Node drtc.NodeID }

func (e *NoPoolError) Error() string {
	return fmt.Sprintf("account: node %s has no pool: its operator makes one with drtc pool create", e.Node)
}

// poolOf is the address of a node's pool.
func (l *Ledger) poolOf(ctx context.Context, node drtc.NodeID) (common.Address, error) {
	b := bindings.NewPoolManager()
	at, err := read(ctx, l, "PoolManager", b.PackPoolOf(common.Address(node)), b.UnpackPoolOf)
	if err == nil && at == (common.Address{}) {
		err = &NoPoolError{node}
	}
	return at, err
}

// Pool of a node; a NoPoolError if it has none.
func (l *Ledger) Pool(ctx context.Context, node drtc.NodeID) (Pool, error) {
	at, err := l.poolOf(ctx, node)
	if err != nil {
		return Pool{}, err
	}
	manager, pool := bindings.NewPoolManager(), bindings.NewPool()
	now, err := l.Epoch(ctx)
	if err != nil {
		return Pool{}, err
	}
	bounds, err := read(ctx, l, "PoolManager", manager.PackBounds(), manager.UnpackBounds)
	if err != nil {
		return Pool{}, err
	}
	keys, err := read(ctx, l, "PoolManager", manager.PackKeysOf(common.Address(node)), manager.UnpackKeysOf)
	if err != nil {
		return Pool{}, err
	}
	p := Pool{Node: node, Address: drtc.NodeID(at), Keys: keys.Keys.Uint64(), Most: keys.Most.Uint64()}
	if p.ProvenMbps, err = read(ctx, l, "PoolManager", manager.PackProvenMbps(common.Address(node)), manager.UnpackProvenMbps); err != nil {
		return p, err
	}
	operator, err := readAt(ctx, l, at, pool.PackOperator(), pool.UnpackOperator)
	if err != nil {
		return p, err
	}
	p.Operator = drtc.NodeID(operator)
	if p.CommissionBps, err = readAt(ctx, l, at, pool.PackCommissionAt(now), pool.UnpackCommissionAt); err != nil {
		return p, err
	}
	noticed := now + uint64(bounds.CommissionNotice)
	if p.NextCommissionBps, err = readAt(ctx, l, at, pool.PackCommissionAt(noticed), pool.UnpackCommissionAt); err != nil {
		return p, err
	}
	counting, err := readAt(ctx, l, at, pool.PackKeysAt(now), pool.UnpackKeysAt)
	if err != nil {
		return p, err
	}
	p.Counting = counting.Uint64()
	last, err := readAt(ctx, l, at, pool.PackLastEpoch(), pool.UnpackLastEpoch)
	if err != nil {
		return p, err
	}
	if last != epoch.None {
		p.LastEpoch = &last
	}
	index, err := readAt(ctx, l, at, pool.PackIndex(), pool.UnpackIndex)
	p.PerKeyWei.Int = index.PerKey
	return p, err
}

// Owed is what a claim would pay an account out of a node's pool, in wei.
func (l *Ledger) Owed(ctx context.Context, node, to drtc.NodeID) (*big.Int, error) {
	at, err := l.poolOf(ctx, node)
	if err != nil {
		return nil, err
	}
	b := bindings.NewPool()
	return readAt(ctx, l, at, b.PackOwed(common.Address(to)), b.UnpackOwed)
}

// Consent is a node's agreement that somebody runs its pool, at a commission.
type Consent struct {
	Node          drtc.NodeID        `json:"node"`
	Operator      drtc.NodeID        `json:"operator"`
	CommissionBps uint16             `json:"commission_bps"`
	Deadline      int64              `json:"deadline"` // Unix seconds
	Signature     identity.Signature `json:"signature"`
}

// Consent signs with a node's key that operator may make its pool, for so long.
func (l *Ledger) Consent(node *identity.Key, operator drtc.NodeID, commissionBps uint16, until time.Time) (Consent, error) {
	c := Consent{Node: node.ID(), Operator: operator, CommissionBps: commissionBps, Deadline: until.Unix()}
	typed, err := l.typed("PoolManager", createPool, [20]byte(c.Node), [20]byte(operator), uint64(commissionBps), seconds(c.Deadline))
	if err != nil {
		return Consent{}, err
	}
	c.Signature = node.SignTyped(typed)
	return c, nil
}

// CreatePool makes the pool of a node that agreed; the account becomes its operator.
func (a *Account) CreatePool(ctx context.Context, c Consent) (Done, error) {
	if c.Operator != a.id {
		return Done{}, fmt.Errorf("account: consent: it is for operator %s, this account is %s", c.Operator, a.id)
	}
	b := bindings.NewPoolManager()
	done, _, err := a.do(ctx, simply("create-pool", "PoolManager",
		b.PackCreatePool(common.Address(c.Node), c.CommissionBps, seconds(c.Deadline), c.Signature[:]), c.Node, c.CommissionBps))
	return done, err
}

// SetCommission announces another commission of a pool that the account runs.
func (a *Account) SetCommission(ctx context.Context, node drtc.NodeID, bps uint16) (Done, error) {
	b := bindings.NewPoolManager()
	done, _, err := a.do(ctx, simply("set-commission", "PoolManager", b.PackSetCommission(common.Address(node), bps), node, bps))
	return done, err
}

// Claimed is what a claim paid.
type Claimed struct {
	Done
	Wei Amount `json:"wei"`
}

// ClaimOwed has pools pay what they owe to somebody, as veHUDL.
func (a *Account) ClaimOwed(ctx context.Context, to drtc.NodeID, nodes []drtc.NodeID) (Claimed, error) {
	b := bindings.NewPoolManager()
	done, receipt, err := a.do(ctx, act{"claim-owed", []any{to, nodes}, func() (call, error) {
		sum := new(big.Int)
		addresses := make([]common.Address, len(nodes))
		for i, node := range nodes {
			owed, err := a.Owed(ctx, node, to)
			if err != nil {
				return call{}, err
			}
			sum.Add(sum, owed)
			addresses[i] = common.Address(node)
		}
		if sum.Sign() == 0 {
			return call{}, fmt.Errorf("account: these pools owe nothing to %s: rewards come with drtc pool claim --leaves after an epoch's challenge window", to)
		}
		return call{contract: "PoolManager", input: b.PackClaim(common.Address(to), addresses)}, nil
	}})
	if err != nil {
		return Claimed{}, err
	}
	paid, pool := new(big.Int), bindings.NewPool()
	for _, log := range receipt.Logs {
		if event, err := pool.UnpackClaimedEvent(log); err == nil {
			paid.Add(paid, event.Amount)
		}
	}
	return Claimed{done, Amount{paid}}, nil
}

// EpochData is what the Registries publish of an epoch: leaves and charges as
// epoch.Encode writes them.
type EpochData struct {
	Leaves  []epoch.Leaf
	Charges []epoch.Charge
}

// ClaimRewards brings a node's rewards into its pool: its leaves of these epochs,
// in whatever order, from the first that is not paid yet. Each epoch's data is
// held against the root on the chain.
func (a *Account) ClaimRewards(ctx context.Context, node drtc.NodeID, epochs []EpochData) (Claimed, error) {
	b := bindings.NewRewards()
	of := []any{node}
	for _, e := range epochs {
		of = append(of, epoch.NewTree(hashesOf(e.Leaves)).Root())
	}
	done, receipt, err := a.do(ctx, act{"claim-rewards", of, func() (call, error) {
		leaves, proofs, err := a.claimable(ctx, node, epochs)
		if err != nil {
			return call{}, err
		}
		return call{contract: "Rewards", input: b.PackClaim(leaves, proofs)}, nil
	}})
	if err != nil {
		return Claimed{}, err
	}
	event, err := find(receipt, b.UnpackRewardedEvent)
	if err != nil {
		return Claimed{Done: done}, err
	}
	paid := new(big.Int)
	for _, amount := range event.Amounts {
		paid.Add(paid, amount)
	}
	return Claimed{done, Amount{paid}}, nil
}
