package record_test

import (
	"bytes"
	"testing"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// twins signs two records of one version, the smaller hash first.
func twins(k byte, seq uint64) (a, b envelope.Envelope) {
	a = sign(key(k), func(e *envelope.Envelope) { e.Seq, e.Body = seq, []byte("here") })
	b = sign(key(k), func(e *envelope.Envelope) { e.Seq, e.Body = seq, []byte("there") })
	if x, y := a.Hash(), b.Hash(); bytes.Compare(x[:], y[:]) > 0 {
		a, b = b, a
	}
	return a, b
}

func TestEquivocations_areFoundInAnyOrderOnce(t *testing.T) {
	a, b := twins(1, 7)
	for name, order := range map[string][]envelope.Envelope{
		"smaller hash first": {a, b, a, b, a},
		"greater hash first": {b, a, b, a, b},
	} {
		s := newSet(t, unlimited)
		for _, e := range order {
			take(s, epoch, e, record.Gossiped)
		}
		found := s.Equivocations()
		if len(found) != 1 {
			t.Fatalf("%s: found %d, want 1", name, len(found))
		}
		q := found[0]
		if q.Offender != key(1).ID() || q.First.Hash() != a.Hash() || q.Second.Hash() != b.Hash() {
			t.Errorf("%s: got %+v, want both records of node 1, the smaller hash first", name, q)
		}
		if held, _ := s.Get(record.KeyOf(&a)); held.Hash() != b.Hash() {
			t.Errorf("%s: holds the smaller hash", name)
		}
		if more := s.Equivocations(); len(more) != 0 {
			t.Errorf("%s: found it again", name)
		}
	}
}

func TestEquivocations_eachVersionAnew(t *testing.T) {
	s := newSet(t, unlimited)
	for seq := range uint64(3) {
		a, b := twins(1, seq)
		take(s, epoch, a, record.Gossiped)
		take(s, epoch, b, record.Gossiped)
	}
	if found := s.Equivocations(); len(found) != 3 {
		t.Errorf("found %d, want 3", len(found))
	}
}

// A forgery proves nothing, whichever hash it has.
func TestEquivocations_needTwoGenuineRecords(t *testing.T) {
	s := newSet(t, unlimited)
	a, _ := twins(1, 7)
	take(s, epoch, a, record.Gossiped)
	for i := range byte(20) {
		forged := a
		forged.Body = []byte{i}
		if r := take(s, epoch, forged, record.Gossiped); r.Outcome != record.Refused {
			t.Errorf("forgery: got %v, want refused", r)
		}
	}
	if found := s.Equivocations(); len(found) != 0 {
		t.Errorf("found %d, want none", len(found))
	}
}

// Nobody reads them here: they stay few, and those that found no room are found
// later.
func TestEquivocations_areBounded(t *testing.T) {
	s := newSet(t, unlimited)
	const nodes = 100
	show := func() {
		for k := range byte(nodes) {
			a, b := twins(k+1, 7)
			take(s, epoch, a, record.Gossiped)
			take(s, epoch, b, record.Gossiped)
		}
	}
	show()
	first := len(s.Equivocations())
	if first == 0 || first >= nodes {
		t.Errorf("%d wait, want some and not all %d", first, nodes)
	}
	show()
	if second := len(s.Equivocations()); first+second != nodes {
		t.Errorf("found %d and then %d, want %d together", first, second, nodes)
	}
}
