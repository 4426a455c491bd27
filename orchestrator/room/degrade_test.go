package room

import (
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// triangle is a room of three who publish, each on a node of its own, with links
// between all.
func triangle(t *testing.T) *network {
	n := newNetwork(t.Fatalf, 3)
	for i, name := range []string{"ann", "bob", "cid"} {
		n.join(name, byte(i+1), true, name+"1")
		n.run(time.Second)
	}
	n.run(5 * time.Second)
	if got := len(n.room.Links()); got != 3 {
		t.Fatalf("%d links, want 3", got)
	}
	return n
}

// between is the link of two nodes.
func (n *network) between(a, b byte) cascade.LinkID {
	for _, l := range n.room.Links() {
		if l.A == (drtc.NodeID{a}) && l.B == (drtc.NodeID{b}) {
			return l.ID
		}
	}
	n.fail("no link between %d and %d", a, b)
	return ""
}

// reports hands over figures of a node about its link and says whether the room
// asks for a plan.
func (n *network) reports(node byte, link cascade.LinkID, rtt time.Duration, loss float64) bool {
	n.now = n.now.Add(500 * time.Millisecond)
	effects := n.room.Handle(n.now, RelayReported{Node: drtc.NodeID{node}, Link: link, Figures: RelayFigures{RoundTrip: rtt, LossSent: loss}})
	asks := slices.ContainsFunc(effects, func(e Effect) bool { _, is := e.(NeedPlan); return is })
	n.perform(effects)
	return asks
}

func TestRoom_plansAnewWhenALinkGetsWorse(t *testing.T) {
	n := triangle(t)
	link := n.between(1, 2)
	for range 5 {
		if n.reports(1, link, 20*time.Millisecond, 0) {
			t.Fatal("a link that is as ever led to a plan")
		}
	}
	asked := []bool{n.reports(1, link, 20*time.Millisecond, 0.3), n.reports(1, link, 20*time.Millisecond, 0.3), n.reports(1, link, 20*time.Millisecond, 0.3)}
	if !slices.Equal(asked, []bool{false, false, true}) {
		t.Errorf("a link that loses much led to plans at its reports: %v, want at the third", asked)
	}
	for range 40 {
		if n.reports(1, link, 20*time.Millisecond, 0.3) {
			t.Fatal("a link that is as bad as the plan took it to led to another plan")
		}
	}
}

func TestRoom_aBadMomentIsNoReasonForAPlan(t *testing.T) {
	n := triangle(t)
	link := n.between(1, 3)
	n.reports(3, link, 20*time.Millisecond, 0)
	for range 10 {
		first := n.reports(3, link, 400*time.Millisecond, 0)
		second := n.reports(3, link, 400*time.Millisecond, 0)
		if first || second || n.reports(3, link, 21*time.Millisecond, 0) {
			t.Fatal("two bad reports led to a plan")
		}
	}
}

// However many links get worse, there is one plan in ten seconds for it.
func TestRoom_plansForLinksNotTooOften(t *testing.T) {
	n := triangle(t)
	links := []cascade.LinkID{n.between(1, 2), n.between(1, 3)}
	for _, l := range links {
		n.reports(1, l, 20*time.Millisecond, 0)
	}
	n.plans = nil
	for turn := range 60 {
		for i, l := range links {
			n.reports(1, l, (20+time.Duration(turn*turn*(i+1)))*time.Millisecond, 0)
		}
		n.run(time.Millisecond)
	}
	if len(n.plans) < 3 {
		t.Fatalf("%d plans in a minute in which links get worse and worse, want some", len(n.plans))
	}
	for i, at := range n.plans[1:] {
		if at.Sub(n.plans[i]) < rerouteEvery {
			t.Errorf("plans %v one after the other, want at least %v", at.Sub(n.plans[i]), rerouteEvery)
		}
	}
}

// What the plan does with it: streams go round a link that loses much.
func TestRoom_theNextPlanGoesRoundTheLink(t *testing.T) {
	n := triangle(t)
	in := func() plan.Input {
		in := n.room.Shape()
		in.Now, in.Policy = n.now, plan.DefaultPolicy()
		in.Policy.Standby = false
		in.Nodes.At = n.now
		for i := range byte(3) {
			in.Nodes.Nodes = append(in.Nodes.Nodes, allocate.Candidate{
				ID: drtc.NodeID{i + 1}, Reachable: true, Place: drtc.Place{Lat: 50, Lon: float64(i)}, Region: drtc.Europe,
			})
		}
		return in
	}
	via := func() drtc.NodeID {
		p, err := plan.Make(in())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Routes {
			if r.Origin == (drtc.NodeID{1}) && r.Node == (drtc.NodeID{2}) {
				return r.Via
			}
		}
		return drtc.NodeID{}
	}
	for _, ends := range [][2]byte{{1, 2}, {1, 3}, {2, 3}} {
		n.reports(ends[0], n.between(ends[0], ends[1]), 5*time.Millisecond, 0)
	}
	if got := via(); got != (drtc.NodeID{1}) {
		t.Fatalf("node 2 gets node 1's tracks from %s, want directly", got.Short())
	}
	for range 3 {
		n.reports(1, n.between(1, 2), 5*time.Millisecond, 0.3)
	}
	if got := via(); got != (drtc.NodeID{3}) {
		t.Errorf("node 2 gets node 1's tracks from %s, want from node 3", got.Short())
	}
}
