package room

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

const (
	// planRetry is the time between questions for a plan while somebody waits
	// for a home, and drainRetry while somebody is on a draining node.
	planRetry  = 100 * time.Millisecond
	drainRetry = 2 * time.Second
	// knownWithin is how long a restored room waits for news of its nodes before
	// it asks for a plan, and takes those for lost of which it has none.
	knownWithin = 5 * time.Second
)

// node is what the room knows of one Media Node, besides its links.
type node struct {
	lost     bool
	draining bool
	unheard  bool // since the room was restored
	// had are the sessions that a restored room takes it to have, while unheard.
	had []drtc.SessionID
	// tracks of other nodes' clients that are there, with their origins.
	tracks map[drtc.TrackID]drtc.NodeID
	// ghosts are sessions that it may still have when it is back.
	ghosts  []drtc.SessionID
	claimAt time.Time // when it is asked again what it has
	// news are the tracks that it has reported since it was asked.
	news map[drtc.TrackID]bool
}

// maxGhosts bounds the ghosts of one node.
const maxGhosts = 1024

func (r *Room) node(id drtc.NodeID) *node {
	n := r.nodes[id]
	if n == nil {
		n = &node{tracks: map[drtc.TrackID]drtc.NodeID{}}
		r.nodes[id] = n
	}
	return n
}

func (r *Room) lost(id drtc.NodeID) bool     { n := r.nodes[id]; return n != nil && n.lost }
func (r *Room) draining(id drtc.NodeID) bool { n := r.nodes[id]; return n != nil && n.draining }

func compareNodes(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

// nodeIDs lists the nodes of which it is true, in order.
func (r *Room) nodeIDs(is func(*node) bool) []drtc.NodeID {
	var ids []drtc.NodeID
	for _, id := range slices.SortedFunc(maps.Keys(r.nodes), compareNodes) {
		if is(r.nodes[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// needPlan asks for a plan, once. A room that was just restored asks when it has
// heard of its nodes: a plan that knows none of them would move everybody.
func (r *Room) needPlan() {
	if r.planning || len(r.state.Members) == 0 {
		return
	}
	if !r.knownAt.IsZero() {
		r.planAt = r.knownAt
		return
	}
	r.planning, r.planAt = true, time.Time{}
	r.out = append(r.out, NeedPlan{})
}

// planWithin asks for a plan after a while, or before.
func (r *Room) planWithin(d time.Duration) {
	if at := r.now.Add(d); r.planAt.IsZero() || at.Before(r.planAt) {
		r.planAt = at
	}
}

// Shape is what the next plan is made from: Room, Members, Current, Lost,
// Draining and the Costs that the room's links have measured. The owner fills in
// the rest, and NeedMbps of the members.
func (r *Room) Shape() plan.Input {
	in := plan.Input{
		Room: r.state.ID, Current: r.state.Plan,
		Lost:     r.nodeIDs(func(n *node) bool { return n.lost }),
		Draining: r.nodeIDs(func(n *node) bool { return n.draining && !n.lost }),
		Costs:    r.costs(),
	}
	for _, m := range r.state.Members {
		if m.Guest != nil && m.Node.IsZero() {
			continue // nobody knows where it publishes
		}
		p := plan.Member{
			ID: m.ID, Place: m.Place, Publishes: len(m.Tracks) > 0,
			Home: m.Node, Exclude: slices.Clone(m.exclude),
			AudioOnly: r.state.Rules.AudioOnly, NeedMbps: r.state.Rules.NeedMbps,
		}
		if m.phase == waiting || r.lost(m.Node) {
			p.Home = drtc.NodeID{}
		}
		switch {
		case m.Guest != nil:
			p.Pin = m.Node
		case m.next != nil && !r.lost(m.next.node):
			p.Pin = m.next.node
		case m.move != nil && r.keeps(m) && !r.lost(m.Node):
			// Until the client is connected the old node sends what it has.
			p.Home, p.Pin = m.move.from, m.Node
		}
		in.Members = append(in.Members, p)
	}
	return in
}

// planned takes the owner's plan.
func (r *Room) planned(c Planned) {
	r.planning, r.planAt = false, time.Time{}
	if len(r.state.Members) == 0 {
		return
	}
	if c.Err == "" {
		r.state.Plan = c.Plan
		r.state.Plan.Refused, r.state.Plan.Homes = nil, maps.Clone(c.Plan.Homes)
		r.changed = true
		r.priced()
		r.weave()
	}
	for _, m := range r.members() {
		home := c.Plan.Homes[m.ID]
		if r.lost(home) {
			home = drtc.NodeID{}
		}
		switch {
		case m.phase == waiting && home.IsZero():
			r.homeless(m, c)
		case m.phase == waiting:
			r.openAt(m, home)
		case m.phase != present || m.Guest != nil:
		case m.move != nil:
			r.moveTo(m, home)
		case home == m.Node || home.IsZero():
			if r.draining(m.Node) {
				m.exclude = nil // another try
				r.planWithin(drainRetry)
			}
		default:
			r.relocate(m, home)
		}
	}
}

// homeless refuses m what the plan refuses it, or lets it wait.
func (r *Room) homeless(m *member, c Planned) {
	err := c.Plan.Refused[m.ID]
	switch {
	case c.Wait || c.Err == "" && err == nil:
		r.planWithin(planRetry)
	case c.Err != "":
		r.refuse(m, c.Err)
	default:
		r.refuse(m, "no media node can take you: "+err.Error())
	}
}

// weave makes the links agree with the plan.
func (r *Room) weave() {
	p := r.state.Plan
	r.cascade.Want(r.now, p.Links, append(slices.Clone(p.Routes), r.dataRoutes()...), p.AudioLimit)
}

// dataRoutes adds routes for the nodes whose members publish no track but may
// send data: each a tree of shortest ways over the links that the plan has.
func (r *Room) dataRoutes() []plan.Route {
	p := r.state.Plan
	next := map[drtc.NodeID][]drtc.NodeID{}
	for _, l := range p.Links {
		next[l.A] = append(next[l.A], l.B)
		next[l.B] = append(next[l.B], l.A)
	}
	planned := map[drtc.NodeID]bool{}
	for _, route := range p.Routes {
		planned[route.Origin] = true
	}
	origins := map[drtc.NodeID]bool{}
	for _, m := range r.state.Members {
		home := m.Node
		if to := p.Homes[m.ID]; !to.IsZero() {
			home = to
		}
		if m.watch == nil && m.Permission.PublishData && !m.Permission.Hidden && !planned[home] {
			origins[home] = true
		}
	}
	var routes []plan.Route
	for _, origin := range slices.SortedFunc(maps.Keys(origins), compareNodes) {
		seen := map[drtc.NodeID]bool{origin: true}
		for queue := []drtc.NodeID{origin}; len(queue) > 0; queue = queue[1:] {
			for _, to := range next[queue[0]] {
				if !seen[to] {
					seen[to] = true
					queue = append(queue, to)
					routes = append(routes, plan.Route{Origin: origin, Node: to, Via: queue[0]})
				}
			}
		}
	}
	return routes
}

// Nodes lists the nodes that the room has anything to do with, in order. What is
// told of a whole node (lost, synced, draining) concerns it for these.
func (r *Room) Nodes() []drtc.NodeID {
	all := map[drtc.NodeID]bool{}
	for _, id := range r.cascade.Nodes() {
		all[id] = true
	}
	for id, n := range r.nodes {
		if n.lost || n.draining || n.unheard || len(n.ghosts) > 0 || len(n.tracks) > 0 {
			all[id] = true
		}
	}
	for _, s := range r.Sessions() {
		all[s.Node] = true
	}
	for _, old := range r.retired {
		all[old.node] = true
	}
	delete(all, drtc.NodeID{})
	return slices.SortedFunc(maps.Keys(all), compareNodes)
}

// Plan returns the plan that holds, for showing.
func (r *Room) Plan() plan.Plan { return r.state.Plan }
