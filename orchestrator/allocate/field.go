package allocate

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Field is a snapshot made ready for many questions about one room. Its
// candidates are numbered from 0 in the order of their ids. It is not changed
// after Prepare.
type Field struct {
	q          question
	candidates []fielded
}

type fielded struct {
	Candidate
	dropped Rejection // the rule that it breaks; no cause if none
	own     bool
	merit   float64
	worth   float64
	hash    uint64
}

// Prepare asks the rules of Decide, but whether there is room, of all
// candidates. What r says of one client (Place, Region, NeedMbps, AudioOnly) is
// for the methods of the Field to be told.
func Prepare(now time.Time, s Snapshot, r Request, p Policy) (*Field, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r.Place, r.NeedMbps, r.AudioOnly = nil, 0, false
	if err := r.validate(); err != nil {
		return nil, err
	}
	f := &Field{
		q:          question{now: now, sinceSnapshot: max(0, now.Sub(s.At)), Request: r, Policy: p, listed: map[drtc.NodeID]int{}},
		candidates: make([]fielded, len(s.Nodes)),
	}
	for i, c := range s.Nodes {
		f.q.listed[c.ID]++
		f.candidates[i].Candidate = c
	}
	for i := range f.candidates {
		c := &f.candidates[i]
		cause, detail := f.q.rule(&c.Candidate)
		c.dropped = Rejection{Node: c.ID, Cause: cause, Detail: detail}
		c.own, c.hash = f.q.owns(&c.Candidate), rendezvous(r.Room, c.ID)
		if cause != Invalid {
			c.merit, c.worth = f.q.merit(&c.Candidate)
		}
	}
	slices.SortFunc(f.candidates, func(a, b fielded) int {
		return cmp.Or(bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.dropped.Detail, b.dropped.Detail))
	})
	return f, nil
}

// merit is the part of a score that is the same for every client, worth is that
// without the load.
func (q *question) merit(c *Candidate) (merit, worth float64) {
	for _, r := range q.reasons(c) {
		switch r.Part {
		case Quality, History, Price:
			worth += r.Value * r.Weight
			merit += r.Value * r.Weight
		case Load:
			merit += r.Value * r.Weight
		case Distance, Affinity: // of one client, of one room
		}
	}
	return merit, worth
}

// Len is the number of candidates.
func (f *Field) Len() int { return len(f.candidates) }

// Candidate returns candidate i, which the caller does not change.
func (f *Field) Candidate(i int) *Candidate { return &f.candidates[i].Candidate }

// Index finds a candidate by its id.
func (f *Field) Index(id drtc.NodeID) (int, bool) {
	return slices.BinarySearchFunc(f.candidates, id, func(c fielded, id drtc.NodeID) int {
		return bytes.Compare(c.ID[:], id[:])
	})
}

// Dropped returns the rule that candidate i breaks; its Cause is empty when it
// breaks none. Whether there is room on the node is for Room to say.
func (f *Field) Dropped(i int) Rejection { return f.candidates[i].dropped }

// Unwanted returns the first of Request.Terms that candidate i does not meet,
// whatever rule it breaks before; its Cause is empty when it meets them all.
func (f *Field) Unwanted(i int) Rejection {
	c := &f.candidates[i]
	cause, detail := f.q.unwanted(&c.Candidate)
	return Rejection{Node: c.ID, Cause: cause, Detail: detail}
}

// Own reports whether candidate i is one of those that go before all others.
func (f *Field) Own(i int) bool { return f.candidates[i].own }

// Merit is the score of candidate i without distance and affinity: what it is
// worth to every client alike, 0 to 1.
func (f *Field) Merit(i int) float64 { return f.candidates[i].merit }

// Worth is Merit without load: what does not change while a room grows.
func (f *Field) Worth(i int) float64 { return f.candidates[i].worth }

// Affinity is the share of a score that a node has for carrying the room
// already, 0 to 1.
func (f *Field) Affinity() float64 { return f.q.Weights.Affinity / f.q.Weights.sum() }

// Score is what Decide gives candidate i for a client with video at so many
// kilometres, were the node not to carry the room.
func (f *Field) Score(i int, km float64) float64 {
	return f.candidates[i].merit + f.q.nearnessAt(km)*f.q.Weights.Distance/f.q.Weights.sum()
}

// Compare puts the better one of two candidates with these scores first, by
// the rules of Decide.
func (f *Field) Compare(i int, scoreI float64, j int, scoreJ float64) int {
	return f.scored(i, scoreI).compare(f.scored(j, scoreJ))
}

func (f *Field) scored(i int, score float64) scored {
	c := &f.candidates[i]
	return scored{candidate: &c.Candidate, own: c.own, score: score, step: f.q.step(score), hash: c.hash}
}

// Taken is what was given to a node since the snapshot.
type Taken struct {
	Sessions int
	Mbps     float64
}

// Room says how many more clients with such a need candidate i takes until it is
// in use to the part limit, above 0 and at most Policy.MaxLoad. The last session
// of a node may be used when limit is MaxLoad. A node of unknown capacity takes
// any number.
func (f *Field) Room(i int, taken Taken, needMbps float64, audioOnly bool, limit float64) int {
	c := &f.candidates[i]
	if c.Refuses != "" || c.LoadFraction > limit {
		return 0
	}
	room := math.MaxInt32
	if most := c.sessions(audioOnly); most > 0 {
		if limit < f.q.MaxLoad {
			most = int(math.Ceil(float64(most) * limit))
		}
		room = min(room, most-c.Sessions-taken.Sessions)
	}
	if c.CapacityMbps > 0 {
		free := c.CapacityMbps*limit - c.LoadMbps - taken.Mbps
		switch {
		case free < 0:
			return 0
		case needMbps > 0:
			// A billionth keeps sums that were rounded from costing a client.
			room = min(room, int(min(math.MaxInt32, free/needMbps+1e-9)))
		}
	}
	return max(0, room)
}

// Full is the rejection of a candidate that has no room.
func (f *Field) Full(i int, taken Taken, needMbps float64, audioOnly bool) Rejection {
	q, c := f.q, f.candidates[i].Candidate
	q.NeedMbps, q.AudioOnly = needMbps, audioOnly
	c.Sessions += taken.Sessions
	c.LoadMbps += taken.Mbps
	cause, detail := q.full(&c)
	return Rejection{Node: c.ID, Cause: cause, Detail: detail}
}
