package liveness_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/liveness"
)

// onPage is an id that begins with prefix.
func onPage(prefix uint64, last byte) (id drtc.NodeID) {
	for i := range 8 {
		id[i] = byte(prefix >> (56 - 8*i))
	}
	id[19] = last
	return id
}

func seen(id drtc.NodeID) liveness.Sighting {
	return liveness.Sighting{Node: id, AnsweredAt: start.UTC(), RTTMin: 3 * time.Millisecond, RTTMedian: 4 * time.Millisecond}
}

func TestPage_form(t *testing.T) {
	if got, want := liveness.Page(0, 0).String(), "0x647274632f616c6976652f000000000000000000"; got != want {
		t.Errorf("the page of all nodes: got %s, want %s", got, want)
	}
	if got, want := liveness.Page(4, 0xa<<60|12345).String(), "0x647274632f616c6976652f04a000000000000000"; got != want {
		t.Errorf("the page of ids that begin with a: got %s, want %s", got, want)
	}
}

func TestPage_readsBackAndNothingElseDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		depth, prefix := rapid.IntRange(0, liveness.MaxDepth).Draw(t, "depth"), rapid.Uint64().Draw(t, "prefix")
		id := liveness.Page(depth, prefix)
		d, p, ok := liveness.ParsePage(id)
		if !ok || d != depth || liveness.Page(d, p) != id || id.IsZero() {
			t.Fatalf("%d, %x: got %s, read as %d, %x, %v", depth, prefix, id, d, p, ok)
		}
		other := drtc.NodeID(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "an identity"))
		if _, _, ok := liveness.ParsePage(other); ok {
			t.Fatalf("%s is taken for a page", other)
		}
	})
	for name, id := range map[string]drtc.NodeID{
		"zero": {}, "depth 65": {'d', 'r', 't', 'c', '/', 'a', 'l', 'i', 'v', 'e', '/', 65},
		"a bit below the depth": {'d', 'r', 't', 'c', '/', 'a', 'l', 'i', 'v', 'e', '/', 1, 0xc0},
	} {
		if _, _, ok := liveness.ParsePage(id); ok {
			t.Errorf("%s: %s is taken for a page", name, id)
		}
	}
}

func TestCheckPage_refused(t *testing.T) {
	const prefix = 0xab << 56
	subject := liveness.Page(8, prefix)
	a, b := seen(onPage(prefix, 1)), seen(onPage(prefix, 2))
	change := func(s liveness.Sighting, f func(*liveness.Sighting)) []liveness.Sighting {
		f(&s)
		return []liveness.Sighting{s}
	}
	many := make([]liveness.Sighting, liveness.MaxSightings+1)
	for i := range many {
		many[i] = seen(onPage(prefix, byte(i)))
	}
	tests := map[string]struct {
		subject   drtc.NodeID
		sightings []liveness.Sighting
		says      string
	}{
		"a node's id as subject": {a.Node, []liveness.Sighting{a}, "subject"},
		"another page's node":    {subject, []liveness.Sighting{seen(onPage(0xac<<56, 1))}, "does not belong"},
		"wrong order":            {subject, []liveness.Sighting{b, a}, "ascending"},
		"one node twice":         {subject, []liveness.Sighting{a, a}, "once"},
		"too many":               {subject, many, "at most 100"},
		"zero":                   {liveness.Page(0, 0), []liveness.Sighting{seen(drtc.NodeID{})}, "zero"},
		"median below minimum":   {subject, change(a, func(s *liveness.Sighting) { s.RTTMedian = 1000 }), "rtt_min_us"},
		"minimum alone":          {subject, change(a, func(s *liveness.Sighting) { s.RTTMedian = 0 }), "rtt_min_us"},
		"median alone":           {subject, change(a, func(s *liveness.Sighting) { s.RTTMin = 0 }), "rtt_min_us"},
		"too long":               {subject, change(a, func(s *liveness.Sighting) { s.RTTMedian = time.Minute }), "rtt_min_us"},
		"down with round trips":  {subject, change(a, func(s *liveness.Sighting) { s.Down = true }), "down"},
		"up without an answer":   {subject, change(a, func(s *liveness.Sighting) { s.AnsweredAt = time.Time{} }), "answered_at_ms"},
	}
	for name, tt := range tests {
		if err := liveness.CheckPage(tt.subject, tt.sightings); !errors.Is(err, liveness.ErrPage) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want ErrPage that says %q", name, err, tt.says)
		}
	}
	if err := liveness.CheckPage(subject, []liveness.Sighting{a, b}); err != nil {
		t.Errorf("a page in order: %v", err)
	}
}

func TestCheck_records(t *testing.T) {
	body := liveness.AppendSightings(nil, []liveness.Sighting{seen(onPage(1, 1))})
	good := envelope.Envelope{Subject: liveness.Page(0, 0), IssuedAt: start, Body: body}
	tombstone := envelope.Envelope{Subject: liveness.Page(3, 0), Flags: envelope.Tombstone}
	empty := envelope.Envelope{Subject: liveness.Page(0, 0), IssuedAt: start}
	for name, e := range map[string]envelope.Envelope{"a page": good, "a page of nobody": empty, "a tombstone": tombstone} {
		if err := liveness.Check(&e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	early, noPage, full, garbage := good, tombstone, tombstone, good
	early.IssuedAt = start.Add(-time.Millisecond)
	noPage.Subject = drtc.NodeID{1}
	full.Body = body
	garbage.Body = []byte("?")
	for name, e := range map[string]envelope.Envelope{
		"an answer after the record": early, "a tombstone of no page": noPage, "a tombstone with a body": full, "no LivenessBody": garbage,
	} {
		if err := liveness.Check(&e); !errors.Is(err, liveness.ErrPage) {
			t.Errorf("%s: got %v, want ErrPage", name, err)
		}
	}
}

// A full page fits the network's 4096 bytes of a liveness record.
func TestAppendSightings_fullPageFits(t *testing.T) {
	var up, down []liveness.Sighting
	for i := range liveness.MaxSightings {
		s := seen(onPage(1, byte(i)))
		s.RTTMin, s.RTTMedian = liveness.MaxRTT, liveness.MaxRTT
		up = append(up, s)
		down = append(down, liveness.Sighting{Node: s.Node, Down: true, AnsweredAt: s.AnsweredAt})
	}
	if u, d := len(liveness.AppendSightings(nil, up)), len(liveness.AppendSightings(nil, down)); u != 3900 || d > u {
		t.Errorf("got %d bytes up, %d down, want 3900 and less", u, d)
	}
}

func drawSightings(t *rapid.T) []liveness.Sighting {
	var sightings []liveness.Sighting
	for i := range rapid.IntRange(0, 5).Draw(t, "sightings") {
		s := seen(onPage(rapid.Uint64().Draw(t, "prefix"), byte(i+1)))
		s.AnsweredAt = time.UnixMilli(rapid.Int64Range(1, 1<<53-1).Draw(t, "answered")).UTC()
		s.RTTMin = time.Duration(rapid.IntRange(1, 1<<20).Draw(t, "min")) * time.Microsecond
		s.RTTMedian = s.RTTMin + time.Duration(rapid.IntRange(0, 1<<20-1).Draw(t, "more"))*time.Microsecond
		if rapid.Bool().Draw(t, "down") {
			s.Down, s.RTTMin, s.RTTMedian = true, 0, 0
		}
		sightings = append(sightings, s)
	}
	slices.SortFunc(sightings, func(a, b liveness.Sighting) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	return sightings
}

// The generated code of the schema writes the same bytes.
func TestAppendSightings_isDeterministicProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sightings := drawSightings(t)
		var b registryv1.LivenessBody
		for _, s := range sightings {
			b.Sightings = append(b.Sightings, &registryv1.Sighting{
				Node: s.Node[:], Down: s.Down, AnsweredAtMs: s.AnsweredAt.UnixMilli(),
				RttMinUs: uint32(s.RTTMin.Microseconds()), RttMedianUs: uint32(s.RTTMedian.Microseconds()),
			})
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		if got := liveness.AppendSightings(nil, sightings); !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		back, err := liveness.ParseSightings(want)
		if err != nil || !slices.Equal(back, sightings) {
			t.Fatalf("read back %v, %v, want %v", back, err, sightings)
		}
	})
}

func FuzzParseSightings(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		var s []liveness.Sighting
		for i := range r.IntN(4) {
			s = append(s, seen(onPage(r.Uint64(), byte(i))))
		}
		f.Add(liveness.AppendSightings(nil, s))
	}
	f.Add([]byte{0x0a, 0x02, 0x10, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := liveness.ParseSightings(b)
		if err != nil {
			if !errors.Is(err, liveness.ErrPage) {
				t.Errorf("got %v, want ErrPage", err)
			}
			return
		}
		if again := liveness.AppendSightings(nil, s); !bytes.Equal(again, b) {
			t.Errorf("%x is read and written as %x", b, again)
		}
		var foreign registryv1.LivenessBody
		if err := proto.Unmarshal(b, &foreign); err != nil || len(foreign.GetSightings()) != len(s) {
			t.Errorf("%x: the generated code reads %d sightings, %v, want %d", b, len(foreign.GetSightings()), err, len(s))
		}
	})
}
