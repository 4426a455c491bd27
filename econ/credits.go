package econ

import "fmt"

// Price is USD per HUDL times 10^8. It is at least 1.
type Price uint64

// Valid refuses a price of zero.
func (p Price) Valid(name string) error {
	if p == 0 {
		return fmt.Errorf("%w: %s is 0, want USD per HUDL times 10^8, at least 1", ErrDomain, name)
	}
	return nil
}

// Float is p in USD.
func (p Price) Float() float64 { return float64(p) / 1e8 }

// Credits is an amount of data credits, 10^-5 USD each.
type Credits = Wei

// CreditsFor is what an amount of HUDL buys at a price, rounded down (spec E16).
// Buyers pay at the lower of spot and average price.
func CreditsFor(amount Wei, price Price) Credits {
	return amount.MulDiv(creditPrice(price), creditScale())
}

// CreditsCost is the least amount of HUDL that buys so many credits, rounded up
// (spec E16).
func CreditsCost(credits Credits, price Price) Wei {
	return credits.MulDivUp(creditScale(), creditPrice(price))
}

// Charge is the credits that serving bytes costs, rounded up (spec E16).
func Charge(served Bytes, creditsPerGB uint64) Credits {
	return served.MulDivUp(NewWei(creditsPerGB), NewWei(GB))
}

// Scale is r_max, wei per GB: kappa of what a GB costs, at the higher of spot and
// average price, rounded down (spec E17).
func Scale(kappa Bps, creditsPerGB uint64, high Price) Wei {
	top := NewWei(uint64(kappa)).MulDiv(NewWei(creditsPerGB), NewWei(1))
	bottom := creditPrice(high).MulDiv(NewWei(uint64(Whole)), NewWei(1))
	return top.MulDiv(creditScale(), bottom)
}

// creditPrice is price8 * 10^5, so that price and credits have one unit.
func creditPrice(p Price) Wei { return NewWei(uint64(p)).MulDiv(NewWei(100_000), NewWei(1)) }

// creditScale is 10^26: wei of one HUDL times the unit of a price.
func creditScale() Wei { return NewWei(uint64(One)).MulDiv(NewWei(100_000_000), NewWei(1)) }
