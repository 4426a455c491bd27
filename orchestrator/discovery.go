package orchestrator

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/nodes"
)

// Node is a Media Node as its verified record describes it.
type Node struct {
	ID           drtc.NodeID
	URL          string   // of the control service, https
	Fingerprint  [32]byte // SHA-256 of the control service's certificate
	Region       drtc.Region
	Place        drtc.Place
	PlaceName    string
	Version      string
	Features     []string
	Owner        string
	CapacityMbps float64
	MaxSessions  int
	Signed       time.Time // when the node last signed its record
}

// Discovery knows the nodes. Both methods are safe for concurrent use.
type Discovery interface {
	// Snapshot returns the nodes that may be used now.
	Snapshot() []Node
	// Changed receives after the snapshot has changed.
	Changed() <-chan struct{}
}

// keepNodes holds connections to the nodes that carry sessions and to those
// that may be chosen, until ctx ends.
func (o *Orchestrator) keepNodes(ctx context.Context) {
	// The set also changes as sessions come and go, which is not urgent.
	again := time.NewTicker(2 * time.Second)
	defer again.Stop()
	for {
		o.pool.Keep(o.targets())
		select {
		case <-ctx.Done():
			return
		case <-o.discovery.Changed():
		case <-again.C:
		}
	}
}

// targets lists the nodes to be connected: all that carry sessions, then known
// ones up to MaxNodes, those that offer most first.
func (o *Orchestrator) targets() []nodes.Target {
	known := o.discovery.Snapshot()
	slices.SortFunc(known, func(a, b Node) int {
		return cmp.Or(cmp.Compare(b.CapacityMbps, a.CapacityMbps), bytes.Compare(a.ID[:], b.ID[:]))
	})
	var targets []nodes.Target
	listed := map[drtc.NodeID]bool{}
	add := func(t nodes.Target) {
		if !listed[t.ID] {
			listed[t.ID] = true
			targets = append(targets, t)
		}
	}
	used := o.routes.nodes()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range known {
		t := nodes.Target{ID: n.ID, URL: n.URL, Fingerprint: n.Fingerprint}
		if used[n.ID] || o.lastTargets[n.ID] == t {
			add(t)
		}
	}
	// A node whose record has lapsed keeps its sessions as long as it lives.
	for id := range used {
		if t, ok := o.lastTargets[id]; ok {
			add(t)
		}
	}
	for _, n := range known {
		if len(targets) < o.config.MaxNodes {
			add(nodes.Target{ID: n.ID, URL: n.URL, Fingerprint: n.Fingerprint})
		}
	}
	o.lastTargets = map[drtc.NodeID]nodes.Target{}
	for _, t := range targets {
		o.lastTargets[t.ID] = t
	}
	return targets
}

// candidates is what the choice of a node is made from.
func (o *Orchestrator) candidates(now time.Time) allocate.Snapshot {
	s := allocate.Snapshot{At: now}
	for _, n := range o.discovery.Snapshot() {
		status := o.pool.Status(n.ID)
		sessions := n.MaxSessions
		if status.MaxSessions > 0 {
			sessions = status.MaxSessions
		}
		s.Nodes = append(s.Nodes, allocate.Candidate{
			ID: n.ID, Place: n.Place, Region: n.Region, Version: n.Version, Features: n.Features, Owner: n.Owner,
			CapacityMbps: n.CapacityMbps, LoadMbps: float64(status.EgressBps) / 1e6,
			Sessions: status.Sessions, MaxSessions: sessions,
			AgeOfRecord: max(0, now.Sub(n.Signed)), Reachable: status.Up && !status.Draining,
		})
	}
	return s
}

// node returns what is known of one node.
func (o *Orchestrator) node(id drtc.NodeID) Node {
	for _, n := range o.discovery.Snapshot() {
		if n.ID == id {
			return n
		}
	}
	return Node{ID: id}
}
