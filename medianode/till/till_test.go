package till_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/till"
	"github.com/drtc-network/drtc/receipt"
)

var (
	network = receipt.Network{
		ChainID: 72010, Contract: drtc.NodeID{19: 9}, Genesis: time.Now().Add(-time.Hour).Truncate(time.Second), EpochLength: 24 * time.Hour,
	}
	node  = key(7)
	payer = key(1)
	shop  = receipt.Application{19: 1}
)

func key(n int) *identity.Key {
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", n))
	if err != nil {
		panic(err)
	}
	return k
}

func config(t *testing.T, dir string) till.Config {
	t.Helper()
	c := till.DefaultConfig(network)
	c.File, c.Network = filepath.Join(dir, "node.receipts"), "devnet"
	c.FlushEvery, c.PublishEvery = 5*time.Millisecond, 5*time.Millisecond
	return c
}

func open(t *testing.T, c till.Config) *till.Till {
	t.Helper()
	tl, err := till.Open(c, node, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

func run(t *testing.T, tl *till.Till) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tl.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func signed(t *testing.T, sequence, bytes uint64) receipt.Signed {
	t.Helper()
	s, err := receipt.Signed{
		Account:  receipt.Account{Application: shop, Orchestrator: payer.ID(), Node: node.ID()},
		Sequence: sequence, Counters: receipt.Counters{Client: bytes},
	}.Sign(payer, network.Domain())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// killed is what a node finds that was killed: a copy of its files at this moment.
func killed(t *testing.T, from till.Config) till.Config {
	t.Helper()
	c := config(t, t.TempDir())
	b, err := os.ReadFile(from.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.File, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// A receipt that was taken is there after kill -9, without anything being closed.
func TestTill_survivesKills(t *testing.T) {
	c := config(t, t.TempDir())
	tl := open(t, c)
	for i := range uint64(50) {
		tl.Count(payer.ID(), shop, receipt.Counters{Client: 1000})
		for _, err := range tl.Deliver(payer.ID(), []receipt.Signed{signed(t, i+1, 1000*i+500)}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if i%10 != 0 {
			continue
		}
		claims := open(t, killed(t, c)).Claims(payer.ID())
		if len(claims) != 1 || claims[0].Last.Client != 1000*i+500 || claims[0].Counted.Client != 1000*(i+1) {
			t.Fatalf("after receipt %d: got %+v", i+1, claims)
		}
	}
	run(t, tl)
	tl.Count(payer.ID(), shop, receipt.Counters{Relay: 77})
	until(t, "the file has what was counted", func() bool {
		claims := open(t, killed(t, c)).Claims(payer.ID())
		return len(claims) == 1 && claims[0].Counted.Relay == 77
	})
}

func TestTill_goesOnAfterAStopAndATornWrite(t *testing.T) {
	c := config(t, t.TempDir())
	tl := open(t, c)
	stop := run(t, tl)
	tl.Count(payer.ID(), shop, receipt.Counters{Client: 1000})
	tl.Deliver(payer.ID(), []receipt.Signed{signed(t, 1, 400)})
	stop()
	if err := tl.Deliver(payer.ID(), []receipt.Signed{signed(t, 2, 500)})[0]; err == nil {
		t.Error("a receipt was taken that is nowhere")
	}
	if s := tl.Judge(payer.ID()); s.Decision != receipt.StopNew {
		t.Errorf("without a file an Orchestrator stands %s", s.Decision)
	}
	f, err := os.OpenFile(c.File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0, 0, 1, 0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	again := open(t, c)
	if claims := again.Claims(payer.ID()); len(claims) != 1 || claims[0].Last.Client != 400 || claims[0].Counted.Client != 1000 {
		t.Errorf("got %+v", claims)
	}
	info, err := os.Stat(c.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v), want it to be the node's alone", info.Mode(), err)
	}
}

func TestOpen_refusesAFileOfAnother(t *testing.T) {
	c := config(t, t.TempDir())
	tl := open(t, c)
	tl.Count(payer.ID(), shop, receipt.Counters{Client: 1})
	if _, err := till.Open(c, key(8), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); !errors.Is(err, receipt.ErrParty) {
		t.Errorf("got %v, want %v", err, receipt.ErrParty)
	}
	c.File = ""
	if _, err := till.Open(c, node, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
		t.Error("it was opened nowhere")
	}
}

// registry holds the newest record of each page.
type registry struct {
	registryv1connect.UnimplementedRegistryServiceHandler
	mu      sync.Mutex // guards what follows
	down    bool
	records map[drtc.NodeID]envelope.Envelope
}

func newRegistry(t *testing.T) (*registry, string) {
	t.Helper()
	r := &registry{records: map[drtc.NodeID]envelope.Envelope{}}
	mux := http.NewServeMux()
	mux.Handle(registryv1connect.NewRegistryServiceHandler(r))
	s := httptest.NewUnstartedServer(mux)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return r, s.URL
}

// Publish implements the RegistryService.
func (r *registry) Publish(_ context.Context, req *connect.Request[registryv1.PublishRequest]) (*connect.Response[registryv1.PublishResponse], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, connect.NewError(connect.CodeUnavailable, io.EOF)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(req.Msg.GetRecord())
	if err != nil {
		return nil, err
	}
	e, err := envelope.Parse(b)
	if err == nil {
		err = e.Verify()
	}
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	held, ok := r.records[e.Subject]
	if ok && e.Version().Less(held.Version()) {
		m := &registryv1.Record{}
		if err := proto.Unmarshal(held.Bytes(), m); err != nil {
			return nil, err
		}
		return connect.NewResponse(&registryv1.PublishResponse{Held: m}), nil
	}
	r.records[e.Subject] = e
	return connect.NewResponse(&registryv1.PublishResponse{Accepted: true}), nil
}

func (r *registry) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// bytes is what the receipts say that the Registry holds.
func (r *registry) bytes(t *testing.T) (sum uint64) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for subject, e := range r.records {
		p, err := receipt.ParsePage(e.Body)
		if err == nil {
			err = p.Verify(network.Domain())
		}
		if err != nil || p.Subject() != subject || e.Issuer != node.ID() || e.Kind != "receipt" || e.TTL != network.Life() {
			t.Fatalf("record of %s: %+v, %v", subject, e, err)
		}
		for _, s := range p.Receipts {
			sum += s.Sum()
		}
	}
	return sum
}

func TestTill_bringsReceiptsToEveryRegistry(t *testing.T) {
	up, upURL := newRegistry(t)
	away, awayURL := newRegistry(t)
	away.down = true
	c := config(t, t.TempDir())
	c.Registries = []string{upURL, awayURL, "http://127.0.0.1:1"}
	tl := open(t, c)
	stop := run(t, tl)
	tl.Deliver(payer.ID(), []receipt.Signed{signed(t, 1, 400)})
	until(t, "one Registry has the receipt", func() bool { return up.bytes(t) == 400 })
	tl.Deliver(payer.ID(), []receipt.Signed{signed(t, 2, 500)})
	until(t, "it has the next", func() bool { return up.bytes(t) == 500 })
	away.change(func() { away.down = false })
	until(t, "the other has it when it is back", func() bool { return away.bytes(t) == 500 })
	stop()

	// Another run goes on, also from a record of a clock that was ahead.
	up.change(func() {
		for subject, e := range up.records {
			e.Seq = uint64(time.Now().Add(time.Hour).UnixMilli())
			if err := e.Sign(node); err != nil {
				t.Error(err)
			}
			up.records[subject] = e
		}
	})
	again := open(t, c)
	run(t, again)
	again.Deliver(payer.ID(), []receipt.Signed{signed(t, 3, 600)})
	until(t, "the newer record is followed", func() bool { return up.bytes(t) == 600 && away.bytes(t) == 600 })
}

// A Registry that names a record which is not the node's own moves nothing.
func TestTill_believesNoForeignRecord(t *testing.T) {
	r, url := newRegistry(t)
	page := receipt.Page{Node: node.ID(), Receipts: []receipt.Signed{signed(t, 1, 400)}}
	lie := envelope.Envelope{
		Kind: "receipt", Network: "devnet", Subject: page.Subject(), Seq: 1<<64 - 2, IssuedAt: time.Now(), TTL: time.Hour, Body: page.Bytes(),
	}
	if err := lie.Sign(key(8)); err != nil {
		t.Fatal(err)
	}
	r.records[lie.Subject] = lie
	c := config(t, t.TempDir())
	c.Registries = []string{url}
	tl := open(t, c)
	run(t, tl)
	tl.Deliver(payer.ID(), []receipt.Signed{signed(t, 1, 400)})
	r.change(func() { delete(r.records, lie.Subject) })
	until(t, "the receipt is there", func() bool {
		r.mu.Lock()
		e, ok := r.records[lie.Subject]
		r.mu.Unlock()
		return ok && e.Issuer == node.ID() && e.Seq < 1<<60
	})
}
