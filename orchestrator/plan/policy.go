package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

// Strategy is how a room spans nodes (whitepaper 4.3.1).
type Strategy uint8

// The strategies.
const (
	Adaptive  Strategy = iota // one of the others, by the shape of the room
	Proximity                 // the nearest nodes, linked directly
	Regional                  // several nodes of a region, one gateway to the other regions
	FanOut                    // a tree from the streamer's node to nodes near the viewers
)

var strategyNames = [...]string{"adaptive", "proximity", "regional", "fanout"}

// String returns the name that ParseStrategy reads.
func (s Strategy) String() string {
	if int(s) < len(strategyNames) {
		return strategyNames[s]
	}
	return fmt.Sprintf("strategy %d", uint8(s))
}

// ParseStrategy reads adaptive, proximity, regional or fanout.
func ParseStrategy(s string) (Strategy, error) {
	if i := slices.Index(strategyNames[:], s); i >= 0 {
		return Strategy(i), nil
	}
	return Adaptive, fmt.Errorf("plan: strategy: want adaptive, proximity, regional or fanout, got %.40q", s)
}

// MarshalText implements encoding.TextMarshaler.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Strategy) UnmarshalText(b []byte) (err error) {
	*s, err = ParseStrategy(string(b))
	return err
}

// Policy is what an application wants of the nodes that carry its rooms. Start
// from DefaultPolicy.
type Policy struct {
	Allocate allocate.Policy `toml:"allocate"`
	Strategy Strategy        `toml:"strategy"`

	// Regions, Owners: only nodes of these; empty is any. A node whose owner is
	// unknown is in no list.
	Regions       []drtc.Region `toml:"regions"`
	Owners        []string      `toml:"owners"`
	ExcludeOwners []string      `toml:"exclude_owners"`
	// MinOwners is how many owners a room's home nodes have at least, as soon as
	// it has as many members; 0 and 1 ask for nothing.
	MinOwners int `toml:"min_owners"`
	// Own names an owner whose nodes go before all others while they have room.
	Own string `toml:"own"`
	// MaxPriceWeight is the highest price of a node as a multiple of the usual
	// one; 0 is any.
	MaxPriceWeight float64 `toml:"max_price_weight"`

	// Gain is the round trip that a further node must spare a member before the
	// room comes to it; load and MinOwners bring further nodes too.
	Gain time.Duration `toml:"gain"`
	// Fill is the part of a node up to which Regional and FanOut fill it before
	// they open another one; above 0, at most Allocate.MaxLoad counts.
	Fill float64 `toml:"fill"`
	// RegionNodes is how many nodes share a region's members under Regional, 1
	// or more, as soon as it has as many members.
	RegionNodes int `toml:"region_nodes"`
	// Degree is how many links a node may have in a room, 3 to 64.
	Degree int `toml:"degree"`

	// AudioLimit is how many audio tracks, the loudest, cross a link; 0 is all.
	AudioLimit int `toml:"audio_limit"`
	// Standby plans for each home node a node of another owner that takes over.
	Standby bool `toml:"standby"`
	// MaxMoves is how many members may be moved at once from nodes that are too
	// full; 0 moves none.
	MaxMoves int `toml:"max_moves"`
}

// DefaultPolicy lets Adaptive choose, takes any node and plans standbys.
func DefaultPolicy() Policy {
	return Policy{
		Allocate:    allocate.DefaultPolicy(),
		Strategy:    Adaptive,
		Gain:        20 * time.Millisecond, // 1,300 km of fibre
		Fill:        0.7,
		RegionNodes: 2,
		Degree:      8,
		Standby:     true,
	}
}

// Terms are those of p that each node meets or does not.
func (p Policy) Terms() allocate.Terms {
	return allocate.Terms{
		Regions: p.Regions, Owners: p.Owners, ExcludeOwners: p.ExcludeOwners, Own: p.Own, MaxPriceWeight: p.MaxPriceWeight,
	}
}

// Validate names the field that is out of range.
func (p Policy) Validate() error {
	if err := p.Allocate.Validate(); err != nil {
		return fmt.Errorf("plan: policy: Allocate: %w", err)
	}
	switch {
	case int(p.Strategy) >= len(strategyNames):
		return fmt.Errorf("plan: policy: Strategy: want adaptive, proximity, regional or fanout, got %d", p.Strategy)
	case p.MinOwners < 0:
		return fmt.Errorf("plan: policy: MinOwners: want 0 or more, got %d", p.MinOwners)
	case !(p.MaxPriceWeight >= 0) || math.IsInf(p.MaxPriceWeight, 0):
		return fmt.Errorf("plan: policy: MaxPriceWeight: want 0 or more, got %v", p.MaxPriceWeight)
	case p.Gain < 0:
		return fmt.Errorf("plan: policy: Gain: want 0 or more, got %v", p.Gain)
	case !(p.Fill > 0 && p.Fill <= 1):
		return fmt.Errorf("plan: policy: Fill: want more than 0 and at most 1, got %v", p.Fill)
	case p.RegionNodes < 1:
		return fmt.Errorf("plan: policy: RegionNodes: want 1 or more, got %d", p.RegionNodes)
	case p.Degree < 3 || p.Degree > 64:
		return fmt.Errorf("plan: policy: Degree: want 3 to 64, got %d", p.Degree)
	case p.AudioLimit < 0:
		return fmt.Errorf("plan: policy: AudioLimit: want 0 or more, got %d", p.AudioLimit)
	case p.MaxMoves < 0:
		return fmt.Errorf("plan: policy: MaxMoves: want 0 or more, got %d", p.MaxMoves)
	}
	for _, r := range p.Regions {
		if !slices.Contains(drtc.Regions(), r) {
			return fmt.Errorf("plan: policy: Regions: want NAM, SAM, EU, AFR, MEA, ASI or OCE, got %.20q", r)
		}
	}
	return nil
}
