package httpauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// node is a control service that tells who called it.
type node struct {
	medianodev1connect.UnimplementedControlServiceHandler
}

func (node) CreateSession(ctx context.Context, r *connect.Request[medianodev1.CreateSessionRequest]) (*connect.Response[medianodev1.CreateSessionResponse], error) {
	caller, _ := httpauth.Caller(ctx)
	return connect.NewResponse(&medianodev1.CreateSessionResponse{Addresses: []string{r.Msg.Session, caller.ID.String()}}), nil
}

func (node) Events(ctx context.Context, r *connect.Request[medianodev1.EventsRequest], s *connect.ServerStream[medianodev1.EventsResponse]) error {
	caller, _ := httpauth.Caller(ctx)
	for i := range uint64(3) {
		if err := s.Send(&medianodev1.EventsResponse{Sequence: r.Msg.After + i, Instance: caller.ID.String()}); err != nil {
			return err
		}
	}
	return nil
}

// world is a server behind a Guard whose clock and policy a test may change.
type world struct {
	url    string
	client *http.Client
	key    *identity.Key
	self   drtc.NodeID

	mu      sync.Mutex
	now     time.Time
	reasons []string
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) lastReason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reasons[len(w.reasons)-1]
}

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newWorld(t *testing.T, change func(*rpcauth.Policy)) *world {
	t.Helper()
	w := &world{key: newKey(t), self: newKey(t).ID(), now: time.Now()}
	policy := rpcauth.Policy{Self: w.self}
	if change != nil {
		change(&policy)
	}
	guard, err := httpauth.New(httpauth.Config{Policy: policy, Now: w.clock, Report: func(_, reason string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reasons = append(w.reasons, reason)
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(medianodev1connect.NewControlServiceHandler(node{}))
	server := httptest.NewUnstartedServer(guard.Middleware(mux))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	w.url, w.client = server.URL, server.Client()
	return w
}

func (w *world) transport(base http.RoundTripper) *httpauth.Transport {
	return &httpauth.Transport{Base: base, Key: w.key, Audience: w.self, Now: w.clock, Rand: rand.Reader}
}

func (w *world) call(t http.RoundTripper, opts ...connect.ClientOption) error {
	c := medianodev1connect.NewControlServiceClient(&http.Client{Transport: t}, w.url, opts...)
	_, err := c.CreateSession(context.Background(), connect.NewRequest(&medianodev1.CreateSessionRequest{Session: "SE_1"}))
	return err
}

func TestGuard_letsSignedCallsPassInEveryProtocol(t *testing.T) {
	for name, opts := range map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"grpc":         {connect.WithGRPC()},
		"grpc-web":     {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			c := medianodev1connect.NewControlServiceClient(&http.Client{Transport: w.transport(w.client.Transport)}, w.url, opts...)
			got, err := c.CreateSession(context.Background(), connect.NewRequest(&medianodev1.CreateSessionRequest{Session: "SE_1"}))
			if err != nil {
				t.Fatalf("unary call: %v", err)
			}
			if want := []string{"SE_1", w.key.ID().String()}; strings.Join(got.Msg.Addresses, " ") != strings.Join(want, " ") {
				t.Errorf("handler saw %v, want %v", got.Msg.Addresses, want)
			}
			stream, err := c.Events(context.Background(), connect.NewRequest(&medianodev1.EventsRequest{After: 7}))
			if err != nil {
				t.Fatalf("opening the stream: %v", err)
			}
			var n uint64
			for stream.Receive() {
				if got, want := stream.Msg().Sequence, 7+n; got != want {
					t.Errorf("message %d has sequence %d, want %d", n, got, want)
				}
				if got, want := stream.Msg().Instance, w.key.ID().String(); got != want {
					t.Errorf("stream's caller is %s, want %s", got, want)
				}
				n++
			}
			if err := stream.Err(); err != nil || n != 3 {
				t.Errorf("stream ended after %d messages with %v, want 3 and none", n, err)
			}
			if got := w.lastReason(); got != "ok" {
				t.Errorf("reported %q, want ok", got)
			}
		})
	}
}

// after changes a signed request before it is sent.
type after struct {
	base   http.RoundTripper
	change func(*http.Request)
}

func (a after) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	a.change(r)
	return a.base.RoundTrip(r)
}

// before changes a request before it is signed.
func before(base *httpauth.Transport, change func(*httpauth.Transport)) *httpauth.Transport {
	c := *base
	change(&c)
	return &c
}

func TestGuard_refusesEachWithItsOwnError(t *testing.T) {
	replay := func() func(*http.Request) {
		var payload, signature string
		return func(r *http.Request) {
			if payload == "" {
				payload, signature = r.Header.Get(rpcauth.HeaderPayload), r.Header.Get(rpcauth.HeaderSignature)
			}
			r.Header.Set(rpcauth.HeaderPayload, payload)
			r.Header.Set(rpcauth.HeaderSignature, signature)
		}
	}
	shift := func(d time.Duration) func(w *world) http.RoundTripper {
		return func(w *world) http.RoundTripper {
			return before(w.transport(w.client.Transport), func(t *httpauth.Transport) {
				t.Now = func() time.Time { return w.clock().Add(d) }
			})
		}
	}
	alter := func(change func(*http.Request)) func(w *world) http.RoundTripper {
		return func(w *world) http.RoundTripper { return w.transport(after{w.client.Transport, change}) }
	}
	for _, c := range []struct {
		name   string
		with   func(w *world) http.RoundTripper
		calls  int
		policy func(*rpcauth.Policy)
		code   connect.Code
		reason string
		says   string
	}{
		{name: "unsigned", with: func(w *world) http.RoundTripper { return w.client.Transport },
			code: connect.CodeUnauthenticated, reason: "missing", says: "not signed"},
		{name: "tampered body", with: alter(func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			body = bytes.Replace(body, []byte("SE_1"), []byte("SE_2"), 1)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}), code: connect.CodeUnauthenticated, reason: "digest", says: "digest differs"},
		{name: "other procedure", with: alter(func(r *http.Request) {
			r.URL.Path = medianodev1connect.ControlServiceCloseSessionProcedure
		}), code: connect.CodeUnauthenticated, reason: "digest", says: "digest differs"},
		{name: "tampered payload", with: alter(func(r *http.Request) {
			r.Header.Set(rpcauth.HeaderPayload, strings.Replace(r.Header.Get(rpcauth.HeaderPayload), `"nonce":"`, `"nonce":"x`, 1))
		}), code: connect.CodeUnauthenticated, reason: "signature", says: "signature does not match"},
		{name: "replayed", calls: 2, with: func() func(w *world) http.RoundTripper { return alter(replay()) }(),
			code: connect.CodeUnauthenticated, reason: "replayed", says: "replayed"},
		{name: "expired", with: shift(-3 * time.Minute), code: connect.CodeUnauthenticated, reason: "expired", says: "expired"},
		{name: "not yet valid", with: shift(time.Minute), code: connect.CodeUnauthenticated, reason: "not_yet_valid", says: "not yet valid"},
		{name: "wrong audience", with: func(w *world) http.RoundTripper {
			return before(w.transport(w.client.Transport), func(t *httpauth.Transport) { t.Audience = drtc.NodeID{1} })
		}, code: connect.CodeUnauthenticated, reason: "audience", says: "another node"},
		{name: "not admitted", with: alter(func(*http.Request) {}), policy: func(p *rpcauth.Policy) {
			p.Admit = func(drtc.NodeID) error { return errors.New("nobody is") }
		}, code: connect.CodePermissionDenied, reason: "not_admitted", says: "not admitted"},
		{name: "garbage", with: alter(func(r *http.Request) { r.Header.Set(rpcauth.HeaderPayload, "{") }),
			code: connect.CodeUnauthenticated, reason: "malformed", says: "malformed payload"},
		{name: "says it is compressed", with: alter(func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }),
			code: connect.CodeInvalidArgument, reason: "encoded", says: "compressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.policy)
			rt := c.with(w)
			for range max(0, c.calls-1) {
				if err := w.call(rt); err != nil {
					t.Fatalf("first call: %v", err)
				}
			}
			err := w.call(rt)
			if got := connect.CodeOf(err); got != c.code {
				t.Errorf("code %v (%v), want %v", got, err, c.code)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want it to say %q", err, c.says)
			}
			if got := w.lastReason(); got != c.reason {
				t.Errorf("reported %q, want %q", got, c.reason)
			}
		})
	}
}

func TestGuard_gRPCCallersGetTheErrorToo(t *testing.T) {
	w := newWorld(t, nil)
	err := w.call(w.client.Transport, connect.WithGRPC())
	if got := connect.CodeOf(err); got != connect.CodeUnauthenticated || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("got %v, want unauthenticated: not signed", err)
	}
}

func TestGuard_streamIsSignedOverItsFirstMessage(t *testing.T) {
	w := newWorld(t, nil)
	flip := after{w.client.Transport, func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		body[len(body)-1] ^= 1
		r.Body = io.NopCloser(bytes.NewReader(body))
	}}
	c := medianodev1connect.NewControlServiceClient(&http.Client{Transport: w.transport(flip)}, w.url)
	stream, err := c.Events(context.Background(), connect.NewRequest(&medianodev1.EventsRequest{After: 7}))
	if err == nil {
		for stream.Receive() {
			t.Error("got a message of a stream that was tampered with")
		}
		err = stream.Err()
	}
	if got := connect.CodeOf(err); got != connect.CodeUnauthenticated || w.lastReason() != "digest" {
		t.Errorf("got %v and %q, want unauthenticated and digest", err, w.lastReason())
	}
}

func TestGuard_boundsWhatItReads(t *testing.T) {
	w := newWorld(t, nil)
	post := func(contentType string, body io.Reader) *http.Response {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, w.url+medianodev1connect.ControlServiceCreateSessionProcedure, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set(rpcauth.HeaderPayload, "{}")
		r.Header.Set(rpcauth.HeaderSignature, "0x")
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() //nolint:errcheck // only the status matters
		return resp
	}
	if post("application/proto", bytes.NewReader(make([]byte, httpauth.MaxBody+1))); w.lastReason() != "too_large" {
		t.Errorf("a long body was %q, want too_large", w.lastReason())
	}
	if post("application/grpc", bytes.NewReader([]byte{0, 0xff, 0xff, 0xff, 0xff})); w.lastReason() != "too_large" {
		t.Errorf("a long first message was %q, want too_large", w.lastReason())
	}
	if post("application/grpc", bytes.NewReader([]byte{1, 0, 0, 0, 0})); w.lastReason() != "encoded" {
		t.Errorf("a compressed first message was %q, want encoded", w.lastReason())
	}
	if post("application/connect+proto", bytes.NewReader([]byte{0, 0, 0, 0, 9, 1})); w.lastReason() != "framing" {
		t.Errorf("a first message cut short was %q, want framing", w.lastReason())
	}
	if resp := post("text/plain", strings.NewReader("x")); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("an unknown content type got %d, want 415", resp.StatusCode)
	}
}

func TestTransport_refusesWhatItCanNotSign(t *testing.T) {
	w := newWorld(t, nil)
	err := w.call(w.transport(w.client.Transport), connect.WithSendGzip())
	if !errors.Is(err, httpauth.ErrEncoded) {
		t.Errorf("compressed call: got %v, want ErrEncoded", err)
	}
}

func TestGuard_remembersCallsUntilTheyExpire(t *testing.T) {
	w := newWorld(t, func(p *rpcauth.Policy) { p.NoncesPerCaller, p.NoncesTotal = 2, 2 })
	rt := w.transport(w.client.Transport)
	for i := range 2 {
		if err := w.call(rt); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if err := w.call(rt); connect.CodeOf(err) != connect.CodeResourceExhausted || w.lastReason() != "busy" {
		t.Errorf("third call: %v, want resource exhausted", err)
	}
	w.advance(3 * time.Minute)
	if err := w.call(rt); err != nil {
		t.Errorf("after the calls expired: %v, want none", err)
	}
}

// A body must reach the handler as it was sent, whatever the framing.
func FuzzGuard_neverPanicsOnAnyBody(f *testing.F) {
	f.Add("application/grpc", []byte{0, 0, 0, 0, 1, 2})
	f.Add("application/proto", []byte("x"))
	f.Add("application/connect+json; charset=utf-8", []byte{0, 0, 0, 0, 2, '{', '}'})
	guard, err := httpauth.New(httpauth.Config{Policy: rpcauth.Policy{Self: drtc.NodeID{1}}})
	if err != nil {
		f.Fatal(err)
	}
	h := guard.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.Error("an unsigned call passed") }))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/a/b", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set(rpcauth.HeaderPayload, "{}")
		r.Header.Set(rpcauth.HeaderSignature, "0x")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 0 {
			t.Error("no answer")
		}
	})
}
