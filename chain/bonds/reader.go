package bonds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
)

// Why nothing can be read; errors wrap one of these, client.ErrUnavailable,
// client.ErrReorg or a *client.Refusal.
var (
	// ErrWrongChain says that the endpoint is of another chain than the addresses.
	ErrWrongChain = errors.New("bonds: the endpoint is of another chain")
	// ErrContract says that the contract is not there, or is another one.
	ErrContract = errors.New("bonds: the contract Bonds is not as it should be")
	// ErrUnsettled says that no block of the contract counts as settled yet.
	ErrUnsettled = errors.New("bonds: the contract is in no settled block yet")
	// ErrBehind says that the endpoint knows less than it has said before.
	ErrBehind = errors.New("bonds: the endpoint is behind what it said before")
	// ErrDisagree says that the chain's events and the contract's pages differ.
	ErrDisagree = errors.New("bonds: the endpoint's events and the contract's pages disagree")
	// ErrTooMany says that the contract has more than is held here.
	ErrTooMany = errors.New("bonds: more identities than this program holds")
)

// Reader reads the contract. Make one with Open.
type Reader struct {
	config    Config
	log       *slog.Logger
	addresses deploy.Addresses
	contract  common.Address
	bonds     *bindings.Bonds
	events    events
	reasons   *client.Reasons

	// client is nil until the endpoint has shown that it is the right one, and
	// after every failure.
	client   *client.Client
	follower *client.Follower
	fold     *fold // where follower is
	dirty    bool  // fold has changed since the pages were last compared
	audited  time.Time

	state *State // what was last read and agreed; nil for none
	saved time.Time
}

// Open reads the addresses and what an earlier Reader kept. It does not speak with
// the chain.
func Open(c Config, log *slog.Logger) (*Reader, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a, err := deploy.LoadAddresses(c.Addresses)
	if err != nil {
		return nil, fmt.Errorf("bonds: addresses: %w", err)
	}
	r := &Reader{config: c, log: log, addresses: a, contract: a.Of("Bonds"), bonds: bindings.NewBonds()}
	if r.contract == (common.Address{}) || a.ChainID == 0 || a.Genesis == (common.Hash{}) {
		return nil, fmt.Errorf("bonds: addresses: %s names no chain_id, genesis and contract Bonds: give the file that chain deploy wrote", c.Addresses)
	}
	declared, err := bindings.BondsMetaData.ParseABI()
	if err != nil {
		return nil, fmt.Errorf("bonds: bindings: %w", err)
	}
	r.events, r.reasons = newEvents(r.bonds, declared), client.NewReasons([]abi.ABI{*declared}, client.Hints())
	r.begin(newFold())
	if err := r.load(); err != nil {
		log.Warn("what was read of the bonds cannot be used and is read again", slog.Any("error", err))
	}
	return r, nil
}

// begin goes on from f with the next question.
func (r *Reader) begin(f *fold) {
	r.fold, r.follower, r.dirty = f, nil, true
}

// Last is what was last read, by this Reader or an earlier one; false for none.
func (r *Reader) Last() (State, bool) {
	if r.state == nil {
		return State{}, false
	}
	return *r.state, true
}

// Close ends connections. The Reader is of no more use.
func (r *Reader) Close() {
	if r.client != nil {
		r.client.Close()
	}
}

// Read returns what holds at the newest settled block. The first time it may take
// long: it reads all events since the contract was deployed. After an error it may
// be called again and goes on where it was.
func (r *Reader) Read(ctx context.Context) (State, error) {
	state, err := r.read(ctx)
	if err == nil {
		return state, nil
	}
	if r.client != nil { // another endpoint may answer there the next time
		r.client.Close()
		r.client, r.follower = nil, nil
	}
	if errors.Is(err, client.ErrReorg) || errors.Is(err, ErrDisagree) {
		r.begin(newFold())
	}
	return State{}, r.config.conceal(err)
}

func (r *Reader) read(ctx context.Context) (State, error) {
	if r.client == nil {
		if err := r.connect(ctx); err != nil {
			return State{}, err
		}
	}
	if r.follower == nil {
		r.follower = r.client.Follower(client.Query{
			Contracts: []common.Address{r.contract}, Topics: [][]common.Hash{r.events.names()}, From: r.addresses.Block,
		}, r.fold.at)
	}
	for more := true; more; {
		var err error
		if more, err = r.follower.Step(ctx, r.take); err != nil {
			return State{}, err
		}
	}
	settled, err := r.client.Settled(ctx)
	switch {
	case errors.Is(err, client.ErrNotFound), err == nil && settled.Number < r.addresses.Block:
		return State{}, fmt.Errorf("%w: wait until block %d is %s", ErrUnsettled, r.addresses.Block, r.config.Finality)
	case err != nil:
		return State{}, err
	case settled.Number < r.fold.at.Block:
		return State{}, fmt.Errorf("%w: block %d is settled there and %d was: wait, or give another rpc", ErrBehind, settled.Number, r.fold.at.Block)
	case r.fold.at.Hash == (common.Hash{}): // it was below that a moment ago
		return State{}, fmt.Errorf("%w: it has just been settled", ErrUnsettled)
	}
	return r.agree(ctx)
}

// take is what the follower gives events to.
func (r *Reader) take(logs []types.Log, at client.Cursor) error {
	if len(logs) == 0 {
		r.fold.at = at
		return nil
	}
	next := r.fold.clone()
	changed, err := r.events.apply(next, logs, at)
	if err != nil {
		return err
	}
	r.fold, r.dirty = next, r.dirty || changed
	return nil
}

// agree compares with the pages when it is time to, and takes the fold as the state.
func (r *Reader) agree(ctx context.Context) (State, error) {
	now := time.Now()
	audit := r.dirty || now.Sub(r.audited) >= r.config.AuditEvery
	if !audit && r.state != nil && r.state.Block == r.fold.at {
		return *r.state, nil
	}
	block, err := r.client.BlockAt(ctx, r.fold.at.Block)
	if err == nil && block.Hash != r.fold.at.Hash {
		err = fmt.Errorf("%w: block %d", client.ErrReorg, block.Number)
	}
	if err == nil && audit {
		err = r.compare(ctx)
	}
	if err != nil {
		return State{}, err
	}
	state := r.fold.state(block.Time)
	if audit {
		r.audited = now
	}
	if r.dirty || now.Sub(r.saved) >= saveEvery {
		if err := r.save(&state); err != nil {
			r.log.Warn("what was read of the bonds is not kept for the next start", slog.Any("error", err))
		}
		r.saved = now
	}
	r.state, r.dirty = &state, false
	return state, nil
}

// connect finds out that the endpoint is the right one.
func (r *Reader) connect(ctx context.Context) error {
	c, err := client.Dial(ctx, r.config.client(r.addresses.ChainID), r.reasons, r.log)
	if errors.Is(err, client.ErrWrongChain) {
		return fmt.Errorf("%w: %w: give an rpc of the chain of %s", ErrWrongChain, err, r.config.Addresses)
	}
	if err != nil {
		return err
	}
	if err := r.check(ctx, c); err != nil {
		c.Close()
		return err
	}
	r.client = c
	return nil
}

func (r *Reader) check(ctx context.Context, c *client.Client) error {
	first, err := c.BlockAt(ctx, 0)
	if err != nil {
		return err
	}
	if first.Hash != r.addresses.Genesis {
		return fmt.Errorf("%w: its first block is %s, that of %s is %s: give an rpc of that chain", ErrWrongChain,
			first.Hash, r.config.Addresses, r.addresses.Genesis)
	}
	code, err := c.Code(ctx, r.contract)
	if err != nil {
		return err
	}
	if len(code) == 0 {
		return fmt.Errorf("%w: nothing is at %s: deploy the contracts, wait until the endpoint has the block, or give the addresses of this chain", ErrContract, r.contract)
	}
	want := r.addresses.Contracts["Bonds"].CodeHash
	if got := crypto.Keccak256Hash(code); want != (common.Hash{}) && got != want {
		return fmt.Errorf("%w: the code at %s has hash %s, %s says %s: give the addresses of this chain", ErrContract, r.contract,
			got, r.config.Addresses, want)
	}
	return nil
}
