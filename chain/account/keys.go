package account

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
)

// keysPage is how many ids one call looks through.
const keysPage = 2000

// MaxAtOnce bounds the keys of one transaction.
const MaxAtOnce = 100

// Key is a Media Node Key (whitepaper 5.5).
type Key struct {
	ID     uint64      `json:"id"`
	Owner  drtc.NodeID `json:"owner"`
	Region drtc.Region `json:"region"`
	// Node is what it is delegated to, Since the epoch in which it was; it counts
	// from the next one on.
	Node  *drtc.NodeID `json:"node,omitempty"`
	Since uint64       `json:"since,omitempty"`
	// FreeFrom is the first epoch in which it may be delegated again, 0 if it never was.
	FreeFrom uint64 `json:"free_from,omitempty"`
}

// Keys of an owner, by id.
func (l *Ledger) Keys(ctx context.Context, owner drtc.NodeID) ([]Key, error) {
	b := bindings.NewMediaNodeKey()
	sold, err := read(ctx, l, "MediaNodeKey", b.PackTotalSupply(), b.UnpackTotalSupply)
	if err != nil {
		return nil, err
	}
	keys := []Key{}
	for from := uint64(1); from <= sold.Uint64(); from += keysPage {
		to := min(from+keysPage-1, sold.Uint64())
		ids, err := read(ctx, l, "MediaNodeKey", b.PackKeysOf(common.Address(owner), number(from), number(to)), b.UnpackKeysOf)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			key, err := l.Key(ctx, id.Uint64())
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Key by its id.
func (l *Ledger) Key(ctx context.Context, id uint64) (Key, error) {
	b, pools := bindings.NewMediaNodeKey(), bindings.NewPoolManager()
	k, err := read(ctx, l, "MediaNodeKey", b.PackKeyOf(number(id)), b.UnpackKeyOf)
	if err != nil {
		return Key{}, err
	}
	if k.Owner == (common.Address{}) {
		return Key{}, fmt.Errorf("account: key %d was never sold", id)
	}
	key := Key{ID: id, Owner: drtc.NodeID(k.Owner), Region: regionOf(k.Region)}
	if k.Pool == 0 {
		key.FreeFrom = k.Epoch.Uint64()
		return key, nil
	}
	node, err := read(ctx, l, "PoolManager", pools.PackNodeOf(k.Pool), pools.UnpackNodeOf)
	if err != nil {
		return Key{}, err
	}
	key.Node, key.Since = (*drtc.NodeID)(&node), k.Epoch.Uint64()
	return key, nil
}

// Sale is what keys of a region cost.
type Sale struct {
	Region    drtc.Region `json:"region"`
	PriceWei  Amount      `json:"price_wei"`
	Remaining uint64      `json:"remaining"`
}

// Sale of a region.
func (l *Ledger) Sale(ctx context.Context, region drtc.Region) (Sale, error) {
	b := bindings.NewMediaNodeKey()
	s, err := read(ctx, l, "MediaNodeKey", b.PackSaleOf(region3(region)), b.UnpackSaleOf)
	if err != nil {
		return Sale{}, err
	}
	return Sale{region, Amount{s.Price}, s.Remaining}, nil
}

// Bought is what a purchase of keys gave.
type Bought struct {
	Done
	IDs     []uint64 `json:"ids"`
	CostWei Amount   `json:"cost_wei"`
}

// BuyKeys buys keys of a region for somebody, at what Sale says and not more.
func (a *Account) BuyKeys(ctx context.Context, sale Sale, count uint64, to drtc.NodeID) (Bought, error) {
	if count < 1 || count > MaxAtOnce {
		return Bought{}, fmt.Errorf("account: count: want 1 to %d keys at once, got %d", MaxAtOnce, count)
	}
	b := bindings.NewMediaNodeKey()
	done, receipt, err := a.do(ctx, act{"buy-keys", []any{sale.Region, count, to}, func() (call, error) {
		cost := new(big.Int).Mul(sale.PriceWei.Int, number(count))
		if sale.Remaining < count {
			return call{}, fmt.Errorf("account: count: want at most %d, which are for sale in %s, got %d", sale.Remaining, sale.Region, count)
		}
		if err := a.affordable(ctx, cost); err != nil {
			return call{}, err
		}
		return call{
			contract: "MediaNodeKey", input: b.PackBuy(region3(sale.Region), number(count), cost, common.Address(to)),
			what: fmt.Sprintf("buy %s of %s", keysText(count), sale.Region), pays: HUDL(cost) + " HUDL",
		}, a.allow(ctx, a.addresses.Of("HUDL"), a.addresses.Of("MediaNodeKey"), cost)
	}})
	if err != nil {
		return Bought{}, err
	}
	event, err := find(receipt, b.UnpackKeyBoughtEvent)
	if err != nil {
		return Bought{Done: done}, err
	}
	bought := Bought{Done: done, CostWei: Amount{event.Cost}}
	for i := range event.Count.Uint64() {
		bought.IDs = append(bought.IDs, event.FirstId.Uint64()+i)
	}
	return bought, nil
}

func keysText(count uint64) string {
	if count == 1 {
		return "a key"
	}
	return fmt.Sprintf("%d keys", count)
}

// Delegate gives keys of the account to a node's pool. They count from the next
// epoch on.
func (a *Account) Delegate(ctx context.Context, node drtc.NodeID, ids []uint64) (Done, error) {
	numbers, err := numbersOf(ids)
	if err != nil {
		return Done{}, err
	}
	b := bindings.NewPoolManager()
	done, _, err := a.do(ctx, simply("delegate", "PoolManager", b.PackDelegate(common.Address(node), numbers), node, ids))
	return done, err
}

// Undelegate takes keys back from a node, or with the zero node from where the
// first of them is. They do not count for the current epoch any more.
func (a *Account) Undelegate(ctx context.Context, node drtc.NodeID, ids []uint64) (Done, error) {
	numbers, err := numbersOf(ids)
	if err != nil {
		return Done{}, err
	}
	b := bindings.NewPoolManager()
	done, _, err := a.do(ctx, act{"undelegate", []any{node, ids}, func() (call, error) {
		if node.IsZero() {
			key, err := a.Key(ctx, ids[0])
			if err != nil {
				return call{}, err
			}
			if key.Node == nil {
				return call{}, fmt.Errorf("account: key %d is not delegated", ids[0])
			}
			node = *key.Node
		}
		return call{contract: "PoolManager", input: b.PackUndelegate(common.Address(node), numbers)}, nil
	}})
	return done, err
}

// TransferKeys gives keys to somebody else, which ends their delegations.
func (a *Account) TransferKeys(ctx context.Context, to drtc.NodeID, ids []uint64) (Done, error) {
	numbers, err := numbersOf(ids)
	if err != nil {
		return Done{}, err
	}
	ones := make([]*big.Int, len(ids))
	for i := range ones {
		ones[i] = big.NewInt(1)
	}
	b := bindings.NewMediaNodeKey()
	input := b.PackSafeBatchTransferFrom(common.Address(a.id), common.Address(to), numbers, ones, nil)
	done, _, err := a.do(ctx, simply("transfer-keys", "MediaNodeKey", input, to, ids))
	return done, err
}

// find is the first event of a kind in a receipt.
func find[T any](receipt *types.Receipt, unpack func(*types.Log) (*T, error)) (*T, error) {
	for _, log := range receipt.Logs {
		if event, err := unpack(log); err == nil {
			return event, nil
		}
	}
	return nil, fmt.Errorf("account: transaction %s has no such event", receipt.TxHash)
}

func numbersOf(ids []uint64) ([]*big.Int, error) {
	if len(ids) < 1 || len(ids) > MaxAtOnce {
		return nil, fmt.Errorf("account: ids: want 1 to %d keys at once, got %d", MaxAtOnce, len(ids))
	}
	numbers := make([]*big.Int, len(ids))
	for i, id := range ids {
		numbers[i] = number(id)
	}
	return numbers, nil
}

func number(n uint64) *big.Int { return new(big.Int).SetUint64(n) }

// region3 is a region as the contracts write it.
func region3(r drtc.Region) (b [3]byte) {
	copy(b[:], r)
	return b
}

func regionOf(b [3]byte) drtc.Region {
	end := len(b)
	for end > 0 && b[end-1] == 0 {
		end--
	}
	return drtc.Region(b[:end])
}
