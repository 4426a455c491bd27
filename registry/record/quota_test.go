package record_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

func quota(n int) func(*record.Rules) {
	return func(r *record.Rules) { allKinds(r); r.MaxPerIssuer = n }
}

func TestMerge_oneIssuerCannotFillTheSet(t *testing.T) {
	s := newSet(t, quota(8))
	refused := 0
	for n := range uint16(100) {
		r := take(s, epoch, page(1, n, nil), record.Synced)
		if errors.Is(r.Err, record.ErrQuota) {
			refused++
		}
	}
	if s.Len() != 8 || refused == 0 {
		t.Errorf("holds %d of 100 pages and refused %d, want 8 and some", s.Len(), refused)
	}
	if gone := s.Expire(epoch); len(gone) != 100-8-refused {
		t.Errorf("Expire returned %d keys that made room, want %d", len(gone), 100-8-refused)
	}
	if r := take(s, epoch, page(2, 1, nil), record.Gossiped); r.Outcome != record.Stored {
		t.Errorf("another issuer: got %v, want stored", r)
	}
	if r := take(s, epoch, sign(key(1), nil), record.Gossiped); r.Outcome != record.Stored {
		t.Errorf("another kind: got %v, want stored", r)
	}
}

// Which of too many records stay does not hang on their order, so an issuer who
// writes too much does not keep honest Sets apart.
func TestMerge_overQuotaAnyOrderGivesTheSameSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pages []envelope.Envelope
		for n := range uint16(rapid.IntRange(1, 20).Draw(t, "pages")) {
			pages = append(pages, page(byte(rapid.IntRange(1, 2).Draw(t, "issuer")), n, nil))
		}
		a, b := newSet(t, quota(4)), newSet(t, quota(4))
		for _, e := range pages {
			take(a, epoch, e, record.Synced)
		}
		for _, e := range rapid.Permutation(append(pages, pages...)).Draw(t, "order") {
			take(b, epoch, e, record.Synced)
		}
		if a.Root() != b.Root() {
			t.Fatalf("roots differ: %x, %x", a.Root(), b.Root())
		}
	})
}

// Records that push out others of their issuer are limited as one.
func TestMerge_overQuotaIsRateLimited(t *testing.T) {
	s := newSet(t, quota(1))
	stored := 0
	for n := range uint16(300) {
		if take(s, epoch, page(1, n, nil), record.Gossiped).Outcome == record.Stored {
			stored++
		}
	}
	if stored > 6 { // the first and a burst of 5
		t.Errorf("stored %d records of one issuer over its quota at once, want at most 6", stored)
	}
}

// What Expire returned may be stored again; what was stored again is not
// returned.
func TestExpire_leavesOutWhatCameBack(t *testing.T) {
	s := newSet(t, quota(1))
	low, high := page(1, 0, nil), page(1, 1, nil)
	if a, b := record.ItemOf(record.KeyOf(&low)), record.ItemOf(record.KeyOf(&high)); string(a[:]) > string(b[:]) {
		low, high = high, low
	}
	short := page(1, 2, func(e *envelope.Envelope) {
		e.Subject = low.Subject
		e.Seq, e.IssuedAt = 0, epoch.Add(-980*time.Second)
	})
	take(s, epoch, high, record.Synced)
	take(s, epoch, short, record.Synced) // high makes room
	now := epoch.Add(10 * time.Second)
	if gone := s.Expire(now); len(gone) != 2 || s.Len() != 0 {
		t.Fatalf("forgot %v and holds %d, want both and none", gone, s.Len())
	}
	take(s, epoch, high, record.Synced)
	take(s, epoch, low, record.Synced)
	take(s, epoch, high, record.Synced)
	if gone := s.Expire(now); len(gone) != 1 || gone[0] != record.KeyOf(&high) {
		t.Errorf("forgot %v, want the one that is not held", gone)
	}
}

// Marks of records that were issued within 10 s go in one step.
func TestExpire_forgetsOnAGrid(t *testing.T) {
	s := newSet(t, allKinds)
	for n, after := range []time.Duration{time.Millisecond, 4 * time.Second, 10 * time.Second} {
		take(s, epoch.Add(10*time.Second), page(1, uint16(n), func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(after) }), record.Synced)
	}
	if gone := s.Expire(epoch.Add(999_999 * time.Millisecond)); len(gone) != 0 {
		t.Errorf("forgot %v before the step, want nothing", gone)
	}
	if gone := s.Expire(epoch.Add(1000 * time.Second)); len(gone) != 3 || s.Len() != 0 {
		t.Errorf("forgot %v at the step, want all three", gone)
	}
}
