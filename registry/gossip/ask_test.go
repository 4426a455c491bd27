package gossip_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/gossip"
)

func TestAskProbe_bringsTheOthersAnswer(t *testing.T) {
	pair := mesh(t, quick(), 2)
	up, down, unsure := drtc.NodeID{1}, drtc.NodeID{2}, drtc.NodeID{3}
	pair[1].OnProbe(func(ctx context.Context, from, node drtc.NodeID) (bool, error) {
		if _, ok := ctx.Deadline(); !ok || from != pair[0].ID() {
			t.Errorf("asked by %s with deadline %t, want %s with one", from, ok, pair[0].ID())
		}
		if node == unsure {
			return false, errors.New("not mine to say")
		}
		return node == up, nil
	})
	for _, tt := range []struct {
		node    drtc.NodeID
		answers bool
		fails   bool
	}{{up, true, false}, {down, false, false}, {unsure, false, true}} {
		got, err := pair[0].AskProbe(t.Context(), pair[1].ID(), tt.node)
		if got != tt.answers || (err != nil) != tt.fails || errors.Is(err, gossip.ErrUnreachable) {
			t.Errorf("%s: got %t, %v, want %t, an error: %t", tt.node, got, err, tt.answers, tt.fails)
		}
	}
	// Nobody was told how to answer there.
	if _, err := pair[1].AskProbe(t.Context(), pair[0].ID(), up); err == nil || errors.Is(err, gossip.ErrUnreachable) {
		t.Errorf("got %v, want that it cannot tell", err)
	}
	eventually(t, 10*time.Second, "3 questions are counted", func() bool {
		return pair[1].counter("probes_total", "direction", "in") == 3
	})
}

func TestAskProbe_whoCannotBeAskedIsUnreachable(t *testing.T) {
	c := quick()
	c.ProbeTimeout = 200 * time.Millisecond
	c.Budget.Probes = gossip.Rate{PerSecond: 0.001, Burst: 1}
	pair := mesh(t, c, 2)
	if _, err := pair[0].AskProbe(t.Context(), drtc.NodeID{9}, drtc.NodeID{1}); !errors.Is(err, gossip.ErrUnreachable) {
		t.Errorf("unknown: got %v, want ErrUnreachable", err)
	}
	release := make(chan struct{})
	pair[1].OnProbe(func(context.Context, drtc.NodeID, drtc.NodeID) (bool, error) {
		<-release
		return true, nil
	})
	if _, err := pair[0].AskProbe(t.Context(), pair[1].ID(), drtc.NodeID{1}); !errors.Is(err, gossip.ErrUnreachable) {
		t.Errorf("slow: got %v, want ErrUnreachable", err)
	}
	close(release)
	if _, err := pair[0].AskProbe(t.Context(), pair[1].ID(), drtc.NodeID{1}); !errors.Is(err, gossip.ErrUnreachable) {
		t.Errorf("too often: got %v, want ErrUnreachable", err)
	}
	eventually(t, 10*time.Second, "the second is refused", func() bool {
		return pair[1].counter("probes_total", "direction", "in", "outcome", "refused") == 1
	})
	pair[1].stop()
	if _, err := pair[0].AskProbe(t.Context(), pair[1].ID(), drtc.NodeID{1}); !errors.Is(err, gossip.ErrUnreachable) {
		t.Errorf("gone: got %v, want ErrUnreachable", err)
	}
}

func TestPeers_tellsWhatPeopleAsk(t *testing.T) {
	listener := start(t, quick())
	dialer := start(t, quick(), listener.Addrs()...)
	e := signed(t, newKey(t), 1)
	listener.submit(e)
	eventually(t, 10*time.Second, "the record is there", func() bool { return dialer.ledger.holds(e) })
	find := func(r, of *registry) gossip.Peer {
		for _, p := range r.Peers() {
			if p.ID == of.ID() {
				return p
			}
		}
		t.Fatalf("%s does not list %s", r.ID().Short(), of.ID().Short())
		return gossip.Peer{}
	}
	eventually(t, 10*time.Second, "both tell of a conversation and scores", func() bool {
		return !find(dialer, listener).LastSync.IsZero() && !find(listener, dialer).LastSync.IsZero() &&
			find(dialer, listener).Score > 0
	})
	p := find(dialer, listener)
	if !p.Connected || !p.Bonded || p.Direction != "out" || p.Since.IsZero() || p.Ban != nil || p.SyncOutcome == "" ||
		len(p.Addresses) != 1 || p.Addresses[0] != listener.Addrs()[0] || p.BytesIn == 0 || p.BytesOut == 0 || p.RecordsIn == 0 {
		t.Errorf("the dialer tells %+v", p)
	}
	if p := find(listener, dialer); p.Direction != "in" || p.RecordsOut == 0 {
		t.Errorf("the listener tells %+v", p)
	}
	if got := listener.counter("connections", "direction", "in"); got != 1 {
		t.Errorf("connections in: got %v, want 1", got)
	}
}
