package probe_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/probe"
)

var node = drtc.NodeID{1, 2, 3}

// private is a Dialer for this machine.
func private(t *testing.T, change func(*probe.Config)) *probe.Dialer {
	t.Helper()
	c := probe.DefaultConfig()
	c.Guard.AllowPrivate = true
	if change != nil {
		change(&c)
	}
	return newDialer(t, c)
}

func newDialer(t testing.TB, c probe.Config) *probe.Dialer {
	t.Helper()
	d, err := probe.New(c, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func secure(t *testing.T) (server *httptest.Server, target probe.Target) {
	t.Helper()
	server = httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server, probe.Target{Node: node, URL: server.URL, Fingerprint: sha256.Sum256(server.Certificate().Raw)}
}

func TestDial_nodeWithThePinnedCertificateAnswers(t *testing.T) {
	server, target := secure(t)
	r := private(t, nil).Dial(t.Context(), target)
	if r.Err != nil || r.Node != node || r.RTT <= 0 || r.RTT > time.Second {
		t.Errorf("got %+v, want an answer of the node with a round trip", r)
	}
	if got := r.Answer(); got != (liveness.Answer{Outcome: liveness.Answered}) {
		t.Errorf("as evidence: got %+v, want an answer that says nothing about distance", got)
	}
	if !r.Local || r.Address.String() != server.Listener.Addr().String() {
		t.Errorf("got address %s, local %v, want %s on this machine", r.Address, r.Local, server.Listener.Addr())
	}
}

func TestDial_anotherCertificateIsAMiss(t *testing.T) {
	_, target := secure(t)
	target.Fingerprint[0]++
	if r := private(t, nil).Dial(t.Context(), target); !errors.Is(r.Err, probe.ErrFingerprint) || r.RTT != 0 {
		t.Errorf("got %+v, want ErrFingerprint and no round trip", r)
	}
}

// The kernel accepts connections for a process that hangs; that is no answer.
func TestDial_processThatHangsIsAMiss(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := private(t, func(c *probe.Config) { c.Timeout = 100 * time.Millisecond })
	for _, scheme := range []string{"https", "http"} {
		if r := d.Dial(t.Context(), probe.Target{URL: scheme + "://" + l.Addr().String()}); !errors.Is(r.Err, context.DeadlineExceeded) || r.RTT != 0 {
			t.Errorf("%s: got %+v, want a timeout", scheme, r)
		}
	}
}

func TestDial_closedPortIsAMiss(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := private(t, nil).Dial(t.Context(), probe.Target{URL: "https://" + l.Addr().String()})
	if r.Err == nil || errors.Is(r.Err, probe.ErrRefused) || errors.Is(r.Err, probe.ErrBusy) {
		t.Errorf("got %v, want an error of the connection", r.Err)
	}
}

func TestDial_overHTTPAnyAnswerCounts(t *testing.T) {
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	var path atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.Path)
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer server.Close()
	r := private(t, nil).Dial(t.Context(), probe.Target{URL: server.URL + "/node"})
	if r.Err != nil || path.Load() != "/node/healthz" || elsewhere.Load() {
		t.Errorf("got %v at %v, redirect followed: %v, want one GET of /node/healthz", r.Err, path.Load(), elsewhere.Load())
	}
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	go func() {
		if c, err := garbage.Accept(); err == nil {
			fmt.Fprint(c, "220 mail.example ESMTP\r\n")
			c.Close()
		}
	}()
	if r := private(t, nil).Dial(t.Context(), probe.Target{URL: "http://" + garbage.Addr().String()}); r.Err == nil {
		t.Error("another protocol's greeting counted as an answer")
	}
}

func TestDial_publicNetworkRefusesThisMachine(t *testing.T) {
	var called atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	defer server.Close()
	d := private(t, func(c *probe.Config) { c.Guard.AllowPrivate = false })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, u := range []string{
		server.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://[64:ff9b::7f00:1]:" + port,
		"ftp://192.0.2.1", "http://", "https://192.0.2.1:0", "https://192.0.2.1:99999",
	} {
		if r := d.Dial(t.Context(), probe.Target{URL: u}); !errors.Is(r.Err, probe.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", u, r.Err)
		}
	}
	if called.Load() {
		t.Error("the server on this machine was called")
	}
}

// names is a Resolver; it may block and it counts.
type names struct {
	addrs         [][]netip.Addr // one answer after the other, the last for ever
	calls         atomic.Int32
	entered, wait chan struct{}
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	i := int(n.calls.Add(1)) - 1
	if n.wait != nil {
		close(n.entered)
		<-n.wait
	}
	if len(n.addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return n.addrs[min(i, len(n.addrs)-1)], nil
}

// A name that is public when it is checked and private when it is called again
// (DNS rebinding) is not asked for again.
func TestDial_resolvesOnceAndCallsWhatItChecked(t *testing.T) {
	server, target := secure(t)
	here := netip.MustParseAddr("127.0.0.1")
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	target.URL = "https://node.example:" + port
	n := &names{addrs: [][]netip.Addr{{here}, {netip.MustParseAddr("127.0.0.9")}}}
	r := private(t, func(c *probe.Config) { c.Guard.Resolver = n }).Dial(t.Context(), target)
	if r.Err != nil || n.calls.Load() != 1 || r.Address.Addr() != here {
		t.Errorf("got %v at %s after %d look-ups, want an answer from %s after 1", r.Err, r.Address, n.calls.Load(), here)
	}
}

func TestDial_oneForbiddenAddressRefusesTheName(t *testing.T) {
	n := &names{addrs: [][]netip.Addr{{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("10.0.0.1")}}}
	d := private(t, func(c *probe.Config) { c.Guard = probe.Guard{Resolver: n} })
	r := d.Dial(t.Context(), probe.Target{URL: "https://node.example"})
	if !errors.Is(r.Err, probe.ErrRefused) || !strings.Contains(r.Err.Error(), "10.0.0.1") || !strings.Contains(r.Err.Error(), "node.example") {
		t.Errorf("got %v, want ErrRefused that names the address and the name", r.Err)
	}
}

func TestDial_nameWithoutAddressIsAMiss(t *testing.T) {
	d := private(t, func(c *probe.Config) { c.Guard.Resolver = &names{} })
	var unknown *net.DNSError
	if r := d.Dial(t.Context(), probe.Target{URL: "https://node.example"}); !errors.As(r.Err, &unknown) {
		t.Errorf("got %v, want the resolver's error", r.Err)
	}
	d = private(t, func(c *probe.Config) { c.Guard.Resolver = &names{addrs: [][]netip.Addr{nil}} })
	if r := d.Dial(t.Context(), probe.Target{URL: "https://node.example"}); r.Err == nil || errors.Is(r.Err, probe.ErrRefused) {
		t.Errorf("no address at all: got %v, want a miss", r.Err)
	}
}

func TestDial_secondAddressIsTried(t *testing.T) {
	server, target := secure(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	target.URL = "https://node.example:" + port
	n := &names{addrs: [][]netip.Addr{{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("127.0.0.1")}}}
	if r := private(t, func(c *probe.Config) { c.Guard.Resolver = n }).Dial(t.Context(), target); r.Err != nil {
		t.Errorf("got %v, want an answer from the second address", r.Err)
	}
}

func TestDial_boundsHowManyAreUnderWay(t *testing.T) {
	n := &names{entered: make(chan struct{}), wait: make(chan struct{})}
	d := private(t, func(c *probe.Config) {
		c.MaxDials, c.Timeout, c.Guard.Resolver = 1, 50*time.Millisecond, n
	})
	first := make(chan probe.Result)
	go func() { first <- d.Dial(context.Background(), probe.Target{URL: "https://node.example"}) }()
	<-n.entered // the first has the only slot
	if r := d.Dial(t.Context(), probe.Target{URL: "https://127.0.0.1:1"}); !errors.Is(r.Err, probe.ErrBusy) {
		t.Errorf("a second: got %v, want ErrBusy", r.Err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := d.Dial(ctx, probe.Target{URL: "https://127.0.0.1:1"}); !errors.Is(r.Err, context.Canceled) {
		t.Errorf("one that is called off: got %v, want context.Canceled", r.Err)
	}
	close(n.wait)
	if r := <-first; r.Err == nil {
		t.Error("the first answered without an address")
	}
}

func TestAnswer_ofEachResult(t *testing.T) {
	for name, tt := range map[string]struct {
		result probe.Result
		want   liveness.Answer
	}{
		"far":        {probe.Result{RTT: time.Second}, liveness.Answer{RTT: time.Second}},
		"local":      {probe.Result{RTT: time.Second, Local: true}, liveness.Answer{}},
		"refused":    {probe.Result{Err: probe.ErrRefused}, liveness.Answer{Outcome: liveness.Missed}},
		"timed out":  {probe.Result{Err: context.DeadlineExceeded}, liveness.Answer{Outcome: liveness.Missed}},
		"busy":       {probe.Result{Err: probe.ErrBusy}, liveness.Answer{Outcome: liveness.Skipped}},
		"called off": {probe.Result{Err: context.Canceled}, liveness.Answer{Outcome: liveness.Skipped}},
	} {
		if got := tt.result.Answer(); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestNew_countsOutcomes(t *testing.T) {
	metrics := prometheus.NewRegistry()
	c := probe.DefaultConfig()
	d, err := probe.New(c, metrics)
	if err != nil {
		t.Fatal(err)
	}
	d.Dial(t.Context(), probe.Target{URL: "https://127.0.0.1"})
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				counted[f.GetName()+" "+l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if counted["drtc_registry_probes_total refused"] != 1 {
		t.Errorf("got %v, want one refused", counted)
	}
	if _, err := probe.New(c, metrics); err == nil {
		t.Error("a second Dialer counts in the same metrics, want an error")
	}
}

func TestValidate_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*probe.Config){
		"Timeout": func(c *probe.Config) { c.Timeout = 0 }, "MaxDials": func(c *probe.Config) { c.MaxDials = 0 },
	} {
		c := probe.DefaultConfig()
		change(&c)
		if _, err := probe.New(c, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

// The processor time of both ends of a dial: the node's is about half.
func BenchmarkDial(b *testing.B) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	c := probe.DefaultConfig()
	c.Guard.AllowPrivate = true
	d := newDialer(b, c)
	target := probe.Target{URL: server.URL, Fingerprint: sha256.Sum256(server.Certificate().Raw)}
	for b.Loop() {
		if r := d.Dial(b.Context(), target); r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}
