//go:build cgo

package identity_test

import (
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/identity"
)

// With cgo the package computes with libsecp256k1; the other backend's library
// is the oracle here.
func TestBackends_agree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var secret [32]byte
		copy(secret[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
		secret[31] |= 1 // not zero
		priv := secp256k1.PrivKeyFromBytes(secret[:])
		k, err := identity.ParseKey(priv.Key.String())
		if err != nil {
			t.Fatal(err)
		}
		msg := rapid.SliceOf(rapid.Byte()).Draw(t, "msg")
		h := identity.MessageHash(msg)
		pure := ecdsa.SignCompact(priv, h[:], false)
		got := k.SignMessage(msg)
		if want := append(pure[1:], pure[0]); string(got[:]) != string(want) {
			t.Fatalf("signed %x, pure Go signs %x", got, want)
		}
		// Any R and S: both recover the same key, or neither does.
		random := identity.Signature(rapid.SliceOfN(rapid.Byte(), 65, 65).Draw(t, "signature"))
		random[32] &= 0x3f // S in the lower half
		random[64] = 27 + random[64]&1
		a, errA := identity.RecoverMessage(msg, random)
		b, _, errB := ecdsa.RecoverCompact(append(random[64:65:65], random[:64]...), h[:])
		if (errA == nil) != (errB == nil) {
			t.Fatalf("recovering %x: %v, pure Go: %v", random, errA, errB)
		}
		if errA == nil && string(a.Bytes()) != string(b.SerializeCompressed()) {
			t.Fatalf("recovered %v, pure Go recovers %x", a, b.SerializeCompressed())
		}
	})
}
