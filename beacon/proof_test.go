package beacon

import (
	"bytes"
	"errors"
	"testing"

	"github.com/drtc-network/drtc"
)

// A proof has one spelling: what parseProof takes, bytes writes.
func FuzzParseProof(f *testing.F) {
	value := proof{roster: make(Roster, 2), seals: make([]vote, 2), secrets: make([][32]byte, 2)}
	void := proof{roster: make(Roster, 1), seals: make([]vote, 1), void: true, missing: drtc.NodeID{1}, voids: make([]vote, 3)}
	for _, b := range [][]byte{value.bytes(), void.bytes(), proof{void: true}.bytes(), nil, {1, 0xff, 0xff}, {2, 0, 0, 4, 0}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseProof(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		if got := p.bytes(); !bytes.Equal(got, b) {
			t.Fatalf("%x was read and written as %x", b, got)
		}
	})
}
