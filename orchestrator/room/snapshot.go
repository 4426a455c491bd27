package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
)

// versionGap is added to versions on Restore: the last changes before the
// process ended may not have been saved, and versions must rise.
const versionGap = 1000

// Changed reports whether anything that Snapshot holds has changed since it was
// last called.
func (r *Room) Changed() bool { return r.changed }

// Snapshot returns what must outlive the process, as JSON.
func (r *Room) Snapshot() ([]byte, error) {
	saved := r.state
	saved.Members = nil
	for _, m := range r.state.Members {
		if m.phase == present && m.watch == nil {
			m.Moving = m.move != nil && !m.move.answered
			saved.Members = append(saved.Members, m)
		}
	}
	saved.Cascade = r.cascade.State()
	for _, id := range r.nodeIDs(func(n *node) bool { return n.lost || len(n.tracks) > 0 }) {
		n := r.nodes[id]
		saved.Nodes = append(saved.Nodes, savedNode{ID: id, Lost: n.lost, Ghosts: n.ghosts, Tracks: n.tracks})
	}
	b, err := json.Marshal(saved)
	if err != nil {
		return nil, fmt.Errorf("room: writing the state of %s: %w", r.state.ID, err)
	}
	r.changed = false
	return b, nil
}

// Restore makes a room from a Snapshot. Its participants have lost their
// connections and the grace time to resume.
func Restore(config Config, snapshot []byte, now time.Time) (*Room, error) {
	r := &Room{config: config, now: now, speakers: map[drtc.ParticipantID]Speaker{}, nodes: map[drtc.NodeID]*node{}}
	if err := json.Unmarshal(snapshot, &r.state); err != nil {
		return nil, fmt.Errorf("room: reading a state: %w", err)
	}
	if r.state.ID == "" || r.state.Name == "" {
		return nil, fmt.Errorf("room: reading a state: id and name: want both, got %q and %q", r.state.ID, r.state.Name)
	}
	if len(r.state.Members) == 0 {
		r.emptyAt = now.Add(r.emptyFor())
	} else {
		r.reportAt = now.Add(config.ReportInterval)
	}
	for _, m := range r.state.Members {
		m.phase = present
		m.doubtful = true
		for _, s := range m.Subscriptions {
			s.lapsed = s.On
		}
		m.Moves += versionGap
		m.Version += versionGap
		for _, f := range m.Forwards {
			f.Serial += versionGap
		}
		if m.Guest != nil {
			m.Guest.until, m.Guest.opened, m.retryAt = now.Add(guestFor), true, now.Add(retryDelay)
		} else {
			m.graceUntil = now.Add(config.Grace)
			m.refreshAt = now.Add(config.TokenRefresh)
		}
		if m.Subscriptions == nil {
			m.Subscriptions = map[drtc.TrackID]*subscription{}
		}
	}
	r.restoreNodes()
	return r, nil
}

// restoreNodes takes links, routes and the tracks on nodes for what they were.
// What the nodes say when they are heard of corrects it.
func (r *Room) restoreNodes() {
	for _, saved := range r.state.Nodes {
		n := r.node(saved.ID)
		n.lost, n.ghosts = saved.Lost, saved.Ghosts
		maps.Copy(n.tracks, saved.Tracks)
	}
	r.cascade = cascade.Restore(string(r.state.ID), r.state.Cascade, r.now)
	r.state.Nodes, r.state.Cascade = nil, cascade.State{}
	for _, m := range r.state.Members {
		if m.Moving { // its session may or may not exist
			m.move = &move{from: m.Node, began: r.now}
			if !m.Node.IsZero() {
				r.node(m.Node).ghosts = append(r.node(m.Node).ghosts, m.Session)
			}
			m.Node, m.Session, m.Moving = drtc.NodeID{}, m.nextSession(), false
			for _, s := range m.Subscriptions {
				s.held = true
			}
			for _, t := range m.Tracks {
				t.Away = true
			}
		}
	}
	r.weave()
	for _, id := range r.Nodes() {
		n := r.node(id)
		if n.unheard = !n.lost; n.unheard {
			n.claimAt = r.now // one that has been up all the time says nothing by itself
		}
	}
	for _, m := range r.state.Members {
		if n := r.nodes[m.Node]; n != nil && n.unheard {
			n.had = append(n.had, m.Session)
		}
	}
	if len(r.nodeIDs(func(n *node) bool { return n.unheard })) > 0 {
		r.knownAt = r.now.Add(knownWithin)
	}
}

// savedNode is what is saved of a node.
type savedNode struct {
	ID     drtc.NodeID                  `json:"id"`
	Lost   bool                         `json:"lost,omitempty"`
	Ghosts []drtc.SessionID             `json:"ghosts,omitempty"`
	Tracks map[drtc.TrackID]drtc.NodeID `json:"tracks,omitempty"`
}
