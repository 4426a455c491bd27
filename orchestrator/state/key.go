package state

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Limits of every Store.
const (
	MaxKeySize   = 512       // bytes
	MaxValueSize = 512 << 10 // bytes
)

// CheckKey returns nil for a key that a Store must take, otherwise an error that
// is ErrKey or ErrTooLarge and says what is wrong.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: it is empty", ErrKey)
	}
	if len(key) > MaxKeySize {
		return fmt.Errorf("%w: the key has %d bytes, at most %d", ErrTooLarge, len(key), MaxKeySize)
	}
	for token := range strings.SplitSeq(key, ".") {
		if token == "" {
			return fmt.Errorf("%w: %.80q has an empty token; want tokens joined by single dots", ErrKey, key)
		}
		for _, c := range []byte(token) {
			if !tokenByte(c) {
				return fmt.Errorf("%w: %.80q holds %q; want A-Z a-z 0-9 _ - = / in tokens, see Token", ErrKey, key, c)
			}
		}
	}
	return nil
}

func tokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '_' || c == '-' || c == '=' || c == '/'
}

// CheckPrefix is CheckKey for what List and Watch take: empty for all keys, or
// tokens each followed by a dot. A prefix is not itself under it.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	tokens, dotted := strings.CutSuffix(prefix, ".")
	if !dotted {
		return fmt.Errorf("%w: prefix %.80q; want it to end with a dot", ErrKey, prefix)
	}
	return CheckKey(tokens)
}

// CheckValue returns nil or an error that is ErrTooLarge.
func CheckValue(value []byte) error {
	if len(value) > MaxValueSize {
		return fmt.Errorf("%w: the value has %d bytes, at most %d", ErrTooLarge, len(value), MaxValueSize)
	}
	return nil
}

// Token makes a token of any text, for instance of a room's name. Texts that
// differ make tokens that differ.
func Token(text string) string {
	return "=" + base64.RawURLEncoding.EncodeToString([]byte(text))
}
