package httpauth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// MaxBody is the longest body, or first message of a stream, in bytes.
const MaxBody = 1 << 20

var (
	// ErrTooLarge: the body or the first message is longer than MaxBody.
	ErrTooLarge = errors.New("httpauth: body too large to be verified")
	// ErrEncoded: the body is compressed.
	ErrEncoded = errors.New("httpauth: compressed requests are not accepted: send identity encoding")
	// ErrUnframed: the body is not what its content type says.
	ErrUnframed = errors.New("httpauth: malformed request framing")
)

// envelope is the length of the prefix of a framed message: a byte of flags and
// the length of the message, big endian (gRPC over HTTP/2, Connect streams).
const envelope = 5

// framed reports whether requests of this content type are framed. ok is false
// for content types that no RPC protocol uses here.
func framed(contentType string) (isFramed, ok bool) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false, false
	}
	switch {
	case media == "application/proto", media == "application/json":
		return false, true
	case strings.HasPrefix(media, "application/grpc-web-text"):
		return false, false
	case strings.HasPrefix(media, "application/grpc"), strings.HasPrefix(media, "application/connect+"):
		return true, true
	}
	return false, false
}

// take reads as much of body as is signed. It returns the signed bytes and a
// body that yields what the original one would have.
func take(body io.ReadCloser, isFramed bool) (signed []byte, whole io.ReadCloser, err error) {
	if body == nil {
		body = http.NoBody
	}
	if !isFramed {
		raw, err := io.ReadAll(io.LimitReader(body, MaxBody+1))
		if err != nil {
			return nil, nil, fmt.Errorf("httpauth: reading the body: %w", err)
		}
		if len(raw) > MaxBody {
			return nil, nil, ErrTooLarge
		}
		return raw, rejoin(raw, body), nil
	}
	raw := make([]byte, envelope)
	if _, err := io.ReadFull(body, raw); err != nil {
		return nil, nil, fmt.Errorf("%w: reading the first message: %w", ErrUnframed, err)
	}
	if raw[0] != 0 {
		return nil, nil, fmt.Errorf("%w: the first message has flags %#x", ErrEncoded, raw[0])
	}
	length := binary.BigEndian.Uint32(raw[1:])
	if length > MaxBody {
		return nil, nil, ErrTooLarge
	}
	// The buffer grows with what arrives, not with what the prefix promises.
	var message bytes.Buffer
	if n, err := io.Copy(&message, io.LimitReader(body, int64(length))); err != nil || n < int64(length) {
		return nil, nil, fmt.Errorf("%w: the first message has %d of %d bytes", ErrUnframed, n, length)
	}
	raw = append(raw, message.Bytes()...)
	return raw[envelope:], rejoin(raw, body), nil
}

// rejoin puts what was read back in front of the rest.
func rejoin(read []byte, rest io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), rest), rest}
}

// encoded reports whether a request says that it is compressed.
func encoded(h http.Header) bool {
	for _, name := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		for _, v := range h.Values(name) {
			if v != "" && !strings.EqualFold(v, "identity") {
				return true
			}
		}
	}
	return false
}
