package sim

import (
	"errors"
	"fmt"
	"math"

	"github.com/drtc-network/drtc/econ"
)

// ErrInvariant is wrapped by the error of a run in which something happened that
// must not. The text has policy, seed and epoch.
var ErrInvariant = errors.New("sim: invariant")

const week = 7

// economy is one run.
type economy struct {
	scenario   *Scenario
	policy     Policy
	parameters econ.Parameters
	beta       econ.Bps
	fixed      econ.Wei // r_max of Static
	market     *market
	network    *network
	apps       []application
	holders    []holder
	ledger     *ledger
	measure    measure
	payouts    []econ.Wei // of the epoch, by node
}

// Run lives through a scenario under a policy. The error wraps ErrScenario or
// ErrInvariant.
func Run(s Scenario, policy Policy, seed uint64) (Outcome, error) {
	if err := s.Validate(); err != nil {
		return Outcome{}, err
	}
	e := &economy{
		scenario: &s, policy: policy, parameters: s.parameters(), beta: econ.Bps(s.Network.BetaBps),
		market: newMarket(&s, seed), network: newNetwork(&s, seed), apps: newApplications(&s, seed),
		holders: make([]holder, s.Holders.Count),
		ledger:  newLedger(econ.WeiFromFloat(s.Supply*1e18), s.Nodes.Count, s.Holders.Count),
	}
	e.parameters.Filler = policy == Filled
	e.fixed = e.parameters.Scale(price8(s.Price))
	for i := range e.holders {
		e.holders[i] = holder{chance: newStream(seed, ofHolder, uint64(i)), keys: uint64(s.Holders.Keys)}
	}
	e.network.delegate(e.holders, true)
	for day := range s.Days {
		if err := e.epoch(day); err != nil {
			return Outcome{}, fmt.Errorf("%w: %s under %s, seed %d, epoch %d: %w", ErrInvariant, s.Name, policy, seed, day, err)
		}
	}
	return e.measure.outcome(e, seed), nil
}

// epoch is one day.
func (e *economy) epoch(day int) error {
	q := e.market.step(day)
	for _, event := range e.scenario.Events {
		if event.Kind == NodesEvent && event.Day == day {
			e.network.grow(int(float64(len(e.network.nodes)) * (event.Factor - 1)))
			e.ledger.grow(len(e.network.nodes))
		}
	}
	if day%week == 0 {
		if err := e.week(day); err != nil {
			return err
		}
	}
	t, err := e.trade(day, q)
	if err != nil {
		return err
	}
	before := e.ledger.supply
	closed, err := e.close(t)
	if err != nil {
		return err
	}
	if err := e.book(day, q, t, closed); err != nil {
		return err
	}
	e.measure.add(e, q, t, closed)
	return errors.Join(e.ledger.conserved(), e.invariants(q, t, closed, before))
}

// week moves what moves once in seven days.
func (e *economy) week(day int) error {
	if day > 0 {
		for i := range e.holders {
			e.ledger.claim(i, e.holders[i].node, e.holders[i].keys)
		}
	}
	e.network.week(day)
	if day == 0 {
		return nil
	}
	e.network.delegate(e.holders, false)
	for i := range e.holders {
		e.ledger.holder[i].mark = e.ledger.pool[e.holders[i].node].perKey
		e.ledger.sell(&e.ledger.holder[i].balance, econ.Bps(e.scenario.Holders.Sell*float64(econ.Whole)))
	}
	if !e.policy.projects() {
		return nil
	}
	means, quality := e.network.means()
	weights, err := e.parameters.Weights.Next(means, targets())
	e.parameters.Weights, e.parameters.Tau = weights, econ.NextTau(e.parameters.Tau, quality)
	return err
}

// traffic is what a day brought before the epoch closes.
type traffic struct {
	honestGB, washGB float64
	escrow, paidWash econ.Wei // Q, and the washer's part of it
	scale, top       econ.Wei // r_max, and the best unit reward there can be
	washReward       econ.Wei
	short            float64 // share of demand that found no HUDL to buy
}

// trade is what applications and the washer buy and nodes serve.
func (e *economy) trade(day int, q quote) (traffic, error) {
	s, p := e.scenario, e.parameters
	var t traffic
	t.scale = e.fixed
	if e.policy != Static {
		t.scale = p.Scale(q.high)
	}
	var err error
	if t.top, err = p.Curve(t.scale).Unit(econ.One, econ.One); err != nil {
		return t, err
	}
	total := s.demandOn(day)
	for i := range e.apps {
		t.honestGB += e.apps[i].consume(s, total)
	}
	perGB := float64(p.CreditsPerGB) / 1e5
	best := max(q.low, q.now) // who pays in dollars pays the market's price
	if econ.WashFloat(p.Alpha.Float(), t.top.Float()/1e18, q.truth, 0, perGB*q.truth/best.Float(), s.Wash.CostPerGB) > 0 {
		t.washGB = s.Wash.Times * t.honestGB
	}
	// Nobody buys more than a half of what the market has in one day.
	price := func(gb float64) econ.Wei {
		return econ.CreditsCost(econ.Charge(econ.WeiFromFloat(gb*econ.GB), p.CreditsPerGB), best)
	}
	if wanted, there := price(t.honestGB+t.washGB).Float(), e.ledger.market.Float()/2; wanted > there {
		t.short = 1 - there/wanted
		t.honestGB, t.washGB = t.honestGB*(1-t.short), t.washGB*(1-t.short)
	}
	// Where a whole credit is worth more than the market has, rounding it up would
	// take more than there is.
	t.paidWash = price(t.washGB).Min(e.ledger.market)
	t.escrow = price(t.honestGB).Add(t.paidWash).Min(e.ledger.market)
	e.network.serve(t.honestGB)
	curve := p.Curve(t.scale).Float()
	for i := range e.network.nodes {
		if n := &e.network.nodes[i]; n.gb > 0 {
			n.reward = n.gb * curve.Unit(p.Weights.SumFloat(n.uptime, n.history, n.location, n.coverage), n.v)
		}
	}
	t.washReward = econ.Session(t.top, econ.WeiFromFloat(t.washGB*econ.GB))
	return t, nil
}

// closed is an epoch's end.
type closed struct {
	econ.Totals
	cut        bool
	gross      econ.Wei
	washPayout econ.Wei
}

// close computes mint and burn; payouts of nodes are left in e.payouts.
func (e *economy) close(t traffic) (closed, error) {
	nodes := e.network.nodes
	for len(e.payouts) < len(nodes) {
		e.payouts = append(e.payouts, econ.Wei{})
	}
	var c closed
	for i := range nodes {
		e.payouts[i] = econ.Wei{}
		if nodes[i].reward > 0 {
			e.payouts[i] = e.alpha(econ.WeiFromFloat(nodes[i].reward))
		}
		c.gross = c.gross.Add(e.payouts[i])
	}
	c.washPayout = e.alpha(t.washReward)
	c.gross = c.gross.Add(c.washPayout)
	if !e.policy.projects() {
		c.Mint, c.Burn = c.gross, t.escrow.Share(e.beta)
		c.Kept = t.escrow.Sub(c.Burn)
		c.Supply = e.ledger.supply.Add(c.Mint).Less(c.Burn)
		return c, nil
	}
	s := econ.Epoch{Supply: e.ledger.supply, Escrow: t.escrow, Gross: c.gross, Beta: e.beta, Band: e.parameters.Band, Filler: e.parameters.Filler}.Settle()
	mint := c.gross
	if c.cut = s.Cut; s.Cut {
		c.washPayout = s.Payout(c.washPayout)
		mint = c.washPayout
		for i := range nodes {
			e.payouts[i] = s.Payout(e.payouts[i])
			mint = mint.Add(e.payouts[i])
		}
	}
	c.Totals, e.beta = s.Totals(mint), s.NextBeta()
	return c, nil
}

func (e *economy) alpha(reward econ.Wei) econ.Wei {
	if e.parameters.Alpha == econ.Whole {
		return reward
	}
	return econ.Gross(reward, e.parameters.Alpha)
}

// book moves the epoch's HUDL, then what agents spend of it.
func (e *economy) book(day int, q quote, t traffic, c closed) error {
	s, l := e.scenario, e.ledger
	l.market = l.market.Sub(t.escrow)
	l.reserve = l.reserve.Add(c.Kept)
	l.supply = c.Supply
	l.washer = l.washer.Add(c.washPayout)
	for i := range e.network.nodes {
		n := &e.network.nodes[i]
		if !n.active {
			continue
		}
		earned := 0.0
		if !e.payouts[i].IsZero() {
			if err := l.pay(i, e.payouts[i], n.keys, econ.Bps(s.Nodes.Commission)); err != nil {
				return err
			}
			earned = e.payouts[i].Float() / 1e18 * q.truth
		}
		const decay = 1 - 1.0/28
		n.income = n.income*decay + earned - n.fixedCost - n.costPerGB*n.gb
	}
	l.fill(c.Filler, e.network.nodes)
	l.sell(&l.washer, econ.Whole)
	l.sell(&l.reserve, econ.Bps(s.Reserve.Spend*float64(econ.Whole)))
	if day%week == 0 {
		for i := range l.operator {
			l.sell(&l.operator[i], econ.Whole/2)
		}
	}
	return nil
}

// invariants are what no epoch of a policy may break, however the world goes.
func (e *economy) invariants(q quote, t traffic, c closed, before econ.Wei) error {
	if err := e.parameters.Weights.Validate(); err != nil {
		return err
	}
	if e.policy != Static {
		// Self-service never pays at the price that the network goes by.
		w := econ.Wash{Alpha: e.parameters.Alpha, Reward: t.top, Price: q.high, Paid: econ.FullPrice(e.parameters.CreditsPerGB)}
		if !w.Unprofitable() {
			return fmt.Errorf("serving oneself earns %s times 10^-18 USD per GB at the oracle's price", w.Profit())
		}
	}
	if !e.policy.projects() {
		return nil
	}
	if c.Burn.Cmp(c.Mint) > 0 {
		return fmt.Errorf("burns %s, mints %s", c.Burn, c.Mint)
	}
	if net, most := c.Mint.Sub(c.Burn), before.Times(e.parameters.Band.Hi); net.Cmp(most) > 0 {
		return fmt.Errorf("net mint %s is above the cap %s", net, most)
	}
	if grown, least := e.ledger.supply.Sub(before), before.Times(e.parameters.Band.Lo); e.parameters.Filler && grown.Cmp(least) < 0 {
		return fmt.Errorf("supply grows by %s, want at least %s", grown, least)
	}
	if math.IsNaN(t.honestGB + t.washGB) {
		return errors.New("demand is not a number")
	}
	return nil
}
