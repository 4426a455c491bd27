package status

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/wire"
)

// shownNode is a node with what this Registry makes of it. The names are those of
// /listMediaNodes.
type shownNode struct {
	node.Payload
	Generation   uint64    `json:"generation,string"`
	Seq          uint64    `json:"seq,string"`
	IssuedAt     time.Time `json:"issuedAt"`
	ExpiresAt    time.Time `json:"expiresAt"`
	Quality      float64   `json:"quality"`
	Availability float64   `json:"availability"`
	State        string    `json:"state"` // unknown, up, suspect or down
	PlaceVerdict string    `json:"placeVerdict,omitempty"`
}

// show reads an entry; ok is false for one that another version wrote.
func show(e *index.Entry) (s shownNode, ok bool) {
	payload, err := wire.HeldNode(e.Body)
	if err != nil {
		return shownNode{}, false
	}
	payload.NodeID = e.ID
	return shownNode{
		Payload: payload, Generation: e.Version.Generation, Seq: e.Version.Seq, IssuedAt: e.IssuedAt(), ExpiresAt: e.ExpiresAt(),
		Quality: e.Quality, Availability: e.Availability, State: e.State.String(), PlaceVerdict: e.PlaceVerdict,
	}, true
}

type nodesAnswer struct {
	Nodes []shownNode `json:"nodes"`
	// After is given to the next query; absent on the last page.
	After *drtc.NodeID `json:"after,omitempty"`
}

func (h *server) nodes(q *query) (any, *problem) {
	after := q.id("after", false)
	limit := q.number("limit", maxNodes, 1, maxNodes)
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	a := nodesAnswer{Nodes: []shownNode{}}
	for e := range h.source.Nodes.Snapshot().From(after) {
		if uint64(len(a.Nodes)) == limit {
			a.After = &a.Nodes[limit-1].NodeID
			break
		}
		if s, ok := show(e); ok && e.ID != after {
			a.Nodes = append(a.Nodes, s)
		}
	}
	return a, nil
}

type nodeAnswer struct {
	Node  shownNode `json:"node"`
	Since time.Time `json:"since,omitzero"`
	Votes []Vote    `json:"votes"`
	Place placeSeen `json:"place"`
}

// placeSeen is what round trips say of the declared place.
type placeSeen struct {
	Finding string     `json:"finding"`
	Reasons []string   `json:"reasons"`
	Discs   []discSeen `json:"discs"`
}

// discSeen is where the node must be according to one prober.
type discSeen struct {
	Prober     drtc.NodeID `json:"prober"`
	Center     drtc.Place  `json:"center"`
	RTTMs      float64     `json:"rttMs"`
	RadiusKm   float64     `json:"radiusKm"`
	DistanceKm float64     `json:"distanceKm"` // of the declared place
}

func (h *server) node(q *query) (any, *problem) {
	id := q.id("node", true)
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	missing := &problem{http.StatusNotFound, "not_found", "node", fmt.Sprintf("no live record of node %s is held here", id)}
	e, ok := h.source.Nodes.Snapshot().Lookup(id)
	if !ok {
		return nil, missing
	}
	shown, ok := show(e)
	if !ok {
		return nil, missing
	}
	s := h.source.Nodes.Standing(id)
	a := nodeAnswer{
		Node: shown, Since: s.Since.UTC(), Votes: append([]Vote{}, s.Votes...),
		Place: placeSeen{Finding: s.Place.Finding.String(), Reasons: append([]string{}, s.Place.Reasons...), Discs: []discSeen{}},
	}
	if s.Since.IsZero() {
		a.Since = time.Time{}
	}
	for _, d := range s.Place.Discs {
		a.Place.Discs = append(a.Place.Discs, discSeen{d.Prober, d.Center, d.RTT.Seconds() * 1000, d.RadiusKm, d.DistanceKm})
	}
	return a, nil
}

// total is what all nodes are together.
type total struct {
	States map[string]int `json:"states"`
	// Regions count those that are not down, by declared region.
	Regions      map[drtc.Region]int `json:"regions"`
	CapacityMbps uint64              `json:"capacityMbps"`
	LoadMbps     uint64              `json:"loadMbps"`
	Sessions     uint64              `json:"sessions"`
	Owners       int                 `json:"owners"`
}

// summary keeps the total of one Snapshot: to sum up all nodes for every request
// would cost a second of a processor for every forty requests of a large network.
type summary struct {
	mu    sync.Mutex // guards all below
	of    *index.Snapshot
	made  time.Time
	total *total
}

// summaryAge is how old a total may be while nodes change.
const summaryAge = time.Second

func (s *summary) get(now time.Time, nodes *index.Snapshot) *total {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total != nil && (s.of == nodes || now.Sub(s.made) < summaryAge) {
		return s.total
	}
	t := &total{States: map[string]int{}, Regions: map[drtc.Region]int{}}
	owners := map[string]bool{}
	for e := range nodes.All() {
		n, ok := show(e)
		if !ok {
			continue
		}
		t.States[n.State]++
		if n.Owner != "" {
			owners[n.Owner] = true
		}
		if e.State == index.Down {
			continue
		}
		if n.Region != "" {
			t.Regions[n.Region]++
		}
		t.CapacityMbps += uint64(n.CapacityMbps)
		t.LoadMbps += uint64(n.LoadMbps)
		t.Sessions += uint64(n.Sessions)
	}
	t.Owners = len(owners)
	s.of, s.made, s.total = nodes, now, t
	return t
}

type networkAnswer struct {
	Registry    drtc.NodeID `json:"registry"`
	Network     string      `json:"network"`
	Version     string      `json:"version"`
	Development bool        `json:"development,omitempty"`
	Registries  []Registry  `json:"registries"`
	Nodes       *total      `json:"nodes"`
	// Chain is absent without one, and while it was not read yet.
	Chain any `json:"chain,omitempty"`
	// ChainProblem says why Chain is old or absent, and ChainReadAt how old.
	ChainProblem string    `json:"chainProblem,omitempty"`
	ChainReadAt  time.Time `json:"chainReadAt,omitzero"`
}

func (h *server) network(q *query) (any, *problem) {
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	s := &h.source
	a := networkAnswer{
		Registry: s.Registry, Network: s.Network, Version: s.Version, Development: s.Development,
		Registries: append([]Registry{}, s.Registries()...), Nodes: h.summary.get(time.Now(), s.Nodes.Snapshot()),
	}
	if s.Economy != nil {
		v, readAt, trouble := s.Economy.Read()
		if v != nil {
			a.Chain = v.Chain()
		}
		if a.ChainProblem = trouble; trouble != "" && v != nil {
			a.ChainReadAt = readAt.UTC()
		}
	}
	return a, nil
}
