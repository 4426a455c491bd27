package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry"
)

// process is a Registry that runs on loopback.
type process struct {
	*registry.Registry
	registryv1connect.RegistryServiceClient
	t    testing.TB
	stop func() // waits for the end
}

func testConfig(t testing.TB) registry.Config {
	c := registry.DefaultConfig()
	c.Listen, c.GossipListen, c.Dir, c.Network = "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), "devnet"
	return c
}

func start(t testing.TB, c registry.Config) *process {
	t.Helper()
	r, err := registry.New(c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	p := &process{Registry: r, t: t}
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(p.stop)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	p.RegistryServiceClient = registryv1connect.NewRegistryServiceClient(&http.Client{Transport: transport}, r.URL())
	return p
}

// mediaNode signs records as a Media Node does.
type mediaNode struct {
	*identity.Key
	seq uint64
}

func newNode(t testing.TB) *mediaNode {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &mediaNode{Key: k}
}

func (n *mediaNode) record(t testing.TB, change func(*envelope.Envelope, *registryv1.NodeBody)) *registryv1.Record {
	t.Helper()
	n.seq++
	body := &registryv1.NodeBody{
		NodeId: n.ID().String(), PubKey: n.Public().Hex(), Url: "https://10.0.0.1:7901", Region: "EU",
		Geolocation: "50.11,8.68", TlsFingerprint: bytes.Repeat([]byte{7}, 32), CapacityMbps: 1000, Version: "0.1.0",
	}
	e := envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: n.ID(), Seq: n.seq, IssuedAt: time.Now(), TTL: 300 * time.Second,
	}
	if change != nil {
		change(&e, body)
	}
	if !e.IsTombstone() {
		var err error
		if e.Body, err = proto.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sign(n.Key); err != nil {
		t.Fatal(err)
	}
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func (n *mediaNode) tombstone(t testing.TB) *registryv1.Record {
	return n.record(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Flags = envelope.Tombstone })
}

func (p *process) register(r *registryv1.Record) (*registryv1.RegisterNodeResponse, error) {
	a, err := p.RegisterNode(p.t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{Record: r}))
	if err != nil {
		return nil, err
	}
	return a.Msg, nil
}

func (p *process) mustRegister(r *registryv1.Record) {
	p.t.Helper()
	if a, err := p.register(r); err != nil || !a.GetAccepted() {
		p.t.Fatalf("register: got %v, %v, want accepted", a, err)
	}
}

func (p *process) get(path string, into any) int {
	p.t.Helper()
	a, err := http.Get(p.URL() + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(into); err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
	return a.StatusCode
}

// shown lists the ids in the answers.
func (p *process) shown() []string {
	p.t.Helper()
	var list struct{ Nodes []struct{ NodeID string } }
	if status := p.get("/getMediaNodes", &list); status != http.StatusOK {
		p.t.Fatalf("getMediaNodes: status %d", status)
	}
	ids := []string{}
	for _, n := range list.Nodes {
		ids = append(ids, n.NodeID)
	}
	return ids
}

func (p *process) wantShown(nodes ...*mediaNode) {
	p.t.Helper()
	want := map[string]bool{}
	for _, n := range nodes {
		want[n.ID().String()] = true
	}
	got := p.shown()
	for _, id := range got {
		if !want[id] {
			p.t.Errorf("%s is shown, want only %v", id, want)
		}
	}
	if len(got) != len(want) {
		p.t.Errorf("shown: got %v, want %v", got, want)
	}
}

// eventually waits for a condition without assuming how long it takes.
func (p *process) eventually(what string, condition func() bool) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("not within 20s: %s", what)
		}
	}
}

func TestRegistry_registerFindRefreshDeregister(t *testing.T) {
	p, n := start(t, testConfig(t)), newNode(t)
	p.wantShown()
	p.mustRegister(n.record(t, nil))
	p.wantShown(n)

	refreshed := n.record(t, func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.LoadMbps = 250 })
	if a, err := p.RefreshNode(t.Context(), connect.NewRequest(&registryv1.RefreshNodeRequest{Record: refreshed})); err != nil || !a.Msg.GetAccepted() {
		t.Fatalf("refresh: got %v, %v, want accepted", a, err)
	}
	var one map[string]any
	if status := p.get("/nodeById?nodeId="+n.ID().String(), &one); status != http.StatusOK || one["loadMbps"] != 250.0 || one["nodeId"] != n.ID().String() {
		t.Errorf("nodeById: got %d, %v, want the refreshed node", status, one)
	}

	tombstone := n.tombstone(t)
	for range 2 { // the second time it is known
		if a, err := p.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: tombstone})); err != nil || !a.Msg.GetAccepted() {
			t.Fatalf("deregister: got %v, %v, want accepted", a, err)
		}
	}
	p.wantShown()
	if a, err := p.register(refreshed); err != nil || a.GetAccepted() {
		t.Errorf("replay after leaving: got %v, %v, want not accepted", a, err)
	}
	p.wantShown()
	p.mustRegister(n.record(t, nil))
	p.wantShown(n)
}

func TestRegistry_showsTheRecordThatStandsInTheWay(t *testing.T) {
	p, n := start(t, testConfig(t)), newNode(t)
	n.seq = 500
	newest := n.record(t, nil)
	p.mustRegister(newest)
	n.seq = 3
	a, err := p.register(n.record(t, nil))
	if err != nil || a.GetAccepted() || !proto.Equal(a.GetHeld(), newest) || a.GetRegistry() != p.ID().String() {
		t.Errorf("got %v, %v, want the newest record and this registry's id", a, err)
	}
}

func TestRegistry_remembersOverARestart(t *testing.T) {
	c := testConfig(t)
	stays, leaves := newNode(t), newNode(t)
	first := start(t, c)
	first.mustRegister(stays.record(t, nil))
	old := leaves.record(t, nil)
	first.mustRegister(old)
	if _, err := first.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: leaves.tombstone(t)})); err != nil {
		t.Fatal(err)
	}
	first.stop()

	second := start(t, c)
	if first.ID() != second.ID() {
		t.Errorf("id: got %s, want %s as before", second.ID(), first.ID())
	}
	second.wantShown(stays)
	if a, err := second.register(old); err != nil || a.GetAccepted() {
		t.Errorf("replay of a node that left before the restart: got %v, %v, want not accepted", a, err)
	}
	second.wantShown(stays)
}

func TestRegistry_recordExpires(t *testing.T) {
	c := testConfig(t)
	c.ExpireEvery = 10 * time.Millisecond
	p, n := start(t, c), newNode(t)
	p.mustRegister(n.record(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) {
		e.TTL, e.IssuedAt = time.Second, e.IssuedAt.Add(-30500*time.Millisecond) // 500 ms of grace are left
	}))
	p.eventually("the expired node is gone", func() bool { return len(p.shown()) == 0 })
}

func TestRegistry_refusesByField(t *testing.T) {
	p := start(t, testConfig(t))
	other := newNode(t)
	tests := map[string]struct {
		change func(*envelope.Envelope, *registryv1.NodeBody)
		after  func(*registryv1.Record) // after signing
		code   connect.Code
		says   string
	}{
		"another network": {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Network = "main" }, code: connect.CodeInvalidArgument, says: "network"},
		"another kind":    {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Kind = "registry" }, code: connect.CodeInvalidArgument, says: "kind"},
		"about another":   {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Subject = other.ID() }, code: connect.CodePermissionDenied, says: "issuer"},
		"from the future": {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.IssuedAt = time.Now().Add(time.Minute) }, code: connect.CodeFailedPrecondition, says: "issued_at_ms"},
		"expired":         {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.IssuedAt = time.Now().Add(-10 * time.Minute) }, code: connect.CodeFailedPrecondition, says: "issued_at_ms"},
		"long life":       {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.TTL = time.Hour }, code: connect.CodeInvalidArgument, says: "ttl_s"},
		"tombstone":       {change: func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Flags = envelope.Tombstone }, code: connect.CodeInvalidArgument, says: "flags"},
		"large": {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) {
			for range 200 {
				b.Features = append(b.Features, strings.Repeat("f", 30))
			}
		}, code: connect.CodeInvalidArgument, says: "body"},
		"place":         {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Geolocation = "91,0" }, code: connect.CodeInvalidArgument, says: "geolocation"},
		"url":           {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Url = "javascript:alert(1)" }, code: connect.CodeInvalidArgument, says: "url"},
		"fingerprint":   {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.TlsFingerprint = nil }, code: connect.CodeInvalidArgument, says: "tls_fingerprint"},
		"another's key": {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.PubKey = other.Public().Hex() }, code: connect.CodeInvalidArgument, says: "pub_key"},
		"another's id": {change: func(_ *envelope.Envelope, b *registryv1.NodeBody) {
			b.NodeId, b.PubKey = other.ID().String(), other.Public().Hex()
		}, code: connect.CodeInvalidArgument, says: "node_id"},
		"changed body":     {after: func(r *registryv1.Record) { r.Body = append(r.Body, 0x78, 9) }, code: connect.CodeUnauthenticated, says: "signature"}, // field 15: max_sessions
		"no signature":     {after: func(r *registryv1.Record) { r.Signature = nil }, code: connect.CodeInvalidArgument, says: "envelope"},
		"garbage body":     {after: func(r *registryv1.Record) { r.Body = []byte("garbage") }, code: connect.CodeInvalidArgument, says: "body"},
		"short subject":    {after: func(r *registryv1.Record) { r.Subject = []byte{1} }, code: connect.CodeInvalidArgument, says: "field 3"},
		"more than a page": {after: func(r *registryv1.Record) { r.Body = make([]byte, 1<<20) }, code: connect.CodeResourceExhausted, says: "8192"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newNode(t).record(t, tt.change)
			if tt.after != nil {
				tt.after(r)
			}
			a, err := p.register(r)
			if connect.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v, %v, want %s naming %q", a, err, tt.code, tt.says)
			}
		})
	}
	if _, err := p.register(nil); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "record: is missing") {
		t.Errorf("no record: got %v, want InvalidArgument", err)
	}
	if _, err := p.RefreshNode(t.Context(), connect.NewRequest(&registryv1.RefreshNodeRequest{Record: newNode(t).record(t, nil)})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("refreshing a stranger: got %v, want NotFound", err)
	}
	if _, err := p.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: newNode(t).record(t, nil)})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("deregistering with a living record: got %v, want InvalidArgument", err)
	}
	p.wantShown()
}

func TestRegistry_oneNodeMayNotUpdateTooOften(t *testing.T) {
	p, n := start(t, testConfig(t)), newNode(t)
	for range 5 {
		p.mustRegister(n.record(t, nil))
	}
	if _, err := p.register(n.record(t, nil)); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("sixth update: got %v, want ResourceExhausted", err)
	}
	p.mustRegister(newNode(t).record(t, nil))
}

// quick makes the keepalive fast enough for a test in real time.
func quick(c registry.Config) registry.Config {
	c.KeepAliveEvery, c.KeepAliveReopen = 50*time.Millisecond, 100*time.Millisecond
	return c
}

// answer serves a keepalive stream until ctx ends or the Registry does.
func (p *process) answer(ctx context.Context, n *mediaNode, ready chan<- struct{}) error {
	stream := p.KeepAlive(ctx)
	defer stream.CloseResponse()
	defer stream.CloseRequest()
	id := n.ID()
	if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: id[:]}}}); err != nil {
		return err
	}
	for {
		ask, err := stream.Receive()
		if err != nil {
			return err
		}
		sig := n.SignMessage(fmt.Appendf(nil, "drtc keepalive\n%s\n%x", drtc.NodeID(ask.GetRegistry()), ask.GetNonce()))
		if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Pong{Pong: &registryv1.Pong{Nonce: ask.GetNonce(), Signature: sig[:]}}}); err != nil {
			return err
		}
		if ready != nil {
			close(ready)
			ready = nil
		}
	}
}

func TestRegistry_nodeThatStopsAnsweringLeavesAndComesBack(t *testing.T) {
	p, n := start(t, quick(testConfig(t))), newNode(t)
	p.mustRegister(n.record(t, nil))
	for range 2 {
		ctx, kill := context.WithCancel(t.Context())
		ended, ready := make(chan error, 1), make(chan struct{})
		go func() { ended <- p.answer(ctx, n, ready) }()
		<-ready
		p.eventually("the node is shown", func() bool { return len(p.shown()) == 1 })
		kill()
		<-ended
		p.eventually("the dead node is gone", func() bool { return len(p.shown()) == 0 })
	}
	p.mustRegister(n.record(t, nil)) // a record is no sign of life
	p.wantShown()
}

func TestRegistry_keepAliveRefusals(t *testing.T) {
	p, n := start(t, quick(testConfig(t))), newNode(t)
	if err := p.answer(t.Context(), n, nil); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a node without a record: got %v, want NotFound", err)
	}
	p.mustRegister(n.record(t, nil))
	stranger := &mediaNode{Key: newNode(t).Key}
	id := n.ID()
	hello := &registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: id[:]}}}
	signed := func(k *identity.Key, message string) []byte { s := k.SignMessage([]byte(message)); return s[:] }
	tests := map[string]struct {
		first *registryv1.KeepAliveRequest
		pong  func(*registryv1.KeepAliveResponse) *registryv1.Pong
		want  connect.Code
	}{
		"no hello":    {&registryv1.KeepAliveRequest{}, nil, connect.CodeInvalidArgument},
		"short hello": {&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: []byte{1}}}}, nil, connect.CodeInvalidArgument},
		"short signature": {hello, func(a *registryv1.KeepAliveResponse) *registryv1.Pong {
			return &registryv1.Pong{Nonce: a.GetNonce(), Signature: []byte{1}}
		}, connect.CodeInvalidArgument},
		"another nonce": {hello, func(a *registryv1.KeepAliveResponse) *registryv1.Pong {
			return &registryv1.Pong{Nonce: make([]byte, 16), Signature: make([]byte, 65)}
		}, connect.CodeUnauthenticated},
		"another's signature": {hello, func(a *registryv1.KeepAliveResponse) *registryv1.Pong {
			return &registryv1.Pong{Nonce: a.GetNonce(), Signature: signed(stranger.Key, fmt.Sprintf("drtc keepalive\n%s\n%x", p.ID(), a.GetNonce()))}
		}, connect.CodeUnauthenticated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stream := p.KeepAlive(t.Context())
			defer stream.CloseResponse()
			defer stream.CloseRequest()
			if err := stream.Send(tt.first); err != nil {
				t.Fatal(err)
			}
			ask, err := stream.Receive()
			if tt.pong != nil {
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Pong{Pong: tt.pong(ask)}}); err != nil {
					t.Fatal(err)
				}
				for err == nil {
					_, err = stream.Receive()
				}
			}
			if connect.CodeOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	p.wantShown(n)
}

func TestRegistry_silentStreamIsEnded(t *testing.T) {
	p, n := start(t, quick(testConfig(t))), newNode(t)
	p.mustRegister(n.record(t, nil))
	stream := p.KeepAlive(t.Context())
	defer stream.CloseResponse()
	defer stream.CloseRequest()
	id := n.ID()
	if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: id[:]}}}); err != nil {
		t.Fatal(err)
	}
	nonces := 0
	for {
		if _, err := stream.Receive(); err != nil {
			break
		}
		nonces++
	}
	if nonces != 2 {
		t.Errorf("asked %d times before the end, want 2", nonces)
	}
	p.wantShown(n) // it never proved who it was
}

// Many nodes at once share the waits for the disk; all that was acknowledged is
// there after a restart, in the same state.
func TestRegistry_manyAtOnceSurviveARestart(t *testing.T) {
	c := testConfig(t)
	first := start(t, c)
	var nodes []*mediaNode
	var calls sync.WaitGroup
	for range 40 {
		n := newNode(t)
		nodes = append(nodes, n)
		records := []*registryv1.Record{n.record(t, nil), n.record(t, nil), n.record(t, nil)}
		for _, r := range append(records, records...) { // each twice, in any order
			calls.Go(func() {
				if _, err := first.register(r); err != nil {
					t.Errorf("register: %v", err)
				}
			})
		}
	}
	calls.Wait()
	first.wantShown(nodes...)
	records := func(p *process) string {
		var ids []string
		for _, n := range nodes {
			ids = append(ids, n.ID().String())
		}
		var answer struct{ Records []struct{ Record string } }
		p.get("/records?ids="+strings.Join(ids, ","), &answer)
		return fmt.Sprint(answer.Records)
	}
	before := records(first)
	first.stop()
	second := start(t, c)
	second.wantShown(nodes...)
	if after := records(second); after != before {
		t.Errorf("records went from %s to %s over a restart", before, after)
	}
}

func TestRegistry_oneAddressMayNotTakeAllConnections(t *testing.T) {
	c := testConfig(t)
	c.MaxConnectionsPerAddress = 2
	p := start(t, c)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) error {
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err
	}
	first, second := dial(), dial()
	if err := errors.Join(ask(first), ask(second)); err != nil {
		t.Fatal(err)
	}
	if err := ask(dial()); err == nil {
		t.Error("a third connection was served")
	}
	first.Close()
	p.eventually("another is served after one was closed", func() bool { return ask(dial()) == nil })
}

func TestRegistry_healthAndMetrics(t *testing.T) {
	p, n := start(t, testConfig(t)), newNode(t)
	p.mustRegister(n.record(t, nil))
	var health struct {
		Status, Network, Root string
		Registry              drtc.NodeID
		Records, Nodes        int
	}
	if status := p.get("/healthz", &health); status != http.StatusOK || health.Status != "ok" || health.Registry != p.ID() ||
		health.Records < 1 || health.Nodes != 1 || health.Network != "devnet" || len(health.Root) != 64 {
		t.Errorf("healthz: got %d, %+v", status, health)
	}
	a, err := http.Get(p.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`drtc_registry_submissions_total{outcome="stored",path="submitted"}`, `drtc_registry_records `,
		`drtc_registry_nodes{state="unknown"} 1`, `drtc_registry_nodes{state="down"} 0`, `drtc_registry_keepalive_streams 0`,
		`drtc_registry_gossip_connections`, `drtc_registry_registries 1`, `drtc_registry_distrusts_itself 0`,
		`drtc_registry_requests_total{path="/drtc.registry.v1.RegistryService/RegisterNode",status="200"} 1`,
		`drtc_registry_commit_seconds_count `, `go_goroutines`,
	} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func TestNew_refusals(t *testing.T) {
	for field, change := range map[string]func(*registry.Config){
		"listen":                      func(c *registry.Config) { c.Listen = "" },
		"dir":                         func(c *registry.Config) { c.Dir = "" },
		"network":                     func(c *registry.Config) { c.Network = "" },
		"max_connections":             func(c *registry.Config) { c.MaxConnections = 0 },
		"max_connections_per_address": func(c *registry.Config) { c.MaxConnectionsPerAddress = 0 },
		"expire_every":                func(c *registry.Config) { c.ExpireEvery = 0 },
		"shutdown_timeout":            func(c *registry.Config) { c.ShutdownTimeout = 0 },
		"MaxRecords":                  func(c *registry.Config) { c.MaxRecords = 0 },
		"Interval":                    func(c *registry.Config) { c.KeepAliveEvery = 0 },
		"Burst":                       func(c *registry.Config) { c.RequestBurst = 0 },
		"no/such/address":             func(c *registry.Config) { c.Listen = "no/such/address" },
		"0644": func(c *registry.Config) {
			c.KeyFile = filepath.Join(c.Dir, "open")
			_ = os.WriteFile(c.KeyFile, nil, 0o644)
		},
	} {
		c := testConfig(t)
		change(&c)
		if _, err := registry.New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
