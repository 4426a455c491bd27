package schedule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Reasons for which a node does not obey an order.
var (
	ErrNotPlanned = errors.New("schedule: the test is not in the plan of its slot")
	ErrNotWitness = errors.New("schedule: who orders the test is not its witness")
	ErrEarly      = errors.New("schedule: the order comes before the witness's turn")
	ErrLate       = errors.New("schedule: the order comes after the slot's tests had to begin")
)

// TurnAt is when the witness at a place of Test.Witnesses may order the test.
func (r Rules) TurnAt(t Test, place int) time.Time {
	return r.Start(t.Epoch, t.Slot).Add(time.Duration(place) * r.Turn)
}

// Verify says whether a node may obey a Registry that orders a test now: the test
// is one of the plan that the node made from the verified round of the slot, the
// Registry is its witness, and its turn has come and not passed (spec T26). skew
// is how much the clocks may differ. The error is one of those above, wrapped.
func (r Rules) Verify(plan []Test, order Test, issuer drtc.NodeID, now time.Time, skew time.Duration) error {
	i := slices.IndexFunc(plan, func(t Test) bool { return t.ID == order.ID })
	if i < 0 || !plan[i].Equal(order) {
		return fmt.Errorf("%w: test %x of epoch %d, slot %d", ErrNotPlanned, order.ID[:4], order.Epoch, order.Slot)
	}
	place := slices.Index(order.Witnesses, issuer)
	if place < 0 {
		return fmt.Errorf("%w: %s", ErrNotWitness, issuer)
	}
	if turn := r.TurnAt(order, place); now.Add(skew).Before(turn) {
		return fmt.Errorf("%w: %s is number %d, its turn is %s from now", ErrEarly, issuer, place+1, turn.Sub(now))
	}
	if end := r.Start(order.Epoch, order.Slot).Add(r.Wait); now.Add(-skew).After(end) {
		return fmt.Errorf("%w: by %s", ErrLate, now.Sub(end))
	}
	return nil
}
