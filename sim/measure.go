package sim

import (
	"encoding/hex"
	"math"
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// Band of yearly inflation that the whitepaper aims at (3).
const (
	LeastInflation = 0.02
	MostInflation  = 0.15
)

// Outcome is what one run showed.
type Outcome struct {
	Scenario string `json:"scenario"`
	Policy   Policy `json:"policy"`
	Seed     uint64 `json:"seed"`
	Version  int    `json:"version"`
	Days     int    `json:"days"`

	InBand         float64 `json:"inBand"`         // share of days, from the second year on, whose year before had an inflation in the band
	BurnAboveMint  int     `json:"burnAboveMint"`  // days
	WashDays       int     `json:"washDays"`       // days on which serving oneself paid
	WashShare      float64 `json:"washShare"`      // of all traffic
	Extraction     float64 `json:"extraction"`     // what that earned, in parts of the market's value on each day, summed
	CutDays        int     `json:"cutDays"`        // days on which payouts were scaled
	BelowCost      int     `json:"belowCost"`      // days on which all nodes together earned less than they paid
	PayOverRevenue float64 `json:"payOverRevenue"` // value of what nodes got for traffic, over what applications paid
	FillerShare    float64 `json:"fillerShare"`    // of what nodes and keys got
	Unserved       float64 `json:"unserved"`       // share of days on which HUDL was short
	Nodes          float64 `json:"nodes"`          // in the network, mean
	Beta           float64 `json:"beta"`           // at the end
	Supply         string  `json:"supply"`         // wei at the end
	Digest         string  `json:"digest"`         // of the ledger's course, to compare runs

	inflation []float64 // of the year before each counted day
}

// measure gathers an Outcome.
type measure struct {
	supply                        []float64
	inflation                     []float64
	inBand, counted               int
	burnAboveMint, washDays, cuts int
	belowCost, short              int
	washGB, allGB, extraction     float64
	pay, revenue, filler          float64
	nodes                         float64
	digest                        uint64
}

const (
	year  = 365
	slack = 1e-9 // of a year of steps that are rounded down
)

func (m *measure) add(e *economy, q quote, t traffic, c closed) {
	supply := c.Supply.Float() / 1e18
	if len(m.supply) >= year {
		rate := supply/m.supply[len(m.supply)-year] - 1
		m.inflation = append(m.inflation, rate)
		m.counted++
		// Rounding of a year of floored steps.
		if rate >= LeastInflation-slack && rate <= MostInflation+slack {
			m.inBand++
		}
	}
	m.supply = append(m.supply, supply)
	m.burnAboveMint += days(c.Burn.Cmp(c.Mint) > 0)
	m.cuts += days(c.cut)
	m.short += days(t.short > 0)
	m.washGB, m.allGB = m.washGB+t.washGB, m.allGB+t.washGB+t.honestGB

	perGB := float64(e.parameters.CreditsPerGB) / 1e5
	value := func(w econ.Wei) float64 { return w.Float() / 1e18 * q.truth }
	if t.washGB > 0 {
		profit := value(c.washPayout) - value(t.paidWash) - t.washGB*e.scenario.Wash.CostPerGB
		m.washDays += days(profit > 0)
		m.extraction += profit / (supply * q.truth)
	}
	pay, cost := value(c.Mint)-value(c.washPayout), 0.0
	for i := range e.network.nodes {
		if n := &e.network.nodes[i]; n.active {
			cost += n.fixedCost + n.costPerGB*n.gb
		}
	}
	m.belowCost += days(pay < cost)
	m.pay, m.revenue = m.pay+pay, m.revenue+t.honestGB*perGB
	m.filler += value(c.Filler)
	m.nodes += float64(e.network.active)
	word := c.Supply.Bytes32()
	for _, b := range append(word[8:], byte(e.network.active)) {
		m.digest = (m.digest ^ uint64(b)) * 0x100000001b3 // FNV-1a
	}
}

func days(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *measure) outcome(e *economy, seed uint64) Outcome {
	n := float64(len(m.supply))
	return Outcome{
		Scenario: e.scenario.Name, Policy: e.policy, Seed: seed, Version: Version, Days: len(m.supply),
		InBand: float64(m.inBand) / float64(m.counted), BurnAboveMint: m.burnAboveMint,
		WashDays: m.washDays, WashShare: ratio(m.washGB, m.allGB), Extraction: m.extraction,
		CutDays: m.cuts, BelowCost: m.belowCost, PayOverRevenue: ratio(m.pay, m.revenue),
		FillerShare: ratio(m.filler, m.filler+m.pay), Unserved: float64(m.short) / n,
		Nodes: m.nodes / n, Beta: e.beta.Float(), Supply: e.ledger.supply.String(),
		Digest:    hex.EncodeToString([]byte{byte(m.digest >> 56), byte(m.digest >> 48), byte(m.digest >> 40), byte(m.digest >> 32), byte(m.digest >> 24), byte(m.digest >> 16), byte(m.digest >> 8), byte(m.digest)}),
		inflation: m.inflation,
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Summary is several runs of one scenario under one policy. Shares and days are
// means of the runs, unless said otherwise.
type Summary struct {
	Scenario       string  `json:"scenario"`
	Title          string  `json:"title"`
	Policy         Policy  `json:"policy"`
	Runs           int     `json:"runs"`
	Days           int     `json:"days"`
	InBand         float64 `json:"inBand"`
	WashDays       float64 `json:"washDays"`
	WashShare      float64 `json:"washShare"`
	Extraction     float64 `json:"extraction"`
	BurnAboveMint  float64 `json:"burnAboveMint"`
	InflationP5    float64 `json:"inflationP5"` // over all counted days of all runs
	InflationP50   float64 `json:"inflationP50"`
	InflationP95   float64 `json:"inflationP95"`
	InflationLeast float64 `json:"inflationLeast"`
	InflationMost  float64 `json:"inflationMost"`
	CutDays        float64 `json:"cutDays"`
	BelowCost      float64 `json:"belowCost"`
	PayOverRevenue float64 `json:"payOverRevenue"`
	FillerShare    float64 `json:"fillerShare"`
	Unserved       float64 `json:"unserved"`
	Nodes          float64 `json:"nodes"`
}

// Summarize puts runs of one scenario and policy together, in their order.
func Summarize(title string, runs []Outcome) Summary {
	if len(runs) == 0 {
		return Summary{Title: title}
	}
	s := Summary{Scenario: runs[0].Scenario, Title: title, Policy: runs[0].Policy, Runs: len(runs), Days: runs[0].Days}
	var all []float64
	n := float64(len(runs))
	for _, r := range runs {
		all = append(all, r.inflation...)
		s.InBand += r.InBand / n
		s.WashDays += float64(r.WashDays) / n
		s.WashShare += r.WashShare / n
		s.Extraction += r.Extraction / n
		s.BurnAboveMint += float64(r.BurnAboveMint) / n
		s.CutDays += float64(r.CutDays) / n
		s.BelowCost += float64(r.BelowCost) / n
		s.PayOverRevenue += r.PayOverRevenue / n
		s.FillerShare += r.FillerShare / n
		s.Unserved += r.Unserved / n
		s.Nodes += r.Nodes / n
	}
	slices.Sort(all)
	s.InflationP5, s.InflationP50, s.InflationP95 = quantile(all, 0.05), quantile(all, 0.5), quantile(all, 0.95)
	s.InflationLeast, s.InflationMost = quantile(all, 0), quantile(all, 1)
	return s
}

// quantile is the value at place ceil(q n) of ordered values, the first for 0.
func quantile(ordered []float64, q float64) float64 {
	if len(ordered) == 0 {
		return math.NaN()
	}
	return ordered[max(0, int(math.Ceil(q*float64(len(ordered))))-1)]
}
