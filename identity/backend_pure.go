//go:build !cgo

package identity

import (
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// sign signs a hash in pure Go. The secret is in range: newKey checked it.
func sign(hash, secret *[32]byte) Signature {
	key := secp256k1.PrivKeyFromBytes(secret[:])
	if key.Key.IsZero() {
		panic("identity: signing with an unmade key")
	}
	// The compact form has V first.
	compact := ecdsa.SignCompact(key, hash[:], false)
	var s Signature
	copy(s[:], compact[1:])
	s[64] = compact[0]
	return s
}

// recoverPublic takes a signature that normal returned.
func recoverPublic(hash *[32]byte, s *Signature) (PublicKey, error) {
	var compact [65]byte
	compact[0] = s[64]
	copy(compact[1:], s[:64])
	p, _, err := ecdsa.RecoverCompact(compact[:], hash[:])
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: no key could have made it: %w", ErrSignature, err)
	}
	return fromUncompressed(p.SerializeUncompressed()), nil
}

// decompress returns the 65 bytes 4, x, y of a point.
func decompress(b [PublicKeySize]byte) (point [65]byte, err error) {
	p, err := secp256k1.ParsePubKey(b[:])
	if err != nil {
		return point, err
	}
	return [65]byte(p.SerializeUncompressed()), nil
}
