package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/record"
)

var epoch = time.UnixMilli(1790000000000).UTC()

func key(b byte) *identity.Key {
	k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		panic(err)
	}
	return k
}

func newSet(t interface {
	Helper()
	Fatal(...any)
}, change func(*record.Rules)) *record.Set {
	t.Helper()
	rules := record.DefaultRules("devnet")
	rules.Kinds = []record.Kind{record.NodeKind(nil)}
	if change != nil {
		change(&rules)
	}
	s, err := record.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unlimited(r *record.Rules) { r.RateEvery = 0 }

// sign makes a record of node k at epoch, changed by change before signing.
func sign(k *identity.Key, change func(*envelope.Envelope)) envelope.Envelope {
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: k.ID(), Seq: 1,
		IssuedAt: epoch, TTL: 300 * time.Second, Body: []byte("body"),
	}
	if change != nil {
		change(&e)
	}
	if err := e.Sign(k); err != nil {
		panic(err)
	}
	return e
}

func drawRecord(t *rapid.T) envelope.Envelope {
	k := key(byte(rapid.IntRange(1, 3).Draw(t, "node")))
	return sign(k, func(e *envelope.Envelope) {
		e.Generation = rapid.Uint64Range(0, 1).Draw(t, "generation")
		e.Seq = rapid.Uint64Range(0, 3).Draw(t, "seq")
		e.IssuedAt = epoch.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "issued")) * time.Second)
		e.TTL = time.Duration(rapid.SampledFrom([]int{1, 60, 300, 900}).Draw(t, "ttl")) * time.Second
		e.Body = []byte{byte(rapid.IntRange(0, 2).Draw(t, "body"))}
		if rapid.Bool().Draw(t, "tombstone") {
			e.Flags, e.Body = envelope.Tombstone, nil
		}
	})
}

// drawTime is any time at which all drawn records are past their issue and none
// is past its mark: the window in which Sets must agree.
func drawTime(t *rapid.T) time.Time {
	return epoch.Add(time.Duration(rapid.IntRange(60, 989).Draw(t, "now")) * time.Second)
}

func TestApply_anyOrderTimeAndRepetitionGivesTheSameSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 12).Draw(t, "records")
		a, b := newSet(t, unlimited), newSet(t, unlimited)
		for _, e := range records {
			apply(t, a, drawTime(t), e)
		}
		order := rapid.Permutation(append(records, records...)).Draw(t, "order")
		for _, e := range order {
			apply(t, b, drawTime(t), e)
		}
		equal(t, a, b)
	})
}

// Replicas that pass on what they hold, in any grouping, end equal:
// associativity of the join over whole Sets.
func TestApply_anyGroupingOfReplicasGivesTheSameSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := drawTime(t)
		replicas := make([]*record.Set, 3)
		var keys []record.Key
		for i := range replicas {
			replicas[i] = newSet(t, unlimited)
			for _, e := range rapid.SliceOfN(rapid.Custom(drawRecord), 0, 6).Draw(t, "records") {
				apply(t, replicas[i], now, e)
				keys = append(keys, record.KeyOf(&e))
			}
		}
		pass := func(from, to *record.Set) {
			for _, k := range keys {
				if e, ok := from.Get(k); ok {
					apply(t, to, now, e)
				}
			}
		}
		a, b, c := replicas[0], replicas[1], replicas[2]
		left, right := newSet(t, unlimited), newSet(t, unlimited)
		pass(a, left) // (a + b) + c
		pass(b, left)
		pass(c, left)
		pass(c, b) // a + (b + c)
		pass(b, right)
		pass(a, right)
		equal(t, left, right)
	})
}

func apply(t *rapid.T, s *record.Set, now time.Time, e envelope.Envelope) {
	outcome, err := s.Apply(now, e)
	if outcome == record.Refused || err != nil && !errors.Is(err, record.ErrExpired) {
		t.Fatalf("%s, %v", outcome, err)
	}
}

func equal(t *rapid.T, a, b *record.Set) {
	if a.Root() != b.Root() {
		t.Fatalf("roots differ: %x, %x", a.Root(), b.Root())
	}
	at := drawTime(t)
	x, y := a.All(at), b.All(at)
	if got, want := fmt.Sprint(x), fmt.Sprint(y); got != want {
		t.Fatalf("shown differ: %s\n%s", got, want)
	}
	a.Expire(at)
	b.Expire(at)
	if a.Root() != b.Root() {
		t.Fatal("roots differ after Expire")
	}
}

// Whatever a Set is given, what it shows was signed by its subject, is in time,
// and never goes back to an earlier version.
func TestApply_showsOnlyGenuineTimelyRecordsThatNeverGoBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSet(t, unlimited)
		seen := map[drtc.NodeID]envelope.Version{}
		now := epoch
		var past []envelope.Envelope
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "pass")) * time.Second)
			var e envelope.Envelope
			if len(past) > 0 && rapid.Bool().Draw(t, "replay") {
				e = rapid.SampledFrom(past).Draw(t, "old")
			} else {
				e = drawRecord(t)
				past = append(past, e)
			}
			switch rapid.IntRange(0, 3).Draw(t, "attack") {
			case 0:
				e.Body = append([]byte("forged"), e.Body...)
			case 1:
				e.Issuer = key(9).ID()
			case 2:
				e.Subject = key(9).ID()
			}
			_, _ = s.Apply(now, e)
			s.Expire(now)
			for _, shown := range s.All(now) {
				if err := shown.Verify(); err != nil || shown.Issuer != shown.Subject {
					t.Fatalf("shown is forged: %v, %v", shown, err)
				}
				if !now.Before(shown.ExpiresAt().Add(30*time.Second)) || shown.IssuedAt.After(now.Add(30*time.Second)) || shown.IsTombstone() {
					t.Fatalf("shown out of its time: %v at %s", shown, now)
				}
				if v := shown.Version(); v.Less(seen[shown.Subject]) && now.Sub(epoch) < 990*time.Second {
					t.Fatalf("went back from %v to %v", seen[shown.Subject], v)
				}
				seen[shown.Subject] = shown.Version()
			}
		}
	})
}

func TestApply_forgeriesDoNotUseUpTheRate(t *testing.T) {
	s := newSet(t, nil)
	k := key(1)
	if _, err := s.Apply(epoch, sign(k, nil)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		forged := sign(k, func(e *envelope.Envelope) { e.Seq = uint64(i) + 2 })
		forged.Body = []byte("changed")
		if outcome, err := s.Apply(epoch, forged); outcome != record.Refused || !errors.Is(err, envelope.ErrSignature) {
			t.Fatalf("forgery %d: got %s, %v, want ErrSignature", i, outcome, err)
		}
	}
	if outcome, err := s.Apply(epoch, sign(k, func(e *envelope.Envelope) { e.Seq = 2 })); outcome != record.Stored || err != nil {
		t.Errorf("the node's own update: got %s, %v, want stored", outcome, err)
	}
}

// A Registry that restarts knows its nodes but not when they last wrote.
func TestApply_restoredRecordTakesUpdatesAtOnce(t *testing.T) {
	s := newSet(t, nil)
	k := key(1)
	if _, err := restore(s, epoch, sign(k, nil)); err != nil {
		t.Fatal(err)
	}
	if outcome, err := s.Apply(epoch, sign(k, func(e *envelope.Envelope) { e.Seq = 2 })); outcome != record.Stored || err != nil {
		t.Errorf("update of a restored record: got %s, %v, want stored", outcome, err)
	}
}

func TestApply_fullSetTakesUpdatesButNoNewNodes(t *testing.T) {
	s := newSet(t, func(r *record.Rules) { r.MaxRecords = 1 })
	if _, err := s.Apply(epoch, sign(key(1), nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(epoch, sign(key(2), nil)); !errors.Is(err, record.ErrFull) {
		t.Errorf("a second node: got %v, want ErrFull", err)
	}
	if outcome, err := s.Apply(epoch, sign(key(1), func(e *envelope.Envelope) { e.Seq = 2 })); outcome != record.Stored || err != nil {
		t.Errorf("an update: got %s, %v, want stored", outcome, err)
	}
}

func TestApply_bodyRuleIsAsked(t *testing.T) {
	wrong := errors.New("wrong body")
	s := newSet(t, func(r *record.Rules) {
		r.Kinds = []record.Kind{record.NodeKind(func(*envelope.Envelope) error { return wrong })}
	})
	if outcome, err := s.Apply(epoch, sign(key(1), nil)); outcome != record.Refused || !errors.Is(err, wrong) {
		t.Errorf("got %s, %v, want refused by the rule", outcome, err)
	}
	if s.Len() != 0 {
		t.Errorf("holds %d records, want none", s.Len())
	}
}

func TestExpire_forgetsWhenNothingOlderCanReturn(t *testing.T) {
	s := newSet(t, nil)
	k := key(1)
	if _, err := s.Apply(epoch, sign(k, func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil })); err != nil {
		t.Fatal(err)
	}
	end := epoch.Add(990 * time.Second) // MaxTTL + Grace + 2*Skew
	if gone := s.Expire(end.Add(-time.Millisecond)); len(gone) != 0 || s.Len() != 1 {
		t.Errorf("a millisecond before the end: forgot %v, holds %d", gone, s.Len())
	}
	want := record.Key{Kind: record.KindNode, Subject: k.ID(), Issuer: k.ID()}
	if gone := s.Expire(end); len(gone) != 1 || gone[0] != want || s.Len() != 0 {
		t.Errorf("at the end: forgot %v, holds %d, want %v and 0", gone, s.Len(), want)
	}
}

func TestRestore_givesBackTheSameSet(t *testing.T) {
	now := epoch.Add(400 * time.Second)
	before, after := newSet(t, nil), newSet(t, nil)
	for i, e := range []envelope.Envelope{
		sign(key(1), func(e *envelope.Envelope) { e.TTL = 900 * time.Second }),
		sign(key(2), func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil }),
		sign(key(3), nil), // expired by now: a mark
	} {
		if _, err := before.Apply(epoch, e); err != nil {
			t.Fatal(err)
		}
		if outcome, err := restore(after, now, e); outcome != record.Stored || err != nil {
			t.Fatalf("record %d: got %s, %v, want stored", i, outcome, err)
		}
	}
	if before.Root() != after.Root() {
		t.Error("roots differ")
	}
	if got := after.All(now); len(got) != 1 || got[0].Subject != key(1).ID() {
		t.Errorf("shown: got %v, want the first node only", got)
	}
	old := sign(key(1), func(e *envelope.Envelope) { e.Seq = 0 })
	if outcome, err := restore(after, now, old); outcome != record.Stale || err != nil {
		t.Errorf("an older record: got %s, %v, want stale", outcome, err)
	}
	foreign := sign(key(4), func(e *envelope.Envelope) { e.Network = "main" })
	if _, err := restore(after, now, foreign); !errors.Is(err, record.ErrNetwork) {
		t.Errorf("a record of another network: got %v, want ErrNetwork", err)
	}
}

func TestValidate_namesTheField(t *testing.T) {
	tests := map[string]func(*record.Rules){
		"Network":                  func(r *record.Rules) { r.Network = "" },
		"Kinds":                    func(r *record.Rules) { r.Kinds = nil },
		"Skew":                     func(r *record.Rules) { r.Skew = -1 },
		"Grace":                    func(r *record.Rules) { r.Grace = -1 },
		"RateEvery":                func(r *record.Rules) { r.RateEvery = -1 },
		"RateBurst":                func(r *record.Rules) { r.RateBurst = 0 },
		"MaxRecords":               func(r *record.Rules) { r.MaxRecords = 0 },
		"MaxTTL":                   func(r *record.Rules) { r.Kinds[0].MaxTTL = 0 },
		"MaxBody":                  func(r *record.Rules) { r.Kinds[0].MaxBody = envelope.MaxBody + 1 },
		"MaxPerIssuer":             func(r *record.Rules) { r.MaxPerIssuer = 0 },
		"Issuer":                   func(r *record.Rules) { r.Kinds[0].Issuer = "" },
		"twice":                    func(r *record.Rules) { r.Kinds = append(r.Kinds, record.NodeKind(nil)) },
		"RateEvery, RateBurst and": func(r *record.Rules) { r.Kinds[0].RateBurst = -1 },
	}
	for field, change := range tests {
		rules := record.DefaultRules("devnet")
		rules.Kinds = []record.Kind{record.NodeKind(nil)}
		change(&rules)
		if err := rules.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := newSet(b, unlimited)
	k := key(1)
	records := make([]envelope.Envelope, 1000)
	for i := range records {
		records[i] = sign(k, func(e *envelope.Envelope) { e.Seq = uint64(i) })
	}
	b.ResetTimer()
	for i := range b.N {
		if i%len(records) == 0 {
			s = newSet(b, unlimited)
		}
		if _, err := s.Apply(epoch, records[i%len(records)]); err != nil {
			b.Fatal(err)
		}
	}
}

func restore(s *record.Set, now time.Time, e envelope.Envelope) (record.Outcome, error) {
	return s.Restore(now, e, e.Hash())
}
