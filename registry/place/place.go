// Package place holds a Media Node's declared place against the round trips that
// its probers measured (whitepaper sections 2.3.1 and 4.2.3.1: Geolocation).
//
// Contract: a node whose round trips are no shorter than light in fibre needs
// from where it says it is, is never doubted; two probers that measured less are
// needed to refute it.
//
// Light in fibre covers 200 km in a millisecond, so a round trip of one
// millisecond means at most 100 km of distance: a disc around the prober in
// which the node must be. A disc refutes only. A node can delay its answers and
// look farther away, and it looks as far as its packets go round; so a place
// that no disc refutes is possible, not proven.
//
//	    . - - - .
//	 .     100 km   .        x declared place, outside: this disc refutes it
//	.   prober  |    .
//	 .   + <-- 1 ms .
//	    ' - - - '
//
// This package is a core of functions over values.
package place

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
)

// KmPerMillisecond is how far a node may be for each millisecond of round trip.
const KmPerMillisecond = 100

// SlackKm is added to every disc: places are declared to the town, and so are
// probers'.
const SlackKm = 50

// Finding is what is known of a declared place.
type Finding int

const (
	// None: the node declares no place.
	None Finding = iota
	// Declared: nobody has measured anything that says something about it.
	Declared
	// Possible: it is inside every disc.
	Possible
	// Doubted: it is outside of a disc, but not of most, or of the only one.
	Doubted
	// Refuted: it is outside of most discs, and of two at least.
	Refuted
)

// String returns the finding as it is shown.
func (f Finding) String() string {
	return [...]string{"none", "declared", "confirmed-possible", "doubted", "refuted"}[f]
}

// MarshalText implements encoding.TextMarshaler.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Measurement is what one prober knows: the least round trip to the node.
type Measurement struct {
	Prober drtc.NodeID
	// Place of the prober as it declares it; HasPlace is false when it does not.
	Place    drtc.Place
	HasPlace bool
	// RTT is the minimum over the last minutes; 0 for none or a local one.
	RTT time.Duration
}

// Disc is where a node must be according to one prober.
type Disc struct {
	Prober   drtc.NodeID   `json:"prober"`
	Center   drtc.Place    `json:"center"`
	RTT      time.Duration `json:"rttNs"`
	RadiusKm float64       `json:"radiusKm"`
	// DistanceKm from Center to the declared place.
	DistanceKm float64 `json:"distanceKm"`
}

// Contains reports whether the declared place is inside.
func (d Disc) Contains() bool { return d.DistanceKm <= d.RadiusKm }

// Reason says in words what the disc means.
func (d Disc) Reason() string {
	ms := strconv.FormatFloat(d.RTT.Seconds()*1000, 'f', 2, 64)
	place := "the declared place is %.0f km away"
	if !d.Contains() {
		place = "but the declared place is %.0f km away"
	}
	return fmt.Sprintf("%s at %s measured %s ms, so the node is within %.0f km of it; "+place,
		d.Prober.Short(), d.Center, ms, d.RadiusKm, d.DistanceKm)
}

// Verdict on a declared place.
type Verdict struct {
	Finding Finding `json:"finding"`
	// Reasons in words and numbers: a summary, then one for each disc.
	Reasons []string `json:"reasons"`
	Discs   []Disc   `json:"discs,omitempty"`
}

// Judge holds declared against the measurements. One disc alone never refutes,
// not even when there is no other prober: who measured may be wrong about its
// own place, and nobody else has looked.
//
// A prober that is listed twice counts by its shorter round trip. Those without
// a place or a round trip count for nothing.
func Judge(declared drtc.Place, hasPlace bool, measurements []Measurement) Verdict {
	if !hasPlace || !declared.Valid() {
		return Verdict{Finding: None, Reasons: []string{"the node declares no place"}}
	}
	v := Verdict{Discs: discs(declared, measurements)}
	outside := 0
	for _, d := range v.Discs {
		if !d.Contains() {
			outside++
		}
	}
	n := len(v.Discs)
	var summary string
	switch {
	case n == 0:
		v.Finding, summary = Declared, "no prober with a declared place has measured a round trip that says something about distance"
	case outside == 0:
		v.Finding, summary = Possible, fmt.Sprintf("the declared place is inside the disc of each of %s; that is possible, not proven", count(n, "prober"))
	case n >= 2 && 2*outside > n:
		v.Finding, summary = Refuted, fmt.Sprintf("%d of %s measured round trips that are too short for the declared place", outside, count(n, "prober"))
	default:
		v.Finding, summary = Doubted, fmt.Sprintf("%d of %s measured a round trip that is too short for the declared place; %d are needed to refute it",
			outside, count(n, "prober"), max(2, n/2+1))
	}
	v.Reasons = append(v.Reasons, summary)
	for _, d := range v.Discs {
		v.Reasons = append(v.Reasons, d.Reason())
	}
	return v
}

// discs are in order of probers.
func discs(declared drtc.Place, measurements []Measurement) []Disc {
	var ds []Disc
	for _, m := range measurements {
		if !m.HasPlace || !m.Place.Valid() || m.RTT <= 0 {
			continue
		}
		d := Disc{
			Prober: m.Prober, Center: m.Place, RTT: m.RTT,
			RadiusKm:   m.RTT.Seconds()*1000*KmPerMillisecond + SlackKm,
			DistanceKm: m.Place.DistanceKm(declared),
		}
		at, found := slices.BinarySearchFunc(ds, d, func(a, b Disc) int { return bytes.Compare(a.Prober[:], b.Prober[:]) })
		switch {
		case !found:
			ds = slices.Insert(ds, at, d)
		case d.RTT < ds[at].RTT:
			ds[at] = d
		}
	}
	return ds
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// String is the finding and its reasons in one line.
func (v Verdict) String() string {
	return v.Finding.String() + ": " + strings.Join(v.Reasons, "; ")
}
