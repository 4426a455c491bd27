package rpcauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Life is how long a signed call stays valid (whitepaper 4.1.2).
const Life = 2 * time.Minute

// NewNonce draws 128 bits from rand (crypto/rand.Reader outside of tests) as 22
// characters. A nonce that comes twice only refuses its own caller.
func NewNonce(rand io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("rpcauth: drawing a nonce: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// Sign makes the values of HeaderPayload and HeaderSignature for one call to
// audience, valid for Life from now. The digest is that of Digest. It fails only
// for a zero audience or a nonce that NewNonce could not have made (ErrMalformed).
func Sign(k *identity.Key, now time.Time, audience drtc.NodeID, nonce string, digest [32]byte) (payloadHeader, signatureHeader string, err error) {
	if audience.IsZero() {
		return "", "", errors.New("rpcauth: signing a call: want the id of the node that is called, got the zero id")
	}
	if err := checkNonce(nonce); err != nil {
		return "", "", fmt.Errorf("%w: nonce: %w", ErrMalformed, err)
	}
	p := newPayload(k, now)
	p.Audience, p.Nonce, p.Digest = audience, nonce, digest
	payloadHeader, signatureHeader = p.sign(k)
	return payloadHeader, signatureHeader, nil
}

// SignBare makes the same headers in the paper's form, which names neither node
// nor procedure. It is for nodes that know no other.
func SignBare(k *identity.Key, now time.Time) (payloadHeader, signatureHeader string) {
	p := newPayload(k, now)
	p.Bare = true
	return p.sign(k)
}

func newPayload(k *identity.Key, now time.Time) Payload {
	issued := now.UTC().Truncate(time.Second)
	return Payload{Issued: issued, Expires: issued.Add(Life), PublicKey: k.Public()}
}

func (p Payload) sign(k *identity.Key) (payloadHeader, signatureHeader string) {
	payloadHeader = p.encode()
	return payloadHeader, k.SignMessage([]byte(payloadHeader)).Hex()
}
