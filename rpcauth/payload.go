package rpcauth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// The headers of a signed call.
const (
	HeaderPayload   = "x-drtc-payload"
	HeaderSignature = "x-drtc-signature"
)

// MaxPayload is the longest payload header in bytes; a full one has about 400.
const MaxPayload = 1024

// Payload is what a caller signs. Times have a resolution of one second when
// they come from Sign.
type Payload struct {
	Issued    time.Time          // iss
	Expires   time.Time          // exp
	PublicKey identity.PublicKey // publicKey
	Audience  drtc.NodeID        // aud: the node that is called
	Nonce     string             // nonce: 1 to 64 of A-Z a-z 0-9 _ -, used once
	Digest    [32]byte           // digest: see Digest
	Bare      bool               // the paper's form: no aud, nonce and digest
}

// Digest binds a call to what is called: SHA-256 over the procedure path
// ("/package.Service/Method"), a zero byte and the uncompressed body as it was
// sent (for a stream, the first message), spec AUTH-4.
func Digest(procedure string, body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(procedure))
	h.Write([]byte{0})
	h.Write(body)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}

// encode writes p as JSON in the order of the paper. No member needs escaping.
func (p Payload) encode() string {
	var b strings.Builder
	member := func(name, value string) { b.WriteString(`"` + name + `":"` + value + `"`) }
	b.WriteByte('{')
	member("iss", p.Issued.UTC().Format(time.RFC3339))
	b.WriteByte(',')
	member("exp", p.Expires.UTC().Format(time.RFC3339))
	b.WriteByte(',')
	member("publicKey", p.PublicKey.Hex())
	if !p.Bare {
		b.WriteByte(',')
		member("aud", p.Audience.String())
		b.WriteByte(',')
		member("nonce", p.Nonce)
		b.WriteByte(',')
		member("digest", "0x"+hex.EncodeToString(p.Digest[:]))
	}
	b.WriteByte('}')
	return b.String()
}

// ParsePayload reads a payload header without judging times, audience or
// signature (spec AUTH-2, AUTH-3). The error wraps ErrMalformed and names the member.
func ParsePayload(header string) (Payload, error) {
	members, err := readMembers(header)
	if err != nil {
		return Payload{}, err
	}
	var p Payload
	if p.Issued, err = readTime(members, "iss"); err != nil {
		return Payload{}, err
	}
	if p.Expires, err = readTime(members, "exp"); err != nil {
		return Payload{}, err
	}
	if p.PublicKey, err = identity.ParsePublicKey(members["publicKey"]); err != nil {
		return Payload{}, fmt.Errorf("%w: publicKey: %w", ErrMalformed, err)
	}
	aud, hasAud := members["aud"]
	nonce, hasNonce := members["nonce"]
	digest, hasDigest := members["digest"]
	if !hasAud && !hasNonce && !hasDigest {
		p.Bare = true
		return p, nil
	}
	if p.Audience, err = drtc.ParseNodeID(aud); err != nil {
		return Payload{}, fmt.Errorf("%w: aud: %w", ErrMalformed, err)
	}
	if err := checkNonce(nonce); err != nil {
		return Payload{}, fmt.Errorf("%w: nonce: %w", ErrMalformed, err)
	}
	p.Nonce = nonce
	sum, err := hex.DecodeString(strings.TrimPrefix(digest, "0x"))
	if err != nil || len(sum) != len(p.Digest) {
		return Payload{}, fmt.Errorf("%w: digest: want 64 hexadecimal digits", ErrMalformed)
	}
	copy(p.Digest[:], sum)
	return p, nil
}

// readMembers reads one JSON object. Names are exact, none may come twice, those
// we use have strings; others are skipped, so that a newer caller may say more.
func readMembers(header string) (map[string]string, error) {
	if len(header) > MaxPayload {
		return nil, fmt.Errorf("%w: want at most %d bytes, got %d", ErrMalformed, MaxPayload, len(header))
	}
	for i := range len(header) {
		if header[i] < 0x20 || header[i] > 0x7e {
			return nil, fmt.Errorf("%w: byte %d is not printable ASCII", ErrMalformed, i)
		}
	}
	if !json.Valid([]byte(header)) {
		return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	dec := json.NewDecoder(strings.NewReader(header))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: want a JSON object", ErrMalformed)
	}
	members, names := map[string]string{}, map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, fmt.Errorf("%w: want a JSON object", ErrMalformed)
		}
		if names[name] {
			return nil, fmt.Errorf("%w: member %.20q comes twice", ErrMalformed, name)
		}
		names[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w: member %.20q: %w", ErrMalformed, name, err)
		}
		switch name {
		case "iss", "exp", "publicKey", "aud", "nonce", "digest":
			var text *string
			if err := json.Unmarshal(value, &text); err != nil || text == nil {
				return nil, fmt.Errorf("%w: %s: want a string", ErrMalformed, name)
			}
			members[name] = *text
		}
	}
	return members, nil
}

func readTime(members map[string]string, name string) (time.Time, error) {
	text := members[name]
	var at time.Time
	// UnmarshalText is strict about RFC 3339, time.Parse is not.
	if err := at.UnmarshalText([]byte(text)); err != nil || !strings.HasSuffix(text, "Z") {
		return time.Time{}, fmt.Errorf("%w: %s: want a time of RFC 3339 in UTC such as 2026-01-02T03:04:05Z, got %.40q", ErrMalformed, name, text)
	}
	return at, nil
}

func checkNonce(nonce string) error {
	if len(nonce) < 1 || len(nonce) > 64 {
		return fmt.Errorf("want 1 to 64 characters, got %d", len(nonce))
	}
	for _, c := range []byte(nonce) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("want letters, digits, _ and - only, got %q", c)
		}
	}
	return nil
}
