package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// gcmSealer seals media packets in place with AEAD_AES_128_GCM (RFC 7714). The
// index is given with each packet, so it looks nothing up: what it touches per
// packet is its cipher alone.
type gcmSealer struct {
	cipher cipher.AEAD
	salt   [12]byte
	nonce  [12]byte // scratch: an array of a call would be allocated
}

// Labels of the key derivation (RFC 3711 section 4.3.2).
const (
	labelRTPKey  = 0
	labelRTPSalt = 2
)

// init derives the session key and salt from the master's, 16 and 12 bytes.
func (g *gcmSealer) init(masterKey, masterSalt []byte) error {
	if len(masterKey) != 16 || len(masterSalt) != 12 {
		return fmt.Errorf("transport: srtp master key and salt: want 16 and 12 bytes, got %d and %d", len(masterKey), len(masterSalt))
	}
	master, err := aes.NewCipher(masterKey)
	if err != nil {
		return fmt.Errorf("transport: srtp master key: %w", err)
	}
	session, err := aes.NewCipher(derive(master, masterSalt, labelRTPKey))
	if err != nil {
		return fmt.Errorf("transport: srtp session key: %w", err)
	}
	if g.cipher, err = cipher.NewGCM(session); err != nil {
		return fmt.Errorf("transport: srtp session key: %w", err)
	}
	copy(g.salt[:], derive(master, masterSalt, labelRTPSalt))
	return nil
}

// derive is the AES-CM derivation of RFC 3711 section 4.3.3 with a key
// derivation rate of zero: the first block of key stream. The salt is taken as
// one of 112 bits that ends in zeros (RFC 7714 section 11).
func derive(master cipher.Block, salt []byte, label byte) []byte {
	var block [16]byte
	copy(block[:14], salt)
	block[7] ^= label
	master.Encrypt(block[:], block[:])
	return block[:]
}

// seal appends the tag, within packet's capacity if that has room for it.
func (g *gcmSealer) seal(packet []byte, header int, index uint64) []byte {
	g.nonce = g.salt
	for i, b := range packet[8:12] { // SSRC
		g.nonce[2+i] ^= b
	}
	var roc [4]byte
	binary.BigEndian.PutUint32(roc[:], uint32(index>>16))
	for i, b := range roc {
		g.nonce[6+i] ^= b
	}
	g.nonce[10] ^= packet[2]
	g.nonce[11] ^= packet[3]
	return g.cipher.Seal(packet[:header], g.nonce[:], packet[header:], packet[:header])
}
