package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

func TestGate_tooManyRequestsInBothTongues(t *testing.T) {
	s := serve(t, newBackend(0), func(c *Config) { c.RequestsPerSecond, c.Burst = 0.001, 2 })
	for range 2 {
		if a, _ := request(t, http.MethodGet, s.URL+"/listMediaNodes"); a.StatusCode != http.StatusOK {
			t.Fatalf("within the burst: got %d", a.StatusCode)
		}
	}
	a, body := request(t, http.MethodGet, s.URL+"/listMediaNodes")
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "too_many_requests") {
		t.Errorf("rest: got %d %s", a.StatusCode, body)
	}
	rpc := registryv1connect.NewRegistryServiceClient(http.DefaultClient, s.URL)
	_, err := rpc.RegisterNode(t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !connect.IsWireError(err) {
		t.Errorf("rpc: got %v, want ResourceExhausted from the other side", err)
	}
}

// Nothing is served past the gate, /metrics and streams included.
func TestGate_standsBeforeEverything(t *testing.T) {
	b := newBackend(1)
	s := serve(t, b, func(c *Config) { c.RequestsPerSecond, c.Burst = 0.001, 1 })
	request(t, http.MethodGet, s.URL+"/healthz") // the burst
	paths := []string{"/metrics", "/", "/nothing"}
	for _, r := range newRest(b.all()).routes() {
		paths = append(paths, r.path)
	}
	for _, path := range paths {
		if a, body := request(t, http.MethodGet, s.URL+path); a.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(body), `"parameter":"address"`) {
			t.Errorf("%s: got %d %s, want 429", path, a.StatusCode, body)
		}
	}
	rpc := registryv1connect.NewRegistryServiceClient(http.DefaultClient, s.URL)
	_, err := rpc.GetAdmission(t.Context(), connect.NewRequest(&registryv1.GetAdmissionRequest{}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("GetAdmission: got %v", err)
	}
	stream, err := rpc.Watch(t.Context(), connect.NewRequest(&registryv1.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeResourceExhausted {
		t.Errorf("Watch: got %v", stream.Err())
	}
}

func TestGate_addressesHaveTheirOwnShares(t *testing.T) {
	g := newGate(Config{RequestsPerSecond: 1, Burst: 1})
	now := time.Unix(1790000000, 0)
	for _, step := range []struct {
		after  time.Duration
		remote string
		want   bool
	}{
		{0, "192.0.2.1:1", true},
		{0, "192.0.2.1:2", false}, // another port is the same client
		{0, "[::ffff:192.0.2.1]:2", false},
		{0, "192.0.2.2:1", true},
		{0, "[2001:db8::1]:1", true},
		{0, "[2001:db8::ffff:1]:1", false}, // the same /64
		{0, "[2001:db8:0:1::1]:1", true},
		{0, "nonsense", false},
		{time.Second, "192.0.2.1:1", true},
		{time.Minute, "192.0.2.9:1", true},
	} {
		now = now.Add(step.after)
		if got := g.allow(now, step.remote); got != step.want {
			t.Errorf("%s: got %v, want %v", step.remote, got, step.want)
		}
	}
	if len(g.clients) != 1 {
		t.Errorf("after a minute %d clients are remembered, want the last one", len(g.clients))
	}
}

func TestGate_isBoundedUnderManyAddresses(t *testing.T) {
	g := newGate(Config{RequestsPerSecond: 1, Burst: 3})
	now, admitted := time.Unix(1790000000, 0), 0
	for i := range uint32(maxClients + 100) {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if g.allow(now, netip.AddrPortFrom(a, 1).String()) {
			admitted++
		}
	}
	if len(g.clients) != maxClients || admitted != maxClients+3 {
		t.Errorf("remembered %d and admitted %d, want %d and 3 more", len(g.clients), admitted, maxClients)
	}
}

// A client that sends half a request does not hold a handler for ever.
func TestNew_slowBodyIsCutOff(t *testing.T) {
	s := serve(t, newBackend(0), func(c *Config) { c.Timeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", registryv1connect.RegistryServiceRegisterNodeProcedure)
	if b, err := io.ReadAll(conn); err != nil {
		t.Errorf("got %q, %v, want an end within 20s", b, err)
	}
}

// Requests that arrive at once read the clock in one order and are counted in
// another; that must not make anybody's share larger.
func TestGate_clocksOutOfOrderGiveNothing(t *testing.T) {
	c := DefaultConfig()
	c.RequestsPerSecond, c.Burst = 10, 10
	g, now, admitted := newGate(c), time.Now(), 0
	for i := range 1000 {
		if g.allow(now.Add(-time.Duration(i%2)*100*time.Millisecond), "192.0.2.1:1") {
			admitted++
		}
	}
	if admitted != 10 {
		t.Errorf("%d requests admitted in no time, want 10", admitted)
	}
}
