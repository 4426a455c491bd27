package beacon

import (
	"errors"
	"time"
)

// Errors of Verify.
var (
	// ErrInvalid: the round is not what it says it is.
	ErrInvalid = errors.New("beacon: invalid round")
	// ErrParameters: the parameters of a source cannot be used.
	ErrParameters = errors.New("beacon: invalid parameters")
)

// Round is one value of a source of randomness, with its proof.
type Round struct {
	// Number counts from 1.
	Number uint64
	// Randomness is all zero in a void round.
	Randomness [32]byte
	// Signature proves the round: a BLS signature of drand, or the proof of a Council.
	Signature []byte
	// Previous is the signature of the round before, where the scheme chains them.
	Previous []byte
	// Void says that the source proved that this round has no value: what would be
	// drawn from it is left out by everybody (spec T5). Never so for drand.
	Void bool
}

// Clock dates the rounds of a source: round 1 is at Genesis, the next one Period
// later.
type Clock struct {
	Genesis time.Time
	Period  time.Duration // at least 1 s, whole seconds
}

// Time is when round n, from 1 on, is published.
func (c Clock) Time(n uint64) time.Time {
	return c.Genesis.Add(time.Duration(max(n, 1)-1) * c.Period)
}

// RoundAt is the last round published at t, 0 before the first.
func (c Clock) RoundAt(t time.Time) uint64 {
	if t.Before(c.Genesis) {
		return 0
	}
	return uint64(t.Sub(c.Genesis)/c.Period) + 1
}

// First is the first round that is published at t or later: that of a slot which
// begins at t, since nobody can know it before (spec T2).
func (c Clock) First(t time.Time) uint64 {
	n := c.RoundAt(t)
	if n == 0 || c.Time(n).Before(t) {
		n++
	}
	return n
}
