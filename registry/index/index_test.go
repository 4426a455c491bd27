package index_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
)

var frankfurt = drtc.Place{Lat: 50.11, Lon: 8.68}

func id(n int) (id drtc.NodeID) {
	binary.BigEndian.PutUint64(id[12:], uint64(n)+1)
	return id
}

func entry(n int, change func(*node.Payload)) *index.Entry {
	p := node.Payload{
		NodeID: id(n), Region: drtc.Europe, Geolocation: "50.11,8.68", Version: "0.1.0",
		CapacityMbps: 1000, LoadMbps: 100, Features: []string{"vp8", "h264"},
	}
	if change != nil {
		change(&p)
	}
	return index.NewEntry(p, &envelope.Envelope{Seq: 1, IssuedAt: time.Unix(0, 0), TTL: time.Minute})
}

func measured(n int, change func(*index.Entry)) *index.Entry {
	e := entry(n, nil)
	change(e)
	return e
}

func snapshot(entries ...*index.Entry) *index.Snapshot {
	var changes []index.Change
	for _, e := range entries {
		changes = append(changes, index.Change{ID: e.ID, Entry: e})
	}
	return new(index.Snapshot).With(changes)
}

func ids(found []index.Found) []drtc.NodeID {
	out := []drtc.NodeID{}
	for _, f := range found {
		out = append(out, f.ID)
	}
	return out
}

func TestFind_eachCriterion(t *testing.T) {
	paris := drtc.Place{Lat: 48.86, Lon: 2.35} // 479 km from Frankfurt
	plain := entry(0, nil)
	tests := map[string]struct {
		other *index.Entry // differs from plain in what the query asks
		query index.Query  // finds plain only
	}{
		"region":        {entry(1, func(p *node.Payload) { p.Region = drtc.Asia }), index.Query{Region: drtc.Europe}},
		"free Mbps":     {entry(1, func(p *node.Payload) { p.LoadMbps = 101 }), index.Query{MinBandwidthMbps: 900}},
		"overloaded":    {entry(1, func(p *node.Payload) { p.LoadMbps = 2000 }), index.Query{MinBandwidthMbps: 1}},
		"version":       {entry(1, func(p *node.Payload) { p.Version = "0.1.1" }), index.Query{Version: "0.1.0"}},
		"all features":  {entry(1, func(p *node.Payload) { p.Features = []string{"vp8"} }), index.Query{Features: []string{"VP8", "h264"}}},
		"exclude":       {entry(1, nil), index.Query{Exclude: []drtc.NodeID{id(1), id(7)}}},
		"draining":      {entry(1, func(p *node.Payload) { p.Draining = true }), index.Query{}},
		"radius":        {entry(1, func(p *node.Payload) { p.Geolocation = paris.String() }), index.Query{Near: &frankfurt, RadiusKm: 470}},
		"without place": {entry(1, func(p *node.Payload) { p.Geolocation = "" }), index.Query{Near: &frankfurt}},
		"refuted place": {measured(1, func(e *index.Entry) { e.PlaceVerdict = index.PlaceRefuted }), index.Query{Near: &frankfurt}},
		"down":          {measured(1, func(e *index.Entry) { e.State = index.Down }), index.Query{}},
		"quality":       {measured(1, func(e *index.Entry) { e.Quality = 0.7 }), index.Query{MinQuality: 0.8}},
		"availability":  {measured(1, func(e *index.Entry) { e.Availability = 0.9 }), index.Query{MinAvailability: 0.95}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.query.Limit = 10
			got, next := snapshot(plain, tt.other).Find(tt.query)
			if g := ids(got); !slices.Equal(g, []drtc.NodeID{id(0)}) || !next.IsZero() {
				t.Errorf("got %v, cursor %q, want the plain node alone", g, next)
			}
		})
	}
}

func TestFind_drainingNodesWhenAskedFor(t *testing.T) {
	s := snapshot(entry(0, func(p *node.Payload) { p.Draining = true }))
	if got, _ := s.Find(index.Query{Draining: true, Limit: 1}); len(got) != 1 {
		t.Errorf("got %v, want the draining node", ids(got))
	}
}

func TestFind_nearestFirstAcrossTheAntimeridian(t *testing.T) {
	at := func(n int, place string) *index.Entry {
		return entry(n, func(p *node.Payload) { p.Geolocation = place })
	}
	fiji := drtc.Place{Lat: -17.7, Lon: 178.1}
	s := snapshot(at(0, "-13.8,-171.8"), at(1, "-36.8,174.8"), at(2, "-17.7,178"), at(3, "50,8")) // Samoa, Auckland, Fiji, Frankfurt
	got, _ := s.Find(index.Query{Near: &fiji, Limit: 3})
	if g, want := ids(got), []drtc.NodeID{id(2), id(0), id(1)}; !slices.Equal(g, want) {
		t.Errorf("got %v, want %v", g, want)
	}
}

func TestGet_hidesWhatIsDown(t *testing.T) {
	up := entry(0, nil)
	down := *up
	down.State = index.Down
	s := snapshot(up)
	if e, ok := s.Get(id(0)); !ok || e != up {
		t.Errorf("up: got %v, %v", e, ok)
	}
	if _, ok := s.Get(id(1)); ok {
		t.Error("an unknown node was found")
	}
	s = s.With([]index.Change{{ID: id(0), Entry: &down}})
	if _, ok := s.Get(id(0)); ok || s.Len() != 1 {
		t.Errorf("down: found %v, length %d, want hidden and 1", ok, s.Len())
	}
}

// With is a map update that leaves the old Snapshot alone.
func TestWith_isAMapUpdate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := new(index.Snapshot), map[drtc.NodeID]*index.Entry{}
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			before, version := fmt.Sprint(ids(all(s))), s.Version()
			var changes []index.Change
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 20), 0, 15).Draw(t, "nodes") {
				c := index.Change{ID: id(n)}
				if rapid.Bool().Draw(t, "there") {
					c.Entry = entry(n, nil)
				}
				changes = append(changes, c)
				model[c.ID] = c.Entry
			}
			next := s.With(changes)
			if after := fmt.Sprint(ids(all(s))); after != before || s.Version() != version || next.Version() != version+1 {
				t.Fatalf("the old Snapshot changed from %s to %s", before, after)
			}
			s = next
			for n := range 21 {
				if got, ok := s.Get(id(n)); got != model[id(n)] || ok != (got != nil) {
					t.Fatalf("node %d: got %p, want %p", n, got, model[id(n)])
				}
			}
			if list := ids(all(s)); !slices.IsSortedFunc(list, func(a, b drtc.NodeID) int { return cmp.Compare(a.String(), b.String()) }) {
				t.Fatalf("out of order: %v", list)
			}
		}
	})
}

func all(s *index.Snapshot) []index.Found {
	found, _ := s.Find(index.Query{Limit: math.MaxInt - 1, Draining: true})
	return found
}

// Whatever comes and goes between pages, a node that stays is seen once.
func TestFind_pagingOverChangesShowsWhatStaysOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(n int) *index.Entry {
			return entry(n, func(p *node.Payload) {
				p.Geolocation = drtc.Place{Lat: float64(rapid.IntRange(-3, 3).Draw(t, "lat")), Lon: 179}.String()
			})
		}
		s := new(index.Snapshot)
		for n := range 20 {
			s = s.With([]index.Change{{ID: id(n), Entry: at(n)}})
		}
		q := index.Query{Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "near") {
			q.Near = &drtc.Place{Lat: 0, Lon: -179}
		}
		seen := map[drtc.NodeID]int{}
		for pages := 0; ; pages++ {
			page, next := s.Find(q)
			for _, f := range page {
				seen[f.ID]++
			}
			if next.IsZero() {
				break
			}
			text := next.String()
			back, err := index.ParseCursor(text)
			if err != nil || back != next {
				t.Fatalf("cursor %q: got %v, %v", text, back, err)
			}
			q.Cursor = back
			// Odd nodes come and go; even ones stay.
			n := rapid.IntRange(0, 14).Draw(t, "odd")*2 + 1
			c := index.Change{ID: id(n)}
			if rapid.Bool().Draw(t, "comes") {
				c.Entry = at(n)
			}
			s = s.With([]index.Change{c})
			if pages > 100 {
				t.Fatal("paging does not end")
			}
		}
		for n := 0; n < 20; n += 2 {
			if seen[id(n)] != 1 {
				t.Fatalf("node %d was shown %d times, want once", n, seen[id(n)])
			}
		}
	})
}

// The order by chords is the order by great circles, and the radius cuts where
// great circles say, to a metre.
func TestFind_agreesWithGreatCircles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() drtc.Place {
			return drtc.Place{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")}
		}
		var entries []*index.Entry
		for n := range rapid.IntRange(1, 30).Draw(t, "nodes") {
			entries = append(entries, entry(n, func(p *node.Payload) { p.Geolocation = draw().String() }))
		}
		near := draw()
		q := index.Query{Near: &near, RadiusKm: rapid.Float64Range(0, 21000).Draw(t, "radius"), Limit: 1000}
		got, _ := snapshot(entries...).Find(q)
		if !slices.IsSortedFunc(got, func(a, b index.Found) int {
			if math.Abs(a.DistanceKm-b.DistanceKm) < 1e-3 {
				return 0
			}
			return cmp.Compare(a.DistanceKm, b.DistanceKm)
		}) {
			t.Fatalf("not in order of distance: %v", got)
		}
		in := ids(got)
		for _, e := range entries {
			place, _ := e.Place()
			d := near.DistanceKm(place)
			want := q.RadiusKm == 0 || d <= q.RadiusKm
			if q.RadiusKm > 0 && math.Abs(d-q.RadiusKm) < 1e-3 {
				continue
			}
			if slices.Contains(in, e.ID) != want {
				t.Fatalf("%s at %.3f km of %.3f: in the answer %v, want %v", place, d, q.RadiusKm, !want, want)
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ")
	f.Add("f_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ")
	f.Add("not a cursor")
	f.Add("A00000000000000000000000000000000\r0000A")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := index.ParseCursor(s)
		if err == nil && c.String() != s {
			t.Fatalf("%q was read as %q", s, c)
		}
	})
}

// Since is the difference, whatever blocks the Snapshots share.
func TestSince_namesWhatDiffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := func(s *index.Snapshot) *index.Snapshot {
			var changes []index.Change
			for range rapid.IntRange(0, 12).Draw(t, "changes") {
				from := rapid.IntRange(0, 999).Draw(t, "from")
				there := rapid.Bool().Draw(t, "there")
				for n := from; n < min(1000, from+rapid.SampledFrom([]int{1, 2, 300}).Draw(t, "run")); n++ {
					c := index.Change{ID: id(n)}
					if there {
						c.Entry = entry(n, nil)
					}
					changes = append(changes, c)
				}
			}
			return s.With(changes)
		}
		old := change(change(new(index.Snapshot)))
		s := change(change(old))
		type pair struct{ before, after *index.Entry }
		want := map[drtc.NodeID]pair{}
		for e := range old.All() {
			want[e.ID] = pair{before: e}
		}
		for e := range s.All() {
			want[e.ID] = pair{want[e.ID].before, e}
		}
		var last drtc.NodeID
		for before, after := range s.Since(old) {
			e := cmp.Or(before, after)
			if e.ID.String() <= last.String() || want[e.ID] != (pair{before, after}) || before == after {
				t.Fatalf("%s after %s: got %p and %p, want %+v", e.ID, last, before, after, want[e.ID])
			}
			last = e.ID
			delete(want, e.ID)
		}
		for id, p := range want {
			if p.before != p.after {
				t.Fatalf("%s is left out", id)
			}
		}
	})
}

func TestEntry_ofARecord(t *testing.T) {
	e := index.NewEntry(node.Payload{NodeID: id(3), Region: drtc.Asia, Geolocation: "1,2"},
		&envelope.Envelope{Generation: 4, Seq: 5, IssuedAt: time.UnixMilli(1790000000123), TTL: 300 * time.Second, Body: []byte("signed")})
	place, placed := e.Place()
	if e.ID != id(3) || e.Version != (envelope.Version{Generation: 4, Seq: 5}) || string(e.Body) != "signed" ||
		e.Region() != drtc.Asia || !placed || place != (drtc.Place{Lat: 1, Lon: 2}) ||
		!e.IssuedAt().Equal(time.UnixMilli(1790000000123)) || !e.ExpiresAt().Equal(time.UnixMilli(1790000300123)) ||
		e.Quality != 1 || e.Availability != 1 || e.State != index.Unknown {
		t.Errorf("got %+v", e)
	}
	if e := entry(0, func(p *node.Payload) { p.Region, p.Geolocation = "", "" }); e.Region() != "" {
		t.Errorf("region: got %q, want none", e.Region())
	}
}

func TestFrom_beginsWhereItIsTold(t *testing.T) {
	s := new(index.Snapshot)
	var changes []index.Change
	for i := 1; i <= 1000; i++ {
		id := drtc.NodeID{18: byte(2 * i >> 8), 19: byte(2 * i)}
		changes = append(changes, index.Change{ID: id, Entry: &index.Entry{ID: id}})
	}
	s = s.With(changes)
	for _, c := range []struct{ from, first, count int }{{0, 2, 1000}, {2, 2, 1000}, {3, 4, 999}, {2000, 2000, 1}, {2001, 0, 0}, {700, 700, 651}} {
		first, count := 0, 0
		for e := range s.From(drtc.NodeID{18: byte(c.from >> 8), 19: byte(c.from)}) {
			if count++; count == 1 {
				first = int(e.ID[18])<<8 | int(e.ID[19])
			}
		}
		if first != c.first || count != c.count {
			t.Errorf("from %d: first %d of %d, want %d of %d", c.from, first, count, c.first, c.count)
		}
	}
	for range new(index.Snapshot).From(drtc.NodeID{}) {
		t.Error("an empty Snapshot lists a node")
	}
}
