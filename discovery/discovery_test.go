package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
)

// fakeRegistry answers as a Registry does, or as it is told to.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler
	*httptest.Server
	mu        sync.Mutex // guards all below
	id        drtc.NodeID
	network   string
	listed    []envelope.Envelope
	held      map[drtc.NodeID][]byte // what /records gives
	peers     []drtc.NodeID          // what /peers names
	records   map[drtc.NodeID][]byte // what /records?kind=registry gives
	opinion   map[string]any         // added to each node of /getMediaNodes
	pageSize  int
	override  http.HandlerFunc // instead of everything
	tag       int              // of the ETag
	unchanged int              // answers 304
	// watch, if set, offers the stream: what is sent, until it is closed.
	watch chan *registryv1.WatchResponse
}

var fakes atomic.Uint32

func newFake(t *testing.T, nodes ...envelope.Envelope) *fakeRegistry {
	f := &fakeRegistry{
		id: drtc.NodeID{1, 19: byte(fakes.Add(1))}, network: "devnet", pageSize: 2,
		held: map[drtc.NodeID][]byte{}, records: map[drtc.NodeID][]byte{},
	}
	mux := http.NewServeMux()
	mux.Handle("/", f)
	path, rpc := registryv1connect.NewRegistryServiceHandler(f)
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		override := f.override
		f.mu.Unlock()
		if override != nil {
			override(w, r)
			return
		}
		rpc.ServeHTTP(w, r)
	})
	f.Server = httptest.NewUnstartedServer(mux)
	f.Config.Protocols = new(http.Protocols)
	f.Config.Protocols.SetHTTP1(true)
	f.Config.Protocols.SetUnencryptedHTTP2(true)
	f.Start()
	t.Cleanup(f.Close)
	f.set(nodes...)
	return f
}

// Watch sends what the test says, if the Registry offers it.
func (f *fakeRegistry) Watch(ctx context.Context, _ *connect.Request[registryv1.WatchRequest], s *connect.ServerStream[registryv1.WatchResponse]) error {
	f.mu.Lock()
	watch := f.watch
	f.mu.Unlock()
	if watch == nil {
		return connect.NewError(connect.CodeUnimplemented, errors.New("no such call"))
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, open := <-watch:
			if !open {
				return connect.NewError(connect.CodeUnavailable, errors.New("cut off"))
			}
			if err := s.Send(m); err != nil {
				return err
			}
		}
	}
}

// set replaces what is listed; what was held stays.
func (f *fakeRegistry) set(nodes ...envelope.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(nodes, func(a, b envelope.Envelope) int { return compareIDs(a.Subject, b.Subject) })
	f.listed = nodes
	f.tag++
	for _, e := range nodes {
		f.held[e.Subject] = e.Bytes()
	}
}

func (f *fakeRegistry) hold(id drtc.NodeID, raw []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[id] = raw
}

// change does something under the lock.
func (f *fakeRegistry) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fakeRegistry) do(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.override = h
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.override != nil {
		f.override(w, r)
		return
	}
	type object = map[string]any
	switch r.URL.Path {
	case "/listMediaNodes":
		tag := strconv.Quote(strconv.Itoa(f.tag))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			f.unchanged++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		at, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		nodes, next := []object{}, ""
		for _, e := range f.listed[at:min(at+f.pageSize, len(f.listed))] {
			nodes = append(nodes, object{"nodeId": e.Subject, "generation": fmt.Sprint(e.Generation), "seq": fmt.Sprint(e.Seq)})
		}
		if at+f.pageSize < len(f.listed) {
			next = strconv.Itoa(at + f.pageSize)
		}
		_ = json.NewEncoder(w).Encode(object{"nodes": nodes, "cursor": next})
	case "/getMediaNodes":
		nodes := []object{}
		for _, e := range f.listed {
			n := object{"nodeId": e.Subject, "generation": fmt.Sprint(e.Generation), "seq": fmt.Sprint(e.Seq)}
			maps.Copy(n, f.opinion)
			nodes = append(nodes, n)
		}
		_ = json.NewEncoder(w).Encode(object{"registry": f.id, "nodes": nodes})
	case "/healthz":
		_ = json.NewEncoder(w).Encode(object{"status": "ok", "registry": f.id, "network": f.network})
	case "/peers":
		peers := []object{}
		for _, id := range f.peers {
			peers = append(peers, object{"registry": id, "url": "http://what.it.says", "addresses": []string{"/ip4/10.0.0.1/tcp/1"}, "since": 7})
		}
		_ = json.NewEncoder(w).Encode(object{"registry": f.id, "network": f.network, "addresses": []string{}, "peers": peers})
	case "/records":
		held := f.held
		if r.URL.Query().Get("kind") == "registry" {
			held = f.records
		}
		records := []object{}
		for text := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
			if id, err := drtc.ParseNodeID(text); err == nil && held[id] != nil {
				records = append(records, object{"nodeId": id, "record": held[id]})
			}
		}
		_ = json.NewEncoder(w).Encode(object{"records": records})
	default:
		http.NotFound(w, r)
	}
}

// running is a Discovery that asks quickly.
type running struct {
	*Discovery
	t       *testing.T
	metrics *prometheus.Registry
	stop    func()
}

func run(t *testing.T, registries ...*fakeRegistry) *running {
	t.Helper()
	c := testConfig()
	for _, f := range registries {
		c.Registries = append(c.Registries, f.URL+"/")
	}
	return runWith(t, c)
}

func runWith(t *testing.T, c Config) *running {
	t.Helper()
	r := start(t, c)
	t.Cleanup(r.stop)
	return r
}

// start runs a Discovery until stop.
func start(t *testing.T, c Config) *running {
	t.Helper()
	c.Every, c.MaxEvery, c.Remember, c.Timeout = 10*time.Millisecond, 20*time.Millisecond, time.Hour, 5*time.Second
	r := &running{t: t, metrics: prometheus.NewRegistry()}
	var err error
	if r.Discovery, err = New(c, slog.New(slog.NewTextHandler(t.Output(), nil)), r.metrics); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// until waits for changes until the Snapshot is as wanted.
func (r *running) until(what string, wanted func([]Node) bool) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := r.Changed()
		if wanted(r.Snapshot()) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.t.Fatalf("not within 20s: %s; have %v", what, ids(r.Snapshot()))
		}
	}
}

func (r *running) untilShown(what string, nodes ...*identity.Key) {
	r.t.Helper()
	want := []drtc.NodeID{}
	for _, k := range nodes {
		want = append(want, k.ID())
	}
	slices.SortFunc(want, compareIDs)
	r.until(what, func(have []Node) bool { return slices.Equal(ids(have), want) })
}

// counted waits until a counter has reached a value.
func (r *running) counted(name, label, value string, least float64) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for r.counter(name, label, value) < least {
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("%s{%s=%q} did not reach %v within 20s", name, label, value, least)
		}
	}
}

func (r *running) counter(name, label, value string) (sum float64) {
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

const (
	refusals = "drtc_discovery_refusals_total"
	polls    = "drtc_discovery_polls_total"
)

func TestDiscovery_mergesSeveralRegistries(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	old := sign(t, b, now, nil)
	fresh := sign(t, b, now, func(e *envelope.Envelope, n *registryv1.NodeBody) { e.Seq, n.LoadMbps = 2, 77 })
	first := newFake(t, sign(t, a, now, nil), old)
	second := newFake(t, fresh, sign(t, c, now, nil))
	r := run(t, first, second)
	r.untilShown("all three nodes", a, b, c)
	r.until("the newer record of the second, vouched for by both", func(have []Node) bool {
		i := slices.IndexFunc(have, func(n Node) bool { return n.ID == b.ID() })
		return have[i].LoadMbps == 77 && slices.Equal(have[i].VouchedBy, []string{first.URL, second.URL})
	})
}

func TestDiscovery_followsChangesAndPages(t *testing.T) {
	var keys []*identity.Key
	var nodes []envelope.Envelope
	for range 5 { // three pages
		k := newKey(t)
		keys = append(keys, k)
		nodes = append(nodes, sign(t, k, time.Now(), nil))
	}
	f := newFake(t, slices.Clone(nodes)...)
	r := run(t, f)
	r.untilShown("all pages", keys...)
	f.set(slices.Clone(nodes[1:])...)
	r.untilShown("one less", keys[1:]...)
	f.set(slices.Clone(nodes)...)
	r.untilShown("all again", keys...)
	r.counted(polls, "outcome", "ok", 20)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unchanged == 0 {
		t.Error("never asked with the ETag")
	}
}

func TestDiscovery_hostileRegistryIsIgnoredAndCounted(t *testing.T) {
	victim, other, unseen := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	good := sign(t, victim, now, nil)
	altered := sign(t, victim, now, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Seq = 9 })
	altered.Body = slices.Clone(altered.Body)
	altered.Body[len(altered.Body)-1] ^= 1
	stolen := sign(t, other, now, nil)
	forged := sign(t, other, now, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Subject = unseen.ID() })

	honest := newFake(t, good)
	hostile := newFake(t, altered, forged)
	r := run(t, honest, hostile)
	r.counted(refusals, "reason", "signature", 1)
	r.counted(refusals, "reason", "another", 1)
	hostile.hold(victim.ID(), stolen.Bytes())
	r.counted(refusals, "reason", "another", 10)
	r.untilShown("the honest node as it is", victim)
	if n := r.Snapshot()[0]; n.Record.Seq != 1 {
		t.Errorf("version: got %v, want the one that the node signed", n.Record)
	}
}

func TestDiscovery_tombstoneFromOneRegistryBeatsListingByAnother(t *testing.T) {
	k := newKey(t)
	now := time.Now()
	alive, gone := sign(t, k, now, nil), sign(t, k, now, tombstone)
	honest, stubborn := newFake(t, alive), newFake(t, alive)
	r := run(t, honest, stubborn)
	r.until("vouched for by both", func(have []Node) bool { return len(have) == 1 && len(have[0].VouchedBy) == 2 })
	honest.set()
	honest.hold(k.ID(), gone.Bytes())
	r.untilShown("gone")
	before := r.counter(polls, "registry", stubborn.URL)
	r.counted(polls, "registry", stubborn.URL, before+3)
	r.untilShown("and stays gone")
}

func TestDiscovery_worksWhenARegistryIsDownOrTalksNonsense(t *testing.T) {
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	for name, wrong := range map[string]http.HandlerFunc{
		"refuses":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"redirects":           func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/listMediaNodes", http.StatusFound) },
		"hangs up":            func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"garbage":             page("garbage"),
		"wrong types":         page(`{"nodes":[{"nodeId":7}]}`),
		"endless pages":       page(`{"nodes":[],"cursor":"next"}`),
		"circle":              page(`{"nodes":[{"nodeId":"0x0000000000000000000000000000000000000001","generation":"0","seq":"1"}],"cursor":"same"}`),
		"too large":           page(`{"nodes":[` + strings.Repeat(" ", maxAnswer) + `]}`),
		"unasked 304":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"unsolicited records": page(`{"nodes":[{"nodeId":"0x0000000000000000000000000000000000000001","generation":"0","seq":"1"}],"records":[{},{}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			k := newKey(t)
			good, bad := newFake(t, sign(t, k, time.Now(), nil)), newFake(t)
			bad.do(wrong)
			r := run(t, bad, good)
			r.untilShown("the node of the other", k)
			r.counted(polls, "outcome", "failed", 2)
			r.untilShown("still", k)
		})
	}
}

func TestDiscovery_remembersWhenAllAreDown(t *testing.T) {
	k := newKey(t)
	f := newFake(t, sign(t, k, time.Now(), nil))
	r := run(t, f)
	r.untilShown("the node", k)
	f.CloseClientConnections()
	f.do(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	r.counted(polls, "outcome", "failed", 3)
	r.untilShown("remembered", k)
}

func TestDiscovery_recordExpiresWithoutAnyRegistry(t *testing.T) {
	k := newKey(t)
	f := newFake(t, sign(t, k, time.Now().Add(-30*time.Second), func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.TTL = time.Second }))
	r := run(t, f)
	r.untilShown("the node in its grace", k)
	f.do(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	r.untilShown("gone")
}

func TestNew_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Registries is empty": func(c *Config) { c.Registries = nil },
		"ftp://x":             func(c *Config) { c.Registries = []string{"ftp://x"} },
		"twice":               func(c *Config) { c.Registries = []string{one, one + "/"} },
		"Network":             func(c *Config) { c.Network = "" },
		"Every":               func(c *Config) { c.Every = 0 },
		"MaxEvery":            func(c *Config) { c.MaxEvery = c.Every - 1 },
		"Timeout":             func(c *Config) { c.Timeout = 0 },
		"Remember":            func(c *Config) { c.Remember = -1 },
		"MaxNodes":            func(c *Config) { c.MaxNodes = 0 },
		"Learn":               func(c *Config) { c.Learn = MaxLearn + 1 },
		"LearnEvery":          func(c *Config) { c.LearnEvery = 0 },
		"Silence":             func(c *Config) { c.Silence = 0 },
		"CacheEvery":          func(c *Config) { c.CacheFile, c.CacheEvery = "x", 0 },
	} {
		c := testConfig(one)
		change(&c)
		if _, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
