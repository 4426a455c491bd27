package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bonds"
	"github.com/drtc-network/drtc/chain/bonds/bondstest"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/admit"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/api"
)

// bondedNetwork is Registries that go by a chain.
type bondedNetwork struct {
	t          *testing.T
	chain      *bondstest.Chain
	registries []*bondedRegistry
}

// bondedRegistry is one, as its configuration file makes it.
type bondedRegistry struct {
	t      *testing.T
	config string
	*registry.Registry
	registryv1connect.RegistryServiceClient
	log  *lockedBuffer
	stop func()
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newBondedNetwork(t *testing.T, m bondstest.Members) *bondedNetwork {
	t.Helper()
	n := &bondedNetwork{t: t, chain: bondstest.New(t, m)}
	for i, key := range m.Registries {
		dir := t.TempDir()
		r := &bondedRegistry{t: t, config: filepath.Join(dir, "config.toml")}
		bootstrap := ""
		if i > 0 {
			bootstrap = n.registries[0].URL()
		}
		text := fmt.Sprintf(`
network = "devnet"
dir = %q
key_file = %q
listen = "127.0.0.1:0"
gossip_listen = "127.0.0.1:0"
bootstrap = [%q]
probing = false
update_every = "1ms"
[chain]
rpc = %q
addresses = %q
finality = "safe"
poll_every = "50ms"
away_after = "300ms"
`, filepath.Join(dir, "state"), filepath.Join(dir, "key"), bootstrap, n.chain.URL(), n.chain.Addresses())
		text = strings.Replace(text, `bootstrap = [""]`, "", 1)
		if err := errors.Join(os.WriteFile(r.config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "key"), []byte(key.Hex()), 0o600)); err != nil {
			t.Fatal(err)
		}
		r.start()
		n.registries = append(n.registries, r)
	}
	return n
}

// start runs it as "drtc registry --config" does.
func (r *bondedRegistry) start() {
	r.t.Helper()
	file := registryFile{Config: registry.DefaultConfig(), Chain: defaultChainTable()}
	if err := readConfig(r.config, &file); err != nil {
		r.t.Fatal(err)
	}
	r.log = &lockedBuffer{}
	var err error
	if r.Registry, err = file.open(r.t.Context(), slog.New(slog.NewTextHandler(io.MultiWriter(r.log, r.t.Output()), nil))); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	run := r.Registry
	go func() { ended <- run.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(r.stop)
	r.RegistryServiceClient = registryv1connect.NewRegistryServiceClient(http.DefaultClient, r.URL())
}

// register sends a record of a node, of a generation, and gives the answer.
func (r *bondedRegistry) register(key *identity.Key, generation uint64) (*registryv1.RegisterNodeResponse, error) {
	r.t.Helper()
	body, err := proto.Marshal(&registryv1.NodeBody{
		NodeId: key.ID().String(), PubKey: key.Public().Hex(), Url: "https://10.0.0.1:7901", Region: "EU",
		Geolocation: "50.11,8.68", TlsFingerprint: bytes.Repeat([]byte{7}, 32), CapacityMbps: 1000, Version: "0.1.0",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	e := envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: key.ID(), Generation: generation, Seq: uint64(time.Now().UnixNano()), IssuedAt: time.Now(),
		TTL: 300 * time.Second, Body: body,
	}
	if err := e.Sign(key); err != nil {
		r.t.Fatal(err)
	}
	var record registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &record); err != nil {
		r.t.Fatal(err)
	}
	a, err := r.RegisterNode(r.t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{Record: &record}))
	if err != nil {
		return nil, err
	}
	return a.Msg, nil
}

// takes says whether a node is let in.
func (r *bondedRegistry) takes(key *identity.Key, generation uint64) error {
	a, err := r.register(key, generation)
	if err == nil && !a.GetAccepted() {
		err = fmt.Errorf("not accepted, lowest generation %d", a.GetMinGeneration())
	}
	return err
}

// holds says whether a node is in the answers.
func (r *bondedRegistry) holds(id drtc.NodeID) bool {
	r.t.Helper()
	a, err := http.Get(r.URL() + "/nodeById?nodeId=" + id.String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusNotFound {
		r.t.Fatalf("nodeById: %s", a.Status)
	}
	return a.StatusCode == http.StatusOK
}

func (r *bondedRegistry) page(path string) (int, string) {
	r.t.Helper()
	a, err := http.Get(r.URL() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// health is what /healthz says of the list; it is 200 all the time.
func (r *bondedRegistry) health() api.Bonding {
	r.t.Helper()
	status, text := r.page("/healthz")
	var body struct{ Bonding api.Bonding }
	if err := json.Unmarshal([]byte(text), &body); err != nil || status != http.StatusOK {
		r.t.Fatalf("healthz: %d %s, %v", status, text, err)
	}
	return body.Bonding
}

// eventually waits at all Registries.
func (n *bondedNetwork) eventually(what string, probe func(*bondedRegistry) error) {
	n.t.Helper()
	for _, r := range n.registries {
		await(n.t, what, func() error { return probe(r) })
	}
}

func await(t *testing.T, what string, probe func() error) {
	t.Helper()
	limit := time.After(30 * time.Second) // of what must happen
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-limit:
			t.Fatalf("not within 30 s: %s: %v", what, err)
		case <-tick.C:
		}
	}
}

func want(what string, got, want bool) error {
	if got != want {
		return fmt.Errorf("%s: got %t, want %t", what, got, want)
	}
	return nil
}

// gate is a node's list of who may command it, which knows no chain.
func (n *bondedNetwork) gate(trusted []*identity.Key) *admit.Gate {
	n.t.Helper()
	c := admit.DefaultConfig()
	c.Network, c.Every, c.RetryMin = "devnet", 50*time.Millisecond, 50*time.Millisecond
	for i, r := range n.registries {
		c.Registries, c.Trusted = append(c.Registries, r.URL()), append(c.Trusted, trusted[i].ID())
	}
	g, err := admit.New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	n.t.Cleanup(func() { cancel(); <-ended })
	return g
}

// Three Registries, nodes and Orchestrators, and who may take part is what the
// contract says.
func TestRegistry_goesByTheChain(t *testing.T) {
	key := func(n byte) *identity.Key { return bondstest.Key(t, n) }
	registries := []*identity.Key{key(1), key(2), key(3)}
	commander, node, late := key(4), key(5), key(6)
	n := newBondedNetwork(t, bondstest.Members{Registries: registries, Orchestrators: []*identity.Key{commander}, Nodes: []*identity.Key{node}})
	first := n.registries[0]

	if err := first.takes(node, 0); err != nil {
		t.Fatalf("a bonded node: %v", err)
	}
	n.eventually("the bonded node is everywhere", func(r *bondedRegistry) error { return want("held", r.holds(node.ID()), true) })
	if err := first.takes(late, 0); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a node that is not bonded: got %v, want it refused", err)
	}
	n.chain.Bond(bonds.NodeOperator, late)
	await(t, "it is let in when it is bonded", func() error { return first.takes(late, 0) })
	n.eventually("it is everywhere", func(r *bondedRegistry) error { return want("held", r.holds(late.ID()), true) })
	n.chain.Unbond(bonds.NodeOperator, late.ID())
	n.eventually("it is gone when its bond is", func(r *bondedRegistry) error { return want("held", r.holds(late.ID()), false) })

	// A node asks Registries alone, and believes what a quorum of the reporters says.
	g := n.gate(registries)
	await(t, "the bonded Orchestrator is obeyed", func() error { return g.Check(commander.ID()) })
	liar := key(7)
	if err := g.Check(liar.ID()); !errors.Is(err, admit.ErrUnlisted) {
		t.Errorf("an Orchestrator that is not bonded: got %v, want ErrUnlisted", err)
	}
	for i := range byte(4) { // anybody may place bonds; that makes no quorum
		n.chain.Bond(bonds.Registry, key(20+i))
	}
	n.chain.Bond(bonds.Orchestrator, liar)
	await(t, "another Orchestrator is obeyed when it is bonded", func() error { return g.Check(liar.ID()) })
	n.chain.Forfeit(liar)
	await(t, "and no longer when it lost its bond", func() error { return want("listed", !errors.Is(g.Check(liar.ID()), admit.ErrUnlisted), false) })
	for _, r := range n.registries {
		if got, want := r.health().Serial, g.Status().Serial; got != want {
			t.Errorf("serial of a Registry: got %d, want %d, which the node has", got, want)
		}
	}

	// What was signed with a stolen key is void when the generation is raised.
	n.chain.Raise(bonds.NodeOperator, node.ID(), 2)
	n.eventually("records of the generations before are dropped", func(r *bondedRegistry) error { return want("held", r.holds(node.ID()), false) })
	if a, err := first.register(node, 1); err != nil || a.GetAccepted() || a.GetMinGeneration() != 2 {
		t.Errorf("an older generation: got %v, %v, want it not accepted and to be told 2", a, err)
	}
	if err := first.takes(node, 2); err != nil {
		t.Errorf("the new generation: %v", err)
	}
	n.eventually("the new record is everywhere", func(r *bondedRegistry) error { return want("held", r.holds(node.ID()), true) })
}

// Without the chain a Registry holds what it has and lets nobody new in; a restart
// changes nothing about that; when the chain is back all is well by itself.
func TestRegistry_isReadOnlyWhileTheChainIsAway(t *testing.T) {
	key := func(n byte) *identity.Key { return bondstest.Key(t, n) }
	registries := []*identity.Key{key(1), key(2), key(3)}
	commander, node, quiet, late := key(4), key(5), key(6), key(7)
	n := newBondedNetwork(t, bondstest.Members{Registries: registries, Orchestrators: []*identity.Key{commander}, Nodes: []*identity.Key{node, quiet}})
	first, last := n.registries[0], n.registries[2]
	if err := first.takes(node, 0); err != nil {
		t.Fatal(err)
	}
	n.eventually("the node is everywhere", func(r *bondedRegistry) error { return want("held", r.holds(node.ID()), true) })
	g := n.gate(registries)
	await(t, "the Orchestrator is obeyed", func() error { return g.Check(commander.ID()) })

	n.chain.Stop()
	n.eventually("it says that it is read-only", func(r *bondedRegistry) error { return want("read-only", r.health().ReadOnly, true) })
	for _, r := range n.registries {
		if _, metrics := r.page("/metrics"); !strings.Contains(metrics, "drtc_registry_bonding_read_only 1") {
			t.Error("the metrics do not say so")
		}
		if h := r.health(); h.Source != "chain" || h.Block == 0 || h.Problem == "" {
			t.Errorf("got %+v, want all of it said", h)
		}
		await(t, "it is logged", func() error {
			return want("warned", strings.Contains(r.log.String(), "the last bonding list holds"), true)
		})
	}
	if err := first.takes(node, 0); err != nil {
		t.Errorf("a node that is known: %v, want it taken as before", err)
	}
	if err := first.takes(quiet, 0); err != nil {
		t.Errorf("a node that is in the list, for the first time: %v, want it taken", err)
	}
	n.eventually("it goes on to the others", func(r *bondedRegistry) error { return want("held", r.holds(quiet.ID()), true) })
	if err := first.takes(late, 0); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a node that is not in the list: got %v, want it put off, for it may have been bonded since", err)
	}
	if err := g.Check(commander.ID()); err != nil {
		t.Errorf("the Orchestrator: %v, want it obeyed", err)
	}

	last.stop()
	last.start()
	if !last.holds(node.ID()) || !last.holds(quiet.ID()) {
		t.Error("restarted without the chain: its records are gone")
	}
	if err := last.takes(late, 0); err == nil {
		t.Error("restarted without the chain: it lets everybody in")
	}
	await(t, "restarted without the chain: it says so", func() error { return want("read-only", last.health().ReadOnly, true) })

	n.chain.Start()
	n.chain.Bond(bonds.NodeOperator, late)
	n.eventually("it recovers", func(r *bondedRegistry) error { return want("read-only", r.health().ReadOnly, false) })
	n.eventually("who was bonded meanwhile is let in", func(r *bondedRegistry) error { return r.takes(late, 0) })
}

func TestRegistry_chainConfiguration(t *testing.T) {
	chain := bondstest.New(t, bondstest.Members{Registries: []*identity.Key{bondstest.Key(t, 1)}, Orchestrators: []*identity.Key{bondstest.Key(t, 2)}})
	addresses, err := os.ReadFile(chain.Addresses())
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, bytes.Replace(addresses, []byte(`"chain_id": 72010`), []byte(`"chain_id": 1`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("network = \"devnet\"\ndir = %q\nlisten = \"127.0.0.1:0\"\ngossip_listen = \"127.0.0.1:0\"\n", t.TempDir())
	table := fmt.Sprintf("[chain]\nrpc = %q\naddresses = %q\n", chain.URL(), chain.Addresses())
	for name, tt := range map[string]struct{ text, says string }{
		"both":           {head + "bonding_file = \"x.json\"\n" + table, "give one of the two"},
		"no rpc":         {head + fmt.Sprintf("[chain]\naddresses = %q\n", chain.Addresses()), "rpc: want http or https"},
		"no addresses":   {head + fmt.Sprintf("[chain]\nrpc = %q\n", chain.URL()), "addresses is empty"},
		"no such file":   {head + fmt.Sprintf("[chain]\nrpc = %q\naddresses = \"none\"\n", chain.URL()), "addresses: "},
		"finality":       {head + table + "finality = \"soon\"\n", "want safe, finalized or a number"},
		"poll_every":     {head + table + "poll_every = \"0s\"\n", "poll_every must be above 0"},
		"unknown key":    {head + table + "rcp = \"x\"\n", "unknown key chain.rcp"},
		"another chain":  {head + fmt.Sprintf("[chain]\nrpc = %q\naddresses = %q\n", chain.URL(), other), "give an rpc of the chain"},
		"not of [chain]": {"listen = \"\"\n" + table, "listen is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := runCommand(t, "registry", "--config", path); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}
