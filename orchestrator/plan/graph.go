package plan

import (
	"cmp"
	"math"
	"slices"

	"github.com/drtc-network/drtc"
)

// graph is the nodes that the room is on and the links between them. Its
// vertices are numbered by the order of the planner's nodes.
type graph struct {
	*planner
	strategy Strategy
	vertices []vertex
	at       map[int]int // node to vertex
	peers    [][]int     // of each vertex, in order
	delay    []float64   // from the root, in ms; infinite while not attached
	span     []span
	root     int

	flat     bool  // as few links from the root as can be goes before short ways
	stranded []int // nodes with members that could not be attached
	cut      int   // nodes that members are leaving, and that could not be attached
}

type vertex struct {
	node   int
	part   part
	origin bool // somebody there publishes
}

// part is what a node does in the room, and with it how gladly streams are sent
// through it.
type part uint8

const (
	hosting  part = iota // it has members
	passing              // it had, or never will, and passes streams on
	guarding             // it is a standby and nothing else
	parting              // its members are on their way to other nodes
)

// reserve is how many links of a node a mesh leaves alone, so that there is
// always one where a further node can be attached.
func (pol *Policy) reserve() int {
	if pol.Degree >= 6 {
		return 2
	}
	return 1
}

// meshNodes is how many nodes can be linked each with each.
func (pol *Policy) meshNodes() int { return pol.Degree - pol.reserve() + 1 }

// graph links the nodes. What is linked stays so while both ends are needed;
// what fell apart is put together again, and then what the strategy wants
// directly linked is.
//
// A flat graph is made from the start, with the nodes where somebody publishes in
// the middle: it reaches the most nodes by ways of MaxPath.
func (p *planner) graph(strategy Strategy, flat bool) *graph {
	g := &graph{planner: p, strategy: strategy, at: map[int]int{}, flat: flat}
	g.collect()
	if !flat {
		g.inherit()
		g.prune()
		g.loosen()
	}
	if len(g.vertices) == 0 {
		return g
	}
	g.connect()
	g.mesh()
	g.prune()
	for v := range g.vertices {
		if g.vertices[v].part == passing {
			p.because(Relaying, g.vertices[v].node, "to %d nodes; nobody has a home there", len(g.peers[v])-1)
		}
	}
	return g
}

func (g *graph) id(v int) drtc.NodeID { return g.nodes[g.vertices[v].node].id }

func (g *graph) spot(v int) *spot { return &g.nodes[g.vertices[v].node].spot }

func (g *graph) ms(a, b int) float64 { return g.linkMs(g.vertices[a].node, g.vertices[b].node) }

// collect finds the vertices: nodes with members, those that members are still
// on, standbys, and nodes of the current links that may pass on.
func (g *graph) collect() {
	parts, origins := map[int]part{}, map[int]int{}
	add := func(i int, as part) {
		if was, ok := parts[i]; !ok || as < was {
			parts[i] = as
		}
	}
	for i, m := range g.members {
		if g.homes[i] == none {
			continue
		}
		home := g.homes[i]
		as := hosting
		if s := g.nodes[home].state; s == shunned || s == leaving {
			as = parting
		}
		add(home, as)
		if m.Publishes {
			origins[home]++
		}
		if was := g.numberOf(m.Home); was != none && was != home && g.nodes[was].state != lost {
			add(was, parting)
			if m.Publishes {
				origins[was] += 0
			}
		}
	}
	for _, s := range g.standby {
		add(s, guarding)
	}
	if g.in.Current.Strategy == g.strategy {
		for _, l := range g.in.Current.Links {
			for _, i := range []int{g.numberOf(l.A), g.numberOf(l.B)} {
				if _, ok := parts[i]; !ok && i != none && g.nodes[i].state <= closed {
					add(i, passing)
				}
			}
		}
	}
	most := -1
	for _, i := range keys(parts) {
		publishers, origin := origins[i]
		v := g.add(i, parts[i])
		g.vertices[v].origin = origin
		if weight := publishers*len(g.members) + g.nodes[i].members; weight > most && parts[i] <= passing {
			g.root, most = v, weight
		}
	}
}

// add makes node i a vertex without links.
func (g *graph) add(i int, as part) int {
	v := len(g.vertices)
	g.vertices = append(g.vertices, vertex{node: i, part: as})
	g.peers = append(g.peers, nil)
	g.span = append(g.span, span{origins: none, root: none})
	g.delay = append(g.delay, math.Inf(1))
	g.at[i] = v
	return v
}

func (g *graph) linked(a, b int) bool {
	_, ok := slices.BinarySearch(g.peers[a], b)
	return ok
}

func (g *graph) link(a, b int) {
	for _, e := range [2][2]int{{a, b}, {b, a}} {
		if k, ok := slices.BinarySearch(g.peers[e[0]], e[1]); !ok {
			g.peers[e[0]] = slices.Insert(g.peers[e[0]], k, e[1])
		}
	}
}

func (g *graph) unlink(a, b int) {
	for _, e := range [2][2]int{{a, b}, {b, a}} {
		if k, ok := slices.BinarySearch(g.peers[e[0]], e[1]); ok {
			g.peers[e[0]] = slices.Delete(g.peers[e[0]], k, k+1)
		}
	}
}

// inherit takes over the current links between vertices, but those that lose
// too much. A node that is being left keeps the best one alone. After a change
// of strategy, or to a smaller degree, nothing is taken over.
func (g *graph) inherit() {
	if g.in.Current.Strategy != g.strategy {
		return
	}
	for _, l := range g.in.Current.Links {
		a, okA := g.at[g.numberOf(l.A)]
		b, okB := g.at[g.numberOf(l.B)]
		if okA && okB && a != b && g.measured[pairOf(g.vertices[a].node, g.vertices[b].node)].Loss < badLoss {
			g.link(a, b)
		}
	}
	for v := range g.vertices {
		if g.vertices[v].part != parting || len(g.peers[v]) < 2 {
			continue
		}
		best := slices.MinFunc(g.peers[v], func(a, b int) int {
			return cmp.Or(cmp.Compare(g.vertices[a].part, g.vertices[b].part), cmp.Compare(g.ms(v, a), g.ms(v, b)), cmp.Compare(a, b))
		})
		for _, peer := range slices.Clone(g.peers[v]) {
			if peer != best {
				g.unlink(v, peer)
			}
		}
	}
	for v := range g.peers {
		if len(g.peers[v]) > g.in.Policy.Degree {
			g.peers = make([][]int, len(g.vertices))
			return
		}
	}
}

// prune takes out nodes that pass streams on and are not needed for it: those
// whose neighbours find each other without them, and those with two neighbours,
// which are linked directly instead.
func (g *graph) prune() {
	for again := true; again; {
		again = false
		for v := range g.vertices {
			if g.vertices[v].part != passing || len(g.peers[v]) == 0 {
				continue
			}
			around := slices.Clone(g.peers[v])
			if len(around) != 2 && !g.connected(around, v) {
				continue
			}
			g.isolate(v)
			switch {
			case len(around) == 2 && !g.connected(around, v):
				g.link(around[0], around[1])
			case len(around) > 1 && !g.bounded():
				for _, peer := range around {
					g.link(v, peer) // it is on the only way that is short enough
				}
				continue
			}
			again = true
		}
	}
	g.shrink()
}

// shrink drops vertices that pass nothing on.
func (g *graph) shrink() {
	kept := make([]int, 0, len(g.vertices)) // by new number
	renamed := make([]int, len(g.vertices))
	for v := range g.vertices {
		renamed[v] = none
		if g.vertices[v].part != passing || len(g.peers[v]) > 0 {
			renamed[v] = len(kept)
			kept = append(kept, v)
		}
	}
	if len(kept) == len(g.vertices) {
		return
	}
	clear(g.at)
	for v, was := range kept {
		for k, peer := range g.peers[was] {
			g.peers[was][k] = renamed[peer]
		}
		g.vertices[v], g.peers[v], g.delay[v] = g.vertices[was], g.peers[was], g.delay[was]
		g.at[g.vertices[v].node] = v
	}
	g.vertices, g.peers, g.delay = g.vertices[:len(kept)], g.peers[:len(kept)], g.delay[:len(kept)]
	if g.root = renamed[g.root]; g.root == none {
		g.root = 0
	}
}

// connected reports whether vertices reach each other without going through
// without.
func (g *graph) connected(vertices []int, without int) bool {
	if len(vertices) < 2 {
		return true
	}
	seen := g.reach(vertices[0], without)
	return !slices.ContainsFunc(vertices, func(v int) bool { return !seen[v] })
}

func (g *graph) reach(from, without int) []bool {
	seen := make([]bool, len(g.vertices))
	seen[from] = true
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, peer := range g.peers[queue[0]] {
			if peer != without && !seen[peer] {
				seen[peer] = true
				queue = append(queue, peer)
			}
		}
	}
	return seen
}
