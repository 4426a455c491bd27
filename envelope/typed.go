package envelope

import (
	"encoding/binary"
	"time"

	"github.com/drtc-network/drtc/identity"
)

// typed is what Issuer signs. Every Registry does this for every record, so the
// hashes that never change are written down; identity's general form is the
// oracle of the tests.
func (e *Envelope) typed() identity.TypedHash {
	kind, network, body := identity.Keccak256([]byte(e.Kind)), identity.Keccak256([]byte(e.Network)), identity.Keccak256(e.Body)
	words := make([]byte, 0, 11*32)
	words = append(words, typeHash()...)
	words = append(words, kind[:]...)
	words = append(words, network[:]...)
	words = append(append(words, make([]byte, 12)...), e.Subject[:]...)
	words = append(append(words, make([]byte, 12)...), e.Issuer[:]...)
	for _, n := range []uint64{e.Generation, e.Seq, uint64(e.IssuedAt.UnixMilli()), uint64(e.TTL / time.Second), uint64(e.Flags)} {
		words = binary.BigEndian.AppendUint64(append(words, make([]byte, 24)...), n)
	}
	words = append(words, body[:]...)
	return identity.TypedHash{Separator: separator(), Struct: identity.Keccak256(words)}
}

// separator is the hash of the domain {name "drtc record", version "1"}.
func separator() [32]byte {
	return [32]byte{
		0x3c, 0x35, 0xa4, 0xed, 0x3a, 0x0e, 0xa8, 0x76, 0x06, 0x57, 0x08, 0xe8, 0x61, 0x91, 0xff, 0xe4,
		0x1f, 0xb7, 0x4e, 0xca, 0x63, 0xe2, 0x0d, 0x8f, 0x07, 0x96, 0xac, 0x5e, 0xcc, 0xad, 0xef, 0x7f,
	}
}

// typeHash is the hash of the type in this package's comment.
func typeHash() []byte {
	return []byte{
		0x49, 0x23, 0x84, 0x92, 0x79, 0x4a, 0xa7, 0x35, 0x75, 0xbe, 0x8c, 0xa4, 0x30, 0x88, 0x8b, 0x8f,
		0x0c, 0x03, 0x09, 0xf9, 0x54, 0xd2, 0x6e, 0x39, 0xdc, 0x25, 0x28, 0x2f, 0x0d, 0xfd, 0x05, 0x96,
	}
}
