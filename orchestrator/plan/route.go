package plan

import (
	"container/heap"
	"math"
	"slices"

	"github.com/drtc-network/drtc"
)

// keepFactor is what a hop that a stream takes already costs, as a part: another
// way must be shorter by a quarter before the stream changes over.
const keepFactor = 0.75

// routes gives every node the way to every origin. They are shortest paths from
// the origin, so each origin's form a tree.
func (g *graph) routes() []Route {
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

// paths finds for each vertex the neighbour through which the shortest path from
// the origin comes, none for the origin.
func (g *graph) paths(origin int, current map[[2]drtc.NodeID]drtc.NodeID) []int {
	via := make([]int, len(g.vertices))
	cost := make([]float64, len(g.vertices))
	for v := range via {
		via[v], cost[v] = none, math.Inf(1)
	}
	cost[origin] = 0
	queue := &frontier{{vertex: origin}}
	for queue.Len() > 0 {
		next := heap.Pop(queue).(reached)
		if next.cost > cost[next.vertex] {
			continue
		}
		for _, peer := range g.peers[next.vertex] {
			ms := 1.0
			if current != nil {
				ms = g.ms(next.vertex, peer)
				if current[[2]drtc.NodeID{g.id(origin), g.id(peer)}] == g.id(next.vertex) {
					ms *= keepFactor
				}
			}
			if d := next.cost + ms; d < cost[peer] {
				via[peer], cost[peer] = next.vertex, d
				heap.Push(queue, reached{peer, d})
			}
		}
	}
	return via
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
