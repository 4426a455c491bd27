package allocate

import (
	"math"
	"slices"
)

// Part names a part of a score.
type Part string

// The parts, in the order in which a Decision lists them.
const (
	Distance Part = "distance"
	Load     Part = "load"
	Quality  Part = "quality"
	History  Part = "history"
	Price    Part = "price"
	Affinity Part = "affinity"
)

// reasons gives the parts of a candidate's score; the weights sum to 1.
func (q *question) reasons(c *Candidate) []Reason {
	w := q.Weights
	total := w.sum()
	return []Reason{
		{Distance, q.nearness(c), w.Distance / total},
		{Load, 1 - min(1, q.load(c)), w.Load / total},
		{Quality, q.known(c.Score), w.Quality / total},
		{History, q.known(c.History), w.History / total},
		{Price, cheapness(c.price()), w.Price / total},
		{Affinity, affinity(slices.Contains(q.RoomNodes, c.ID)), w.Affinity / total},
	}
}

// nearness is 1 at the client and 1/2 at HalfDistanceKm. A client's place that
// is only known within some kilometres blurs what is nearer than that.
func (q *question) nearness(c *Candidate) float64 {
	if q.Place == nil {
		return affinity(q.Region != "" && q.Region == c.Region)
	}
	return q.nearnessAt(math.Hypot(q.Place.DistanceKm(c.Place), q.AccuracyKm))
}

func (p Policy) nearnessAt(km float64) float64 { return p.HalfDistanceKm / (p.HalfDistanceKm + km) }

// load is the part of the node that is in use once this client is on it: the
// fullest of bandwidth, sessions and what the node reports.
func (q *question) load(c *Candidate) float64 {
	used := c.LoadFraction
	if c.CapacityMbps > 0 {
		used = max(used, (c.LoadMbps+q.NeedMbps)/c.CapacityMbps)
	}
	if most := c.sessions(q.AudioOnly); most > 0 {
		used = max(used, float64(c.Sessions+1)/float64(most))
	}
	return used
}

// known is a measured value, or what Policy says of a node without one.
func (q *question) known(v *float64) float64 {
	if v == nil {
		return q.Unmeasured
	}
	return *v
}

// cheapness is 1/2 at the usual price and nears 1 for a free node.
func cheapness(price float64) float64 { return 1 / (1 + price) }

func affinity(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
