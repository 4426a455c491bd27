package client

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// Bounds of one look at the chain.
const (
	maxResent = 256 // transactions sent again
	// maxMissing is in how many looks a used nonce may have no receipt before it is
	// believed that it was used for something else: endpoints learn late.
	maxMissing = 5
)

// pursue looks at the chain once and does what each pending intent needs. The
// caller has turn.
func (s *Sender) pursue(ctx context.Context) {
	err := s.pass(ctx)
	switch {
	case err == nil && s.away:
		s.client.log.Info("the chain is back")
	case err != nil && !s.away && ctx.Err() == nil:
		s.client.log.Warn("transactions wait: the chain cannot be asked", "error", err, "pending", len(s.journal.pending))
	}
	s.away = err != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Sender) pass(ctx context.Context) error {
	waiting := s.waiting()
	if len(waiting) == 0 {
		return nil
	}
	settled, err := s.client.Settled(ctx)
	if errors.Is(err, ErrNotFound) {
		settled, err = Block{}, nil // a young chain
	}
	if err != nil {
		return err
	}
	mined, err := s.client.Nonce(ctx, s.wallet.address)
	if err != nil {
		return err
	}
	resent, first := 0, true
	for _, p := range waiting {
		if p.Nonce < mined {
			if err := s.settle(ctx, p, settled); err != nil {
				return err
			}
			continue
		}
		if s.away || resent < maxResent {
			told, err := s.repeat(ctx, p, first)
			if err != nil {
				return err
			}
			if told {
				resent++
			}
		}
		first = false
	}
	return nil
}

// waiting is what is pending, by nonce.
func (s *Sender) waiting() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*pending, 0, len(s.journal.pending))
	for _, p := range s.journal.pending {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pending) int { return int(a.Nonce) - int(b.Nonce) })
	return out
}

// settle ends an intent whose nonce is used, once that is settled.
func (s *Sender) settle(ctx context.Context, p *pending, settled Block) error {
	for _, a := range slices.Backward(p.attempts) {
		receipt, err := s.client.Receipt(ctx, a.Hash)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return err
		}
		s.found(p.ID)
		if receipt.BlockNumber.Uint64() > settled.Number {
			return nil
		}
		return s.end(Outcome{
			ID: p.ID, Nonce: p.Nonce, Hash: a.Hash, Block: receipt.BlockNumber.Uint64(),
			OK: receipt.Status == types.ReceiptStatusSuccessful,
		})
	}
	used, err := s.client.nonceAt(ctx, s.wallet.address, new(big.Int).SetUint64(settled.Number))
	if err != nil {
		return err
	}
	if used <= p.Nonce {
		return nil // it may be undone
	}
	h := s.heard[p.ID]
	h.missing++
	s.heard[p.ID] = h
	if h.missing < maxMissing {
		return nil
	}
	return s.end(Outcome{ID: p.ID, Nonce: p.Nonce, Block: settled.Number, Taken: true})
}

func (s *Sender) found(id string) {
	h := s.heard[id]
	h.missing = 0
	s.heard[id] = h
}

func (s *Sender) end(o Outcome) error {
	delete(s.heard, o.ID)
	return s.write(record{Done: &o})
}

// repeat has the endpoint hear of an intent again whose transaction is in no block.
// The first of them gets a higher fee when it has waited too long: the others wait
// for it.
func (s *Sender) repeat(ctx context.Context, p *pending, first bool) (told bool, err error) {
	h, now := s.heard[p.ID], time.Now()
	newest := p.attempts[len(p.attempts)-1]
	if h.attempts == len(p.attempts) { // this process told of it
		if first && now.Sub(h.first) >= s.client.config.RaiseAfter {
			raised, err := s.raise(ctx, p, newest)
			if err != nil || raised == nil {
				return false, err
			}
			newest = *raised
		} else if !s.away && now.Sub(h.last) < s.client.config.ResendEvery {
			return false, nil
		}
	}
	return true, s.tell(ctx, newest)
}

// raise makes an attempt with a higher fee, or none at the limit.
func (s *Sender) raise(ctx context.Context, p *pending, newest attempt) (*attempt, error) {
	now, err := s.client.suggested(ctx)
	if err != nil {
		return nil, err
	}
	f, ok := newest.Fees.raised(now, s.client.config.maxFee())
	if !ok {
		s.client.log.Warn("a transaction waits at the highest fee allowed", "id", p.ID, "nonce", p.Nonce, "fee_wei", newest.Fees.Cap)
		h := s.heard[p.ID]
		h.first = time.Now() // say so again after a while
		s.heard[p.ID] = h
		return nil, nil
	}
	a, err := s.attempt(p.kept, f)
	if err != nil {
		return nil, err
	}
	s.client.log.Info("a transaction gets a higher fee", "id", p.ID, "nonce", p.Nonce, "fee_wei", f.Cap)
	return a, s.write(record{Attempt: a})
}

// tell gives an attempt to the endpoint. What it says to that decides nothing: it
// may have taken what it refuses. A refusal that the account's owner can do
// something about is told to who waits. The caller has turn.
func (s *Sender) tell(ctx context.Context, a attempt) error {
	_, err := ask(ctx, s.client, "sending", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.client.rpc.CallContext(ctx, nil, "eth_sendRawTransaction", a.Raw)
	})
	h, now := s.heard[a.ID], time.Now()
	if count := len(s.journal.pending[a.ID].attempts); h.attempts != count {
		h.attempts, h.first = count, now
	}
	var refusal *Refusal
	understood := errors.As(err, &refusal)
	if h.last = now; err != nil && !understood {
		h.last = time.Time{} // again at the next look
	}
	s.heard[a.ID] = h
	if !understood {
		return err
	}
	if problem := lasting(refusal); problem != "" {
		s.mu.Lock()
		s.refused[a.ID] = fmt.Errorf("%w: %s; it is sent again with the same id", err, fmt.Sprintf(problem, s.wallet.address))
		s.mu.Unlock()
	}
	return nil
}

// lasting says what to do about a refusal that time alone does not mend. Wordings
// are those of go-ethereum, which Arbitrum and most others share.
func lasting(r *Refusal) string {
	said := strings.ToLower(r.Message)
	for _, known := range []struct{ wording, advice string }{
		{"insufficient funds", "give %s some of the chain's coin to pay for gas"},
		{"gas limit", "the transaction of %s is larger than a block takes"},
		{"intrinsic gas too low", "the transaction of %s was given too little gas"},
		{"invalid sender", "the endpoint does not know the signature of %s: is it of this chain?"},
	} {
		if strings.Contains(said, known.wording) {
			return known.advice
		}
	}
	return ""
}
