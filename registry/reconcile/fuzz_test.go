package reconcile_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// FuzzHandle gives one frame of anybody's to a session that an honest partner has
// brought to any point, the beginning of the honest frame kept, as much as keep
// says, so that inputs stay small: it is taken or refused for good, what is sent in turn is
// bounded, and records come only out of frames that hold them.
func FuzzHandle(f *testing.F) {
	fill := func(t fataler) (a, b *record.Set) {
		a, b = newSet(t), newSet(t)
		merge(t, a, node(1, 1, 0), node(2, 2, 0), node(3, 3, 0))
		merge(t, b, node(2, 2, 1), node(3, 2, 0), node(4, 4, 0))
		return a, b
	}
	a, b := fill(f)
	var honest link
	honest.run(f, a, b)
	for i, frame := range honest.seen {
		f.Add(uint8(i), uint16(len(frame)), []byte{})
		cut := len(frame) - min(len(frame), 500)
		f.Add(uint8(i), uint16(cut), frame[cut:])
	}
	f.Fuzz(func(t *testing.T, at uint8, keep uint16, tail []byte) {
		a, b := fill(t)
		sets := [2]*record.Set{a, b}
		first, _ := reconcile.Begin(a, reconcile.DefaultLimits())
		sessions := [2]*reconcile.Session{first, reconcile.Answer(b, reconcile.DefaultLimits())}
		n := int(at) % len(honest.seen)
		frame := slices.Concat(honest.seen[n][:min(int(keep), len(honest.seen[n]))], tail)
		for i, to := range honest.to[:n] {
			step, err := sessions[to].Handle(honest.seen[i])
			if err != nil {
				t.Fatal(err)
			}
			merge(t, sets[to], step.Records...)
		}
		s := sessions[honest.to[n]]
		step, err := s.Handle(frame)
		if err != nil {
			if !errors.Is(err, reconcile.ErrProtocol) || len(step.Send)+len(step.Records) > 0 {
				t.Fatalf("got %+v, %v, want ErrProtocol alone", step, err)
			}
			if _, again := s.Handle(honest.seen[n]); again == nil {
				t.Fatal("goes on after an error")
			}
			return
		}
		sent := 0
		for _, out := range step.Send {
			sent += len(out)
		}
		if sent > 5*reconcile.MaxFrame || len(step.Records) > len(frame)/100 {
			t.Fatalf("%d bytes were answered by %d and held %d records", len(frame), sent, len(step.Records))
		}
	})
}
