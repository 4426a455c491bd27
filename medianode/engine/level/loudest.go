package level

import (
	"slices"
	"time"
)

// What Loudest goes by.
const (
	// floor is the softest level that makes a difference, in -dBov.
	floor = 60
	// unknown is the level of a packet that tells none, in -dBov.
	unknown = 30
	// rise and fall are the time constants with which a voice follows its packets:
	// a syllable is heard at once, a pause between words is none.
	rise, fall = 30 * time.Millisecond, 400 * time.Millisecond
	// louder is by how many dB one must be above the softest that is heard to take
	// its place.
	louder = 3
	// stay is how long who is heard stays at least, unless it is silent.
	stay = 500 * time.Millisecond
)

// Loudest chooses the loudest voices of a group, so many at a time. Use
// NewLoudest.
//
// Contract: never more than the limit are heard, and as many as there are below
// it; who is heard is replaced by one that is clearly louder, and not again at
// once. Hears does not allocate. Not safe for concurrent use.
type Loudest struct {
	limit  int // 0 for all
	count  int
	chosen []*Voice // at most limit
}

// NewLoudest returns a group without a limit.
func NewLoudest() *Loudest { return &Loudest{} }

// SetLimit says how many are heard at a time, 0 or less for all.
func (g *Loudest) SetLimit(now time.Time, limit int) {
	g.limit = max(limit, 0)
	for g.limit > 0 && len(g.chosen) > g.limit {
		g.drop(g.softest(now))
	}
	if g.limit == 0 {
		for len(g.chosen) > 0 {
			g.drop(g.chosen[0])
		}
	}
}

// Empty reports whether the group has no voices.
func (g *Loudest) Empty() bool { return g.count == 0 }

// Add adds a voice.
func (g *Loudest) Add() *Voice {
	g.count++
	return &Voice{group: g, volume: -floor}
}

// Voice is one of a group. Use Loudest.Add.
type Voice struct {
	group *Loudest
	// volume is the smoothed level in dBov, -floor to 0, at the time last.
	volume float64
	last   time.Time
	chosen bool
	since  time.Time // it is chosen
	left   bool
}

// Leave takes the voice out of the group.
func (v *Voice) Leave() {
	if v.left {
		return
	}
	v.left = true
	v.group.count--
	v.group.drop(v)
}

// Hears notes one packet, with the element of RFC 6464 that it has (nil for
// none), and reports whether it is heard.
func (v *Voice) Hears(now time.Time, element []byte) bool {
	g := v.group
	said := float64(unknown)
	if len(element) == 1 {
		said = float64(min(element[0]&0x7f, floor))
	}
	v.follow(now, -said)
	switch {
	case g.limit == 0 || v.chosen:
		return true
	case len(g.chosen) < g.limit:
		g.choose(now, v)
		return true
	}
	s := g.softest(now)
	if at := s.at(now); v.volume < at+louder || now.Sub(s.since) < stay && at > -floor+louder {
		return false
	}
	g.drop(s)
	g.choose(now, v)
	return true
}

// follow moves the volume towards the level of a packet.
func (v *Voice) follow(now time.Time, said float64) {
	passed := min(max(now.Sub(v.last), 0), maxPacket)
	constant := rise
	if v.volume = v.at(now); said < v.volume {
		constant = fall
	}
	if !v.last.IsZero() {
		v.volume += (said - v.volume) * float64(passed) / float64(passed+constant)
	}
	v.last = now
}

// at is the volume at a time: who sends nothing falls silent.
func (v *Voice) at(now time.Time) float64 {
	quiet := now.Sub(v.last) - maxPacket
	if quiet <= 0 || v.last.IsZero() {
		return v.volume
	}
	return v.volume + (-floor-v.volume)*float64(quiet)/float64(quiet+fall)
}

// softest is the one that is heard and the softest now.
func (g *Loudest) softest(now time.Time) *Voice {
	softest := g.chosen[0]
	for _, v := range g.chosen[1:] {
		if v.at(now) < softest.at(now) {
			softest = v
		}
	}
	return softest
}

func (g *Loudest) choose(now time.Time, v *Voice) {
	v.chosen, v.since = true, now
	g.chosen = append(g.chosen, v)
}

func (g *Loudest) drop(v *Voice) {
	v.chosen = false
	g.chosen = slices.DeleteFunc(g.chosen, func(o *Voice) bool { return o == v })
}
