package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// stream is the randomness of a slot: 64-bit words, big endian, of
// SHA-256(seed, counter) with the counter from 0 (spec T13).
type stream struct {
	in   [40]byte // seed and counter
	out  [32]byte
	used int
}

func newStream(seed [32]byte) *stream {
	s := &stream{used: 32}
	copy(s.in[:], seed[:])
	return s
}

func (s *stream) word() uint64 {
	if s.used == len(s.out) {
		s.out, s.used = sha256.Sum256(s.in[:]), 0
		binary.BigEndian.PutUint64(s.in[32:], binary.BigEndian.Uint64(s.in[32:])+1)
	}
	w := binary.BigEndian.Uint64(s.out[s.used:])
	s.used += 8
	return w
}

// below draws evenly from 0 to n-1, n > 0: the first word below the greatest
// multiple of n, modulo n.
func (s *stream) below(n uint64) uint64 {
	over := -n % n // 2^64 mod n
	for {
		if w := s.word(); w <= ^uint64(0)-over {
			return w % n
		}
	}
}

// rounded is a/b as an integer whose mean it is: the floor, or one more with the
// probability of the rest.
func (s *stream) rounded(a, b uint64) uint64 {
	n := a / b
	if s.below(b) < a%b {
		n++
	}
	return n
}

// shuffle puts v into an even order.
func (s *stream) shuffle(v []int) {
	for i := len(v); i > 1; i-- {
		j := int(s.below(uint64(i)))
		v[i-1], v[j] = v[j], v[i-1]
	}
}

// urn holds tickets of nodes and draws one, every ticket alike: a tree of sums
// (Fenwick's), so that a draw and a change take log n steps.
type urn struct {
	tickets []uint64
	sums    []uint64 // sums[i] of the tickets i-lowbit(i) to i-1
	total   uint64
}

func newUrn(tickets []uint64) *urn {
	u := &urn{tickets: tickets, sums: make([]uint64, len(tickets)+1)}
	for i, t := range tickets {
		u.total += t
		u.sums[i+1] += t
		if up := i + 1 + (i+1)&-(i+1); up < len(u.sums) {
			u.sums[up] += u.sums[i+1]
		}
	}
	return u
}

// draw returns the owner of an even ticket: the first node, in order, up to and
// with whom there are more tickets than the number drawn. The total is not 0.
func (u *urn) draw(s *stream) int {
	rest := s.below(u.total)
	at := 0
	for step := 1 << (bits.Len(uint(len(u.tickets))) - 1); step > 0; step >>= 1 {
		if next := at + step; next < len(u.sums) && u.sums[next] <= rest {
			at = next
			rest -= u.sums[next]
		}
	}
	return at
}

// remove takes out all tickets of node i.
func (u *urn) remove(i int) {
	t := u.tickets[i]
	u.tickets[i] = 0
	u.total -= t
	for j := i + 1; j < len(u.sums); j += j & -j {
		u.sums[j] -= t
	}
}
