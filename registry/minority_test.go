package registry_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/record"
)

// traitor is the ledger of a Registry that speaks the protocols properly and lies
// in what it says. It passes nothing on.
type traitor struct {
	mu    sync.Mutex
	set   *record.Set         // what it says that it holds
	keeps bool                // the first record of each key
	lies  bool                // of each it claims a newer one, and makes one up
	first []envelope.Envelope // what it keeps
}

// Take implements gossip.Ledger.
func (l *traitor) Take(now time.Time, records []envelope.Envelope, _ record.Path) []record.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	results := make([]record.Result, len(records))
	for i, e := range records {
		results[i].Outcome = record.Known
		if _, held := l.set.Get(record.KeyOf(&e)); l.keeps && !held {
			if o, _ := l.set.Merge(now, e, record.Synced); o == record.Stored && e.Kind == record.KindNode {
				l.first = append(l.first, e)
			}
		}
	}
	return results
}

// old returns something to replay.
func (l *traitor) old(i int) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) == 0 {
		return envelope.Envelope{}, false
	}
	return l.first[i%len(l.first)], true
}

func (l *traitor) Root() [32]byte       { l.mu.Lock(); defer l.mu.Unlock(); return l.set.Root() }
func (l *traitor) Group(g int) [32]byte { l.mu.Lock(); defer l.mu.Unlock(); return l.set.Group(g) }
func (l *traitor) Leaf(i int) [32]byte  { l.mu.Lock(); defer l.mu.Unlock(); return l.set.Leaf(i) }

const lie = 1 << 30

// Items implements reconcile.Source.
func (l *traitor) Items(leaf int) []record.Item {
	l.mu.Lock()
	defer l.mu.Unlock()
	items := slices.Clone(l.set.Items(leaf))
	for i := range items {
		if l.lies {
			items[i].Version.Seq += lie
		}
	}
	return items
}

// Lookup implements reconcile.Source.
func (l *traitor) Lookup(id record.ItemID) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.set.Lookup(id)
	if l.lies {
		e.Seq += lie
	}
	return e, ok
}

// startTraitor has one take part among the honest.
func startTraitor(t *testing.T, l *traitor, honest []*process) *gossip.Network {
	t.Helper()
	l.set = newShelf(t)
	c := gossip.DefaultConfig()
	c.Name, c.Bootstrap = "devnet", targets(honest)
	n, err := gossip.New(c, newNode(t).Key, l, bonding.AllowAll{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

// Three of ten Registries are hostile: one drops everything and says that it
// holds nothing, one replays the first record of every node, one claims newer
// records than there are and makes them up. The other seven agree.
func TestHostile_threeOfTen(t *testing.T) {
	t.Parallel()
	honest := startNetwork(t, 7, func(c *registry.Config) { c.Probing, c.RequestsPerSecond, c.RequestBurst = false, 1e4, 1e4 })
	replayer, liar := &traitor{keeps: true}, &traitor{keeps: true, lies: true}
	for _, n := range []*gossip.Network{startTraitor(t, &traitor{}, honest), startTraitor(t, liar, honest)} {
		honest[0].eventually("the traitor is in", func() bool { return slices.Contains(honest[0].peers(), n.ID().String()) })
	}
	again := startTraitor(t, replayer, honest)
	honest[0].eventually("the replayer is in", func() bool { return slices.Contains(honest[0].peers(), again.ID().String()) })
	replaying, stop := context.WithCancel(t.Context())
	var replays sync.WaitGroup
	replays.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; replaying.Err() == nil; i++ {
			<-tick.C
			for j := range 10 { // together, so that no message is one that was seen
				if e, ok := replayer.old(i * (j + 1)); ok {
					again.Publish(e)
				}
			}
		}
	})
	defer replays.Wait()
	defer stop()

	begun := time.Now()
	nodes, want := make([]*mediaNode, 200), map[drtc.NodeID]uint64{}
	for i := range nodes {
		nodes[i] = newNode(t)
		honest[i%7].mustRegister(nodes[i].record(t, nil))
	}
	for i, n := range nodes {
		at := honest[(i+3)%7]
		if i%10 == 0 {
			if _, err := at.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: n.tombstone(t)})); err != nil {
				t.Fatal(err)
			}
		} else {
			at.mustRegister(n.record(t, nil))
		}
		want[n.ID()] = n.seq
	}
	for _, p := range honest {
		p.eventually("180 nodes are shown", func() bool { return p.count() == 180 })
		p.eventually("the roots are equal", func() bool { return p.root() == honest[0].root() })
	}
	took := time.Since(begun)
	t.Logf("the honest agree after %s", took.Round(time.Millisecond))
	honest[0].eventually("records were replayed", func() bool {
		return slices.ContainsFunc(honest, func(p *process) bool {
			return p.metric(`drtc_registry_submissions_total{outcome="stale",path="gossiped"}`) > 0
		})
	})
	honest[0].eventually("the liar is cut off by who conversed with it", func() bool {
		return slices.ContainsFunc(honest, func(p *process) bool { return p.metric(`drtc_registry_gossip_bans_total{reason="forged"}`) == 1 })
	})
	for _, p := range honest {
		for _, o := range honest {
			if o != p && !slices.Contains(p.peers(), o.ID().String()) {
				t.Errorf("%s is not connected to the honest %s", p.ID().Short(), o.ID().Short())
			}
		}
	}
	for id, seq := range want {
		if held := honest[5].held(record.KindNode, id); len(held) != 1 || held[0].Seq != seq {
			t.Errorf("of %s is held %v, want the record with seq %d", id, held, seq)
		}
	}
}
