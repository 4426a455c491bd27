package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
)

// Peers are looked at when something is due for them. What they see of it must
// be as if each were looked at all the time.
func TestTimers_likeLookingAtEverybody(t *testing.T) {
	const (
		disconnect = 8 * time.Second
		consent    = 30 * time.Second
		grain      = 20 * time.Millisecond
	)
	type model struct {
		*client
		checked, heard, protected time.Time
		failed                    bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetwork(t)
		var peers []*model
		near := func(since time.Time, limit time.Duration) bool {
			d := n.now.Sub(since) - limit
			return d > -grain && d < grain
		}
		for range rapid.IntRange(10, 150).Draw(rt, "steps") {
			var p *model
			if len(peers) > 0 {
				p = peers[rapid.IntRange(0, len(peers)-1).Draw(rt, "peer")]
			}
			switch step := rapid.IntRange(0, 5).Draw(rt, "step"); {
			case p == nil || step == 0 && len(peers) < 6:
				p = &model{client: n.join(engine.PeerID(1 + len(peers))), checked: n.now, heard: n.now, protected: n.now}
				peers = append(peers, p)
			case step < 3 && !p.failed && !near(p.checked, consent): // else it may just have failed
				p.check(true)
				p.checked, p.heard = n.now, n.now
			case step < 5:
				p.control(&rtcp.ReceiverReport{SSRC: 1})
				p.heard = n.now
			}
			n.pass(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			for _, p := range peers {
				if near(p.heard, disconnect) || near(p.checked, consent) {
					continue
				}
				p.failed = p.failed || n.now.Sub(p.checked) > consent
				want := !p.failed && n.now.Sub(p.heard) <= disconnect
				if f, _ := n.core.Figures(p.id); f.Connected != want {
					rt.Fatalf("peer %d, %s after its last check and %s after its last packet: connected is %v", p.id, n.now.Sub(p.checked), n.now.Sub(p.heard), f.Connected)
				}
			}
		}
		figures := map[engine.PeerID]int{}
		for _, e := range n.events {
			if r, ok := e.(engine.PeerReport); ok {
				figures[r.Peer]++
			}
		}
		for _, p := range peers {
			// The first after 2 s, then every 5 s; each may be a tick late.
			elapsed := n.now.Sub(p.protected)
			due := func(by time.Duration, late time.Duration) int {
				if by -= 2*time.Second + late; by < 0 {
					return 0
				}
				return 1 + int(by/(5*time.Second+late))
			}
			if got, least, most := figures[p.id], due(elapsed, grain), due(elapsed, 0); got > most || got < least {
				rt.Fatalf("peer %d: %d figures in %s, want %d to %d", p.id, got, elapsed, least, most)
			}
		}
	})
}

func TestTimers_reportsOfManyPeersKeepTheirIntervals(t *testing.T) {
	n := audience(t, engine.Config{}, 20)
	for range 6 {
		n.pass(time.Second)
		for _, c := range n.peers {
			c.check(true)
		}
	}
	for _, c := range n.peers[1:] {
		if got := count[*rtcp.ReceiverReport](c); got < 5 || got > 6 {
			t.Errorf("viewer %d: got %d receiver reports in 6 s, want 5 or 6", c.id, got)
		}
		if got := count[*rtcp.SenderReport](c); got < 5 || got > 6 {
			t.Errorf("viewer %d: got %d sender reports in 6 s, want 5 or 6", c.id, got)
		}
	}
}
