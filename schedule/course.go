package schedule

import (
	"errors"
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/beacon"
)

// ErrSlot is returned when the slots of an epoch are not taken in their order.
var ErrSlot = errors.New("schedule: slots are planned one after the other")

// Roles of a node in a test, as indices.
const (
	prover = iota
	challenger
	roles
)

// Course is the plan of one epoch, slot after slot. What it counts are planned
// tests: whether they were held is not known to all in time, and comes in with
// the agreed data of the next epoch (Carry).
type Course struct {
	rules  Rules
	agreed Agreed
	root   [32]byte
	k      uint32 // quality tests of a node in each role
	slot   uint32 // the next one
	nodes  []entry
	recent map[uint64]struct{} // pairs that are not to meet again, by pairKey
	goal   uint64              // quality tests of the epoch
	made   uint64              // of these, planned
}

// entry is what a Course counts of a node.
type entry struct {
	networks []uint64      // of its addresses, /24 and /48
	target   [roles]uint32 // quality tests in the epoch
	done     [roles]uint32 // of these, planned
	ago      [roles]uint32 // slots since the last test in the role, at most Slots
	extra    uint32        // extra tests still to plan
	duties   uint32        // as a challenger of extra tests
	measure  bool          // a capacity test is still to plan
}

// Begin starts the plan of an epoch. The error wraps ErrInvalid.
func Begin(rules Rules, agreed Agreed) (*Course, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	agreed, err := agreed.normal(rules)
	if err != nil {
		return nil, err
	}
	c := &Course{rules: rules, agreed: agreed, root: agreed.root(rules), nodes: make([]entry, len(agreed.Nodes)), recent: make(map[uint64]struct{}, len(agreed.Pairs))}
	c.k = rules.Target(len(agreed.Nodes))
	for i, n := range agreed.Nodes {
		e := entry{networks: networks(n.Addresses), ago: [roles]uint32{n.ProvedAgo, n.ChallengedAgo}}
		if k := int64(c.k); k > 0 {
			e.target = [roles]uint32{uint32(k + int64(n.OwedProver)), uint32(k + int64(n.OwedChallenger))}
			e.extra = min(uint32(n.Extra), (rules.Slots-min(rules.Slots, 2*c.k))/2)
			e.measure = rules.CapacityEpochs > 0 && n.DeclaredMbps > 0 && n.MeasuredAgo >= rules.CapacityEpochs
		}
		c.goal += uint64(e.target[prover])
		c.nodes[i] = e
	}
	for _, p := range agreed.Pairs {
		a, _ := agreed.find(p.A)
		b, _ := agreed.find(p.B)
		c.recent[pairKey(a, b)] = struct{}{}
	}
	return c, nil
}

// Root is the hash of the rules and the agreed data: who has another one plans
// another epoch (spec T11).
func (c *Course) Root() [32]byte { return c.root }

// Slot is the next one to plan; Rules.Slots when the epoch is over.
func (c *Course) Slot() uint32 { return c.slot }

// Next plans the next slot from the first round published at its beginning or
// later, which the caller has verified, and counts its tests. A void round plans
// none (spec T5). The error wraps ErrSlot when the epoch is over.
func (c *Course) Next(round beacon.Round) ([]Test, error) {
	if c.slot >= c.rules.Slots {
		return nil, fmt.Errorf("%w: epoch %d has %d", ErrSlot, c.agreed.Epoch, c.rules.Slots)
	}
	var tests []Test
	if !round.Void && len(c.nodes) > 1 {
		seed := Seed(round.Number, round.Randomness, c.agreed.Epoch, c.slot, c.root)
		d := &draft{Course: c, random: newStream(seed), busy: make([]bool, len(c.nodes))}
		d.fill()
		tests = d.finish(seed)
	}
	for i := range c.nodes {
		for role := range c.nodes[i].ago {
			c.nodes[i].ago[role] = min(c.nodes[i].ago[role]+1, c.rules.Slots)
		}
	}
	c.slot++
	return tests, nil
}

// Input is everything that the plan of a slot follows from.
type Input struct {
	Rules  Rules
	Agreed Agreed
	// Rounds of the slots of the epoch from the first one to the one to plan.
	Rounds []beacon.Round
}

// Plan is the plan of the last slot that in has a round of. The error wraps
// ErrInvalid or ErrSlot.
func Plan(in Input) ([]Test, error) {
	c, err := Begin(in.Rules, in.Agreed)
	if err != nil {
		return nil, err
	}
	if len(in.Rounds) == 0 {
		return nil, fmt.Errorf("%w: there is no round", ErrSlot)
	}
	var tests []Test
	for _, round := range in.Rounds {
		if tests, err = c.Next(round); err != nil {
			return nil, err
		}
	}
	return tests, nil
}

// lacks is how many more quality tests the node must have in a role: k less one is
// the least (spec T17).
func (c *Course) lacks(i, role int) uint32 {
	return c.k - 1 - min(c.k-1, c.nodes[i].done[role])
}

// left is how many slots of the epoch are to plan.
func (c *Course) left() uint32 { return c.rules.Slots - c.slot }

// due reports whether the node must be busy in every slot that is left but margin.
func (c *Course) due(i int) bool {
	lacks := c.lacks(i, prover) + c.lacks(i, challenger)
	return lacks > 0 && lacks+margin >= c.left()
}

// weight is the bias of spec T18, in parts of Slots: 1, 2 more by the age of the
// last test in the role; for a prover, 2 more with few results and 3 when flagged.
func (c *Course) weight(i, role int) uint64 {
	n, slots := &c.agreed.Nodes[i], uint64(c.rules.Slots)
	w := slots + 2*uint64(c.nodes[i].ago[role])
	if role == prover && n.Results < c.rules.FewResults {
		w += 2 * slots
	}
	if role == prover && n.Flagged {
		w += 3 * slots
	}
	return w
}

// Shares of tickets (spec T19).
const (
	forEach = 32      // for each test that a node still has to have
	forDue  = 1 << 16 // times as many for one that cannot wait
	margin  = 2       // slots before the last in which it could
)

// tickets is how many a node has in the draw for a quality test in a role.
func (c *Course) tickets(i, role int) uint64 {
	e := &c.nodes[i]
	w := c.weight(i, role)
	switch {
	case e.done[role] > c.k:
		return 0
	case e.done[role] >= e.target[role]:
		return w
	}
	return w * forEach * uint64(e.target[role]-e.done[role])
}

// id of the node at a place.
func (c *Course) id(i int) drtc.NodeID { return c.agreed.Nodes[i].ID }

// pairKey is one number for two places, whichever comes first.
func pairKey(a, b int) uint64 {
	if a > b {
		a, b = b, a
	}
	return uint64(a)<<32 | uint64(b)
}
