package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/drtc-network/drtc"
)

// PublicKeySize is the length of a compressed public key in bytes.
const PublicKeySize = 33

// ErrPublicKey is returned for text or bytes that are not a public key.
var ErrPublicKey = errors.New("identity: public key")

// PublicKey is a point of secp256k1 other than infinity. It is comparable with
// ==. The zero PublicKey is nobody's.
type PublicKey struct {
	compressed [PublicKeySize]byte
	id         drtc.NodeID
}

// ParsePublicKey reads 66 hexadecimal digits in any letter case, the compressed
// form; 0x before them is optional. The error wraps ErrPublicKey.
func ParsePublicKey(s string) (PublicKey, error) {
	digits := strings.TrimPrefix(s, "0x")
	if len(digits) != 2*PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: want 66 hexadecimal digits, the compressed form (0x before them is optional), got %d characters", ErrPublicKey, len(digits))
	}
	var b [PublicKeySize]byte
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return PublicKey{}, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return PublicKeyFromBytes(b[:])
}

// PublicKeyFromBytes reads the 33 bytes of a compressed public key: 2 or 3 and
// the x coordinate, big endian. The error wraps ErrPublicKey.
func PublicKeyFromBytes(b []byte) (PublicKey, error) {
	if len(b) != PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: want %d bytes, the compressed form, got %d", ErrPublicKey, PublicKeySize, len(b))
	}
	point, err := decompress([PublicKeySize]byte(b))
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: not a point of secp256k1: %w", ErrPublicKey, err)
	}
	return fromUncompressed(point[:]), nil
}

// fromUncompressed takes the 65 bytes 4, x, y of a point known to be valid.
func fromUncompressed(b []byte) PublicKey {
	var p PublicKey
	p.compressed[0] = 2 + b[64]&1
	copy(p.compressed[1:], b[1:33])
	h := Keccak256(b[1:65])
	copy(p.id[:], h[12:])
	return p
}

// Bytes returns the 33 bytes of the compressed form.
func (p PublicKey) Bytes() []byte { return p.compressed[:] }

// Hex returns 0x and the 66 lower-case hexadecimal digits of the compressed form.
func (p PublicKey) Hex() string { return "0x" + hex.EncodeToString(p.compressed[:]) }

// String is Hex.
func (p PublicKey) String() string { return p.Hex() }

// ID is the EVM address: the last 20 bytes of the Keccak-256 of x and y.
func (p PublicKey) ID() drtc.NodeID { return p.id }

// IsZero reports whether p is nobody's key.
func (p PublicKey) IsZero() bool { return p == PublicKey{} }
