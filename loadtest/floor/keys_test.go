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
func TestGCM_sealsSRTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, salt := bytesOf(t, "key", keySize), bytesOf(t, "salt", saltSize)
		s, err := newGCM(key, salt)
		if err != nil {
			t.Fatal(err)
		}
		receiver, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
		if err != nil {
			t.Fatal(err)
		}
		ssrc := rapid.Uint32().Draw(t, "ssrc")
		index := uint64(rapid.IntRange(65300, 65535).Draw(t, "first"))
		payload := []byte("payload")
		for range 300 {
			header := rtp.Header{Version: 2, SequenceNumber: uint16(index), SSRC: ssrc, PayloadType: 96}
			b, err := header.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			sealed := s.seal(append(make([]byte, 0, 100), b...), payload, ssrc, index)
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
	if _, _, err := k.ciphers(); !errors.Is(err, errNoKeys) {
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
	_, s, err := k.ciphers()
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
	if _, err := receiver.DecryptRTP(nil, s.seal(header, []byte("x"), 9, 1), nil); err != nil {
		t.Error(err)
	}
}

// What pion/srtp seals is opened, over wraps of the sequence number and out of
// order.
func TestGCM_opensSRTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, salt := bytesOf(t, "key", keySize), bytesOf(t, "salt", saltSize)
		g, err := newGCM(key, salt)
		if err != nil {
			t.Fatal(err)
		}
		sender, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
		if err != nil {
			t.Fatal(err)
		}
		first := rapid.IntRange(65300, 65535).Draw(t, "first")
		var sealed [][]byte
		for n := range 300 {
			p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(first + n), SSRC: 9, PayloadType: payloadVP8, Timestamp: uint32(n)}, Payload: []byte{byte(n), byte(n >> 8)}}
			if err := p.SetExtension(1, []byte{1, 2}); err != nil {
				t.Fatal(err)
			}
			b, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if b, err = sender.EncryptRTP(nil, b, nil); err != nil {
				t.Fatal(err)
			}
			sealed = append(sealed, b)
		}
		for range 20 { // not the first, from which a receiver counts
			i := rapid.IntRange(2, len(sealed)-1).Draw(t, "swapped")
			sealed[i-1], sealed[i] = sealed[i], sealed[i-1]
		}
		one, p := &feed{cipher: g}, packet{}
		for n, b := range sealed {
			if !one.open(&p, &one.video, b) {
				t.Fatalf("packet %d is not opened", n)
			}
			if want := []byte{byte(p.timestamp), byte(p.timestamp >> 8)}; !bytes.Equal(p.payload, want) {
				t.Fatalf("packet %d is %x, want %x", n, p.payload, want)
			}
		}
	})
}

func FuzzFeed_open(f *testing.F) {
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x11, 0, 1, 0})
	f.Add([]byte{0x9f, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0xff, 0xff})
	g, err := newGCM(make([]byte, keySize), make([]byte, saltSize))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		one, p := &feed{cipher: g}, packet{}
		if len(b) >= headerSize && one.open(&p, &one.video, b) && len(p.payload) >= len(b) {
			t.Errorf("%d bytes became %d", len(b), len(p.payload))
		}
	})
}
