package sim

import (
	"math"

	"github.com/drtc-network/drtc/econ"
)

// market is the true price and what the oracle says of it.
type market struct {
	scenario *Scenario
	chance   stream
	errors   stream
	price    float64
	past     []float64 // true prices, the newest last
	reported []float64 // spot prices of the oracle, the newest last
}

func newMarket(s *Scenario, seed uint64) *market {
	return &market{scenario: s, chance: newStream(seed, ofPrice, 0), errors: newStream(seed, ofOracle, 0), price: s.Price}
}

// quote is what an epoch is computed with.
type quote struct {
	truth      float64    // USD per HUDL
	now        econ.Price // the same, as an integer
	high, low  econ.Price // of the oracle: higher and lower of spot and average
	spotFaulty bool       // an event makes the oracle err
}

// step moves the price by a day.
func (m *market) step(day int) quote {
	s := m.scenario
	move := s.Market.Volatility*m.chance.normal() - s.Market.Volatility*s.Market.Volatility/2
	// Drawn every day, so that an event changes nothing else.
	strikes, size := m.chance.uniform() < s.Market.Jumps/365, m.chance.normal()
	if strikes {
		move += s.Market.JumpSize*size - s.Market.JumpSize*s.Market.JumpSize/2
	}
	for _, e := range s.Events {
		if over := max(e.Over, 1); e.Kind == PriceEvent && day >= e.Day && day < e.Day+over {
			move += math.Log(e.Factor) / float64(over)
		}
	}
	// An integer of 10^-8 USD must be able to say it.
	m.price = min(max(m.price*math.Exp(move), 1e-7), 1e9)
	m.past = append(m.past, m.price)

	spot := m.past[max(0, len(m.past)-1-s.Oracle.Lag)] * math.Exp(s.Oracle.Noise*m.errors.normal())
	faulty := false
	for _, e := range s.Events {
		if e.errs(day) {
			spot, faulty = spot*e.Factor, true
		}
	}
	m.reported = append(m.reported, spot)
	window := m.reported[max(0, len(m.reported)-s.Oracle.TWAP):]
	average := 0.0
	for _, p := range window {
		average += p
	}
	average /= float64(len(window))
	return quote{
		truth: m.price, now: price8(m.price), spotFaulty: faulty,
		high: price8(max(spot, average)), low: price8(min(spot, average)),
	}
}

// errs reports whether the event makes the oracle err on a day.
func (e Event) errs(day int) bool {
	if e.Kind != OracleEvent || day < e.Day {
		return false
	}
	since := day - e.Day
	if e.Every > 0 {
		since %= e.Every
	}
	return since < max(e.Over, 1)
}

func price8(usd float64) econ.Price { return econ.Price(max(1, math.Round(usd*1e8))) }
