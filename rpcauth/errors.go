package rpcauth

import "errors"

// The reasons for which a call is refused, one each. Compare with
// errors.Is; the text says more.
var (
	// ErrMissing: one of the two headers is absent.
	ErrMissing = errors.New("rpcauth: call is not signed: " + HeaderPayload + " and " + HeaderSignature + " are required")
	// ErrMalformed: the payload is not the JSON of spec AUTH-2.
	ErrMalformed = errors.New("rpcauth: malformed payload")
	// ErrBareForm: the paper's form, and the policy does not allow it.
	ErrBareForm = errors.New("rpcauth: payload lacks aud, nonce and digest, which this node requires")
	// ErrLifetime: exp is not after iss, or too long after it.
	ErrLifetime = errors.New("rpcauth: lifetime out of range")
	// ErrNotYetValid: iss is in the future; the caller's clock may be ahead.
	ErrNotYetValid = errors.New("rpcauth: not yet valid")
	// ErrExpired: exp is in the past; the caller's clock may be behind.
	ErrExpired = errors.New("rpcauth: expired")
	// ErrAudience: the call was signed for another node.
	ErrAudience = errors.New("rpcauth: signed for another node")
	// ErrDigest: the call was signed for another procedure or body.
	ErrDigest = errors.New("rpcauth: digest differs from the procedure and body received")
	// ErrNotAdmitted: the policy does not let this caller command the node.
	ErrNotAdmitted = errors.New("rpcauth: caller is not admitted by this node")
	// ErrReplayed: this nonce has been used.
	ErrReplayed = errors.New("rpcauth: replayed")
	// ErrBusy: no memory is left for nonces; try again when older calls expire.
	ErrBusy = errors.New("rpcauth: too many calls within two minutes")
	// ErrSignature: the signature is not that of the key the payload names.
	ErrSignature = errors.New("rpcauth: signature does not match payload and public key")
)
