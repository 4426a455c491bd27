package index

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/drtc-network/drtc"
)

const earthRadiusKm = 6371.0088 // mean radius, IUGG, as in drtc.Place.DistanceKm

// position is the sort key of an answer. Distances are compared as the square
// of the straight line through the unit sphere, which rises with the distance
// and needs no trigonometry per node (0.04 against 0.3 us).
type position struct {
	chord2 float64 // 0 to 4, 0 without Query.Near
	id     drtc.NodeID
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.chord2, o.chord2), bytes.Compare(p.id[:], o.id[:]))
}

func onSphere(p drtc.Place) [3]float64 {
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return [3]float64{cosLat * cosLon, cosLat * sinLon, sinLat}
}

// reach is a centre and how far from it a node may be.
type reach struct {
	centre [3]float64
	limit  float64 // chord2
}

func (q *Query) reach() reach {
	if q.Near == nil {
		return reach{}
	}
	r := reach{centre: onSphere(*q.Near), limit: 4}
	if half := q.RadiusKm / (2 * earthRadiusKm); half > 0 && half < math.Pi/2 {
		r.limit = 4 * math.Sin(half) * math.Sin(half)
	}
	return r
}

// chord2 is more than any limit for a node without a place.
func (r reach) chord2(e *Entry) float64 {
	if !e.placed {
		return math.Inf(1)
	}
	x, y, z := r.centre[0]-e.unit[0], r.centre[1]-e.unit[1], r.centre[2]-e.unit[2]
	return math.Min(4, x*x+y*y+z*z)
}

type candidate struct {
	position
	entry *Entry
}

// page keeps the first limit candidates in order.
type page struct {
	limit int
	best  []candidate
}

func (p *page) full() bool     { return len(p.best) >= p.limit }
func (p *page) last() position { return p.best[len(p.best)-1].position }

func (p *page) add(c candidate) {
	i, _ := slices.BinarySearchFunc(p.best, c, func(a, b candidate) int { return a.compare(b.position) })
	if p.full() {
		p.best = p.best[:len(p.best)-1]
	}
	p.best = slices.Insert(p.best, i, c)
}

func (p *page) found(q Query) ([]Found, Cursor) {
	var next Cursor
	if p.full() {
		p.best = p.best[:p.limit-1]
		next = Cursor{p.last()}
	}
	found := make([]Found, len(p.best))
	for i, c := range p.best {
		found[i].Entry = c.entry
		if place, ok := c.entry.Node.Place(); ok && q.Near != nil {
			found[i].DistanceKm = q.Near.DistanceKm(place)
		}
	}
	return found, next
}
