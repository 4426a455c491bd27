package gossip_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/record"
)

// memory is a Ledger without a disk.
type memory struct {
	mu     sync.Mutex
	set    *record.Set
	stored func(e envelope.Envelope) // after one from the network was merged; may be nil
	lookup func(envelope.Envelope) envelope.Envelope
	deaf   bool // takes nothing
}

func newMemory(t testing.TB, b record.Bonding) *memory {
	t.Helper()
	rules := record.DefaultRules("testnet")
	rules.Kinds = []record.Kind{record.NodeKind(nil), record.RegistryKind(nil), record.LivenessKind(nil), record.EquivocationKind(nil), record.AdmissionKind(nil)}
	rules.Bonding = b
	set, err := record.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return &memory{set: set}
}

func (m *memory) Take(now time.Time, records []envelope.Envelope, p record.Path) []record.Result {
	results := make([]record.Result, len(records))
	for i := range records {
		results[i] = m.take(now, records[i], p)
	}
	return results
}

func (m *memory) take(now time.Time, e envelope.Envelope, p record.Path) (r record.Result) {
	m.mu.Lock()
	if r.Outcome, r.Err = m.set.Judge(now, &e, p); m.deaf {
		r.Outcome = record.Known
	}
	m.mu.Unlock()
	if r.Outcome != record.Stored {
		return r
	}
	if err := m.set.Genuine(&e); err != nil {
		return record.Result{Outcome: record.Refused, Err: err}
	}
	m.mu.Lock()
	r.Outcome, r.Err = m.set.Merge(now, e, p)
	m.mu.Unlock()
	if r.Outcome == record.Stored && m.stored != nil {
		m.stored(e)
	}
	return r
}

func (m *memory) Root() [32]byte { m.mu.Lock(); defer m.mu.Unlock(); return m.set.Root() }

func (m *memory) Group(g int) [32]byte { m.mu.Lock(); defer m.mu.Unlock(); return m.set.Group(g) }

func (m *memory) Leaf(l int) [32]byte { m.mu.Lock(); defer m.mu.Unlock(); return m.set.Leaf(l) }

func (m *memory) Items(l int) []record.Item { m.mu.Lock(); defer m.mu.Unlock(); return m.set.Items(l) }

func (m *memory) Lookup(id record.ItemID) (envelope.Envelope, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.set.Lookup(id)
	if ok && m.lookup != nil {
		e = m.lookup(e)
	}
	return e, ok
}

func (m *memory) len() int { m.mu.Lock(); defer m.mu.Unlock(); return m.set.Len() }

func (m *memory) holds(e envelope.Envelope) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	held, ok := m.set.Get(record.KeyOf(&e))
	return ok && held.Hash() == e.Hash()
}

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signed is a record of key about itself.
func signed(t testing.TB, key *identity.Key, seq uint64, change ...func(*envelope.Envelope)) envelope.Envelope {
	t.Helper()
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "testnet", Subject: key.ID(), Seq: seq,
		IssuedAt: time.Now(), TTL: 300 * time.Second, Body: []byte("a node in a test"),
	}
	for _, c := range change {
		c(&e)
	}
	if err := e.Sign(key); err != nil {
		t.Fatal(err)
	}
	return e
}

// registry is a Network that runs on loopback.
type registry struct {
	*gossip.Network
	t       testing.TB
	key     *identity.Key
	ledger  *memory
	metrics *prometheus.Registry
	stop    func() // waits for the end
}

// quick has everything happen soon.
func quick() gossip.Config {
	c := gossip.DefaultConfig()
	c.Name = "testnet"
	c.SyncEvery, c.SyncIdle = 200*time.Millisecond, time.Second
	c.RetryMin, c.RetryMax = 50*time.Millisecond, 500*time.Millisecond
	c.Budget.Sessions = gossip.Rate{PerSecond: 100, Burst: 100}
	return c
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// open makes a registry that does not run yet.
func open(t testing.TB, c gossip.Config, key *identity.Key, m *memory, b record.Bonding) *registry {
	t.Helper()
	r := &registry{t: t, key: key, ledger: m, metrics: prometheus.NewRegistry()}
	var err error
	if r.Network, err = gossip.New(c, key, m, b, logger(t), r.metrics); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *registry) run() *registry {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(r.stop)
	eventually(r.t, 10*time.Second, "it runs", r.Open)
	return r
}

// start runs a registry with a key and a ledger of its own.
func start(t testing.TB, c gossip.Config, bootstrap ...string) *registry {
	t.Helper()
	c.Bootstrap = append(c.Bootstrap, bootstrap...)
	return open(t, c, newKey(t), newMemory(t, bonding.AllowAll{}), bonding.AllowAll{}).run()
}

// submit stores e as if a node had sent it, and publishes it.
func (r *registry) submit(e envelope.Envelope) {
	r.t.Helper()
	r.ledger.mu.Lock()
	outcome, err := r.ledger.set.Apply(time.Now(), e)
	r.ledger.mu.Unlock()
	if outcome == record.Stored {
		r.Publish(e)
	} else if err != nil {
		r.t.Fatalf("submitting: %v", err)
	}
}

// counter sums a metric over the label values that match.
func (r *registry) counter(name string, labels ...string) float64 {
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.
	for _, f := range families {
		if f.GetName() != "drtc_registry_gossip_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && have[labels[i]] == labels[i+1]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (r *registry) connectedTo(id drtc.NodeID) bool {
	for _, p := range r.Peers() {
		if p.ID == id && p.Connected {
			return true
		}
	}
	return false
}

func (r *registry) contact() gossip.Contact {
	return gossip.Contact{ID: r.ID(), Addrs: r.Addrs()}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(within), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// converged says whether all hold the same n records.
func converged(n int, all ...*registry) bool {
	for _, r := range all {
		if r.ledger.len() != n || r.ledger.Root() != all[0].ledger.Root() {
			return false
		}
	}
	return true
}

// mesh starts n registries that all know each other.
func mesh(t testing.TB, c gossip.Config, n int) []*registry {
	t.Helper()
	var all []*registry
	var contacts []gossip.Contact
	for range n {
		r := start(t, c)
		all, contacts = append(all, r), append(contacts, r.contact())
	}
	for _, r := range all {
		r.Know(contacts)
	}
	connected(t, all...)
	return all
}

// connected waits until everybody is connected to everybody.
func connected(t testing.TB, all ...*registry) {
	t.Helper()
	for _, r := range all {
		for _, o := range all {
			if r != o {
				eventually(t, 20*time.Second, fmt.Sprintf("%s is connected to %s", r.ID().Short(), o.ID().Short()),
					func() bool { return r.connectedTo(o.ID()) })
			}
		}
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
