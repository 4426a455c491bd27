package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/sha3"
)

// ErrSignature is returned for 65 bytes that cannot be anybody's signature.
var ErrSignature = errors.New("identity: signature")

// Signature is R, S and V (see the package comment). ParseSignature and the
// Sign methods give V as 27 or 28 and S in the lower half of the order, so that
// a message has one signature per key.
type Signature [65]byte

// ParseSignature reads 130 hexadecimal digits in any letter case; 0x before
// them is optional. V of 0 or 1 becomes 27 or 28. R or S out of range, S in the
// upper half and any other V are refused (spec ID-4). The error wraps
// ErrSignature.
func ParseSignature(text string) (Signature, error) {
	digits := strings.TrimPrefix(text, "0x")
	var s Signature
	if len(digits) != 2*len(s) {
		return Signature{}, fmt.Errorf("%w: want 130 hexadecimal digits (0x before them is optional), got %d characters", ErrSignature, len(digits))
	}
	if _, err := hex.Decode(s[:], []byte(digits)); err != nil {
		return Signature{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return s.normal()
}

// Hex returns 0x and 130 lower-case hexadecimal digits.
func (s Signature) Hex() string { return "0x" + hex.EncodeToString(s[:]) }

// String is Hex.
func (s Signature) String() string { return s.Hex() }

// normal returns s with V 27 or 28, or says why s is nobody's signature.
func (s Signature) normal() (Signature, error) {
	if s[64] < 2 {
		s[64] += 27
	}
	if s[64] != 27 && s[64] != 28 {
		return Signature{}, fmt.Errorf("%w: want V of 0, 1, 27 or 28, got %d", ErrSignature, s[64])
	}
	var r, half secp256k1.ModNScalar
	if overflow := r.SetByteSlice(s[:32]); overflow || r.IsZero() {
		return Signature{}, fmt.Errorf("%w: R is out of range", ErrSignature)
	}
	if overflow := half.SetByteSlice(s[32:64]); overflow || half.IsZero() {
		return Signature{}, fmt.Errorf("%w: S is out of range", ErrSignature)
	}
	if half.IsOverHalfOrder() {
		return Signature{}, fmt.Errorf("%w: S is in the upper half of the order; use the order less S and flip V", ErrSignature)
	}
	return s, nil
}

// RecoverMessage returns the key that signed msg by EIP-191. Every well-formed
// signature recovers to some key: compare it with the one you expect. The error
// wraps ErrSignature.
func RecoverMessage(msg []byte, s Signature) (PublicKey, error) {
	return recoverHash(MessageHash(msg), s)
}

// VerifyMessage reports whether pub signed msg by EIP-191.
func VerifyMessage(pub PublicKey, msg []byte, s Signature) bool {
	got, err := RecoverMessage(msg, s)
	return err == nil && got == pub
}

// RecoverTyped is RecoverMessage for EIP-712.
func RecoverTyped(d TypedHash, s Signature) (PublicKey, error) {
	return recoverHash(d.Digest(), s)
}

// VerifyTyped reports whether pub signed d by EIP-712.
func VerifyTyped(pub PublicKey, d TypedHash, s Signature) bool {
	got, err := RecoverTyped(d, s)
	return err == nil && got == pub
}

func recoverHash(h [32]byte, s Signature) (PublicKey, error) {
	s, err := s.normal()
	if err != nil {
		return PublicKey{}, err
	}
	return recoverPublic(&h, &s)
}

// MessageHash is what SignMessage signs: Keccak-256 over the EIP-191 prefix of
// version 0x45, the length in decimal and the message.
func MessageHash(msg []byte) [32]byte {
	return Keccak256([]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(msg))), msg)
}

// Keccak256 is the hash of the EVM (not SHA3-256) over the parts in order.
func Keccak256(parts ...[]byte) [32]byte {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}
