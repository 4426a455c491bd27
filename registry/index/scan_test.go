package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/node"
)

// world is many nodes, held so that they can be scanned.
type world struct {
	random  *rand.Rand
	entries map[drtc.NodeID]*Entry
	list    []seen // the same in a row
	index   *Snapshot
}

func nodeID(n int) (id drtc.NodeID) {
	binary.BigEndian.PutUint64(id[:], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[12:], uint64(n)+1)
	return id
}

// place is near a city four times of five, and where maps have edges now and
// then.
func (w *world) place() drtc.Place {
	cities := []drtc.Place{{Lat: 40.7, Lon: -74}, {Lat: 51.5, Lon: -0.1}, {Lat: 48.8, Lon: 2.3}, {Lat: 35.6, Lon: 139.7},
		{Lat: 1.35, Lon: 103.8}, {Lat: -23.5, Lon: -46.6}, {Lat: -33.8, Lon: 151.2}, {Lat: -17.7, Lon: 178.1}}
	switch n := w.random.IntN(100); {
	case n < 80:
		c := cities[w.random.IntN(len(cities))]
		return drtc.Place{Lat: c.Lat + w.random.NormFloat64()*3, Lon: math.Remainder(c.Lon+w.random.NormFloat64()*4, 360)}
	case n < 82:
		return drtc.Place{Lat: []float64{-90, 90}[w.random.IntN(2)], Lon: w.random.Float64()*360 - 180}
	case n < 84:
		return drtc.Place{Lat: w.random.Float64()*180 - 90, Lon: []float64{-180, 180}[w.random.IntN(2)]}
	case n < 86:
		return drtc.Place{Lat: float64(w.random.IntN(180) - 90), Lon: float64(w.random.IntN(360) - 180)} // shared by many
	}
	return drtc.Place{Lat: w.random.Float64()*180 - 90, Lon: w.random.Float64()*360 - 180}
}

func (w *world) entry(n int) *Entry {
	features := []string{"vp8", "H264", "av1", "svc", "record"}
	p := node.Payload{
		NodeID: nodeID(n), Region: drtc.Regions()[w.random.IntN(7)], Version: []string{"0.1.0", "0.1.1", "0.2.0"}[w.random.IntN(3)],
		CapacityMbps: 2000, LoadMbps: uint32(w.random.IntN(2100)), Features: features[:w.random.IntN(6)], Draining: w.random.IntN(20) == 0,
	}
	if w.random.IntN(50) > 0 {
		p.Geolocation = w.place().String()
	}
	e := NewEntry(p, &envelope.Envelope{Seq: 1, IssuedAt: time.UnixMilli(0), TTL: 300 * time.Second, Body: []byte("signed")})
	e.Quality, e.Availability = w.random.Float64(), 1-w.random.Float64()/10
	e.State = []State{Unknown, Up, Up, Up, Suspect, Down}[w.random.IntN(6)]
	if w.random.IntN(50) == 0 {
		e.PlaceVerdict = PlaceRefuted
	}
	return e
}

func newWorld(nodes int) *world {
	w := &world{random: rand.New(rand.NewPCG(1, uint64(nodes))), entries: map[drtc.NodeID]*Entry{}}
	var changes []Change
	for n := range nodes {
		e := w.entry(n)
		w.entries[e.ID] = e
		changes = append(changes, Change{e.ID, e})
	}
	w.index = new(Snapshot).With(changes)
	return w
}

// change lets some nodes come, go, move or change.
func (w *world) change(n int) {
	var changes []Change
	for range n {
		e := w.entry(w.random.IntN(len(w.entries) + 10))
		if w.random.IntN(5) == 0 {
			delete(w.entries, e.ID)
			changes = append(changes, Change{ID: e.ID})
			continue
		}
		w.entries[e.ID] = e
		changes = append(changes, Change{e.ID, e})
	}
	w.index, w.list = w.index.With(changes), nil
}

func (w *world) query() Query {
	maybe := func(one int) bool { return w.random.IntN(one) == 0 }
	q := Query{Limit: 1 + w.random.IntN(50), Draining: maybe(2)}
	if !maybe(6) {
		near := w.place()
		q.Near = &near
		if maybe(3) {
			q.RadiusKm = math.Exp(w.random.Float64() * 10) // 1 to 22,000
		}
	}
	if maybe(4) {
		q.Region = drtc.Regions()[w.random.IntN(7)]
	}
	if maybe(2) {
		q.MinBandwidthMbps = uint32(w.random.IntN(2010)) // more than 2000 has nobody
	}
	if maybe(3) {
		q.MinQuality = math.Sqrt(w.random.Float64())
	}
	if maybe(4) {
		q.MinAvailability = 1 - w.random.Float64()/10
	}
	if maybe(4) {
		q.Version = []string{"0.1.0", "0.2.0", "9"}[w.random.IntN(3)]
	}
	if maybe(4) {
		q.Features = [][]string{{"vp8"}, {"h264", "VP8"}, {"record"}, {"recor"}, {"av1\nsvc"}}[w.random.IntN(5)]
	}
	return q
}

// seen is a copy of a node with what a scan needs worked out.
type seen struct {
	Entry
	original *Entry
	at       vector
	features []string
}

// scan is what Find has to equal: every node is looked at. It returns how many
// match and the first few of them.
func (w *world) scan(q Query, few int) (matches int, first []candidate) {
	if w.list == nil {
		for _, e := range w.entries {
			w.list = append(w.list, seen{*e, e, onSphere(e.place), strings.Split(e.features.Value(), "\n")})
		}
	}
	var centre vector
	reach := 4.0
	if q.Near != nil {
		centre = onSphere(*q.Near)
	}
	if q.RadiusKm > 0 {
		reach = chord2Of(q.RadiusKm)
	}
	from := candidate{q.Cursor.chord2, &Entry{ID: q.Cursor.id}}
	for i := range w.list {
		e := &w.list[i]
		c := candidate{entry: e.original}
		if q.Near != nil {
			c.chord2 = centre.chord2(e.at)
			if !e.placed || e.PlaceVerdict == PlaceRefuted || c.chord2 > reach {
				continue
			}
		}
		if e.State == Down || q.Region != "" && e.Region() != q.Region || e.freeMbps < q.MinBandwidthMbps ||
			e.Quality < q.MinQuality || e.Availability < q.MinAvailability || e.draining && !q.Draining ||
			q.Version != "" && e.version.Value() != q.Version || slices.Contains(q.Exclude, e.ID) ||
			slices.ContainsFunc(q.Features, func(f string) bool { return !slices.Contains(e.features, strings.ToLower(f)) }) {
			continue
		}
		if !q.Cursor.IsZero() && compare(c, from) <= 0 {
			continue
		}
		matches++
		if len(first) == few && compare(c, first[few-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, c, compare)
		first = slices.Insert(first, at, c)
		first = first[:min(len(first), few)]
	}
	return matches, first
}

func compare(a, b candidate) int {
	if a.chord2 != b.chord2 {
		return cmp.Compare(a.chord2, b.chord2)
	}
	return bytes.Compare(a.entry.ID[:], b.entry.ID[:])
}

// check asks for two pages and holds both to the scan.
func (w *world) check(q Query) error {
	for range 2 {
		matches, first := w.scan(q, q.Limit+1)
		want := first[:min(q.Limit, len(first))]
		got, next := w.index.Find(q)
		if !slices.EqualFunc(got, want, func(f Found, c candidate) bool { return f.Entry == c.entry }) {
			return fmt.Errorf("%+v near %v: got %d nodes, want %d, or others or in another order", q, q.Near, len(got), len(want))
		}
		if next.IsZero() != (matches <= q.Limit) {
			return fmt.Errorf("%+v near %v: cursor %q after %d of %d", q, q.Near, next, len(want), matches)
		}
		if next.IsZero() {
			return nil
		}
		q.Cursor = next
		if w.random.IntN(2) == 0 { // not the first of the next page, nor somebody else
			q.Exclude = []drtc.NodeID{nodeID(w.random.IntN(1000)), first[q.Limit].entry.ID}
		}
	}
	return nil
}

// Random queries of one or two pages among nodes that come, go and move. The
// benchmark below asks more of them among more.
func TestFind_equalsTheScan(t *testing.T) {
	equalToTheScan(t, newWorld(20_000), 1_000)
}

// BenchmarkFind_10000QueriesEqualTheScan is to be run with -benchtime 1x.
func BenchmarkFind_10000QueriesEqualTheScan(b *testing.B) {
	for b.Loop() {
		equalToTheScan(b, newWorld(100_000), 10_000)
	}
}

func equalToTheScan(t testing.TB, w *world, queries int) {
	for n := range queries {
		if n%100 == 99 {
			w.change(1 + w.random.IntN(300))
			w.checkShape(t)
		}
		if err := w.check(w.query()); err != nil {
			t.Fatalf("query %d: %v", n, err)
		}
	}
}

// checkShape holds the blocks to their sizes, order and boxes.
func (w *world) checkShape(t testing.TB) {
	t.Helper()
	if w.index.Len() != len(w.entries) {
		t.Fatalf("%d nodes, want %d", w.index.Len(), len(w.entries))
	}
	shown := 0
	for _, e := range w.entries {
		if e.State != Down {
			shown++
		}
	}
	if got, down := w.index.Count(); got != shown || got+down != len(w.entries) {
		t.Fatalf("shown %d and down %d, want %d of %d", got, down, shown, len(w.entries))
	}
	if blocks, most := len(w.index.ids), 2*len(w.entries)/minBlock+1; blocks > most {
		t.Fatalf("%d blocks for %d nodes", blocks, len(w.entries))
	}
	for _, b := range w.index.places {
		if len(b.items) == 0 || len(b.items) > maxBlock || !slices.IsSortedFunc(b.items, byCell) || b.box != around(b.items) {
			t.Fatalf("a block of %d places is out of shape", len(b.items))
		}
	}
}

func TestFind_equalsTheScanWhileEverybodyLeaves(t *testing.T) {
	w := newWorld(3000)
	for len(w.entries) > 0 {
		var changes []Change
		for id := range w.entries {
			if len(changes) < 50 {
				changes = append(changes, Change{ID: id})
			}
		}
		for _, c := range changes {
			delete(w.entries, c.ID)
		}
		w.index, w.list = w.index.With(changes), nil
		w.checkShape(t)
		if err := w.check(w.query()); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.index.ids) != 0 || len(w.index.places) != 0 {
		t.Errorf("%d and %d blocks without a node", len(w.index.ids), len(w.index.places))
	}
}

func benchmarkQuery(near drtc.Place) Query {
	return Query{Near: &near, MinBandwidthMbps: 200, MinQuality: 0.5, Limit: 20}
}

// The goal is 100 us.
func BenchmarkFind_nearest20of100000(b *testing.B) {
	w := newWorld(100_000)
	for name, change := range map[string]func(*Query){
		"quality and bandwidth": func(*Query) {},
		"features and region":   func(q *Query) { q.Region, q.Features = drtc.Europe, []string{"av1"} },
		"radius 100 km":         func(q *Query) { q.RadiusKm = 100 },
		"almost nobody":         func(q *Query) { q.MinQuality = 0.9999 },
		"nobody":                func(q *Query) { q.Version = "9" },
		"nobody, by id":         func(q *Query) { q.Version, q.Near = "9", nil },
	} {
		b.Run(name, func(b *testing.B) {
			queries := make([]Query, 512)
			for i := range queries {
				queries[i] = benchmarkQuery(w.place())
				change(&queries[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.index.Find(queries[i%len(queries)])
			}
		})
	}
}

// What the worst case is measured against: every place looked at, in order.
func BenchmarkFind_plainScanOf100000(b *testing.B) {
	w := newWorld(100_000)
	for b.Loop() {
		q := benchmarkQuery(w.place())
		q.Version = "9"
		centre, wanted, best := onSphere(*q.Near), want(&q), page{limit: q.Limit + 1}
		for _, block := range w.index.places {
			for i := range block.items {
				s := &block.items[i]
				if chord2 := centre.chord2(s.at); chord2 <= 4 && wanted.takes(&s.row) {
					best.add(candidate{chord2, s.entry})
				}
			}
		}
	}
}

func BenchmarkGet_of100000(b *testing.B) {
	w := newWorld(100_000)
	for i := 0; b.Loop(); i++ {
		w.index.Get(nodeID(i * 7919 % 100_000))
	}
}

// One refreshed record, and what 170 records a second are in 200 ms.
func BenchmarkWith_of100000(b *testing.B) {
	for _, changes := range []int{1, 34} {
		b.Run(fmt.Sprint(changes), func(b *testing.B) {
			w := newWorld(100_000)
			batches := make([][]Change, 256)
			for i := range batches {
				for range changes {
					n := w.random.IntN(100_000)
					e := *w.entries[nodeID(n)]
					e.freeMbps++
					batches[i] = append(batches[i], Change{e.ID, &e})
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.index = w.index.With(batches[i%len(batches)])
			}
		})
	}
}

// Heap of the index without the records' bodies, which it shares.
func BenchmarkMemory_of100000(b *testing.B) {
	const nodes = 100_000
	for b.Loop() {
		before := heap()
		w := newWorld(nodes)
		w.entries = nil
		for range 200 {
			var changes []Change
			for range 100 {
				e := w.entry(w.random.IntN(nodes))
				changes = append(changes, Change{e.ID, e})
			}
			w.index = w.index.With(changes)
		}
		b.ReportMetric(float64(heap()-before)/nodes, "B/node")
		runtime.KeepAlive(w)
	}
	b.ReportMetric(0, "ns/op")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
