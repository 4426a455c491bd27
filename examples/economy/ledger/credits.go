package ledger

import "github.com/drtc-network/drtc/econ"

// account is what an application owns of data credits and the HUDL behind them.
type account struct {
	credits econ.Credits
	escrow  econ.Wei
}

// take consumes up to most credits and HUDL in proportion, rounded down; the last
// credit takes what is left.
func (a *account) take(most econ.Credits) (taken econ.Credits, escrow econ.Wei) {
	taken = most.Min(a.credits)
	switch {
	case taken.IsZero():
		return taken, econ.Wei{}
	case taken == a.credits:
		escrow = a.escrow
	default:
		escrow = a.escrow.MulDiv(taken, a.credits)
	}
	a.credits, a.escrow = a.credits.Sub(taken), a.escrow.Sub(escrow)
	return taken, escrow
}

type pair struct{ application, orchestrator string }

// authorisation is what an Orchestrator may still charge to an application.
type authorisation struct {
	remaining  econ.Credits
	from, last uint64 // epochs
}

// Charge is bytes that a payer has consumed, by the payers' names, in the order of
// the epoch's charges.
type Charge struct {
	Application, Orchestrator string
	Bytes                     econ.Bytes
}

// Buy turns HUDL of who pays into credits of an application, at the lower of spot
// and average price.
func (l *Ledger) Buy(payer, application string, amount econ.Wei, low econ.Price) econ.Credits {
	bought := econ.CreditsFor(amount, low)
	a := l.accounts[application]
	a.credits, a.escrow = a.credits.Add(bought), a.escrow.Add(amount)
	l.accounts[application] = a
	l.Pay(payer, DataCredits, amount)
	return bought
}

// Authorise lets an Orchestrator charge to an application for the first time.
func (l *Ledger) Authorise(application, orchestrator string, limit econ.Credits, from, last uint64) {
	l.authorised[pair{application, orchestrator}] = &authorisation{limit, from, last}
}

// Unpaid is how many credits of an epoch's charges Orchestrators would pay
// themselves.
func (l *Ledger) Unpaid(number uint64, charges []Charge) econ.Credits {
	_, unpaid := l.copied().consume(number, charges)
	return unpaid
}

// quote is the HUDL that charges would take.
func (l *Ledger) quote(number uint64, charges []Charge) econ.Wei {
	escrow, _ := l.copied().consume(number, charges)
	return escrow
}

// copied has credits of its own, to try things with.
func (l *Ledger) copied() *Ledger {
	c := &Ledger{versions: l.versions, accounts: make(map[string]account), authorised: make(map[pair]*authorisation)}
	for name, a := range l.accounts {
		c.accounts[name] = a
	}
	for p, a := range l.authorised {
		own := *a
		c.authorised[p] = &own
	}
	return c
}

// consume takes credits for each charge: from the application as far as it has
// authorised and bought, from the Orchestrator for the rest.
func (l *Ledger) consume(number uint64, charges []Charge) (escrow econ.Wei, unpaid econ.Credits) {
	creditsPerGB := l.Parameters(number).CreditsPerGB
	take := func(who string, most econ.Credits) econ.Credits {
		a := l.accounts[who]
		taken, wei := a.take(most)
		l.accounts[who] = a
		escrow = escrow.Add(wei)
		return taken
	}
	for _, c := range charges {
		due := econ.Charge(c.Bytes, creditsPerGB)
		a := l.authorised[pair{c.Application, c.Orchestrator}]
		if a != nil && a.from <= number && number <= a.last {
			taken := take(c.Application, due.Min(a.remaining))
			a.remaining, due = a.remaining.Sub(taken), due.Sub(taken)
		}
		unpaid = unpaid.Add(due)
		if left := due.Sub(take(c.Orchestrator, due)); !left.IsZero() {
			panic("ledger: " + c.Orchestrator + " cannot pay " + left.String() + " credits")
		}
	}
	return escrow, unpaid
}

func (l *Ledger) creditBooks(books map[Entry]econ.Wei) {
	var escrow econ.Wei
	for who, a := range l.accounts {
		books[Entry{"credits, DC", who}] = a.credits
		books[Entry{"HUDL behind credits", who}] = a.escrow
		escrow = escrow.Add(a.escrow)
	}
	if held := l.hudl[DataCredits]; held != escrow {
		panic("ledger: DataCredits has " + held.String() + " wei for credits worth " + escrow.String())
	}
	for p, a := range l.authorised {
		books[Entry{"authorised, DC", p.application + " to " + p.orchestrator}] = a.remaining
	}
}
