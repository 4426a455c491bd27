package qos

import (
	"errors"
	"fmt"
)

// ErrOptions is returned for Options outside spec Q2; the text names the field.
var ErrOptions = errors.New("qos: options")

// Seed is what the average of a series is before its first sample. The
// whitepaper leaves it open.
type Seed string

// The seeds.
const (
	SeedFirst Seed = "first" // the first sample, which is therefore good; the rule
	SeedZero  Seed = "zero"
	SeedNone  Seed = "none" // the first sample is in no bucket and counts in the total
)

// Order is whether a sample is compared with the average of those before it or
// with one that it is part of. The whitepaper leaves it open.
type Order string

// The orders.
const (
	ClassifyThenUpdate Order = "classify_then_update" // the rule
	UpdateThenClassify Order = "update_then_classify"
)

// Options are what the whitepaper leaves open (spec Q2). All who must agree use
// the same.
type Options struct {
	Seed         Seed
	Order        Order
	AlphaBitrate float64 // weight of a new bitrate in its average, in (0, 1]
	AlphaRTT     float64 // weight of a new round trip in its average, in (0, 1]
	Adequacy     bool    // V is v_paper times adequacy; else V is v_paper
}

// Default is the rule of the network.
func Default() Options {
	return Options{Seed: SeedFirst, Order: ClassifyThenUpdate, AlphaBitrate: 0.5, AlphaRTT: 0.1, Adequacy: true}
}

// Validate names the first field outside its range.
func (o Options) Validate() error {
	switch {
	case o.Seed != SeedFirst && o.Seed != SeedZero && o.Seed != SeedNone:
		return fmt.Errorf("%w: Seed is %.40q, want %q, %q or %q", ErrOptions, o.Seed, SeedFirst, SeedZero, SeedNone)
	case o.Order != ClassifyThenUpdate && o.Order != UpdateThenClassify:
		return fmt.Errorf("%w: Order is %.40q, want %q or %q", ErrOptions, o.Order, ClassifyThenUpdate, UpdateThenClassify)
	case !(o.AlphaBitrate > 0 && o.AlphaBitrate <= 1):
		return fmt.Errorf("%w: AlphaBitrate is %v, want more than 0 and at most 1", ErrOptions, o.AlphaBitrate)
	case !(o.AlphaRTT > 0 && o.AlphaRTT <= 1):
		return fmt.Errorf("%w: AlphaRTT is %v, want more than 0 and at most 1", ErrOptions, o.AlphaRTT)
	}
	return nil
}
