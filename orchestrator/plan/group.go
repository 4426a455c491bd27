package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/drtc-network/drtc"
)

// group is members that are the same to every node: near each other, with the
// same need and the same exceptions.
type group struct {
	spot      spot
	needMbps  float64
	audioOnly bool
	exclude   []int
	pin       int // or none
	standby   int // of the node that they lost, or none
	reach     string

	members []int   // numbers of members, by id
	left    int     // not placed yet: the last of members
	given   []share // where the others are, in the order of members

	best   int     // the node that serves them best, or none
	accept []int32 // nodes that serve them about as well, by number
}

// share is so many members of a group on one node.
type share struct{ node, count int }

// maxGroups bounds the work of placing: where members are in more places than
// that, places near each other are one. Members that differ in
// more than their place may be in more groups.
const maxGroups = 2048

// groupsOf sorts members that need a home into groups. Up to maxGroups of them
// the places are exact, beyond they are cells of 1, 3 or 10 degrees.
func (p *planner) groupsOf(unplaced []int, standby map[int]int) []*group {
	for _, degrees := range []float64{0, 1, 3, coarsest} {
		if groups, ok := p.groupedBy(degrees, unplaced, standby); ok {
			return groups
		}
	}
	return nil // not reached: the coarsest always does
}

const coarsest = 10 // degrees

// alike is what the members of a group share.
type alike struct {
	located   bool
	place     drtc.Place
	region    drtc.Region
	needMbps  float64
	audioOnly bool
	pin       drtc.NodeID
	exclude   string
	standby   int
}

func (p *planner) groupedBy(degrees float64, unplaced []int, standby map[int]int) (groups []*group, ok bool) {
	byKey := map[alike]*group{}
	for _, i := range unplaced {
		m := p.members[i]
		key := alike{needMbps: m.NeedMbps, audioOnly: m.AudioOnly, pin: m.Pin, exclude: joined(m.Exclude), standby: none, region: m.Region}
		if s, ok := standby[i]; ok {
			key.standby = s
		}
		if key.region == "" {
			key.region = p.in.Region
		}
		if m.Place != nil {
			key.located, key.place = true, cell(*m.Place, degrees)
		}
		g := byKey[key]
		if g == nil && degrees < coarsest && len(groups) == maxGroups {
			return nil, false
		}
		if g == nil {
			g = &group{needMbps: m.NeedMbps, audioOnly: m.AudioOnly, pin: p.numberOf(m.Pin), standby: key.standby, best: none}
			g.spot = spot{region: key.region}
			if key.located {
				g.spot = spotAt(key.place, key.region)
			}
			for _, id := range m.Exclude {
				g.exclude = append(g.exclude, p.numberOf(id))
			}
			slices.Sort(g.exclude)
			g.reach = fmt.Sprintf("%v %v %v %s", key.needMbps, key.audioOnly, key.pin, key.exclude)
			byKey[key] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, i)
		g.left++
	}
	return groups, true
}

// cell is the middle of the cell that a place is in; 0 degrees is the place.
func cell(p drtc.Place, degrees float64) drtc.Place {
	if degrees == 0 {
		return p
	}
	middle := func(v, most float64) float64 {
		return max(-most, min(most, (math.Floor(v/degrees)+0.5)*degrees))
	}
	return drtc.Place{Lat: middle(p.Lat, 90), Lon: middle(p.Lon, 180)}
}

// joined is a list of ids as a key, in whatever order they were.
func joined(ids []drtc.NodeID) string {
	if len(ids) == 0 {
		return ""
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id[:])
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "")
}

// allows reports whether the exceptions of the group let it on node i.
func (g *group) allows(i int) bool {
	return (g.pin == none || g.pin == i) && !slices.Contains(g.exclude, i)
}
