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

func snapshot(entries ...*index.Entry) *index.Snapshot {
	var changes []index.Change
	for _, e := range entries {
		changes = append(changes, index.Change{ID: e.Node.NodeID, Entry: e})
	}
	return new(index.Snapshot).With(changes)
}

func ids(found []index.Found) []drtc.NodeID {
	out := []drtc.NodeID{}
	for _, f := range found {
		out = append(out, f.Node.NodeID)
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
		"down":          {&index.Entry{Node: node.Payload{NodeID: id(1)}, Down: true}, index.Query{}},
		"quality":       {&index.Entry{Node: node.Payload{NodeID: id(1)}, Quality: 0.7}, index.Query{MinQuality: 0.8}},
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
	down.Down = true
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
				seen[f.Node.NodeID]++
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
			place, _ := e.Node.Place()
			d := near.DistanceKm(place)
			want := q.RadiusKm == 0 || d <= q.RadiusKm
			if q.RadiusKm > 0 && math.Abs(d-q.RadiusKm) < 1e-3 {
				continue
			}
			if slices.Contains(in, e.Node.NodeID) != want {
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
	f.Fuzz(func(t *testing.T, s string) {
		c, err := index.ParseCursor(s)
		if err == nil && c.String() != s {
			t.Fatalf("%q was read as %q", s, c)
		}
	})
}

func BenchmarkFind_nearest20of10000(b *testing.B) {
	var entries []*index.Entry
	for n := range 10_000 {
		entries = append(entries, entry(n, func(p *node.Payload) {
			p.Geolocation = drtc.Place{Lat: float64(n%170) - 85, Lon: float64(n%360) - 180}.String()
		}))
	}
	s := snapshot(entries...)
	b.ReportAllocs()
	for b.Loop() {
		if found, _ := s.Find(index.Query{Near: &frankfurt, MinBandwidthMbps: 10, Limit: 20}); len(found) != 20 {
			b.Fatal(len(found))
		}
	}
}
