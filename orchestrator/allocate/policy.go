package allocate

import (
	"fmt"
	"math"
	"time"
)

// Policy is how an Orchestrator weighs nodes. Start from DefaultPolicy.
type Policy struct {
	Weights Weights `toml:"weights"`
	// HalfDistanceKm is where nearness has fallen to one half.
	HalfDistanceKm float64 `toml:"half_distance_km"`
	// Step is the difference in score that counts, above 0 to 1. A larger one
	// spreads rooms more widely over nodes of about the same worth.
	Step float64 `toml:"step"`
	// Unmeasured stands for a quality or history that is not known, 0 to 1.
	Unmeasured float64 `toml:"unmeasured"`
	// MaxLoad is the part of a node that may be in use with the new client, above 0 to 1.
	MaxLoad float64 `toml:"max_load"`
	// MaxAge is the oldest record that counts.
	MaxAge time.Duration `toml:"max_age"`
	// MinVersion is the oldest software that may be used; empty takes any.
	MinVersion string `toml:"min_version"`
}

// Weights say what matters; only their ratios count.
type Weights struct {
	Distance float64 `toml:"distance"`
	Load     float64 `toml:"load"`
	Quality  float64 `toml:"quality"`
	History  float64 `toml:"history"`
	Price    float64 `toml:"price"`
	Affinity float64 `toml:"affinity"`
}

func (w Weights) sum() float64 {
	return w.Distance + w.Load + w.Quality + w.History + w.Price + w.Affinity
}

// DefaultPolicy prefers the nearest node until it is about 0.9 full or one some
// hundred kilometres further is idle.
func DefaultPolicy() Policy {
	return Policy{
		Weights:        Weights{Distance: 0.45, Load: 0.2, Quality: 0.15, History: 0.05, Price: 0.05, Affinity: 0.1},
		HalfDistanceKm: 1000,
		Step:           0.01,
		Unmeasured:     0.5,
		MaxLoad:        0.9,
		MaxAge:         15 * time.Minute, // the longest life of a node's record
	}
}

// Validate names the field that is out of range.
func (p Policy) Validate() error {
	w := p.Weights
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"Distance", w.Distance}, {"Load", w.Load}, {"Quality", w.Quality},
		{"History", w.History}, {"Price", w.Price}, {"Affinity", w.Affinity},
	} {
		if !(f.value >= 0) || math.IsInf(f.value, 0) {
			return fmt.Errorf("allocate: policy: Weights.%s: want 0 or more, got %v", f.name, f.value)
		}
	}
	switch {
	case !(w.sum() > 0) || math.IsInf(w.sum(), 0):
		return fmt.Errorf("allocate: policy: Weights: want at least one above 0, got %v", w)
	case !(p.HalfDistanceKm > 0) || math.IsInf(p.HalfDistanceKm, 0):
		return fmt.Errorf("allocate: policy: HalfDistanceKm: want more than 0, got %v", p.HalfDistanceKm)
	case !(p.Step >= 1e-6 && p.Step <= 1):
		return fmt.Errorf("allocate: policy: Step: want 0.000001 to 1, got %v", p.Step)
	case !fraction(p.Unmeasured):
		return fmt.Errorf("allocate: policy: Unmeasured: want 0 to 1, got %v", p.Unmeasured)
	case !(p.MaxLoad > 0 && p.MaxLoad <= 1):
		return fmt.Errorf("allocate: policy: MaxLoad: want more than 0 and at most 1, got %v", p.MaxLoad)
	case p.MaxAge <= 0:
		return fmt.Errorf("allocate: policy: MaxAge: want more than 0, got %v", p.MaxAge)
	}
	if _, ok := parseVersion(p.MinVersion); p.MinVersion != "" && !ok {
		return fmt.Errorf("allocate: policy: MinVersion: want major.minor.patch, got %.40q", p.MinVersion)
	}
	return nil
}

func fraction(v float64) bool { return v >= 0 && v <= 1 }
