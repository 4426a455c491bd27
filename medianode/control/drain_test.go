package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"connectrpc.com/connect"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// signer puts the headers of one way to sign on each request.
type signer struct {
	base http.RoundTripper
	sign func(*http.Request, []byte) (payload, signature string)
}

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	payload, signature := s.sign(r, body.Bytes())
	r = r.Clone(r.Context())
	r.Header.Set(rpcauth.HeaderPayload, payload)
	r.Header.Set(rpcauth.HeaderSignature, signature)
	r.Body = http.NoBody
	if body.Len() > 0 {
		r.Body = readCloser{&body}
	}
	return s.base.RoundTrip(r)
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// served is a service behind its guard that admits everybody and the bare form.
func served(t *testing.T, own *identity.Key) (*Service, func(http.RoundTripper) medianodev1connect.ControlServiceClient, http.RoundTripper) {
	t.Helper()
	s := newService(t)
	s.cfg.Self = own.ID()
	guard, err := httpauth.New(httpauth.Config{Policy: rpcauth.Policy{Self: own.ID(), AllowBare: true}})
	if err != nil {
		t.Fatal(err)
	}
	_, rpc := s.Handler()
	server := httptest.NewServer(guard.Middleware(rpc))
	t.Cleanup(server.Close)
	return s, func(rt http.RoundTripper) medianodev1connect.ControlServiceClient {
		return medianodev1connect.NewControlServiceClient(&http.Client{Transport: rt}, server.URL)
	}, server.Client().Transport
}

func TestDrain_isForTheNodesOwnKey(t *testing.T) {
	own, foreign := newKey(t), newKey(t)
	s, client, base := served(t, own)
	s.addSession(t, foreign.ID(), "SE_1")
	as := func(k *identity.Key) medianodev1connect.ControlServiceClient {
		return client(&httpauth.Transport{Base: base, Key: k, Audience: own.ID(), Now: time.Now, Rand: rand.Reader})
	}
	drain := func(c medianodev1connect.ControlServiceClient, on bool) (uint32, error) {
		r, err := c.Drain(context.Background(), connect.NewRequest(&medianodev1.DrainRequest{Drain: on}))
		if err != nil {
			return 0, err
		}
		return r.Msg.Sessions, nil
	}
	bare := client(signer{base, func(*http.Request, []byte) (string, string) { return rpcauth.SignBare(own, time.Now()) }})
	for name, c := range map[string]medianodev1connect.ControlServiceClient{"an Orchestrator": as(foreign), "a copy of a bare signature": bare} {
		if _, err := drain(c, true); connect.CodeOf(err) != connect.CodePermissionDenied || s.Draining() {
			t.Errorf("%s: got %v, draining %v, want permission_denied", name, err, s.Draining())
		}
	}
	for range 2 { // again is the same
		if n, err := drain(as(own), true); err != nil || n != 1 || !s.Draining() || !s.beat().Draining {
			t.Fatalf("got %d sessions, %v, draining %v, want 1 session left on a draining node", n, err, s.Draining())
		}
	}
	if _, err := drain(as(foreign), false); err == nil || !s.Draining() {
		t.Errorf("an Orchestrator takes the node back into service: %v", err)
	}
	if _, err := drain(as(own), false); err != nil || s.Draining() || s.beat().Draining {
		t.Errorf("got %v, draining %v, want the node back in service", err, s.Draining())
	}
	if s.sessions[key{foreign.ID(), "SE_1"}] == nil {
		t.Error("draining has ended a session")
	}
}

// What admits the node's own key for Drain admits it for nothing else.
func TestCaller_theNodesOwnKeyIsNoOrchestrator(t *testing.T) {
	own := newKey(t)
	_, client, base := served(t, own)
	c := client(&httpauth.Transport{Base: base, Key: own, Audience: own.ID(), Now: time.Now, Rand: rand.Reader})
	_, err := c.CreateSession(context.Background(), connect.NewRequest(&medianodev1.CreateSessionRequest{}))
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("got %v, want permission_denied", err)
	}
}

// stage is a Media with one core.
type stage struct {
	Media
	core *engine.Core
}

func (m stage) Do(_ engine.PeerID, f func(time.Time, *engine.Core, *engine.Batch)) error {
	f(time.Unix(1, 0), m.core, nil)
	return nil
}

// A client that leaves shall find its way to the other node first: see
// engine.Core.Leave.
func TestDrain_answersNoChecksOfNewCandidates(t *testing.T) {
	const pwd = "passwordpasswordpassword"
	own := newKey(t)
	s, client, base := served(t, own)
	core := engine.New(engine.Config{Random: func() uint32 { return 7 }})
	s.media = stage{core: core}
	e := s.addSession(t, own.ID(), "SE_1")
	s.addSession(t, own.ID(), "SE_2") // has not connected
	e.publisher.open = true
	ice := engine.PeerConfig{ID: e.publisher.peer, Room: e.room, Local: engine.ICE{Ufrag: "node", Pwd: pwd}, Remote: engine.ICE{Ufrag: "old", Pwd: pwd}}
	if err := core.AddPeer(time.Unix(1, 0), ice); err != nil {
		t.Fatal(err)
	}
	answers := func(generation string) bool {
		var b engine.Batch
		check := stun.AppendBindingRequest(nil, [12]byte{1}, "node:"+generation, pwd, stun.RequestOptions{Controlling: true, Priority: 1})
		core.HandleDatagram(time.Unix(2, 0), netip.MustParseAddrPort("192.0.2.7:7"), check, &b)
		return len(b.Datagrams()) > 0
	}
	c := client(&httpauth.Transport{Base: base, Key: own, Audience: own.ID(), Now: time.Now, Rand: rand.Reader})
	for _, on := range []bool{true, false} {
		if _, err := c.Drain(t.Context(), connect.NewRequest(&medianodev1.DrainRequest{Drain: on})); err != nil {
			t.Fatal(err)
		}
		if !answers("old") || answers("new") == on {
			t.Errorf("draining %v: answers the old candidates %v, the new ones %v; want true, %v", on, answers("old"), answers("new"), !on)
		}
	}
}

func TestDrain_unauthenticatedCallsAreRefused(t *testing.T) {
	_, err := newService(t).Drain(context.Background(), connect.NewRequest(&medianodev1.DrainRequest{Drain: true}))
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("got %v, want unauthenticated", err)
	}
}
