package plan

import (
	"container/heap"
	"math"
	"slices"

	"github.com/drtc-network/drtc"
)

// keepFactor is how much shorter another way must be, as a part, before a stream
// leaves one that was measured.
const keepFactor = 0.75

// routes gives every node the way to every origin. Each origin's form a tree: a
// stream keeps the way that it has, and what has none takes the shortest from
// there.
func (g *graph) routes() []Route {
	g.partly = !g.allMeasured()
	var current map[[2]drtc.NodeID]drtc.NodeID // origin and node to via
	links := 0
	for _, peers := range g.peers {
		links += len(peers)
	}
	if tree := links/2 < len(g.vertices); !tree { // else there is one way
		current = make(map[[2]drtc.NodeID]drtc.NodeID, len(g.in.Current.Routes))
		for _, r := range g.in.Current.Routes {
			current[[2]drtc.NodeID{r.Origin, r.Node}] = r.Via
		}
	}
	order := make([]int, len(g.vertices))
	for v := range order {
		order[v] = v
	}
	slices.SortFunc(order, func(a, b int) int { return compareIDs(g.id(a), g.id(b)) })
	var routes []Route
	for _, origin := range order {
		if !g.vertices[origin].origin {
			continue
		}
		via := g.paths(origin, current)
		for _, v := range order {
			if via[v] != none {
				routes = append(routes, Route{Origin: g.id(origin), Node: g.id(v), Via: g.id(via[v])})
			}
		}
	}
	return routes
}

// allMeasured reports whether every link was measured.
func (g *graph) allMeasured() bool {
	for v, peers := range g.peers {
		for _, peer := range peers {
			if _, known := g.measured[pairOf(g.vertices[v].node, g.vertices[peer].node)]; !known {
				return false
			}
		}
	}
	return true
}

// paths finds for each vertex the neighbour through which the origin's streams
// come, none for the origin.
func (g *graph) paths(origin int, current map[[2]drtc.NodeID]drtc.NodeID) []int {
	ways := g.newWays(origin)
	if current != nil {
		g.keepWays(ways, current)
	}
	ways.extend(g)
	if !ways.short() {
		ways = g.fewest(origin)
	}
	return ways.via
}

// ways is a tree of ways from an origin.
type ways struct {
	origin int
	via    []int     // none where there is no way yet, and for the origin
	cost   []float64 // infinite where there is no way yet
	kept   []bool    // no shorter one is looked for
}

func (g *graph) newWays(origin int) *ways {
	w := &ways{origin: origin, via: make([]int, len(g.vertices)), cost: make([]float64, len(g.vertices)), kept: make([]bool, len(g.vertices))}
	for v := range w.via {
		w.via[v], w.cost[v] = none, math.Inf(1)
	}
	w.cost[origin], w.kept[origin] = 0, true
	return w
}

// keepWays takes over the ways of the current plan that are still there, but
// those past a direct link, and those that measurements say are a detour.
func (g *graph) keepWays(w *ways, current map[[2]drtc.NodeID]drtc.NodeID) {
	var shortest []float64
	if len(g.measured) > 0 {
		best := g.newWays(w.origin)
		best.extend(g)
		shortest = best.cost
	}
	measured := make([]bool, len(g.vertices)) // is a link on the way
	for queue := []int{w.origin}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, v := range g.peers[at] {
			was, had := current[[2]drtc.NodeID{g.id(w.origin), g.id(v)}]
			direct := g.linked(w.origin, v) // and what comes from v is kept with it
			if w.kept[v] || !had || direct && at != w.origin || !direct && was != g.id(at) {
				continue
			}
			cost := w.cost[at] + g.ms(at, v)
			_, known := g.measured[pairOf(g.vertices[at].node, g.vertices[v].node)]
			if measured[v] = measured[at] || known; measured[v] && cost*keepFactor > shortest[v] {
				continue
			}
			w.via[v], w.cost[v], w.kept[v] = at, cost, true
			queue = append(queue, v)
		}
	}
}

// extend finds the shortest ways for what has none.
func (w *ways) extend(g *graph) {
	queue := &frontier{}
	for v, cost := range w.cost {
		if w.kept[v] {
			*queue = append(*queue, reached{v, cost})
		}
	}
	heap.Init(queue)
	for queue.Len() > 0 {
		next := heap.Pop(queue).(reached)
		if next.cost > w.cost[next.vertex] {
			continue
		}
		for _, peer := range g.peers[next.vertex] {
			if d := next.cost + g.ms(next.vertex, peer); !w.kept[peer] && d < w.cost[peer] {
				w.via[peer], w.cost[peer] = next.vertex, d
				heap.Push(queue, reached{peer, d})
			}
		}
	}
}

type reached struct {
	vertex int
	cost   float64
}

// frontier is a heap of what was reached, the nearest first.
type frontier []reached

func (f frontier) Len() int { return len(f) }
func (f frontier) Less(i, j int) bool {
	return f[i].cost < f[j].cost || f[i].cost == f[j].cost && f[i].vertex < f[j].vertex
}
func (f frontier) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(x any)   { *f = append(*f, x.(reached)) }
func (f *frontier) Pop() any {
	old := *f
	last := old[len(old)-1]
	*f = old[:len(old)-1]
	return last
}
