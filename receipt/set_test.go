package receipt_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/receipt"
)

// some draws receipts of few accounts, sequences and bytes, so that they meet.
func some(t *rapid.T, n int) []receipt.Signed {
	var all []receipt.Signed
	for range n {
		s := receipt.Signed{
			Account: receipt.Account{
				Application: receipt.Application{19: rapid.ByteRange(1, 2).Draw(t, "application")}, Orchestrator: payer.ID(),
				Node: drtc.NodeID{19: rapid.ByteRange(100, 101).Draw(t, "node")}, Epoch: rapid.Uint64Range(0, 1).Draw(t, "epoch"),
			},
			Sequence: rapid.Uint64Range(1, 4).Draw(t, "sequence"),
			Counters: receipt.Counters{Client: rapid.Uint64Range(0, 3).Draw(t, "client"), Relay: rapid.Uint64Range(0, 3).Draw(t, "relay")},
		}
		s, err := s.Sign(payer, domain)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// Whatever comes in whatever order and however often, from whatever Sets: the same
// is held, in the same bytes, and of each account no receipt of more.
func TestSet_isAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := some(t, rapid.IntRange(0, 12).Draw(t, "receipts"))
		set := func(receipts []receipt.Signed) *receipt.Set {
			s := receipt.NewSet(domain)
			for _, r := range receipts {
				if err := s.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			return s
		}
		one := set(all)
		twice := append(rapid.Permutation(all).Draw(t, "order"), all...)
		two := set(twice)
		if !slices.Equal(one.Bytes(), two.Bytes()) || one.Hash() != two.Hash() {
			t.Errorf("got\n%x and in another order\n%x", one.Bytes(), two.Bytes())
		}
		// Pages carry all that counts.
		three := receipt.NewSet(domain)
		for e := range uint64(2) {
			for _, n := range []drtc.NodeID{{19: 100}, {19: 101}} {
				var receipts []receipt.Signed
				for _, r := range one.Receipts() {
					if r.Epoch == e && r.Node == n {
						receipts = append(receipts, r)
					}
				}
				var evidence []receipt.Contradiction
				for _, c := range one.Evidence() {
					if c.First.Epoch == e && c.First.Node == n {
						evidence = append(evidence, c)
					}
				}
				for _, p := range receipt.Pages(n, e, receipts, evidence) {
					read, err := receipt.ParsePage(p.Bytes())
					if err != nil {
						t.Fatal(err)
					}
					if err := three.AddPage(read); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if !slices.Equal(one.Receipts(), three.Receipts()) || !slices.Equal(one.Evidence(), three.Evidence()) {
			t.Errorf("by pages: got %+v and %+v, want %+v and %+v", three.Receipts(), three.Evidence(), one.Receipts(), one.Evidence())
		}
		held := map[receipt.Account]receipt.Signed{}
		for _, r := range one.Receipts() {
			held[r.Account] = r
		}
		for _, r := range all {
			if held[r.Account].Sum() < r.Sum() {
				t.Errorf("%+v counts, though %+v was signed", held[r.Account], r)
			}
		}
	})
}

func TestSet_settles(t *testing.T) {
	s := receipt.NewSet(domain)
	at := func(application receipt.Application, e uint64) func(*receipt.Signed) {
		return func(s *receipt.Signed) { s.Application, s.Epoch = application, e }
	}
	for _, r := range []receipt.Signed{
		signed(t, 1, receipt.Counters{Client: 10, Relay: 1}, at(school, 3)), signed(t, 2, receipt.Counters{Client: 100, Relay: 3}, at(school, 3)),
		signed(t, 1, receipt.Counters{Client: 5, Relay: 3}, at(shop, 3)), signed(t, 9, receipt.Counters{Client: 7}, at(shop, 4)),
	} {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Served(node, 3), (receipt.Counters{Client: 105, Relay: 6}); got != want {
		t.Errorf("served in epoch 3: got %+v, want %+v", got, want)
	}
	charges, err := epoch.ChargesOf(s.Usage(3), econ.Whole/2)
	if err != nil {
		t.Fatal(err)
	}
	var sum econ.Bytes
	for _, c := range charges {
		sum = sum.Add(c.Bytes)
	}
	if len(charges) != 2 || sum != econ.NewWei(108) {
		t.Errorf("got %d charges of %s bytes, want two of 108, which are the leaf's rewardable bytes", len(charges), sum)
	}
	forged := signed(t, 3, clientBytes(5))
	forged.Client = 6
	before := s.Hash()
	if err := s.Add(forged); !errors.Is(err, receipt.ErrSignature) || s.Hash() != before {
		t.Errorf("forged: got %v", err)
	}
	p := receipt.Page{Node: node, Receipts: []receipt.Signed{signed(t, 3, clientBytes(5)), forged}}
	if err := s.AddPage(p); !errors.Is(err, receipt.ErrSignature) || s.Hash() != before {
		t.Errorf("page with a forged receipt: got %v, want that nothing of it is taken", err)
	}
}

func TestPages_fillRecords(t *testing.T) {
	var receipts []receipt.Signed
	base := signed(t, 1, clientBytes(1))
	for i := range 2*receipt.MaxReceipts + 1 {
		s := base
		s.Application = receipt.Application{17: byte(i >> 16), 18: byte(i >> 8), 19: byte(i)}
		receipts = append(receipts, s)
	}
	slices.Reverse(receipts)
	pages := receipt.Pages(node, 0, receipts, nil)
	if len(pages) != 3 {
		t.Fatalf("got %d pages, want 3", len(pages))
	}
	seen := map[drtc.NodeID]bool{}
	for i, p := range pages {
		b := p.Bytes()
		if len(b) > receipt.MaxPage || seen[p.Subject()] || int(p.Number) != i {
			t.Errorf("page %d: %d bytes, number %d", i, len(b), p.Number)
		}
		seen[p.Subject()] = true
		read, err := receipt.ParsePage(b)
		if err != nil || !slices.Equal(read.Receipts, p.Receipts) || !slices.Equal(read.Bytes(), b) {
			t.Errorf("page %d: read otherwise: %v", i, err)
		}
	}
	t.Logf("%d receipts a page, %d bytes each", receipt.MaxReceipts, (len(pages[0].Bytes())-35)/receipt.MaxReceipts)
}

func TestParsePage_refuses(t *testing.T) {
	a, b := signed(t, 1, clientBytes(1)), signed(t, 1, clientBytes(1), func(s *receipt.Signed) { s.Application = school })
	for name, p := range map[string]receipt.Page{
		"nothing in it":     {Node: node},
		"wrong order":       {Node: node, Receipts: []receipt.Signed{b, a}},
		"an account twice":  {Node: node, Receipts: []receipt.Signed{a, a}},
		"too high a number": {Node: node, Number: receipt.MaxPages, Receipts: []receipt.Signed{a}},
	} {
		if _, err := receipt.ParsePage(p.Bytes()); !errors.Is(err, receipt.ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, receipt.ErrMalformed)
		}
	}
	good := receipt.Page{Node: node, Receipts: []receipt.Signed{a, b}}.Bytes()
	for _, bad := range [][]byte{good[:len(good)-1], append(slices.Clone(good), 0), append([]byte{2}, good[1:]...)} {
		if _, err := receipt.ParsePage(bad); !errors.Is(err, receipt.ErrMalformed) {
			t.Errorf("%d bytes: got %v", len(bad), err)
		}
	}
	same := receipt.Page{Node: node, Evidence: []receipt.Contradiction{{First: a, Second: a}}}
	if err := same.Verify(domain); err == nil {
		t.Error("a receipt contradicts itself")
	}
}

func TestClock_isTheEpochs(t *testing.T) {
	c := network.Clock()
	for at, want := range map[time.Duration]uint64{-1: epoch.None, 0: 0, time.Hour - 1: 0, time.Hour: 1, 25*time.Hour + time.Minute: 25} {
		if got := c.At(genesis.Add(at)); got != want {
			t.Errorf("%s: got epoch %d, want %d", at, got, want)
		}
	}
	if got := c.End(24); !got.Equal(genesis.Add(25 * time.Hour)) {
		t.Errorf("epoch 24 ends at %s", got)
	}
	if got := c.End(1 << 63); got.Before(genesis) {
		t.Errorf("a far epoch ends at %s", got)
	}
}
