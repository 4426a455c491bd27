package challenge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc/identity"
)

var (
	// ErrCheckpoint is returned for bytes that are no checkpoint.
	ErrCheckpoint = errors.New("challenge: checkpoint")
	// ErrForeign is returned for a statement of another order, side or pair.
	ErrForeign = errors.New("challenge: not of this test")
	// ErrContradiction is returned for a statement that its signer contradicted.
	ErrContradiction = errors.New("challenge: contradiction")
)

// Checkpoint is a side's word, given to the other during a test, for the samples
// that it has taken so far. Who has given one can no longer choose others.
type Checkpoint struct {
	Part
	Count     uint32   // samples so far, at least 1
	Chain     [32]byte // hash of their chain
	Signature identity.Signature
}

// MaxCheckpoint is the length of a checkpoint in bytes.
const MaxCheckpoint = 1 + 73 + 4 + 32 + 65

func (c *Checkpoint) typed() identity.TypedHash {
	t := identity.Type{Name: "TestSamples", Fields: append(partFields(),
		identity.Field{Name: "count", Type: "uint32"}, identity.Field{Name: "chain", Type: "bytes32"})}
	return identity.TypedHash{Separator: domain(), Struct: mustHash(t, append(c.values(), uint64(c.Count), c.Chain)...)}
}

func (c *Checkpoint) sign(key *identity.Key) { c.Signature = key.SignTyped(c.typed()) }

// Verify holds a checkpoint to the order and to its signer. The error wraps
// ErrForeign, ErrCheckpoint or ErrSignature.
func (c *Checkpoint) Verify(o *Order) error {
	if err := c.check(o); err != nil {
		return err
	}
	if c.Count == 0 || int(c.Count) > o.Samples()+1 {
		return fmt.Errorf("%w: count is %d, want 1 to %d", ErrCheckpoint, c.Count, o.Samples()+1)
	}
	return signedBy(c.Node, c.typed(), c.Signature, "the checkpoint")
}

// Bytes is the form that ParseCheckpoint reads.
func (c *Checkpoint) Bytes() []byte {
	b := c.append(append(make([]byte, 0, MaxCheckpoint), version))
	return append(b, c.commitment()...)
}

// commitment is a checkpoint without its part, as a report of the other side has it.
func (c *Checkpoint) commitment() []byte {
	b := binary.BigEndian.AppendUint32(nil, c.Count)
	return append(append(b, c.Chain[:]...), c.Signature[:]...)
}

// ParseCheckpoint reads a checkpoint. The error wraps ErrCheckpoint.
func ParseCheckpoint(b []byte) (Checkpoint, error) {
	r := reader{rest: b}
	r.begin()
	c := r.commitment(r.part())
	if err := r.end(); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes: %w", ErrCheckpoint, len(b), err)
	}
	return c, nil
}

func (r *reader) commitment(p Part) Checkpoint {
	c := Checkpoint{Part: p, Count: r.u32()}
	r.fill(c.Chain[:])
	r.fill(c.Signature[:])
	return c
}
