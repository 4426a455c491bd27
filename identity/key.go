package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/drtc-network/drtc"
)

// ErrKey is returned by ParseKey. No error of this package repeats any part of
// a private key.
var ErrKey = errors.New("identity: private key")

// Key is a private key. It prints as its public id under every verb of fmt, in
// slog and in JSON; only Hex reveals it. The zero Key is not usable: make one
// with Generate or ParseKey.
type Key struct {
	secret [32]byte
	public PublicKey
}

// Generate draws a key from rand, which must be cryptographically secure
// (crypto/rand.Reader outside of tests). It fails only if rand does.
func Generate(rand io.Reader) (*Key, error) {
	for {
		var secret [32]byte
		if _, err := io.ReadFull(rand, secret[:]); err != nil {
			return nil, fmt.Errorf("identity: drawing a private key: %w", err)
		}
		// A draw is out of range with probability 2^-128.
		if k, err := newKey(secret); err == nil {
			return k, nil
		}
	}
}

// ParseKey reads 64 hexadecimal digits in any letter case; 0x before them is
// optional. The error wraps ErrKey and says what to write instead.
func ParseKey(s string) (*Key, error) {
	digits := strings.TrimPrefix(s, "0x")
	var secret [32]byte
	if len(digits) != 2*len(secret) {
		return nil, fmt.Errorf("%w: want 64 hexadecimal digits (0x before them is optional), got %d characters", ErrKey, len(digits))
	}
	if _, err := hex.Decode(secret[:], []byte(digits)); err != nil {
		// hex's error would repeat a character of the key.
		return nil, fmt.Errorf("%w: want hexadecimal digits only, 0-9 and a-f", ErrKey)
	}
	return newKey(secret)
}

func newKey(secret [32]byte) (*Key, error) {
	var scalar secp256k1.ModNScalar
	if overflow := scalar.SetBytes(&secret); overflow != 0 || scalar.IsZero() {
		return nil, fmt.Errorf("%w: want a number from 1 to the order of secp256k1 less one; generate another key", ErrKey)
	}
	public := secp256k1.NewPrivateKey(&scalar).PubKey()
	return &Key{secret: secret, public: fromUncompressed(public.SerializeUncompressed())}, nil
}

// Hex returns 0x and 64 hexadecimal digits, for writing a key file. It is the
// only method that reveals the key.
func (k *Key) Hex() string { return "0x" + hex.EncodeToString(k.secret[:]) }

// ID is the EVM address of the key.
func (k *Key) ID() drtc.NodeID { return k.public.ID() }

// Public returns the public half.
func (k *Key) Public() PublicKey { return k.public }

// SignMessage signs free bytes by EIP-191 (personal_sign), spec ID-5.
func (k *Key) SignMessage(msg []byte) Signature {
	h := MessageHash(msg)
	return sign(&h, &k.secret)
}

// SignTyped signs a structured value by EIP-712, spec ID-6.
func (k *Key) SignTyped(d TypedHash) Signature {
	h := d.Digest()
	return sign(&h, &k.secret)
}

// The methods below are on the value, so that a copied Key is as discreet as a
// pointer to one.

// String names the key by its public id.
func (k Key) String() string { return "key of " + k.public.ID().String() }

// Format implements fmt.Formatter: every verb prints String.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) } //nolint:errcheck // fmt.State keeps the error

// MarshalText implements encoding.TextMarshaler with String, so that slog's
// handlers and encoding/json print no more than that.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
