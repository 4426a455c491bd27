package receipt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
)

var (
	genesis = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	network = receipt.Network{ChainID: 72010, Contract: drtc.NodeID{19: 9}, Genesis: genesis, EpochLength: time.Hour}
	domain  = network.Domain()
	payer   = key(1)
	other   = key(2)
	node    = drtc.NodeID{19: 100}
	shop    = receipt.Application{19: 1}
	school  = receipt.Application{19: 2}
)

func key(n int) *identity.Key {
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", n))
	if err != nil {
		panic(err)
	}
	return k
}

func tillRules() receipt.TillRules {
	r := receipt.DefaultTillRules()
	r.Clock, r.Domain = network.Clock(), domain
	r.CreditBytes, r.CreditTime, r.Slack, r.Tolerance = 1000, 100*time.Second, 0, 0
	return r
}

func purseRules() receipt.PurseRules {
	r := receipt.DefaultPurseRules()
	r.Clock, r.Domain, r.Slack, r.Tolerance = network.Clock(), domain, 0, 0
	return r
}

func newTill(t testing.TB, change func(*receipt.TillRules)) *receipt.Till {
	t.Helper()
	r := tillRules()
	if change != nil {
		change(&r)
	}
	till, err := receipt.NewTill(node, r)
	if err != nil {
		t.Fatal(err)
	}
	return till
}

func clientBytes(n uint64) receipt.Counters { return receipt.Counters{Client: n} }

// signed is a receipt of payer's for shop in epoch 0.
func signed(t testing.TB, sequence uint64, c receipt.Counters, change ...func(*receipt.Signed)) receipt.Signed {
	t.Helper()
	s := receipt.Signed{
		Account:  receipt.Account{Application: shop, Orchestrator: payer.ID(), Node: node},
		Sequence: sequence, Counters: c,
	}
	for _, f := range change {
		f(&s)
	}
	s, err := s.Sign(payer, domain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTill_claimsWhatItCounted(t *testing.T) {
	till := newTill(t, nil)
	till.Count(genesis, payer.ID(), shop, clientBytes(100))
	till.Count(genesis, payer.ID(), school, receipt.Counters{Relay: 7})
	till.Count(genesis, payer.ID(), receipt.Application{}, clientBytes(3)) // the Orchestrator's own account
	till.Count(genesis, other.ID(), shop, clientBytes(50))
	till.Count(genesis.Add(-time.Hour), payer.ID(), shop, clientBytes(1)) // the clock went back: the epoch does not
	if err := till.Accept(genesis, payer.ID(), signed(t, 1, clientBytes(60))); err != nil {
		t.Fatal(err)
	}
	got := till.Claims(genesis, payer.ID())
	want := map[receipt.Application]receipt.Counters{shop: clientBytes(101), school: {Relay: 7}, receipt.Application(payer.ID()): clientBytes(3)}
	if len(got) != len(want) {
		t.Fatalf("got %d claims, want %d", len(got), len(want))
	}
	for _, c := range got {
		if c.Counted != want[c.Application] || c.Epoch != 0 {
			t.Errorf("%x: claims %+v of epoch %d, want %+v", c.Application, c.Counted, c.Epoch, want[c.Application])
		}
		if (c.Last.Client == 60) != (c.Application == shop) {
			t.Errorf("%x: shows a receipt of %d bytes", c.Application, c.Last.Client)
		}
	}
}

func TestTill_refusesWhatIsNotForIt(t *testing.T) {
	good := signed(t, 5, receipt.Counters{Client: 500, Relay: 50})
	forged := good
	forged.Client++
	at := func(f func(*receipt.Signed)) receipt.Signed { return signed(t, 9, clientBytes(900), f) }
	foreign, err := receipt.Signed{
		Account: receipt.Account{Application: shop, Orchestrator: other.ID(), Node: node}, Sequence: 9, Counters: clientBytes(900),
	}.Sign(other, domain)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := good
	elsewhere.Signature = signed(t, 5, good.Counters).Signature
	if elsewhere, err = elsewhere.Sign(payer, receipt.Network{ChainID: 1, Contract: network.Contract}.Domain()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    receipt.Signed
		from *identity.Key
		want error
	}{
		"forged bytes":            {forged, payer, receipt.ErrSignature},
		"of another chain":        {elsewhere, payer, receipt.ErrSignature},
		"of another node":         {at(func(s *receipt.Signed) { s.Node = drtc.NodeID{1} }), payer, receipt.ErrParty},
		"brought by another":      {good, other, receipt.ErrParty},
		"of another Orchestrator": {foreign, payer, receipt.ErrParty},
		"of an epoch to come":     {at(func(s *receipt.Signed) { s.Epoch = 3 }), payer, receipt.ErrEpoch},
		"of a closed epoch":       {at(func(s *receipt.Signed) { s.Epoch = 0 }), payer, receipt.ErrEpoch},
		"replayed":                {at(func(s *receipt.Signed) { s.Epoch, s.Sequence = 2, 4 }), payer, receipt.ErrOld},
		"lower":                   {at(func(s *receipt.Signed) { s.Epoch, s.Counters = 2, receipt.Counters{Client: 900, Relay: 49} }), payer, receipt.ErrLower},
		"without sequence":        {at(func(s *receipt.Signed) { s.Sequence = 0 }), payer, receipt.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			now := genesis.Add(2 * time.Hour) // epoch 2
			now2 := now.Add(3 * time.Minute)  // and the grace of epoch 1 is over
			till := newTill(t, nil)
			till.Count(genesis, payer.ID(), shop, clientBytes(1))
			if err := till.Accept(now, payer.ID(), signed(t, 5, good.Counters, func(s *receipt.Signed) { s.Epoch = 2 })); err != nil {
				t.Fatal(err)
			}
			before := till.Snapshot()
			if c.s.Epoch == 0 && c.s.Sequence == 5 {
				now2 = genesis
				till = newTill(t, nil)
				before = till.Snapshot()
			}
			err := till.Accept(now2, c.from.ID(), c.s)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if got := till.Snapshot(); !errors.Is(c.want, receipt.ErrEpoch) && !slices.Equal(got, before) {
				t.Error("it changed what is kept")
			}
		})
	}
}

func TestTill_keepsContradictionsAsEvidence(t *testing.T) {
	till := newTill(t, nil)
	first, second := signed(t, 5, clientBytes(500)), signed(t, 5, clientBytes(400))
	if err := till.Accept(genesis, payer.ID(), first); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := till.Accept(genesis, payer.ID(), second); !errors.Is(err, receipt.ErrContradiction) {
			t.Fatalf("got %v, want %v", err, receipt.ErrContradiction)
		}
	}
	want := receipt.Contradiction{First: second, Second: first}
	if got := till.Evidence(); len(got) != 1 || got[0] != want {
		t.Errorf("got evidence %+v, want the two once, the lower first", got)
	}
	pages := till.Pages(0)
	if len(pages) != 1 || len(pages[0].Receipts) != 1 || pages[0].Receipts[0] != first || len(pages[0].Evidence) != 1 {
		t.Fatalf("got pages %+v, want the first receipt and the evidence", pages)
	}
	if err := pages[0].Verify(domain); err != nil {
		t.Error(err)
	}
}

// An epoch's receipts are taken for the time of grace; what is not signed then
// counts into the next one, once.
func TestTill_rollsOver(t *testing.T) {
	till := newTill(t, nil)
	end := genesis.Add(time.Hour)
	till.Count(end.Add(-time.Second), payer.ID(), shop, clientBytes(100))
	till.Count(end, payer.ID(), shop, clientBytes(11))
	claims := till.Claims(end, payer.ID())
	if len(claims) != 2 || claims[0].Counted != clientBytes(100) || claims[1].Counted != clientBytes(11) {
		t.Fatalf("at the turn: %+v, want both epochs apart", claims)
	}
	if err := till.Accept(end.Add(119*time.Second), payer.ID(), signed(t, 1, clientBytes(70))); err != nil {
		t.Errorf("within the grace: %v", err)
	}
	after := end.Add(2 * time.Minute)
	if err := till.Accept(after, payer.ID(), signed(t, 2, clientBytes(100))); !errors.Is(err, receipt.ErrEpoch) {
		t.Errorf("after the grace: %v, want %v", err, receipt.ErrEpoch)
	}
	claims = till.Claims(after, payer.ID())
	if len(claims) != 1 || claims[0].Epoch != 1 || claims[0].Counted != clientBytes(11+30) {
		t.Errorf("after the grace: %+v, want 41 bytes of epoch 1", claims)
	}
	if got := till.Epochs(); !slices.Equal(got, []uint64{0}) {
		t.Errorf("receipts of epochs %v, want 0", got)
	}
	for range 40 {
		after = after.Add(time.Hour)
		till.Judge(after, payer.ID())
	}
	if got := till.Epochs(); len(got) != 0 {
		t.Errorf("receipts of epochs %v are kept for ever", got)
	}
	if claims = till.Claims(after, payer.ID()); len(claims) != 1 || claims[0].Counted != clientBytes(41) {
		t.Errorf("after many epochs: %+v, want the 41 bytes still", claims)
	}
}

func TestTill_forgivesTheTolerance(t *testing.T) {
	till := newTill(t, func(r *receipt.TillRules) { r.Tolerance = 50 })
	till.Count(genesis, payer.ID(), shop, clientBytes(100_000))
	if err := till.Accept(genesis, payer.ID(), signed(t, 1, clientBytes(99_500))); err != nil {
		t.Fatal(err)
	}
	if s := till.Judge(genesis.Add(time.Minute), payer.ID()); s.Decision != receipt.Serve || s.Lag != 0 {
		t.Errorf("got %+v, want that 0.5 %% is no debt", s)
	}
	if got := till.Claims(genesis.Add(2*time.Hour), payer.ID()); len(got) != 0 {
		t.Errorf("got claims %+v of the next epoch, want none", got)
	}
}

func TestTill_cutsOffWhoLags(t *testing.T) {
	till := newTill(t, nil)
	now := genesis
	judge := func(what string, want receipt.Decision) {
		t.Helper()
		s := till.Judge(now, payer.ID())
		if s.Decision != want {
			t.Errorf("%s: got %s (%+v), want %s", what, s.Decision, s, want)
		}
		if (s.Reason == "") != (want == receipt.Serve) {
			t.Errorf("%s: reason %q", what, s.Reason)
		}
	}
	sequence := uint64(0)
	pay := func(n uint64) {
		t.Helper()
		sequence++
		if err := till.Accept(now, payer.ID(), signed(t, sequence, clientBytes(n))); err != nil {
			t.Fatal(err)
		}
	}
	judge("nobody yet", receipt.Serve)
	till.Count(now, payer.ID(), shop, clientBytes(499))
	judge("below half of the bytes", receipt.Serve)
	till.Count(now, payer.ID(), shop, clientBytes(1))
	judge("half of the bytes", receipt.Warn)
	till.Count(now, payer.ID(), shop, clientBytes(250))
	judge("three quarters", receipt.StopNew)
	till.Count(now, payer.ID(), shop, clientBytes(250))
	judge("all of the credit", receipt.Stop)
	if s := till.Judge(now, payer.ID()); !strings.Contains(s.Reason, "1000 bytes") {
		t.Errorf("reason is %q", s.Reason)
	}
	pay(400)
	judge("600 owed, after a stop", receipt.Stop)
	pay(501)
	judge("499 owed, after a stop", receipt.Warn)
	pay(751)
	judge("249 owed", receipt.Serve)
	now = now.Add(50 * time.Second)
	judge("half of the time", receipt.Warn)
	now = now.Add(50 * time.Second)
	judge("all of the time", receipt.Stop)
	pay(1000)
	judge("nothing owed", receipt.Serve)
	now = now.Add(500 * time.Second)
	judge("nothing owed for long", receipt.Serve)
	for range 60 { // an honest one pays with a delay of 20 s
		till.Count(now, payer.ID(), shop, clientBytes(10))
		now = now.Add(10 * time.Second)
		judge("who pays late but pays", receipt.Serve)
		if claims := till.Claims(now, payer.ID()); claims[0].Counted.Client > 1010 {
			pay(claims[0].Counted.Client - 10)
		}
	}
	if s := till.Judge(now, other.ID()); s.Decision != receipt.Serve {
		t.Errorf("another one stands %s", s.Decision)
	}
}

// The lag of an Orchestrator that pays with a delay is that delay, over any number
// of epochs.
func TestTill_lagIsThatOfTheOldestByte(t *testing.T) {
	till := newTill(t, func(r *receipt.TillRules) {
		r.CreditBytes, r.CreditTime, r.Grace = 1<<40, time.Hour, time.Minute
		r.Clock.Length = 10 * time.Minute
	})
	var history []receipt.Claim
	for i := range 200 {
		now := genesis.Add(time.Duration(i) * 30 * time.Second)
		till.Count(now, payer.ID(), shop, clientBytes(1000))
		claims := till.Claims(now, payer.ID())
		history = append(history, claims[len(claims)-1])
		if i < 2 {
			continue
		}
		c := history[i-1]
		s := signed(t, uint64(i), c.Counted, func(s *receipt.Signed) { s.Epoch = c.Epoch })
		if err := till.Accept(now, payer.ID(), s); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if got := till.Judge(now, payer.ID()); got.Lag > 3*time.Minute {
			t.Fatalf("step %d: lag %s, owed %d; the receipts are 30 s behind", i, got.Lag, got.Owed)
		}
	}
}

func TestTill_boundsWhatItRemembers(t *testing.T) {
	till := newTill(t, func(r *receipt.TillRules) { r.MaxOrchestrators, r.MaxApplications = 1, 2 })
	till.Count(genesis, payer.ID(), shop, clientBytes(1))
	till.Count(genesis, other.ID(), shop, clientBytes(1))
	if s := till.Judge(genesis, other.ID()); s.Decision != receipt.StopNew {
		t.Errorf("one too many stands %s, want that it gets nothing", s.Decision)
	}
	for i := range byte(5) {
		till.Count(genesis, payer.ID(), receipt.Application{0: i + 1}, clientBytes(1))
	}
	var sum uint64
	claims := till.Claims(genesis, payer.ID())
	for _, c := range claims {
		sum += c.Counted.Sum()
	}
	if len(claims) != 3 || sum != 6 {
		t.Errorf("got %d accounts with %d bytes, want 2, the Orchestrator's own, and no byte lost", len(claims), sum)
	}
	s := signed(t, 1, clientBytes(9), func(s *receipt.Signed) { s.Application = receipt.Application{7} })
	if err := till.Accept(genesis, payer.ID(), s); !errors.Is(err, receipt.ErrFull) {
		t.Errorf("receipt for one account too many: got %v, want %v", err, receipt.ErrFull)
	}
}
