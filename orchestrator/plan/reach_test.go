package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// row is a room on nodes that lie in a row around the earth, each with room for
// one member.
func row(nodes, publishers, degree int, s plan.Strategy) plan.Input {
	in := plan.Input{Now: start, Room: "RM_a", Policy: plan.DefaultPolicy(), Nodes: allocate.Snapshot{At: start}}
	in.Policy.Standby, in.Policy.Degree, in.Policy.Strategy, in.Policy.Gain = false, degree, s, 0
	for n := range nodes {
		place := drtc.Place{Lat: 10, Lon: -179 + 300*float64(n)/float64(nodes)}
		in.Nodes.Nodes = append(in.Nodes.Nodes, allocate.Candidate{ID: nodeID(n), Reachable: true, MaxSessions: 1, Place: place, Region: drtc.Asia})
		in.Members = append(in.Members, plan.Member{ID: drtc.ParticipantID(fmt.Sprintf("PA_%04d", n)), Place: &place, Publishes: n < publishers})
	}
	return in
}

// One streams and hundreds of nodes watch, in a row: no way is too long.
func TestMake_aTreeIsNotDeeperThanNodesPassTracksOn(t *testing.T) {
	for _, degree := range []int{3, 4, 8, 64} {
		for _, s := range []plan.Strategy{plan.Proximity, plan.Regional, plan.FanOut} {
			in := row(300, 1, degree, s)
			p := made(t, in)
			check(t, in, p)
			if len(p.Refused) > 0 {
				t.Errorf("%s of degree %d: %d are refused, and 382 nodes can be spanned by 3 links each", s, degree, len(p.Refused))
			}
		}
	}
}

// Where everybody publishes on a node of its own, 3 links for each node lead to at
// most 30 nodes in ways of 8. The others are told.
func TestMake_whoCannotBeReachedIsRefused(t *testing.T) {
	in := row(60, 60, 3, plan.Proximity)
	p := made(t, in)
	check(t, in, p)
	if len(p.Homes) < 22 || len(p.Homes) > 30 {
		t.Errorf("%d have a home, want 22 to 30", len(p.Homes))
	}
	for m, err := range p.Refused {
		var refusal *allocate.Refusal
		if !errors.As(err, &refusal) || !slices.ContainsFunc(refusal.Rejected, func(r allocate.Rejection) bool {
			return strings.Contains(r.Detail, "ways of at most 8 nodes")
		}) {
			t.Fatalf("%s is refused with %v, want that no way leads to more nodes", m, err)
		}
	}
	if !says(p, plan.Unmet) {
		t.Error("the plan does not say that it wanted more nodes")
	}
}

// A viewer at the end of a tree begins to publish: everybody gets it.
func TestMake_aPublisherFarFromTheMiddleComesNearer(t *testing.T) {
	in := row(150, 1, 3, plan.FanOut)
	in = settled(in, made(t, in))
	for k := range in.Members {
		again := in
		again.Members = append([]plan.Member(nil), in.Members...)
		again.Members[k].Publishes = true
		p := made(t, again)
		check(t, again, p)
		if len(p.Refused) > 0 {
			t.Errorf("%s publishes too: %d are refused", in.Members[k].ID, len(p.Refused))
		}
	}
}

// Whatever the degree, the nodes and who publishes: each has a home that every
// track reaches, or a reason.
func TestMake_waysAreShortForAnyDegree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 80).Draw(t, "nodes")
		s := plan.Strategy(rapid.IntRange(0, 3).Draw(t, "strategy"))
		in := row(nodes, rapid.IntRange(0, nodes).Draw(t, "publishers"), rapid.IntRange(3, 9).Draw(t, "degree"), s)
		in.Policy.Standby = rapid.Bool().Draw(t, "standby")
		for i := range in.Nodes.Nodes {
			place, region := drawPlace(t)
			in.Nodes.Nodes[i].Place, in.Nodes.Nodes[i].Region = place, region
			in.Nodes.Nodes[i].MaxSessions = rapid.IntRange(1, 3).Draw(t, "seats")
		}
		for range 3 {
			p := made(t, in)
			check(t, in, p)
			in = settled(in, p)
			k := rapid.IntRange(0, len(in.Members)-1).Draw(t, "who")
			in.Members[k].Publishes = !in.Members[k].Publishes
		}
	})
}
