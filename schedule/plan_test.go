package schedule_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/beacon"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/schedule"
)

// Any size, any mix of owners, any parameters: no clash, nothing forbidden, k give
// or take one in each role.
func TestPlan_holdsInAnyNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 60).Draw(t, "nodes")
		seed := rapid.Uint64().Draw(t, "seed")
		rules := schedule.DefaultRules(genesis)
		rules.PerRole = rapid.Uint32Range(1, 4).Draw(t, "k")
		rules.Slots = 8*rules.PerRole + rapid.Uint32Range(0, 30).Draw(t, "slots beyond 8k")
		rules.CapacityEpochs = rapid.Uint32Range(0, 3).Draw(t, "capacity epochs")
		r := rand.New(rand.NewPCG(seed, 1))
		agreed := schedule.Agreed{Nodes: strangers(n), Registries: registries(4)}
		for i := range agreed.Nodes {
			node := &agreed.Nodes[i]
			if r.IntN(3) > 0 {
				node.AS = uint32(r.IntN(3))
			}
			if r.IntN(10) == 0 {
				node.Flagged, node.Extra = true, uint8(r.IntN(9))
			}
			if n >= 10 && r.IntN(4) == 0 {
				node.Owner = nodeID(2_000_000 + r.IntN(5))
			}
		}
		noneOwnsMoreThanAQuarter(agreed.Nodes)
		for range 3 {
			tests := epoch(t, rules, agreed, source(seed))
			checkSlots(t, agreed, tests)
			k, counts := int(rules.Target(n)), perRole(tests)
			for _, node := range agreed.Nodes {
				for role, got := range counts[node.ID] {
					if got < k-1 || got > k+1 {
						t.Fatalf("epoch %d: node %s has %d tests in role %d, want %d give or take 1", agreed.Epoch, node.ID.Short(), got, role, k)
					}
				}
			}
			var err error
			if agreed, err = rules.Carry(agreed, tests); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// noneOwnsMoreThanAQuarter: the others could not make all the tests of more (T17).
func noneOwnsMoreThanAQuarter(nodes []schedule.Node) {
	of := map[drtc.NodeID]int{}
	for i := range nodes {
		owner := &nodes[i].Owner
		if of[*owner]++; of[*owner] > max(1, len(nodes)/4) {
			*owner = nodeID(5_000_000 + i)
		}
	}
}

// Registries have equal data in any order, with pairs of nodes that are gone and
// addresses in another form.
func TestPlan_isTheSameForAllRegistries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, seed := rapid.IntRange(2, 80).Draw(t, "nodes"), rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 2))
		rules := schedule.DefaultRules(genesis)
		a := schedule.Agreed{Epoch: 9, Nodes: town(n, r), Registries: registries(7)}
		for range 3 * n {
			a.Pairs = append(a.Pairs, schedule.Pair{A: nodeID(r.IntN(n)), B: nodeID(r.IntN(n)), Epoch: uint64(r.IntN(9))})
		}
		b := schedule.Agreed{Epoch: 9, Nodes: slices.Clone(a.Nodes), Pairs: slices.Clone(a.Pairs), Registries: append(slices.Clone(a.Registries), a.Registries[3])}
		r.Shuffle(n, func(i, j int) { b.Nodes[i], b.Nodes[j] = b.Nodes[j], b.Nodes[i] })
		r.Shuffle(len(b.Pairs), func(i, j int) { b.Pairs[i], b.Pairs[j] = b.Pairs[j], b.Pairs[i] })
		r.Shuffle(8, func(i, j int) { b.Registries[i], b.Registries[j] = b.Registries[j], b.Registries[i] })
		b.Pairs = append(b.Pairs, b.Pairs[0], schedule.Pair{A: b.Pairs[0].B, B: b.Pairs[0].A, Epoch: b.Pairs[0].Epoch}, schedule.Pair{A: nodeID(n + 5), B: nodeID(0), Epoch: 8})
		first, second := epoch(t, rules, a, source(seed)), epoch(t, rules, b, source(seed))
		if !slices.EqualFunc(first, second, schedule.Test.Equal) {
			t.Fatalf("two plans from equal data: %d and %d tests", len(first), len(second))
		}
		// Plan, from the epoch's beginning, says the same of each slot.
		slot := rapid.Uint32Range(0, rules.Slots-1).Draw(t, "slot")
		in := schedule.Input{Rules: rules, Agreed: b}
		for s := range slot + 1 {
			in.Rounds = append(in.Rounds, source(seed).Round(rules.Round(source(seed).Clock, 9, s)))
		}
		got, err := schedule.Plan(in)
		want := slices.DeleteFunc(first, func(test schedule.Test) bool { return test.Slot != slot })
		if err != nil || !slices.EqualFunc(got, want, schedule.Test.Equal) {
			t.Fatalf("slot %d: Plan gives %d tests and %v, the course gave %d", slot, len(got), err, len(want))
		}
	})
}

// In small networks the number of pairs that break nothing is as great as it can
// be for the provers and challengers of the slot: held against all pairings.
func TestPlan_givesUpConstraintsOnlyWhenItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, seed := rapid.IntRange(4, 12).Draw(t, "nodes"), rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 3))
		rules := schedule.DefaultRules(genesis)
		rules.Slots, rules.PerRole, rules.CapacityEpochs = 8, 4, 0 // every node busy nearly always
		agreed := schedule.Agreed{Epoch: 5, Nodes: strangers(n)}
		for i := range agreed.Nodes {
			agreed.Nodes[i].AS = uint32(r.IntN(4))
		}
		for range n * n / 4 {
			agreed.Pairs = append(agreed.Pairs, schedule.Pair{A: nodeID(r.IntN(n)), B: nodeID(r.IntN(n)), Epoch: 4})
		}
		tests, err := schedule.Plan(schedule.Input{Rules: rules, Agreed: agreed, Rounds: []beacon.Round{source(seed).Round(1)}})
		if err != nil {
			t.Fatal(err)
		}
		least := func(p, c drtc.NodeID) schedule.Rank {
			a, b := agreed.Nodes[place(agreed, p)], agreed.Nodes[place(agreed, c)]
			if a.AS == b.AS && a.AS != 0 {
				return schedule.System
			}
			if slices.ContainsFunc(agreed.Pairs, func(q schedule.Pair) bool { return q.A == p && q.B == c || q.A == c && q.B == p }) {
				return schedule.Repeat
			}
			return schedule.None
		}
		got, provers, challengers := 0, []drtc.NodeID{}, []drtc.NodeID{}
		for _, test := range tests {
			if test.Broken != least(test.Prover, test.Challengers[0]) {
				t.Fatalf("a test says that it breaks %s, want %s", test.Broken, least(test.Prover, test.Challengers[0]))
			}
			if test.Broken == schedule.None {
				got++
			}
			provers, challengers = append(provers, test.Prover), append(challengers, test.Challengers[0])
		}
		if want := best(provers, challengers, func(p, c drtc.NodeID) bool { return least(p, c) == schedule.None }); got != want {
			t.Fatalf("%d of %d pairs break nothing, and %d could", got, len(tests), want)
		}
	})
}

func place(a schedule.Agreed, id drtc.NodeID) int {
	return slices.IndexFunc(a.Nodes, func(n schedule.Node) bool { return n.ID == id })
}

// best tries every pairing.
func best(provers, challengers []drtc.NodeID, good func(p, c drtc.NodeID) bool) int {
	if len(provers) == 0 {
		return 0
	}
	most := 0
	for i, c := range challengers {
		rest := slices.Delete(slices.Clone(challengers), i, i+1)
		n := best(provers[1:], rest, good)
		if good(provers[0], c) {
			n++
		}
		most = max(most, n)
	}
	return most
}

// One owner has all nodes but one: only that one is tested, and tests.
func TestPlan_hardConstraintsAreNeverGivenUp(t *testing.T) {
	for seed := range uint64(20) {
		for _, same := range []func(*schedule.Node){
			func(n *schedule.Node) { n.Owner = nodeID(7) },
			func(n *schedule.Node) { n.Pool = [20]byte{7} },
		} {
			agreed := schedule.Agreed{Nodes: strangers(9)}
			for i := range agreed.Nodes[1:] {
				same(&agreed.Nodes[i])
			}
			alone := agreed.Nodes[8].ID
			tests := epoch(t, schedule.DefaultRules(genesis), agreed, source(seed))
			checkSlots(t, agreed, tests)
			if len(tests) == 0 {
				t.Fatal("no test at all")
			}
			for _, test := range tests {
				if !test.Has(alone) {
					t.Fatalf("seed %d: %s and %s have one owner", seed, test.Prover, test.Challengers)
				}
			}
		}
	}
}

// Extra tests: all of them, by credible nodes.
func TestPlan_extraTests(t *testing.T) {
	for seed := range uint64(20) {
		agreed := schedule.Agreed{Nodes: strangers(100), Registries: registries(5)}
		for i := range agreed.Nodes {
			node := &agreed.Nodes[i]
			node.Credibility = econ.One / 2
			if i >= 30 {
				node.Credibility = econ.One * 9 / 10
			}
			if i < 5 || i == 99 {
				node.Flagged, node.Extra = true, 8
			}
		}
		rules := schedule.DefaultRules(genesis)
		tests := epoch(t, rules, agreed, source(seed))
		checkSlots(t, agreed, tests)
		extra := map[drtc.NodeID]int{}
		for _, test := range tests {
			if test.Kind != schedule.Extra {
				continue
			}
			extra[test.Prover]++
			judge := agreed.Nodes[place(agreed, test.Challengers[0])]
			if judge.Credibility < rules.Credible || judge.Flagged {
				t.Errorf("seed %d: an extra test by a node of credibility %v, flagged %v", seed, judge.Credibility.Float(), judge.Flagged)
			}
		}
		for _, node := range agreed.Nodes {
			if got := extra[node.ID]; got != int(node.Extra) {
				t.Errorf("seed %d: node %s has %d extra tests, want %d", seed, node.ID.Short(), got, node.Extra)
			}
		}
	}
	// Nobody is credible: somebody has to.
	agreed := schedule.Agreed{Nodes: strangers(4)}
	for i := range agreed.Nodes {
		agreed.Nodes[i].Credibility = 0
	}
	agreed.Nodes[0].Flagged, agreed.Nodes[0].Extra = true, 8
	n := 0
	for _, test := range epoch(t, schedule.DefaultRules(genesis), agreed, source(1)) {
		if test.Kind == schedule.Extra {
			n++
		}
	}
	if n != 8 {
		t.Errorf("%d extra tests where nobody is credible, want 8", n)
	}
}

// Capacity tests: every node once, up to the declared rate, by several challengers
// of different owners, none trusted with more than it has shown.
func TestPlan_capacityTests(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 4))
		rules := schedule.DefaultRules(genesis)
		agreed := schedule.Agreed{Nodes: town(120, r), Registries: registries(5)}
		for i := range agreed.Nodes {
			if i%3 == 0 {
				agreed.Nodes[i].ProvenMbps = agreed.Nodes[i].DeclaredMbps
			}
			if i%4 == 0 {
				agreed.Nodes[i].MeasuredAgo = 3
			}
		}
		measured := map[drtc.NodeID]int{}
		tests := epoch(t, rules, agreed, source(seed))
		for _, test := range tests {
			if test.Kind == schedule.Capacity {
				measured[test.Prover]++
				checkCapacity(t, rules, agreed, test)
			}
		}
		missing := 0
		for i, node := range agreed.Nodes {
			if n := measured[node.ID]; n > 1 || i%4 == 0 && n > 0 {
				t.Errorf("seed %d: node %d has %d capacity tests", seed, i, n)
			} else if i%4 != 0 && n == 0 {
				missing++
			}
		}
		if missing > 2 {
			t.Errorf("seed %d: %d of 90 nodes have no capacity test", seed, missing)
		}
	}
}

func checkCapacity(t *testing.T, rules schedule.Rules, agreed schedule.Agreed, test schedule.Test) {
	t.Helper()
	prover := agreed.Nodes[place(agreed, test.Prover)]
	if n := len(test.Challengers); n < 2 || n > int(rules.MaxChallengers) || len(test.Shares) != n {
		t.Fatalf("a capacity test with %d challengers and %d shares", n, len(test.Shares))
	}
	sum, owners := uint32(0), map[drtc.NodeID]bool{prover.Owner: true}
	for i, id := range test.Challengers {
		c := agreed.Nodes[place(agreed, id)]
		if owners[c.Owner] {
			t.Errorf("two nodes of owner %s in one capacity test", c.Owner.Short())
		}
		owners[c.Owner] = true
		trusted := max(c.ProvenMbps, min(c.DeclaredMbps, rules.TrustedMbps))
		if test.Shares[i] > 1000*trusted || test.Shares[i] > 1000*prover.DeclaredMbps/2+1 || test.Shares[i] == 0 {
			t.Errorf("a share of %d kbit/s of %d Mbit/s for a challenger of %d", test.Shares[i], prover.DeclaredMbps, trusted)
		}
		sum += test.Shares[i]
	}
	if sum != test.RateKbps || sum > 1000*prover.DeclaredMbps {
		t.Errorf("shares of %d kbit/s in a test of %d of a node that declares %d Mbit/s", sum, test.RateKbps, prover.DeclaredMbps)
	}
	if len(test.Challengers) < int(rules.MaxChallengers) && sum < 1000*prover.DeclaredMbps && len(agreed.Nodes) == 120 && prover.DeclaredMbps <= 100 {
		t.Errorf("a test of %d kbit/s for a node that declares %d Mbit/s, with %d challengers", sum, prover.DeclaredMbps, len(test.Challengers))
	}
}

// A void round plans nothing, and what it left out comes later in the epoch.
func TestNext_voidRoundIsASlotWithoutTests(t *testing.T) {
	rules := schedule.DefaultRules(genesis)
	agreed := schedule.Agreed{Nodes: strangers(50)}
	for seed := range uint64(10) {
		course, err := schedule.Begin(rules, agreed)
		if err != nil {
			t.Fatal(err)
		}
		var all []schedule.Test
		for course.Slot() < rules.Slots {
			round := source(seed).Round(uint64(course.Slot()) + 1)
			void := course.Slot()%5 == 2
			if void {
				round = beacon.Round{Number: round.Number, Void: true}
			}
			tests, err := course.Next(round)
			if err != nil || void && len(tests) > 0 {
				t.Fatalf("void %v: %d tests, %v", void, len(tests), err)
			}
			all = append(all, tests...)
		}
		for id, counts := range perRole(all) {
			for role, n := range counts {
				if n < 3 || n > 5 {
					t.Errorf("seed %d: node %s has %d tests in role %d, want 4 give or take 1", seed, id.Short(), n, role)
				}
			}
		}
		if _, err := course.Next(source(seed).Round(99)); !errors.Is(err, schedule.ErrSlot) {
			t.Errorf("after the epoch: got %v, want ErrSlot", err)
		}
	}
}

// The plan of two epochs of a fixed world. A change of these hashes is a change of the rules:
// Registries of two versions would plan two epochs.
func TestPlan_doesNotChange(t *testing.T) {
	for n, want := range map[int]string{
		2: "e5b24b96ad1d7f8c", 5: "4e906bfe7dc02d9e", 40: "745b0c8cdf8f470a", 200: "16df6d56dbf503df",
	} {
		r := rand.New(rand.NewPCG(1, 10))
		rules := schedule.DefaultRules(genesis)
		agreed := schedule.Agreed{Epoch: 4, Nodes: strangers(n), Registries: registries(9)}
		if n >= 40 {
			agreed.Nodes = town(n, r)
		}
		for range 10 * n {
			agreed.Pairs = append(agreed.Pairs, schedule.Pair{A: nodeID(r.IntN(n)), B: nodeID(r.IntN(n)), Epoch: uint64(r.IntN(4))})
		}
		agreed.Nodes[0].Flagged, agreed.Nodes[0].Extra = true, 2
		h := sha256.New()
		for range 2 {
			tests := epoch(t, rules, agreed, source(7))
			for _, test := range tests {
				fmt.Fprintln(h, test.Slot, test.Kind, test.Prover, test.Challengers, test.Shares, test.Broken, hex.EncodeToString(test.ID[:]), test.Witnesses)
			}
			var err error
			if agreed, err = rules.Carry(agreed, tests); err != nil {
				t.Fatal(err)
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("%d nodes: the plan's hash is %s, want %s", n, got, want)
		}
	}
}
