package orchestrator

import (
	"context"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/nodes"
)

// Discovery knows the nodes, as package discovery does. Its methods are safe for
// concurrent use.
type Discovery interface {
	// Snapshot returns the nodes that may be used now, to be read only.
	Snapshot() []discovery.Node
	// Changed returns a channel on which something is received, or which is
	// closed, at the next change.
	Changed() <-chan struct{}
}

// keepNodes holds connections to the nodes that carry sessions and to those
// that may be chosen, until ctx ends.
func (o *Orchestrator) keepNodes(ctx context.Context) {
	// The set also changes as sessions come and go, which is not urgent.
	again := time.NewTicker(2 * time.Second)
	defer again.Stop()
	for {
		changed := o.discovery.Changed() // before the snapshot, not to miss one
		o.reconnect()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again.C:
		}
	}
}

// reconnect brings the connections to nodes up to date. It does not wait for them
// to be up.
func (o *Orchestrator) reconnect() {
	o.keeping.Lock()
	defer o.keeping.Unlock()
	o.pool.Keep(o.targets(o.now()))
}

// aim is a node to which a connection is held.
type aim struct {
	target nodes.Target
	since  time.Time
}

// targets lists the nodes to be connected: all that carry sessions, and MaxNodes
// to choose from, near the members of rooms and some everywhere.
func (o *Orchestrator) targets(now time.Time) []nodes.Target {
	known := map[drtc.NodeID]nodes.Target{}
	var open []allocate.Candidate
	for _, n := range o.discovery.Snapshot() {
		if !strings.HasPrefix(n.URL, "https://") {
			continue // can't be pinned
		}
		known[n.ID] = targetOf(n)
		if !n.Draining {
			open = append(open, declared(n))
		}
	}
	used := o.routes.nodes()
	o.mu.Lock()
	defer o.mu.Unlock()
	aims := map[drtc.NodeID]aim{}
	var targets []nodes.Target
	add := func(id drtc.NodeID) {
		before, had := o.aims[id]
		t, listed := known[id]
		switch {
		case aims[id] != aim{}, !listed && !had:
			return
		case !listed: // a node whose record has lapsed keeps its sessions as long as it lives
			t = before.target
		}
		if before.target != t {
			before = aim{target: t, since: now}
		}
		aims[id] = before
		targets = append(targets, t)
	}
	for id := range used {
		add(id)
	}
	for _, id := range allocate.Shortlist(now, open, o.routes.wants(), o.config.MaxNodes) {
		add(id)
	}
	o.aims = aims
	return targets
}

// firstContact is how long a connection to a node that may be the best one is
// waited for.
const firstContact = time.Second

// comingUp lists nodes that may be up soon.
func (o *Orchestrator) comingUp(now time.Time) map[drtc.NodeID]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	coming := map[drtc.NodeID]bool{}
	for id, a := range o.aims {
		if now.Sub(a.since) < min(firstContact, o.config.AllocateWait) && !o.pool.Status(id).Up {
			coming[id] = true
		}
	}
	return coming
}

func targetOf(n discovery.Node) nodes.Target {
	return nodes.Target{ID: n.ID, URL: n.URL, Fingerprint: n.TLSFingerprint}
}

// candidates is what the choice of a node is made from. What a node says by its
// heartbeat is newer than what stands in its record. Score, History,
// QuarantinedUntil and PriceWeight are in no record: they come from tests of
// quality and from prices, and are neutral without.
func (o *Orchestrator) candidates(now time.Time) allocate.Snapshot {
	s := allocate.Snapshot{At: now}
	for _, n := range o.discovery.Snapshot() {
		status, c := o.pool.Status(n.ID), declared(n)
		c.AgeOfRecord = max(0, now.Sub(n.IssuedAt))
		c.Reachable = status.Up && !status.Draining && !n.Draining
		if status.Up {
			c.Sessions, c.LoadMbps = status.Sessions, float64(status.EgressBps)/1e6
			c.Refuses = status.Refuses
			if status.MaxSessions > 0 {
				c.MaxSessions = status.MaxSessions
			}
		}
		c.AudioCapacity = allocate.AudioCapacity(int(n.Cores), c.CapacityMbps, c.MaxSessions)
		s.Nodes = append(s.Nodes, c)
	}
	return s
}

// declared is what a node says of itself in its record.
func declared(n discovery.Node) allocate.Candidate {
	c := allocate.Candidate{
		ID: n.ID, Region: n.Region, Version: n.Version, Features: n.Features,
		CapacityMbps: float64(n.CapacityMbps), LoadMbps: float64(n.LoadMbps),
		Sessions: int(n.Sessions), MaxSessions: int(n.MaxSessions),
	}
	if n.Place != nil {
		c.Place = *n.Place
	}
	if !n.Owner.IsZero() {
		c.Owner = n.Owner.String()
	}
	return c
}

// node returns what is known of one node.
func (o *Orchestrator) node(id drtc.NodeID) discovery.Node {
	for _, n := range o.discovery.Snapshot() {
		if n.ID == id {
			return n
		}
	}
	return discovery.Node{ID: id}
}
