package record_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// scratch computes the summary as spec/registry.md words it, from nothing.
func scratch(records []envelope.Envelope) (root [32]byte, groups [][32]byte, leaves [][32]byte) {
	type line struct{ id, hash []byte }
	lines := make([][]line, record.Leaves)
	for _, e := range records {
		h := sha256.New()
		fmt.Fprintf(h, "drtc item\x00%c%s%s%s", len(e.Kind), e.Kind, e.Subject[:], e.Issuer[:])
		id, hash := h.Sum(nil)[:16], e.Hash()
		n := binary.BigEndian.Uint16(id) >> 4
		lines[n] = append(lines[n], line{id, hash[:]})
	}
	all := []byte("drtc root\x00")
	for g := range record.Groups {
		group := []byte("drtc group\x00")
		for n := range 64 {
			of := lines[64*g+n]
			slices.SortFunc(of, func(a, b line) int { return bytes.Compare(a.id, b.id) })
			leaf := []byte("drtc leaf\x00")
			for _, l := range of {
				leaf = append(append(leaf, l.id...), l.hash...)
			}
			leaves = append(leaves, sha256.Sum256(leaf))
			group = append(group, leaves[len(leaves)-1][:]...)
		}
		groups = append(groups, sha256.Sum256(group))
		all = append(all, groups[g][:]...)
	}
	return sha256.Sum256(all), groups, leaves
}

func TestRoot_isKeptUpToDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSet(t, func(r *record.Rules) { unlimited(r); allKinds(r); r.MaxPerIssuer = 3 })
		held := map[record.Key]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				e := drawRecord(t)
				held[record.KeyOf(&e)] = true
				take(s, drawTime(t), e, record.Synced)
			case 2:
				e := page(1, uint16(rapid.IntRange(0, 9).Draw(t, "page")), nil)
				held[record.KeyOf(&e)] = true
				take(s, epoch, e, record.Synced)
			case 3:
				s.Expire(epoch.Add(time.Duration(rapid.IntRange(900, 1100).Draw(t, "expire")) * time.Second))
			}
			if rapid.Bool().Draw(t, "look") {
				same(t, s, held)
			}
		}
		same(t, s, held)
	})
}

func same(t *rapid.T, s *record.Set, keys map[record.Key]bool) {
	var records []envelope.Envelope
	for k := range keys {
		if e, ok := s.Get(k); ok {
			records = append(records, e)
		}
	}
	root, groups, leaves := scratch(records)
	if s.Root() != root {
		t.Fatalf("root: got %x, want %x", s.Root(), root)
	}
	for g, want := range groups {
		if s.Group(g) != want {
			t.Fatalf("group %d: got %x, want %x", g, s.Group(g), want)
		}
	}
	total := 0
	for l, want := range leaves {
		if s.Leaf(l) != want {
			t.Fatalf("leaf %d: got %x, want %x", l, s.Leaf(l), want)
		}
		for _, it := range s.Items(l) {
			total++
			e, ok := s.Lookup(it.ID)
			if !ok || e.Hash() != it.Hash || e.Version() != it.Version || record.ItemOf(record.KeyOf(&e)) != it.ID || it.ID.Leaf() != l {
				t.Fatalf("leaf %d: item %x does not lead to its record", l, it.ID)
			}
		}
	}
	if total != s.Len() || total != len(records) {
		t.Fatalf("%d items, %d held, %d found, want equal", total, s.Len(), len(records))
	}
}

// Different records of one key and version, a record more or less, a mark instead
// of a live record: each gives another root.
func TestRoot_differsWheneverSetsDo(t *testing.T) {
	a, b := twins(1, 7)
	sets := map[string][]envelope.Envelope{
		"none": nil, "one": {a}, "its twin": {b}, "two": {a, sign(key(2), nil)},
		"another version": {sign(key(1), func(e *envelope.Envelope) { e.Seq = 8 })},
		"a tombstone":     {sign(key(1), func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil })},
		"another kind":    {sign(key(1), func(e *envelope.Envelope) { e.Kind = record.KindRegistry })},
	}
	roots := map[[32]byte]string{}
	for name, records := range sets {
		s := newSet(t, allKinds)
		for _, e := range records {
			take(s, epoch, e, record.Synced)
		}
		if other, ok := roots[s.Root()]; ok {
			t.Errorf("%q and %q have one root", name, other)
		}
		roots[s.Root()] = name
	}
}

// filled returns a Set of n records of 416 bytes without verifying them.
func filled(t testing.TB, n int) (*record.Set, func(int, uint64) envelope.Envelope) {
	s := newSet(t, func(r *record.Rules) { unlimited(r); r.MaxRecords = n })
	build := func(i int, seq uint64) envelope.Envelope {
		var id drtc.NodeID
		binary.BigEndian.PutUint64(id[:], uint64(i)+1)
		e := envelope.Envelope{
			Kind: record.KindNode, Network: "devnet", Subject: id, Issuer: id, Seq: 1790000000000 + seq,
			IssuedAt: epoch, TTL: 300 * time.Second, Body: bytes.Repeat([]byte{byte(i)}, 271),
		}
		e.Signature[64] = 27
		return e
	}
	for i := range n {
		if outcome, err := s.Merge(epoch, build(i, 0), record.Gossiped); outcome != record.Stored || err != nil {
			t.Fatal(outcome, err)
		}
	}
	return s, build
}

func TestSet_memoryPerRecord(t *testing.T) {
	const n, bound = 20_000, 700
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s, one := filled(t, n)
	each := (heap() - before) / n
	t.Logf("%d bytes of heap for a record of %d", each, len(ptr(one(0, 0)).Bytes()))
	if each > bound {
		t.Errorf("%d bytes of heap a record, want at most %d", each, bound)
	}
	runtime.KeepAlive(s)
}

func BenchmarkMergeAndRoot(b *testing.B) {
	for _, n := range []int{20_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, one := filled(b, n)
			s.Root()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				e := one(i%n, uint64(i)+1)
				if outcome, err := s.Merge(epoch, e, record.Gossiped); outcome != record.Stored || err != nil {
					b.Fatal(outcome, err)
				}
				s.Root()
				i++
			}
		})
	}
}
