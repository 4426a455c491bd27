package gossip_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

func TestNetwork_convergesAlongALine(t *testing.T) {
	all := []*registry{start(t, quick())}
	for len(all) < 5 {
		all = append(all, start(t, quick(), all[len(all)-1].Addrs()...))
	}
	for _, r := range all {
		for range 10 {
			r.submit(signed(t, newKey(t), 1))
		}
	}
	eventually(t, 30*time.Second, "all 5 hold the same 50 records", func() bool { return converged(50, all...) })

	// A record that leaves is gone everywhere.
	key := newKey(t)
	all[0].submit(signed(t, key, 1))
	gone := signed(t, key, 2, func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil })
	all[4].submit(gone)
	for _, r := range all {
		eventually(t, 10*time.Second, "the tombstone is held", func() bool { return r.ledger.holds(gone) })
	}
}

func TestPublish_everyKindReachesAllByGossip(t *testing.T) {
	all := mesh(t, quick(), 3)
	for kind, topic := range map[string]string{
		record.KindNode: "node", record.KindRegistry: "registry", record.KindLiveness: "liveness",
		record.KindEquivocation: "evidence", record.KindAdmission: "admission",
	} {
		// The first may come by anti-entropy, while the topics are being joined.
		eventually(t, 10*time.Second, kind+" comes by gossip", func() bool {
			all[0].submit(signed(t, newKey(t), 1, func(e *envelope.Envelope) { e.Kind = kind }))
			return all[1].counter("records_total", "topic", topic, "outcome", "stored") > 0 &&
				all[2].counter("records_total", "topic", topic, "outcome", "stored") > 0
		})
	}
}

func TestNetwork_aPeerThatDropsEverythingDoesNotStopTheOthers(t *testing.T) {
	honest := mesh(t, quick(), 3)
	key, deaf := newKey(t), newMemory(t, nil)
	deaf.deaf = true
	c := quick()
	c.Bootstrap = honest[0].Addrs()
	dropper := open(t, c, key, deaf, bonding.AllowAll{}).run()
	for _, r := range honest {
		r.Know([]gossip.Contact{honest[0].contact(), honest[1].contact(), honest[2].contact(), dropper.contact()})
		eventually(t, 10*time.Second, "the dropper is connected", func() bool { return r.connectedTo(dropper.ID()) })
	}
	for _, r := range honest {
		for range 20 {
			r.submit(signed(t, newKey(t), 1))
		}
	}
	eventually(t, 20*time.Second, "the honest hold the same 60 records", func() bool { return converged(60, honest...) })
	if got := deaf.len(); got != 0 {
		t.Errorf("the dropper holds %d records, want none: it is not the test it should be", got)
	}
}

func TestNetwork_healsAPartition(t *testing.T) {
	all := mesh(t, quick(), 4)
	left, right := all[:2], all[2:]
	part := func(from, others []*registry) {
		for _, r := range from {
			r.Part(func(p peer.ID) bool { return p == others[0].PeerID() || p == others[1].PeerID() })
		}
	}
	part(left, right)
	part(right, left)
	for _, r := range left {
		for _, o := range right {
			eventually(t, 10*time.Second, "the sides are apart", func() bool { return !r.connectedTo(o.ID()) && !o.connectedTo(r.ID()) })
		}
	}
	for _, r := range all {
		for range 10 {
			r.submit(signed(t, newKey(t), 1))
		}
	}
	eventually(t, 10*time.Second, "each side holds its own", func() bool { return converged(20, left...) && converged(20, right...) })
	for _, r := range all {
		r.Part(nil)
	}
	eventually(t, 20*time.Second, "all hold both", func() bool { return converged(40, all...) })
}

func TestNetwork_restartCatchesUp(t *testing.T) {
	all := mesh(t, quick(), 3)
	for range 10 {
		all[0].submit(signed(t, newKey(t), 1))
	}
	eventually(t, 20*time.Second, "all hold 10", func() bool { return converged(10, all...) })
	all[2].stop()
	eventually(t, 10*time.Second, "it is gone", func() bool { return !all[0].connectedTo(all[2].ID()) })
	for range 10 {
		all[0].submit(signed(t, newKey(t), 1))
	}
	c := quick()
	c.Bootstrap = all[1].Addrs()
	again := open(t, c, all[2].key, all[2].ledger, bonding.AllowAll{}).run()
	eventually(t, 20*time.Second, "it has caught up", func() bool { return converged(20, all[0], all[1], again) })
}

func TestPublish_neverBlocksAndAntiEntropyRepairsWhatWasDropped(t *testing.T) {
	c := quick()
	c.QueueSize = 8
	key, m := newKey(t), newMemory(t, nil)
	r := open(t, c, key, m, bonding.AllowAll{})
	for range 20 { // nobody takes them from the queue yet
		r.submit(signed(t, newKey(t), 1))
	}
	if got := r.counter("dropped_records_total", "where", "queue"); got != 12 {
		t.Errorf("dropped: got %v, want 12 of 20 with room for 8", got)
	}
	r.run()
	other := start(t, quick(), r.Addrs()...)
	eventually(t, 20*time.Second, "the other holds all 20", func() bool { return converged(20, r, other) })
}

func TestPublish_staysBelowWhatTheOthersAllow(t *testing.T) {
	c := quick()
	c.Budget.Records = gossip.Rate{PerSecond: 10, Burst: 100}
	pair := mesh(t, c, 2)
	const nodes = 300
	for range nodes {
		pair[0].submit(signed(t, newKey(t), 1))
	}
	eventually(t, 20*time.Second, "both hold all", func() bool { return converged(nodes, pair...) })
	if got := pair[0].counter("dropped_records_total", "where", "pace"); got == 0 {
		t.Error("nothing was left to anti-entropy")
	}
	if got := pair[1].counter("bans_total"); got != 0 {
		t.Error("an honest Registry was cut off")
	}
}

// A new Registry does not wait for the next conversation when the first was too
// short for everything.
func TestSync_goesOnUntilEverythingIsThere(t *testing.T) {
	c := quick()
	c.SyncEvery, c.SyncIdle = 3*time.Second, 3*time.Second
	c.SyncLimits.MaxBytes = reconcile.MaxFrame
	full := open(t, c, newKey(t), newMemory(t, nil), bonding.AllowAll{})
	const nodes = 3000
	for range nodes {
		e := signed(t, newKey(t), 1, func(e *envelope.Envelope) { e.Body = make([]byte, 200) })
		if outcome, err := full.ledger.set.Apply(time.Now(), e); outcome != record.Stored {
			t.Fatal(err)
		}
	}
	full.run()
	empty := start(t, c, full.Addrs()...)
	eventually(t, 30*time.Second, "everything is there", func() bool { return converged(nodes, full, empty) })
	if got := empty.counter("sync_sessions_total", "outcome", "partial"); got < 2 {
		t.Errorf("%v conversations were cut short, want several for this to be the test it should be", got)
	}
}

// learner is a registry whose ledger tells the network of registry records, as
// the Registry does.
func learner(t *testing.T, bootstrap ...string) *registry {
	c, m := quick(), newMemory(t, nil)
	c.Bootstrap = bootstrap
	r := open(t, c, newKey(t), m, bonding.AllowAll{})
	var mu sync.Mutex
	var known []gossip.Contact
	m.stored = func(e envelope.Envelope) {
		if e.Kind != record.KindRegistry {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		known = append(known, gossip.Contact{ID: e.Subject, Addrs: strings.Fields(string(e.Body))})
		r.Know(known)
	}
	return r.run()
}

func TestKnow_aNewRegistryLearnsOfTheOthersFromTheirRecords(t *testing.T) {
	all := []*registry{learner(t)}
	for len(all) < 4 {
		all = append(all, learner(t, all[0].Addrs()...))
	}
	for _, r := range all {
		r.submit(signed(t, r.key, 1, func(e *envelope.Envelope) {
			e.Kind, e.Body = record.KindRegistry, []byte(strings.Join(r.Addrs(), " "))
		}))
	}
	connected(t, all...)
}

func TestDirectory_aNewRegistryLearnsOfTheOthersFromAnAPI(t *testing.T) {
	all := mesh(t, quick(), 3)
	asked := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/peers" {
			t.Errorf("asked for %s, want /base/peers", r.URL.Path)
		}
		if asked++; asked == 1 { // it asks again
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		if err := json.NewEncoder(w).Encode(all[0].Directory()); err != nil {
			t.Error(err)
		}
	}))
	defer api.Close()
	fresh := start(t, quick(), api.URL+"/base/")
	connected(t, append(all, fresh)...)
}

func TestNetwork_honestDuplicatesCostNothing(t *testing.T) {
	c := quick()
	c.Budget.Fresh = 30 * time.Second
	all := mesh(t, c, 4)
	const nodes = 300
	for range nodes { // each registers with all Registries at once
		e := signed(t, newKey(t), 1)
		for _, r := range all {
			r.submit(e)
		}
	}
	eventually(t, 30*time.Second, "all hold the same", func() bool { return converged(nodes, all...) })
	for _, r := range all {
		if got := r.counter("bans_total"); got != 0 {
			t.Errorf("%s cut off %v honest peers", r.ID().Short(), got)
		}
		for _, p := range r.Peers() {
			if p.Budget > 0.5 {
				t.Errorf("%s has used %.2f of its budget", p.ID.Short(), p.Budget)
			}
		}
	}
}
