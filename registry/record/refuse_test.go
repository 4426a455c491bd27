package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// bonds is a Bonding in memory.
type bonds struct {
	who         map[drtc.NodeID]record.Role
	generations map[drtc.NodeID]uint64
}

func (b *bonds) Bonded(role record.Role, id drtc.NodeID) bool { return b.who[id] == role }
func (b *bonds) MinGeneration(id drtc.NodeID) uint64          { return b.generations[id] }

func allKinds(r *record.Rules) {
	r.Kinds = []record.Kind{
		record.NodeKind(nil), record.RegistryKind(nil), record.LivenessKind(nil),
		record.EquivocationKind(nil), record.AdmissionKind(nil),
	}
}

// page signs what Registry k says under the subject n.
func page(k byte, n uint16, change func(*envelope.Envelope)) envelope.Envelope {
	return sign(key(k), func(e *envelope.Envelope) {
		e.Kind, e.Subject = record.KindLiveness, drtc.NodeID{1, byte(n >> 8), byte(n)}
		if change != nil {
			change(e)
		}
	})
}

// Node 1 and Registry 2 are bonded, 1 from generation 3 on. Every envelope here is
// genuine unless it says otherwise; each is refused for one reason, on every path,
// and leaves nothing behind.
func TestMerge_refusesAndKeepsNothing(t *testing.T) {
	node := func(change func(*envelope.Envelope)) envelope.Envelope {
		return sign(key(1), func(e *envelope.Envelope) {
			e.Generation = 3
			if change != nil {
				change(e)
			}
		})
	}
	tests := []struct {
		name string
		e    envelope.Envelope
		want error
	}{
		{"another kind", node(func(e *envelope.Envelope) { e.Kind = "receipt" }), record.ErrKind},
		{"another network", node(func(e *envelope.Envelope) { e.Network = "main" }), record.ErrNetwork},
		{"about somebody else", node(func(e *envelope.Envelope) { e.Subject = key(2).ID() }), record.ErrIssuer},
		{"too large", node(func(e *envelope.Envelope) { e.Body = make([]byte, 4<<10+1) }), record.ErrSize},
		{"lives too long", node(func(e *envelope.Envelope) { e.TTL = 901 * time.Second }), record.ErrTTL},
		{"tombstone of a kind without", sign(key(2), func(e *envelope.Envelope) {
			e.Kind, e.Flags, e.Body = record.KindAdmission, envelope.Tombstone, nil
		}), record.ErrTombstone},
		{"unknown issuer", sign(key(3), nil), record.ErrBond},
		{"a node as a Registry", node(func(e *envelope.Envelope) { e.Kind = record.KindRegistry }), record.ErrBond},
		{"a Registry as a node", sign(key(2), nil), record.ErrBond},
		{"liveness by a node", page(1, 1, nil), record.ErrBond},
		{"revoked generation", node(func(e *envelope.Envelope) { e.Generation = 2 }), record.ErrRevoked},
		{"from the future", node(func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(30001 * time.Millisecond) }), record.ErrFuture},
		{"long expired", node(func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(-1000 * time.Second) }), record.ErrExpired},
		{"changed after signing", func() envelope.Envelope { e := node(nil); e.Body = []byte("forged"); return e }(), envelope.ErrSignature},
		{"signed by another", func() envelope.Envelope {
			e := sign(key(3), func(e *envelope.Envelope) { e.Generation = 3 })
			e.Subject, e.Issuer = key(1).ID(), key(1).ID()
			return e
		}(), envelope.ErrSignature},
	}
	for _, tt := range tests {
		for _, path := range []record.Path{record.Submitted, record.Gossiped, record.Synced} {
			s := newSet(t, func(r *record.Rules) {
				allKinds(r)
				r.Bonding = &bonds{
					who:         map[drtc.NodeID]record.Role{key(1).ID(): record.RoleNode, key(2).ID(): record.RoleRegistry},
					generations: map[drtc.NodeID]uint64{key(1).ID(): 3},
				}
			})
			if err := take(s, epoch, tt.e, path).Err; !errors.Is(err, tt.want) {
				t.Errorf("%s, path %d: got %v, want %v", tt.name, path, err, tt.want)
			}
			if s.Len() != 0 {
				t.Errorf("%s, path %d: holds %d records, want none", tt.name, path, s.Len())
			}
			if r := take(s, epoch, node(nil), path); r.Outcome != record.Stored || r.Err != nil {
				t.Errorf("%s, path %d: the node's own record: got %v, want stored", tt.name, path, r)
			}
		}
	}
}

// take does what a Registry does with an envelope from the network.
func take(s *record.Set, now time.Time, e envelope.Envelope, p record.Path) record.Result {
	outcome, err := s.Judge(now, &e, p)
	if outcome == record.Stored {
		if err := s.Genuine(&e); err != nil {
			return record.Result{Outcome: record.Refused, Err: err}
		}
		outcome, err = s.Merge(now, e, p)
	}
	return record.Result{Outcome: outcome, Err: err}
}

func TestMerge_replayIsStaleAndNotVerified(t *testing.T) {
	checks := 0
	s := newSet(t, func(r *record.Rules) {
		r.Kinds = []record.Kind{record.NodeKind(func(*envelope.Envelope) error { checks++; return nil })}
	})
	first, second := sign(key(1), nil), sign(key(1), func(e *envelope.Envelope) { e.Seq = 2 })
	take(s, epoch, first, record.Gossiped)
	take(s, epoch, second, record.Gossiped)
	for range 10 {
		if r := take(s, epoch, first, record.Gossiped); r.Outcome != record.Stale {
			t.Fatalf("replay: got %v, want stale", r)
		}
		if r := take(s, epoch, second, record.Gossiped); r.Outcome != record.Known {
			t.Fatalf("repeat: got %v, want known", r)
		}
	}
	if checks != 2 {
		t.Errorf("looked into %d bodies, want 2", checks)
	}
}

// Between Judge and Merge others may have changed the Set.
func TestMerge_judgesAgain(t *testing.T) {
	s := newSet(t, nil)
	old := sign(key(1), nil)
	if outcome, err := s.Judge(epoch, &old, record.Gossiped); outcome != record.Stored || err != nil || s.Len() != 0 {
		t.Fatalf("got %s, %v and %d held, want only a judgement", outcome, err, s.Len())
	}
	take(s, epoch, sign(key(1), func(e *envelope.Envelope) { e.Seq = 2 }), record.Gossiped)
	if outcome, err := s.Merge(epoch, old, record.Gossiped); outcome != record.Stale || err != nil {
		t.Errorf("got %s, %v, want stale", outcome, err)
	}
}

func TestMerge_rateByPathAndKind(t *testing.T) {
	updates := func(s *record.Set, n int, p record.Path) (stored int) {
		for i := range n {
			e := page(1, 0, func(e *envelope.Envelope) { e.Seq = uint64(i) + 10 })
			if r := take(s, epoch, e, p); r.Outcome == record.Stored {
				stored++
			} else if !errors.Is(r.Err, record.ErrRate) {
				t.Fatalf("update %d: got %v", i, r)
			}
		}
		return stored
	}
	kinds := func(every time.Duration, burst int) func(*record.Rules) {
		return func(r *record.Rules) {
			k := record.LivenessKind(nil)
			k.RateEvery, k.RateBurst = every, burst
			r.Kinds = []record.Kind{k}
		}
	}
	tests := []struct {
		name  string
		burst int
		path  record.Path
		want  int
	}{
		{"the Rules' burst", 0, record.Submitted, 5},
		{"the kind's burst", 2, record.Submitted, 2},
		{"gossip", 2, record.Gossiped, 2},
		{"synchronisation has none", 2, record.Synced, 8},
	}
	for _, tt := range tests {
		s := newSet(t, kinds(time.Second, tt.burst))
		if got := updates(s, 8, tt.path); got != tt.want {
			t.Errorf("%s: stored %d of 8, want %d", tt.name, got, tt.want)
		}
	}
	s := newSet(t, kinds(time.Second, 1))
	updates(s, 3, record.Synced)
	if r := take(s, epoch, page(1, 0, func(e *envelope.Envelope) { e.Seq = 99 }), record.Gossiped); r.Outcome != record.Stored {
		t.Errorf("gossip after synchronisation: got %v, want stored", r)
	}
}

// A list that loses an issuer, or raises its generation, clears what it said.
func TestExpire_forgetsWhatIsNoLongerBonded(t *testing.T) {
	b := &bonds{
		who:         map[drtc.NodeID]record.Role{key(1).ID(): record.RoleNode, key(2).ID(): record.RoleNode, key(3).ID(): record.RoleNode},
		generations: map[drtc.NodeID]uint64{},
	}
	s := newSet(t, func(r *record.Rules) { r.Bonding = b })
	for i := range byte(3) {
		if _, err := s.Apply(epoch, sign(key(i+1), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if gone := s.Expire(epoch.Add(10 * time.Second)); len(gone) != 0 {
		t.Fatalf("forgot %v, want nothing", gone)
	}
	delete(b.who, key(1).ID())
	b.generations[key(2).ID()] = 1
	if gone := s.Expire(epoch.Add(20 * time.Second)); len(gone) != 2 || s.Len() != 1 {
		t.Errorf("forgot %v and holds %d, want 2 and 1", gone, s.Len())
	}
	if _, ok := s.Live(epoch, record.KeyOf(ptr(sign(key(3), nil)))); !ok {
		t.Error("the node that stayed is not shown")
	}
}

func ptr[T any](v T) *T { return &v }
