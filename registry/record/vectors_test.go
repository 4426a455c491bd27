package record_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// causes gives the vectors' words for our errors.
var causes = map[string]error{
	"kind": record.ErrKind, "network": record.ErrNetwork, "issuer": record.ErrIssuer,
	"size": record.ErrSize, "ttl": record.ErrTTL, "future": record.ErrFuture,
	"expired": record.ErrExpired, "rate": record.ErrRate, "signature": envelope.ErrSignature,
	"bond": record.ErrBond, "revoked": record.ErrRevoked,
}

type vectors struct {
	Scenarios []struct {
		Name   string
		Bonded []struct {
			ID            drtc.NodeID
			Role          record.Role
			MinGeneration uint64
		}
		Steps []struct {
			AtMs                   int64
			Record, Outcome, Error string
		}
		Live          []drtc.NodeID
		Equivocations int
	}
	Summary []struct {
		Name    string
		Records []string
		Root    string
		Items   []struct {
			ID, Hash        string
			Leaf            int
			Generation, Seq uint64
		}
		Leaves []struct {
			Leaf int
			Hash string
		}
		Groups []struct {
			Group int
			Hash  string
		}
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/record.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectors
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Scenarios) == 0 || len(file.Summary) == 0 {
		t.Fatal("the vector file is empty")
	}
	return file
}

func parseHex(t *testing.T, s string) envelope.Envelope {
	t.Helper()
	raw, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := envelope.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSummary_vectors(t *testing.T) {
	text := func(b []byte) string { return "0x" + hex.EncodeToString(b) }
	for _, v := range readVectors(t).Summary {
		s := newSet(t, nil)
		for _, r := range v.Records {
			e := parseHex(t, r)
			take(s, e.IssuedAt, e, record.Synced)
		}
		if got := s.Root(); text(got[:]) != v.Root {
			t.Errorf("%s: root %x, want %s", v.Name, got, v.Root)
		}
		for _, w := range v.Leaves {
			if got := s.Leaf(w.Leaf); text(got[:]) != w.Hash {
				t.Errorf("%s: leaf %d is %x, want %s", v.Name, w.Leaf, got, w.Hash)
			}
		}
		for _, w := range v.Groups {
			if got := s.Group(w.Group); text(got[:]) != w.Hash {
				t.Errorf("%s: group %d is %x, want %s", v.Name, w.Group, got, w.Hash)
			}
		}
		var items []record.Item
		for l := range record.Leaves {
			items = append(items, s.Items(l)...)
		}
		if len(items) != len(v.Items) {
			t.Fatalf("%s: %d items, want %d", v.Name, len(items), len(v.Items))
		}
		for i, w := range v.Items {
			it := items[i]
			if text(it.ID[:]) != w.ID || text(it.Hash[:]) != w.Hash || it.ID.Leaf() != w.Leaf || it.Version != (envelope.Version{Generation: w.Generation, Seq: w.Seq}) {
				t.Errorf("%s: item %d is %+v, want %+v", v.Name, i, it, w)
			}
		}
	}
}

func TestApply_vectors(t *testing.T) {
	for _, sc := range readVectors(t).Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			s := newSet(t, func(r *record.Rules) {
				if sc.Bonded == nil {
					return
				}
				b := &bonds{who: map[drtc.NodeID]record.Role{}, generations: map[drtc.NodeID]uint64{}}
				for _, w := range sc.Bonded {
					b.who[w.ID], b.generations[w.ID] = w.Role, w.MinGeneration
				}
				r.Bonding = b
			})
			var now time.Time
			for i, step := range sc.Steps {
				now = time.UnixMilli(step.AtMs)
				outcome, err := s.Apply(now, parseHex(t, step.Record))
				if outcome.String() != step.Outcome {
					t.Errorf("step %d: got %s (%v), want %s", i, outcome, err, step.Outcome)
				}
				if want := causes[step.Error]; step.Error != "" && want == nil || !errors.Is(err, want) {
					t.Errorf("step %d: got error %v, want %q", i, err, step.Error)
				}
			}
			if got := len(s.Equivocations()); got != sc.Equivocations {
				t.Errorf("found %d equivocations, want %d", got, sc.Equivocations)
			}
			live := []drtc.NodeID{}
			for _, e := range s.All(now) {
				live = append(live, e.Subject)
			}
			if !slices.Equal(live, sc.Live) {
				t.Errorf("shown: got %v, want %v", live, sc.Live)
			}
		})
	}
}
