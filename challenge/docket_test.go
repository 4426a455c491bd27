package challenge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func docket(t failer, node byte) *Docket {
	t.Helper()
	d, err := NewDocket(DocketConfig{Network: "devnet", Key: key(t, node), Rules: DefaultRules(), Plan: func(*Order) error { return nil }})
	if err != nil {
		t.Fatalf("docket: %v", err)
	}
	return d
}

var roomy = Advertised{Generation: 1, Seq: 1, CapacityMbps: 100, LoadMbps: 10, Cores: 4}

func TestDocket_takesOnceAndRefusesReplays(t *testing.T) {
	d, o := docket(t, 2), order(t, 1, nil)
	got, err := d.Take(o.Start, &o, roomy)
	if err != nil || !got.Accepted || got.Known || got.Side != Prover {
		t.Fatalf("%+v, %v", got, err)
	}
	// Another witness sends it too.
	again := o
	if err := again.Sign(key(t, 8)); err != nil {
		t.Fatal(err)
	}
	if got, err = d.Take(o.Start, &again, roomy); err != nil || !got.Accepted || !got.Known {
		t.Errorf("from another witness: %+v, %v", got, err)
	}
	// Other terms under the id of the same test, and the same attempt.
	other := order(t, 1, func(o *Order) { o.RateKbps++ })
	if _, err = d.Take(o.Start, &other, roomy); !errors.Is(err, ErrReplay) {
		t.Errorf("other terms: %v", err)
	}
	// A later attempt replaces it, and then it is a replay.
	second := order(t, 1, func(o *Order) { o.Attempt, o.Start = 1, o.Start.Add(5*time.Minute) })
	if got, err = d.Take(o.Start, &second, roomy); err != nil || !got.Accepted || got.Replaces != o.ID() {
		t.Errorf("the second attempt: %+v, %v", got, err)
	}
	if _, err = d.Take(o.Start, &o, roomy); !errors.Is(err, ErrReplay) {
		t.Errorf("the first attempt again: %v", err)
	}
	// Once it has begun nothing replaces it; once it is over it is too late.
	third := order(t, 1, func(o *Order) { o.Attempt, o.Start = 2, o.Start.Add(10*time.Minute) })
	if _, err = d.Take(second.Begin(), &third, roomy); !errors.Is(err, ErrReplay) {
		t.Errorf("a third attempt after the second began: %v", err)
	}
	if _, err = d.Take(second.End().Add(time.Hour), &second, roomy); !errors.Is(err, ErrTime) {
		t.Errorf("when it is over: %v", err)
	}
}

func TestDocket_owesNobodyAnAnswer(t *testing.T) {
	for _, x := range []struct {
		name string
		is   error
		plan error
		make func() Order
		now  time.Time
	}{
		{"too late", ErrTime, nil, func() Order { return order(t, 1, nil) }, start.Add(10 * time.Second)},
		{"too early", ErrTime, nil, func() Order { return order(t, 1, nil) }, start.Add(-61 * time.Minute)},
		{"another network", ErrNetwork, nil, func() Order { return order(t, 1, func(o *Order) { o.Network = "mainnet" }) }, start},
		{"not planned", ErrNotPlanned, errors.New("rateKbps is 800, the plan says 2500"), func() Order { return order(t, 1, nil) }, start},
		{"not mine", ErrForeign, nil, func() Order { return order(t, 1, func(o *Order) { o.Prover = key(t, 8).ID() }) }, start},
		{"malformed", ErrOrder, nil, func() Order { o := order(t, 1, nil); o.Kind = 0; return o }, start},
		{"forged", ErrSignature, nil, func() Order { o := order(t, 1, nil); o.Slot++; return o }, start},
	} {
		d := docket(t, 2)
		d.Plan = func(*Order) error { return x.plan }
		o := x.make()
		got, err := d.Take(x.now, &o, roomy)
		if !errors.Is(err, x.is) || got.Accepted || got.Refusal != nil {
			t.Errorf("%s: %+v, %v, want %v", x.name, got, err, x.is)
		}
		if x.plan != nil && !strings.Contains(err.Error(), x.plan.Error()) {
			t.Errorf("%s: %v does not say why", x.name, err)
		}
	}
}

// A refusal says why, until when, and others can tell whether that holds.
func TestDocket_refusesWithAReasonThatOthersCanCheck(t *testing.T) {
	for _, x := range []struct {
		name   string
		adv    Advertised
		order  Order
		reason Reason // 0: accepted
	}{
		{"room for it", Advertised{CapacityMbps: 100, LoadMbps: 79}, order(t, 1, nil), 0},
		{"up to the headroom", Advertised{CapacityMbps: 2, LoadMbps: 0}, order(t, 1, func(o *Order) { o.RateKbps = 1600 }), 0},
		{"a kbit/s past it", Advertised{CapacityMbps: 2, LoadMbps: 0}, order(t, 1, func(o *Order) { o.RateKbps = 1601 }), Busy},
		{"paying sessions", Advertised{CapacityMbps: 100, LoadMbps: 80}, order(t, 1, nil), Busy},
		{"draining", Advertised{CapacityMbps: 100, Draining: true}, order(t, 1, nil), Draining},
		{"a test of capacity on an idle node", Advertised{CapacityMbps: 100, LoadMbps: 10}, order(t, 3, func(o *Order) { o.RateKbps = 33_000 }), 0},
		{"on one with sessions", Advertised{CapacityMbps: 100, LoadMbps: 11}, order(t, 3, func(o *Order) { o.RateKbps = 33_000 }), Busy},
	} {
		got, err := docket(t, 2).Take(start, &x.order, x.adv)
		if err != nil || got.Accepted != (x.reason == 0) {
			t.Errorf("%s: %+v, %v", x.name, got, err)
			continue
		}
		if x.reason == 0 {
			continue
		}
		r := got.Refusal
		until := x.order.Start.Add(5 * time.Minute)
		if x.reason == Draining {
			until = time.Time{}
		}
		if r.Reason != x.reason || !r.Until.Equal(until) {
			t.Errorf("%s: %s until %v, want %s until %v", x.name, r.Reason, r.Until, x.reason, until)
		}
		if err := r.Verify(&x.order, DefaultRules()); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestDocket_oneTestAtATime(t *testing.T) {
	d, o := docket(t, 2), order(t, 1, nil)
	if _, err := d.Take(start, &o, roomy); err != nil {
		t.Fatal(err)
	}
	other := order(t, 1, func(o *Order) { o.Test, o.Latest = [32]byte{8}, o.Start })
	got, err := d.Take(start, &other, roomy)
	if err != nil || got.Accepted || got.Refusal.Reason != Overlaps || got.Refusal.Other != o.ID() || !got.Refusal.Until.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := got.Refusal.Verify(&other, DefaultRules()); err != nil {
		t.Error(err)
	}
	d.Drop(o.Test)
	if got, err = d.Take(start, &other, roomy); err != nil || !got.Accepted {
		t.Errorf("after the first was dropped: %+v, %v", got, err)
	}
}

func TestDocket_isBounded(t *testing.T) {
	d := docket(t, 2)
	for i := range MaxTaken + 1 {
		o := order(t, 1, func(o *Order) {
			o.Test = [32]byte{byte(i), 1}
			o.SetUp, o.Duration, o.Interval = 0, 100*time.Millisecond, 100*time.Millisecond
			o.Start = o.Start.Add(time.Duration(i) * 10 * time.Second)
			o.Latest = o.Start
		})
		got, err := d.Take(start.Add(-time.Second), &o, roomy)
		if i < MaxTaken && (err != nil || !got.Accepted) || i == MaxTaken && !errors.Is(err, ErrFull) {
			t.Fatalf("order %d: %+v, %v", i, got, err)
		}
	}
}

func TestNewDocket_refusesByName(t *testing.T) {
	good := DocketConfig{Network: "devnet", Key: key(t, 2), Rules: DefaultRules(), Plan: func(*Order) error { return nil }}
	for want, change := range map[string]func(*DocketConfig){
		"Network":          func(c *DocketConfig) { c.Network = "" },
		"Key":              func(c *DocketConfig) { c.Key = nil },
		"Plan":             func(c *DocketConfig) { c.Plan = nil },
		"Headroom":         func(c *DocketConfig) { c.Rules.Headroom = 0 },
		"Idle":             func(c *DocketConfig) { c.Rules.Idle = 10_001 },
		"DeferBy":          func(c *DocketConfig) { c.Rules.DeferBy = 0 },
		"Checkpoint":       func(c *DocketConfig) { c.Rules.Checkpoint = 0 },
		"Silence":          func(c *DocketConfig) { c.Rules.Silence = 0 },
		"Trip is":          func(c *DocketConfig) { c.Rules.Trip = -1 },
		"TripShare":        func(c *DocketConfig) { c.Rules.TripShare = 10_001 },
		"Share":            func(c *DocketConfig) { c.Rules.Share = 10_001 },
		"Score: qos: opti": func(c *DocketConfig) { c.Rules.Score.Seed = "" },
	} {
		c := good
		change(&c)
		if _, err := NewDocket(c); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrConfig) && !errors.Is(err, ErrRules) {
			t.Errorf("%v, want one that says %s", err, want)
		}
	}
}

// What somebody says in a refusal that is not so.
func TestRefusal_excusesThatDoNotHold(t *testing.T) {
	o := order(t, 1, nil)
	busy := Advertised{CapacityMbps: 100, LoadMbps: 90}
	resign := func(r Refusal, node byte) Refusal { r.Signature = key(t, node).SignTyped(r.typed()); return r }
	good := *docket(t, 2).refuse(&o, Busy, busy, [32]byte{})
	for _, x := range []struct {
		name   string
		is     error
		change func(*Refusal) byte // who signs
	}{
		{"not busy", ErrExcuse, func(r *Refusal) byte { r.Advertised.LoadMbps = 10; return 2 }},
		{"not draining", ErrExcuse, func(r *Refusal) byte { r.Reason = Draining; return 2 }},
		{"overlaps itself", ErrExcuse, func(r *Refusal) byte { r.Reason, r.Other = Overlaps, r.Order; return 2 }},
		{"a reason of no name", ErrExcuse, func(r *Refusal) byte { r.Reason = 9; return 2 }},
		{"never again", ErrExcuse, func(r *Refusal) byte { r.Until = time.Time{}; return 2 }},
		{"another order", ErrForeign, func(r *Refusal) byte { r.Order[0]++; return 2 }},
		{"a stranger", ErrForeign, func(r *Refusal) byte { r.Node = key(t, 9).ID(); return 9 }},
		{"signed by another", ErrSignature, func(*Refusal) byte { return 3 }},
	} {
		r := good
		signer := x.change(&r)
		r = resign(r, signer)
		if err := r.Verify(&o, DefaultRules()); !errors.Is(err, x.is) {
			t.Errorf("%s: %v, want %v", x.name, err, x.is)
		}
	}
}

// tamper gives a copy of a report whose samples were changed and signed again by
// its own node, as a liar would.
func tamper(t failer, r *Report, change func(*Report)) *Report {
	c := *r
	c.Samples = slices.Clone(r.Samples)
	change(&c)
	c.sign(keyOf(t, c.Node))
	return &c
}

func each(change func(*Sample)) func(*Report) {
	return func(r *Report) {
		for i := range r.Samples {
			change(&r.Samples[i])
		}
	}
}

// What liars sign, and what becomes of it.
func TestJudge_liars(t *testing.T) {
	o := order(t, 1, nil)
	prover, challenger := honest(t, o)
	truth := judge(t, &o, prover, challenger)
	if truth.Void != 0 || truth.Result.V.Float() < 0.95 {
		t.Fatalf("the honest pair: %s, %v", truth.Void, truth.Result.V)
	}
	deaf := func(r *Report) { r.Heard = nil }
	shorten := func(n int) func(*Report) {
		return func(r *Report) { r.Samples, r.End = r.Samples[:n], PeerLost }
	}
	triple := each(func(s *Sample) { s.Bytes, s.Packets, s.Expected = 3*s.Bytes, 3*s.Packets, 3*s.Expected })
	nothing := each(func(s *Sample) { s.Bytes, s.Packets, s.Lost = 0, 0, s.Expected })
	for _, x := range []struct {
		name               string
		prover, challenger *Report
		void               Void
		fault              byte
		v                  func(float64) bool
	}{
		{"no challenger, which had begun", prover, nil, ChallengerAbsent, 3, nil},
		{"no challenger", tamper(t, prover, deaf), nil, ChallengerAbsent, 0, nil},
		{"no prover, which had begun", nil, challenger, 0, 0, func(v float64) bool { return v == truth.Result.V.Float() }},
		{"no prover", nil, tamper(t, challenger, deaf), ProverAbsent, 0, nil},
		{"the challenger's samples after the fact", prover, tamper(t, challenger, nothing), ContradictsItself, 3, nil},
		{"truncated by the challenger", prover, tamper(t, challenger, shorten(5)), ContradictsItself, 3, nil},
		{"the prover's samples after the fact", tamper(t, prover, triple), challenger, 0, 2, func(v float64) bool { return v == truth.Result.V.Float() }},
		{"truncated by the prover", tamper(t, prover, shorten(5)), challenger, 0, 2, func(v float64) bool { return v == truth.Result.V.Float() }},
		{"a friend says that more came", tamper(t, prover, deaf), tamper(t, challenger, func(r *Report) { triple(r); deaf(r) }), ReceivedMoreThanSent, 0, nil},
		{"a foe says that nothing came, against its own receiver reports", tamper(t, prover, deaf), tamper(t, challenger, func(r *Report) { nothing(r); deaf(r) }), AcknowledgedMore, 0, nil},
		{"the prover says it sent more", tamper(t, prover, func(r *Report) { deaf(r); each(func(s *Sample) { s.Bytes, s.Packets = 3*s.Bytes, 3*s.Packets })(r) }), tamper(t, challenger, deaf), 0, 0, func(v float64) bool { return v == truth.Result.V.Float() }},
		{"the challenger's round trips", tamper(t, prover, deaf), tamper(t, challenger, func(r *Report) {
			deaf(r)
			each(func(s *Sample) { s.Trip += 100 * time.Millisecond })(r)
		}), TripsDiffer, 0, nil},
		{"the prover's round trips", tamper(t, prover, func(r *Report) {
			deaf(r)
			each(func(s *Sample) { s.Trip += 100 * time.Millisecond })(r)
		}), tamper(t, challenger, deaf), TripsDiffer, 0, nil},
		{"no round trips", prover, tamper(t, challenger, func(r *Report) { deaf(r); each(func(s *Sample) { s.Trip = 0 })(r) }), ContradictsItself, 3, nil},
		{"no round trips from the beginning", nil, tamper(t, challenger, each(func(s *Sample) { s.Trip = 0 })), NoTrips, 0, nil},
		{"the challenger stopped", nil, tamper(t, challenger, func(r *Report) { r.Samples, r.End = r.Samples[:5], Stopped }), ChallengerWithdrew, 0, nil},
		{"the prover stopped", tamper(t, prover, func(r *Report) { r.Samples, r.End = r.Samples[:14], Stopped }), challenger, 0, 0, func(v float64) bool { return v == truth.Result.V.Float() }},
		{"they did not meet", tamper(t, prover, func(r *Report) { r.Samples, r.End = nil, Unconnected; deaf(r) }), tamper(t, challenger, deaf), NotConnected, 0, nil},
	} {
		v := judge(t, &o, x.prover, x.challenger)
		want := key(t, max(1, x.fault)).ID()
		if x.fault == 0 {
			want = [20]byte{}
		}
		if v.Void != x.void || v.Fault != want {
			t.Errorf("%s: %s, fault %s, want %s, fault of %d", x.name, v.Void, v.Fault, x.void, x.fault)
		}
		if x.v == nil && v.Result.V != 0 || x.v != nil && !x.v(v.Result.V.Float()) {
			t.Errorf("%s: V %v", x.name, v.Result.V.Float())
		}
	}
}

// What does not verify is not judged.
func TestJudge_refusesWhatDoesNotVerify(t *testing.T) {
	o := order(t, 1, nil)
	prover, challenger := honest(t, o)
	unsigned := func(change func(*Report)) *Report {
		c := *challenger
		c.Samples = slices.Clone(c.Samples)
		change(&c)
		return &c
	}
	swap := func(r *Report) { r.Samples[4], r.Samples[5] = r.Samples[5], r.Samples[4] }
	heard := *challenger.Heard
	heard.Count = 99
	strange := *challenger.Heard
	strange.Node = key(t, 9).ID()
	for _, x := range []struct {
		name               string
		is                 error
		order              Order
		prover, challenger *Report
	}{
		{"nobody", ErrReport, o, nil, nil},
		{"another network", ErrForeign, order(t, 1, func(o *Order) { o.Network = "mainnet" }), prover, challenger},
		{"another epoch", ErrForeign, order(t, 1, func(o *Order) { o.Epoch++ }), prover, challenger},
		{"another attempt", ErrForeign, order(t, 1, func(o *Order) { o.Attempt++ }), prover, challenger},
		{"the sides exchanged", ErrForeign, o, challenger, prover},
		{"samples in another order", ErrReport, o, prover, unsigned(swap)},
		{"in another order, signed", ErrReport, o, prover, tamper(t, challenger, swap)},
		{"a sample left out", ErrReport, o, prover, unsigned(func(r *Report) { r.Samples = slices.Delete(r.Samples, 3, 4) })},
		{"a sample changed", ErrSignature, o, prover, unsigned(func(r *Report) { r.Samples[3].Jitter++ })},
		{"the end changed", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.End = PeerLost })},
		{"an end of no name", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.End = 9 })},
		{"cut short and called complete", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples = r.Samples[:9] })},
		{"samples without connection", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.End, r.Samples = Unconnected, r.Samples[:9] })},
		{"too many samples", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples = append(r.Samples, r.Samples[20]) })},
		{"a sample before its time", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples[3].At -= time.Second })},
		{"counters run backwards", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples[3].Bytes = 0 })},
		{"packets of no size", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples[20].Bytes *= 2 })},
		{"lost and received do not add up", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples[20].Lost++ })},
		{"more lost than expected", ErrReport, o, tamper(t, prover, func(r *Report) { r.Samples[20].Lost = r.Samples[20].Expected + 1 }), challenger},
		{"more acknowledged than sent", ErrReport, o, tamper(t, prover, func(r *Report) { r.Samples[20].Expected = r.Samples[20].Packets + 1 }), challenger},
		{"counters past 2^48", ErrReport, o, tamper(t, prover, func(r *Report) { r.Samples[20].Packets = 1 << 48 }), challenger},
		{"a round trip of an hour", ErrReport, o, prover, tamper(t, challenger, func(r *Report) { r.Samples[20].Trip = time.Hour })},
		{"a checkpoint of too many", ErrCheckpoint, o, prover, tamper(t, challenger, func(r *Report) { r.Heard = &heard })},
		{"a stranger's checkpoint", ErrForeign, o, prover, tamper(t, challenger, func(r *Report) { r.Heard = &strange })},
		{"signed by a stranger", ErrForeign, o, prover, tamper(t, challenger, func(r *Report) { r.Node = key(t, 9).ID() })},
	} {
		if v, err := Judge(&x.order, x.prover, x.challenger, DefaultRules()); !errors.Is(err, x.is) {
			t.Errorf("%s: %s, %v, want %v", x.name, v.Void, err, x.is)
		}
	}
	if _, err := Judge(&o, prover, challenger, Rules{}); !errors.Is(err, ErrRules) {
		t.Errorf("without rules: %v", err)
	}
}

func TestHear_contradictions(t *testing.T) {
	o := order(t, 1, nil)
	new := func(node byte, peer byte) *Session {
		s, err := NewSession(SessionConfig{Order: o, Key: key(t, node), Peer: key(t, peer).ID(), Rules: DefaultRules()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	prover := new(2, 3)
	word := func(count uint32, chain byte) Checkpoint {
		c := Checkpoint{Part: new(3, 2).Part(), Count: count, Chain: [32]byte{chain}}
		c.sign(key(t, 3))
		return c
	}
	for _, x := range []struct {
		name string
		c    Checkpoint
		is   error
	}{
		{"the first", word(1, 1), nil},
		{"again", word(1, 1), nil},
		{"another of as many", word(1, 2), ErrContradiction},
		{"a later one", word(13, 3), nil},
		{"an old one", word(1, 9), nil},
		{"of no samples", word(0, 1), ErrCheckpoint},
		{"its own", Checkpoint{Part: prover.Part(), Count: 1}, ErrForeign},
		{"forged", Checkpoint{Part: new(3, 2).Part(), Count: 14}, ErrSignature},
	} {
		if err := prover.Hear(x.c); !errors.Is(err, x.is) || x.is == nil && err != nil {
			t.Errorf("%s: %v, want %v", x.name, err, x.is)
		}
	}
	if prover.heard.Count != 13 {
		t.Errorf("heard %d, want 13", prover.heard.Count)
	}
	a, b := honest(t, o)
	if changed := tamper(t, a, func(r *Report) { r.CPUMillis++ }); !a.Contradicts(changed) || a.Contradicts(a) || a.Contradicts(b) {
		t.Error("two words of one node for one test are a contradiction, and nothing else is")
	}
}
