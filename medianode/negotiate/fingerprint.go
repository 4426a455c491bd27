package negotiate

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Fingerprint is the hash of a certificate (RFC 8122 section 5).
type Fingerprint struct {
	Algorithm string // sha-256, sha-384 or sha-512
	Sum       []byte
}

// sumLength holds the hash functions that are strong enough, with their length.
func sumLength(algorithm string) int {
	switch algorithm {
	case "sha-256":
		return 32
	case "sha-384":
		return 48
	case "sha-512":
		return 64
	}
	return 0
}

// ParseFingerprint reads "sha-256 AB:CD:..". Letter case does not matter. The
// error wraps ErrMalformed, also for a hash function that is too weak.
func ParseFingerprint(s string) (Fingerprint, error) {
	algorithm, digits, _ := strings.Cut(strings.TrimSpace(s), " ")
	algorithm = strings.ToLower(algorithm)
	n := sumLength(algorithm)
	if n == 0 {
		return Fingerprint{}, fmt.Errorf("%w: a=fingerprint: want sha-256, sha-384 or sha-512, got %.16q", ErrMalformed, algorithm)
	}
	digits = strings.TrimSpace(digits)
	if len(digits) != 3*n-1 {
		return Fingerprint{}, fmt.Errorf("%w: a=fingerprint: want %d bytes for %s", ErrMalformed, n, algorithm)
	}
	for i := 2; i < len(digits); i += 3 {
		if digits[i] != ':' {
			return Fingerprint{}, fmt.Errorf("%w: a=fingerprint: want colons between the bytes", ErrMalformed)
		}
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if err != nil || len(sum) != n {
		return Fingerprint{}, fmt.Errorf("%w: a=fingerprint: want hexadecimal digits", ErrMalformed)
	}
	return Fingerprint{Algorithm: algorithm, Sum: sum}, nil
}

// String returns the value of a=fingerprint, in upper case.
func (f Fingerprint) String() string {
	var b strings.Builder
	b.WriteString(f.Algorithm)
	for i, c := range f.Sum {
		sep := byte(':')
		if i == 0 {
			sep = ' '
		}
		b.WriteByte(sep)
		fmt.Fprintf(&b, "%02X", c)
	}
	return b.String()
}

func (f Fingerprint) equal(g Fingerprint) bool {
	return f.Algorithm == g.Algorithm && slices.Equal(f.Sum, g.Sum)
}
