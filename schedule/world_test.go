package schedule_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/beacon"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/schedule"
)

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

var genesis = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func nodeID(n int) drtc.NodeID {
	var id drtc.NodeID
	binary.BigEndian.PutUint32(id[:], 0x9e3779b9*uint32(n+1)) // ids are no order
	binary.BigEndian.PutUint32(id[16:], uint32(n+1))
	return id
}

func registries(n int) (ids []drtc.NodeID) {
	for i := range n {
		ids = append(ids, nodeID(1_000_000+i))
	}
	return ids
}

// strangers are nodes that share nothing with one another.
func strangers(n int) []schedule.Node {
	nodes := make([]schedule.Node, n)
	for i := range nodes {
		nodes[i] = schedule.Node{
			ID: nodeID(i), Owner: nodeID(2_000_000 + i),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{11 + byte(i>>16), byte(i >> 8), byte(i), 1})},
			AS:        uint32(64512 + i), DeclaredMbps: 100, MeasuredAgo: schedule.Never,
			ProvedAgo: schedule.Never, ChallengedAgo: schedule.Never, Results: 100, Credibility: econ.One,
		}
	}
	return nodes
}

// town are nodes as a network may have them: owners with one node to a twelfth of
// them all, half of the nodes in ten systems, some in one network with others.
func town(n int, r *rand.Rand) []schedule.Node {
	nodes := strangers(n)
	for i := range nodes {
		node := &nodes[i]
		node.Owner = nodeID(2_000_000 + int(float64(n)*r.Float64()*r.Float64()))
		if r.IntN(4) == 0 {
			node.Pool = [20]byte(nodeID(3_000_000 + r.IntN(max(2, n/10))))
		}
		if r.IntN(2) == 0 {
			node.AS = uint32(1 + r.IntN(20))
		}
		if r.IntN(10) == 0 {
			node.Addresses = append(node.Addresses, nodes[r.IntN(n)].Addresses[0].Next())
		}
		node.DeclaredMbps = uint32(50 << r.IntN(6))
		node.Credibility = econ.One / 100 * econ.Wad(60+r.IntN(40))
	}
	return nodes
}

// source is a beacon of its own for every seed.
func source(seed uint64) beacon.Seeded {
	return beacon.Seeded{Clock: beacon.Clock{Genesis: genesis, Period: 3 * time.Second}, Seed: string(binary.BigEndian.AppendUint64(nil, seed))}
}

// epoch plans a whole epoch, every slot of it.
func epoch(t tester, rules schedule.Rules, agreed schedule.Agreed, from beacon.Seeded) (tests []schedule.Test) {
	t.Helper()
	course, err := schedule.Begin(rules, agreed)
	if err != nil {
		t.Fatal(err)
	}
	for course.Slot() < rules.Slots {
		tests = append(tests, next(t, course, rules, agreed, from)...)
	}
	return tests
}

func next(t tester, course *schedule.Course, rules schedule.Rules, agreed schedule.Agreed, from beacon.Seeded) []schedule.Test {
	t.Helper()
	tests, err := course.Next(from.Round(rules.Round(from.Clock, agreed.Epoch, course.Slot())))
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// perRole counts the quality tests of every node as prover and as challenger.
func perRole(tests []schedule.Test) map[drtc.NodeID][2]int {
	counts := map[drtc.NodeID][2]int{}
	for _, test := range tests {
		if test.Kind != schedule.Quality {
			continue
		}
		p, c := counts[test.Prover], counts[test.Challengers[0]]
		p[0]++
		c[1]++
		counts[test.Prover], counts[test.Challengers[0]] = p, c
	}
	return counts
}

// checkSlots fails if a node is in two tests of a slot, or with itself, its owner
// or its pool in one.
func checkSlots(t tester, agreed schedule.Agreed, tests []schedule.Test) {
	t.Helper()
	byID := map[drtc.NodeID]schedule.Node{}
	for _, n := range agreed.Nodes {
		byID[n.ID] = n
	}
	type place struct {
		slot uint32
		id   drtc.NodeID
	}
	busy := map[place]bool{}
	for _, test := range tests {
		for _, id := range test.Nodes() {
			if at := (place{test.Slot, id}); busy[at] {
				t.Fatalf("slot %d: node %s is in two tests", test.Slot, id.Short())
			} else {
				busy[at] = true
			}
		}
		p := byID[test.Prover]
		for _, id := range test.Challengers {
			c, known := byID[id]
			if !known || id == test.Prover || c.Owner == p.Owner && !c.Owner.IsZero() || c.Pool == p.Pool && c.Pool != [20]byte{} {
				t.Fatalf("slot %d: %s is challenged by %s: one owner or pool, or nobody", test.Slot, p.ID.Short(), id.Short())
			}
		}
	}
}
