package devchain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
)

// patience is how many block times may pass without a block before the chain
// calls itself unwell.
const patience = 10

// errNoBlock says that go-ethereum made no block; its own log says why.
var errNoBlock = errors.New("devchain: no block was made")

// advance asks for an empty block that is by later than the newest.
type advance struct {
	by   time.Duration
	done chan error
}

func (c *Chain) head() *types.Header { return c.eth.BlockChain().CurrentBlock() }

// seal makes a block of what the pool has and syncs it to disk. Until then no
// answer leaves, so nobody has seen a block that a crash could undo.
func (c *Chain) seal(now time.Time, make func() error) error {
	c.gate.Lock()
	defer c.gate.Unlock()
	before := c.head().Hash()
	err := make()
	made := c.head().Hash() != before
	c.meter.sealed(time.Since(now), made)
	if err != nil {
		return err
	}
	if !made {
		return errNoBlock
	}
	begun := time.Now()
	if err := c.eth.ChainDb().SyncKeyValue(); err != nil {
		return fmt.Errorf("devchain: syncing block %d to disk: %w", c.head().Number.Uint64(), err)
	}
	c.meter.synced(time.Since(begun))
	return nil
}

func (c *Chain) commit() error {
	c.beacon.Commit()
	return nil
}

// sealEvery makes a block on every boundary of the block time. A block that could
// not be made is tried again with the next.
func (c *Chain) sealEvery(ctx context.Context) error {
	period := c.config.BlockTime
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			if err := c.seal(now, c.commit); errors.Is(err, errNoBlock) {
				c.log.Warn("no block was made", "block", c.head().Number.Uint64())
			} else if err != nil {
				return err
			}
		case a := <-c.advance:
			a.done <- errors.New("devchain: time is the world's with a block time")
		}
		now := time.Now()
		timer.Reset(now.Truncate(period).Add(period).Sub(now))
	}
}

// sealAtOnce makes a block as soon as there is a transaction that can be in one.
func (c *Chain) sealAtOnce(ctx context.Context) error {
	arrived, stop := c.arrivals()
	defer stop()
	if c.head().Number.Sign() == 0 { // genesis is of 1970
		if err := c.seal(time.Now(), c.commit); err != nil {
			return err
		}
	}
	if err := c.drain(ctx); err != nil { // what came before
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-arrived:
			if err := c.drain(ctx); err != nil {
				return err
			}
		case a := <-c.advance:
			a.done <- c.seal(time.Now(), func() error { return c.beacon.AdjustTime(a.by) })
		}
	}
}

// drain makes blocks until the pool is empty or a block took nothing from it: a
// transaction that no block ever takes must not be tried for ever.
func (c *Chain) drain(ctx context.Context) error {
	for {
		if err := c.eth.TxPool().Sync(); err != nil {
			return nil // it closes
		}
		if waiting, _ := c.eth.TxPool().Stats(); waiting == 0 || ctx.Err() != nil {
			return nil
		}
		if err := c.seal(time.Now(), c.commit); err != nil {
			return err
		}
		if c.head().GasUsed == 0 {
			return nil
		}
	}
}

// arrivals tells that transactions came, many by one signal.
func (c *Chain) arrivals() (<-chan struct{}, func()) {
	events := make(chan core.NewTxsEvent, 256)
	arrived := make(chan struct{}, 1)
	subscription := c.eth.TxPool().SubscribeTransactions(events, true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-events:
				select {
				case arrived <- struct{}{}:
				default:
				}
			case <-subscription.Err(): //nolint:errcheck // it ends without an error
				return
			}
		}
	}()
	return arrived, func() { subscription.Unsubscribe(); <-ended }
}

// Advance adds an empty block that is by later than the newest one, in whole
// seconds, and waits until it is there: how tests let time pass on a chain without
// block time. It fails while transactions wait, and when Run has ended.
func (c *Chain) Advance(ctx context.Context, by time.Duration) error {
	a := advance{by, make(chan error, 1)}
	select {
	case c.advance <- a:
		return <-a.done
	case <-ctx.Done():
		return ctx.Err()
	}
}
