package score

import (
	"testing"

	"github.com/drtc-network/drtc/econ"
)

// background gives nodes 1 to 19 four good results each, by challengers among
// themselves.
func (n *network) background() {
	for p := 1; p < 20; p++ {
		n.tested(p, false, 95*percent, 94*percent, 96*percent, 95*percent)
	}
}

// A node fails, is alarmed, tested further, put into quarantine, mends and is let
// out after two good epochs.
func TestStanding_lifeOfANode(t *testing.T) {
	const well, ill = 95 * percent, 50 * percent
	n := newNetwork(t, 20)
	for i, step := range []struct {
		quality   econ.Wad
		want      Standing
		wantTests int
	}{
		{well, Sound, 0}, {well, Sound, 0},
		{ill, Alarmed, 8},     // 4 of the last 6
		{ill, Quarantined, 2}, // 8 of 8 further ones
		{ill, Quarantined, 2},
		{well, Quarantined, 2}, {ill, Quarantined, 2}, // one good epoch is not two in a row
		{well, Quarantined, 2}, {well, Sound, 0},
		{well, Sound, 0}, // the bad ones are not among the last 6
	} {
		further := n.rules.Further(n.book.Standing(nodeID(0)))
		n.background()
		n.tested(0, false, repeat(step.quality, 4)...)
		n.tested(0, true, repeat(step.quality, further)...)
		n.close()
		if got := n.score(0); got.Standing != step.want || got.Further != step.wantTests {
			t.Fatalf("epoch %d: %s and %d further tests, want %s and %d", i, got.Standing, got.Further, step.want, step.wantTests)
		}
		for p := 1; p < 20; p++ {
			if got := n.score(p); got.Standing != Sound {
				t.Fatalf("epoch %d: node %d is %s, want sound", i, p, got.Standing)
			}
		}
	}
}

// alarm brings node 0 to its alarm.
func alarm(t *testing.T) *network {
	n := newNetwork(t, 20)
	n.background()
	n.tested(0, false, repeat(50*percent, 4)...)
	n.close()
	if got := n.score(0).Standing; got != Alarmed {
		t.Fatalf("after four bad results the node is %s, want alarmed", got)
	}
	return n
}

func TestStanding_furtherTestsClear(t *testing.T) {
	n := alarm(t)
	n.background()
	n.tested(0, false, repeat(95*percent, 4)...)
	n.tested(0, true, repeat(95*percent, 8)...)
	n.close()
	if got := n.score(0).Standing; got != Sound {
		t.Errorf("got %s, want sound", got)
	}
}

// While the further tests are divided there are more, but not for ever.
func TestStanding_dividedTests(t *testing.T) {
	n := alarm(t)
	for epoch, want := range []Standing{Alarmed, Alarmed, Quarantined} {
		n.background()
		n.tested(0, true, 95*percent, 95*percent, 95*percent, 95*percent, 95*percent, 95*percent, 50*percent, 50*percent)
		n.tested(0, false, repeat(50*percent, 4)...)
		n.close()
		if got := n.score(0).Standing; got != want {
			t.Errorf("epoch %d: got %s, want %s", epoch, got, want)
		}
	}
}

// Who avoids the further tests is put into quarantine without them, unless
// hardly anybody was tested.
func TestStanding_avoidedTests(t *testing.T) {
	n := alarm(t)
	n.close() // an epoch without tests: no beacon
	for epoch, want := range []Standing{Alarmed, Alarmed, Quarantined} {
		n.background()
		n.tested(0, true, repeat(95*percent, 1)...) // too few
		n.close()
		if got := n.score(0).Standing; got != want {
			t.Errorf("epoch %d: got %s, want %s", epoch, got, want)
		}
	}
}

// Few results are no release, and no forgiveness is in being away.
func TestStanding_absence(t *testing.T) {
	n := alarm(t)
	n.background()
	n.tested(0, true, repeat(50*percent, 8)...)
	n.close()
	for range 30 {
		n.in.Nodes = n.in.Nodes[1:]
		n.background()
		for i := range n.in.Results { // node 0 is not there to challenge either
			if n.in.Results[i].Challenger == nodeID(0) {
				n.in.Results[i].Challenger = nodeID(10)
			}
		}
		n.close()
		n.begin(n.in.Epoch, 20)
	}
	if got := n.book.Standing(nodeID(0)); got != Quarantined {
		t.Errorf("after 30 epochs away the node is %s, want quarantined", got)
	}
	n.background()
	n.tested(0, false, repeat(95*percent, 3)...)
	n.close()
	if got := n.score(0).Standing; got != Quarantined {
		t.Errorf("after three results the node is %s, want quarantined", got)
	}
}

// A challenger whom nobody agrees with raises no alarm.
func TestStanding_incredibleChallengers(t *testing.T) {
	n := newNetwork(t, 40)
	for p := range 40 { // nodes 36 to 39 say that everybody is bad
		for k := range 8 {
			c := (p + 1 + 5*k) % 40
			q := 95 * percent
			if c >= 36 {
				q = 10 * percent
			}
			n.tested(p, false, q)
			n.in.Results[len(n.in.Results)-1].Challenger = nodeID(c)
		}
	}
	n.close()
	for p := range 40 {
		got := n.score(p)
		if p < 36 && (got.Standing != Sound || got.Quality != 95*percent) {
			t.Errorf("node %d is %s with V %d, want sound with 0.95", p, got.Standing, got.Quality)
		}
		if liar := p >= 36; liar != (got.Credibility < n.rules.Credible) {
			t.Errorf("node %d has credibility %d of %d", p, got.Credibility, uint64(econ.One))
		}
	}
}
