package drtc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Place is a point on the earth in decimal degrees (whitepaper 4.2.3.1,
// Geolocation). Lat is -90..90, Lon -180..180.
type Place struct {
	Lat float64 `json:"lat" toml:"lat"`
	Lon float64 `json:"lon" toml:"lon"`
}

// ErrPlace is returned by ParsePlace.
var ErrPlace = errors.New("drtc: place: want lat,lon in decimal degrees, lat -90..90, lon -180..180")

// ParsePlace reads "lat,lon".
func ParsePlace(s string) (Place, error) {
	a, b, ok := strings.Cut(s, ",")
	if !ok {
		return Place{}, ErrPlace
	}
	lat, err1 := strconv.ParseFloat(strings.TrimSpace(a), 64)
	lon, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
	p := Place{Lat: lat, Lon: lon}
	if err1 != nil || err2 != nil || !p.Valid() {
		return Place{}, fmt.Errorf("%w, got %.40q", ErrPlace, s)
	}
	return p, nil
}

// Valid reports whether both coordinates are numbers in range.
func (p Place) Valid() bool {
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}

// String returns "lat,lon" with up to six decimals (0.1 m).
func (p Place) String() string {
	f := func(v float64) string {
		return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
	}
	return f(p.Lat) + "," + f(p.Lon)
}

const earthRadiusKm = 6371.0088 // mean radius, IUGG

// DistanceKm is the great-circle distance in kilometres (haversine).
func (p Place) DistanceKm(q Place) float64 {
	rad := math.Pi / 180
	dLat, dLon := (q.Lat-p.Lat)*rad, (q.Lon-p.Lon)*rad
	a := math.Sin(dLat/2)*math.Sin(dLat/2) +
		math.Cos(p.Lat*rad)*math.Cos(q.Lat*rad)*math.Sin(dLon/2)*math.Sin(dLon/2)
	return 2 * earthRadiusKm * math.Asin(math.Min(1, math.Sqrt(a)))
}

// Region is a macro region (whitepaper 4.2.3.1).
type Region string

// The regions of the network.
const (
	NorthAmerica Region = "NAM"
	SouthAmerica Region = "SAM"
	Europe       Region = "EU"
	Africa       Region = "AFR"
	MiddleEast   Region = "MEA"
	Asia         Region = "ASI"
	Oceania      Region = "OCE"
)

// Regions lists every region in a fixed order.
func Regions() []Region {
	return []Region{NorthAmerica, SouthAmerica, Europe, Africa, MiddleEast, Asia, Oceania}
}

// ErrRegion is returned by ParseRegion.
var ErrRegion = errors.New("drtc: region: want one of NAM, SAM, EU, AFR, MEA, ASI, OCE")

// ParseRegion reads a region's code; letter case does not matter.
func ParseRegion(s string) (Region, error) {
	for _, r := range Regions() {
		if strings.EqualFold(s, string(r)) {
			return r, nil
		}
	}
	return "", fmt.Errorf("%w, got %.20q", ErrRegion, s)
}
