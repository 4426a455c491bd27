package limit

import "math/bits"

// siphash is SipHash-2-4 of the eight bytes of v in little-endian order
// (Aumasson and Bernstein, 2012): without the key nobody can choose sources
// that share a set.
func siphash(k0, k1, v uint64) uint64 {
	s := state{
		k0 ^ 0x736f6d6570736575,
		k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573,
	}
	s.absorb(v)
	s.absorb(8 << 56) // the length of the input ends it
	s[2] ^= 0xff
	for range 4 {
		s.round()
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

type state [4]uint64

func (s *state) absorb(v uint64) {
	s[3] ^= v
	s.round()
	s.round()
	s[0] ^= v
}

func (s *state) round() {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}
