package score

import (
	"testing"

	"github.com/drtc-network/drtc/econ"
)

// says is what Orchestrator o reports of sessions on node i.
func (n *network) says(o, i int, count uint32, bytes uint64, quality econ.Wad) {
	n.in.Sessions = append(n.in.Sessions, Sessions{nodeID(1000 + o), nodeID(i), count, bytes, quality})
}

// With tests of 0.95, what sessions let V be.
func TestQuality_sessionsAsWitness(t *testing.T) {
	const gb = 1_000_000_000
	const tests = 95 * percent
	for name, tt := range map[string]struct {
		report func(n *network)
		want   econ.Wad
	}{
		"nobody reports": {func(*network) {}, tests},
		"three say 0.4": {func(n *network) {
			n.says(1, 0, 10, gb, 40*percent)
			n.says(2, 0, 10, gb, 40*percent)
			n.says(3, 0, 10, gb, 40*percent)
		}, 50 * percent},
		"of 29 sessions": {func(n *network) {
			n.says(1, 0, 10, gb, 40*percent)
			n.says(2, 0, 10, gb, 40*percent)
			n.says(3, 0, 9, gb, 40*percent)
		}, tests},
		"two alone": {func(n *network) {
			n.says(1, 0, 500, gb, 40*percent)
			n.says(2, 0, 500, gb, 40*percent)
		}, tests},
		"sessions are never better than tests": {func(n *network) {
			for o := range 5 {
				n.says(o, 0, 100, gb, econ.One)
			}
		}, tests},
		"one bears false witness": {func(n *network) {
			n.says(1, 0, 1000, 1000*gb, 0)
			n.says(2, 0, 20, gb, tests)
			n.says(3, 0, 20, gb, tests)
		}, tests},
		"three that hardly paid bear false witness": {func(n *network) {
			n.says(1, 0, 1000, gb, 0)
			n.says(2, 0, 1000, gb, 0)
			n.says(3, 0, 1000, gb, 0)
			n.says(4, 0, 100, 10*gb, tests)
		}, tests},
		"three that paid a third of what others did": {func(n *network) {
			n.says(1, 0, 10, gb, 40*percent)
			n.says(2, 0, 10, gb, 40*percent)
			n.says(3, 0, 10, gb, 40*percent)
			n.says(4, 0, 90, 9*gb, tests)
		}, 50 * percent},
		"the owner hides bad sessions with as many of its own": {func(n *network) {
			n.says(1, 0, 10, gb, 40*percent)
			n.says(2, 0, 10, gb, 40*percent)
			n.says(3, 0, 10, gb, 40*percent)
			n.says(4, 0, 30, 3*gb, econ.One)
		}, 50 * percent},
		"unpaid sessions are none": {func(n *network) {
			n.says(1, 0, 10, 0, 40*percent)
			n.says(2, 0, 10, 0, 40*percent)
			n.says(3, 0, 10, 0, 40*percent)
		}, tests},
		"what all nodes have in common is the clients' own": {func(n *network) {
			for o := range 3 {
				for i := range 6 {
					n.says(o, i, 20, gb, 50*percent)
				}
			}
		}, tests},
		"what this node alone has is its own": {func(n *network) {
			for o := range 3 {
				n.says(o, 0, 20, gb, 30*percent)
				for i := 1; i < 6; i++ {
					n.says(o, i, 20, gb, 60*percent)
				}
			}
		}, 75 * percent}, // 0.30, 0.35 by which all are low, and 0.10
	} {
		n := newNetwork(t, 20)
		for p := range 20 {
			n.tested(p, false, repeat(tests, 8)...)
		}
		tt.report(n)
		n.close()
		if got := n.score(0); got.Quality != tt.want || got.Tested != tests {
			t.Errorf("%s: V is %d, want %d", name, got.Quality, tt.want)
		}
	}
}

// Reports fade, a seventh an epoch, and the Orchestrators with the most bytes are
// remembered.
func TestQuality_sessionsAreForgotten(t *testing.T) {
	n := newNetwork(t, 20)
	for o := range 20 {
		n.says(o, 0, 70, uint64(70_000+o), 40*percent)
	}
	n.close()
	e := n.book.entries[0]
	if len(e.reports) != 16 || e.reports[0].orchestrator != nodeID(1004) {
		t.Fatalf("%d Orchestrators are remembered from %s on, want the 16 with the most bytes", len(e.reports), e.reports[0].orchestrator)
	}
	n.close()
	if got := n.book.entries[0].reports[0]; got.count != 60 || got.bytes != 60_003 {
		t.Errorf("after an epoch %d sessions and %d bytes, want 60 and 60003", got.count, got.bytes)
	}
	for range 60 {
		n.close()
	}
	if got := n.book.entries[0].reports; len(got) != 0 {
		t.Errorf("after 60 epochs %d Orchestrators are remembered, want none", len(got))
	}
}
