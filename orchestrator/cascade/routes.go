package cascade

import (
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// router is what a node has been told of routes.
type router struct {
	told    map[drtc.NodeID]LinkID // by origin
	asked   bool                   // its answer is awaited
	unknown bool                   // what it has is not known
	retryAt time.Time
}

// route tells every node its routes as far as they exist.
func (c *Cascade) route(now time.Time) {
	for node := range c.routes {
		if c.routers[node] == nil {
			c.routers[node] = &router{}
		}
	}
	for _, node := range slices.SortedFunc(maps.Keys(c.routers), compareNodes) {
		r := c.routers[node]
		if c.lost[node] || r.asked || now.Before(r.retryAt) {
			continue
		}
		r.retryAt = time.Time{}
		want := c.routesOf(node, r)
		if !r.unknown && maps.Equal(want, r.told) {
			if len(want) == 0 && c.routes[node] == nil {
				delete(c.routers, node)
			}
			continue
		}
		r.told, r.asked, r.unknown = want, true, false
		var list []Route
		for _, origin := range slices.SortedFunc(maps.Keys(want), compareNodes) {
			list = append(list, Route{Origin: origin, Link: want[origin]})
		}
		c.order(node, "", SetRoutes{Routes: list})
	}
}

// routesOf is what a node shall have now: the wanted link of each origin as soon
// as it is open there, but in place of one that works only when it is connected.
func (c *Cascade) routesOf(node drtc.NodeID, r *router) map[drtc.NodeID]LinkID {
	want := map[drtc.NodeID]LinkID{}
	for origin, via := range c.routes[node] {
		before := r.told[origin]
		works := c.find(before) != nil
		a := c.attempts[pairOf(node, via)]
		switch {
		case a != nil && a.end(node).opened && (a.end(node).connected || !works):
			want[origin] = a.id
		case works:
			want[origin] = before
		}
	}
	return want
}

// routed reports whether a node was told to get tracks over the attempt.
func (c *Cascade) routed(a *attempt) bool {
	for _, node := range []drtc.NodeID{a.pair.A, a.pair.B} {
		if r := c.routers[node]; r != nil && !c.lost[node] {
			for _, link := range r.told {
				if link == a.id {
					return true
				}
			}
		}
	}
	return false
}
