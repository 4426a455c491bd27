package gossip_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/record"
)

// These are attempts to have honest Registries cut each other off.

// still is a configuration without anti-entropy after the first conversation.
func still() gossip.Config {
	c := quick()
	c.SyncEvery, c.SyncIdle = time.Hour, time.Hour
	return c
}

func wantNoBlame(t *testing.T, all ...*registry) {
	t.Helper()
	for _, r := range all {
		if r.counter("bans_total") != 0 {
			t.Errorf("%s has cut off somebody: %+v", r.ID().Short(), r.Peers())
		}
		for _, o := range all {
			if r != o && !r.connectedTo(o.ID()) {
				t.Errorf("%s is not connected to %s", r.ID().Short(), o.ID().Short())
			}
		}
	}
}

// passesOn waits until what a says to first goes on to second.
func (a *attacker) passesOn(first, second *registry) {
	a.t.Helper()
	eventually(a.t, 10*time.Second, "the first passes on to the second", func() bool {
		e := signed(a.t, newKey(a.t), 1)
		if err := a.say("node", message(e)); err != nil {
			a.t.Fatal(err)
		}
		eventually(a.t, 10*time.Second, "the first has it", func() bool { return first.ledger.holds(e) })
		return second.counter("messages_total", "topic", "node", "outcome", "accepted") > 0
	})
}

// put stores e without telling anybody, as if a conversation had brought it.
func (r *registry) put(e envelope.Envelope) {
	r.t.Helper()
	if got := r.ledger.take(time.Now(), e, record.Synced); got.Outcome != record.Stored || got.Err != nil {
		r.t.Fatalf("storing: %+v", got)
	}
}

// A record that looks old is not verified, so it must not be passed on beside one
// that is new: to the next Registry it may look new, and then it is a forgery.
func TestBlame_unverifiedRecordsAreNotPassedOn(t *testing.T) {
	first := start(t, still())
	second := start(t, still(), first.Addrs()...)
	connected(t, first, second)
	eventually(t, 10*time.Second, "the first conversation is over", func() bool { return second.counter("sync_sessions_total") > 0 })
	key := newKey(t)
	first.put(signed(t, key, 100))

	a := newAttacker(t, newKey(t), first)
	if err := a.connect(); err != nil {
		t.Fatal(err)
	}
	a.passesOn(first, second)
	for i := range 10 {
		good, forged := signed(t, newKey(t), 1), signed(t, key, uint64(i+1))
		forged.Body = []byte("something else")
		if err := a.say("node", message(good, forged)); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "what is good goes on", func() bool { return second.ledger.holds(good) })
	}
	wantNoBlame(t, first, second)
	if got := second.counter("messages_total", "outcome", "rejected"); got != 0 {
		t.Errorf("%v messages of the honest Registry were rejected", got)
	}
}

// Several who each keep to their budget must not have the one who passes all of
// it on go beyond its own.
func TestBlame_passingOnKeepsToTheBudget(t *testing.T) {
	c := quick()
	c.Budget.Messages = gossip.Rate{PerSecond: 20, Burst: 200}
	first := start(t, c)
	second := start(t, c, first.Addrs()...)
	connected(t, first, second)
	opener := newAttacker(t, newKey(t), first)
	if err := opener.connect(); err != nil {
		t.Fatal(err)
	}
	opener.passesOn(first, second)
	before := first.ledger.len()
	var sent []envelope.Envelope
	for range 4 {
		a := newAttacker(t, newKey(t), first)
		if err := a.connect(); err != nil {
			t.Fatal(err)
		}
		for range 150 {
			e := signed(t, newKey(t), 1)
			sent = append(sent, e)
			if err := a.say("node", message(e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, 20*time.Second, "both hold everything", func() bool { return converged(before+len(sent), first, second) })
	wantNoBlame(t, first, second)
}

// Whoever gives records of some age to two Registries at a time must not have each
// take the other's news for replays.
func TestBlame_newsFromTwoSidesIsNoReplay(t *testing.T) {
	first := start(t, still())
	second := start(t, still(), first.Addrs()...)
	connected(t, first, second)
	eventually(t, 10*time.Second, "the first conversation is over", func() bool { return second.counter("sync_sessions_total") > 0 })
	aged := func(k *identity.Key, seq uint64, age time.Duration) envelope.Envelope {
		return signed(t, k, seq, func(e *envelope.Envelope) { e.IssuedAt = time.Now().Add(-age) })
	}
	var older, newer []envelope.Envelope
	for range 700 {
		k := newKey(t)
		older, newer = append(older, aged(k, 1, 2*time.Minute)), append(newer, aged(k, 2, time.Minute))
	}
	for i := range older { // the second one's are newer
		first.put(older[i])
		second.put(newer[i])
	}
	for i := range older {
		first.Publish(older[i])
		second.Publish(newer[i])
	}
	eventually(t, 20*time.Second, "each has heard all", func() bool {
		return first.counter("records_total", "topic", "node", "outcome", "stored") == 700 &&
			second.counter("records_total", "topic", "node", "outcome", "stale") == 700
	})
	wantNoBlame(t, first, second)
}

// Whoever goes on with what is refused is cut off.
func TestBudget_whoKeepsBeingRefusedIsCutOff(t *testing.T) {
	for _, protocol := range []protocol.ID{"/drtc/testnet/sync/1", "/drtc/testnet/probe/1"} {
		t.Run(string(protocol), func(t *testing.T) {
			c := gossip.DefaultConfig()
			c.Name = "testnet"
			victim := start(t, c)
			a := newAttacker(t, newKey(t), victim)
			if err := a.connect(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(network.WithNoDial(t.Context(), "test"), 10*time.Second)
			defer cancel()
			opened := 0
			for ; ctx.Err() == nil; opened++ {
				s, err := a.NewStream(ctx, victim.PeerID(), protocol)
				if err != nil {
					break
				}
				if protocol == "/drtc/testnet/probe/1" {
					_, _ = s.Write(make([]byte, 20)) // a node; what is refused is reset
				}
				_ = s.CloseWrite()
				_, _ = io.ReadAll(s)
				_ = s.Reset()
			}
			eventually(t, time.Second, "it is cut off", func() bool { return victim.counter("bans_total", "reason", "useless") == 1 })
			t.Logf("cut off after %d", opened)
		})
	}
}
