package client

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// ErrReorg says that the block of a cursor is not in the chain any more, though
// it counted as settled when its events were given: the chain broke its promise, or
// it is another chain. What was made of events since an earlier cursor is to be
// made anew from there.
var ErrReorg = errors.New("client: a settled block is not in the chain any more")

// Blocks in one question about events; it adapts to what the endpoint allows.
const (
	firstSpan = 1000
	maxSpan   = 10000
)

// Cursor is the last block whose events were given. The zero value is before the
// first block.
type Cursor struct {
	Block uint64      `json:"block"`
	Hash  common.Hash `json:"hash"`
}

// Query says which events are wanted: of any of these contracts, with topics as
// in eth_getLogs.
type Query struct {
	Contracts []common.Address
	Topics    [][]common.Hash
	// From is the first block, for a zero cursor: that of deployment.
	From uint64
}

// Follow gives events of settled blocks in order, none twice and none left out,
// until ctx ends, handle fails or ErrReorg. handle gets what came with some blocks,
// which may be nothing, and the cursor after them, to be stored together with what
// it made of them; from it another Follow goes on. While the endpoint is away it
// waits.
func (c *Client) Follow(ctx context.Context, q Query, from Cursor, handle func([]types.Log, Cursor) error) error {
	f := c.Follower(q, from)
	timer := time.NewTimer(0)
	defer timer.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		more, err := f.Step(ctx, handle)
		var stopped *stopError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &stopped):
			return stopped.error
		case errors.Is(err, ErrReorg):
			return err
		case err != nil && !away:
			c.log.Warn("events wait: the chain cannot be asked", "error", err, "after_block", f.at.Block)
		case err == nil && away:
			c.log.Info("events go on", "after_block", f.at.Block)
		}
		away = err != nil
		if more {
			timer.Reset(0)
		} else {
			timer.Reset(c.config.PollEvery)
		}
	}
}

// Follower is Follow step by step, for one who waits and reports by himself. It is
// used by one goroutine.
type Follower struct {
	client *Client
	query  Query
	at     Cursor
	next   uint64 // first block to ask for
	span   uint64
}

// Follower begins after from.
func (c *Client) Follower(q Query, from Cursor) *Follower {
	f := &Follower{client: c, query: q, at: from, next: q.From, span: firstSpan}
	if from.Hash != (common.Hash{}) {
		f.next = from.Block + 1
	}
	return f
}

// stopError is an error of handle.
type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// Step gives the events of some more settled blocks to handle, or none when there
// are none. more says that there may be further ones now. After an error it may be
// called again, and goes on where it was, but after ErrReorg and an error of handle
// that is of no use.
func (f *Follower) Step(ctx context.Context, handle func([]types.Log, Cursor) error) (more bool, err error) {
	settled, err := f.client.Settled(ctx)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || settled.Number < f.next {
		return false, err
	}
	if err := f.unchanged(ctx); err != nil {
		return false, err
	}
	to := min(settled.Number, f.next+f.span-1)
	last, err := f.client.BlockAt(ctx, to)
	if err != nil {
		return false, err
	}
	logs, err := f.logs(ctx, f.next, to)
	var refusal *Refusal
	if errors.As(err, &refusal) && f.span > 1 { // too much at once, perhaps
		f.span = max(1, min(f.span, to-f.next+1)/2)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	// The chain of blocks up to to is the same before and after the question.
	if again, err := f.client.BlockAt(ctx, to); err != nil || again.Hash != last.Hash {
		return false, errors.Join(err, fmt.Errorf("%w: block %d changed meanwhile", ErrUnavailable, to))
	}
	if err := f.unchanged(ctx); err != nil {
		return false, err
	}
	at := Cursor{to, last.Hash}
	if err := handle(logs, at); err != nil {
		return false, &stopError{err}
	}
	f.at, f.next, f.span = at, to+1, min(maxSpan, f.span*2)
	return to < settled.Number, nil
}

// unchanged fails when the cursor's block is not in the chain.
func (f *Follower) unchanged(ctx context.Context) error {
	if f.at.Hash == (common.Hash{}) {
		return nil
	}
	now, err := f.client.BlockAt(ctx, f.at.Block)
	if err != nil {
		return err
	}
	if now.Hash != f.at.Hash {
		return fmt.Errorf("%w: block %d was %s and is %s", ErrReorg, f.at.Block, f.at.Hash, now.Hash)
	}
	return nil
}

// logs asks for events and believes none that was not asked for.
func (f *Follower) logs(ctx context.Context, from, to uint64) ([]types.Log, error) {
	logs, err := ask(ctx, f.client, "events", func(ctx context.Context) ([]types.Log, error) {
		return f.client.eth.FilterLogs(ctx, ethereum.FilterQuery{
			FromBlock: new(big.Int).SetUint64(from), ToBlock: new(big.Int).SetUint64(to),
			Addresses: f.query.Contracts, Topics: f.query.Topics,
		})
	})
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if l.Removed || l.BlockNumber < from || l.BlockNumber > to ||
			len(f.query.Contracts) > 0 && !slices.Contains(f.query.Contracts, l.Address) {
			return nil, fmt.Errorf("%w: an event that was not asked for, of %s in block %d", ErrUnavailable, l.Address, l.BlockNumber)
		}
	}
	slices.SortStableFunc(logs, func(a, b types.Log) int {
		if a.BlockNumber != b.BlockNumber {
			return int(a.BlockNumber) - int(b.BlockNumber)
		}
		return int(a.Index) - int(b.Index)
	})
	return logs, nil
}
