package sim

import (
	"errors"
	"fmt"
	"math"

	"github.com/drtc-network/drtc/econ"
)

// ErrScenario is wrapped by every refusal of a Scenario. The text names the field.
var ErrScenario = errors.New("sim: scenario")

// Scenario is one world, as a file describes it. What a file leaves out is as in
// DefaultScenario.
type Scenario struct {
	Name  string `toml:"name"`
	Title string `toml:"title"` // one line of a table
	Days  int    `toml:"days"`  // epochs, a day each, 366 to 36500

	Supply float64 `toml:"supply"` // HUDL at first
	Price  float64 `toml:"price"`  // USD at first

	Market  Market  `toml:"market"`
	Oracle  Oracle  `toml:"oracle"`
	Demand  Demand  `toml:"demand"`
	Nodes   Nodes   `toml:"nodes"`
	Holders Holders `toml:"holders"`
	Reserve Reserve `toml:"reserve"`
	Wash    Wash    `toml:"wash"`
	Network Network `toml:"network"`
	Events  []Event `toml:"event"`
}

// Market is the price of HUDL: a martingale of normal steps and jumps.
type Market struct {
	Volatility float64 `toml:"volatility"` // of a day, standard deviation of the logarithm
	Jumps      float64 `toml:"jumps"`      // a year
	JumpSize   float64 `toml:"jump_size"`  // standard deviation of a jump's logarithm
}

// Oracle is what the network takes for the price.
type Oracle struct {
	Noise float64 `toml:"noise"` // standard deviation of the logarithm of its error
	Lag   int     `toml:"lag"`   // days that its spot price is old
	TWAP  int     `toml:"twap"`  // days that its average is over
}

// Demand is what applications consume.
type Demand struct {
	GBPerDay     float64 `toml:"gb_per_day"`
	Applications int     `toml:"applications"`
	Noise        float64 `toml:"noise"`  // of a day, for one application
	Growth       float64 `toml:"growth"` // a year, as a factor less one
}

// Nodes are those that take part and those that would.
type Nodes struct {
	Count        int     `toml:"count"`
	FixedCost    float64 `toml:"fixed_cost"`     // USD a month, of the median node
	CostPerGB    float64 `toml:"cost_per_gb"`    // USD, of the median node
	QualityNoise float64 `toml:"quality_noise"`  // of a day
	Cells        int     `toml:"cells"`          // places
	Commission   uint32  `toml:"commission_bps"` // of rewards
}

// Holders own keys and delegate them.
type Holders struct {
	Count int     `toml:"count"`
	Keys  int     `toml:"keys"` // of each
	Sell  float64 `toml:"sell"` // share of what they hold that they sell in a week
}

// Reserve spends what was not burned.
type Reserve struct {
	Spend float64 `toml:"spend"` // share a day
}

// Wash is the owner who serves himself.
type Wash struct {
	Times     float64 `toml:"times"`       // traffic, in multiples of honest demand
	CostPerGB float64 `toml:"cost_per_gb"` // USD
}

// Network is what governance sets and a comparison may vary; the rest is
// econ.DefaultParameters.
type Network struct {
	KappaBps     uint32  `toml:"kappa_bps"`
	BetaBps      uint32  `toml:"beta_bps"`
	CreditsPerGB uint64  `toml:"credits_per_gb"`
	K            uint64  `toml:"k"`
	Tau          float64 `toml:"v_tau"`
}

// Event changes the world from a day on.
type Event struct {
	Kind   string  `toml:"kind"`   // price, demand, nodes or oracle
	Day    int     `toml:"day"`    // first of the change
	Over   int     `toml:"over"`   // days: a price gets there in them, an oracle errs for them, demand and nodes change at once
	Factor float64 `toml:"factor"` // what it is multiplied with
	Every  int     `toml:"every"`  // days after which an oracle errs again; 0 is never
	Until  int     `toml:"until"`  // day on which demand is as without it again; 0 is never
}

// Kinds of events.
const (
	PriceEvent  = "price"
	DemandEvent = "demand"
	NodesEvent  = "nodes"
	OracleEvent = "oracle"
)

// DefaultScenario is five years in which nothing happens but chance.
func DefaultScenario() Scenario {
	p := econ.DefaultParameters()
	return Scenario{
		Name: "base", Title: "base", Days: 5 * 365,
		Supply: 1e9, Price: 0.01,
		Market:  Market{Volatility: 0.05, Jumps: 2, JumpSize: 0.1},
		Oracle:  Oracle{Noise: 0.01, TWAP: 7},
		Demand:  Demand{GBPerDay: 100_000, Applications: 10, Noise: 0.1},
		Nodes:   Nodes{Count: 100, FixedCost: 50, CostPerGB: 0.0015, QualityNoise: 0.03, Cells: 150, Commission: 1000},
		Holders: Holders{Count: 200, Keys: 5, Sell: 0.5},
		Reserve: Reserve{Spend: 0.05},
		Wash:    Wash{Times: 5, CostPerGB: 0.0005},
		Network: Network{
			KappaBps: uint32(p.Kappa), BetaBps: uint32(econ.InitialBeta), CreditsPerGB: p.CreditsPerGB,
			K: 10, Tau: 0.1,
		},
	}
}

// Validate names the first field out of range.
func (s Scenario) Validate() error {
	type check struct {
		name        string
		value       float64
		least, most float64
	}
	for _, c := range []check{
		{"days", float64(s.Days), 366, 36_500},
		{"supply", s.Supply, 1, 1e15},
		{"price", s.Price, 1e-6, 1e6},
		{"market.volatility", s.Market.Volatility, 0, 1},
		{"market.jumps", s.Market.Jumps, 0, 100},
		{"market.jump_size", s.Market.JumpSize, 0, 2},
		{"oracle.noise", s.Oracle.Noise, 0, 1},
		{"oracle.lag", float64(s.Oracle.Lag), 0, 365},
		{"oracle.twap", float64(s.Oracle.TWAP), 1, 365},
		{"demand.gb_per_day", s.Demand.GBPerDay, 1, 1e12},
		{"demand.applications", float64(s.Demand.Applications), 1, 10_000},
		{"demand.noise", s.Demand.Noise, 0, 1},
		{"demand.growth", s.Demand.Growth, -0.99, 100},
		{"nodes.count", float64(s.Nodes.Count), 1, 100_000},
		{"nodes.fixed_cost", s.Nodes.FixedCost, 0, 1e9},
		{"nodes.cost_per_gb", s.Nodes.CostPerGB, 0, 1e3},
		{"nodes.quality_noise", s.Nodes.QualityNoise, 0, 1},
		{"nodes.cells", float64(s.Nodes.Cells), 1, 100_000},
		{"nodes.commission_bps", float64(s.Nodes.Commission), 0, float64(econ.Whole)},
		{"holders.count", float64(s.Holders.Count), 1, 1_000_000},
		{"holders.keys", float64(s.Holders.Keys), 1, 10_000},
		{"holders.sell", s.Holders.Sell, 0, 1},
		{"reserve.spend", s.Reserve.Spend, 0, 1},
		{"wash.times", s.Wash.Times, 0, 1e6},
		{"wash.cost_per_gb", s.Wash.CostPerGB, 0, 1e3},
		{"network.beta_bps", float64(s.Network.BetaBps), 0, float64(econ.Whole)},
		{"network.v_tau", s.Network.Tau, -0.1, 0.1},
	} {
		if math.IsNaN(c.value) || c.value < c.least || c.value > c.most {
			return fmt.Errorf("%w: %s is %v, want %v to %v", ErrScenario, c.name, c.value, c.least, c.most)
		}
	}
	if s.Name == "" {
		return fmt.Errorf("%w: name is missing", ErrScenario)
	}
	if err := s.parameters().Validate(); err != nil {
		return fmt.Errorf("%w: network: %w", ErrScenario, err)
	}
	for i, e := range s.Events {
		if err := e.validate(s.Days); err != nil {
			return fmt.Errorf("%w: event %d: %w", ErrScenario, i+1, err)
		}
	}
	return nil
}

func (e Event) validate(days int) error {
	switch e.Kind {
	case PriceEvent, DemandEvent, NodesEvent, OracleEvent:
	default:
		return fmt.Errorf("kind is %q, want price, demand, nodes or oracle", e.Kind)
	}
	switch {
	case e.Day < 0 || e.Day >= days:
		return fmt.Errorf("day is %d, want 0 to %d", e.Day, days-1)
	case e.Over < 0 || e.Every < 0 || e.Until < 0:
		return errors.New("over, every and until are not negative")
	case !(e.Factor > 0) || e.Factor > 1e6:
		return fmt.Errorf("factor is %v, want above 0 and at most 10^6", e.Factor)
	case e.Kind == NodesEvent && e.Factor < 1:
		return fmt.Errorf("factor is %v: nodes leave by themselves, want at least 1", e.Factor)
	}
	return nil
}

// parameters are those of governance at first.
func (s Scenario) parameters() econ.Parameters {
	p := econ.DefaultParameters()
	p.Kappa, p.CreditsPerGB = econ.Bps(s.Network.KappaBps), s.Network.CreditsPerGB
	p.Margin = max(1, econ.Whole-min(econ.Whole, p.Kappa))
	p.K = econ.KFromInt(min(s.Network.K, econ.MaxK+1))
	p.Tau = int64(s.Network.Tau * float64(econ.One))
	return p
}
