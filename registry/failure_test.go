package registry_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/record"
)

// The test binary is also the Registry that is killed and the host that floods.
const (
	registryMark = "registry-process"
	flooderMark  = "flooder-process"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		var err error
		switch os.Args[1] {
		case registryMark:
			err = serveUntilKilled(os.Args[2])
		case flooderMark:
			err = floodUntilCut(os.Args[2], os.Args[3], os.Args[4:])
		default:
			os.Exit(m.Run())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled runs a Registry and prints where.
func serveUntilKilled(dir string) error {
	c := registry.DefaultConfig()
	c.Listen, c.GossipListen, c.Dir, c.Network, c.Probing = "127.0.0.1:0", "127.0.0.1:0", dir, "devnet", false
	c.RequestsPerSecond, c.RequestBurst = 1e6, 1e6
	r, err := registry.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println(r.URL())
	return r.Run(context.Background())
}

// victim is a Registry in a process of its own.
type victim struct {
	registryv1connect.RegistryServiceClient
	url    string
	cmd    *exec.Cmd
	killed atomic.Bool
}

func startVictim(t *testing.T, dir string) *victim {
	t.Helper()
	cmd := exec.Command(os.Args[0], registryMark, dir) //nolint:noctx // killed below
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{cmd: cmd}
	t.Cleanup(v.kill)
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the Registry did not start: %v", err)
	}
	v.url = strings.TrimSpace(url)
	transport := &http.Transport{MaxIdleConnsPerHost: writers}
	t.Cleanup(transport.CloseIdleConnections)
	v.RegistryServiceClient = registryv1connect.NewRegistryServiceClient(&http.Client{Transport: transport}, v.url)
	return v
}

// kill ends the process at once and waits until it has gone.
func (v *victim) kill() {
	if !v.killed.Swap(true) {
		_ = v.cmd.Process.Kill() // a process that is gone is as good
		_ = v.cmd.Wait()         // says that it was killed
	}
}

// writers register at the same time.
const writers = 16

// acknowledged is the last thing about a node that a Registry said it had.
type acknowledged struct {
	version envelope.Version
	left    bool
}

// write registers nodes, renews them and deregisters every other until the
// Registry is killed, and returns what was acknowledged.
func (v *victim) write(t *testing.T, told func()) map[drtc.NodeID]acknowledged {
	done := map[drtc.NodeID]acknowledged{}
	for i := 0; ; i++ {
		n := newNode(t)
		for call := range 2 + i%2 {
			leaves := call == 2
			accepted, err := v.send(t, n, leaves)
			if err != nil {
				if !v.killed.Load() {
					t.Errorf("while it lived the Registry answered %v", err)
				}
				return done
			}
			if !accepted {
				t.Errorf("a record of %s was not accepted", n.ID())
			}
			done[n.ID()] = acknowledged{envelope.Version{Seq: n.seq}, leaves}
			told()
		}
	}
}

func (v *victim) send(t *testing.T, n *mediaNode, leaves bool) (accepted bool, err error) {
	if leaves {
		a, err := v.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: n.tombstone(t)}))
		return err == nil && a.Msg.GetAccepted(), err
	}
	a, err := v.RegisterNode(t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{Record: n.record(t, nil)}))
	return err == nil && a.Msg.GetAccepted(), err
}

// Five times a Registry is killed at any moment under load: what it acknowledged
// it holds afterwards.
func TestKill_nothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	dir, seed := t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // when to kill
	var mu sync.Mutex
	all := map[drtc.NodeID]acknowledged{}
	for range 5 {
		v, after := startVictim(t, dir), time.Duration(random.Int64N(int64(600*time.Millisecond)))
		first := sync.OnceFunc(func() { time.AfterFunc(after, v.kill) })
		var load sync.WaitGroup
		for range writers {
			load.Go(func() {
				done := v.write(t, first)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(all, done)
			})
		}
		load.Wait()
		t.Logf("killed %s after the first acknowledgement; nodes acknowledged so far: %d", after, len(all))
	}
	v := startVictim(t, dir)
	for id, want := range all {
		held, err := heldAt(v.url, record.KindNode, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(held) != 1 || held[0].Version().Less(want.version) || want.left && !held[0].IsTombstone() {
			t.Errorf("of %s is held %v, want version %v at least, left: %t", id, held, want.version, want.left)
		}
	}
}

// Fifteen Registries are as one: what is registered at any is everywhere, and who
// leaves is gone everywhere.
func TestNetwork_fifteenRegistries(t *testing.T) {
	begun := time.Now()
	all := startNetwork(t, 15, func(c *registry.Config) { c.Probing, c.RequestsPerSecond, c.RequestBurst = false, 1e4, 1e4 })
	t.Logf("all connected to all after %s", time.Since(begun).Round(time.Millisecond))

	begun = time.Now()
	nodes := make([]*mediaNode, 150)
	for i := range nodes {
		nodes[i] = newNode(t)
		all[i%len(all)].mustRegister(nodes[i].record(t, nil))
	}
	equal := func() bool {
		for _, p := range all {
			if p.root() != all[0].root() {
				return false
			}
		}
		return true
	}
	for _, p := range all {
		p.eventually("all nodes are shown", func() bool { return p.count() == len(nodes) })
	}
	all[0].eventually("all roots are equal", equal)
	t.Logf("%d registrations are everywhere after %s", len(nodes), time.Since(begun).Round(time.Millisecond))

	begun = time.Now()
	if _, err := all[7].DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: nodes[0].tombstone(t)})); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.eventually("the node is gone", func() bool { return p.count() == len(nodes)-1 })
	}
	took := time.Since(begun)
	t.Logf("a departure is seen everywhere after %s", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("a departure took %s, want 2s at most", took)
	}
	all[0].eventually("all roots are equal again", equal)
}

// count is how many nodes are shown.
func (p *process) count() int {
	p.t.Helper()
	var health struct{ Nodes int }
	p.get("/healthz", &health)
	return health.Nodes
}

// A list that changes applies at once to those who are there: a Registry and a
// node that are taken off are gone with all that they said, and a node whose
// generation is revoked learns in which one it may go on.
func TestBonds_whoIsTakenOffTheListIsGone(t *testing.T) {
	t.Parallel()
	r := newRoster(t)
	leaves, stays, revoked := r.node(t), r.node(t), r.node(t)
	next := 0
	all := startBonded(t, 3, r, func(c *registry.Config) {
		if next++; next == 3 { // it does not hear of its fall
			own := newRoster(t)
			own.nodes, own.registries = r.nodes, r.registries
			own.write(t)
			c.BondingFile = own.path
		}
	})
	rest, fallen := all[:2], all[2]
	for _, n := range []*mediaNode{leaves, stays, revoked} {
		fallen.mustRegister(n.record(t, nil))
	}
	for _, p := range rest {
		p.eventually("all is known", func() bool {
			return p.count() == 3 && len(p.held(record.KindRegistry, fallen.ID())) == 1 && len(p.held(record.KindAdmission, fallen.ID())) == 1
		})
	}

	delete(r.nodes, leaves.ID())
	delete(r.registries, fallen.ID())
	r.minGeneration[revoked.ID().String()] = 3
	begun := time.Now()
	r.write(t)
	for _, p := range rest {
		p.eventually("it is disconnected", func() bool { return !slices.Contains(p.peers(), fallen.ID().String()) })
		p.eventually("what it said is forgotten", func() bool {
			return len(p.held(record.KindRegistry, fallen.ID())) == 0 && len(p.held(record.KindAdmission, fallen.ID())) == 0
		})
		p.eventually("the nodes are forgotten", func() bool {
			return len(p.held(record.KindNode, leaves.ID())) == 0 && len(p.held(record.KindNode, revoked.ID())) == 0 && p.count() == 1
		})
		p.wantShown(stays)
	}
	took := time.Since(begun)
	t.Logf("gone everywhere after %s", took.Round(time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("it took %s, want 20s at most", took)
	}

	if a, err := rest[0].register(revoked.record(t, nil)); err != nil || a.GetAccepted() || a.GetHeld() != nil || a.GetMinGeneration() != 3 {
		t.Errorf("a revoked generation: got %v, %v, want not accepted and the lowest generation 3", a, err)
	}
	rest[0].mustRegister(revoked.record(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Generation = 3 }))
	if _, err := rest[0].register(leaves.record(t, nil)); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a node that was taken off: got %v, want PermissionDenied", err)
	}
	before := stays.seq
	fallen.mustRegister(stays.record(t, nil)) // goes nowhere
	for _, p := range rest {
		p.eventually("it is refused", func() bool { return p.metric(`drtc_registry_gossip_refused_connections_total{reason="unbonded"}`) > 0 })
		if held := p.held(record.KindNode, stays.ID()); len(held) != 1 || held[0].Seq != before {
			t.Errorf("held: got %v, want the record from before the fall", held)
		}
	}
}
