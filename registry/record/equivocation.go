package record

import (
	"bytes"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// maxPending bounds the equivocations that wait for the caller. One that finds no
// room is found again when either record is shown again.
const maxPending = 64

// Equivocation is two genuine records of one key and version that say different
// things: proof, for anybody, that their issuer breaks the rules.
type Equivocation struct {
	Offender      drtc.NodeID
	First, Second envelope.Envelope // the smaller hash first
}

// Equivocations returns what Merge and Apply found since the last call: one for
// each held version, and again only after a restart.
func (s *Set) Equivocations() []Equivocation {
	found := s.pending
	s.pending = nil
	return found
}

// contradicts says whether e and what is held would prove something that has not
// been reported. A second signature over the same content proves nothing.
func (s *Set) contradicts(held *entry, e *envelope.Envelope) bool {
	if held.accused || held.version() != e.Version() || len(s.pending) >= maxPending {
		return false
	}
	have := s.envelope(held)
	a, errA := have.Digest()
	b, errB := e.Digest()
	return errA == nil && errB == nil && a != b
}

// accuse reports that e contradicts what is held.
func (s *Set) accuse(held *entry, e *envelope.Envelope, hash [32]byte) {
	q := Equivocation{Offender: e.Issuer, First: s.envelope(held), Second: *e}
	if bytes.Compare(hash[:], held.hash[:]) < 0 {
		q.First, q.Second = q.Second, q.First
	}
	s.pending = append(s.pending, q)
	held.accused = true
}
