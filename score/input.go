package score

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Input is what an epoch adds, all of it agreed: verified results, paid receipts
// and what a majority signed. Order does not matter.
type Input struct {
	Epoch    uint64
	Nodes    []Node // that were eligible in the epoch
	Results  []Result
	Uptimes  []Uptime
	Demands  []Demand
	Supplies []Supply
	Sessions []Sessions
	// Registries is how many could have signed Uptimes.
	Registries uint32
}

// Bounds of an Input.
const (
	MaxNodes = 200_000
	MaxItems = 1 << 24 // of any other list
)

// Node is what the agreed list of an epoch says of a Media Node.
type Node struct {
	ID drtc.NodeID
	// Delegated: a Media Node Key is delegated to it, so that it counts in ranks
	// and densities (spec K18).
	Delegated bool
	Place     Place // declared
	HasPlace  bool
	Probes    []Probe
}

// Probe is the least round trip that one Registry measured to a node.
type Probe struct {
	Registry  drtc.NodeID
	Place     Place  // of the Registry
	RoundTrip uint32 // microseconds, above 0
}

// Result is one test that was verified and not void.
type Result struct {
	Test       [32]byte
	Slot       uint32 // of the epoch; orders results
	Prover     drtc.NodeID
	Challenger drtc.NodeID
	Further    bool // ordered because of an alarm or of quarantine
	Quality    econ.Wad
}

// Uptime is one Registry's signed account of a node's epoch, in seconds.
type Uptime struct {
	Registry, Node drtc.NodeID
	Up, Life       uint32
}

// Demand is the paid bytes that a node sent to clients in one cell.
type Demand struct {
	Node  drtc.NodeID
	Cell  Cell
	Bytes uint64
	// RoundTrip to these clients, the median in microseconds; 0 is not known and
	// does not count.
	RoundTrip uint32
}

// Supply is the paid bytes of one application at a node.
type Supply struct {
	Application [20]byte
	Node        drtc.NodeID
	Bytes       uint64
}

// Sessions is what one Orchestrator reports of the clients that it had on a node:
// their number, the bytes that it signed receipts for, and their median V.
type Sessions struct {
	Orchestrator, Node drtc.NodeID
	Count              uint32
	Bytes              uint64
	Quality            econ.Wad
}

// Source is one input of a report and the hash of its content.
type Source struct {
	Name string
	Hash [32]byte
}

// sorted returns a copy of in, every list in the order that it is hashed in, or
// an error that names what is out of range.
func (in Input) sorted(r Rules) (Input, error) {
	if err := in.bounds(); err != nil {
		return in, err
	}
	in.Nodes = ordered(in.Nodes, func(a, b Node) int { return compareIDs(a.ID, b.ID) })
	in.Results = ordered(in.Results, func(a, b Result) int {
		return cmp.Or(compareIDs(a.Prover, b.Prover), cmp.Compare(a.Slot, b.Slot), bytes.Compare(a.Test[:], b.Test[:]))
	})
	in.Uptimes = ordered(in.Uptimes, func(a, b Uptime) int { return cmp.Or(compareIDs(a.Node, b.Node), compareIDs(a.Registry, b.Registry)) })
	in.Demands = ordered(in.Demands, func(a, b Demand) int { return cmp.Or(compareIDs(a.Node, b.Node), cmp.Compare(a.Cell, b.Cell)) })
	in.Supplies = ordered(in.Supplies, func(a, b Supply) int {
		return cmp.Or(compareIDs(a.Node, b.Node), bytes.Compare(a.Application[:], b.Application[:]))
	})
	in.Sessions = ordered(in.Sessions, func(a, b Sessions) int {
		return cmp.Or(compareIDs(a.Node, b.Node), compareIDs(a.Orchestrator, b.Orchestrator))
	})
	for i, n := range in.Nodes {
		in.Nodes[i].Probes = ordered(n.Probes, func(a, b Probe) int { return compareIDs(a.Registry, b.Registry) })
	}
	return in, in.validate(r)
}

func (in Input) bounds() error {
	if len(in.Nodes) > MaxNodes {
		return fmt.Errorf("%w: %d nodes, want at most %d", ErrInvalid, len(in.Nodes), MaxNodes)
	}
	for _, l := range []struct {
		name string
		n    int
	}{{"results", len(in.Results)}, {"uptimes", len(in.Uptimes)}, {"demands", len(in.Demands)}, {"supplies", len(in.Supplies)}, {"sessions", len(in.Sessions)}} {
		if l.n > MaxItems {
			return fmt.Errorf("%w: %d %s, want at most %d", ErrInvalid, l.n, l.name, MaxItems)
		}
	}
	return nil
}

// validate refuses what no honest evidence contains (spec K2).
func (in Input) validate(r Rules) error {
	for i, n := range in.Nodes {
		switch {
		case n.ID.IsZero():
			return fmt.Errorf("%w: a node without id", ErrInvalid)
		case i > 0 && in.Nodes[i-1].ID == n.ID:
			return fmt.Errorf("%w: node %s is listed twice", ErrInvalid, n.ID)
		case n.HasPlace && !n.Place.Valid():
			return fmt.Errorf("%w: node %s: place %v, want micro-degrees within 90 and 180 degrees", ErrInvalid, n.ID, n.Place)
		}
		for k, p := range n.Probes {
			switch {
			case k > 0 && n.Probes[k-1].Registry == p.Registry:
				return fmt.Errorf("%w: node %s: Registry %s probed it twice", ErrInvalid, n.ID, p.Registry)
			case !p.Place.Valid():
				return fmt.Errorf("%w: node %s: Registry %s has place %v", ErrInvalid, n.ID, p.Registry, p.Place)
			case p.RoundTrip == 0:
				return fmt.Errorf("%w: node %s: Registry %s measured no round trip: leave the probe out", ErrInvalid, n.ID, p.Registry)
			}
		}
	}
	if err := in.validateResults(r); err != nil {
		return err
	}
	if err := in.known(); err != nil {
		return err
	}
	for i, u := range in.Uptimes {
		switch {
		case u.Up > u.Life:
			return fmt.Errorf("%w: Registry %s has node %s up for %d s of %d", ErrInvalid, u.Registry, u.Node, u.Up, u.Life)
		case i > 0 && in.Uptimes[i-1].Node == u.Node && in.Uptimes[i-1].Registry == u.Registry:
			return fmt.Errorf("%w: Registry %s gives node %s two uptimes", ErrInvalid, u.Registry, u.Node)
		}
	}
	return in.validatePaid()
}

// known refuses an item about a node that is not listed.
func (in Input) known() error {
	check := func(list string, id drtc.NodeID) error {
		if !in.lists(id) {
			return fmt.Errorf("%w: %s name node %s, which is not among the nodes", ErrInvalid, list, id)
		}
		return nil
	}
	var err error
	for _, t := range in.Results {
		err = cmp.Or(err, check("results", t.Prover))
	}
	for _, u := range in.Uptimes {
		err = cmp.Or(err, check("uptimes", u.Node))
	}
	for _, d := range in.Demands {
		err = cmp.Or(err, check("demands", d.Node))
	}
	for _, s := range in.Supplies {
		err = cmp.Or(err, check("supplies", s.Node))
	}
	for _, s := range in.Sessions {
		err = cmp.Or(err, check("sessions", s.Node))
	}
	return err
}

func (in Input) validateResults(r Rules) error {
	tests := make(map[[32]byte]struct{}, len(in.Results))
	run := 0
	for i, t := range in.Results {
		if run++; i > 0 && in.Results[i-1].Prover != t.Prover {
			run = 1
		}
		switch {
		case t.Prover == t.Challenger:
			return fmt.Errorf("%w: test %x: node %s is prover and challenger", ErrInvalid, t.Test[:4], t.Prover)
		case t.Quality > econ.One:
			return fmt.Errorf("%w: test %x: quality is %d, want 0 to %d", ErrInvalid, t.Test[:4], t.Quality, uint64(econ.One))
		case run > int(r.PerEpoch):
			return fmt.Errorf("%w: node %s has more than %d results", ErrInvalid, t.Prover, r.PerEpoch)
		}
		if _, twice := tests[t.Test]; twice {
			return fmt.Errorf("%w: test %x has two results", ErrInvalid, t.Test[:4])
		}
		tests[t.Test] = struct{}{}
	}
	return nil
}

func (in Input) validatePaid() error {
	for i, d := range in.Demands {
		switch {
		case !d.Cell.Valid():
			return fmt.Errorf("%w: node %s: demand of cell %s, want an S2 cell of level %d", ErrInvalid, d.Node, d.Cell, Level)
		case i > 0 && in.Demands[i-1].Node == d.Node && in.Demands[i-1].Cell == d.Cell:
			return fmt.Errorf("%w: node %s: demand of cell %s is listed twice", ErrInvalid, d.Node, d.Cell)
		}
	}
	for i, s := range in.Supplies {
		if i > 0 && in.Supplies[i-1].Node == s.Node && in.Supplies[i-1].Application == s.Application {
			return fmt.Errorf("%w: node %s: application %x is listed twice", ErrInvalid, s.Node, s.Application)
		}
	}
	for i, s := range in.Sessions {
		switch {
		case s.Quality > econ.One:
			return fmt.Errorf("%w: Orchestrator %s: quality of node %s is %d, want 0 to %d", ErrInvalid, s.Orchestrator, s.Node, s.Quality, uint64(econ.One))
		case i > 0 && in.Sessions[i-1].Node == s.Node && in.Sessions[i-1].Orchestrator == s.Orchestrator:
			return fmt.Errorf("%w: Orchestrator %s reports node %s twice", ErrInvalid, s.Orchestrator, s.Node)
		}
	}
	return nil
}

// sources hashes each list of a sorted Input (spec K3).
func (in Input) sources() []Source {
	return []Source{
		{"nodes", digest("nodes", in.Nodes, appendNode, in.Registries)},
		{"results", digest("results", in.Results, appendResult, 0)},
		{"uptimes", digest("uptimes", in.Uptimes, appendUptime, in.Registries)},
		{"demands", digest("demands", in.Demands, appendDemand, 0)},
		{"supplies", digest("supplies", in.Supplies, appendSupply, 0)},
		{"sessions", digest("sessions", in.Sessions, appendSessions, 0)},
	}
}

// digest is the hash of a list under its name.
func digest[T any](name string, list []T, encode func([]byte, T) []byte, extra uint32) [32]byte {
	b := append([]byte("drtc/score/"), name...)
	b = append(b, "/1\n"...)
	b = binary.BigEndian.AppendUint32(b, extra)
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, v := range list {
		b = encode(b, v)
	}
	return identity.Keccak256(b)
}

func appendNode(b []byte, n Node) []byte {
	b = append(append(b, n.ID[:]...), bit(n.Delegated), bit(n.HasPlace))
	if n.HasPlace {
		b = appendPlace(b, n.Place)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.Probes)))
	for _, p := range n.Probes {
		b = appendPlace(append(b, p.Registry[:]...), p.Place)
		b = binary.BigEndian.AppendUint32(b, p.RoundTrip)
	}
	return b
}

func appendPlace(b []byte, p Place) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Lat))
	return binary.BigEndian.AppendUint32(b, uint32(p.Lon))
}

func appendResult(b []byte, r Result) []byte {
	b = append(b, r.Test[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Slot)
	b = append(append(append(b, r.Prover[:]...), r.Challenger[:]...), bit(r.Further))
	return binary.BigEndian.AppendUint64(b, uint64(r.Quality))
}

func appendUptime(b []byte, u Uptime) []byte {
	b = append(append(b, u.Registry[:]...), u.Node[:]...)
	b = binary.BigEndian.AppendUint32(b, u.Up)
	return binary.BigEndian.AppendUint32(b, u.Life)
}

func appendDemand(b []byte, d Demand) []byte {
	b = append(b, d.Node[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.Cell))
	b = binary.BigEndian.AppendUint64(b, d.Bytes)
	return binary.BigEndian.AppendUint32(b, d.RoundTrip)
}

func appendSupply(b []byte, s Supply) []byte {
	b = append(append(b, s.Application[:]...), s.Node[:]...)
	return binary.BigEndian.AppendUint64(b, s.Bytes)
}

func appendSessions(b []byte, s Sessions) []byte {
	b = append(append(b, s.Orchestrator[:]...), s.Node[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Count)
	b = binary.BigEndian.AppendUint64(b, s.Bytes)
	return binary.BigEndian.AppendUint64(b, uint64(s.Quality))
}

func ordered[T any](list []T, compare func(a, b T) int) []T {
	list = slices.Clone(list)
	slices.SortFunc(list, compare)
	return list
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
