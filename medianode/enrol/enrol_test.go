package enrol

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
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
)

// fakeRegistry takes what is newer, as a Registry does, or does as it is told.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler
	*httptest.Server
	id     drtc.NodeID
	events chan string // register, refresh, leave, pong; with the seq of a record

	mu      sync.Mutex // guards all below
	held    *registryv1.Record
	refuse  error              // every call
	lie     *registryv1.Record // shown as held
	asks    chan drtc.NodeID   // whom the keepalive says it is; nil keeps it closed
	nonce   []byte
	streams int // opened so far
	open    int // at the moment
	probers []*registryv1.Prober
	minimum uint64 // generation that is taken
}

func newFake(t *testing.T, id byte) *fakeRegistry {
	f := &fakeRegistry{id: drtc.NodeID{19: id}, events: make(chan string, 1000), nonce: bytes.Repeat([]byte{id}, nonceSize)}
	mux := http.NewServeMux()
	mux.Handle(registryv1connect.NewRegistryServiceHandler(f))
	f.Server = httptest.NewUnstartedServer(mux)
	f.Config.Protocols = new(http.Protocols)
	f.Config.Protocols.SetUnencryptedHTTP2(true)
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// take judges a record like a Registry and reports it.
func (f *fakeRegistry) take(what string, r *registryv1.Record) (accepted bool, held *registryv1.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return false, nil, f.refuse
	}
	e, err := fromProto(r)
	if err != nil {
		return false, nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if f.lie != nil {
		return false, f.lie, nil
	}
	if e.Generation < f.minimum {
		return false, nil, nil
	}
	if f.held != nil {
		if old, err := fromProto(f.held); err == nil && !old.Version().Less(e.Version()) && !proto.Equal(f.held, r) {
			return false, f.held, nil
		}
	} else if what == "refresh" {
		return false, nil, connect.NewError(connect.CodeNotFound, errors.New("register first"))
	}
	f.held = r
	f.events <- what
	return true, nil, nil
}

func fromProto(r *registryv1.Record) (envelope.Envelope, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return envelope.Envelope{}, err
	}
	e, err := envelope.Parse(b)
	if err != nil {
		return e, err
	}
	return e, e.Verify()
}

func (f *fakeRegistry) RegisterNode(_ context.Context, r *connect.Request[registryv1.RegisterNodeRequest]) (*connect.Response[registryv1.RegisterNodeResponse], error) {
	accepted, held, err := f.take("register", r.Msg.GetRecord())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return connect.NewResponse(&registryv1.RegisterNodeResponse{Registry: f.id.String(), Accepted: accepted, Held: held, MinGeneration: f.minimum, Probers: f.probers}), nil
}

func (f *fakeRegistry) RefreshNode(_ context.Context, r *connect.Request[registryv1.RefreshNodeRequest]) (*connect.Response[registryv1.RefreshNodeResponse], error) {
	accepted, held, err := f.take("refresh", r.Msg.GetRecord())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return connect.NewResponse(&registryv1.RefreshNodeResponse{Registry: f.id.String(), Accepted: accepted, Held: held, MinGeneration: f.minimum, Probers: f.probers}), nil
}

func (f *fakeRegistry) DeregisterNode(_ context.Context, r *connect.Request[registryv1.DeregisterNodeRequest]) (*connect.Response[registryv1.DeregisterNodeResponse], error) {
	accepted, held, err := f.take("leave", r.Msg.GetTombstone())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.DeregisterNodeResponse{Registry: f.id.String(), Accepted: accepted, Held: held}), nil
}

// KeepAlive asks once, as whoever asks says, reports a good answer and ends.
func (f *fakeRegistry) KeepAlive(ctx context.Context, s *connect.BidiStream[registryv1.KeepAliveRequest, registryv1.KeepAliveResponse]) error {
	hello, err := s.Receive()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.streams++
	f.open++
	asks, unknown := f.asks, f.held == nil
	f.mu.Unlock()
	defer f.change(func() { f.open-- })
	if unknown {
		return connect.NewError(connect.CodeNotFound, errors.New("register first"))
	}
	var as drtc.NodeID
	select {
	case as = <-asks:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.Send(&registryv1.KeepAliveResponse{Nonce: f.nonce, Registry: as[:]}); err != nil {
		return err
	}
	m, err := s.Receive()
	if err != nil {
		f.events <- "no pong"
		return err
	}
	pong := m.GetPong()
	if len(pong.GetSignature()) != 65 {
		f.events <- "bad pong"
		return nil
	}
	signer, err := identity.RecoverMessage(fmt.Appendf(nil, "drtc keepalive\n%s\n%x", f.id, f.nonce), identity.Signature(pong.GetSignature()))
	if err != nil || !bytes.Equal(pong.GetNonce(), f.nonce) || signer.ID() != drtc.NodeID(hello.GetHello().GetNode()) {
		f.events <- "bad pong"
		return nil
	}
	f.events <- "pong"
	return nil
}

func (f *fakeRegistry) want(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-f.events:
		if got != want {
			t.Fatalf("the Registry saw %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the Registry did not see %q within 20s", want)
	}
}

func (f *fakeRegistry) current(t *testing.T) envelope.Envelope {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := fromProto(f.held)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// figures are a node's, to be changed by a test.
type figures struct {
	mu sync.Mutex // guards p
	p  Payload
}

func newFigures() *figures {
	return &figures{p: Payload{
		Region: drtc.Europe, Place: &drtc.Place{Lat: 50.11, Lon: 8.68}, PlaceName: "Frankfurt",
		URL: "https://10.0.0.1:7901", TLSFingerprint: [32]byte{1}, Version: "0.1.0",
		CapacityMbps: 1000, MaxSessions: 100, Features: []string{"vp8"}, MediaAddresses: []string{"10.0.0.1:7902"},
	}}
}

func (f *figures) payload() Payload {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.p
}

func (f *figures) change(do func(*Payload)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.p)
}

func testConfig(registries ...*fakeRegistry) Config {
	c := DefaultConfig()
	c.Network, c.Watch, c.RetryMin, c.RetryMax = "devnet", 5*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond
	for _, f := range registries {
		c.Registries = append(c.Registries, f.URL)
	}
	return c
}

func newEnrolment(t *testing.T, c Config, k *identity.Key, f *figures) *Enrolment {
	t.Helper()
	e, err := New(c, k, f.payload, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs e until stop, which waits for its end.
func run(t *testing.T, e *Enrolment) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestRegister_threeResults(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()
	notOurs := httptest.NewServer(http.NotFoundHandler()) // HTTP/1.1 only
	defer notOurs.Close()

	good, refusing := newFake(t, 1), newFake(t, 2)
	refusing.refuse = connect.NewError(connect.CodeResourceExhausted, errors.New("full"))
	c := testConfig(good, refusing)
	c.Registries = append(c.Registries, nobody, notOurs.URL)
	e := newEnrolment(t, c, newKey(t), newFigures())
	for _, tt := range []struct {
		registry string
		want     Result
		name     string
	}{
		{good.URL, Success, "SUCCESS"},
		{refusing.URL, RegistrationFailed, "REGISTRATION_FAILED"},
		{nobody, ConnectionFailed, "CONNECTION_FAILED"},
		{notOurs.URL, ConnectionFailed, "CONNECTION_FAILED"},
		{"http://not.configured", ConnectionFailed, "CONNECTION_FAILED"},
	} {
		got, err := e.Register(t.Context(), tt.registry)
		if got != tt.want || got.String() != tt.name || (err == nil) != (tt.want == Success) {
			t.Errorf("%s: got %s, %v, want %s", tt.registry, got, err, tt.name)
		}
	}
	status := e.Status()
	if s := status[0]; s.Result != Success || s.ID != good.id || s.Err != nil || s.Since.IsZero() {
		t.Errorf("status of the good one: %+v", s)
	}
	if s := status[1]; s.Result != RegistrationFailed || s.Err == nil || !strings.Contains(s.Err.Error(), "full") {
		t.Errorf("status of the refusing one: %+v", s)
	}
}

func TestRegister_sendsTheWholePayload(t *testing.T) {
	f, k, figures := newFake(t, 1), newKey(t), newFigures()
	figures.change(func(p *Payload) { p.Owner, p.Draining = drtc.NodeID{19: 0xaa}, true })
	e := newEnrolment(t, testConfig(f), k, figures)
	if got, err := e.Register(t.Context(), f.URL); got != Success {
		t.Fatal(got, err)
	}
	record := f.current(t)
	var b registryv1.NodeBody
	if err := proto.Unmarshal(record.Body, &b); err != nil {
		t.Fatal(err)
	}
	want := &registryv1.NodeBody{
		NodeId: k.ID().String(), PubKey: k.Public().Hex(), Region: "EU", Geolocation: "50.11,8.68", PlaceName: "Frankfurt",
		Url: "https://10.0.0.1:7901", TlsFingerprint: append([]byte{1}, make([]byte, 31)...), Version: "0.1.0",
		CapacityMbps: 1000, MaxSessions: 100, Features: []string{"vp8"}, MediaAddresses: []string{"10.0.0.1:7902"},
		Owner: "0x00000000000000000000000000000000000000aa", Draining: true,
	}
	if !proto.Equal(&b, want) {
		t.Errorf("got %v\nwant %v", &b, want)
	}
	if record.TTL != 300*time.Second || record.Network != "devnet" || record.Subject != k.ID() || record.IsTombstone() {
		t.Errorf("envelope: got %+v", record)
	}
}

func TestRegister_goesOnAfterLosingState(t *testing.T) {
	k := newKey(t)
	for name, at := range map[string]struct{ held, want envelope.Version }{
		"the clock was ahead":     {envelope.Version{Seq: 1 << 60}, envelope.Version{Seq: 1<<60 + 1}},
		"a later generation":      {envelope.Version{Generation: 3, Seq: 5}, envelope.Version{Generation: 3, Seq: 6}},
		"the numbers are used up": {envelope.Version{Generation: 3, Seq: math.MaxUint64}, envelope.Version{Generation: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 1)
			f.held = record(t, k, at.held, nil)
			e := newEnrolment(t, testConfig(f), k, newFigures())
			if got, err := e.Register(t.Context(), f.URL); got != Success {
				t.Fatal(got, err)
			}
			if got := f.current(t); got.Version() != at.want {
				t.Errorf("got version %v, want %v", got.Version(), at.want)
			}
		})
	}
}

func record(t *testing.T, k *identity.Key, v envelope.Version, change func(*envelope.Envelope)) *registryv1.Record {
	t.Helper()
	e := envelope.Envelope{Kind: "node", Network: "devnet", Subject: k.ID(), Generation: v.Generation, Seq: v.Seq, IssuedAt: time.Now(), TTL: time.Minute}
	if change != nil {
		change(&e)
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	r, err := toProto(&e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A hostile Registry cannot use up the node's numbers.
func TestRegister_refusesAMadeUpRecord(t *testing.T) {
	k, other := newKey(t), newKey(t)
	high := envelope.Version{Generation: 9, Seq: math.MaxUint64}
	forged := record(t, k, high, nil)
	forged.Seq--
	for name, lie := range map[string]*registryv1.Record{
		"forged":             forged,
		"another node's":     record(t, other, high, nil),
		"of another kind":    record(t, k, high, func(e *envelope.Envelope) { e.Kind = "registry" }),
		"of another network": record(t, k, high, func(e *envelope.Envelope) { e.Network = "main" }),
		"empty":              {},
		"an old one again":   record(t, k, envelope.Version{}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 1)
			f.lie = lie
			e := newEnrolment(t, testConfig(f), k, newFigures())
			before, _ := e.author.current()
			if got, err := e.Register(t.Context(), f.URL); got != RegistrationFailed || err == nil {
				t.Errorf("got %s, %v, want REGISTRATION_FAILED", got, err)
			}
			if after, _ := e.author.current(); after.Version() != before.Version() {
				t.Errorf("version went from %v to %v", before.Version(), after.Version())
			}
		})
	}
}

func TestRun_registersRefreshesOnChangeAndLeaves(t *testing.T) {
	a, b, figures := newFake(t, 1), newFake(t, 2), newFigures()
	e := newEnrolment(t, testConfig(a, b), newKey(t), figures)
	stop := run(t, e)
	a.want(t, "register")
	b.want(t, "register")
	figures.change(func(p *Payload) { p.Sessions = 1 })
	a.want(t, "refresh")
	b.want(t, "refresh")
	figures.change(func(p *Payload) { p.Draining = true })
	a.want(t, "refresh")
	b.want(t, "refresh")
	stop()
	a.want(t, "leave")
	b.want(t, "leave")
	x, y := a.current(t), b.current(t)
	if !x.IsTombstone() || x.Hash() != y.Hash() {
		t.Errorf("got %+v and %+v, want one tombstone in both", x, y)
	}
}

func TestRun_refreshesInTime(t *testing.T) {
	f := newFake(t, 1)
	c := testConfig(f)
	c.Refresh, c.Watch = 10*time.Millisecond, time.Hour
	run(t, newEnrolment(t, c, newKey(t), newFigures()))
	f.want(t, "register")
	f.want(t, "refresh")
	f.want(t, "refresh")
}

func TestRun_comesBackAfterTheRegistryDoes(t *testing.T) {
	f, figures := newFake(t, 1), newFigures()
	f.refuse = connect.NewError(connect.CodeUnavailable, errors.New("not yet"))
	run(t, newEnrolment(t, testConfig(f), newKey(t), figures))
	f.change(func() { f.refuse = nil })
	f.want(t, "register")
	f.change(func() { f.held = nil }) // it lost everything
	figures.change(func(p *Payload) { p.Sessions = 50 })
	f.want(t, "register")
}

func TestRun_answersTheKeepAliveOfItsRegistryOnly(t *testing.T) {
	f := newFake(t, 1)
	f.asks = make(chan drtc.NodeID)
	run(t, newEnrolment(t, testConfig(f), newKey(t), newFigures()))
	f.want(t, "register")
	for range 2 { // on a new stream each time
		f.asks <- f.id
		f.want(t, "pong")
	}
	f.asks <- drtc.NodeID{7}
	f.want(t, "no pong")
	f.asks <- f.id
	f.want(t, "pong")
}

func TestRun_registersAgainWhenTheKeepAliveSaysSo(t *testing.T) {
	f := newFake(t, 1)
	f.asks = make(chan drtc.NodeID)
	run(t, newEnrolment(t, testConfig(f), newKey(t), newFigures()))
	f.want(t, "register")
	f.change(func() { f.held = nil }) // it lost everything
	deadline := time.After(20 * time.Second)
	for {
		select {
		case f.asks <- f.id: // ends a stream from before
		case got := <-f.events:
			if got == "register" {
				return
			}
		case <-deadline:
			t.Fatal("not registered again within 20s")
		}
	}
}

func TestRun_givesUpASilentKeepAlive(t *testing.T) {
	f := newFake(t, 1)
	c := testConfig(f)
	c.Silence = 20 * time.Millisecond
	run(t, newEnrolment(t, c, newKey(t), newFigures()))
	f.want(t, "register")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for opened := 0; opened < 3; {
		select {
		case <-tick.C:
			f.change(func() { opened = f.streams })
		case <-deadline:
			t.Fatalf("opened %d streams in 20s, want another after each silence", opened)
		}
	}
}

func TestRun_leavingIsBounded(t *testing.T) {
	f := newFake(t, 1)
	c := testConfig(f)
	c.Leave = 20 * time.Millisecond
	stop := run(t, newEnrolment(t, c, newKey(t), newFigures()))
	f.want(t, "register")
	f.mu.Lock() // the Registry hangs
	start := time.Now()
	stop()
	took := time.Since(start)
	f.mu.Unlock()
	if took > 10*time.Second {
		t.Errorf("took %s, want about 20ms", took)
	}
}

func TestPayload_differs(t *testing.T) {
	tests := map[string]struct {
		change func(*Payload)
		want   bool
	}{
		"nothing":            {func(*Payload) {}, false},
		"an equal place":     {func(p *Payload) { q := *p.Place; p.Place = &q }, false},
		"a tenth of load":    {func(p *Payload) { p.LoadMbps = 300 }, false},
		"more load":          {func(p *Payload) { p.LoadMbps = 301 }, true},
		"less load":          {func(p *Payload) { p.LoadMbps = 99 }, true},
		"no load":            {func(p *Payload) { p.LoadMbps = 0 }, true},
		"ten sessions":       {func(p *Payload) { p.Sessions = 30 }, false},
		"eleven sessions":    {func(p *Payload) { p.Sessions = 31 }, true},
		"the last has gone":  {func(p *Payload) { p.Sessions = 0 }, true},
		"draining":           {func(p *Payload) { p.Draining = true }, true},
		"another place":      {func(p *Payload) { p.Place = &drtc.Place{} }, true},
		"no place":           {func(p *Payload) { p.Place = nil }, true},
		"another feature":    {func(p *Payload) { p.Features = []string{"av1"} }, true},
		"another address":    {func(p *Payload) { p.MediaAddresses = nil }, true},
		"another url":        {func(p *Payload) { p.URL += "0" }, true},
		"another print":      {func(p *Payload) { p.TLSFingerprint[5]++ }, true},
		"more capacity":      {func(p *Payload) { p.CapacityMbps++ }, true},
		"another region":     {func(p *Payload) { p.Region = drtc.Asia }, true},
		"another owner":      {func(p *Payload) { p.Owner[0]++ }, true},
		"another ip":         {func(p *Payload) { p.IP = "10.0.0.2" }, true},
		"another version":    {func(p *Payload) { p.Version = "0.1.1" }, true},
		"more cores":         {func(p *Payload) { p.Cores++ }, true},
		"more max sessions":  {func(p *Payload) { p.MaxSessions++ }, true},
		"another metricsUrl": {func(p *Payload) { p.MetricsURL = "http://x" }, true},
		"another discovery":  {func(p *Payload) { p.DiscoveryURL = "http://x" }, true},
		"another place name": {func(p *Payload) { p.PlaceName = "Paris" }, true},
	}
	for name, tt := range tests {
		old := newFigures().p
		old.LoadMbps, old.Sessions = 200, 20
		changed := old
		tt.change(&changed)
		if got := old.differs(&changed); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestNew_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Registries is empty": func(c *Config) { c.Registries = nil },
		"Registries: want":    func(c *Config) { c.Registries = []string{"registry.example"} },
		"Network":             func(c *Config) { c.Network = "" },
		"TTL":                 func(c *Config) { c.TTL = time.Hour },
		"Refresh":             func(c *Config) { c.Refresh = c.TTL },
		"Watch":               func(c *Config) { c.Watch = 0 },
		"Timeout":             func(c *Config) { c.Timeout = 0 },
		"Leave":               func(c *Config) { c.Leave = 0 },
		"RetryMin":            func(c *Config) { c.RetryMin = 0 },
		"RetryMax":            func(c *Config) { c.RetryMax = 0 },
		"Silence":             func(c *Config) { c.Silence = 0 },
		"network":             func(c *Config) { c.Network = "not a name" },
	} {
		c := testConfig()
		c.Registries = []string{"http://registry.example"}
		change(&c)
		if _, err := New(c, newKey(t), newFigures().payload, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
