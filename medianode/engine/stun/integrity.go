package stun

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
)

// CheckIntegrity reports whether the message carries a MESSAGE-INTEGRITY made
// with password (short-term credential, RFC 8489 section 14.5). It compares in
// constant time.
func (m *Message) CheckIntegrity(password string) bool {
	if !m.HasIntegrity {
		return false
	}
	want := integrity(m.raw[:m.integrityAt], password)
	at := m.integrityAt + 4
	return subtle.ConstantTimeCompare(want[:], m.raw[at:at+integritySize]) == 1
}

// integrity is HMAC-SHA1 over the message before the attribute, whose length
// field counts the attribute too. It is spelled out over one stack buffer:
// crypto/hmac allocates five times a message, and an ICE-lite node checks one
// for whoever sends it a datagram.
func integrity(before []byte, password string) [integritySize]byte {
	const block = sha1.BlockSize
	var key [block]byte
	if len(password) > block {
		sum := sha1.Sum([]byte(password))
		copy(key[:], sum[:])
	} else {
		copy(key[:], password)
	}
	var inner [block + MaxSize]byte
	var outer [block + integritySize]byte
	for i, k := range key {
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	n := block + copy(inner[block:], before)
	length := len(before) - headerSize + 4 + integritySize
	binary.BigEndian.PutUint16(inner[block+2:], uint16(length))
	sum := sha1.Sum(inner[:n])
	copy(outer[block:], sum[:])
	return sha1.Sum(outer[:])
}
