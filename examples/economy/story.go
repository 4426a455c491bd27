package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/examples/economy/ledger"
)

// Result is what a story came to.
type Result struct {
	Seed         uint64    `json:"seed"`
	Transactions int       `json:"transactions"`
	Reimbursed   int       `json:"reimbursed"` // of them, in the chain's coin
	Epochs       []Epoch   `json:"epochs"`
	Refusals     []Refusal `json:"refusals"`
	SoldKey      SoldKey   `json:"sold_key"`
	// Balances are the same on the chain and in the model.
	Balances []Balance `json:"balances"`
}

// Epoch is one that was committed. Amounts are wei, the price is USD x 10^8.
type Epoch struct {
	Number               uint64       `json:"number"`
	Bytes                econ.Bytes   `json:"bytes"`
	Price                econ.Price   `json:"price8"`
	Reward               econ.Wei     `json:"reward"`
	Mint                 econ.Wei     `json:"mint"`
	Burn                 econ.Wei     `json:"burn"`
	Kept                 econ.Wei     `json:"kept"`
	Cut                  bool         `json:"cut"`
	UnpaidByApplications econ.Credits `json:"unpaid_by_applications"`
}

// Refusal is one by a contract.
type Refusal struct {
	Who   string `json:"who"`
	What  string `json:"what"`
	Error string `json:"error"`
	Text  string `json:"text"`
}

// SoldKey is what the key that was sold has earned for its seller, in wei.
type SoldKey struct {
	ID          int      `json:"id"`
	BeforeSale  econ.Wei `json:"before_sale"`
	SinceSale   econ.Wei `json:"since_sale"`
	ClaimedLate bool     `json:"claimed_after_sale"`
}

// story is being told, once, by one goroutine.
type story struct {
	ctx    context.Context
	net    *network
	model  *ledger.Ledger
	random *rand.Rand
	show   teller
	result Result

	epochs          []finished // by number
	lowest, highest econ.Price // that feeders told
}

// broken carries an error from any depth of a story to tell, so that a story reads
// as one.
type broken struct{ error }

func (s *story) fail(err error) {
	if err != nil {
		panic(broken{err})
	}
}

// tell plays the economy on a chain of its own and compares it with the model
// after each act. The error names every balance that differs. out gets the story.
func tell(ctx context.Context, seed uint64, out io.Writer) (_ Result, err error) {
	dir, err := os.MkdirTemp("", "economy-")
	if err != nil {
		return Result{}, fmt.Errorf("economy: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	s := &story{ctx: ctx, random: rand.New(rand.NewPCG(seed, 0)), show: teller{out}, result: Result{Seed: seed}}
	s.net, err = newNetwork(ctx, dir, seed)
	defer func() { err = errors.Join(err, s.net.close()) }()
	if err != nil {
		return s.result, err
	}
	err = caught(s.acts)
	s.result.Transactions = s.net.sent - len(s.result.Refusals)
	return s.result, err
}

// caught is the error that a story broke with.
func caught(play func()) (err error) {
	defer func() {
		switch b := recover().(type) {
		case nil:
		case broken:
			err = b.error
		default:
			panic(b) // a mistake of ours
		}
	}()
	play()
	return nil
}

func (s *story) acts() {
	for number, act := range []struct {
		title string
		play  func()
	}{
		{"Epoch 0: keys, pools, credits", s.beginning},
		{"Epoch 1: the first commit", s.firstCommit},
		{"Epoch 2: claims, and a vote", s.claimsAndVote},
		{"Epoch 3: a key is sold", s.sale},
		{"Epoch 4: more was earned than may be minted", s.overCap},
		{"Epoch 5: everybody is paid", s.settling},
	} {
		s.show.act(act.title)
		act.play()
		if now := s.now(); now < s.begin(uint64(number)) || now >= s.begin(uint64(number)+1) {
			s.fail(fmt.Errorf("economy: it is %d, outside epoch %d, at the end of its act", now, number))
		}
		s.compare()
	}
	s.show.act("The books, in HUDL")
	s.show.books(s.result.Balances)
}

// compare holds the model against the chain.
func (s *story) compare() {
	chain, err := chainBooks(s.ctx, s.net)
	s.fail(err)
	s.result.Balances, err = compare(chain, s.model.Books())
	s.fail(err)
	s.show.line("%d balances on the chain are those of the model, to the wei", len(s.result.Balances))
}

// do is something that a contract accepts.
func (s *story) do(who, what, contract string, data []byte) *types.Receipt {
	receipt, err := s.net.send(s.ctx, who, what, contract, data)
	if err != nil {
		s.fail(fmt.Errorf("economy: %s %s: %w", who, what, err))
	}
	s.show.line("%s %s", who, what)
	s.gasBack(who, receipt)
	return receipt
}

// gasBack is what the Reserve gave back to whoever did something for all: more
// than nothing, and no more than it had cost.
func (s *story) gasBack(who string, receipt *types.Receipt) {
	reserve := bindings.NewReserve()
	for _, log := range receipt.Logs {
		back, err := reserve.UnpackReimbursedEvent(log)
		if err != nil {
			continue // of another kind
		}
		cost := new(big.Int).Mul(receipt.EffectiveGasPrice, new(big.Int).SetUint64(receipt.GasUsed))
		if back.To != s.address(who) || back.Amount.Sign() <= 0 || back.Amount.Cmp(cost) > 0 {
			s.fail(fmt.Errorf("economy: the Reserve gave %s wei back to %s, want at most %s to %s", back.Amount, back.To, cost, who))
		}
		amount, err := econ.WeiFromBig(back.Amount)
		s.fail(err)
		s.model.GiveGasBack(amount)
		s.result.Reimbursed++
		s.show.line("    the Reserve gives back %s of the %s wei that it cost", back.Amount, cost)
	}
}

// refuse is something that a contract refuses, by that name.
func (s *story) refuse(who, what, contract string, data []byte, name string) {
	_, err := s.net.send(s.ctx, who, what, contract, data)
	var revert *client.Revert
	switch {
	case err == nil:
		s.fail(fmt.Errorf("economy: %s %s: it was done, want it refused with %s", who, what, name))
	case !errors.As(err, &revert) || revert.Name != name:
		s.fail(fmt.Errorf("economy: %s %s: want it refused with %s: %w", who, what, name, err))
	}
	s.show.refused(who, what, revert)
	s.result.Refusals = append(s.result.Refusals, Refusal{who, what, revert.Name, revert.Error()})
}

// see reads from a contract.
func see[T any](s *story, contract string, input []byte, unpack func([]byte) (T, error)) T {
	v, err := client.Read(s.ctx, s.net.client, s.net.at.Of(contract), input, client.Newest, unpack)
	s.fail(err)
	return v
}

func (s *story) address(who string) common.Address { return s.net.parties[who].address() }

// begin is when an epoch begins.
func (s *story) begin(epoch uint64) uint64 { return s.net.genesis.Time + epoch*epochSeconds }

func (s *story) now() uint64 {
	now, err := s.net.now(s.ctx)
	s.fail(err)
	return now
}

func (s *story) until(then uint64) { s.fail(s.net.until(s.ctx, then)) }
