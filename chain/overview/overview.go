package overview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
)

// Standing is how an Overview is.
type Standing struct {
	// View is what was last read; nil before the first time.
	View *View
	// ReadAt is when the chain was last found to say that.
	ReadAt time.Time
	// Problem is empty while the chain answers, else what is wrong, without addresses.
	Problem string
}

// Overview reads a chain. Make one with Open, then call Run once.
type Overview struct {
	config   Config
	log      *slog.Logger
	reader   *reader
	names    []common.Hash
	standing atomic.Pointer[Standing]

	// Run's alone. client is nil until the endpoint has shown that it is the right
	// one; follower is nil until it is known where to begin.
	client   *client.Client
	follower *client.Follower
	pending  []types.Log // not yet in fold
	fold     *fold
	view     *View
	pools    []Pool // by number
}

// Open checks the configuration. It does not speak with the chain.
func Open(c Config, log *slog.Logger) (*Overview, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Client.ChainID = c.Addresses.ChainID
	declared, err := bindings.ProofOfResourceMetaData.ParseABI()
	if err != nil {
		return nil, fmt.Errorf("overview: bindings: %w", err)
	}
	o := &Overview{config: c, log: log, fold: newFold()}
	o.reader = &reader{
		addresses: map[common.Address]string{}, proof: bindings.NewProofOfResource(), rewards: bindings.NewRewards(),
		oracle: bindings.NewPriceOracle(), pools: bindings.NewPoolManager(), abi: declared, charges: c.MaxCharges,
		domain: epochDomain{c.Addresses.ChainID, c.Addresses.Of("ProofOfResource")},
	}
	for _, name := range contracts {
		o.reader.addresses[c.Addresses.Of(name)] = name
	}
	if o.names, err = o.reader.names(); err != nil {
		return nil, err
	}
	o.standing.Store(&Standing{Problem: "the chain was not read yet"})
	return o, nil
}

// Standing is what was last read, and whether that is current.
func (o *Overview) Standing() Standing { return *o.standing.Load() }

// Run reads until ctx is done.
func (o *Overview) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			o.disconnect()
			return
		case <-timer.C:
		}
		if err := o.look(ctx); err != nil && ctx.Err() == nil {
			o.fail(err)
		}
		timer.Reset(o.config.PollEvery)
	}
}

// fail says that the last look failed. An error may hold the endpoint's address,
// which may hold a secret: it is put into words here.
func (o *Overview) fail(err error) {
	problem := "the chain does not answer"
	var refusal *client.Refusal
	var revert *client.Revert
	switch {
	case errors.Is(err, client.ErrWrongChain):
		problem = "the endpoint is of another chain"
	case errors.Is(err, client.ErrReorg):
		problem = "the chain took back what was settled and is read again"
		o.disconnect()
	case errors.As(err, &refusal):
		problem = "the chain's endpoint refuses"
	case errors.As(err, &revert):
		problem = "the contracts answer otherwise than this program expects"
	}
	before := o.Standing()
	if before.Problem != problem {
		o.log.Warn("overview of the chain is not current", slog.String("problem", problem))
	}
	before.Problem = problem
	o.standing.Store(&before)
}

// disconnect forgets the endpoint and what it said.
func (o *Overview) disconnect() {
	if o.client != nil {
		o.client.Close()
	}
	o.client, o.follower, o.pending, o.fold, o.view, o.pools = nil, nil, nil, newFold(), nil, nil
}

// look reads what is new and publishes it.
func (o *Overview) look(ctx context.Context) error {
	if o.client == nil {
		if err := o.connect(ctx); err != nil {
			return err
		}
	}
	settled, err := o.client.Settled(ctx)
	if err != nil {
		return err
	}
	if o.view == nil || o.view.Chain.Block != settled.Number {
		if o.view, err = o.read(ctx, settled); err != nil {
			return err
		}
	}
	if before := o.Standing(); before.Problem != "" {
		o.log.Info("overview of the chain is current", slog.Uint64("block", settled.Number))
	}
	o.standing.Store(&Standing{View: o.view, ReadAt: time.Now()})
	return nil
}

// connect finds out that the endpoint is the right one.
func (o *Overview) connect(ctx context.Context) error {
	reasons, err := deploy.Reasons()
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, o.config.Client, reasons, o.log)
	if err != nil {
		return err
	}
	first, err := c.BlockAt(ctx, 0)
	if err == nil && first.Hash != o.config.Addresses.Genesis {
		err = fmt.Errorf("%w: it begins with another block", client.ErrWrongChain)
	}
	if err != nil {
		c.Close()
		return err
	}
	o.client = c
	return nil
}

// begin is the first block whose events matter: none from before the oldest epoch
// that is held.
func (o *Overview) begin(ctx context.Context, settled client.Block, oldest time.Time) (uint64, error) {
	low, high := o.config.Addresses.Block, settled.Number
	for low < high {
		middle := low + (high-low)/2
		b, err := o.client.BlockAt(ctx, middle)
		if err != nil {
			return 0, err
		}
		if b.Time.Before(oldest) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// follow reads events up to the settled block. What it could not read whole waits in
// pending, so that nothing is taken in twice.
func (o *Overview) follow(ctx context.Context) error {
	for more := true; more; {
		var err error
		more, err = o.follower.Step(ctx, func(logs []types.Log, _ client.Cursor) error {
			o.pending = append(o.pending, logs...)
			return nil
		})
		if err != nil {
			return err
		}
		for len(o.pending) > 0 {
			l := &o.pending[0]
			input, err := o.input(ctx, l)
			if err != nil {
				return err
			}
			o.reader.take(o.fold, l, input)
			o.pending = o.pending[1:]
		}
	}
	return nil
}

// input is that of the transaction that committed an epoch; nil for other events.
func (o *Overview) input(ctx context.Context, l *types.Log) ([]byte, error) {
	if !o.reader.commits(l) {
		return nil, nil
	}
	t, err := o.client.Transaction(ctx, l.TxHash)
	if err != nil {
		return nil, err
	}
	return t.Data(), nil
}
