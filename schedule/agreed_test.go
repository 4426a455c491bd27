package schedule_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/schedule"
)

// Everything that is agreed on is under the root, and so under every seed: who has
// other data plans other tests, all of them.
func TestBegin_rootCoversAllOfTheData(t *testing.T) {
	base := func() (schedule.Rules, schedule.Agreed) {
		return schedule.DefaultRules(genesis), schedule.Agreed{Epoch: 3, Nodes: strangers(6), Registries: registries(3), Pairs: []schedule.Pair{{A: nodeID(1), B: nodeID(2), Epoch: 1}}}
	}
	root := func(change func(*schedule.Rules, *schedule.Agreed)) [32]byte {
		rules, agreed := base()
		change(&rules, &agreed)
		c, err := schedule.Begin(rules, agreed)
		if err != nil {
			t.Fatal(err)
		}
		return c.Root()
	}
	same := root(func(*schedule.Rules, *schedule.Agreed) {})
	seen := map[[32]byte]string{same: "none"}
	node := func(change func(*schedule.Node)) func(*schedule.Rules, *schedule.Agreed) {
		return func(_ *schedule.Rules, a *schedule.Agreed) { change(&a.Nodes[2]) }
	}
	rule := func(change func(*schedule.Rules)) func(*schedule.Rules, *schedule.Agreed) {
		return func(r *schedule.Rules, _ *schedule.Agreed) { change(r) }
	}
	for name, change := range map[string]func(*schedule.Rules, *schedule.Agreed){
		"epoch":          func(_ *schedule.Rules, a *schedule.Agreed) { a.Epoch++ },
		"a node less":    func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes = a.Nodes[1:] },
		"a pair less":    func(_ *schedule.Rules, a *schedule.Agreed) { a.Pairs = nil },
		"another pair":   func(_ *schedule.Rules, a *schedule.Agreed) { a.Pairs[0].B = nodeID(3) },
		"pair's epoch":   func(_ *schedule.Rules, a *schedule.Agreed) { a.Pairs[0].Epoch++ },
		"registries":     func(_ *schedule.Rules, a *schedule.Agreed) { a.Registries = a.Registries[1:] },
		"id":             node(func(n *schedule.Node) { n.ID[5] ^= 1 }),
		"owner":          node(func(n *schedule.Node) { n.Owner[5] ^= 1 }),
		"pool":           node(func(n *schedule.Node) { n.Pool[5] ^= 1 }),
		"addresses":      node(func(n *schedule.Node) { n.Addresses = nil }),
		"as":             node(func(n *schedule.Node) { n.AS++ }),
		"declared":       node(func(n *schedule.Node) { n.DeclaredMbps++ }),
		"proven":         node(func(n *schedule.Node) { n.ProvenMbps++ }),
		"measured":       node(func(n *schedule.Node) { n.MeasuredAgo = 1 }),
		"results":        node(func(n *schedule.Node) { n.Results++ }),
		"proved":         node(func(n *schedule.Node) { n.ProvedAgo = 1 }),
		"challenged":     node(func(n *schedule.Node) { n.ChallengedAgo = 1 }),
		"owed prover":    node(func(n *schedule.Node) { n.OwedProver = 1 }),
		"owed chall.":    node(func(n *schedule.Node) { n.OwedChallenger = 1 }),
		"flagged":        node(func(n *schedule.Node) { n.Flagged = true }),
		"extra":          node(func(n *schedule.Node) { n.Extra = 1 }),
		"credibility":    node(func(n *schedule.Node) { n.Credibility-- }),
		"genesis":        rule(func(r *schedule.Rules) { r.Genesis = r.Genesis.Add(1e9) }),
		"slots":          rule(func(r *schedule.Rules) { r.Slots++ }),
		"set-up":         rule(func(r *schedule.Rules) { r.SetUp++ }),
		"length":         rule(func(r *schedule.Rules) { r.Length-- }),
		"slot":           rule(func(r *schedule.Rules) { r.Slot++ }),
		"capacityLength": rule(func(r *schedule.Rules) { r.CapacityLength++ }),
		"wait":           rule(func(r *schedule.Rules) { r.Wait-- }),
		"k":              rule(func(r *schedule.Rules) { r.PerRole++ }),
		"few":            rule(func(r *schedule.Rules) { r.FewResults++ }),
		"repeat":         rule(func(r *schedule.Rules) { r.RepeatEpochs++ }),
		"kbps":           rule(func(r *schedule.Rules) { r.QualityKbps++ }),
		"credible":       rule(func(r *schedule.Rules) { r.Credible++ }),
		"capacity":       rule(func(r *schedule.Rules) { r.CapacityEpochs++ }),
		"challengers":    rule(func(r *schedule.Rules) { r.MaxChallengers++ }),
		"trusted":        rule(func(r *schedule.Rules) { r.TrustedMbps++ }),
		"witnesses":      rule(func(r *schedule.Rules) { r.Witnesses-- }),
		"turn":           rule(func(r *schedule.Rules) { r.Turn-- }),
	} {
		got := root(change)
		if other, twice := seen[got]; twice {
			t.Errorf("%s: the root is that of %s", name, other)
		}
		seen[got] = name
	}
}

func TestCarry_owesWhatWasNotHeld(t *testing.T) {
	rules := schedule.DefaultRules(genesis)
	agreed := schedule.Agreed{Nodes: strangers(40), Registries: registries(3)}
	for seed := range uint64(10) {
		tests := epoch(t, rules, agreed, source(seed))
		counts := perRole(tests)
		victim := tests[0].Prover // all of its tests are void
		held := slices.DeleteFunc(slices.Clone(tests), func(test schedule.Test) bool { return test.Has(victim) })
		after, err := rules.Carry(agreed, held)
		if err != nil {
			t.Fatal(err)
		}
		n := after.Nodes[place(after, victim)]
		if n.OwedProver != 1 || n.OwedChallenger != 1 || n.Results != 100 || n.ProvedAgo != rules.Slots {
			t.Errorf("seed %d: a node whose tests were void is owed %d and %d, has %d results, %d slots ago", seed, n.OwedProver, n.OwedChallenger, n.Results, n.ProvedAgo)
		}
		all, err := rules.Carry(agreed, tests)
		if err != nil {
			t.Fatal(err)
		}
		if all.Epoch != 1 {
			t.Errorf("the next epoch is %d", all.Epoch)
		}
		for _, node := range all.Nodes {
			if want := 4 - counts[node.ID][0]; int(node.OwedProver) != want {
				t.Errorf("seed %d: owed %d tests as a prover, want %d", seed, node.OwedProver, want)
			}
			if node.ProvedAgo < 1 || node.ProvedAgo > rules.Slots {
				t.Errorf("seed %d: proved %d slots ago", seed, node.ProvedAgo)
			}
		}
		// Over two epochs the node that was owed has 9 or so.
		if k := perRole(epoch(t, rules, after, source(seed)))[victim]; k[0] < 4 || k[1] < 4 {
			t.Errorf("seed %d: who was owed a test in each role has %v in the next epoch", seed, k)
		}
	}
	for want, test := range map[string]schedule.Test{
		"epoch 1": {Epoch: 1, Prover: nodeID(0), Challengers: []drtc.NodeID{nodeID(1)}},
		"slot 48": {Slot: 48, Prover: nodeID(0), Challengers: []drtc.NodeID{nodeID(1)}},
		"not eligible": {
			Kind: schedule.Quality, Prover: nodeID(0), Challengers: []drtc.NodeID{nodeID(77)}},
	} {
		if _, err := rules.Carry(agreed, []schedule.Test{test}); !errors.Is(err, schedule.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid with %q", err, want)
		}
	}
}

func TestBegin_refusesByField(t *testing.T) {
	for want, change := range map[string]func(*schedule.Rules, *schedule.Agreed){
		"Rules.Slots":       func(r *schedule.Rules, _ *schedule.Agreed) { r.Slots = 1 },
		"Rules.Slot:":       func(r *schedule.Rules, _ *schedule.Agreed) { r.Slot = 0 },
		"Rules.Length":      func(r *schedule.Rules, _ *schedule.Agreed) { r.Wait = r.Slot },
		"CapacityLength":    func(r *schedule.Rules, _ *schedule.Agreed) { r.CapacityLength = r.Slot },
		"PerRole":           func(r *schedule.Rules, _ *schedule.Agreed) { r.PerRole = 0 },
		"QualityKbps":       func(r *schedule.Rules, _ *schedule.Agreed) { r.QualityKbps = 0 },
		"MaxChallengers":    func(r *schedule.Rules, _ *schedule.Agreed) { r.MaxChallengers = 0 },
		"TrustedMbps":       func(r *schedule.Rules, _ *schedule.Agreed) { r.TrustedMbps = 0 },
		"Credible":          func(r *schedule.Rules, _ *schedule.Agreed) { r.Credible = econ.One + 1 },
		"Witnesses":         func(r *schedule.Rules, _ *schedule.Agreed) { r.Witnesses = 0 },
		"Turn":              func(r *schedule.Rules, _ *schedule.Agreed) { r.Turn = r.Wait },
		"twice":             func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1] = a.Nodes[0] },
		"ID of node":        func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].ID = drtc.NodeID{} },
		"Addresses of node": func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].Addresses = make([]netip.Addr, 9) },
		"want IP addresses": func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].Addresses = make([]netip.Addr, 1) },
		"DeclaredMbps":      func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].DeclaredMbps = 1 << 31 },
		"MeasuredAgo":       func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].MeasuredAgo = 0 },
		"OwedProver":        func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].OwedChallenger = -2 },
		"Credibility":       func(_ *schedule.Rules, a *schedule.Agreed) { a.Nodes[1].Credibility = econ.One + 1 },
		"Pairs":             func(_ *schedule.Rules, a *schedule.Agreed) { a.Pairs = []schedule.Pair{{Epoch: 5}} },
	} {
		rules, agreed := schedule.DefaultRules(genesis), schedule.Agreed{Epoch: 5, Nodes: strangers(4)}
		change(&rules, &agreed)
		if _, err := schedule.Begin(rules, agreed); !errors.Is(err, schedule.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid with %q", err, want)
		}
	}
}
