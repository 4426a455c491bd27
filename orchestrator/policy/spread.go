package policy

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Spread is how an application's rooms spread over Media Nodes, where it differs
// from the Orchestrator's plan. Fields have the meaning of plan.Policy's; zero is
// no difference.
type Spread struct {
	Strategy       *plan.Strategy `toml:"strategy" json:"strategy,omitempty"`
	Regions        []drtc.Region  `toml:"regions" json:"regions,omitempty"`
	Owners         []string       `toml:"owners" json:"owners,omitempty"`
	ExcludeOwners  []string       `toml:"exclude_owners" json:"exclude_owners,omitempty"`
	MinOwners      int            `toml:"min_owners" json:"min_owners,omitempty"`
	Own            string         `toml:"own" json:"own,omitempty"`
	MaxPriceWeight float64        `toml:"max_price_weight" json:"max_price_weight,omitempty"`
	Gain           time.Duration  `toml:"gain" json:"-"`
	GainMs         int            `toml:"-" json:"gain_ms,omitempty"`
	Fill           float64        `toml:"fill" json:"fill,omitempty"`
	RegionNodes    int            `toml:"region_nodes" json:"region_nodes,omitempty"`
	Degree         int            `toml:"degree" json:"degree,omitempty"`
	AudioLimit     int            `toml:"audio_limit" json:"audio_limit,omitempty"`
	Standby        *bool          `toml:"standby" json:"standby,omitempty"`
}

// over is base with what s says.
func (s Spread) over(base plan.Policy) plan.Policy {
	if s.Strategy != nil {
		base.Strategy = *s.Strategy
	}
	if len(s.Regions) > 0 {
		base.Regions = s.Regions
	}
	if len(s.Owners) > 0 {
		base.Owners = s.Owners
	}
	if len(s.ExcludeOwners) > 0 {
		base.ExcludeOwners = s.ExcludeOwners
	}
	set(&base.MinOwners, s.MinOwners)
	set(&base.Own, s.Own)
	set(&base.MaxPriceWeight, s.MaxPriceWeight)
	set(&base.Gain, time.Duration(s.GainMs)*time.Millisecond)
	set(&base.Gain, s.Gain)
	set(&base.Fill, s.Fill)
	set(&base.RegionNodes, s.RegionNodes)
	set(&base.Degree, s.Degree)
	set(&base.AudioLimit, s.AudioLimit)
	if s.Standby != nil {
		base.Standby = *s.Standby
	}
	return base
}

func set[T comparable](to *T, v T) {
	var zero T
	if v != zero {
		*to = v
	}
}

// strategy is base with another strategy, unless s names one.
func (s Spread) strategy(base plan.Policy, usual plan.Strategy) plan.Policy {
	p := s.over(base)
	if s.Strategy == nil {
		p.Strategy = usual
	}
	return p
}
