package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/record"
)

// The network benchmarks run whole Registries in one process, over loopback,
// each with its own disk. CPU is user and system time of the process. Run them
// with -benchtime 1x; docs/benchmarks.md has the commands.

// bench is a network of Registries that runs.
type bench struct {
	b   *testing.B
	all []*Registry
}

func startBench(b *testing.B, size int) *bench {
	b.Helper()
	n := &bench{b: b}
	for range size {
		n.add(b.TempDir())
	}
	n.await("everybody is connected", func() bool {
		for _, r := range n.all {
			if r.connected() < min(size-1, 4) {
				return false
			}
		}
		return true
	})
	return n
}

func benchConfig(dir string) Config {
	c := DefaultConfig()
	c.Listen, c.GossipListen, c.Dir, c.Network = "127.0.0.1:0", "127.0.0.1:0", dir, "bench"
	c.UpdateEvery, c.RequestsPerSecond, c.Probing = 0, 1e6, false // the nodes are made up
	return c
}

// add starts one more Registry, which asks the first for the others.
func (n *bench) add(dir string) (r *Registry, stop func()) {
	n.b.Helper()
	c := benchConfig(dir)
	if len(n.all) > 0 {
		c.Bootstrap = []string{n.all[0].URL()}
	}
	return n.start(c)
}

func (n *bench) start(c Config) (r *Registry, stop func()) {
	n.b.Helper()
	r, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		n.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.b.Error(err)
		}
	})
	n.b.Cleanup(stop)
	n.all = append(n.all, r)
	return r, stop
}

func (n *bench) await(what string, condition func() bool) {
	n.b.Helper()
	n.awaitEvery(20*time.Millisecond, what, condition)
}

func (n *bench) awaitEvery(every time.Duration, what string, condition func() bool) {
	n.b.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			n.b.Fatalf("not within two minutes: %s", what)
		}
	}
}

// nodes counts what is held of kind node, without the Registries' own records.
func (r *Registry) nodes() int { return r.ledger.Len() }

func (n *bench) equal(least int) bool {
	first := n.all[0].ledger.Root()
	for _, r := range n.all {
		if r.nodes() < least || r.ledger.Root() != first {
			return false
		}
	}
	return true
}

// load submits records to one Registry, 64 at once as many nodes would.
func load(b *testing.B, r *Registry, records []envelope.Envelope) {
	b.Helper()
	next := make(chan envelope.Envelope)
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for e := range next {
				if _, _, err := r.ledger.Submit(b.Context(), e); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, e := range records {
		next <- e
	}
	close(next)
	workers.Wait()
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fleet is keys that sign node records for the benchmarks.
type fleet struct{ keys []*identity.Key }

func newFleet(b *testing.B, size int) *fleet {
	b.Helper()
	f := &fleet{}
	for range size {
		f.keys = append(f.keys, testNode(b))
	}
	return f
}

// sign returns one record of each key, signed on all processors.
func (f *fleet) sign(b *testing.B, seq uint64) []envelope.Envelope {
	b.Helper()
	out := make([]envelope.Envelope, len(f.keys))
	var parts sync.WaitGroup
	for part := range 4 {
		parts.Go(func() {
			for i := part; i < len(out); i += 4 {
				out[i] = benchRecord(b, f.keys[i], seq)
			}
		})
	}
	parts.Wait()
	return out
}

// 20,000 new records, 4,000 at each of five Registries, until all have the same.
func BenchmarkNetwork_load20000(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		n, records := startBench(b, 5), newFleet(b, 20_000).sign(b, 1)
		b.StartTimer()
		begun, used := time.Now(), cpu()
		var sources sync.WaitGroup
		for i, r := range n.all {
			sources.Go(func() { load(b, r, records[i*4000:(i+1)*4000]) })
		}
		sources.Wait()
		n.await("all roots are equal", func() bool { return n.equal(20_000) })
		b.ReportMetric((cpu() - used).Seconds(), "cpu-s")
		b.ReportMetric(time.Since(begun).Seconds(), "s")
	}
}

// 170 single updates a second for 20 s over 2,000 nodes at five Registries:
// when has the last one heard?
func BenchmarkNetwork_singleUpdates170(b *testing.B) {
	const rate, updates = 170, 170 * 20
	n, f := startBench(b, 5), newFleet(b, 2000)
	load(b, n.all[0], f.sign(b, 1))
	n.await("all roots are equal", func() bool { return n.equal(2000) })
	next := append(f.sign(b, 2), f.sign(b, 3)[:updates-2000]...)
	delays := make([]time.Duration, updates)
	for b.Loop() {
		tick := time.NewTicker(time.Second / rate)
		used := cpu()
		var waits sync.WaitGroup
		for i, e := range next {
			<-tick.C
			waits.Go(func() {
				begun := time.Now()
				if _, _, err := n.all[i%5].ledger.Submit(b.Context(), e); err != nil {
					b.Error(err)
				}
				key, hash := record.KeyOf(&e), e.Hash()
				n.awaitEvery(2*time.Millisecond, "all have the update", func() bool {
					for _, r := range n.all {
						if held, ok := r.ledger.Get(key); !ok || held.Hash() != hash {
							return false
						}
					}
					return true
				})
				delays[i] = time.Since(begun)
			})
		}
		waits.Wait()
		tick.Stop()
		slices.Sort(delays)
		b.ReportMetric(float64((cpu()-used).Microseconds())/1000/updates/5, "cpu-ms/update-node")
		b.ReportMetric(delays[updates/2].Seconds()*1000, "p50-ms")
		b.ReportMetric(delays[updates*99/100].Seconds()*1000, "p99-ms")
		b.ReportMetric(delays[updates-1].Seconds()*1000, "max-ms")
	}
}

// Two Registries of 20,000 records have 1,000 each that the other has not, and
// are joined: in what time and bytes are they equal?
func BenchmarkNetwork_heal(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		n := &bench{b: b}
		for range 2 {
			n.start(benchConfig(b.TempDir())) // neither knows the other
		}
		common, own := newFleet(b, 19_000).sign(b, 1), newFleet(b, 2000).sign(b, 1)
		differing := 0
		for _, e := range own {
			differing += len(e.Bytes())
		}
		for i, r := range n.all {
			load(b, r, common)
			load(b, r, own[i*1000:(i+1)*1000])
		}
		b.StartTimer()
		begun, used := time.Now(), cpu()
		n.all[0].gossip.Know([]gossip.Contact{{ID: n.all[1].ID(), Addrs: n.all[1].gossip.Addrs()}})
		n.await("the roots are equal", func() bool { return n.equal(21_000) })
		b.ReportMetric(time.Since(begun).Seconds(), "s")
		b.ReportMetric((cpu() - used).Seconds(), "cpu-s")
		b.ReportMetric(n.all[0].syncBytes(b)/float64(differing), "sync-bytes/differing-byte")
	}
}

// syncBytes is what conversations took so far, in both directions.
func (r *Registry) syncBytes(b *testing.B) (total float64) {
	b.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "drtc_registry_gossip_sync_bytes_total" {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

// A new Registry fills itself with 100,000 records from one that has them.
func BenchmarkNetwork_newRegistry100000(b *testing.B) {
	n := startBench(b, 1)
	for range 10 {
		load(b, n.all[0], newFleet(b, 10_000).sign(b, 1))
	}
	for b.Loop() {
		begun, used := time.Now(), cpu()
		_, stop := n.add(b.TempDir())
		n.await("the new one has all", func() bool { return n.equal(100_000) })
		b.ReportMetric((cpu() - used).Seconds(), "cpu-s")
		b.ReportMetric(time.Since(begun).Seconds(), "s")
		stop()
		n.all = n.all[:1]
	}
}

// A Registry with 100,000 records on disk starts: until its first answer.
func BenchmarkNetwork_restart100000(b *testing.B) {
	n, dir := &bench{b: b}, b.TempDir()
	r, stop := n.add(dir)
	for range 10 {
		load(b, r, newFleet(b, 10_000).sign(b, 1))
	}
	stop()
	n.all = nil
	for b.Loop() {
		begun := time.Now()
		r, stop := n.add(dir)
		get(b, r.URL()+"/getMediaNodes?lat=50&lon=8&limit=20")
		b.ReportMetric(time.Since(begun).Seconds(), "s")
		b.StopTimer()
		if r.nodes() < 100_000 {
			b.Fatal(fmt.Errorf("holds %d records", r.nodes()))
		}
		stop()
		n.all = nil
		b.StartTimer()
	}
}

// connected counts the Registries that r is connected to.
func (r *Registry) connected() (n int) {
	for _, p := range r.gossip.Peers() {
		if p.Connected {
			n++
		}
	}
	return n
}

func testNode(b *testing.B) *identity.Key {
	b.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// benchRecord is a record of a usual size, 400 bytes.
func benchRecord(b *testing.B, k *identity.Key, seq uint64) envelope.Envelope {
	body, err := proto.Marshal(&registryv1.NodeBody{
		NodeId: k.ID().String(), PubKey: k.Public().Hex(), Url: "https://192.0.2.1:7901", TlsFingerprint: make([]byte, 32),
		Geolocation: fmt.Sprintf("%.4f,%.4f", float64(k.ID()[0])/2-60, float64(k.ID()[1])-120), Region: "EU", Version: "0.1.0",
		CapacityMbps: 1000, MediaAddresses: []string{"192.0.2.1:7902"}, Features: []string{"vp8", "h264"},
	})
	if err != nil {
		b.Fatal(err)
	}
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "bench", Subject: k.ID(), Seq: seq, IssuedAt: time.Now(), TTL: 900 * time.Second, Body: body,
	}
	if err := e.Sign(k); err != nil {
		b.Fatal(err)
	}
	return e
}

func get(b *testing.B, url string) {
	b.Helper()
	a, err := http.Get(url) //nolint:noctx // the benchmark ends it
	if err != nil {
		b.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := io.Copy(io.Discard, a.Body); err != nil || a.StatusCode != http.StatusOK {
		b.Fatal(a.Status, err)
	}
}
