package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
)

// saltSize is the part of a nonce that the handshake agrees on.
const saltSize = 4

// Secrets is what a handshake has agreed on.
type Secrets struct {
	// Suite is one of Suites.
	Suite uint16
	// Master is the master secret, 48 bytes.
	Master []byte
	// ClientRandom and ServerRandom are those of the two hellos.
	ClientRandom, ServerRandom [32]byte
	// Client says that this side is the client.
	Client bool
}

// Suites lists the cipher suites that New takes, by their IANA numbers, in the
// order of preference: ECDHE with AES-128-GCM and AES-256-GCM, for ECDSA and
// for RSA certificates.
func Suites() []uint16 { return []uint16{0xc02b, 0xc02f, 0xc02c, 0xc030} }

// parameters of a suite: the length of its keys and the hash of its PRF.
func parameters(suite uint16) (keySize int, h func() hash.Hash, ok bool) {
	switch suite {
	case 0xc02b, 0xc02f:
		return 16, sha256.New, true
	case 0xc02c, 0xc030:
		return 32, sha512.New384, true
	}
	return 0, nil, false
}

// directions derives the keys (RFC 5246 section 6.3).
func (s Secrets) directions() (local, remote direction, err error) {
	keySize, h, ok := parameters(s.Suite)
	if !ok {
		return local, remote, fmt.Errorf("%w: Suite: want one of %#04x, got %#04x", ErrHandover, Suites(), s.Suite)
	}
	if len(s.Master) != 48 {
		return local, remote, fmt.Errorf("%w: Master: want 48 bytes, got %d", ErrHandover, len(s.Master))
	}
	seed := append([]byte("key expansion"), s.ServerRandom[:]...)
	block := bytes.NewBuffer(expand(h, s.Master, append(seed, s.ClientRandom[:]...), 2*(keySize+saltSize)))
	var keys [2]cipher.AEAD
	for i := range keys {
		aesBlock, err := aes.NewCipher(block.Next(keySize))
		if err != nil {
			return local, remote, fmt.Errorf("record: making a cipher: %w", err)
		}
		if keys[i], err = cipher.NewGCM(aesBlock); err != nil {
			return local, remote, fmt.Errorf("record: making a cipher: %w", err)
		}
	}
	client, server := direction{aead: keys[0]}, direction{aead: keys[1]}
	copy(client.nonce[:], block.Next(saltSize))
	copy(server.nonce[:], block.Next(saltSize))
	if s.Client {
		return client, server, nil
	}
	return server, client, nil
}

// expand is P_hash (RFC 5246 section 5).
func expand(h func() hash.Hash, secret, seed []byte, size int) (out []byte) {
	mac := hmac.New(h, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	for a := sum(seed); len(out) < size; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:size]
}

// Sent watches what this side sends while the handshake lasts. The zero value
// has seen nothing.
type Sent struct {
	next     [2]uint64
	finished []byte // the record, as sent
}

// Watch takes a datagram that is sent. It keeps nothing of b.
func (s *Sent) Watch(b []byte) {
	for record, rest := cut(b); record != nil; record, rest = cut(rest) {
		sequence := binary.BigEndian.Uint64(record[3:])
		epoch := sequence >> 48
		if epoch > 1 {
			continue
		}
		s.next[epoch] = max(s.next[epoch], sequence&maxSequence+1)
		if epoch == 1 && record[0] == typeHandshake {
			s.finished = bytes.Clone(record)
		}
	}
}

// replay is the window of RFC 6347 section 4.1.2.6.
type replay struct {
	next uint64 // the highest number opened plus one; 0 for none
	seen uint64 // bit i: number next-1-i was opened
}

// fresh reports whether a number is neither too old nor opened already.
func (r *replay) fresh(sequence uint64) bool {
	return sequence >= r.next || r.next-sequence <= 64 && r.seen>>(r.next-1-sequence)&1 == 0
}

// mark notes that a fresh number was opened.
func (r *replay) mark(sequence uint64) {
	if sequence >= r.next {
		r.seen <<= sequence + 1 - r.next // 64 and more leave nothing
		r.next = sequence + 1
	}
	r.seen |= 1 << (r.next - 1 - sequence)
}
