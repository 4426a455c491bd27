//go:build cgo

package identity

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto/secp256k1"
)

// sign signs a hash with libsecp256k1. The secret is in range: newKey checked it.
func sign(hash, secret *[32]byte) Signature {
	b, err := secp256k1.Sign(hash[:], secret[:])
	if err != nil {
		panic("identity: signing with an unmade key: " + err.Error())
	}
	s := Signature(b)
	s[64] += 27
	return s
}

// recoverPublic takes a signature that normal returned.
func recoverPublic(hash *[32]byte, s *Signature) (PublicKey, error) {
	compact := *s
	compact[64] -= 27
	b, err := secp256k1.RecoverPubkey(hash[:], compact[:])
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: no key could have made it: %w", ErrSignature, err)
	}
	return fromUncompressed(b), nil
}

// decompress returns the 65 bytes 4, x, y of a point.
func decompress(b [PublicKeySize]byte) (point [65]byte, err error) {
	x, y := secp256k1.DecompressPubkey(b[:])
	if x == nil {
		return point, errors.New("no point has this x coordinate, or the first byte is not 2 or 3")
	}
	point[0] = 4
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return point, nil
}
