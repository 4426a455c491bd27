package index

import (
	"math"

	"github.com/golang/geo/s2"

	"github.com/drtc-network/drtc"
)

const earthRadiusKm = 6371.0088 // mean radius, IUGG, as in drtc.Place.DistanceKm

// vector is a point in space; places are on the unit sphere, where neither the
// poles nor the antimeridian are special.
type vector [3]float64

// Distances are compared as the square of the straight line through the unit
// sphere, 0 to 4, which rises with the distance and needs no trigonometry per
// node. The conversions keep a compiler from rounding products differently on
// some processors: cursors travel between Registries.
func (a vector) chord2(b vector) float64 {
	x, y, z := a[0]-b[0], a[1]-b[1], a[2]-b[2]
	return math.Min(4, float64(x*x)+float64(y*y)+float64(z*z))
}

func onSphere(p drtc.Place) vector {
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return vector{cosLat * cosLon, cosLat * sinLon, sinLat}
}

func kilometres(chord2 float64) float64 {
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(chord2)/2)
}

func chord2Of(km float64) float64 {
	if half := km / (2 * earthRadiusKm); half < math.Pi/2 {
		return 4 * math.Sin(half) * math.Sin(half)
	}
	return 4
}

// cellOf orders places so that neighbours in the order are neighbours on the
// earth.
func cellOf(p drtc.Place) uint64 {
	return uint64(s2.CellIDFromLatLng(s2.LatLngFromDegrees(p.Lat, p.Lon)))
}

// spot is a node in its place.
type spot struct {
	at vector
	row
}

func newSpot(e *Entry) spot { return spot{onSphere(e.place), newRow(e)} }

// box holds places.
type box struct{ low, high vector }

func around(spots []spot) box {
	b := box{low: spots[0].at, high: spots[0].at}
	for n := range spots {
		for i, v := range spots[n].at {
			b.low[i], b.high[i] = min(b.low[i], v), max(b.high[i], v)
		}
	}
	return b
}

// bounds returns what the chord2 from v to whatever is in b is not less and not
// more than. Rounding keeps order, so this holds to the last bit.
func (b *box) bounds(v vector) (least, most float64) {
	var near, far vector
	for i, x := range v {
		near[i] = min(max(x, b.low[i]), b.high[i])
		far[i] = b.low[i]
		if b.high[i]-x > x-b.low[i] {
			far[i] = b.high[i]
		}
	}
	return v.chord2(near), v.chord2(far)
}
