package cascade

import (
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// serialGap is added on Restore: the last ids before the process ended may not
// have been saved, and an id is never used twice.
const serialGap = 1000

// State is what must outlive the process for links to be claimed again.
type State struct {
	Serial uint64       `json:"serial"`
	Links  []SavedLink  `json:"links,omitempty"`
	Routes []SavedRoute `json:"routes,omitempty"`
	Lost   []SavedLost  `json:"lost,omitempty"`
}

// SavedLost is a lost node and what is to be closed there when it is back.
type SavedLost struct {
	Node  drtc.NodeID `json:"node"`
	Links []LinkID    `json:"links,omitempty"`
}

// SavedLink is one attempt.
type SavedLink struct {
	ID   LinkID      `json:"id"`
	A    drtc.NodeID `json:"a"`
	B    drtc.NodeID `json:"b"`
	Open bool        `json:"open,omitempty"`
}

// SavedRoute is what a node was told.
type SavedRoute struct {
	Node drtc.NodeID `json:"node"`
	Route
}

// State returns what must be saved.
func (c *Cascade) State() State {
	s := State{Serial: c.serial}
	for _, a := range c.all() {
		s.Links = append(s.Links, SavedLink{ID: a.id, A: a.pair.A, B: a.pair.B, Open: a.phase == open})
	}
	for _, r := range c.recent {
		s.Links = append(s.Links, r.SavedLink)
	}
	for node, r := range c.routers {
		for origin, link := range r.told {
			s.Routes = append(s.Routes, SavedRoute{Node: node, Route: Route{Origin: origin, Link: link}})
		}
	}
	for _, node := range slices.SortedFunc(maps.Keys(c.lost), compareNodes) {
		s.Lost = append(s.Lost, SavedLost{Node: node, Links: slices.Clone(c.ghosts[node])})
	}
	slices.SortFunc(s.Routes, func(a, b SavedRoute) int {
		if n := compareNodes(a.Node, b.Node); n != 0 {
			return n
		}
		return compareNodes(a.Origin, b.Origin)
	})
	return s
}

// Restore makes a Cascade of what was saved. Links that were open are taken to
// be so until a node says otherwise; the others are closed. What is wanted must
// be said again.
func Restore(name string, s State, now time.Time) *Cascade {
	c := New(name)
	c.serial = s.Serial + serialGap
	for _, l := range s.Lost {
		c.lost[l.Node] = true
		c.ghosts[l.Node] = slices.Clone(l.Links)
	}
	for _, l := range s.Links {
		a := &attempt{id: l.ID, pair: plan.Link{A: l.A, B: l.B}, phase: open, since: now}
		if !l.Open || c.attempts[a.pair] != nil {
			c.closeEnds(now, a)
			continue
		}
		for i := range a.ends {
			a.ends[i] = end{prepared: true, opened: true, connected: true, connectedAt: now}
		}
		c.attempts[a.pair] = a
	}
	for _, r := range s.Routes {
		if c.routers[r.Node] == nil {
			// Told again, since the last change may not have been saved.
			c.routers[r.Node] = &router{told: map[drtc.NodeID]LinkID{}, unknown: true}
		}
		c.routers[r.Node].told[r.Origin] = r.Link
	}
	return c
}
