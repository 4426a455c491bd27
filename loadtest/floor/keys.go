package floor

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/webrtc/v4"
)

// Numbers of IANA's registries that pion's settings take.
const (
	srtpAES128GCM        = 0x0007 // SRTP_AEAD_AES_128_GCM
	tlsECDHEAES128SHA256 = 0xc02b // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
)

const (
	keySize  = 16
	saltSize = 12
)

// errNoKeys is returned when DTLS has not ended.
var errNoKeys = errors.New("floor: the handshake has not made keys")

// keying hears the secrets of one DTLS connection, of which this side is the
// server, as pion tells them for debugging: PeerConnections keep their keys.
type keying struct {
	mu           sync.Mutex // guards what follows
	serverRandom []byte
	clientRandom []byte
	master       []byte
}

// listen has settings tell the secrets, and leaves one cipher to choose.
func (k *keying) listen(s *webrtc.SettingEngine) error {
	s.SetSRTPProtectionProfiles(srtpAES128GCM)
	s.SetDTLSCipherSuites(tlsECDHEAES128SHA256)
	s.SetDTLSKeyLogWriter(k)
	s.SetDTLSServerHelloMessageHook(func(m handshake.MessageServerHello) handshake.Message {
		random := m.Random.MarshalFixed()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.serverRandom = random[:]
		return &m
	})
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	return nil
}

// Write takes one line: CLIENT_RANDOM, the random and the master secret.
func (k *keying) Write(line []byte) (int, error) {
	fields := strings.Fields(string(line))
	if len(fields) != 3 {
		return 0, fmt.Errorf("floor: key log line has %d fields, want 3", len(fields))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	if k.clientRandom, err = hex.DecodeString(fields[1]); err != nil {
		return 0, fmt.Errorf("floor: key log: %w", err)
	}
	if k.master, err = hex.DecodeString(fields[2]); err != nil {
		return 0, fmt.Errorf("floor: key log: %w", err)
	}
	return len(line), nil
}

// seal returns the cipher that this side sends with.
func (k *keying) seal() (*seal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.master == nil || k.serverRandom == nil {
		return nil, errNoKeys
	}
	// RFC 5764, 4.2: both keys, then both salts, the client's first.
	seed := append([]byte("EXTRACTOR-dtls_srtp"), k.clientRandom...)
	material := expand(k.master, append(seed, k.serverRandom...), 2*(keySize+saltSize))
	return newSeal(material[keySize:2*keySize], material[2*keySize+saltSize:])
}

// expand is P_SHA256 (RFC 5246, 5).
func expand(secret, seed []byte, size int) []byte {
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(sha256.New, secret)
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < size; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:size]
}

// seal protects RTP packets (RFC 7714).
type seal struct {
	aead  cipher.AEAD
	salt  [saltSize]byte
	nonce [saltSize]byte
}

// newSeal derives the session's key and salt (RFC 3711, 4.3).
func newSeal(masterKey, masterSalt []byte) (*seal, error) {
	const labelKey, labelSalt = 0, 2
	block, err := aes.NewCipher(masterKey)
	if err != nil {
		return nil, fmt.Errorf("floor: master key: %w", err)
	}
	derive := func(label byte, size int) []byte {
		var counter [aes.BlockSize]byte
		copy(counter[:], masterSalt)
		counter[7] ^= label
		out := make([]byte, size)
		cipher.NewCTR(block, counter[:]).XORKeyStream(out, out)
		return out
	}
	session, err := aes.NewCipher(derive(labelKey, keySize))
	if err != nil {
		return nil, fmt.Errorf("floor: session key: %w", err)
	}
	s := &seal{}
	if s.aead, err = cipher.NewGCM(session); err != nil {
		return nil, fmt.Errorf("floor: GCM: %w", err)
	}
	copy(s.salt[:], derive(labelSalt, saltSize))
	return s, nil
}

// packet appends the sealed payload to a header. index is the packet's number
// in its stream: rollover counter and sequence number.
func (s *seal) packet(header, payload []byte, ssrc uint32, index uint64) []byte {
	n, salt := &s.nonce, &s.salt
	n[0], n[1] = salt[0], salt[1]
	for i := range 4 {
		n[2+i] = salt[2+i] ^ byte(ssrc>>(24-8*i))
	}
	for i := range 6 {
		n[6+i] = salt[6+i] ^ byte(index>>(40-8*i))
	}
	return s.aead.Seal(header, n[:], payload, header)
}
