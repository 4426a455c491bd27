package score

import (
	"math"
	"math/bits"

	"github.com/drtc-network/drtc"
)

// Place is a point on the earth in micro-degrees, 0.11 m. Integers and not
// drtc.Place, whose sines and cosines machines may round differently.
type Place struct{ Lat, Lon int32 }

const (
	microDegrees = 1_000_000
	halfTurn     = 180 * microDegrees
)

// PlaceAt is p to the nearest micro-degree; ok is false for a p out of range.
func PlaceAt(p drtc.Place) (place Place, ok bool) {
	if !p.Valid() {
		return Place{}, false
	}
	micro := func(v float64) int32 { return int32(math.Round(v * microDegrees)) }
	return Place{micro(p.Lat), micro(p.Lon)}, true
}

// Valid reports whether both coordinates are in range.
func (p Place) Valid() bool {
	return p.Lat >= -halfTurn/2 && p.Lat <= halfTurn/2 && p.Lon >= -halfTurn && p.Lon <= halfTurn
}

// The fixed point of this file: one is 2^60. Products are truncated toward zero.
const (
	fixedBits       = 60
	fixedOne  int64 = 1 << fixedBits
	// fixedPi is floor(pi 2^60).
	fixedPi = 3622009729038561421
)

// times is a*b for values of magnitude up to 2.
func times(a, b int64) int64 {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	product := int64(hi<<(64-fixedBits) | lo>>fixedBits)
	if (a < 0) != (b < 0) {
		return -product
	}
	return product
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return uint64(-a)
	}
	return uint64(a)
}

// sinCos of an angle in micro-degrees, within 2^-54 (spec K14).
func sinCos(angle int64) (sin, cos int64) {
	angle %= 2 * halfTurn
	if angle < 0 {
		s, c := sinCos(-angle)
		return -s, c
	}
	if angle > halfTurn {
		s, c := sinCos(2*halfTurn - angle)
		return -s, c
	}
	if angle > halfTurn/2 {
		s, c := sinCos(halfTurn - angle)
		return s, -c
	}
	if angle > halfTurn/4 {
		s, c := sinCos(halfTurn/2 - angle)
		return c, s
	}
	return series(int64(mulDiv(uint64(angle), fixedPi, halfTurn)))
}

// series is Taylor's for an angle of 0 to pi/4, up to the 21st power.
func series(x int64) (sin, cos int64) {
	square, sign := times(x, x), int64(1)
	odd, even := x, fixedOne
	sin, cos = x, fixedOne
	for n := int64(2); n <= 20; n += 2 {
		even = times(even, square) / (n * (n - 1))
		odd = times(odd, square) / ((n + 1) * n)
		sign = -sign
		cos += sign * even
		sin += sign * odd
	}
	return sin, cos
}

// direction is a unit vector.
type direction struct{ x, y, z int64 }

func (p Place) direction() direction {
	sinLat, cosLat := sinCos(int64(p.Lat))
	sinLon, cosLon := sinCos(int64(p.Lon))
	return direction{times(cosLat, cosLon), times(cosLat, sinLon), sinLat}
}

func (d direction) dot(e direction) int64 { return times(d.x, e.x) + times(d.y, e.y) + times(d.z, e.z) }

const (
	// earthMetres is the mean radius (IUGG).
	earthMetres = 6_371_009
	// radian is floor(10^9 180 / pi), in thousandths of a micro-degree.
	radian = 57_295_779_513
)

// within reports whether two directions are at most so many metres apart on the
// earth (spec K14).
func within(d, e direction, metres uint64) bool {
	angle := mulDiv(metres, radian, earthMetres*1000)
	if angle >= halfTurn {
		return true
	}
	_, cos := sinCos(int64(angle))
	return d.dot(e) >= cos
}
