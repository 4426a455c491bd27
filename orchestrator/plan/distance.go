package plan

import (
	"math"
	"time"

	"github.com/drtc-network/drtc"
)

// What stands for a path that nobody measured.
const (
	// Light in fibre takes 10 ms for 1,000 km there and back; fibre goes half as
	// far again as the great circle.
	msPerKm = 0.015

	// Where a place is not known, its region stands for it.
	sameRegionKm  = 2000
	otherRegionKm = 10000

	// hopMs is what one more node on the way costs; it also keeps a path with
	// fewer nodes before one that is as short.
	hopMs = 2
	// lossMs is what a link that loses everything costs: one that loses a
	// hundredth counts as 10 ms longer, about what repairs take on average.
	lossMs = 1000
	// badLoss is where a link that holds a tree together is looked at again.
	badLoss = 0.1
)

// spot is where something is.
type spot struct {
	located bool
	at      [3]float64 // on the unit sphere, if located
	region  drtc.Region
}

func spotAt(p drtc.Place, r drtc.Region) spot {
	lat, lon := p.Lat*math.Pi/180, p.Lon*math.Pi/180
	return spot{region: r, located: true, at: [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}}
}

const earthDiameterKm = 2 * 6371.0088

// km is the distance between two spots: by their places, else by their regions.
// Nothing known of either is no distance, so that it decides nothing.
func (s *spot) km(t *spot) float64 {
	if s.located && t.located {
		x, y, z := s.at[0]-t.at[0], s.at[1]-t.at[1], s.at[2]-t.at[2]
		return earthDiameterKm * math.Asin(min(1, math.Sqrt(x*x+y*y+z*z)/2))
	}
	switch {
	case s.region == "" || t.region == "":
		return 0
	case s.region == t.region:
		return sameRegionKm
	}
	return otherRegionKm
}

// pair is two nodes by number, the smaller first.
type pair struct{ a, b int }

func pairOf(a, b int) pair { return pair{min(a, b), max(a, b)} }

// measured holds link costs; of two measurements of a pair the worse counts.
type measured map[pair]LinkCost

func (m measured) add(p pair, c LinkCost) {
	old := m[p]
	m[p] = LinkCost{RoundTrip: max(old.RoundTrip, c.RoundTrip), Loss: max(old.Loss, c.Loss)}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// linkMs is what a link between two nodes costs a stream that goes over it.
func (p *planner) linkMs(a, b int) float64 {
	far := p.nodes[a].spot.km(&p.nodes[b].spot)*msPerKm + hopMs
	c, ok := p.measured[pairOf(a, b)]
	if !ok {
		return far
	}
	ms := milliseconds(c.RoundTrip) + lossMs*c.Loss + hopMs
	if p.partly { // it may be worse than distance says, not better than those of which there is no more
		return max(ms, far)
	}
	return ms
}
