package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// Errors of a Sender.
var (
	// ErrConflict says that an id was used for another payload.
	ErrConflict = errors.New("client: this id belongs to another intent")
	// ErrNonceTaken says that the account sent something else with the intent's
	// nonce: the intent had no effect and never will. It can be made anew under
	// another id; the key is in use elsewhere.
	ErrNonceTaken = errors.New("client: the key sent something else meanwhile; nothing was done")
	// ErrNotSettled says that the time to wait was over first. The intent goes on:
	// Send with the same id waits again.
	ErrNotSettled = errors.New("client: not settled yet; the same id may be asked again")
)

// Limits of a Sender.
const (
	// maxGas is what one transaction may use by the rules of Osaka (EIP-7825).
	maxGas = 1 << 24
	// maxAhead is how far the endpoint's word on the next nonce may be ahead of what
	// is in blocks and in the journal: further is a lie that would have the account
	// wait for ever.
	maxAhead = 4096
	// maxPending bounds the intents under way.
	maxPending = 4096
)

// Intent is something to be done once.
type Intent struct {
	// ID names it, for ever: "epoch-17-commit". At most 200 bytes.
	ID string
	// To is the contract; nil makes a new one of Data.
	To   *common.Address
	Data []byte
	// Value is what goes along of the chain's own coin, in wei; nil for none.
	Value *big.Int
	// Gas is the most it may use; 0 has the endpoint estimate and adds a fifth.
	Gas uint64
	// Nonce is the only one that it may have; nil takes the next.
	Nonce *uint64
}

func (i Intent) value() *big.Int {
	if i.Value == nil {
		return new(big.Int)
	}
	return i.Value
}

// same says whether k is what became of i.
func (i Intent) same(k kept) bool {
	oneTarget := i.To == nil && k.To == nil || i.To != nil && k.To != nil && *i.To == *k.To
	return oneTarget && bytes.Equal(i.Data, k.Data) && i.value().Cmp(k.Value) == 0
}

// Sender sends the transactions of one account.
type Sender struct {
	client *Client
	wallet *Wallet

	// turn is held by who gives nonces, sends and looks, one at a time.
	turn chan struct{}
	// heard is when an attempt was last given to the endpoint, by intent; who has
	// turn uses it.
	heard map[string]heard
	// away says that the endpoint was not available when last asked.
	away bool

	mu sync.Mutex
	// journal is written with turn and mu held, and read with either.
	journal *journal
	refused map[string]error
	changed chan struct{} // closed and made anew by every look
}

// heard is what the endpoint was told of an intent.
type heard struct {
	first, last time.Time // of the newest attempt
	attempts    int
	missing     int // looks in a row in which the nonce was used and no receipt there
}

// NewSender opens the journal at path. What it says is pending goes on with the
// next Send or Resume.
func NewSender(c *Client, w *Wallet, path string) (*Sender, error) {
	j, err := openJournal(path, account{c.chainID, w.address})
	if err != nil {
		return nil, err
	}
	return &Sender{
		client: c, wallet: w, journal: j, turn: make(chan struct{}, 1),
		heard: make(map[string]heard), refused: make(map[string]error), changed: make(chan struct{}),
	}, nil
}

// Close closes the journal. Nothing may be sent any more.
func (s *Sender) Close() error { return s.journal.file.Close() }

// Address is the account's.
func (s *Sender) Address() common.Address { return s.wallet.address }

// Send does the intent unless it is done, and waits until its transaction is in a
// settled block. A refusal before anything was sent, such as *Revert, leaves no
// trace, and the id is free. A *Revert with a receipt was refused in the block.
// When ctx ends first the error is ErrNotSettled, and the intent goes on.
func (s *Sender) Send(ctx context.Context, i Intent) (*types.Receipt, error) {
	if err := s.Submit(ctx, i); err != nil {
		return nil, err
	}
	return s.Wait(ctx, i.ID)
}

// Submit gives the intent its nonce and has its transaction sent, without waiting.
// From its return on the intent outlives this process.
func (s *Sender) Submit(ctx context.Context, i Intent) error {
	if i.ID == "" || len(i.ID) > 200 {
		return fmt.Errorf("client: id: want 1 to 200 bytes, got %d", len(i.ID))
	}
	if known, err := s.known(i); known || err != nil {
		return err
	}
	gas := i.Gas
	if gas == 0 {
		var err error
		if gas, err = s.estimate(ctx, i); err != nil {
			return err
		}
	}
	if gas > maxGas {
		return fmt.Errorf("client: gas: one transaction may use %d, %q wants %d", maxGas, i.ID, gas)
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.giveBack()
	if known, err := s.known(i); known || err != nil {
		return err
	}
	return s.open(ctx, i, gas)
}

// known says whether the intent is in the journal.
func (s *Sender) known(i Intent) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.journal.pending[i.ID]; ok {
		if !i.same(p.kept) {
			return true, fmt.Errorf("%w: %q", ErrConflict, i.ID)
		}
		return true, nil
	}
	_, ok := s.journal.done[i.ID]
	return ok, nil
}

// open gives the intent a nonce. The caller has turn.
func (s *Sender) open(ctx context.Context, i Intent, gas uint64) error {
	nonce, err := s.nextNonce(ctx)
	if err != nil {
		return err
	}
	if i.Nonce != nil && *i.Nonce != nonce {
		return fmt.Errorf("%w: %q is for nonce %d, the next is %d", ErrNonceTaken, i.ID, *i.Nonce, nonce)
	}
	f, err := s.client.suggested(ctx)
	if err != nil {
		return err
	}
	k := kept{ID: i.ID, Nonce: nonce, To: i.To, Data: i.Data, Value: i.value(), Gas: gas}
	first, err := s.attempt(k, f)
	if err != nil {
		return err
	}
	if err := s.write(record{Intent: &k}, record{Attempt: first}); err != nil {
		return err
	}
	// An endpoint that did not hear of it will: the intent is in the journal.
	_ = s.tell(ctx, *first)
	return nil
}

func (s *Sender) attempt(k kept, f fees) (*attempt, error) {
	tx, err := s.wallet.sign(s.client.chainID, k, f)
	if err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &attempt{k.ID, tx.Hash(), raw, f}, nil
}

// nextNonce is above all that the journal, the blocks and the pool have.
func (s *Sender) nextNonce(ctx context.Context) (uint64, error) {
	if len(s.journal.pending) >= maxPending {
		return 0, fmt.Errorf("client: %d intents are under way already", maxPending)
	}
	mined, err := s.client.Nonce(ctx, s.wallet.address)
	if err != nil {
		return 0, err
	}
	next := mined
	for _, p := range s.journal.pending {
		next = max(next, p.Nonce+1)
	}
	pooled, err := ask(ctx, s.client, "next nonce", func(ctx context.Context) (uint64, error) {
		return s.client.eth.PendingNonceAt(ctx, s.wallet.address)
	})
	if err != nil {
		return 0, err
	}
	if pooled > next+maxAhead {
		return 0, fmt.Errorf("%w: it says the next nonce is %d after %d", ErrUnavailable, pooled, next)
	}
	return max(next, pooled), nil
}

// estimate asks for the gas as if what waits in the pool were done, and has the
// contract say why not.
func (s *Sender) estimate(ctx context.Context, i Intent) (uint64, error) {
	call := map[string]any{"from": s.wallet.address, "value": (*hexutil.Big)(i.value()), "input": hexutil.Bytes(i.Data)}
	if i.To != nil {
		call["to"] = i.To
	}
	gas, err := ask(ctx, s.client, "transaction", func(ctx context.Context) (uint64, error) {
		var gas hexutil.Uint64
		err := s.client.rpc.CallContext(ctx, &gas, "eth_estimateGas", call, "pending")
		return uint64(gas), err
	})
	if err != nil {
		return 0, err
	}
	return max(gas, min(gas+gas/5, maxGas)), nil
}

// Cost is the gas that an intent would be given now, and what that costs at most
// in wei of the chain's own coin. A contract that refuses says so here, as in Send.
func (s *Sender) Cost(ctx context.Context, i Intent) (gas uint64, most *big.Int, err error) {
	if gas = i.Gas; gas == 0 {
		if gas, err = s.estimate(ctx, i); err != nil {
			return 0, nil, err
		}
	}
	f, err := s.client.suggested(ctx)
	if err != nil {
		return 0, nil, err
	}
	return gas, new(big.Int).Mul(f.Cap, new(big.Int).SetUint64(gas)), nil
}

// Wait blocks until the intent is settled, as Send does.
func (s *Sender) Wait(ctx context.Context, id string) (*types.Receipt, error) {
	for {
		outcome, changed, err := s.look(id)
		if err != nil {
			return nil, err
		}
		if outcome != nil {
			return s.result(ctx, *outcome)
		}
		select {
		case s.turn <- struct{}{}:
			s.pursue(ctx)
			s.giveBack()
			if outcome, _, err := s.look(id); outcome != nil || err != nil {
				continue
			}
		default: // somebody else looks
		}
		if err := s.pause(ctx, changed); err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrNotSettled, id, err)
		}
	}
}

// pause waits for another one's look, or for the time of the next.
func (s *Sender) pause(ctx context.Context, changed <-chan struct{}) error {
	timer := time.NewTimer(s.client.config.PollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-timer.C:
	}
	return ctx.Err()
}

// look is what the journal says of an intent.
func (s *Sender) look(id string) (*Outcome, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done, ok := s.journal.done[id]; ok {
		return &done, nil, nil
	}
	if _, ok := s.journal.pending[id]; !ok {
		return nil, nil, fmt.Errorf("intent %q: %w", id, ErrNotFound)
	}
	if err := s.refused[id]; err != nil {
		delete(s.refused, id) // who asks again waits again
		return nil, nil, err
	}
	return nil, s.changed, nil
}

// result makes of an outcome what Send returns.
func (s *Sender) result(ctx context.Context, o Outcome) (*types.Receipt, error) {
	if o.Taken {
		return nil, fmt.Errorf("%w: %q, nonce %d", ErrNonceTaken, o.ID, o.Nonce)
	}
	receipt, err := s.client.Receipt(ctx, o.Hash)
	for errors.Is(err, ErrUnavailable) && s.pause(ctx, nil) == nil {
		receipt, err = s.client.Receipt(ctx, o.Hash)
	}
	if err != nil || o.OK {
		return receipt, err
	}
	return receipt, s.reason(ctx, o)
}

// reason asks why the contract refused, by calling it as it was in the block
// before.
func (s *Sender) reason(ctx context.Context, o Outcome) error {
	tx, err := s.client.Transaction(ctx, o.Hash)
	if err == nil && o.Block > 0 {
		_, err = s.client.call(ctx, ethereum.CallMsg{
			From: s.wallet.address, To: tx.To(), Data: tx.Data(), Value: tx.Value(), Gas: tx.Gas(),
		}, new(big.Int).SetUint64(o.Block-1))
	}
	var revert *Revert
	if errors.As(err, &revert) {
		return err
	}
	return fmt.Errorf("transaction %s in block %d: %w", o.Hash, o.Block, s.client.reasons.Decode(nil))
}

// Pending are the ids of what is under way.
func (s *Sender) Pending() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.journal.pending))
	for id := range s.journal.pending {
		ids = append(ids, id)
	}
	return ids
}

// Resume waits until all that was under way is settled, and returns what did not
// end well.
func (s *Sender) Resume(ctx context.Context) error {
	var all error
	for _, id := range s.Pending() {
		_, err := s.Wait(ctx, id)
		all = errors.Join(all, err)
	}
	return all
}

func (s *Sender) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("client: %w", ctx.Err())
	}
}

func (s *Sender) giveBack() { <-s.turn }

func (s *Sender) write(records ...record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.write(records...)
}
