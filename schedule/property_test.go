package schedule_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/schedule"
)

// The five properties that whitepaper 4.2.4 lists for the selection of challenger
// and prover nodes, each under its name, each over many seeds.

// Randomness: which two nodes meet in a slot follows from the round alone. Over
// many rounds each of the others challenges a node equally often (chi-square), and
// one bit of the round changes the plan.
func TestProperty_Randomness(t *testing.T) {
	const n, seeds = 20, 3000
	agreed := schedule.Agreed{Nodes: strangers(n)}
	rules := schedule.DefaultRules(genesis)
	rules.Slots, rules.Slot = 8, rules.Slot*6
	var meets [n][n]int
	changed := 0
	for seed := range uint64(seeds) {
		course, err := schedule.Begin(rules, agreed)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := schedule.Begin(rules, agreed)
		round := source(seed).Round(1)
		tests, err := course.Next(round)
		if err != nil {
			t.Fatal(err)
		}
		round.Randomness[seed%32] ^= 1 << (seed / 32 % 8)
		if others, _ := again.Next(round); !samePairs(tests, others) {
			changed++
		}
		for _, test := range tests {
			if test.Kind == schedule.Quality {
				meets[place(agreed, test.Prover)][place(agreed, test.Challengers[0])]++
			}
		}
	}
	total, chi := 0, 0.0
	for i := range meets {
		for j := range meets[i] {
			total += meets[i][j]
		}
	}
	mean := float64(total) / (n * (n - 1))
	for i := range meets {
		for j := range meets[i] {
			if i != j {
				chi += (float64(meets[i][j]) - mean) * (float64(meets[i][j]) - mean) / mean
			}
		}
	}
	// 379 degrees of freedom: mean 379, deviation 27.5; 5 deviations.
	if limit := 379 + 5*math.Sqrt(2*379); chi > limit || mean < 10 {
		t.Errorf("chi-square of who meets whom is %.0f, want at most %.0f (%.0f meetings a pair)", chi, limit, mean)
	}
	if changed < seeds*99/100 {
		t.Errorf("one bit of the round changed %d of %d plans", changed, seeds)
	}
}

func samePairs(a, b []schedule.Test) bool {
	return slices.EqualFunc(a, b, func(x, y schedule.Test) bool {
		return x.Prover == y.Prover && slices.Equal(x.Challengers, y.Challengers)
	})
}

// Bias for Untested Nodes: a node that was not tested for an epoch, one with few
// results and one that is flagged are drawn first as often as their weights say.
func TestProperty_BiasForUntestedNodes(t *testing.T) {
	const n, seeds = 40, 20_000
	rules := schedule.DefaultRules(genesis)
	rules.CapacityEpochs = 0
	agreed := schedule.Agreed{Nodes: strangers(n)}
	weight := make([]float64, n)
	for i := range agreed.Nodes {
		node := &agreed.Nodes[i]
		node.ProvedAgo, node.Results = 1, 100
		weight[i] = 1 + 2.0/48
		switch i % 4 {
		case 1:
			node.ProvedAgo, weight[i] = schedule.Never, 3
		case 2:
			node.Results, weight[i] = 7, weight[i]+2
		case 3:
			node.Flagged, weight[i] = true, weight[i]+3
		}
	}
	sum := 0.0
	for _, w := range weight {
		sum += w
	}
	var drawn [4]float64
	tests := 0.0
	for seed := range uint64(seeds) {
		course, err := schedule.Begin(rules, agreed)
		if err != nil {
			t.Fatal(err)
		}
		planned, err := course.Next(source(seed).Round(1))
		if err != nil {
			t.Fatal(err)
		}
		drawn[place(agreed, planned[0].Prover)%4]++ // the first: drawn from all
		tests++
	}
	for kind, name := range []string{"ordinary", "not tested for an epoch", "few results", "flagged"} {
		p := 10 * weight[kind] / sum
		if got, want := drawn[kind], tests*p; math.Abs(got-want) > 5*math.Sqrt(want*(1-p)) {
			t.Errorf("%s: drawn %.0f times of %.0f, want %.0f", name, got, tests, want)
		}
	}
}

// Repeat Testing: whoever was just tested may be tested in the very next slot, and
// at any time nearly every node may come up, whatever it had before.
func TestProperty_RepeatTesting(t *testing.T) {
	rules := schedule.DefaultRules(genesis)
	rules.CapacityEpochs = 0
	agreed := schedule.Agreed{Nodes: strangers(100)}
	atOnce, again, slots := 0, map[int]int{}, map[uint32]bool{}
	var exempt, all int
	for seed := range uint64(60) {
		tests := epoch(t, rules, agreed, source(seed))
		busy := make([]map[drtc.NodeID]bool, rules.Slots+1)
		for i := range busy {
			busy[i] = map[drtc.NodeID]bool{}
		}
		counts, last := map[drtc.NodeID][2]int{}, uint32(0)
		for _, test := range tests {
			slots[test.Slot] = true
			if test.Slot != last {
				last = test.Slot
				for _, c := range counts {
					if all++; c[0] > 4 && c[1] > 4 {
						exempt++
					}
				}
			}
			for role, id := range test.Nodes() {
				busy[test.Slot+1][id] = true
				if busy[test.Slot][id] {
					atOnce++
				}
				c := counts[id]
				c[role]++
				counts[id] = c
				again[c[role]]++
			}
		}
	}
	if atOnce == 0 {
		t.Error("no node was in tests of two slots in a row")
	}
	if again[5] == 0 {
		t.Error("no node was drawn again after its share of tests: it would know that it is left alone")
	}
	if len(slots) != int(rules.Slots) {
		t.Errorf("tests began in %d slots of %d", len(slots), rules.Slots)
	}
	if share := float64(exempt) / float64(all); share > 0.02 {
		t.Errorf("in %.1f %% of slots a node cannot come up any more, want at most 2 %%", 100*share)
	}
	t.Logf("exempt for the rest of an epoch: %.2f %% of nodes and slots; beyond their share: %d of %d tests", 100*float64(exempt)/float64(all), again[5], again[1]+again[2]+again[3]+again[4]+again[5])
}

// Adaptability: any size from 2 nodes to many, nodes that come and go between
// epochs, flags that come up, an epoch too short for k: every node is tested.
func TestProperty_Adaptability(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 5))
		for _, rules := range []schedule.Rules{schedule.DefaultRules(genesis), schedule.DevelopmentRules(genesis)} {
			agreed := schedule.Agreed{Registries: registries(4)}
			for range 8 {
				n := []int{2, 3, 5, 20, 21, 150}[r.IntN(6)]
				agreed.Nodes = resize(agreed.Nodes, n)
				for i := range agreed.Nodes {
					agreed.Nodes[i].Flagged, agreed.Nodes[i].Extra = false, 0
					if r.IntN(20) == 0 {
						agreed.Nodes[i].Flagged, agreed.Nodes[i].Extra = true, 2
					}
				}
				tests := epoch(t, rules, agreed, source(seed))
				checkSlots(t, agreed, tests)
				k, counts := int(rules.Target(n)), perRole(tests)
				if k < 1 || k > 4 {
					t.Fatalf("%d nodes: k is %d", n, k)
				}
				sum := 0
				for _, node := range agreed.Nodes {
					for role, got := range counts[node.ID] {
						if sum += got; got < k-1 || got > k+1 {
							t.Errorf("seed %d, %d nodes, %d slots: %d tests in role %d, want %d give or take 1", seed, n, rules.Slots, got, role, k)
						}
					}
				}
				if want := 2 * k * n; sum < want*7/10-n || sum > want*13/10+n {
					t.Errorf("seed %d, %d nodes, %d slots: %d roles in tests, want about %d", seed, n, rules.Slots, sum, want)
				}
				var err error
				if agreed, err = rules.Carry(agreed, tests); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// resize keeps the nodes that stay and adds new ones.
func resize(nodes []schedule.Node, n int) []schedule.Node {
	fresh := strangers(n)
	for i, f := range fresh {
		if at := slices.IndexFunc(nodes, func(o schedule.Node) bool { return o.ID == f.ID }); at >= 0 {
			fresh[i] = nodes[at]
		} else {
			fresh[i].Results = 0
		}
	}
	return fresh
}

// Role Rotation: every node has both roles in every epoch, as often, and after one
// role the other is the likelier next.
func TestProperty_RoleRotation(t *testing.T) {
	rules := schedule.DefaultRules(genesis)
	agreed := schedule.Agreed{Nodes: strangers(60)}
	turned, stayed := 0, 0
	for seed := range uint64(40) {
		last := map[drtc.NodeID]int{}
		tests := epoch(t, rules, agreed, source(seed))
		for id, c := range perRole(tests) {
			if c[0] < 3 || c[1] < 3 || c[0] > 5 || c[1] > 5 {
				t.Errorf("seed %d: node %s was prover %d times and challenger %d times", seed, id.Short(), c[0], c[1])
			}
		}
		for _, test := range tests {
			if test.Kind != schedule.Quality {
				continue
			}
			for role, id := range test.Nodes() {
				if before, ok := last[id]; ok {
					if before == role {
						stayed++
					} else {
						turned++
					}
				}
				last[id] = role
			}
		}
	}
	// By chance alone half of them turn: 5 deviations above it.
	if n := float64(turned + stayed); float64(turned) < n/2+5*math.Sqrt(n)/2 {
		t.Errorf("the next test was in the other role %d times, in the same one %d times", turned, stayed)
	}
	t.Logf("the next test is in the other role in %.1f %%", 100*float64(turned)/float64(turned+stayed))
}
