package account

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
)

// topic is the first of an event's.
func topic(signature string) common.Hash { return crypto.Keccak256Hash([]byte(signature)) }

const (
	committed  = "Committed(uint64,bytes32,bytes32)"
	settled    = "Settled(uint64,uint256,uint256,uint256,uint256,uint256,uint256,uint16)"
	authorised = "Authorised(address,address,uint256,uint64,uint64)"
)

// history fills in what an epoch's events say. They are looked for from the block of
// its commit on: a chain has far more blocks than an endpoint likes to search.
func (l *Ledger) history(ctx context.Context, e *EpochRecord) error {
	from, err := l.firstBlockAt(ctx, *e.CommittedAt)
	if err != nil {
		return err
	}
	query := client.Query{
		Contracts: []common.Address{l.addresses.Of("ProofOfResource")},
		Topics:    [][]common.Hash{{topic(committed), topic(settled)}, {common.BigToHash(number(e.Epoch))}},
		From:      from,
	}
	b := bindings.NewProofOfResource()
	return l.events(ctx, query, func(found types.Log) (bool, error) {
		if found.Topics[0] == topic(committed) {
			e.Totals, err = l.totals(ctx, found.TxHash)
			return e.Status == Charging, err
		}
		s, err := b.UnpackSettledEvent(&found)
		if err != nil {
			return false, fmt.Errorf("account: epoch %d: %w", e.Epoch, err)
		}
		e.Settlement = &Settlement{Amount{s.ConsumedDC}, Amount{s.Received}, Amount{s.BurnWei}, Amount{s.FillerWei}, Amount{s.Supply}, s.BetaBps}
		return true, nil
	})
}

// events gives settled events in order until each says that it was the last.
func (l *Ledger) events(ctx context.Context, q client.Query, each func(types.Log) (last bool, err error)) error {
	follower := l.client.Follower(q, client.Cursor{})
	for more, last := true, false; more && !last; {
		var err error
		more, err = follower.Step(ctx, func(found []types.Log, _ client.Cursor) error {
			for _, log := range found {
				if last, err = each(log); last || err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// firstBlockAt is the first block, of those since the contracts are there, that is
// not before a time.
func (l *Ledger) firstBlockAt(ctx context.Context, when time.Time) (uint64, error) {
	head, err := l.client.Head(ctx)
	if err != nil {
		return 0, err
	}
	first := l.addresses.Block
	blocks := int(head.Number - min(first, head.Number))
	var failed error
	offset := sort.Search(blocks, func(i int) bool {
		if failed != nil {
			return true
		}
		b, err := l.client.BlockAt(ctx, first+uint64(i))
		if err != nil {
			failed = err
		}
		return !b.Time.Before(when)
	})
	return first + uint64(offset), failed
}

// totals reads what a commit's transaction carried; nil when that was no plain call
// of commit.
func (l *Ledger) totals(ctx context.Context, hash common.Hash) (*Totals, error) {
	tx, err := l.client.Transaction(ctx, hash)
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	contract, err := bindings.ProofOfResourceMetaData.ParseABI()
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	commit, data := contract.Methods["commit"], tx.Data()
	if len(data) < len(commit.ID) || [4]byte(data) != [4]byte(commit.ID) {
		return nil, nil
	}
	values, err := commit.Inputs.Unpack(data[len(commit.ID):])
	if err != nil || len(values) == 0 {
		return nil, nil
	}
	c := abi.ConvertType(values[0], new(bindings.EpochCommit)).(*bindings.EpochCommit)
	return &Totals{Leaves: c.LeafCount, Bytes: Amount{c.TotalBytes}, Charges: c.ChargeCount, RewardWei: Amount{c.RewardTotal}}, nil
}
