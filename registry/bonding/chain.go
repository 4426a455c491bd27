package bonding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// ErrMisconfigured is wrapped by errors of a Reader that waiting does not mend.
var ErrMisconfigured = errors.New("bonding: not the chain that is configured")

// Reading is what a chain says at the end of one settled block.
type Reading struct {
	// List has the serial that everybody finds who reads the same chain.
	List  *List
	Block uint64
	At    time.Time // when the block was made
}

// Reader reads who is bonded from a chain. One goroutine uses it.
type Reader interface {
	// Last is what was last read, by this process or one before; false for nothing.
	Last() (Reading, bool)
	// Read returns what holds at the newest settled block.
	Read(ctx context.Context) (Reading, error)
}

// ChainConfig says how a Reader is used.
type ChainConfig struct {
	// AnyNode admits every Media Node, bonded or not. It is the same in all
	// Registries of a network.
	AnyNode bool `toml:"any_node"`
	// PollEvery is the time between two looks at the chain.
	PollEvery time.Duration `toml:"poll_every"`
	// AwayAfter is how long the chain may fail to answer before that counts.
	AwayAfter time.Duration `toml:"away_after"`
}

// DefaultChainConfig admits who is bonded.
func DefaultChainConfig() ChainConfig {
	return ChainConfig{PollEvery: 5 * time.Second, AwayAfter: 30 * time.Second}
}

// Validate names the field that is out of range.
func (c ChainConfig) Validate() error {
	switch {
	case c.PollEvery <= 0:
		return fmt.Errorf("bonding: poll_every must be above 0, is %s", c.PollEvery)
	case c.AwayAfter < 0:
		return fmt.Errorf("bonding: away_after must not be negative, is %s", c.AwayAfter)
	}
	return nil
}

// repeatEvery is how often it is logged that the chain is still away.
const repeatEvery = 10 * time.Minute

// Chain is the list that a chain has. While the chain is away the last one holds.
type Chain struct {
	config ChainConfig
	reader Reader
	list   atomic.Pointer[List]

	mu     sync.Mutex // guards all below
	status Status
	failed error     // of the last read, nil after one that succeeded
	since  time.Time // of the first failure after a success
	warned time.Time // when that was last said
}

// OpenChain returns a Chain that has a list: what an earlier process read, so that
// it starts while the chain is away, else the first that can be read, for which it
// waits until ctx is done. An error that waiting does not mend ends the wait.
func OpenChain(ctx context.Context, config ChainConfig, reader Reader, log *slog.Logger) (*Chain, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Chain{config: config, reader: reader}
	c.status.Source = OnChain
	if last, ok := reader.Last(); ok {
		c.take(last)
		c.failed, c.since = errors.New("it has not been asked yet"), time.Now()
		return c, nil
	}
	for {
		err := c.read(ctx, log)
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("bonding: waiting for the first list: %w", context.Cause(ctx))
		case errors.Is(err, ErrMisconfigured):
			return nil, err
		}
		timer := time.NewTimer(c.config.PollEvery)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Bonded implements record.Bonding.
func (c *Chain) Bonded(role record.Role, id drtc.NodeID) bool { return c.list.Load().bonded(role, id) }

// MinGeneration implements record.Bonding.
func (c *Chain) MinGeneration(id drtc.NodeID) uint64 { return c.list.Load().MinGeneration[id] }

// List implements Source.
func (c *Chain) List() *List { return c.list.Load() }

// Status implements Source.
func (c *Chain) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	if c.away(time.Now()) {
		s.Problem = "the chain cannot be read since " + c.since.UTC().Format(time.RFC3339)
	}
	return s
}

// away needs the lock.
func (c *Chain) away(now time.Time) bool {
	return c.failed != nil && now.Sub(c.since) >= c.config.AwayAfter
}

// Run implements Source.
func (c *Chain) Run(ctx context.Context, log *slog.Logger) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := c.read(ctx, log); err != nil {
			log.Debug("bonds not read", slog.Any("error", err))
		}
		timer.Reset(c.config.PollEvery)
	}
}

// read asks once, and says it when that makes a difference.
func (c *Chain) read(ctx context.Context, log *slog.Logger) error {
	reading, err := c.reader.Read(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	if err != nil {
		c.fail(now, err, log)
		return err
	}
	changed := c.take(reading)
	c.mu.Lock()
	was, began := c.warned, c.since
	c.failed, c.warned, c.since = nil, time.Time{}, time.Time{}
	c.status.CheckedAt = now
	c.mu.Unlock()
	if !was.IsZero() {
		log.Info("the chain is back, the bonding list is current", slog.Uint64("block", reading.Block), slog.Duration("away", now.Sub(began)))
	}
	if changed {
		l := c.list.Load()
		log.Info("bonding list changed", slog.Uint64("serial", l.Serial), slog.Uint64("block", reading.Block), slog.Int("registries", len(l.Registries)),
			slog.Int("signers", len(l.Signers)), slog.Int("orchestrators", len(l.Orchestrators)), slog.Int("nodes", len(l.Nodes)))
	}
	return nil
}

// fail remembers why the chain could not be read, and warns when that lasts.
func (c *Chain) fail(now time.Time, err error, log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.since = now
	}
	c.failed = err
	first := c.list.Load() == nil
	if first && errors.Is(err, ErrMisconfigured) || !first && !c.away(now) || now.Sub(c.warned) < repeatEvery {
		return
	}
	c.warned = now
	if first {
		log.Warn("this registry waits for the chain, to learn who may take part", slog.Any("error", err))
		return
	}
	log.Warn("the chain cannot be read: the last bonding list holds and nobody is let in who is not in it",
		slog.Any("error", err), slog.Uint64("block", c.status.Block), slog.Time("since", c.since))
}

// take makes a reading what holds. It reports whether another list holds now.
func (c *Chain) take(r Reading) bool {
	list := r.List
	if c.config.AnyNode {
		open := *list
		open.AnyNode, open.Nodes = true, nil
		list = &open
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Block, c.status.BlockTime = r.Block, r.At
	if old := c.list.Load(); old != nil && old.equal(list) {
		return false
	}
	c.list.Store(list)
	return true
}
