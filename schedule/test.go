package schedule

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Kind of a test.
type Kind uint8

// The kinds of tests.
const (
	// Quality is one of the k tests that every node has in each role.
	Quality Kind = 1
	// Extra tests look again at a flagged node, by challengers of high credibility.
	Extra Kind = 2
	// Capacity tests show what rate a node can send to several at once (4.3.8).
	Capacity Kind = 3
)

// String is the kind's word in records.
func (k Kind) String() string {
	switch k {
	case Quality:
		return "quality"
	case Extra:
		return "extra"
	case Capacity:
		return "capacity"
	}
	return "unknown"
}

// Test is one test of the plan. Prover and challengers are in no other test of
// the slot.
type Test struct {
	// ID is that of spec T15: equal tests of equal plans have equal ids.
	ID     [32]byte
	Epoch  uint64
	Slot   uint32
	Kind   Kind
	Prover drtc.NodeID
	// Challengers: one, or several in a capacity test.
	Challengers []drtc.NodeID
	// RateKbps is what the prover sends to all challengers together, Shares what it
	// sends to each.
	RateKbps uint32
	Shares   []uint32
	// Witnesses are the Registries that may order the test, in the order of their turns.
	Witnesses []drtc.NodeID
	// Broken is the highest rank of a soft constraint that the pair breaks.
	Broken Rank
}

// Nodes are the prover and the challengers.
func (t Test) Nodes() []drtc.NodeID { return append([]drtc.NodeID{t.Prover}, t.Challengers...) }

// Has reports whether the node takes part in the test.
func (t Test) Has(id drtc.NodeID) bool { return t.Prover == id || slices.Contains(t.Challengers, id) }

// Equal reports whether both are one test in every field.
func (t Test) Equal(o Test) bool {
	return t.ID == o.ID && t.Epoch == o.Epoch && t.Slot == o.Slot && t.Kind == o.Kind && t.Prover == o.Prover &&
		t.RateKbps == o.RateKbps && t.Broken == o.Broken &&
		slices.Equal(t.Challengers, o.Challengers) && slices.Equal(t.Shares, o.Shares) && slices.Equal(t.Witnesses, o.Witnesses)
}

// LengthOf is how long the stream of a test of the kind runs after the set-up.
func (r Rules) LengthOf(k Kind) time.Duration {
	if k == Capacity {
		return r.CapacityLength
	}
	return r.Length
}

// Seed is the randomness of a slot's plan (spec T12).
func Seed(round uint64, randomness [32]byte, epoch uint64, slot uint32, root [32]byte) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("drtc schedule\n"), round)
	b = append(b, randomness[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = binary.BigEndian.AppendUint32(b, slot)
	return sha256.Sum256(append(b, root[:]...))
}

// identify gives the test its id (spec T15).
func (t *Test) identify(seed [32]byte) {
	b := append([]byte("drtc test\n"), seed[:]...)
	b = append(b, byte(t.Kind))
	for _, id := range t.Nodes() {
		b = append(b, id[:]...)
	}
	t.ID = sha256.Sum256(b)
}

// Witnesses returns the Registries that may order a test, the first in turn
// first: the n greatest of SHA-256("drtc witness\n", test, registry), or all when
// there are fewer (spec T25). A Registry that is listed twice counts once.
func Witnesses(registries []drtc.NodeID, test [32]byte, n int) []drtc.NodeID {
	type rank struct {
		hash [sha256.Size]byte
		id   drtc.NodeID
	}
	const domain = "drtc witness\n"
	var in [len(domain) + 32 + 20]byte
	copy(in[copy(in[:], domain):], test[:])
	best := make([]rank, 0, n+1)
	for _, id := range registries {
		copy(in[len(domain)+32:], id[:])
		r := rank{sha256.Sum256(in[:]), id}
		at, found := slices.BinarySearchFunc(best, r, func(a, b rank) int { return bytes.Compare(b.hash[:], a.hash[:]) })
		if found || at >= n {
			continue
		}
		best = slices.Insert(best, at, r)
		best = best[:min(len(best), n)]
	}
	ids := make([]drtc.NodeID, len(best))
	for i, r := range best {
		ids[i] = r.id
	}
	return ids
}
