package beacon

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Scheme names how a drand chain signs, in drand's words.
type Scheme string

// The schemes of drand's two networks.
const (
	// UnchainedG1 is that of quicknet: public key on G2, signature on G1 over the
	// SHA-256 of the round's number, hashed to the curve as RFC 9380 says.
	UnchainedG1 Scheme = "bls-unchained-g1-rfc9380"
	// Chained is that of the default network: public key on G1, signature on G2
	// over the SHA-256 of the previous signature and the round's number.
	Chained Scheme = "pedersen-bls-chained"
)

// Chain is what one must know of a drand chain to verify its rounds.
type Chain struct {
	Clock
	Scheme Scheme
	// PublicKey is the group's, compressed: 96 bytes for UnchainedG1, 48 for Chained.
	PublicKey []byte
	// Seed is the hash of the group that began the chain (drand: group_hash).
	Seed [32]byte
	// ID is the beacon's name, empty for drand's default.
	ID string
}

// Quicknet is drand's network with a round every 3 seconds.
func Quicknet() Chain {
	return Chain{
		Clock:     Clock{Genesis: time.Unix(1692803367, 0).UTC(), Period: 3 * time.Second},
		Scheme:    UnchainedG1,
		PublicKey: constant("83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"),
		Seed:      [32]byte(constant("f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e")),
		ID:        "quicknet",
	}
}

// League is drand's default network, with a round every 30 seconds.
func League() Chain {
	return Chain{
		Clock:     Clock{Genesis: time.Unix(1595431050, 0).UTC(), Period: 30 * time.Second},
		Scheme:    Chained,
		PublicKey: constant("868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a569937c529eeda66c7293784a9402801af31"),
		Seed:      [32]byte(constant("176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a")),
	}
}

func constant(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic("beacon: a constant is not hexadecimal: " + err.Error())
	}
	return b
}

// Hash is the name under which drand publishes the chain: it binds all
// parameters but the scheme.
func (c Chain) Hash() [32]byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Period/time.Second))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Genesis.Unix()))
	b = append(b, c.PublicKey...)
	b = append(b, c.Seed[:]...)
	b = append(b, c.ID...)
	return sha256.Sum256(b)
}

// Validate names the field that no chain has. It wraps ErrParameters.
func (c Chain) Validate() error {
	if err := c.Clock.validate(); err != nil {
		return err
	}
	want := map[Scheme]int{UnchainedG1: sizeG2, Chained: sizeG1}[c.Scheme]
	switch {
	case want == 0:
		return fmt.Errorf("%w: Scheme %q; use %q or %q", ErrParameters, c.Scheme, UnchainedG1, Chained)
	case len(c.PublicKey) != want:
		return fmt.Errorf("%w: PublicKey has %d bytes, want %d for %s", ErrParameters, len(c.PublicKey), want, c.Scheme)
	}
	return nil
}

func (c Clock) validate() error {
	switch {
	case c.Period < time.Second || c.Period%time.Second != 0 || c.Period > 1<<31*time.Second:
		return fmt.Errorf("%w: Period %s; use whole seconds, at least one", ErrParameters, c.Period)
	case c.Genesis.Nanosecond() != 0:
		return fmt.Errorf("%w: Genesis %s; use a whole second", ErrParameters, c.Genesis)
	}
	return nil
}

// message is what the chain's group signs for a round (spec T3).
func (c Chain) message(r Round) [32]byte {
	var b []byte
	if c.Scheme == Chained {
		b = append(b, r.Previous...)
	}
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, r.Number))
}
