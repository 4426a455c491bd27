package beacon

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// Compressed points of the curve BLS12-381.
const (
	sizeG1 = bls.SizeOfG1AffineCompressed
	sizeG2 = bls.SizeOfG2AffineCompressed
)

// Domains of hashing to the curve (RFC 9380 and the draft of BLS signatures).
const (
	domainG1 = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
	domainG2 = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
)

// Verifier verifies rounds of one drand chain.
type Verifier struct {
	chain Chain
	// The group's public key, on the curve of the scheme, and the other curve's
	// generator negated: e(signature, -g) e(message, key) = 1.
	key1 bls.G1Affine
	key2 bls.G2Affine
	neg1 bls.G1Affine
	neg2 bls.G2Affine
}

// NewVerifier refuses parameters that Chain.Validate refuses and a public key
// that is none. The error wraps ErrParameters.
func NewVerifier(c Chain) (*Verifier, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.PublicKey = bytes.Clone(c.PublicKey)
	v := &Verifier{chain: c}
	_, _, g1, g2 := bls.Generators()
	v.neg1.Neg(&g1)
	v.neg2.Neg(&g2)
	// SetBytes checks that the point is on the curve and in the subgroup.
	var err error
	var none bool
	if c.Scheme == UnchainedG1 {
		_, err = v.key2.SetBytes(c.PublicKey)
		none = v.key2.IsInfinity()
	} else {
		_, err = v.key1.SetBytes(c.PublicKey)
		none = v.key1.IsInfinity()
	}
	if err != nil || none {
		return nil, fmt.Errorf("%w: PublicKey is no public key on the curve of %s", ErrParameters, c.Scheme)
	}
	return v, nil
}

// Chain is that of the rounds.
func (v *Verifier) Chain() Chain { return v.chain }

// Verify reports whether r is the round of its number (spec T3): the error wraps
// ErrInvalid and says what is wrong. It takes about a millisecond.
func (v *Verifier) Verify(r Round) error {
	size, previous := sizeG1, 0
	if v.chain.Scheme == Chained {
		size, previous = sizeG2, sizeG2
		if r.Number == 1 { // the first one signs the group's hash
			previous = len(v.chain.Seed)
		}
	}
	switch {
	case r.Number == 0:
		return fmt.Errorf("%w: Number is 0; rounds count from 1", ErrInvalid)
	case r.Void:
		return fmt.Errorf("%w: Void, but a round of drand never is", ErrInvalid)
	case len(r.Signature) != size:
		return fmt.Errorf("%w: Signature has %d bytes, want %d", ErrInvalid, len(r.Signature), size)
	case len(r.Previous) != previous:
		return fmt.Errorf("%w: Previous has %d bytes, want %d", ErrInvalid, len(r.Previous), previous)
	case r.Randomness != sha256.Sum256(r.Signature):
		return fmt.Errorf("%w: Randomness is not the hash of Signature", ErrInvalid)
	}
	message := v.chain.message(r)
	check := v.checkG1
	if v.chain.Scheme == Chained {
		check = v.checkG2
	}
	if !check(r.Signature, message[:]) {
		return fmt.Errorf("%w: Signature is not that of the chain's group over round %d", ErrInvalid, r.Number)
	}
	return nil
}

// checkG1 verifies a signature on G1.
func (v *Verifier) checkG1(signature, message []byte) bool {
	var s bls.G1Affine
	if _, err := s.SetBytes(signature); err != nil || s.IsInfinity() {
		return false
	}
	m, err := bls.HashToG1(message, []byte(domainG1))
	if err != nil {
		return false
	}
	ok, err := bls.PairingCheck([]bls.G1Affine{s, m}, []bls.G2Affine{v.neg2, v.key2})
	return err == nil && ok
}

// checkG2 verifies a signature on G2.
func (v *Verifier) checkG2(signature, message []byte) bool {
	var s bls.G2Affine
	if _, err := s.SetBytes(signature); err != nil || s.IsInfinity() {
		return false
	}
	m, err := bls.HashToG2(message, []byte(domainG2))
	if err != nil {
		return false
	}
	ok, err := bls.PairingCheck([]bls.G1Affine{v.neg1, v.key1}, []bls.G2Affine{s, m})
	return err == nil && ok
}
