package beacon

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Seeded is a source that anybody can foresee who knows its seed: for tests and
// for a network on one machine, never for one that pays (spec T9).
type Seeded struct {
	Clock
	Seed string
}

// Round n of the source, from 1 on.
func (s Seeded) Round(n uint64) Round {
	b := binary.BigEndian.AppendUint64([]byte("drtc seeded beacon\n"), n)
	return Round{Number: n, Randomness: sha256.Sum256(append(b, s.Seed...))}
}

// Verify reports whether r is the source's round. The error wraps ErrInvalid.
func (s Seeded) Verify(r Round) error {
	if r.Number == 0 || r.Void || len(r.Signature) != 0 || len(r.Previous) != 0 || r.Randomness != s.Round(r.Number).Randomness {
		return fmt.Errorf("%w: round %d is not that of the seed", ErrInvalid, r.Number)
	}
	return nil
}
