package httpauth

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth"
)

// Transport signs every request for one node. All fields are required.
type Transport struct {
	Base     http.RoundTripper
	Key      *identity.Key
	Audience drtc.NodeID      // the node that Base reaches
	Now      func() time.Time // time.Now outside of tests
	Rand     io.Reader        // crypto/rand.Reader outside of tests
}

// RoundTrip implements http.RoundTripper. It reads the whole body, or the first
// message of a stream, before it sends anything.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	signed, err := t.sign(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close() //nolint:errcheck // the request has failed already
		}
		return nil, err
	}
	return t.Base.RoundTrip(signed)
}

func (t *Transport) sign(r *http.Request) (*http.Request, error) {
	isFramed, ok := framed(r.Header.Get("Content-Type"))
	if !ok {
		return nil, fmt.Errorf("%w: content type %q can't be signed", ErrUnframed, r.Header.Get("Content-Type"))
	}
	if encoded(r.Header) {
		return nil, ErrEncoded
	}
	content, body, err := take(r.Body, isFramed)
	if err != nil {
		return nil, err
	}
	nonce, err := rpcauth.NewNonce(t.Rand)
	if err != nil {
		return nil, err
	}
	payload, signature, err := rpcauth.Sign(t.Key, t.Now(), t.Audience, nonce, rpcauth.Digest(r.URL.Path, content))
	if err != nil {
		return nil, fmt.Errorf("httpauth: signing %s: %w", r.URL.Path, err)
	}
	// A GetBody of the caller's stays: it yields the same bytes, so a connection
	// that closed before it took the request may be replaced by another.
	out := r.Clone(r.Context())
	out.Body = body
	out.Header.Set(rpcauth.HeaderPayload, payload)
	out.Header.Set(rpcauth.HeaderSignature, signature)
	return out, nil
}
