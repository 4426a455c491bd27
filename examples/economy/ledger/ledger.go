// Package ledger is who should have what in the economy of package
// examples/economy, worked out without a chain (whitepaper sections 3 and 5.4 to
// 5.8).
//
// The contract in one sentence: it is told what people do and what epochs say, and
// nothing of what a contract holds, so that agreement with the chain to the wei is
// agreement of two who never spoke.
//
//	people's deeds ──▶ Ledger ──▶ Books ◀── compared ──▶ what the chain says
//	econ, epoch ─────────▲
//
// Rewards, totals and divisions are those of econ and epoch (spec/economics.md,
// spec/epoch.md). What it adds is how they move money, in the plainest way there
// is: each key has a list of the epochs in which it counted for whom, each payout is
// divided among the keys that counted, one by one. The contracts do the same with
// checkpoints and an index, because they have to be cheap.
//
// Accounts and contracts go by name. A deed that nobody could do panics: it is a
// mistake in the story, not in the economy. A Ledger is used by one goroutine.
package ledger

import (
	"fmt"
	"maps"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
)

// Contracts that hold HUDL.
const (
	Reserve     = "Reserve"
	DataCredits = "DataCredits"
	Bonds       = "Bonds"
	VeHUDL      = "VeHUDL"
)

// Ledger is the state of the economy.
type Ledger struct {
	hudl, veHUDL, redeeming map[string]econ.Wei
	minted, burned          econ.Wei // since ever, genesis included
	reserveOwes             econ.Wei // to pools; what else it holds is kept
	gasFund                 econ.Wei // of the chain's own coin, in the Reserve

	accounting econ.Wei // S_C
	beta       econ.Bps
	betaFrom   econ.Bps // what governance had set when beta began to drift
	versions   []version
	last       *epoch.Closed

	accounts   map[string]account
	authorised map[pair]*authorisation

	keys  []*key
	pools map[string]*pool
	order []string // of pools: their numbers on the chain
}

// version is one of the parameters, from an epoch on, with the share of consumed
// credits that is burned at first.
type version struct {
	from       uint64
	parameters econ.Parameters
	beta       econ.Bps
}

// New is an economy in which nobody has anything, with the parameters of epoch 0.
func New(p econ.Parameters, beta econ.Bps) *Ledger {
	l := &Ledger{
		hudl: make(map[string]econ.Wei), veHUDL: make(map[string]econ.Wei), redeeming: make(map[string]econ.Wei),
		accounts: make(map[string]account), authorised: make(map[pair]*authorisation), pools: make(map[string]*pool),
		versions: []version{{0, p, beta}},
	}
	return l
}

// Genesis gives HUDL before the first epoch.
func (l *Ledger) Genesis(to string, amount econ.Wei) {
	l.mint(to, amount)
	l.accounting = l.accounting.Add(amount)
}

// SetParameters changes them, in an epoch, from the next on.
func (l *Ledger) SetParameters(epoch uint64, p econ.Parameters, beta econ.Bps) {
	l.versions = append(l.versions, version{epoch + 1, p, beta})
}

// version of the parameters in an epoch, and its number, from 1.
func (l *Ledger) version(epoch uint64) (v version, number uint32) {
	for i, w := range l.versions {
		if w.from <= epoch {
			v, number = w, uint32(i+1)
		}
	}
	return v, number
}

// Parameters of an epoch.
func (l *Ledger) Parameters(epoch uint64) econ.Parameters {
	v, _ := l.version(epoch)
	return v.parameters
}

func (l *Ledger) mint(to string, amount econ.Wei) {
	l.minted = l.minted.Add(amount)
	l.hudl[to] = l.hudl[to].Add(amount)
}

func (l *Ledger) burn(from string, amount econ.Wei) {
	l.burned = l.burned.Add(amount)
	l.hudl[from] = l.hudl[from].Sub(amount)
}

// Pay moves HUDL.
func (l *Ledger) Pay(from, to string, amount econ.Wei) {
	l.hudl[from] = l.hudl[from].Sub(amount)
	l.hudl[to] = l.hudl[to].Add(amount)
}

// Has is the HUDL of an account.
func (l *Ledger) Has(who string) econ.Wei { return l.hudl[who] }

// Votes is the veHUDL of an account.
func (l *Ledger) Votes(who string) econ.Wei { return l.veHUDL[who] }

// Open is all that an epoch's end depends on, from what the ledger knows and what
// it is told: what nodes did, what it is charged for and to whom, and the higher of
// the two prices recorded for the epoch.
func (l *Ledger) Open(number uint64, high econ.Price, leaves []epoch.Leaf, signed []epoch.Charge, charges []Charge) epoch.Open {
	v, versionNumber := l.version(number)
	if v.beta != l.betaFrom { // governance has set another: it starts to drift anew
		l.beta, l.betaFrom = v.beta, v.beta
	}
	open := epoch.Open{
		Epoch: number, Parameters: v.parameters, ParametersVersion: versionNumber, High: high, Supply: l.accounting,
		Escrow: l.quote(number, charges), Beta: l.beta, Leaves: leaves, Charges: signed,
	}
	if l.last != nil {
		open.PreviousRoot = l.last.Commit.Root
	}
	return open
}

// Commit charges for an epoch, mints what its leaves are to be paid and burns.
func (l *Ledger) Commit(c *epoch.Closed, charges []Charge) {
	escrow, _ := l.consume(c.Commit.Epoch, charges)
	l.Pay(DataCredits, Reserve, escrow)
	l.mint(Reserve, c.Totals.Mint)
	l.burn(Reserve, c.Totals.Burn)
	l.reserveOwes = l.reserveOwes.Add(c.Totals.Mint)
	l.accounting, l.beta, l.last = c.Totals.Supply, c.NextBeta, c
}

// FundGas puts some of the chain's own coin into the Reserve, for GiveGasBack.
func (l *Ledger) FundGas(coin econ.Wei) { l.gasFund = l.gasFund.Add(coin) }

// GiveGasBack pays for the gas of a commit or a claim.
func (l *Ledger) GiveGasBack(coin econ.Wei) { l.gasFund = l.gasFund.Sub(coin) }

// Redeem takes veHUDL back; it becomes HUDL by Withdraw, after the lock.
func (l *Ledger) Redeem(who string, amount econ.Wei) {
	l.veHUDL[who] = l.veHUDL[who].Sub(amount)
	l.redeeming[who] = l.redeeming[who].Add(amount)
}

// Withdraw gives what was redeemed.
func (l *Ledger) Withdraw(who string) {
	l.Pay(VeHUDL, who, l.redeeming[who])
	delete(l.redeeming, who)
}

// Entry is a line of the books: in which, and of whom or what.
type Entry struct{ Book, Of string }

// Books is everything that can be compared, in wei unless the book says otherwise.
// What is not in it is 0.
func (l *Ledger) Books() map[Entry]econ.Wei {
	books := make(map[Entry]econ.Wei)
	add := func(book string, of map[string]econ.Wei) econ.Wei {
		var total econ.Wei
		for who, amount := range of {
			books[Entry{book, who}] = amount
			total = total.Add(amount)
		}
		return total
	}
	if held, want := add("HUDL", l.hudl), l.minted.Sub(l.burned); held != want {
		panic(fmt.Sprintf("ledger: accounts have %s wei, %s were minted and not burned", held, want))
	}
	locked := add("veHUDL", l.veHUDL)
	redeeming := add("veHUDL being redeemed", l.redeeming)
	if held := l.hudl[VeHUDL]; held != locked.Add(redeeming) {
		panic(fmt.Sprintf("ledger: %s wei back %s veHUDL and %s being redeemed", held, locked, redeeming))
	}
	maps.Copy(books, map[Entry]econ.Wei{
		{"supply", "HUDL"}:                  l.minted.Sub(l.burned),
		{"supply", "HUDL ever minted"}:      l.minted,
		{"supply", "HUDL ever burned"}:      l.burned,
		{"supply", "veHUDL"}:                locked,
		{"supply", "veHUDL being redeemed"}: redeeming,
		{"supply", "for accounting, S_C"}:   l.accounting,
		{"supply", "beta, bps"}:             econ.NewWei(uint64(l.beta)),
		{"Reserve", "owed to pools"}:        l.reserveOwes,
		{"Reserve", "the chain's coin"}:     l.gasFund,
		{"Reserve", "kept"}:                 l.hudl[Reserve].Sub(l.reserveOwes),
	})
	l.creditBooks(books)
	l.poolBooks(books)
	return books
}
