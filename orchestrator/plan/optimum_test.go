package plan_test

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// smallWorld is a room small enough to try every plan. Nodes have room for all.
func smallWorld(t *rapid.T, members int) plan.Input {
	in := plan.Input{Now: start, Room: "RM_a", Policy: plan.DefaultPolicy(), Nodes: allocate.Snapshot{At: start}}
	in.Policy.Standby = false
	for n := range rapid.IntRange(1, 8).Draw(t, "nodes") {
		c := allocate.Candidate{ID: nodeID(n), Reachable: true}
		c.Place, c.Region = drawPlace(t)
		in.Nodes.Nodes = append(in.Nodes.Nodes, c)
	}
	for n := range rapid.IntRange(1, members).Draw(t, "members") {
		p, _ := drawPlace(t)
		in.Members = append(in.Members, plan.Member{ID: drtc.ParticipantID(rune('a' + n)), Place: &p, Publishes: true})
	}
	return in
}

// fewest tries every set of nodes: how many are needed at least so that each
// member is on its best node, or within Policy.Gain of it?
func fewest(in plan.Input) int {
	nodes := in.Nodes.Nodes
	var near []int // of each member, the set of nodes that will do
	for _, m := range in.Members {
		ms, best := make([]float64, len(nodes)), math.Inf(1)
		for k, c := range nodes {
			ms[k] = roundTripMs(*m.Place, c.Place)
			best = min(best, ms[k])
		}
		set := 0
		for k := range nodes {
			if ms[k] < best+gainMs(in) || ms[k] == best {
				set |= 1 << k
			}
		}
		near = append(near, set)
	}
	least := len(nodes)
	for set := range 1 << len(nodes) {
		if !slices.ContainsFunc(near, func(n int) bool { return n&set == 0 }) {
			least = min(least, bits.OnesCount(uint(set)))
		}
	}
	return least
}

// Each member is within Gain of its best node, and the nodes are at most half
// again as many as the fewest with which that is so.
func TestMake_homesAreNearTheOptimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := smallWorld(t, 9)
		in.Policy.Strategy = plan.Proximity
		p := made(t, in)
		places := map[drtc.NodeID]drtc.Place{}
		for _, c := range in.Nodes.Nodes {
			places[c.ID] = c.Place
		}
		used := map[drtc.NodeID]bool{}
		for _, m := range in.Members {
			home := p.Homes[m.ID]
			used[home] = true
			best := asGoodAsTheBest(in, *m.Place)
			if got := roundTripMs(*m.Place, places[home]); got >= best+gainMs(in) {
				t.Errorf("%s is %.1f ms from its home, %.1f from its best node", m.ID, got, best)
			}
		}
		if least := fewest(in); 2*len(used) > 3*least+1 {
			t.Errorf("%d nodes, %d would do", len(used), least)
		}
	})
}

// asGoodAsTheBest is the round trip to the farthest node that scores as well as
// the best: a step of the score is 25 km next to a node, and 200 km at 2,000.
func asGoodAsTheBest(in plan.Input, place drtc.Place) (ms float64) {
	pol, best := in.Policy.Allocate, 0.0
	score := func(c allocate.Candidate) float64 {
		return pol.Weights.Distance * pol.HalfDistanceKm / (pol.HalfDistanceKm + place.DistanceKm(c.Place))
	}
	for _, c := range in.Nodes.Nodes {
		best = max(best, score(c))
	}
	for _, c := range in.Nodes.Nodes {
		if score(c) > best-pol.Step {
			ms = max(ms, roundTripMs(place, c.Place))
		}
	}
	return ms
}

// The delays of a tree: at most so much longer on average than in the best of
// all trees of that degree.
const treeFactor = 2

func TestMake_treesAreNearTheOptimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := smallWorld(t, 1)
		in.Nodes.Nodes = in.Nodes.Nodes[:min(7, len(in.Nodes.Nodes))]
		in.Policy.Strategy, in.Policy.Degree = plan.FanOut, 3
		in.Members = nil
		region := in.Nodes.Nodes[0].Region
		for n := range in.Nodes.Nodes { // one region: the order of regions is a wish, not a cost
			in.Nodes.Nodes[n].Region = region
			in.Members = append(in.Members, plan.Member{ID: drtc.ParticipantID(rune('a' + n)), Pin: in.Nodes.Nodes[n].ID, Publishes: n == 0})
		}
		got := delays(in, routesOf(made(t, in)))
		if best := bestTree(in); got > treeFactor*best+1e-6 {
			t.Errorf("%.1f ms in all, the best tree has %.1f", got, best)
		}
	})
}

// routesOf is the parent of each node in the tree of the first origin, by number.
func routesOf(p plan.Plan) (parent [8]int) {
	number := func(id drtc.NodeID) int { return int(id[3]) }
	for _, r := range p.Routes {
		parent[number(r.Node)] = number(r.Via)
	}
	return parent
}

// delays sums the delays of all nodes from node 0, with the 2 ms of each hop.
// It is infinite where parents are no tree.
func delays(in plan.Input, parent [8]int) (sum float64) {
	nodes := in.Nodes.Nodes
	for v := 1; v < len(nodes); v++ {
		hops := 0
		for at := v; at != 0; at = parent[at] {
			sum += roundTripMs(nodes[at].Place, nodes[parent[at]].Place) + 2
			if hops++; hops > len(nodes) {
				return math.Inf(1)
			}
		}
	}
	return sum
}

// bestTree tries every choice of parents.
func bestTree(in plan.Input) float64 {
	n := len(in.Nodes.Nodes)
	best := math.Inf(1)
	var parent [8]int
	var degree [8]int
	var try func(v int)
	try = func(v int) {
		if v == n {
			best = min(best, delays(in, parent))
			return
		}
		for u := range n {
			if u != v && degree[u] < in.Policy.Degree && degree[v] < in.Policy.Degree {
				parent[v] = u
				degree[u]++
				degree[v]++
				try(v + 1)
				degree[u]--
				degree[v]--
			}
		}
	}
	try(1)
	if n == 1 {
		return 0
	}
	return best
}
