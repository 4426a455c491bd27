//go:build cgo

package identity

import (
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
