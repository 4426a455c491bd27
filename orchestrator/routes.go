package orchestrator

import (
	"slices"
	"sync"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/cascade"
)

// routes says which room's actor has a session or a relay link, and which nodes
// a room has to do with, for the events of nodes.
type routes struct {
	mu       sync.Mutex // guards what follows
	sessions map[drtc.SessionID]route
	links    map[cascade.LinkID]*actor
	rooms    map[*actor][]drtc.NodeID
	members  map[*actor][]allocate.Want // where they are
}

type route struct {
	node  drtc.NodeID
	actor *actor
	quiet bool // the room wants no reports of the session
}

func newRoutes() *routes {
	return &routes{sessions: map[drtc.SessionID]route{}, links: map[cascade.LinkID]*actor{}, rooms: map[*actor][]drtc.NodeID{}, members: map[*actor][]allocate.Want{}}
}

// follow notes which nodes a room has to do with; none when it has ended.
func (r *routes) follow(a *actor, nodes []drtc.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(nodes) == 0 {
		delete(r.rooms, a)
		return
	}
	r.rooms[a] = nodes
}

// want notes where the members of a room are.
func (r *routes) want(a *actor, wants []allocate.Want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[a] = wants
}

// wants lists where the members of all rooms are.
func (r *routes) wants() []allocate.Want {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []allocate.Want
	for _, wants := range r.members {
		all = append(all, wants...)
	}
	return all
}

// join notes that a room has a link, leave that it has it no more.
func (r *routes) join(link cascade.LinkID, a *actor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links[link] = a
}

func (r *routes) leave(link cascade.LinkID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links, link)
}

// over returns the actor that has a link, or nil.
func (r *routes) over(link cascade.LinkID) *actor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.links[link]
}

// end forgets a room that is over or somebody else's.
func (r *routes) end(a *actor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rooms, a)
	delete(r.members, a)
	for id, found := range r.sessions {
		if found.actor == a {
			delete(r.sessions, id)
		}
	}
	for id, found := range r.links {
		if found == a {
			delete(r.links, id)
		}
	}
}

func (r *routes) add(s drtc.SessionID, node drtc.NodeID, a *actor, quiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s] = route{node, a, quiet}
}

// reported reports whether the room of a session wants reports of it.
func (r *routes) reported(s drtc.SessionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.sessions[s].quiet
}

func (r *routes) remove(s drtc.SessionID, node drtc.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s].node == node {
		delete(r.sessions, s)
	}
}

// find returns the actor that has a session on this node, or nil. A node speaks
// for its own sessions only.
func (r *routes) find(s drtc.SessionID, node drtc.NodeID) *actor {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.sessions[s]; found.node == node {
		return found.actor
	}
	return nil
}

// nodes lists the nodes that rooms have to do with.
func (r *routes) nodes() map[drtc.NodeID]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := map[drtc.NodeID]bool{}
	for _, nodes := range r.rooms {
		for _, n := range nodes {
			used[n] = true
		}
	}
	for _, found := range r.sessions {
		used[found.node] = true
	}
	return used
}

// on lists the actors of the rooms that have to do with a node.
func (r *routes) on(node drtc.NodeID) []*actor {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[*actor]bool{}
	var all []*actor
	for a, nodes := range r.rooms {
		if slices.Contains(nodes, node) {
			seen[a] = true
			all = append(all, a)
		}
	}
	for _, found := range r.sessions {
		if found.node == node && !seen[found.actor] {
			seen[found.actor] = true
			all = append(all, found.actor)
		}
	}
	return all
}

// count returns how many sessions there are.
func (r *routes) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}
