package allocate

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Want is that members of rooms are somewhere, and what their application asks
// of nodes.
type Want struct {
	Place   *drtc.Place // nil is unknown
	Region  drtc.Region // used where Place is nil; empty is anywhere
	Terms   Terms
	Members int
}

// What a Shortlist is made of.
const (
	// nearby is how many nodes each place gets, as far as there are so many: one,
	// another owner's to stand by, and two for load.
	nearby = 4
	// bandKm is the difference in distance that counts: of nodes about as near the
	// larger one goes first.
	bandKm = 300
	// wantDegrees is how near to each other members are in one place, and
	// spreadDegrees how near nodes are.
	wantDegrees, spreadDegrees = 5, 10
	// suspectQuality is where the whitepaper (4.2.4) begins to suspect a node.
	suspectQuality = 0.6
	// spreadShare is the part of a list, one of so many, that is spread over the
	// world wherever members are: who comes from elsewhere finds a node.
	spreadShare = 4
)

// Shortlist names the nodes to which connections are held, at most so many: those
// near the members of wants, those with the most members first, and then some
// everywhere, over regions and places alike, large ones first. Of nodes about as
// near those whose tests suspect them come last, and those in quarantine after all
// others. It depends on the arguments alone and not on their order.
func Shortlist(now time.Time, nodes []Candidate, wants []Want, most int) []drtc.NodeID {
	l := list{now: now, nodes: slices.Clone(nodes), at: map[drtc.NodeID]bool{}}
	slices.SortFunc(l.nodes, func(a, b Candidate) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	spread := most / spreadShare
	l.near(gathered(wants), most-spread)
	l.spread(most)
	return l.ids
}

type list struct {
	now   time.Time
	nodes []Candidate // by id
	ids   []drtc.NodeID
	at    map[drtc.NodeID]bool
}

func (l *list) add(id drtc.NodeID) {
	if !l.at[id] {
		l.at[id] = true
		l.ids = append(l.ids, id)
	}
}

// near adds the best node of each want, then the second of each, and so on.
func (l *list) near(wants []Want, most int) {
	best := make([][]drtc.NodeID, len(wants))
	for k, w := range wants {
		if k < most { // the others get none
			best[k] = l.nearest(w)
		}
	}
	for rank := range nearby {
		for _, ids := range best {
			if rank < len(ids) && len(l.ids) < most {
				l.add(ids[rank])
			}
		}
	}
}

// nearest lists the nodes for a want, the best first; of another owner than the
// first is the second, if there is one.
func (l *list) nearest(w Want) []drtc.NodeID {
	type rated struct {
		c    *Candidate
		band float64
	}
	var fit []rated
	for i := range l.nodes {
		c := &l.nodes[i]
		if cause, _ := w.Terms.unwanted(c); cause != "" || !c.Place.Valid() {
			continue
		}
		band := 0.0
		switch {
		case w.Place != nil:
			band = math.Floor(w.Place.DistanceKm(c.Place) / bandKm)
		case w.Region != "" && w.Region != c.Region:
			band = 1
		}
		fit = append(fit, rated{c, band})
	}
	slices.SortFunc(fit, func(a, b rated) int {
		return cmp.Or(l.quarantined(a.c)-l.quarantined(b.c), compareOwn(w.Terms, a.c, b.c), cmp.Compare(a.band, b.band), better(a.c, b.c))
	})
	if len(fit) > 2 && fit[0].c.Owner != "" {
		if other := slices.IndexFunc(fit, func(r rated) bool { return r.c.Owner != fit[0].c.Owner }); other > 1 {
			moved := fit[other]
			fit = slices.Insert(slices.Delete(fit, other, other+1), 1, moved)
		}
	}
	var ids []drtc.NodeID
	for _, r := range fit[:min(nearby, len(fit))] {
		ids = append(ids, r.c.ID)
	}
	return ids
}

// suspect is 1 for a node whose tests went badly.
func suspect(c *Candidate) int {
	if c.Score != nil && *c.Score < suspectQuality {
		return 1
	}
	return 0
}

func compareOwn(t Terms, a, b *Candidate) int {
	switch own, other := t.owns(a), t.owns(b); {
	case own == other:
		return 0
	case own:
		return -1
	}
	return 1
}

// quarantined is 1 for a node that takes nobody new.
func (l *list) quarantined(c *Candidate) int {
	if l.now.Before(c.QuarantinedUntil) {
		return 1
	}
	return 0
}

// better puts the node that its tests do not suspect first, then the one that
// offers more.
func better(a, b *Candidate) int {
	return cmp.Or(suspect(a)-suspect(b), cmp.Compare(b.CapacityMbps, a.CapacityMbps), bytes.Compare(a.ID[:], b.ID[:]))
}

// spread adds nodes of all regions in turn, and in each region of all places.
func (l *list) spread(most int) {
	type place struct {
		region drtc.Region
		cell   drtc.Place
	}
	rest := slices.DeleteFunc(slices.Clone(l.nodes), func(c Candidate) bool { return l.at[c.ID] })
	slices.SortFunc(rest, func(a, b Candidate) int {
		return cmp.Or(l.quarantined(&a)-l.quarantined(&b), better(&a, &b))
	})
	inPlace := map[place]int{}
	type turn struct {
		c    *Candidate
		nth  int // of its place, then of its region
		then int
	}
	turns := make([]turn, len(rest))
	for i := range rest {
		p := place{rest[i].Region, cellOf(rest[i].Place, spreadDegrees)}
		turns[i] = turn{c: &rest[i], nth: inPlace[p]}
		inPlace[p]++
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.nth, b.nth) })
	inRegion := map[drtc.Region]int{}
	for i := range turns {
		turns[i].then = inRegion[turns[i].c.Region]
		inRegion[turns[i].c.Region]++
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.then, b.then) })
	for _, t := range turns {
		if len(l.ids) >= most {
			return
		}
		l.add(t.c.ID)
	}
}

// gathered unites wants of one place, those with the most members first.
func gathered(wants []Want) []Want {
	type key struct {
		placed bool
		cell   drtc.Place
		region drtc.Region
		terms  string
	}
	at := map[key]int{}
	var all []Want
	var keys []string
	for _, w := range wants {
		k := key{region: w.Region, terms: fmt.Sprint(w.Terms)}
		if w.Place != nil {
			if !w.Place.Valid() {
				continue
			}
			cell := cellOf(*w.Place, wantDegrees)
			k.placed, k.cell, k.region, w.Place = true, cell, "", &cell
		}
		i, known := at[k]
		if !known {
			i = len(all)
			at[k] = i
			all = append(all, Want{Place: w.Place, Region: k.region, Terms: w.Terms})
			keys = append(keys, fmt.Sprint(k))
		}
		all[i].Members += w.Members
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[b].Members, all[a].Members), cmp.Compare(keys[a], keys[b]))
	})
	sorted := make([]Want, len(all))
	for i, k := range order {
		sorted[i] = all[k]
	}
	return sorted
}

// cellOf is the middle of the cell that a place is in.
func cellOf(p drtc.Place, degrees float64) drtc.Place {
	middle := func(v, most float64) float64 {
		return max(-most, min(most, (math.Floor(v/degrees)+0.5)*degrees))
	}
	return drtc.Place{Lat: middle(p.Lat, 90), Lon: middle(p.Lon, 180)}
}
