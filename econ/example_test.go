package econ_test

import (
	"fmt"

	"github.com/drtc-network/drtc/econ"
)

// The reward of a node with good scores for a terabyte, at a HUDL of 2 cents.
func Example() {
	p := econ.DefaultParameters()
	curve := p.Curve(p.Scale(2_000_000))
	scores := econ.Scores{
		Availability: 990_000_000_000_000_000, History: 700_000_000_000_000_000,
		Location: 400_000_000_000_000_000, Coverage: 800_000_000_000_000_000,
		Quality: 900_000_000_000_000_000,
	}
	unit, err := curve.Unit(p.Weights.Sum(scores), scores.Quality)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f HUDL per GB, at most %.4f\n", unit.Float()/1e18, curve.Max.Float()/1e18)
	fmt.Printf("%.1f HUDL for a terabyte\n", econ.Session(unit, econ.NewWei(1e12)).Float()/1e18)
	// Output:
	// 1.6915 HUDL per GB, at most 2.2500
	// 1691.5 HUDL for a terabyte
}

// An epoch that mints 650 and may burn 600 of a supply of a million: the burn
// gives way so that the supply grows by 2 % a year at least.
func ExampleEpoch_Settle() {
	hudl := func(n uint64) econ.Wei { return econ.NewWei(n).MulDiv(econ.NewWei(1e18), econ.NewWei(1)) }
	e := econ.Epoch{Supply: hudl(1_000_000), Escrow: hudl(1000), Gross: hudl(650), Beta: 6000, Band: econ.DailyBand()}
	s := e.Settle()
	t := s.Totals(hudl(650))
	fmt.Printf("burns %.2f of 1000, next beta %d bps\n", t.Burn.Float()/1e18, s.NextBeta())
	// Output:
	// burns 595.74 of 1000, next beta 5958 bps
}
