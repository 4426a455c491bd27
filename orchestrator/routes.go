package orchestrator

import (
	"sync"

	"github.com/drtc-network/drtc"
)

// routes says which room's actor has a session, for the events of nodes.
type routes struct {
	mu       sync.Mutex // guards what follows
	sessions map[drtc.SessionID]route
}

type route struct {
	node  drtc.NodeID
	actor *actor
}

func newRoutes() *routes { return &routes{sessions: map[drtc.SessionID]route{}} }

func (r *routes) add(s drtc.SessionID, node drtc.NodeID, a *actor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s] = route{node, a}
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

// nodes lists the nodes that carry sessions.
func (r *routes) nodes() map[drtc.NodeID]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := map[drtc.NodeID]bool{}
	for _, found := range r.sessions {
		used[found.node] = true
	}
	return used
}

// on lists the actors that have sessions on a node.
func (r *routes) on(node drtc.NodeID) []*actor {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[*actor]bool{}
	var all []*actor
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
