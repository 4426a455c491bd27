package receipt_test

import (
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/receipt"
)

func newPurse(change func(*receipt.PurseRules)) *receipt.Purse {
	r := purseRules()
	if change != nil {
		change(&r)
	}
	return receipt.NewPurse(payer.ID(), node, r)
}

func see(p *receipt.Purse, now time.Time, id string, c receipt.Counters, ended ...bool) receipt.Counters {
	return p.Observe(now, receipt.Observation{ID: id, Application: shop, Counters: c, Ended: len(ended) > 0})
}

// answer signs what a claim is worth.
func answer(t testing.TB, p *receipt.Purse, now time.Time, claims ...receipt.Claim) ([]receipt.Signed, []receipt.Dispute) {
	t.Helper()
	statements, disputes := p.Answer(now, claims)
	for i, s := range statements {
		signed, err := s.Sign(payer, domain)
		if err != nil {
			t.Fatal(err)
		}
		p.Took(signed)
		statements[i] = signed
	}
	return statements, disputes
}

func claim(c receipt.Counters, last ...receipt.Signed) receipt.Claim {
	claim := receipt.Claim{Application: shop, Counted: c}
	if len(last) > 0 {
		claim.Last = last[0]
	}
	return claim
}

func TestPurse_countsEachByteOnce(t *testing.T) {
	p := newPurse(nil)
	for i, step := range []struct {
		id    string
		c     receipt.Counters
		ended []bool
		fresh receipt.Counters
	}{
		{"a", clientBytes(100), nil, clientBytes(100)},
		{"a", clientBytes(100), nil, clientBytes(0)}, // twice
		{"a", clientBytes(150), nil, clientBytes(50)},
		{"a", clientBytes(120), nil, clientBytes(0)}, // late
		{"b", receipt.Counters{Relay: 30}, nil, receipt.Counters{Relay: 30}},
		{"a", clientBytes(160), []bool{true}, clientBytes(10)},
		{"a", clientBytes(900), nil, clientBytes(0)}, // after its end
	} {
		if got := see(p, genesis, step.id, step.c, step.ended...); got != step.fresh {
			t.Errorf("step %d: got %+v new, want %+v", i, got, step.fresh)
		}
	}
	statements, disputes := answer(t, p, genesis, claim(receipt.Counters{Client: 1000, Relay: 1000}))
	if len(statements) != 1 || statements[0].Counters != (receipt.Counters{Client: 160, Relay: 30}) || len(disputes) != 0 {
		t.Errorf("got %+v and %+v, want what was seen and no dispute yet", statements, disputes)
	}
}

func TestPurse_signsNoMoreThanWasSeen(t *testing.T) {
	p := newPurse(nil)
	see(p, genesis, "a", clientBytes(100))
	first, _ := answer(t, p, genesis, claim(clientBytes(60)))
	if len(first) != 1 || first[0].Client != 60 {
		t.Fatalf("got %+v, want what is claimed, 60", first)
	}
	if again, _ := answer(t, p, genesis, claim(clientBytes(60))); len(again) != 0 {
		t.Errorf("signed again: %+v", again)
	}
	if due := p.Due([]receipt.Claim{claim(clientBytes(60))}); !slices.Equal(due, first) {
		t.Errorf("due is %+v, want the receipt that was lost", due)
	}
	// The next epoch draws on the same sight.
	later := genesis.Add(time.Hour)
	next := receipt.Claim{Application: shop, Epoch: 1, Counted: clientBytes(70)}
	second, disputes := answer(t, p, later, claim(clientBytes(60), first[0]), next)
	if len(second) != 1 || second[0].Epoch != 1 || second[0].Client != 40 {
		t.Errorf("got %+v, want the 40 that are left", second)
	}
	if len(disputes) != 0 {
		t.Errorf("disputed at once: %+v", disputes)
	}
	next.Last = second[0]
	if _, disputes = answer(t, p, later.Add(time.Minute), next); len(disputes) != 1 || disputes[0].For != time.Minute || disputes[0].Claimed.Client != 70 || disputes[0].Signed.Client != 40 {
		t.Errorf("got disputes %+v, want one of 70 claimed and 40 signed for a minute", disputes)
	}
	see(p, later, "a", clientBytes(130))
	third, disputes := answer(t, p, later.Add(2*time.Minute), next)
	if len(third) != 1 || third[0].Client != 70 || len(disputes) != 0 {
		t.Errorf("after more was seen: got %+v and %+v", third, disputes)
	}
}

func TestPurse_spendsItsSightOnce(t *testing.T) {
	p := newPurse(nil)
	see(p, genesis, "a", clientBytes(100))
	got, _ := answer(t, p, genesis.Add(time.Hour), claim(clientBytes(80)), receipt.Claim{Application: shop, Epoch: 1, Counted: clientBytes(80)})
	if len(got) != 2 || got[0].Client != 80 || got[1].Client != 20 {
		t.Errorf("got %+v, want 80 for the epoch before and the 20 that are left for this one", got)
	}
}

// A node can't have an Orchestrator sign one sequence twice.
func TestPurse_answersAnAccountOnce(t *testing.T) {
	p := newPurse(nil)
	see(p, genesis, "a", clientBytes(100))
	got, disputes := answer(t, p, genesis, claim(clientBytes(10)), claim(clientBytes(20)))
	if len(got) != 1 || len(disputes) != 1 {
		t.Errorf("signed %+v, disputed %+v, want one of each", got, disputes)
	}
}

func TestPurse_refusesOtherEpochs(t *testing.T) {
	for name, c := range map[string]struct {
		at    time.Duration
		epoch uint64
		signs bool
		quiet bool
	}{
		"present":                {90 * time.Minute, 1, true, false},
		"last, in its grace":     {time.Hour + 59*time.Second, 0, true, false},
		"last, after its grace":  {time.Hour + time.Minute, 0, false, true},
		"two before":             {3 * time.Hour, 0, false, false},
		"next, by a clock ahead": {time.Hour - 4*time.Second, 1, true, false},
		"next":                   {time.Hour - 6*time.Second, 1, false, false},
		"far":                    {time.Hour, 1 << 60, false, false},
		"before genesis":         {-time.Second, 0, false, false},
	} {
		p := newPurse(nil)
		see(p, genesis, "a", clientBytes(100))
		got, disputes := answer(t, p, genesis.Add(c.at), receipt.Claim{Application: shop, Epoch: c.epoch, Counted: clientBytes(10)})
		if (len(got) == 1) != c.signs || (len(disputes) == 1) == (c.signs || c.quiet) {
			t.Errorf("%s: signed %+v, disputed %+v", name, got, disputes)
		}
	}
}

func TestPurse_goesOnFromItsOwnReceipts(t *testing.T) {
	p := newPurse(nil) // of an Orchestrator that lost its store
	s := signed(t, 7, clientBytes(500))
	got, disputes := answer(t, p, genesis, claim(clientBytes(600), s))
	if len(got) != 0 || len(disputes) != 0 {
		t.Fatalf("got %+v and %+v, want nothing: no more was seen", got, disputes)
	}
	see(p, genesis, "a", clientBytes(50))
	got, _ = answer(t, p, genesis, claim(clientBytes(600), s))
	if len(got) != 1 || got[0].Client != 550 || got[0].Sequence <= 7 {
		t.Errorf("got %+v, want 550 bytes and a higher sequence", got)
	}
	forged := s
	forged.Client = 1 << 40
	foreign := signed(t, 9, clientBytes(900), func(s *receipt.Signed) { s.Node = drtc.NodeID{1} })
	for name, bad := range map[string]receipt.Signed{"forged": forged, "of another node": foreign} {
		if got, disputes := answer(t, newPurse(nil), genesis, claim(clientBytes(1<<41), bad)); len(got) != 0 || len(disputes) != 1 {
			t.Errorf("%s: signed %+v, disputed %+v", name, got, disputes)
		}
	}
}

func TestPurse_believesNoMoreThanTheOtherSide(t *testing.T) {
	p := newPurse(func(r *receipt.PurseRules) { r.MaxRate = 8000 }) // 1000 bytes a second
	now := genesis
	see(p, now, "l", receipt.Counters{Relay: 1000})
	p.Witness(now, "l", 1000)
	now = now.Add(10 * time.Second)
	p.Witness(now, "l", 2000)
	p.Witness(now, "l", 1500) // late
	p.Witness(now, "unknown", 1)
	if got := see(p, now, "l", receipt.Counters{Relay: 9000}); got.Relay != 1000 {
		t.Errorf("got %d new bytes, want the 1000 that arrived", got.Relay)
	}
	now = now.Add(5 * time.Second) // at 100 bytes a second there may be 1000 more
	if got := see(p, now, "l", receipt.Counters{Relay: 9000}); got.Relay != 1000 {
		t.Errorf("got %d new bytes, want what may have come since, 1000", got.Relay)
	}
	p.Witness(now, "l", 9000)
	if got := see(p, now, "l", receipt.Counters{Relay: 9000}); got.Relay != 6000 {
		t.Errorf("got %d new bytes, want the other 6000", got.Relay)
	}
	// Without another side there is the rate.
	if got := see(p, now, "a", clientBytes(1<<40)); got.Client != 30_000 {
		t.Errorf("got %d bytes of a session that was just heard of, want 30 s at the highest rate", got.Client)
	}
	if got := see(p, now.Add(time.Second), "a", receipt.Counters{Client: 1 << 40, Relay: 1 << 40}); got.Sum() > 31_000 {
		t.Errorf("got %+v a second later", got)
	}
}

func TestPurse_survivesTheStore(t *testing.T) {
	p := newPurse(nil)
	see(p, genesis, "a", clientBytes(100))
	see(p, genesis, "b", receipt.Counters{Client: 5, Relay: 6}, true)
	p.Witness(genesis, "a", 90)
	p.Observe(genesis, receipt.Observation{ID: "c", Application: school, Counters: clientBytes(9)})
	answer(t, p, genesis, claim(clientBytes(40)))
	b := p.Bytes()
	q, err := receipt.ParsePurse(b, payer.ID(), node, purseRules())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(q.Bytes(), b) {
		t.Error("what was read writes other bytes")
	}
	for _, p := range []*receipt.Purse{p, q} {
		see(p, genesis, "a", clientBytes(150))
		see(p, genesis, "b", clientBytes(500))
		got, _ := answer(t, p, genesis.Add(time.Second), claim(receipt.Counters{Client: 1000, Relay: 1000}))
		if len(got) != 1 || got[0].Counters != (receipt.Counters{Client: 105, Relay: 6}) { // "a" is witnessed to 90, after 100 were taken
			t.Errorf("got %+v", got)
		}
	}
	if _, err := receipt.ParsePurse(b, other.ID(), node, purseRules()); err == nil {
		t.Error("another Orchestrator's purse was read")
	}
	for i := range b {
		if _, err := receipt.ParsePurse(b[:i], payer.ID(), node, purseRules()); err == nil {
			t.Errorf("%d of %d bytes were read", i, len(b))
		}
	}
}

func TestPurse_forgets(t *testing.T) {
	p := newPurse(func(r *receipt.PurseRules) { r.MaxMeetings = 2 })
	see(p, genesis, "a", clientBytes(1), true)
	see(p, genesis, "b", clientBytes(1))
	if got := see(p, genesis, "c", clientBytes(1)); got != clientBytes(0) {
		t.Errorf("counted one too many: %+v", got)
	}
	later := genesis.Add(3 * time.Minute)
	answer(t, p, later)
	if got := see(p, later, "c", clientBytes(1)); got != clientBytes(1) {
		t.Errorf("nothing was forgotten: %+v", got)
	}
	answer(t, p, genesis.Add(2*time.Hour))
	if got := see(p, genesis.Add(2*time.Hour), "d", clientBytes(1)); got != clientBytes(1) {
		t.Errorf("what fell silent was not forgotten: %+v", got)
	}
}
