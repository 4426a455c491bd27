package score

import (
	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// Finding is what is made of a declared place.
type Finding uint8

const (
	// Unplaced: the node declares none.
	Unplaced Finding = iota
	// Unrefuted: no majority of probers says that it cannot be there.
	Unrefuted
	// Refuted: most of at least two probers measured round trips that are too short.
	Refuted
)

// String is the finding in a word.
func (f Finding) String() string { return [...]string{"unplaced", "unrefuted", "refuted"}[f] }

// MarshalText implements encoding.TextMarshaler.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// find holds a node's place against its probers' discs (spec K14).
func (r Rules) find(n Node) Finding {
	if !n.HasPlace {
		return Unplaced
	}
	there, outside := n.Place.direction(), 0
	for _, p := range n.Probes {
		if !within(there, p.Place.direction(), r.reach(p.RoundTrip)) {
			outside++
		}
	}
	if len(n.Probes) >= 2 && 2*outside > len(n.Probes) {
		return Refuted
	}
	return Unrefuted
}

// reach is how far, in metres, a round trip of microseconds may go.
func (r Rules) reach(roundTrip uint32) uint64 {
	return uint64(roundTrip)*uint64(r.KmPerMillisecond) + uint64(r.SlackKm)*1000
}

// grid is demand and supply by cells (spec K15 to K17).
type grid struct {
	cells     map[drtc.NodeID]Cell // of nodes whose place is unrefuted
	demand    map[Cell]uint64
	reference uint64
	nodes     map[Cell]uint64
	sparsest  uint64
}

// newGrid counts nodes for which counted says so and demand that can be where it
// is said to be.
func newGrid(in Input, findings map[drtc.NodeID]Finding, counted func(drtc.NodeID) bool, r Rules) grid {
	g := grid{cells: map[drtc.NodeID]Cell{}, demand: map[Cell]uint64{}, nodes: map[Cell]uint64{}}
	places := map[drtc.NodeID]direction{}
	for _, n := range in.Nodes {
		if findings[n.ID] != Unrefuted {
			continue
		}
		cell := CellOf(n.Place)
		g.cells[n.ID], places[n.ID] = cell, n.Place.direction()
		if counted(n.ID) {
			g.nodes[cell]++
		}
	}
	for _, n := range g.nodes {
		if g.sparsest == 0 || n < g.sparsest {
			g.sparsest = n
		}
	}
	for _, d := range in.Demands {
		from, placed := places[d.Node]
		if !placed || d.RoundTrip == 0 || !within(from, d.Cell.middle(), r.reach(d.RoundTrip)+uint64(r.CellKm)*1000) {
			continue
		}
		if g.demand[d.Cell] = min(maxCarried, g.demand[d.Cell]+min(d.Bytes, maxCarried)); g.demand[d.Cell] == 0 {
			delete(g.demand, d.Cell)
		}
	}
	var all []uint64
	for _, bytes := range g.demand {
		all = append(all, bytes)
	}
	g.reference = econ.Percentile(all, int(r.DemandPercentile))
	return g
}

// scores are location and coverage of a node; both 0 without a place that holds.
func (g grid) scores(node drtc.NodeID, counted bool) (location, coverage econ.Wad) {
	cell, ok := g.cells[node]
	if !ok {
		return 0, 0
	}
	own := g.nodes[cell]
	if !counted {
		own++
	}
	sparsest := own
	if g.sparsest > 0 {
		sparsest = min(own, g.sparsest)
	}
	coverage, err := econ.Coverage(sparsest, own)
	if err != nil {
		panic("score: " + err.Error()) // 1 <= sparsest <= own
	}
	return econ.Location(g.demand[cell], g.reference), coverage
}
