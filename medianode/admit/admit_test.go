package admit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
)

// fakeRegistry shows the answer that it is given.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler
	*httptest.Server
	asked chan struct{} // one for each question

	mu     sync.Mutex // guards answer
	answer *registryv1.GetAdmissionResponse
}

func newFake(t *testing.T) *fakeRegistry {
	f := &fakeRegistry{asked: make(chan struct{}, 10_000)}
	mux := http.NewServeMux()
	mux.Handle(registryv1connect.NewRegistryServiceHandler(f))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) GetAdmission(context.Context, *connect.Request[registryv1.GetAdmissionRequest]) (*connect.Response[registryv1.GetAdmissionResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked <- struct{}{}
	if f.answer == nil {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("no list"))
	}
	return connect.NewResponse(f.answer), nil
}

// shows makes the Registry show a list with the given signatures.
func (f *fakeRegistry) shows(t *testing.T, body []byte, attestations ...envelope.Envelope) {
	t.Helper()
	a := &registryv1.GetAdmissionResponse{Body: body}
	for _, e := range attestations {
		var r registryv1.Record
		if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		a.Attestations = append(a.Attestations, &r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = a
}

func newKeys(t *testing.T, n int) (keys []*identity.Key, ids []drtc.NodeID) {
	t.Helper()
	for range n {
		k, err := identity.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys, ids = append(keys, k), append(ids, k.ID())
	}
	return keys, ids
}

func list(t *testing.T, serial uint64, registries []drtc.NodeID, orchestrators ...drtc.NodeID) []byte {
	t.Helper()
	b, err := admission.Body{Serial: serial, Registries: registries, Orchestrators: orchestrators}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attest(t *testing.T, k *identity.Key, body []byte, at time.Time) envelope.Envelope {
	t.Helper()
	e := envelope.Envelope{Kind: admission.Kind, Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: at, TTL: 600 * time.Second, Body: body}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	e.Body = nil
	return e
}

func testConfig(trusted []drtc.NodeID, registries ...*fakeRegistry) Config {
	c := DefaultConfig()
	c.Network, c.Trusted, c.Every, c.RetryMin = "devnet", trusted, 5*time.Millisecond, time.Millisecond
	for _, f := range registries {
		c.Registries = append(c.Registries, f.URL)
	}
	return c
}

// logs is where a Gate writes, to be read while it runs.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newGate(t *testing.T, c Config) (*Gate, *logs) {
	t.Helper()
	log := &logs{}
	g, err := New(c, slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return g, log
}

func run(t *testing.T, g *Gate) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// until waits, question by question, for Check to say what is wanted.
func until(t *testing.T, g *Gate, f *fakeRegistry, caller drtc.NodeID, want error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !errors.Is(g.Check(caller), want) {
		select {
		case <-f.asked:
		case <-deadline:
			t.Fatalf("within 20s: %v, want %v", g.Check(caller), want)
		}
	}
}

// again waits until a Registry has been asked so many times more.
func (f *fakeRegistry) again(t *testing.T, times int) {
	t.Helper()
	for len(f.asked) > 0 {
		<-f.asked
	}
	deadline := time.After(20 * time.Second)
	for range times {
		select {
		case <-f.asked:
		case <-deadline:
			t.Fatal("not asked within 20s")
		}
	}
}

func TestGate_followsTheListOfAQuorum(t *testing.T) {
	keys, ids := newKeys(t, 4)
	_, callers := newKeys(t, 2)
	ann, bob := callers[0], callers[1]
	first, second := newFake(t), newFake(t)
	g, log := newGate(t, testConfig(ids, first, second))
	if err := g.Check(ann); !errors.Is(err, ErrNoList) {
		t.Errorf("before the first list: got %v, want ErrNoList", err)
	}
	run(t, g)
	now := time.Now()
	one := list(t, 1, ids, ann)
	// Neither of the two holds a quorum; both together do.
	first.shows(t, one, attest(t, keys[0], one, now), attest(t, keys[1], one, now))
	first.again(t, 3)
	if err := g.Check(ann); !errors.Is(err, ErrNoList) {
		t.Errorf("two of four signed: got %v, want ErrNoList", err)
	}
	second.shows(t, one, attest(t, keys[2], one, now))
	until(t, g, first, ann, nil)
	if err := g.Check(bob); !errors.Is(err, ErrUnlisted) {
		t.Errorf("another: got %v, want ErrUnlisted", err)
	}

	two := list(t, 2, ids, bob)
	first.shows(t, two, attest(t, keys[0], two, now), attest(t, keys[1], two, now), attest(t, keys[3], two, now))
	until(t, g, first, bob, nil)
	if err := g.Check(ann); !errors.Is(err, ErrUnlisted) {
		t.Errorf("no longer listed: got %v, want ErrUnlisted", err)
	}
	// Old lists and lists of a minority, from then on.
	second.shows(t, one, attest(t, keys[0], one, now), attest(t, keys[1], one, now), attest(t, keys[2], one, now))
	three := list(t, 3, ids[:1], ann)
	first.shows(t, three, attest(t, keys[0], three, now))
	second.again(t, 3)
	if err := g.Check(bob); err != nil {
		t.Errorf("lies: got %v, want what a quorum signed", err)
	}
	if s := g.Status(); s.Serial != 2 || s.Expired || s.Err != nil || s.ExpiresAt.Before(now.Add(599*time.Second)) {
		t.Errorf("status: got %+v", s)
	}
	if !strings.Contains(log.String(), "nobody may command this node") || !strings.Contains(log.String(), "is good") {
		t.Errorf("logged %s", log)
	}
}

func TestGate_liarCrowdsOutNobody(t *testing.T) {
	keys, ids := newKeys(t, 4)
	body := list(t, 1, ids, ids[0])
	liar, honest := newFake(t), newFake(t)
	bad := attest(t, keys[0], body, time.Now())
	bad.Signature[3]++
	junk := slices.Repeat([]envelope.Envelope{bad}, 2*admission.MaxAttestations)
	liar.shows(t, body, junk...)
	now := time.Now()
	honest.shows(t, body, attest(t, keys[0], body, now), attest(t, keys[1], body, now), attest(t, keys[2], body, now))
	g, _ := newGate(t, testConfig(ids, liar, honest))
	run(t, g)
	until(t, g, honest, ids[0], nil)
}

func TestGate_remembersOverARestart(t *testing.T) {
	keys, ids := newKeys(t, 2)
	later, laterIDs := newKeys(t, 2)
	f := newFake(t)
	c := testConfig(ids, f)
	c.File = filepath.Join(t.TempDir(), "made", "admission.json")
	g, _ := newGate(t, c)
	stop := run(t, g)
	now := time.Now()
	one, two := list(t, 1, laterIDs, ids[0]), list(t, 2, laterIDs, ids[1])
	f.shows(t, one, attest(t, keys[0], one, now), attest(t, keys[1], one, now))
	until(t, g, f, ids[0], nil)
	f.shows(t, two, attest(t, later[0], two, now), attest(t, later[1], two, now))
	until(t, g, f, ids[1], nil)
	stop()

	again, log := newGate(t, c)
	if err := again.Check(ids[1]); err != nil || again.Status().Serial != 2 {
		t.Errorf("after a restart: got %v, %+v; logged %s", err, again.Status(), log)
	}
	// The first trust, again, would let an old list in.
	f.shows(t, one, attest(t, keys[0], one, now), attest(t, keys[1], one, now))
	run(t, again)
	f.again(t, 3)
	if err := again.Check(ids[1]); err != nil {
		t.Errorf("after an old list: got %v", err)
	}

	c.Trusted = ids[:1]
	other, log := newGate(t, c)
	if err := other.Check(ids[1]); !errors.Is(err, ErrNoList) || !strings.Contains(log.String(), "cannot be used") {
		t.Errorf("with another trust in the configuration: got %v, logged %s", err, log)
	}
}

// remember writes a file whose list expired so long ago.
func remember(t *testing.T, c Config, k *identity.Key, body []byte, ago time.Duration) {
	t.Helper()
	e := attest(t, k, body, time.Now().Add(-ago-600*time.Second))
	text, err := json.Marshal(remembered{
		Network: c.Network, Configured: c.Trusted, Trusted: c.Trusted, Body: body, Attestations: [][]byte{e.Bytes()},
	})
	if err == nil {
		err = os.WriteFile(c.File, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGate_expiredListCountsForTheGrace(t *testing.T) {
	keys, ids := newKeys(t, 1)
	f := newFake(t)
	c := testConfig(ids, f)
	c.File = filepath.Join(t.TempDir(), "admission.json")
	body := list(t, 7, ids, ids[0])
	for _, tt := range []struct {
		ago  time.Duration
		want error
		says string
	}{
		{time.Hour, nil, "has expired and counts a while longer"},
		{25 * time.Hour, ErrTooOld, "nobody may command this node"},
	} {
		remember(t, c, keys[0], body, tt.ago)
		g, log := newGate(t, c)
		if err := g.Check(ids[0]); !errors.Is(err, tt.want) {
			t.Errorf("%s after its end: got %v, want %v", tt.ago, err, tt.want)
		}
		if s := g.Status(); s.Serial != 7 || !s.Expired || !errors.Is(s.Err, tt.want) {
			t.Errorf("%s after its end: got %+v", tt.ago, s)
		}
		stop := run(t, g)
		f.again(t, 3)
		stop()
		if strings.Count(log.String(), tt.says) != 1 {
			t.Errorf("%s after its end: logged %s, want once %q", tt.ago, log, tt.says)
		}
	}
	// New signatures bring it back.
	g, _ := newGate(t, c)
	f.shows(t, body, attest(t, keys[0], body, time.Now()))
	run(t, g)
	until(t, g, f, ids[0], nil)
}

func TestNew_uselessFileIsLogged(t *testing.T) {
	keys, ids := newKeys(t, 2)
	c := testConfig(ids[:1], newFake(t))
	c.File = filepath.Join(t.TempDir(), "admission.json")
	body := list(t, 1, ids[:1], ids[0])
	for name, write := range map[string]func(){
		"garbage":              func() { _ = os.WriteFile(c.File, []byte("garbage"), 0o600) },
		"signed by a stranger": func() { remember(t, c, keys[1], body, 0) },
		"garbage in it":        func() { _ = os.WriteFile(c.File, []byte(`{"network":"devnet","attestations":["AAAA"]}`), 0o600) },
	} {
		write()
		if g, log := newGate(t, c); g.Status().Serial != 0 || !strings.Contains(log.String(), "cannot be used") {
			t.Errorf("%s: got %+v, logged %s", name, g.Status(), log)
		}
	}
}

func TestConfig_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Registries is empty": func(c *Config) { c.Registries = nil },
		"ftp://x":             func(c *Config) { c.Registries = []string{"ftp://x"} },
		"Network":             func(c *Config) { c.Network = "" },
		"Trusted":             func(c *Config) { c.Trusted = nil },
		"Grace":               func(c *Config) { c.Grace = -1 },
		"Every":               func(c *Config) { c.Every = 0 },
	} {
		c := DefaultConfig()
		c.Registries, c.Network, c.Trusted = []string{"http://x.example"}, "devnet", []drtc.NodeID{{19: 1}}
		change(&c)
		if _, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
