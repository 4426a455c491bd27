package epoch

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

func TestAt(t *testing.T) {
	for _, c := range []struct{ unix, genesis, length, want uint64 }{
		{100, 100, 10, 0}, {109, 100, 10, 0}, {110, 100, 10, 1}, {99, 100, 10, None}, {100, 100, 0, None},
	} {
		if got := At(c.unix, c.genesis, c.length); got != c.want {
			t.Errorf("At(%d, %d, %d) = %d, want %d", c.unix, c.genesis, c.length, got, c.want)
		}
	}
}

func TestTree_everyProofLeadsToTheRoot(t *testing.T) {
	for n := range 40 {
		hashes := make([][32]byte, n)
		for i := range hashes {
			hashes[i] = identity.Keccak256([]byte{byte(i)})
		}
		tree := NewTree(hashes)
		for i, h := range hashes {
			proof := tree.Proof(i)
			if !VerifyProof(tree.Root(), h, proof) {
				t.Errorf("%d leaves: the proof of leaf %d does not lead to the root", n, i)
			}
			if VerifyProof(tree.Root(), identity.Keccak256(h[:]), proof) {
				t.Errorf("%d leaves: the proof of leaf %d proves another hash", n, i)
			}
			if i > 0 && len(proof) > 0 && VerifyProof(tree.Root(), h, proof[1:]) {
				t.Errorf("%d leaves: half of the proof of leaf %d is enough", n, i)
			}
		}
	}
	if NewTree(nil).Root() != [32]byte{} {
		t.Error("a tree without leaves has a root")
	}
	one := identity.Keccak256()
	if NewTree([][32]byte{one}).Root() != one {
		t.Error("the tree of one leaf is not its hash")
	}
}

func TestChargesOf_areExactlyTheLeavesBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weight := econ.Bps(rapid.Uint32Range(0, econ.MaxRelayBps).Draw(t, "weight"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		var usage []Usage
		client, relay := map[drtc.NodeID]econ.Bytes{}, map[drtc.NodeID]econ.Bytes{}
		for app := range byte(3) {
			for orchestrator := range byte(3) {
				for node := range byte(4) {
					if r.IntN(2) == 0 {
						continue
					}
					u := Usage{Application: [20]byte{app}, Orchestrator: drtc.NodeID{orchestrator}, Node: drtc.NodeID{node},
						ClientBytes: econ.NewWei(r.Uint64N(100)), RelayBytes: econ.NewWei(r.Uint64N(100))}
					usage = append(usage, u)
					client[u.Node], relay[u.Node] = client[u.Node].Add(u.ClientBytes), relay[u.Node].Add(u.RelayBytes)
				}
			}
		}
		r.Shuffle(len(usage), func(i, j int) { usage[i], usage[j] = usage[j], usage[i] })
		charges, err := ChargesOf(usage, weight)
		if err != nil {
			t.Fatal(err)
		}
		if err := validateCharges(charges); err != nil {
			t.Fatal(err)
		}
		var want, got econ.Bytes
		for node := range client {
			b, err := econ.Rewardable(client[node], relay[node], weight)
			if err != nil {
				t.Fatal(err)
			}
			want = want.Add(b)
		}
		for _, c := range charges {
			got = got.Add(c.Bytes)
		}
		if got != want {
			t.Fatalf("charges are for %s bytes, leaves for %s", got, want)
		}
	})
}

func TestChargesOf_refusesAPayerTwice(t *testing.T) {
	u := Usage{Application: [20]byte{1}, Orchestrator: drtc.NodeID{2}, Node: drtc.NodeID{3}, ClientBytes: econ.NewWei(1)}
	if _, err := ChargesOf([]Usage{u, u}, econ.Whole); !errors.Is(err, ErrInvalid) {
		t.Errorf("one payer and node twice: error %v, want ErrInvalid", err)
	}
	u.RelayBytes = econ.MaxAmount()
	if _, err := ChargesOf([]Usage{u}, econ.Whole); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many bytes: error %v, want ErrInvalid", err)
	}
}

func TestClose_balances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		o := randomOpen(rand.New(rand.NewPCG(seed, 4)), 7)
		c, err := Close(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := econ.Sum(c.Payouts); got != c.Commit.MintTotal || got != c.Totals.Mint {
			t.Fatalf("payouts sum to %s, M is %s", got, c.Commit.MintTotal)
		}
		if got := econ.Sum(c.Gross); got != c.Commit.RewardTotal {
			t.Fatalf("gross payouts sum to %s, M0 is %s", got, c.Commit.RewardTotal)
		}
		if !c.Cut && c.Commit.MintTotal != c.Commit.RewardTotal {
			t.Fatalf("nothing is cut, but M is %s of %s", c.Commit.MintTotal, c.Commit.RewardTotal)
		}
		// Nobody earns from serving itself: kappa of what the bytes cost, at most.
		cost := econ.CreditsCost(econ.Charge(c.Commit.TotalBytes, o.Parameters.CreditsPerGB), o.High)
		if c.Commit.RewardTotal.Cmp(cost.Share(o.Parameters.Kappa)) > 0 {
			t.Fatalf("rewards %s are above kappa of the cost %s", c.Commit.RewardTotal, cost)
		}
		for i, l := range o.Leaves {
			if !VerifyProof(c.Commit.Root, l.Hash(), c.Tree.Proof(i)) {
				t.Fatalf("the proof of leaf %d does not lead to the root", i)
			}
		}
		leaves, charges, err := Decode(c.Data)
		if err != nil || !slices.Equal(leaves, o.Leaves) || !slices.Equal(charges, o.Charges) {
			t.Fatalf("the published set does not read back: %v", err)
		}
	})
}

func TestClose_refuses(t *testing.T) {
	good := func() Open { return randomOpen(rand.New(rand.NewPCG(1, 5)), 5) }
	if _, err := Close(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Open){
		"parameters":               func(o *Open) { o.Parameters.Kappa = econ.Whole },
		"price is 0":               func(o *Open) { o.High = 0 },
		"supply is":                func(o *Open) { o.Supply = econ.MaxAmount().Add(econ.NewWei(1)) },
		"escrow is":                func(o *Open) { o.Escrow = econ.MaxAmount().Add(econ.NewWei(1)) },
		"beta is 10001":            func(o *Open) { o.Beta = econ.Whole + 1 },
		"a leaf without node":      func(o *Open) { o.Leaves[0].Node = drtc.NodeID{} },
		"has no epoch":             func(o *Open) { o.Leaves[0].Epoch = None },
		"want " + "7":              func(o *Open) { o.Leaves[1].Epoch, o.Leaves[1].Previous = 8, None },
		"as the one before":        func(o *Open) { o.Leaves[1].Previous = 7 },
		"does not come after":      func(o *Open) { o.Leaves[1], o.Leaves[2] = o.Leaves[2], o.Leaves[1] },
		"does not come after that": func(o *Open) { o.Leaves[1] = o.Leaves[0] },
		"location is":              func(o *Open) { o.Leaves[3].Scores.Location = econ.One + 1 },
		"client bytes are":         func(o *Open) { o.Leaves[3].ClientBytes = econ.MaxAmount() },
		"charges are for":          func(o *Open) { o.Leaves[3].ClientBytes = o.Leaves[3].ClientBytes.Add(econ.NewWei(1)) },
		"charge 0 is for 0 bytes":  func(o *Open) { o.Charges[0].Bytes = econ.Bytes{} },
		"charge 1 does not come":   func(o *Open) { o.Charges[1] = o.Charges[0] },
	} {
		o := good()
		o.Epoch = 7
		for i := range o.Leaves {
			o.Leaves[i].Epoch, o.Leaves[i].Previous = 7, 6
		}
		change(&o)
		if _, err := Close(o); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestClose_withoutLeaves(t *testing.T) {
	o := Open{Epoch: 3, Parameters: econ.DefaultParameters(), High: 1, Supply: econ.NewWei(1 << 62), Beta: 6000}
	c, err := Close(o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Commit.MintTotal.IsZero() || c.Commit.Root != [32]byte{} || c.Commit.ChargesHash != [32]byte{} || c.Totals.Supply != o.Supply {
		t.Errorf("an epoch without leaves commits %+v, %+v", c.Commit, c.Totals)
	}
}

func TestVerifyQuorum(t *testing.T) {
	keys := reporters(t, 7)
	ids := make([]drtc.NodeID, len(keys))
	for i, k := range keys {
		ids[i] = k.ID()
	}
	commit := Commit{Epoch: 1, MintTotal: econ.NewWei(5)}
	signed := commit.Typed(Domain(1, [20]byte{1}))
	sign := func(which ...int) []identity.Signature {
		var s []identity.Signature
		for _, i := range which {
			s = append(s, keys[i].SignTyped(signed))
		}
		return s
	}
	if got, err := VerifyQuorum(signed, sign(0, 1, 3, 4, 6), ids); err != nil || len(got) != 5 {
		t.Errorf("5 of 7: %v, %v", got, err)
	}
	if got, err := VerifyQuorum(signed, sign(0, 1, 2, 3, 4, 5, 6), ids); err != nil || len(got) != 7 {
		t.Errorf("all: %v, %v", got, err)
	}
	low := sign(0, 1, 2, 3, 4)
	low[2][64] -= 27
	other := commit
	other.MintTotal = econ.NewWei(6)
	for name, err := range map[string]error{
		"a quorum less one":     second(VerifyQuorum(signed, sign(0, 1, 2, 3), ids)),
		"one signer twice":      second(VerifyQuorum(signed, sign(0, 1, 2, 3, 3), ids)),
		"out of order":          second(VerifyQuorum(signed, sign(0, 1, 2, 4, 3), ids)),
		"a stranger":            second(VerifyQuorum(signed, sign(0, 1, 2, 3, 4), ids[1:])),
		"another contract":      second(VerifyQuorum(commit.Typed(Domain(1, [20]byte{2})), sign(0, 1, 2, 3, 4), ids)),
		"another chain":         second(VerifyQuorum(commit.Typed(Domain(2, [20]byte{1})), sign(0, 1, 2, 3, 4), ids)),
		"another commit":        second(VerifyQuorum(other.Typed(Domain(1, [20]byte{1})), sign(0, 1, 2, 3, 4), ids)),
		"V of 0 or 1":           second(VerifyQuorum(signed, low, ids)),
		"no reporters":          second(VerifyQuorum(signed, nil, nil)),
		"a signature of zeroes": second(VerifyQuorum(signed, make([]identity.Signature, 5), ids)),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 7: 5, 10: 7} {
		if got := Quorum(n); got != want {
			t.Errorf("Quorum(%d) = %d, want %d", n, got, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestDecode_refusesOtherSpellings(t *testing.T) {
	o := randomOpen(rand.New(rand.NewPCG(2, 6)), 3)
	data := Encode(o.Leaves, o.Charges)
	for name, change := range map[string]func([]byte) []byte{
		"nothing":          func([]byte) []byte { return nil },
		"a byte more":      func(b []byte) []byte { return append(b, 0) },
		"a byte less":      func(b []byte) []byte { return b[:len(b)-1] },
		"too many leaves":  func(b []byte) []byte { b[30] = 1; return b },
		"more than fit":    func(b []byte) []byte { b[0] = 1; return b },
		"another version":  func(b []byte) []byte { b[63] = 2; return b },
		"a long address":   func(b []byte) []byte { b[64] = 1; return b },
		"a score above 1":  func(b []byte) []byte { b[32*5+24] = 0xff; return b },
		"another epoch":    func(b []byte) []byte { b[32*15+31] ^= 1; return b },
		"a charge of zero": func(b []byte) []byte { clear(b[len(b)-32:]); return b },
	} {
		if _, _, err := Decode(change(bytes.Clone(data))); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for n := range 4 {
		o := randomOpen(rand.New(rand.NewPCG(uint64(n), 7)), n)
		f.Add(Encode(o.Leaves, o.Charges))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		leaves, charges, err := Decode(b)
		if err == nil && !bytes.Equal(Encode(leaves, charges), b) {
			t.Errorf("%x is read and written otherwise", b)
		}
	})
}

// reporters are keys in ascending order of their ids, the same each time.
func reporters(t testing.TB, n int) []*identity.Key {
	t.Helper()
	keys := make([]*identity.Key, n)
	for i := range keys {
		key, err := identity.ParseKey(fmt.Sprintf("%064x", 1000+i))
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	slices.SortFunc(keys, func(a, b *identity.Key) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	return keys
}

// randomOpen draws an epoch with n leaves that Close accepts.
func randomOpen(r *rand.Rand, n int) Open {
	p := econ.DefaultParameters()
	p.K = econ.KFromInt(5 + r.Uint64N(15)).Add(econ.NewWei(r.Uint64N(uint64(econ.One))))
	p.Tau = int64(r.Uint64N(uint64(econ.One)/5+1)) - int64(econ.One)/10
	p.RelayWeight = econ.Bps(r.UintN(20_001))
	p.Alpha = econ.Whole - econ.Bps(r.UintN(2)*r.UintN(5000))
	p.Kappa = econ.Bps(1 + r.UintN(9000))
	p.CreditsPerGB = 1 + r.Uint64N(20_000)
	p.Filler = r.IntN(2) == 0
	a, h, l := econ.Bps(500+r.UintN(3000)), econ.Bps(500+r.UintN(3000)), econ.Bps(500+r.UintN(3000))
	l = min(l, econ.Whole-a-h) // the three together may be more than the whole
	p.Weights = econ.Weights{Availability: a, History: h, Location: l, Coverage: econ.Whole - a - h - l}
	o := Open{
		Epoch: r.Uint64N(1 << 40), Parameters: p, ParametersVersion: r.Uint32(),
		High: econ.Price(1 + r.Uint64N(1<<(1+r.UintN(40)))), Beta: econ.Bps(r.UintN(10_001)),
		Supply: econ.WeiFromFloat(1e18 * (1 + 1e9*r.Float64())),
	}
	for i := range o.PreviousRoot {
		o.PreviousRoot[i] = byte(r.Uint32())
	}
	var usage []Usage
	for i := range n {
		leaf := Leaf{Node: address(r), Epoch: o.Epoch, Previous: None, Scores: randomScores(r), ProvenMbps: r.Uint32N(20_000)}
		if o.Epoch > 0 && r.IntN(3) > 0 {
			leaf.Previous = r.Uint64N(o.Epoch)
		}
		for range 1 + r.IntN(3) {
			u := Usage{Application: address(r), Orchestrator: address(r), Node: leaf.Node,
				ClientBytes: econ.NewWei(r.Uint64N(1 << (10 + r.UintN(40)))), RelayBytes: econ.NewWei(r.Uint64N(1 << (10 + r.UintN(40))))}
			if i > 0 && r.IntN(2) == 0 {
				u.Application, u.Orchestrator = usage[0].Application, usage[0].Orchestrator
			}
			if slices.ContainsFunc(usage, func(v Usage) bool { return v.Node == u.Node && v.payer() == u.payer() }) {
				continue
			}
			usage = append(usage, u)
			leaf.ClientBytes, leaf.RelayBytes = leaf.ClientBytes.Add(u.ClientBytes), leaf.RelayBytes.Add(u.RelayBytes)
		}
		o.Leaves = append(o.Leaves, leaf)
	}
	slices.SortFunc(o.Leaves, func(a, b Leaf) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	charges, err := ChargesOf(usage, p.RelayWeight)
	if err != nil {
		panic(err)
	}
	o.Charges = charges
	var total econ.Bytes
	for _, c := range charges {
		total = total.Add(c.Bytes)
	}
	// What was paid: all, half (an oracle that erred), or nothing.
	paid := econ.CreditsCost(econ.Charge(total, p.CreditsPerGB), o.High)
	o.Escrow = paid.Share([]econ.Bps{10_000, 10_000, 5000, 100, 0}[r.IntN(5)])
	if r.IntN(2) == 0 && !paid.IsZero() { // an economy whose rewards are great beside its supply
		o.Supply = paid.MulDiv(econ.NewWei(r.Uint64N(1<<r.UintN(13))), econ.NewWei(1))
	}
	return o
}

func randomScores(r *rand.Rand) econ.Scores {
	score := func() econ.Wad {
		switch r.IntN(6) {
		case 0:
			return econ.One
		case 1:
			return 0
		}
		return econ.Wad(r.Uint64N(uint64(econ.One) + 1))
	}
	return econ.Scores{Availability: score(), History: score(), Location: score(), Coverage: score(), Quality: max(score(), econ.Wad(r.Uint64N(uint64(econ.One))))}
}

func address(r *rand.Rand) (a [20]byte) {
	for i := range a {
		a[i] = byte(r.Uint32())
	}
	return a
}
