package plan

import (
	"cmp"
	"slices"
)

// MaxPath is how many nodes a track passes at most, the first and the last
// included. Media Nodes refuse what came a longer way (spec/relay.md, RELAY-9);
// the two numbers are held equal by a test of the tree.
const MaxPath = 8

const maxHops = MaxPath - 1

// span is how far a vertex is from others of what it is linked with, in links.
type span struct {
	origins int // from the farthest origin; none where there is none
	all     int // from the farthest of all
	root    int // from the root, once it is attached
}

// hops returns how many links each vertex is away from one, none where no way
// leads.
func (g *graph) hops(from int) []int {
	hops := make([]int, len(g.vertices))
	for v := range hops {
		hops[v] = none
	}
	hops[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, peer := range g.peers[queue[0]] {
			if hops[peer] == none {
				hops[peer] = hops[queue[0]] + 1
				queue = append(queue, peer)
			}
		}
	}
	return hops
}

// loosen takes the links of origins from which a node is too many links away, so
// that they are attached anew: somebody began to publish far from the middle.
func (g *graph) loosen() {
	for {
		worst, most := none, maxHops
		for v := range g.vertices {
			if !g.vertices[v].origin || len(g.peers[v]) == 0 {
				continue
			}
			if far := slices.Max(g.hops(v)); far > most || far == most && worst != none && len(g.peers[v]) < len(g.peers[worst]) {
				worst, most = v, far
			}
		}
		if worst == none {
			return
		}
		g.isolate(worst)
	}
}

func (g *graph) isolate(v int) {
	for _, peer := range slices.Clone(g.peers[v]) {
		g.unlink(v, peer)
	}
}

// bounded reports whether every origin's tracks get everywhere in maxHops.
func (g *graph) bounded() bool {
	for v := range g.vertices {
		if g.vertices[v].origin && slices.Max(g.hops(v)) > maxHops {
			return false
		}
	}
	return true
}

// spans finds the span of every vertex among what it is linked with.
func (g *graph) spans() {
	g.span = make([]span, len(g.vertices))
	for v := range g.vertices {
		g.span[v] = g.spanOf(v)
	}
}

func (g *graph) spanOf(v int) span {
	s := span{origins: none, root: none}
	if len(g.peers[v]) == 0 {
		if g.vertices[v].origin {
			s.origins = 0
		}
		if v == g.root {
			s.root = 0
		}
		return s
	}
	for u, far := range g.hops(v) {
		if g.vertices[u].origin {
			s.origins = max(s.origins, far)
		}
		if u == g.root {
			s.root = far
		}
		s.all = max(s.all, far)
	}
	return s
}

// near reports whether v, which is not attached, may be linked to p, which is,
// with no way between an origin and another vertex longer than maxHops.
func (g *graph) near(p, v int) bool {
	a, b := g.span[p], g.span[v]
	return (a.origins == none || a.origins+1+b.all <= maxHops) && (b.origins == none || b.origins+1+a.all <= maxHops)
}

// join links v to p and brings the spans of both sides up to date.
func (g *graph) join(p, v int) {
	before, after, onP, onV := g.span[p], g.span[v], g.hops(p), g.hops(v)
	extend := func(hops []int, by span) {
		for u, far := range hops {
			if far == none {
				continue
			}
			s := &g.span[u]
			if by.origins != none {
				s.origins = max(s.origins, far+1+by.origins)
			}
			if s.root == none && by.root != none {
				s.root = far + 1 + by.root
			}
			s.all = max(s.all, far+1+by.all)
		}
	}
	extend(onP, after)
	extend(onV, before)
	g.link(p, v)
}

// fewest is the ways from an origin by the fewest links, of several the shortest.
func (g *graph) fewest(origin int) *ways {
	w := g.newWays(origin)
	hops := g.hops(origin)
	order := make([]int, 0, len(hops))
	for v, far := range hops {
		if far > 0 {
			order = append(order, v)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(hops[a], hops[b]), cmp.Compare(a, b)) })
	for _, v := range order {
		for _, peer := range g.peers[v] {
			if cost := w.cost[peer] + g.ms(peer, v); hops[peer] == hops[v]-1 && cost < w.cost[v] {
				w.via[v], w.cost[v] = peer, cost
			}
		}
	}
	return w
}

// short reports whether no way has more than maxHops links.
func (w *ways) short() bool {
	hops := make([]int, len(w.via)) // 0 is not known yet
	for v := range w.via {
		way := []int{}
		at := v
		for ; w.via[at] != none && hops[at] == 0; at = w.via[at] {
			way = append(way, at)
		}
		for far := hops[at]; len(way) > 0; way = way[:len(way)-1] {
			far++
			hops[way[len(way)-1]] = far
		}
		if hops[v] > maxHops {
			return false
		}
	}
	return true
}
