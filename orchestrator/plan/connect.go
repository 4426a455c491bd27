package plan

import (
	"cmp"
	"math"
	"slices"
)

// What an attachment costs beside its delay from the root, in ms.
const (
	// crossMs keeps the nodes of a region below the region's own, under Regional
	// and FanOut: it is more than any path on earth.
	crossMs = 1000
	// guardedMs keeps a standby from hanging on the node that it stands by for,
	// with which it would lose the room.
	guardedMs = 500
)

// piece is vertices that are linked with each other and not yet with the root.
type piece struct {
	vertices []int
	part     part // the best of its vertices
	origin   bool // somebody there publishes
	hub      bool // the first of its region to be attached
	ms       float64
}

// connect attaches every piece to the root's, large ones first, then one node of
// each region that is not there yet, then the nearest; standbys and nodes that
// are being left come last.
//
// What can't be attached by ways of MaxPath is taken apart, and then left alone:
// nodes with members are stranded, standbys stand by no more.
func (g *graph) connect() {
	g.measure(g.root, 0)
	g.spans()
	pieces := g.pieces()
	g.hubs(pieces)
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Or(
			cmp.Compare(rank(a.part > passing), rank(b.part > passing)),
			cmp.Compare(rank(g.flat && !a.origin), rank(g.flat && !b.origin)),
			cmp.Compare(min(2, len(b.vertices)), min(2, len(a.vertices))),
			cmp.Compare(rank(!a.hub), rank(!b.hub)),
			cmp.Compare(a.ms, b.ms),
			cmp.Compare(a.vertices[0], b.vertices[0]),
		)
	})
	for k, pc := range pieces {
		if g.attach(pc.vertices, pieces[k+1:]) {
			continue
		}
		for _, v := range pc.vertices {
			g.isolate(v)
		}
		for _, v := range pc.vertices {
			g.span[v] = g.spanOf(v)
		}
		for _, v := range pc.vertices {
			if len(pc.vertices) == 1 || !g.attach([]int{v}, nil) {
				g.strand(v)
			}
		}
	}
}

// strand gives up on attaching a vertex.
func (g *graph) strand(v int) {
	i := g.vertices[v].node
	switch g.vertices[v].part {
	case hosting:
		g.stranded = append(g.stranded, i)
	case parting:
		g.cut++
		g.because(Unmet, i, "no way of at most %d nodes leads to it while its members leave", MaxPath)
	case passing, guarding:
	}
	for _, home := range keys(g.standby) {
		if g.standby[home] == i {
			delete(g.standby, home)
			g.because(Unguarded, home, "no way of at most %d nodes leads to the one that would stand by", MaxPath)
		}
	}
}

func (g *graph) pieces() (pieces []piece) {
	seen := g.reach(g.root, none)
	for v := range g.vertices {
		if seen[v] {
			continue
		}
		pc := piece{part: parting, ms: g.ms(g.root, v)}
		for u, in := range g.reach(v, none) {
			if in {
				seen[u] = true
				pc.vertices = append(pc.vertices, u)
				pc.part = min(pc.part, g.vertices[u].part)
				pc.origin = pc.origin || g.vertices[u].origin
			}
		}
		pieces = append(pieces, pc)
	}
	return pieces
}

// hubs marks, for each region that the root's piece is not in, the single node
// from which the others of the region are nearest.
func (g *graph) hubs(pieces []piece) {
	if g.strategy == Proximity {
		return
	}
	there := map[string]bool{}
	for v, d := range g.delay {
		if !math.IsInf(d, 1) {
			there[string(g.spot(v).region)] = true
		}
	}
	regions := map[string][]int{} // to pieces
	for k, pc := range pieces {
		region := string(g.spot(pc.vertices[0]).region)
		if len(pc.vertices) == 1 && pc.part <= passing && !there[region] {
			regions[region] = append(regions[region], k)
		}
	}
	for _, of := range regions {
		best, least := none, 0.0
		for _, k := range of {
			v := pieces[k].vertices[0]
			sum := float64(rank(g.nodes[g.vertices[v].node].busy)) * crossMs * float64(len(of))
			for _, other := range of {
				sum += g.ms(v, pieces[other].vertices[0])
			}
			if best == none || sum < least {
				best, least = k, sum
			}
		}
		pieces[best].hub = true
	}
}

// measure sets the delays of what hangs on v, which is ms from the root.
func (g *graph) measure(v int, ms float64) {
	g.delay[v] = ms
	for queue := []int{v}; len(queue) > 0; queue = queue[1:] {
		for _, peer := range g.peers[queue[0]] {
			if d := g.delay[queue[0]] + g.ms(queue[0], peer); d < g.delay[peer] {
				g.delay[peer] = d
				queue = append(queue, peer)
			}
		}
	}
}

// attach links a piece with what is attached already, if it can. Under FanOut a
// node that has nobody's home is opened where several would hang on one that is
// busy.
func (g *graph) attach(vertices []int, after []piece) bool {
	from, to := g.cheapest(vertices)
	if from == none {
		return false
	}
	if g.strategy == FanOut && !g.flat && g.burden(to) >= busyBurden && g.moreIn(g.spot(from), after) {
		if relay := g.relayFor(from); relay != none {
			v := g.add(relay, passing)
			if _, p := g.cheapest([]int{v}); p != none {
				g.join(p, v)
				g.measure(v, g.delay[p]+g.ms(p, v))
				if g.near(v, from) {
					to = v
				}
			}
		}
	}
	g.join(to, from)
	g.measure(from, g.delay[to]+g.ms(from, to))
	return true
}

const (
	busyBurden = 2 // passing on through such a node is better avoided
	busiest    = 3
)

// burden orders nodes by how gladly something is attached to them.
func (g *graph) burden(v int) int {
	x := g.vertices[v]
	switch {
	case x.part == parting:
		return busiest
	case g.nodes[x.node].busy:
		return busyBurden
	case x.part == guarding:
		return 1
	}
	return 0
}

// cheapest finds the link by which a piece is attached.
func (g *graph) cheapest(vertices []int) (from, to int) {
	from, to = none, none
	var leastBurden int
	var least float64
	passes := g.vertices[g.root].part != parting // or there is none that passes anything on
	for _, v := range vertices {
		if len(g.peers[v]) >= g.in.Policy.Degree || len(vertices) > 1 && g.vertices[v].part == parting {
			continue
		}
		home := g.strategy != Proximity && g.present(g.spot(v), vertices)
		for p, d := range g.delay {
			if math.IsInf(d, 1) || len(g.peers[p]) >= g.in.Policy.Degree || slices.Contains(vertices, p) || !g.near(p, v) ||
				passes && g.vertices[p].part == parting {
				continue
			}
			cost := d + g.ms(p, v)
			if home && g.spot(p).region != g.spot(v).region {
				cost += crossMs
			}
			if s, ok := g.standby[g.vertices[p].node]; ok && s == g.vertices[v].node {
				cost += guardedMs
			}
			burden := g.burden(p)
			if g.flat {
				burden += g.span[p].root * (busiest + 1)
			}
			if from == none || burden < leastBurden || burden == leastBurden && cost < least {
				from, to, leastBurden, least = v, p, burden, cost
			}
		}
	}
	return from, to
}

// present reports whether a node that is attached, and may pass streams on, is
// in the region of a spot.
func (g *graph) present(s *spot, except []int) bool {
	for v, d := range g.delay {
		if !math.IsInf(d, 1) && g.vertices[v].part <= passing && g.spot(v).region == s.region && !slices.Contains(except, v) {
			return true
		}
	}
	return false
}

// moreIn reports whether another node of the region waits to be attached.
func (g *graph) moreIn(s *spot, after []piece) bool {
	return slices.ContainsFunc(after, func(pc piece) bool {
		return pc.part <= passing && g.spot(pc.vertices[0]).region == s.region
	})
}

// relayFor finds the best node without members next to a vertex, in its region.
func (g *graph) relayFor(v int) int {
	best, bestScore := none, 0.0
	for i := range g.nodes[:g.field.Len()] {
		n := &g.nodes[i]
		if _, in := g.at[i]; in || n.busy || n.spot.region != g.spot(v).region || g.room(i, 0, false, g.hard()) == 0 {
			continue
		}
		score := g.field.Score(i, n.spot.km(g.spot(v)))
		if best == none || g.field.Compare(i, score, best, bestScore) < 0 {
			best, bestScore = i, score
		}
	}
	return best
}

// maxMesh is how many hosting nodes are looked at for direct links; in larger
// rooms the tree alone carries.
const maxMesh = 64

// mesh adds direct links between hosting nodes: under Proximity where one of
// both has publishers, under Regional so within a region and between gateways.
func (g *graph) mesh() {
	if g.strategy == FanOut {
		return
	}
	gateways := g.gateways()
	type edge struct {
		a, b int
		ms   float64
	}
	var edges []edge
	hosts := 0
	for a := range g.vertices {
		if g.vertices[a].part != hosting {
			continue
		}
		if hosts++; hosts > maxMesh {
			return
		}
		for b := range a {
			if g.vertices[b].part == hosting && !g.linked(a, b) && g.direct(a, b, gateways) {
				edges = append(edges, edge{b, a, g.ms(a, b)})
			}
		}
	}
	slices.SortFunc(edges, func(x, y edge) int {
		return cmp.Or(cmp.Compare(x.ms, y.ms), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	most := g.in.Policy.Degree - g.in.Policy.reserve()
	for _, e := range edges {
		if g.strategy == Regional && !gateways[e.a] && !gateways[e.b] && max(g.within(e.a), g.within(e.b)) >= most/2 {
			continue
		}
		if len(g.peers[e.a]) < most && len(g.peers[e.b]) < most {
			g.link(e.a, e.b)
		}
	}
}

// direct reports whether the strategy wants two hosting nodes linked.
func (g *graph) direct(a, b int, gateways []bool) bool {
	origin := g.vertices[a].origin || g.vertices[b].origin
	if g.strategy == Proximity {
		return origin
	}
	if g.spot(a).region != g.spot(b).region {
		return gateways[a] && gateways[b]
	}
	return origin || gateways[a] || gateways[b]
}

// gateways are the nodes of each region that other regions are linked with: the
// one with the most such links, and of the root's region the root if none has.
func (g *graph) gateways() []bool {
	gateways := make([]bool, len(g.vertices))
	if g.strategy != Regional {
		return gateways
	}
	best := map[string]int{}
	for v := range g.vertices {
		region := string(g.spot(v).region)
		out := len(g.peers[v]) - g.within(v)
		if g.vertices[v].part > passing || out == 0 {
			continue
		}
		if b, ok := best[region]; !ok || out > len(g.peers[b])-g.within(b) {
			best[region] = v
		}
	}
	for _, v := range best {
		gateways[v] = true
	}
	return gateways
}

// within counts the links of a vertex to nodes of its region.
func (g *graph) within(v int) (count int) {
	for _, peer := range g.peers[v] {
		if g.spot(peer).region == g.spot(v).region {
			count++
		}
	}
	return count
}
