package gate

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/drtc-network/drtc/identity"
)

// Why a challenge does not count.
var (
	ErrChallenge = errors.New("gate: the challenge is not one of this gate")
	ErrExpired   = errors.New("gate: the challenge has expired")
	ErrUsed      = errors.New("gate: the challenge was used already")
)

// challenge is what a wallet signs a message about.
type challenge struct {
	Address Address `json:"a"`
	Room    string  `json:"r"`
	Nonce   string  `json:"n"` // 32 hexadecimal digits
	Issued  int64   `json:"t"` // seconds since 1970
}

// newChallenge makes one that nobody had before.
func newChallenge(a Address, room string, now time.Time) challenge {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return challenge{Address: a, Room: room, Nonce: hex.EncodeToString(b[:]), Issued: now.Unix()}
}

// seal is the challenge with its MAC, for the client to bring back.
func (c challenge) seal(key []byte) (string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("gate: writing a challenge: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(b) + "." + encode(mac(key, b)), nil
}

func mac(key, b []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(b)
	return m.Sum(nil)
}

// unseal reads what seal wrote, if it is ours.
func unseal(key []byte, text string) (challenge, error) {
	var c challenge
	body, tag, _ := strings.Cut(text, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return c, ErrChallenge
	}
	t, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil || !hmac.Equal(t, mac(key, b)) {
		return c, ErrChallenge
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, ErrChallenge
	}
	return c, nil
}

// message is the text that the wallet signs: EIP-4361.
func (c Config) message(ch challenge) string {
	issued := time.Unix(ch.Issued, 0).UTC()
	statement := ""
	if c.Statement != "" {
		statement = c.Statement + "\n"
	}
	return fmt.Sprintf(`%s wants you to sign in with your Ethereum account:
%s

%s
URI: %s
Version: 1
Chain ID: %d
Nonce: %s
Issued At: %s
Expiration Time: %s
Resources:
- urn:drtc:room:%s`,
		c.Domain, checksummed(ch.Address), statement, c.URI, c.ChainID, ch.Nonce,
		issued.Format(time.RFC3339), issued.Add(c.ChallengeLife).Format(time.RFC3339), escaped(ch.Room))
}

// escaped writes a room's name as part of a URI.
func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch ch := name[i]; {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', strings.IndexByte("-._~", ch) >= 0:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}

// checksummed writes an address in the letter case of EIP-55, which EIP-4361 asks
// for.
func checksummed(a Address) string {
	digits := hex.EncodeToString(a[:])
	hash := identity.Keccak256([]byte(digits))
	out := []byte(digits)
	for i, d := range out {
		nibble := hash[i/2] >> 4
		if i%2 == 1 {
			nibble = hash[i/2] & 15
		}
		if d >= 'a' && nibble >= 8 {
			out[i] = d - 'a' + 'A'
		}
	}
	return "0x" + string(out)
}
