package allocate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Snapshot is what the Orchestrator knows of the nodes at one moment.
type Snapshot struct {
	At    time.Time // when the ages below were taken
	Nodes []Candidate
}

// Candidate is one node. The fields from Score on are neutral when zero.
type Candidate struct {
	ID       drtc.NodeID
	Place    drtc.Place
	Region   drtc.Region
	Version  string // semantic version of its software
	Features []string

	CapacityMbps float64 // what it may send; 0 is unknown
	LoadMbps     float64 // what it sends now
	LoadFraction float64 // what it reports of its CPU, 0 to 1
	Sessions     int
	MaxSessions  int // 0 is unlimited
	// AudioCapacity is how many sessions it may have when they are audio only; 0
	// is MaxSessions.
	AudioCapacity int

	AgeOfRecord time.Duration // since the node last signed its record, at Snapshot.At
	Reachable   bool          // its control stream is up
	Refuses     string        // why it takes no new session, in its own words; empty if it does

	Score            *float64  // V of the QoS tests, 0 to 1; nil is not measured
	History          *float64  // 0 to 1; nil is none
	QuarantinedUntil time.Time // no new sessions before it
	Owner            string    // who runs it; empty is unknown and equal to nobody
	PriceWeight      float64   // its price as a multiple of the usual one; 0 is 1
}

// Request is what a client needs.
type Request struct {
	Room       drtc.RoomID
	Place      *drtc.Place // of the client; nil is unknown
	AccuracyKm float64     // how far off Place may be
	Region     drtc.Region // of the client; used where Place is nil
	RegionOnly bool        // a node outside Region is refused
	NeedMbps   float64     // what the node will send for this client
	Features   []string    // all are required
	AudioOnly  bool        // it sends and gets no video: audio capacity counts

	Terms
	Pin         drtc.NodeID   // if not zero, this node or none
	RoomNodes   []drtc.NodeID // nodes that carry the room already: preferred
	Exclude     []drtc.NodeID // never these, for instance those that just failed
	AvoidOwners []string      // no node of these, for instance for a standby
}

// Terms are what an application asks of the nodes that carry its rooms.
type Terms struct {
	Regions        []drtc.Region // only nodes in these; empty is any
	Owners         []string      // only nodes of these; empty is any, and an unknown owner is in no list
	ExcludeOwners  []string      // no node of these
	Own            string        // this owner's nodes go before all others; empty is nobody's
	MaxPriceWeight float64       // the highest price as a multiple of the usual one; 0 is any
}

// Decision is a choice and its reasons.
type Decision struct {
	Node    drtc.NodeID
	Score   float64 // 0 to 1
	Reasons []Reason
	// Rejected is every other candidate: those that were outscored from best to
	// worst, then those that a rule dropped by id.
	Rejected []Rejection
}

// Reason is one part of the score of the chosen node.
type Reason struct {
	Part   Part
	Value  float64 // 0 to 1
	Weight float64 // share of the whole, 0 to 1
}

// Decide chooses a node for r at now. The error is a *Refusal (and ErrNoNode)
// when no candidate remains, or names the field of r or p that is out of range.
func Decide(now time.Time, s Snapshot, r Request, p Policy) (Decision, error) {
	if err := p.Validate(); err != nil {
		return Decision{}, err
	}
	if err := r.validate(); err != nil {
		return Decision{}, err
	}
	q := question{now: now, sinceSnapshot: max(0, now.Sub(s.At)), Request: r, Policy: p, listed: map[drtc.NodeID]int{}}
	for _, c := range s.Nodes {
		q.listed[c.ID]++
	}
	var ranked []scored
	var dropped []Rejection
	for i := range s.Nodes {
		c := &s.Nodes[i]
		if cause, detail := q.drop(c); cause != "" {
			dropped = append(dropped, Rejection{Node: c.ID, Cause: cause, Detail: detail})
			continue
		}
		ranked = append(ranked, q.rank(c))
	}
	slices.SortFunc(dropped, func(a, b Rejection) int {
		return cmp.Or(bytes.Compare(a.Node[:], b.Node[:]), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Detail, b.Detail))
	})
	if len(ranked) == 0 {
		return Decision{}, &Refusal{Room: r.Room, Pin: r.Pin, Rejected: dropped}
	}
	slices.SortFunc(ranked, scored.compare)
	best := ranked[0]
	d := Decision{Node: best.candidate.ID, Score: best.score, Reasons: q.reasons(best.candidate)}
	for _, other := range ranked[1:] {
		d.Rejected = append(d.Rejected, other.outscoredBy(best))
	}
	d.Rejected = append(d.Rejected, dropped...)
	return d, nil
}

func (r Request) validate() error {
	switch {
	case r.Room == "":
		return fmt.Errorf("allocate: request: Room: want the room's id, got none")
	case r.Place != nil && !r.Place.Valid():
		return fmt.Errorf("allocate: request: Place: want lat -90..90 and lon -180..180, got %v", *r.Place)
	case !(r.AccuracyKm >= 0) || math.IsInf(r.AccuracyKm, 0):
		return fmt.Errorf("allocate: request: AccuracyKm: want 0 or more, got %v", r.AccuracyKm)
	case !(r.NeedMbps >= 0) || math.IsInf(r.NeedMbps, 0):
		return fmt.Errorf("allocate: request: NeedMbps: want 0 or more, got %v", r.NeedMbps)
	case !(r.MaxPriceWeight >= 0) || math.IsInf(r.MaxPriceWeight, 0):
		return fmt.Errorf("allocate: request: MaxPriceWeight: want 0 or more, got %v", r.MaxPriceWeight)
	case r.RegionOnly && r.Region == "":
		return fmt.Errorf("allocate: request: RegionOnly: want a Region with it, got none")
	}
	return nil
}

// question is one call of Decide.
type question struct {
	Request
	Policy
	now           time.Time
	sinceSnapshot time.Duration
	listed        map[drtc.NodeID]int
}

// scored is a candidate that no rule dropped.
type scored struct {
	candidate *Candidate
	own       bool
	score     float64
	step      float64 // score in whole steps
	hash      uint64
}

func (q *question) rank(c *Candidate) scored {
	var score float64
	for _, r := range q.reasons(c) {
		score += r.Value * r.Weight
	}
	return scored{candidate: c, own: q.owns(c), score: score, step: q.step(score), hash: rendezvous(q.Room, c.ID)}
}

// owns reports whether c is one of the nodes that go first.
func (t Terms) owns(c *Candidate) bool { return t.Own != "" && c.Owner == t.Own }

// step is score in whole steps. A tenth of a billionth keeps sums that differ
// by rounding in one step.
func (p Policy) step(score float64) float64 { return math.Floor(score/p.Step + 1e-10) }

// compare puts the better one first.
func (a scored) compare(b scored) int {
	if a.own != b.own {
		if a.own {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(b.step, a.step),
		cmp.Compare(b.hash, a.hash),
		bytes.Compare(a.candidate.ID[:], b.candidate.ID[:]),
	)
}

func (a scored) outscoredBy(best scored) Rejection {
	detail := fmt.Sprintf("%.3f against %.3f", a.score, best.score)
	if best.own && !a.own {
		detail += ", and own nodes go first"
	} else if a.step == best.step {
		detail += ", as good; the room's hash prefers the other"
	}
	return Rejection{Node: a.candidate.ID, Cause: Outscored, Detail: detail}
}

// rendezvous gives every pair of room and node a fixed number.
func rendezvous(room drtc.RoomID, node drtc.NodeID) uint64 {
	sum := sha256.Sum256(append(node[:], room...))
	return binary.BigEndian.Uint64(sum[:])
}
