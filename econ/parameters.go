package econ

import "fmt"

// Parameters are those of governance that an epoch is computed by. On the chain
// each commit stores the version that it was made with.
type Parameters struct {
	Weights      Weights
	K            Wei   // curvature times 10^18; governance allows 5 to 20
	Mid, Tau     int64 // v_mid and v_tau, signed wads
	MinQuality   Wad   // v_min
	MinHistory   Wad   // h_min
	Kappa        Bps   // r_max over the price of a GB, at most Whole - Margin
	Margin       Bps   // mu, above 0
	CreditsPerGB uint64
	RelayWeight  Bps // of relay bytes, at most MaxRelayBps
	Alpha        Bps // minting factor, at most Whole
	Band         Band
	Filler       bool
}

// DefaultParameters are those of a network at genesis, for epochs of a day.
func DefaultParameters() Parameters {
	return Parameters{
		Weights: Weights{Availability: 4000, History: 1500, Location: 2000, Coverage: 2500},
		K:       KFromInt(10), Mid: int64(One / 2), Tau: int64(One / 10),
		MinQuality: One / 5, MinHistory: One / 2,
		Kappa: 9000, Margin: 1000, CreditsPerGB: 5000, RelayWeight: Whole, Alpha: Whole,
		Band: DailyBand(),
	}
}

// InitialBeta is the share of consumed credits that is burned at first.
const InitialBeta Bps = 6000

// Validate names the first field that governance may not set so. The error wraps
// ErrDomain.
func (p Parameters) Validate() error {
	if err := p.Weights.Validate(); err != nil {
		return err
	}
	switch {
	case p.K.Cmp(KFromInt(5)) < 0 || p.K.Cmp(KFromInt(20)) > 0:
		return fmt.Errorf("%w: k is %s times 10^-18, want 5 to 20", ErrDomain, p.K)
	case p.Margin == 0 || p.Margin > Whole:
		return fmt.Errorf("%w: the margin is %d bps, want 1 to %d", ErrDomain, p.Margin, Whole)
	case p.Kappa > Whole-p.Margin:
		return fmt.Errorf("%w: kappa is %d bps, want at most %d, which leaves the margin", ErrDomain, p.Kappa, Whole-p.Margin)
	case p.CreditsPerGB == 0 || p.CreditsPerGB > GB:
		return fmt.Errorf("%w: credits per GB are %d, want 1 to %d", ErrDomain, p.CreditsPerGB, GB)
	case p.RelayWeight > MaxRelayBps:
		return fmt.Errorf("%w: the weight of relay bytes is %d bps, want at most %d", ErrDomain, p.RelayWeight, MaxRelayBps)
	case p.Alpha > Whole:
		return fmt.Errorf("%w: alpha is %d bps, want at most %d", ErrDomain, p.Alpha, Whole)
	}
	if err := p.MinHistory.Valid("h_min"); err != nil {
		return err
	}
	if err := p.Curve(Wei{}).Validate(); err != nil {
		return err
	}
	return p.Band.Validate()
}

// Curve is the reward function for a scale r_max.
func (p Parameters) Curve(rMax Wei) Curve {
	return Curve{Max: rMax, K: p.K, Mid: p.Mid, Tau: p.Tau, MinQuality: p.MinQuality}
}

// Scale is r_max for the higher of spot and average price of the epoch.
func (p Parameters) Scale(high Price) Wei { return Scale(p.Kappa, p.CreditsPerGB, high) }
