package challenge

import (
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/identity"
)

var (
	// ErrNotPlanned is returned for an order that does not follow from the plan.
	ErrNotPlanned = errors.New("challenge: the order does not follow from the plan")
	// ErrTime is returned for an order that comes too late or much too early.
	ErrTime = errors.New("challenge: not the time of the order")
	// ErrReplay is returned for an order of a test whose later attempt was taken or
	// that has begun.
	ErrReplay = errors.New("challenge: the test was taken before")
	// ErrFull is returned when a node has taken as many orders as it will.
	ErrFull = errors.New("challenge: too many orders")
	// ErrConfig is returned by constructors; the text names the field.
	ErrConfig = errors.New("challenge: configuration")
)

// Bounds of a docket.
const (
	MaxTaken = 64        // orders that have not ended
	MaxAhead = time.Hour // of an order's start
)

// DocketConfig is what a node's docket needs.
type DocketConfig struct {
	Network string
	Key     *identity.Key // of the node
	Rules   Rules
	// Plan returns an error unless a verified order, witness, start of its attempt,
	// rate and times included, follows from what the network agreed on.
	Plan func(*Order) error
}

// Docket is the list of orders that a node has taken (spec Q12 to Q14). A node
// takes part in one test at a time.
type Docket struct {
	DocketConfig
	taken map[[32]byte]taken // by Order.Test
}

type taken struct {
	id                [32]byte
	attempt           uint8
	start, begin, end time.Time
}

// Decision is what a node does with a valid order.
type Decision struct {
	Side     Side
	Accepted bool
	// Known says that the same order was accepted before.
	Known bool
	// Replaces is the id of the earlier attempt whose sessions are to be stopped, or
	// zero.
	Replaces [32]byte
	// Refusal is the answer to the witness when the order is not accepted.
	Refusal *Refusal
}

// NewDocket returns an empty docket. The error wraps ErrConfig or ErrRules.
func NewDocket(c DocketConfig) (*Docket, error) {
	switch {
	case c.Network == "":
		return nil, fmt.Errorf("%w: Network is missing", ErrConfig)
	case c.Key == nil:
		return nil, fmt.Errorf("%w: Key is missing", ErrConfig)
	case c.Plan == nil:
		return nil, fmt.Errorf("%w: Plan is missing", ErrConfig)
	}
	if err := c.Rules.Validate(); err != nil {
		return nil, err
	}
	return &Docket{DocketConfig: c, taken: map[[32]byte]taken{}}, nil
}

// Take judges an order by what the node's newest record says. An error means that
// nobody is owed an answer: it wraps ErrOrder, ErrNetwork, ErrSignature,
// ErrForeign, ErrTime, ErrReplay, ErrFull or ErrNotPlanned.
func (d *Docket) Take(now time.Time, o *Order, adv Advertised) (Decision, error) {
	for test, t := range d.taken {
		if !now.Before(t.end) {
			delete(d.taken, test)
		}
	}
	side, err := d.judge(now, o)
	if err != nil {
		return Decision{}, err
	}
	decision, id := Decision{Side: side}, o.ID()
	if before, there := d.taken[o.Test]; there {
		switch {
		case before.id == id:
			return Decision{Side: side, Accepted: true, Known: true}, nil
		case o.Attempt <= before.attempt || !now.Before(before.begin):
			return Decision{}, fmt.Errorf("%w: attempt %d, this is %d", ErrReplay, before.attempt, o.Attempt)
		}
		decision.Replaces = before.id
	}
	entry := taken{id: id, attempt: o.Attempt, start: o.Start, begin: o.Begin(), end: o.End().Add(2 * d.Rules.Skew)}
	if reason, other := d.objection(o, side, adv, entry); reason != 0 {
		decision.Refusal = d.refuse(o, reason, adv, other)
		return decision, nil
	}
	if _, there := d.taken[o.Test]; !there && len(d.taken) >= MaxTaken {
		return Decision{}, fmt.Errorf("%w: %d have not ended", ErrFull, len(d.taken))
	}
	d.taken[o.Test] = entry
	decision.Accepted = true
	return decision, nil
}

// judge is what comes before the docket's state: cheap first, then the signature,
// then the plan.
func (d *Docket) judge(now time.Time, o *Order) (Side, error) {
	if err := o.Validate(); err != nil {
		return 0, err
	}
	side, me := Prover, d.Key.ID()
	if o.Prover != me {
		side = Challenger
		if _, in := o.Target(me); !in {
			return 0, fmt.Errorf("%w: node %s has no part in the order", ErrForeign, me)
		}
	}
	switch {
	case !now.Before(o.Begin()):
		return 0, fmt.Errorf("%w: what is measured began at %v", ErrTime, o.Begin().UTC())
	case o.Start.Sub(now) > MaxAhead:
		return 0, fmt.Errorf("%w: it starts at %v, more than %v ahead", ErrTime, o.Start.UTC(), MaxAhead)
	}
	if err := o.Verify(d.Network); err != nil {
		return 0, err
	}
	if err := d.Plan(o); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotPlanned, err)
	}
	return side, nil
}

// objection is the first reason against an order, 0 if there is none.
func (d *Docket) objection(o *Order, side Side, adv Advertised, entry taken) (Reason, [32]byte) {
	if adv.Draining {
		return Draining, [32]byte{}
	}
	var other taken
	for test, t := range d.taken {
		// Of several the earliest, so that one state has one answer.
		if test != o.Test && t.start.Before(entry.end) && entry.start.Before(t.end) && (other.end.IsZero() || t.start.Before(other.start)) {
			other = t
		}
	}
	switch {
	case !other.end.IsZero():
		return Overlaps, other.id
	case adv.Hurts(o, side, d.Rules):
		return Busy, [32]byte{}
	}
	return 0, [32]byte{}
}

func (d *Docket) refuse(o *Order, reason Reason, adv Advertised, other [32]byte) *Refusal {
	r := &Refusal{Order: o.ID(), Node: d.Key.ID(), Reason: reason, Advertised: adv, Other: other}
	r.Until, _ = deferred(o, reason, d.Rules)
	r.Signature = d.Key.SignTyped(r.typed())
	return r
}

// Drop forgets an order that was accepted and could not be carried out, so that
// another may take its time.
func (d *Docket) Drop(test [32]byte) { delete(d.taken, test) }
