package floor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"pgregory.net/rapid"
)

func bytesOf(t *rapid.T, name string, size int) []byte {
	return rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, name)
}

// pion/srtp opens what is sealed, over wraps of the sequence number.
func TestSeal_isSRTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, salt := bytesOf(t, "key", keySize), bytesOf(t, "salt", saltSize)
		s, err := newSeal(key, salt)
		if err != nil {
			t.Fatal(err)
		}
		receiver, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
		if err != nil {
			t.Fatal(err)
		}
		ssrc := rapid.Uint32().Draw(t, "ssrc")
		index := uint64(rapid.IntRange(65000, 65535).Draw(t, "first"))
		payload := []byte("payload")
		for range 700 {
			header := rtp.Header{Version: 2, SequenceNumber: uint16(index), SSRC: ssrc, PayloadType: 96}
			b, err := header.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			sealed := s.packet(append(make([]byte, 0, 100), b...), payload, ssrc, index)
			opened, err := receiver.DecryptRTP(nil, sealed, nil)
			if err != nil {
				t.Fatalf("packet %d: %v", index, err)
			}
			if want := append(b, payload...); !bytes.Equal(opened, want) {
				t.Fatalf("packet %d is %x, want %x", index, opened, want)
			}
			index++
		}
	})
}

// pion/dtls derives the same material.
func TestExpand_isTheHandshakesFunction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret, seed := bytesOf(t, "secret", 48), bytesOf(t, "seed", 83)
		want, err := prf.PHash(secret, seed, 56, sha256.New)
		if err != nil {
			t.Fatal(err)
		}
		if got := expand(secret, seed, 56); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}

func TestKeying_needsAHandshake(t *testing.T) {
	k := &keying{}
	if _, err := k.seal(); !errors.Is(err, errNoKeys) {
		t.Errorf("got %v, want %v", err, errNoKeys)
	}
	for _, bad := range []string{"CLIENT_RANDOM\n", "CLIENT_RANDOM zz 00\n", "CLIENT_RANDOM 00 zz\n"} {
		if _, err := k.Write([]byte(bad)); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func TestKeying_sendsWithTheServersKey(t *testing.T) {
	client, server, master := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 48)
	k := &keying{serverRandom: server}
	if _, err := fmt.Fprintf(k, "CLIENT_RANDOM %s %s\n", hex.EncodeToString(client), hex.EncodeToString(master)); err != nil {
		t.Fatal(err)
	}
	s, err := k.seal()
	if err != nil {
		t.Fatal(err)
	}
	material, err := prf.PHash(master, append(append([]byte("EXTRACTOR-dtls_srtp"), client...), server...), 56, sha256.New)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := srtp.CreateContext(material[16:32], material[44:], srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	header := []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}
	if _, err := receiver.DecryptRTP(nil, s.packet(header, []byte("x"), 9, 1), nil); err != nil {
		t.Error(err)
	}
}
