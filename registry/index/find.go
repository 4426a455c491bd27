package index

import (
	"slices"
	"strings"
	"unique"

	"github.com/drtc-network/drtc"
)

// Query is what a node must be to be in an answer. Zero fields ask nothing.
type Query struct {
	Region drtc.Region
	// Near orders by distance; RadiusKm, which needs it, is the greatest
	// distance. Nodes without a place, or with a refuted one, are not in such an
	// answer.
	Near             *drtc.Place
	RadiusKm         float64
	MinBandwidthMbps uint32 // free
	MinQuality       float64
	MinAvailability  float64
	Version          string   // exactly
	Features         []string // all of them, in any letter case
	Exclude          []drtc.NodeID
	// Draining asks for nodes that take no new sessions too.
	Draining bool

	Limit  int    // at least 1
	Cursor Cursor // where the page before ended; zero for the first
}

// Found is one node of an answer.
type Found struct {
	*Entry
	DistanceKm float64 // 0 without Query.Near
}

// Find returns one page, in order of distance if Near is given and of id
// otherwise, and the cursor of the next page, which is zero after the last.
func (s *Snapshot) Find(q Query) ([]Found, Cursor) {
	// The best Limit and one more, which says that there is a next page.
	best := page{limit: q.Limit + 1}
	w := want(&q)
	if q.Near != nil {
		s.nearest(&q, &w, &best)
	} else {
		s.inOrder(&q, &w, &best)
	}
	return best.found()
}

func (s *Snapshot) inOrder(q *Query, w *wanted, best *page) {
	if q.Cursor.chord2 > 0 { // of another query
		return
	}
	b, i := s.seek(q.Cursor.id)
	for ; b < len(s.ids); b, i = b+1, 0 {
		rows := s.ids[b].items[i:]
		for i := range rows {
			r := &rows[i]
			if !w.takes(r) || r.entry.ID == q.Cursor.id {
				continue
			}
			best.best = append(best.best, candidate{entry: r.entry})
			if best.full() {
				return
			}
		}
	}
}

func (s *Snapshot) nearest(q *Query, w *wanted, best *page) {
	centre, limit := onSphere(*q.Near), 4.0
	if q.RadiusKm > 0 {
		limit = chord2Of(q.RadiusKm)
	}
	var room [1024]ranked // on the stack up to some 200,000 nodes
	rest := queue(room[:0])
	for i := range s.places {
		least, most := s.places[i].box.bounds(centre)
		if least <= limit && most >= q.Cursor.chord2 {
			rest = append(rest, ranked{least, i})
		}
	}
	rest.order()
	for len(rest) > 0 {
		if rest[0].least > limit {
			return
		}
		spots := s.places[rest[0].block].items
		rest = rest.pop()
		for i := range spots {
			spot := &spots[i]
			chord2 := centre.chord2(spot.at)
			if chord2 > limit || chord2 < q.Cursor.chord2 || !w.takes(&spot.row) || q.Cursor.position.compare(chord2, &spot.entry.ID) >= 0 {
				continue
			}
			best.add(candidate{chord2, spot.entry})
			if best.full() {
				limit = best.last().chord2
			}
		}
	}
}

// wanted is a Query made ready for many nodes.
type wanted struct {
	*Query
	region   uint8
	version  unique.Handle[string]
	features []string
	exclude  map[drtc.NodeID]bool
	nothing  bool

	set unique.Handle[string] // of features that was looked at last
	has bool                  // whether it has all
}

func want(q *Query) wanted {
	w := wanted{
		Query: q, region: regionCode(q.Region), version: unique.Make(q.Version),
		nothing: q.Region != "" && regionCode(q.Region) == 0,
	}
	for _, f := range q.Features {
		w.features = append(w.features, featureSet([]string{f}))
		w.nothing = w.nothing || strings.Contains(f, "\n")
	}
	if len(q.Exclude) > 0 {
		w.exclude = make(map[drtc.NodeID]bool, len(q.Exclude))
		for _, id := range q.Exclude {
			w.exclude[id] = true
		}
	}
	return w
}

func (w *wanted) takes(r *row) bool {
	return !r.down && !w.nothing &&
		(w.region == 0 || r.region == w.region) &&
		r.freeMbps >= w.MinBandwidthMbps &&
		r.quality >= w.MinQuality && r.availability >= w.MinAvailability &&
		(w.Draining || !r.draining) &&
		(w.Version == "" || r.version == w.version) &&
		(len(w.features) == 0 || w.hasAll(r.features)) &&
		(w.exclude == nil || !w.exclude[r.entry.ID])
}

// hasAll remembers its last answer: most nodes have the same features.
func (w *wanted) hasAll(set unique.Handle[string]) bool {
	if set != w.set {
		have := set.Value()
		w.set = set
		w.has = !slices.ContainsFunc(w.features, func(f string) bool { return !strings.Contains(have, f) })
	}
	return w.has
}

// page keeps the first limit candidates in order.
type page struct {
	limit int
	best  []candidate
}

type candidate struct {
	chord2 float64 // 0 without Query.Near
	entry  *Entry
}

func (c candidate) position() position { return position{c.chord2, c.entry.ID} }

func (p *page) full() bool      { return len(p.best) >= p.limit }
func (p *page) last() candidate { return p.best[len(p.best)-1] }

func (p *page) add(c candidate) {
	at := c.position()
	i, _ := slices.BinarySearchFunc(p.best, at, func(have candidate, at position) int {
		return -at.compare(have.chord2, &have.entry.ID)
	})
	switch {
	case i == p.limit:
		return
	case p.full():
		p.best = p.best[:len(p.best)-1]
	}
	p.best = slices.Insert(p.best, i, c)
}

func (p *page) found() ([]Found, Cursor) {
	var next Cursor
	if p.full() {
		p.best = p.best[:p.limit-1]
		next = Cursor{p.last().position()}
	}
	found := make([]Found, len(p.best))
	for i, c := range p.best {
		found[i] = Found{c.entry, kilometres(c.chord2)}
	}
	return found, next
}

// ranked is a block and the least chord2 to it.
type ranked struct {
	least float64
	block int
}

// queue is a heap with the nearest block on top.
type queue []ranked

func (h queue) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

func (h queue) pop() queue {
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	h.sink(0)
	return h
}

func (h queue) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].least < h[child].least {
			child++
		}
		if h[i].least <= h[child].least {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
