package rpcauth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Renewal asks to keep a stream open until Expires (spec AUTH-16, AUTH-17). It is bound to
// one stream on one node by what opened it.
type Renewal struct {
	Procedure string      // of the call that opened the stream
	Audience  drtc.NodeID // the node that serves it
	Stream    string      // the nonce of the call that opened it
	Sequence  uint64      // 1 for the first renewal, then higher each time
	Expires   time.Time   // at most the policy's Lease from now; seconds count
}

// SignRenewal signs r by EIP-191. It fails for a procedure without its slash or
// with a line break, a zero audience and a bad nonce.
func SignRenewal(k *identity.Key, r Renewal) (identity.Signature, error) {
	if !strings.HasPrefix(r.Procedure, "/") || strings.ContainsAny(r.Procedure, "\r\n") {
		return identity.Signature{}, fmt.Errorf("rpcauth: signing a renewal: procedure: want /package.Service/Method, got %.80q", r.Procedure)
	}
	if r.Audience.IsZero() {
		return identity.Signature{}, errors.New("rpcauth: signing a renewal: want the id of the node that is called, got the zero id")
	}
	if err := checkNonce(r.Stream); err != nil {
		return identity.Signature{}, fmt.Errorf("rpcauth: signing a renewal: stream: %w", err)
	}
	return k.SignMessage(r.message()), nil
}

// message is one line each for what it is, procedure, node, stream, sequence
// and end.
func (r Renewal) message() []byte {
	return []byte(strings.Join([]string{
		"drtc-lease", r.Procedure, r.Audience.String(), r.Stream,
		strconv.FormatUint(r.Sequence, 10), r.Expires.UTC().Format(time.RFC3339),
	}, "\n"))
}

// Lease is a stream's permission to stay open. It is for one goroutine at a time.
type Lease struct {
	caller    Caller
	procedure string
	self      drtc.NodeID
	longest   time.Duration
	slack     time.Duration // for the caller's clock and the rounded second
	sequence  uint64
	expires   time.Time
}

// Lease starts the lease of a stream that c opened at now.
func (v *Verifier) Lease(now time.Time, c Caller, procedure string) Lease {
	return Lease{
		caller: c, procedure: procedure, self: v.policy.Self,
		longest: v.policy.Lease, slack: v.policy.Skew + time.Second, expires: now.Add(v.policy.Lease),
	}
}

// Expires is when the stream must be closed if no renewal comes.
func (l *Lease) Expires() time.Time { return l.expires }

// VerifyRenewal extends the lease to expires, or says why not and changes
// nothing: ErrBareForm for a stream opened in the paper's form, which has no
// name to renew it by, ErrReplayed, ErrExpired, ErrLifetime or ErrSignature.
func (l *Lease) VerifyRenewal(now time.Time, sequence uint64, expires time.Time, s identity.Signature) error {
	expires = expires.Truncate(time.Second) // what is signed
	left := expires.Sub(now)
	switch {
	case l.caller.Bare:
		return fmt.Errorf("%w: open the stream anew instead of renewing it", ErrBareForm)
	case now.After(l.expires):
		return fmt.Errorf("%w: the lease ended %v ago; open the stream anew", ErrExpired, now.Sub(l.expires))
	case sequence <= l.sequence:
		return fmt.Errorf("%w: want a sequence above %d, got %d", ErrReplayed, l.sequence, sequence)
	case left <= 0:
		return fmt.Errorf("%w: the renewal ended %v ago", ErrExpired, -left)
	case left > l.longest+l.slack:
		return fmt.Errorf("%w: want a lease of at most %v, got %v", ErrLifetime, l.longest, left)
	}
	r := Renewal{Procedure: l.procedure, Audience: l.self, Stream: l.caller.Nonce, Sequence: sequence, Expires: expires}
	if !identity.VerifyMessage(l.caller.PublicKey, r.message(), s) {
		return ErrSignature
	}
	l.sequence, l.expires = sequence, expires
	return nil
}
