package rpcauth

import (
	"fmt"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Policy is what a node demands of its callers. A zero field other than Self,
// AllowBare, Admit and Since takes the default that it names.
type Policy struct {
	// Self is the id that callers must have signed for.
	Self drtc.NodeID
	// AllowBare accepts the paper's form too, which can be replayed.
	AllowBare bool
	// Admit returns nil for who may command this node, or the reason why not,
	// which the caller is told; nil admits everybody.
	Admit func(drtc.NodeID) error
	// Since refuses calls issued before it. Set it to the start of the process,
	// which remembers no nonce from before. Zero refuses none.
	Since time.Time
	// Skew is by how much a caller's clock may differ. Default 2 s.
	Skew time.Duration
	// MaxLife is the longest exp - iss, give or take the second by which both
	// are rounded. Default 2 min.
	MaxLife time.Duration
	// NoncesPerCaller and NoncesTotal bound the calls remembered at once, and
	// with them the calls in about MaxLife. An entry takes 130 bytes, 210 where
	// every call has a caller of its own. Defaults 65536 and 131072.
	NoncesPerCaller, NoncesTotal int
}

func (p Policy) withDefaults() Policy {
	if p.Skew == 0 {
		p.Skew = 2 * time.Second
	}
	if p.MaxLife == 0 {
		p.MaxLife = Life
	}
	if p.NoncesPerCaller == 0 {
		p.NoncesPerCaller = 1 << 16
	}
	if p.NoncesTotal == 0 {
		p.NoncesTotal = 1 << 17
	}
	return p
}

// Validate names the field that is out of range.
func (p Policy) Validate() error {
	p = p.withDefaults()
	switch {
	case p.Self.IsZero():
		return fmt.Errorf("rpcauth: policy: Self: want this node's id, got the zero id")
	case p.Skew < 0 || p.Skew > time.Minute:
		return fmt.Errorf("rpcauth: policy: Skew: want more than 0 and at most 1m, got %v", p.Skew)
	case p.MaxLife < time.Second || p.MaxLife > time.Hour:
		return fmt.Errorf("rpcauth: policy: MaxLife: want 1s to 1h, got %v", p.MaxLife)
	case p.NoncesPerCaller < 1:
		return fmt.Errorf("rpcauth: policy: NoncesPerCaller: want at least 1, got %d", p.NoncesPerCaller)
	case p.NoncesTotal < p.NoncesPerCaller:
		return fmt.Errorf("rpcauth: policy: NoncesTotal: want at least NoncesPerCaller (%d), got %d", p.NoncesPerCaller, p.NoncesTotal)
	}
	return nil
}

// Caller is who made a call that passed.
type Caller struct {
	ID        drtc.NodeID
	PublicKey identity.PublicKey
	Expires   time.Time // exp of the payload
	Nonce     string    // empty in the bare form
	Bare      bool      // signed in the paper's form
}

// Verifier decides which calls pass. It is for one goroutine at a time.
type Verifier struct {
	policy Policy
	nonces nonces
}

// NewVerifier makes a Verifier, or returns the error of Policy.Validate.
func NewVerifier(p Policy) (*Verifier, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	return &Verifier{policy: p, nonces: newNonces(p.NoncesPerCaller, p.NoncesTotal)}, nil
}

// Verify judges one call by its two headers and the digest of what was received
// (Digest over the procedure and the body). An error is one of ErrMissing to
// ErrSignature; the caller is told of a refusal and nothing is remembered of it.
//
// What is cheap comes first and the signature last (spec AUTH-15). Only a call that
// passes is remembered, so that nobody fills the memory in another's name.
func (v *Verifier) Verify(now time.Time, payloadHeader, signatureHeader string, digest [32]byte) (Caller, error) {
	if payloadHeader == "" || signatureHeader == "" {
		return Caller{}, ErrMissing
	}
	p, err := ParsePayload(payloadHeader)
	if err != nil {
		return Caller{}, err
	}
	if err := v.checkTimes(now, p); err != nil {
		return Caller{}, err
	}
	if err := v.checkTarget(p, digest); err != nil {
		return Caller{}, err
	}
	id := p.PublicKey.ID()
	if v.policy.Admit != nil {
		if err := v.policy.Admit(id); err != nil {
			return Caller{}, fmt.Errorf("%w: %s: %w", ErrNotAdmitted, id, err)
		}
	}
	entry := newNonce(id, p.Nonce)
	if !p.Bare {
		v.nonces.forget(now)
		if err := v.nonces.check(entry, p.Expires.Add(v.policy.Skew)); err != nil {
			return Caller{}, err
		}
	}
	if err := checkSignature(p.PublicKey, payloadHeader, signatureHeader); err != nil {
		return Caller{}, err
	}
	if !p.Bare {
		v.nonces.remember(entry, p.Expires.Add(v.policy.Skew))
	}
	return Caller{ID: id, PublicKey: p.PublicKey, Expires: p.Expires, Nonce: p.Nonce, Bare: p.Bare}, nil
}

// checkTimes is spec AUTH-7 to AUTH-9.
func (v *Verifier) checkTimes(now time.Time, p Payload) error {
	life := p.Expires.Sub(p.Issued)
	switch {
	case life <= 0 || life > v.policy.MaxLife+time.Second:
		return fmt.Errorf("%w: want exp after iss by at most %v, got %v", ErrLifetime, v.policy.MaxLife, life)
	case now.Before(p.Issued.Add(-v.policy.Skew)):
		return fmt.Errorf("%w: issued %v from now; set the caller's clock", ErrNotYetValid, p.Issued.Sub(now))
	case now.After(p.Expires.Add(v.policy.Skew)):
		return fmt.Errorf("%w: %v ago; sign a new call, and set the caller's clock if this one is new", ErrExpired, now.Sub(p.Expires))
	case p.Issued.Before(v.policy.Since.Truncate(time.Second)):
		return fmt.Errorf("%w: issued before this node started; sign a new call", ErrExpired)
	}
	return nil
}

// checkTarget is spec AUTH-10 and AUTH-11.
func (v *Verifier) checkTarget(p Payload, digest [32]byte) error {
	switch {
	case p.Bare && !v.policy.AllowBare:
		return ErrBareForm
	case p.Bare:
		return nil
	case p.Audience != v.policy.Self:
		return fmt.Errorf("%w: aud is %s, this is %s", ErrAudience, p.Audience, v.policy.Self)
	case p.Digest != digest:
		return ErrDigest
	}
	return nil
}

// checkSignature is spec AUTH-5. Lower case alone is read, so that a call has one
// spelling.
func checkSignature(pub identity.PublicKey, message, header string) error {
	if strings.ContainsAny(header, "ABCDEF") {
		return fmt.Errorf("%w: want lower-case digits", ErrSignature)
	}
	s, err := identity.ParseSignature(header)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !identity.VerifyMessage(pub, []byte(message), s) {
		return ErrSignature
	}
	return nil
}
