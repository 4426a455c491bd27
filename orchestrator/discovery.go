package orchestrator

import (
	"bytes"
	"cmp"
	"context"
	"slices"
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
		o.pool.Keep(o.targets())
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again.C:
		}
	}
}

// targets lists the nodes to be connected: all that carry sessions, then known
// ones up to MaxNodes, those that offer most first.
func (o *Orchestrator) targets() []nodes.Target {
	known := slices.DeleteFunc(slices.Clone(o.discovery.Snapshot()), func(n discovery.Node) bool {
		return !strings.HasPrefix(n.URL, "https://") // can't be pinned
	})
	slices.SortFunc(known, func(a, b discovery.Node) int {
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
		t := targetOf(n)
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
			add(targetOf(n))
		}
	}
	o.lastTargets = map[drtc.NodeID]nodes.Target{}
	for _, t := range targets {
		o.lastTargets[t.ID] = t
	}
	return targets
}

func targetOf(n discovery.Node) nodes.Target {
	return nodes.Target{ID: n.ID, URL: n.URL, Fingerprint: n.TLSFingerprint}
}

// candidates is what the choice of a node is made from. What a node says by its
// heartbeat is newer than what stands in its record.
func (o *Orchestrator) candidates(now time.Time) allocate.Snapshot {
	s := allocate.Snapshot{At: now}
	for _, n := range o.discovery.Snapshot() {
		status := o.pool.Status(n.ID)
		c := allocate.Candidate{
			ID: n.ID, Region: n.Region, Version: n.Version, Features: n.Features,
			CapacityMbps: float64(n.CapacityMbps), LoadMbps: float64(n.LoadMbps),
			Sessions: int(n.Sessions), MaxSessions: int(n.MaxSessions),
			AgeOfRecord: max(0, now.Sub(n.IssuedAt)),
			Reachable:   status.Up && !status.Draining && !n.Draining,
		}
		if n.Place != nil {
			c.Place = *n.Place
		}
		if !n.Owner.IsZero() {
			c.Owner = n.Owner.String()
		}
		if status.Up {
			c.Sessions, c.LoadMbps = status.Sessions, float64(status.EgressBps)/1e6
			c.Refuses = status.Refuses
			if status.MaxSessions > 0 {
				c.MaxSessions = status.MaxSessions
			}
		}
		s.Nodes = append(s.Nodes, c)
	}
	return s
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
