package httpauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc/rpcauth"
)

// readTimeout is how long the part of a request that is signed may take to
// arrive.
const readTimeout = 10 * time.Second

// Guard verifies requests with one rpcauth.Verifier.
type Guard struct {
	now    func() time.Time
	report func(procedure, reason string)
	write  *connect.ErrorWriter

	mu       sync.Mutex // guards verifier
	verifier *rpcauth.Verifier
}

// Config of a Guard.
type Config struct {
	Policy rpcauth.Policy
	Now    func() time.Time // time.Now outside of tests
	// Report, if set, hears of every call: reason is "ok" or one of Reason's
	// words. It must be fast and safe for concurrent use.
	Report func(procedure, reason string)
}

// New makes a Guard, or returns the error of the policy.
func New(c Config) (*Guard, error) {
	v, err := rpcauth.NewVerifier(c.Policy)
	if err != nil {
		return nil, err
	}
	g := &Guard{now: c.Now, report: c.Report, verifier: v, write: connect.NewErrorWriter()}
	if g.now == nil {
		g.now = time.Now
	}
	if g.report == nil {
		g.report = func(string, string) {}
	}
	return g, nil
}

// Middleware returns a handler that hands verified requests to next, with the
// caller in their context, and answers all others with a Connect or gRPC error:
// PermissionDenied for callers that are not admitted, ResourceExhausted when
// the memory for nonces or the allowed size is used up, InvalidArgument for
// requests that can't be verified at all, Unauthenticated otherwise.
func (g *Guard) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, verified, err := g.verify(w, r)
		g.report(r.URL.Path, Reason(err))
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, verified.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

func (g *Guard) verify(w http.ResponseWriter, r *http.Request) (rpcauth.Caller, *http.Request, error) {
	isFramed, ok := framed(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || !ok {
		return rpcauth.Caller{}, nil, ErrUnframed
	}
	payload, signature := r.Header.Get(rpcauth.HeaderPayload), r.Header.Get(rpcauth.HeaderSignature)
	if payload == "" || signature == "" {
		return rpcauth.Caller{}, nil, rpcauth.ErrMissing // before a body is read for it
	}
	if encoded(r.Header) {
		return rpcauth.Caller{}, nil, ErrEncoded
	}
	// A server that can't set deadlines has its own.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(g.now().Add(readTimeout))
	content, body, err := take(r.Body, isFramed)
	if err != nil {
		return rpcauth.Caller{}, nil, err
	}
	_ = deadline.SetReadDeadline(time.Time{})
	digest := rpcauth.Digest(r.URL.Path, content)

	g.mu.Lock()
	caller, err := g.verifier.Verify(g.now(), payload, signature, digest)
	g.mu.Unlock()
	if err != nil {
		return rpcauth.Caller{}, nil, err
	}
	out := r.Clone(r.Context())
	out.Body = body
	return caller, out, nil
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := connect.CodeUnauthenticated
	switch {
	case errors.Is(err, rpcauth.ErrNotAdmitted):
		code = connect.CodePermissionDenied
	case errors.Is(err, rpcauth.ErrBusy), errors.Is(err, ErrTooLarge):
		code = connect.CodeResourceExhausted
	case errors.Is(err, ErrEncoded), errors.Is(err, ErrUnframed):
		code = connect.CodeInvalidArgument
	}
	if !g.write.IsSupported(r) {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	// The caller has gone when this fails.
	_ = g.write.Write(w, r, connect.NewError(code, err))
}

// Reason is one word for what Middleware made of a call, for metrics: "ok",
// "missing", "malformed", "bare", "lifetime", "not_yet_valid", "expired",
// "audience", "digest", "not_admitted", "replayed", "busy", "signature",
// "too_large", "encoded", "framing" or "read".
func Reason(err error) string {
	if err == nil {
		return "ok"
	}
	for _, c := range []struct {
		is   error
		word string
	}{
		{rpcauth.ErrMissing, "missing"}, {rpcauth.ErrMalformed, "malformed"}, {rpcauth.ErrBareForm, "bare"},
		{rpcauth.ErrLifetime, "lifetime"}, {rpcauth.ErrNotYetValid, "not_yet_valid"}, {rpcauth.ErrExpired, "expired"},
		{rpcauth.ErrAudience, "audience"}, {rpcauth.ErrDigest, "digest"}, {rpcauth.ErrNotAdmitted, "not_admitted"},
		{rpcauth.ErrReplayed, "replayed"}, {rpcauth.ErrBusy, "busy"}, {rpcauth.ErrSignature, "signature"},
		{ErrTooLarge, "too_large"}, {ErrEncoded, "encoded"}, {ErrUnframed, "framing"},
	} {
		if errors.Is(err, c.is) {
			return c.word
		}
	}
	return "read"
}

type callerKey struct{}

// Caller returns who made a call that Middleware let pass.
func Caller(ctx context.Context) (rpcauth.Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(rpcauth.Caller)
	return c, ok
}
