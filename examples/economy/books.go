package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/examples/economy/ledger"
)

type books = map[ledger.Entry]econ.Wei

// reader collects what contracts say, until something goes wrong.
type reader struct {
	ctx   context.Context
	net   *network
	books books
	err   error
}

// chainBooks is what the chain says of everything that the ledger's books have,
// and of every account that ever held a token: who is in no story would show.
func chainBooks(ctx context.Context, n *network) (books, error) {
	r := &reader{ctx: ctx, net: n, books: make(books)}
	r.tokens()
	r.reserve()
	r.credits()
	r.pools()
	r.keys()
	return r.books, r.err
}

func (r *reader) add(book, of string, amount *big.Int) {
	if r.err != nil {
		return
	}
	wei, err := econ.WeiFromBig(amount)
	if err != nil {
		r.err = err
	}
	r.books[ledger.Entry{Book: book, Of: of}] = wei
}

// ask reads from a contract.
func ask[T any](r *reader, at common.Address, input []byte, unpack func([]byte) (T, error)) T {
	var none T
	if r.err != nil {
		return none
	}
	v, err := client.Read(r.ctx, r.net.client, at, input, client.Newest, unpack)
	r.err = err
	return v
}

func (r *reader) tokens() {
	hudl, ve := bindings.NewHUDL(), bindings.NewVeHUDL()
	at, veAt := r.net.at.Of("HUDL"), r.net.at.Of("VeHUDL")
	moves := r.transfers(at)
	for who := range moves.holders {
		r.add("HUDL", r.name(who), ask(r, at, hudl.PackBalanceOf(who), hudl.UnpackBalanceOf))
	}
	r.add("supply", "HUDL", ask(r, at, hudl.PackTotalSupply(), hudl.UnpackTotalSupply))
	r.add("supply", "HUDL ever minted", moves.minted)
	r.add("supply", "HUDL ever burned", moves.burned)
	for who := range r.transfers(veAt).holders {
		r.add("veHUDL", r.name(who), ask(r, veAt, ve.PackBalanceOf(who), ve.UnpackBalanceOf))
		r.add("veHUDL being redeemed", r.name(who), r.redeeming(who))
	}
	r.add("supply", "veHUDL", ask(r, veAt, ve.PackTotalSupply(), ve.UnpackTotalSupply))
	r.add("supply", "veHUDL being redeemed", ask(r, veAt, ve.PackPendingRedemptions(), ve.UnpackPendingRedemptions))
}

func (r *reader) redeeming(who common.Address) *big.Int {
	ve, at, sum := bindings.NewVeHUDL(), r.net.at.Of("VeHUDL"), new(big.Int)
	count := ask(r, at, ve.PackRedemptionCount(who), ve.UnpackRedemptionCount)
	for i := int64(0); r.err == nil && i < count.Int64(); i++ {
		if one := ask(r, at, ve.PackRedemption(who, big.NewInt(i)), ve.UnpackRedemption); r.err == nil {
			sum.Add(sum, one.Amount)
		}
	}
	return sum
}

// moves are all transfers that a token has told of.
type moves struct {
	holders        map[common.Address]bool
	minted, burned *big.Int
}

// errEnough ends Follow.
var errEnough = errors.New("economy: all events are read")

func (r *reader) transfers(token common.Address) moves {
	m := moves{make(map[common.Address]bool), new(big.Int), new(big.Int)}
	if r.err != nil {
		return m
	}
	head, err := r.net.client.Head(r.ctx)
	if err != nil {
		r.err = err
		return m
	}
	hudl := bindings.NewHUDL()
	// What a transfer looks like is the same for both tokens (ERC-20).
	transfer := crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
	query := client.Query{Contracts: []common.Address{token}, Topics: [][]common.Hash{{transfer}}, From: r.net.at.Block}
	err = r.net.client.Follow(r.ctx, query, client.Cursor{}, func(logs []types.Log, at client.Cursor) error {
		for i := range logs {
			move, err := hudl.UnpackTransferEvent(&logs[i])
			if err != nil {
				return err
			}
			m.count(move.From, move.To, move.Value)
		}
		if at.Block >= head.Number {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		r.err = errors.Join(err, r.ctx.Err())
	}
	return m
}

func (m moves) count(from, to common.Address, value *big.Int) {
	nobody := common.Address{}
	switch {
	case from == nobody:
		m.minted.Add(m.minted, value)
		m.holders[to] = true
	case to == nobody:
		m.burned.Add(m.burned, value)
	default:
		m.holders[to] = true
	}
}

func (r *reader) reserve() {
	reserve, proof := bindings.NewReserve(), bindings.NewProofOfResource()
	at := r.net.at.Of("Reserve")
	r.add("Reserve", "owed to pools", ask(r, at, reserve.PackOwed(), reserve.UnpackOwed))
	r.add("Reserve", "kept", ask(r, at, reserve.PackKept(), reserve.UnpackKept))
	r.add("Reserve", "filler", ask(r, at, reserve.PackFiller(), reserve.UnpackFiller))
	if r.err == nil {
		var coin *big.Int
		coin, r.err = r.net.client.Balance(r.ctx, at)
		r.add("Reserve", "the chain's coin", coin)
	}
	standing := ask(r, r.net.at.Of("ProofOfResource"), proof.PackStanding(), proof.UnpackStanding)
	r.add("supply", "for accounting, S_C", standing.Supply)
	r.add("supply", "beta, bps", big.NewInt(int64(standing.BetaBps)))
}

func (r *reader) credits() {
	credits, parameters, at := bindings.NewDataCredits(), bindings.NewParameters(), r.net.at.Of("DataCredits")
	current := ask(r, r.net.at.Of("Parameters"), parameters.PackCurrentEpoch(), parameters.UnpackCurrentEpoch)
	for name, p := range r.net.parties {
		account := ask(r, at, credits.PackAccountOf(p.address()), credits.UnpackAccountOf)
		r.add("credits, DC", name, account.Dc)
		r.add("HUDL behind credits", name, account.EscrowWei)
		if !strings.HasPrefix(name, "application") {
			continue
		}
		for _, by := range []string{"orchestrator 1", "orchestrator 2"} {
			input := credits.PackAuthorisation(p.address(), r.net.parties[by].address(), current)
			r.add("authorised, DC", name+" to "+by, ask(r, at, input, credits.UnpackAuthorisation).RemainingDC)
		}
	}
}

func (r *reader) pools() {
	manager, pool, rewards := bindings.NewPoolManager(), bindings.NewPool(), bindings.NewRewards()
	proof := bindings.NewProofOfResource()
	committed := ask(r, r.net.at.Of("ProofOfResource"), proof.PackLastEpoch(), proof.UnpackLastEpoch)
	for _, node := range nodeNames() {
		address := r.net.parties[node].address()
		at := ask(r, r.net.at.Of("PoolManager"), manager.PackPoolOf(address), manager.UnpackPoolOf)
		if r.err != nil || at == (common.Address{}) {
			continue
		}
		for name, p := range r.net.parties {
			r.add("owed by the "+ledger.PoolOf(node), name, ask(r, at, pool.PackOwed(p.address()), pool.UnpackOwed))
		}
		r.add("dust", ledger.PoolOf(node), ask(r, at, pool.PackIndex(), pool.UnpackIndex).Dust)
		for number := uint64(0); number <= committed && committed != epoch.None; number++ {
			e := ledger.CountEntry(number, node)
			r.add(e.Book, e.Of, ask(r, at, pool.PackKeysAt(number), pool.UnpackKeysAt))
		}
		last := ask(r, r.net.at.Of("Rewards"), rewards.PackLastRewardedBatch(address), rewards.UnpackLastRewardedBatch)
		if last != epoch.None {
			r.add("epochs paid up to, not included", node, new(big.Int).SetUint64(last+1))
		}
	}
}

func (r *reader) keys() {
	keys, manager, at := bindings.NewMediaNodeKey(), bindings.NewPoolManager(), r.net.at.Of("MediaNodeKey")
	count := ask(r, at, keys.PackTotalSupply(), keys.UnpackTotalSupply)
	for id := int64(1); r.err == nil && id <= count.Int64(); id++ {
		k := ask(r, at, keys.PackKeyOf(big.NewInt(id)), keys.UnpackKeyOf)
		node := ""
		if k.Pool != 0 {
			node = r.net.named(ask(r, r.net.at.Of("PoolManager"), manager.PackNodeOf(k.Pool), manager.UnpackNodeOf))
		}
		e := ledger.KeyEntry(int(id), r.net.named(k.Owner), node)
		r.add(e.Book, e.Of, big.NewInt(1))
	}
}

// name is whose an address is. Pools have names too.
func (r *reader) name(who common.Address) string {
	manager := bindings.NewPoolManager()
	for _, node := range nodeNames() {
		pool := ask(r, r.net.at.Of("PoolManager"), manager.PackPoolOf(r.net.parties[node].address()), manager.UnpackPoolOf)
		if pool == who {
			return ledger.PoolOf(node)
		}
	}
	return r.net.named(who)
}

// Balance is one line of the books.
type Balance struct {
	Book   string   `json:"book"`
	Of     string   `json:"of"`
	Amount econ.Wei `json:"amount"`
}

// compare fails with every line in which two books differ. What is in neither, or
// 0, is the same. It returns the lines that are not 0, in order.
func compare(chain, model books) ([]Balance, error) {
	all := maps.Clone(model)
	maps.Copy(all, chain)
	var same []Balance
	var differ []string
	for _, e := range slices.SortedFunc(maps.Keys(all), func(a, b ledger.Entry) int {
		return strings.Compare(a.Book+"\n"+a.Of, b.Book+"\n"+b.Of)
	}) {
		switch {
		case chain[e] != model[e]:
			differ = append(differ, fmt.Sprintf("%s, %s: the chain has %s, the model %s", e.Book, e.Of, chain[e], model[e]))
		case !model[e].IsZero():
			same = append(same, Balance{e.Book, e.Of, model[e]})
		}
	}
	if differ != nil {
		return same, fmt.Errorf("economy: %d of %d balances differ:\n  %s", len(differ), len(all), strings.Join(differ, "\n  "))
	}
	return same, nil
}
