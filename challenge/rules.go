package challenge

import (
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/qos"
)

// ErrRules is returned for Rules outside their ranges; the text names the field.
var ErrRules = errors.New("challenge: rules")

// Rules are the parameters that all who take part or judge must have alike.
type Rules struct {
	// Headroom is the share of a node's capacity that paying sessions and a test
	// may take together. Idle is the share that paying sessions may take when a
	// test of the whole capacity begins (spec Q13).
	Headroom, Idle econ.Bps
	// DeferBy is how much later a deferred test starts.
	DeferBy time.Duration
	// Checkpoint is how many samples there are from one signed checkpoint to the
	// next.
	Checkpoint int
	// Silence ends a test in which nothing has come from the other side for so long.
	Silence time.Duration
	// Skew is how far two clocks may be apart. The stream runs for twice as long
	// before and after what is measured.
	Skew time.Duration
	// Share is how far counters of the two sides may be apart for other reasons
	// than Skew.
	Share econ.Bps
	// Trip and TripShare are how far the two sides' round trips may be apart: the
	// greater of both.
	Trip      time.Duration
	TripShare econ.Bps
	// Score is how V is computed.
	Score qos.Options
}

// DefaultRules are those of the network.
func DefaultRules() Rules {
	return Rules{
		Headroom: 8000, Idle: 1000, DeferBy: 5 * time.Minute,
		Checkpoint: 12, Silence: 30 * time.Second,
		Skew: 2500 * time.Millisecond, Share: 200, Trip: 20 * time.Millisecond, TripShare: 2500,
		Score: qos.Default(),
	}
}

// Validate names the first field outside its range.
func (r Rules) Validate() error {
	for _, f := range []struct {
		name string
		in   bool
		want string
		got  any
	}{
		{"Headroom", r.Headroom >= 1 && r.Headroom <= econ.Whole, "1 to 10000", r.Headroom},
		{"Idle", r.Idle <= econ.Whole, "0 to 10000", r.Idle},
		{"DeferBy", r.DeferBy > 0, "more than 0", r.DeferBy},
		{"Checkpoint", r.Checkpoint >= 1, "at least 1", r.Checkpoint},
		{"Silence", r.Silence > 0, "more than 0", r.Silence},
		{"Skew", r.Skew > 0 && r.Skew <= time.Minute, "more than 0 and at most a minute", r.Skew},
		{"Share", r.Share <= econ.Whole, "0 to 10000", r.Share},
		{"Trip", r.Trip >= 0, "0 or more", r.Trip},
		{"TripShare", r.TripShare <= econ.Whole, "0 to 10000", r.TripShare},
	} {
		if !f.in {
			return fmt.Errorf("%w: %s is %v, want %s", ErrRules, f.name, f.got, f.want)
		}
	}
	if err := r.Score.Validate(); err != nil {
		return fmt.Errorf("%w: Score: %w", ErrRules, err)
	}
	return nil
}
