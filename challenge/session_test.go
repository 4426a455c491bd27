package challenge

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/internal/netlink/shape"
	"github.com/drtc-network/drtc/qos"
)

func judge(t failer, o *Order, prover, challenger *Report) Verdict {
	t.Helper()
	v, err := Judge(o, prover, challenger, DefaultRules())
	if err != nil {
		t.Fatalf("Judge: %v", err)
	}
	return v
}

// The streams that the whitepaper's score does not see, in the network's own
// test: 20 minutes after 2 minutes of set-up, a sample each 5 s.
func TestJudge_streamsOfTwentyMinutes(t *testing.T) {
	o := order(t, 1, func(o *Order) {
		o.SetUp, o.Duration, o.Interval, o.RateKbps, o.PacketBytes = 2*time.Minute, 20*time.Minute, 5*time.Second, 1000, 1200
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ms := time.Millisecond
	for _, x := range []struct {
		name                                 string
		path                                 shape.Settings
		throttle                             uint32
		paperLeast, vLeast, vMost, fLeast, f float64
	}{
		{name: "healthy", path: shape.Settings{Delay: 10 * ms, Jitter: shape.Jitter{Spread: 2 * ms}}, paperLeast: 0.99, vLeast: 0.98, vMost: 1, fLeast: 1, f: 1},
		{name: "the prover paces 50 kbit/s", path: shape.Settings{Delay: 10 * ms}, throttle: 50, paperLeast: 0.95, vMost: 0.1, fLeast: 1, f: 1},
		{name: "constant 800 ms", path: shape.Settings{Delay: 400 * ms}, paperLeast: 0.95, vMost: 0.2, fLeast: 1, f: 1},
		{name: "3 % loss", path: shape.Settings{Delay: 10 * ms, Loss: shape.Loss{Probability: 0.03}}, paperLeast: 0.95, vLeast: 0.9, vMost: 0.975, fLeast: 0.95, f: 1},
		{name: "5 % loss", path: shape.Settings{Delay: 10 * ms, Loss: shape.Loss{Probability: 0.05}}, paperLeast: 0.3, vMost: 0.7, fLeast: 0.38, f: 0.66},
	} {
		w := newWorld(t, o, o.Challengers[0].ID, x.path, shape.Settings{Delay: x.path.Delay}, seed)
		w.throttle = x.throttle
		prover, challenger := w.run(t)
		v := judge(t, &o, prover, challenger)
		f := float64(v.Result.Scores.Loss.Good) / float64(v.Result.Scores.Loss.Total)
		t.Logf("%-28s v_paper %.4f, g %.4f, v %.4f, F %.3f; %d and %d bytes of reports", x.name, v.Result.PaperV.Float(), v.Result.Adequacy.Float(), v.Result.V.Float(), f, len(prover.Bytes()), len(challenger.Bytes()))
		if got := v.Result.V.Float(); v.Void != 0 || v.Result.PaperV.Float() < x.paperLeast || got < x.vLeast || got > x.vMost || f < x.fLeast || f > x.f {
			t.Errorf("%s: %s, v_paper %v, v %v, F %v, want v_paper from %v, v %v to %v, F %v to %v", x.name, v.Void, v.Result.PaperV.Float(), got, f, x.paperLeast, x.vLeast, x.vMost, x.fLeast, x.f)
		}
		if n := len(prover.Bytes()) + len(challenger.Bytes()); n >= 64<<10 || len(prover.Samples) != 241 || len(challenger.Samples) != 241 {
			t.Errorf("%s: %d bytes, %d and %d samples", x.name, n, len(prover.Samples), len(challenger.Samples))
		}
	}
	if 2*MaxReport >= 64<<10 {
		t.Errorf("two reports may be %d bytes, want less than 64 KB", 2*MaxReport)
	}
}

func TestJudge_healthyTwentyTimes(t *testing.T) {
	o := order(t, 1, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(20) {
		path := shape.Settings{Delay: 15 * time.Millisecond, Jitter: shape.Jitter{Spread: 3 * time.Millisecond}, Loss: shape.Loss{Probability: 0.001}}
		if v := judgeOf(newWorld(t, o, o.Challengers[0].ID, path, path, seed+i).run(t))(t, &o); v.Void != 0 || v.Result.V.Float() <= 0.9 {
			t.Errorf("run %d: %s, v %v", i, v.Void, v.Result.V.Float())
		}
	}
}

func judgeOf(prover, challenger *Report) func(failer, *Order) Verdict {
	return func(t failer, o *Order) Verdict { return judge(t, o, prover, challenger) }
}

// Two honest sides agree whatever the path does and however far their clocks are
// apart within the rules; and what they sign survives its own bytes.
func TestJudge_honestPairsAlwaysAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
		}
		o := order(t, 1, func(o *Order) {
			o.RateKbps = rapid.Uint32Range(60, 1500).Draw(t, "kbps")
			o.PacketBytes = rapid.Uint16Range(300, MaxPacketBytes).Draw(t, "packet")
			o.Duration = time.Duration(rapid.IntRange(1, 20).Draw(t, "samples")) * o.Interval
		})
		path := func(way string) shape.Settings {
			return shape.Settings{
				Delay:  ms(way+" delay", 400),
				Jitter: shape.Jitter{Spread: ms(way+" jitter", 40)},
				Loss:   shape.Loss{Probability: rapid.Float64Range(0, 0.6).Draw(t, way+" loss")},
			}
		}
		there, back := path("there"), path("back")
		if rapid.Bool().Draw(t, "bottleneck") {
			there.Rate = shape.Rate{BitsPerSecond: int64(o.RateKbps) * int64(rapid.IntRange(300, 1500).Draw(t, "of the rate")), Burst: 3000, QueueBytes: 20_000}
		}
		w := newWorld(t, o, o.Challengers[0].ID, there, back, rapid.Uint64().Draw(t, "seed"))
		w.skew = [2]time.Duration{ms("skew", 2500) - 1250*time.Millisecond, ms("skew", 2500) - 1250*time.Millisecond}
		w.lossyControls = rapid.Bool().Draw(t, "no checkpoints")
		if rapid.Bool().Draw(t, "throttled") {
			w.throttle = rapid.Uint32Range(1, o.RateKbps).Draw(t, "throttle")
		}
		if rapid.Bool().Draw(t, "cut") {
			at := o.Begin().Add(ms("cut at", 20_000))
			for _, s := range []*shape.Shaper{w.there, w.back} {
				down := s.Settings()
				down.Down = true
				if err := errors.Join(s.Schedule(at, down), s.Schedule(at.Add(ms("cut for", 15_000)), s.Settings())); err != nil {
					t.Fatal(err)
				}
			}
		}
		prover, challenger := w.run(t)
		if prover == nil || challenger == nil {
			t.Fatal("a side made no report")
		}
		v := judge(t, &o, prover, challenger)
		if v.Fault != o.Prover && !v.Fault.IsZero() || v.Void != 0 && v.Void != NoTrips {
			t.Fatalf("%s, fault %s", v.Void, v.Fault)
		}
		for _, r := range []*Report{prover, challenger} {
			again, err := ParseReport(r.Bytes())
			if err != nil || again.Hash() != r.Hash() || !slices.Equal(again.Bytes(), r.Bytes()) {
				t.Fatalf("of its bytes: %v", err)
			}
			if err := again.Verify(&o); err != nil {
				t.Fatal(err)
			}
		}
		if alone := judge(t, &o, nil, challenger); v.Void == 0 && challenger.Heard != nil && alone.Result != v.Result {
			t.Fatalf("without the prover's report %v, with it %v", alone.Result, v.Result)
		}
		// Two packets of those sent before may come while it is measured.
		most := float64(w.throttle) + 2*float64(o.PacketBytes)*8/1000/o.Duration.Seconds()
		if w.throttle != 0 && v.Void == 0 && v.Result.V.Float() > most/float64(o.RateKbps)+0.02 {
			t.Fatalf("%d of %d kbit/s have v %v", w.throttle, o.RateKbps, v.Result.V.Float())
		}
	})
}

func TestSession_proverVanishes(t *testing.T) {
	o := order(t, 1, func(o *Order) { o.Duration = 100 * time.Second })
	path := shape.Settings{Delay: 20 * time.Millisecond}
	w := newWorld(t, o, o.Challengers[0].ID, path, path, 1)
	half := o.Begin().Add(50500 * time.Millisecond)
	w.stalls = func(now time.Time) bool { return now.After(half) }
	_, challenger := w.run(t)
	if challenger.End != PeerLost || len(challenger.Samples) != 82 {
		t.Fatalf("%s after %d samples, want peer lost after 30 s of silence", challenger.End, len(challenger.Samples))
	}
	// The Prover's process is gone: no report. What was not measured is dead.
	v := judge(t, &o, nil, challenger)
	if v.Void != 0 || v.Result.Scores.Loss != (econ.Tally{Good: 51, Total: 100}) {
		t.Errorf("%s, loss %v, want 51 of 100 good", v.Void, v.Result.Scores.Loss)
	}
}

func TestSession_withdrawsForPayingSessions(t *testing.T) {
	o := order(t, 1, nil)
	s, err := NewSession(SessionConfig{Order: o, Key: key(t, 2), Peer: o.Challengers[0].ID, Rules: DefaultRules()})
	if err != nil {
		t.Fatal(err)
	}
	actions := func() (verbs []Verb, report *Report) {
		for {
			a, ok := s.Poll()
			if !ok {
				return verbs, report
			}
			verbs = append(verbs, a.Do)
			if a.Report != nil {
				report = a.Report
			}
		}
	}
	s.Timeout(o.Start)
	s.Connected(o.Start)
	if verbs, _ := actions(); !slices.Equal(verbs, []Verb{Connect}) {
		t.Fatalf("at the start: %v", verbs)
	}
	if got, want := s.NextTimeout(), o.Begin().Add(-5*time.Second); !got.Equal(want) {
		t.Errorf("the stream starts at %v, want %v", got, want)
	}
	s.Timeout(o.Begin().Add(-5 * time.Second))
	if verbs, _ := actions(); !slices.Equal(verbs, []Verb{StartStream}) {
		t.Fatalf("warming up: %v", verbs)
	}
	s.Timeout(o.Begin())
	s.Timeout(o.Begin()) // asked once
	s.Measured(o.Begin(), Counters{})
	if verbs, _ := actions(); !slices.Equal(verbs, []Verb{Measure, SendCheckpoint}) {
		t.Fatalf("at the beginning: %v", verbs)
	}
	s.Disconnected(o.Begin())
	s.Connected(o.Begin())
	if verbs, _ := actions(); !slices.Equal(verbs, []Verb{StopStream, Connect, StartStream}) {
		t.Fatalf("reconnecting: %v", verbs)
	}
	s.Advertise(Advertised{CapacityMbps: 100, LoadMbps: 60, Cores: 1})
	if verbs, _ := actions(); len(verbs) != 0 {
		t.Fatalf("with room: %v", verbs)
	}
	s.Advertise(Advertised{CapacityMbps: 100, LoadMbps: 80, Cores: 1})
	verbs, report := actions()
	if !slices.Equal(verbs, []Verb{StopStream, Close, Finish}) || report.End != Withdrawn || !s.NextTimeout().IsZero() {
		t.Fatalf("without: %v", verbs)
	}
	// What it signed shows that it was entitled to; a node with room is judged.
	_, challenger := honest(t, o)
	challenger.Heard = nil // of another run
	challenger.sign(key(t, 3))
	if v := judge(t, &o, report, challenger); v.Void != ProverWithdrew {
		t.Errorf("withdrawn: %s", v.Void)
	}
	report.Advertised.LoadMbps = 60
	report.sign(key(t, 2))
	if v := judge(t, &o, report, challenger); v.Void != ReceivedMoreThanSent { // it had sent nothing yet
		t.Errorf("withdrawn with room: %s", v.Void)
	}
}

func TestSession_lateOrUnconnected(t *testing.T) {
	o := order(t, 1, nil)
	for _, x := range []struct {
		name string
		do   func(*Session)
		end  End
		n    int
	}{
		{"nobody connects", func(s *Session) { s.Timeout(o.Start); s.Timeout(o.Begin()) }, Unconnected, 0},
		{"nobody connects, and the timer is late", func(s *Session) { s.Timeout(o.Start); s.Timeout(o.End()) }, Unconnected, 0},
		{"the answer to Measure never comes", func(s *Session) {
			s.Timeout(o.Start)
			s.Connected(o.Start)
			s.Timeout(o.Begin())
			s.Timeout(s.NextTimeout())
		}, Stopped, 0},
		{"a sample is missed", func(s *Session) {
			s.Timeout(o.Start)
			s.Connected(o.Start)
			s.Timeout(o.Begin())
			s.Measured(o.Begin(), Counters{})
			s.Timeout(o.Begin().Add(2 * time.Second))
		}, Stopped, 1},
		{"counters run backwards", func(s *Session) {
			s.Timeout(o.Start)
			s.Connected(o.Start)
			s.Timeout(o.Begin())
			s.Measured(o.Begin(), Counters{Packets: 2, Expected: 2})
			s.Timeout(o.Begin().Add(time.Second))
			s.Measured(o.Begin().Add(time.Second), Counters{Packets: 1, Expected: 2})
		}, Stopped, 1},
		{"the node is stopped", func(s *Session) { s.Stop() }, Stopped, 0},
	} {
		s, err := NewSession(SessionConfig{Order: o, Key: key(t, 3), Peer: o.Prover, Rules: DefaultRules()})
		if err != nil {
			t.Fatal(err)
		}
		x.do(s)
		var report *Report
		for a, ok := s.Poll(); ok; a, ok = s.Poll() {
			report = a.Report
		}
		if report == nil || report.End != x.end || len(report.Samples) != x.n {
			t.Errorf("%s: %+v, want %s with %d samples", x.name, report, x.end, x.n)
			continue
		}
		if err := report.Verify(&o); err != nil {
			t.Errorf("%s: its own report: %v", x.name, err)
		}
	}
}

func TestNewSession_refusesByName(t *testing.T) {
	o := order(t, 1, nil)
	for _, x := range []struct {
		want   string
		is     error
		change func(*SessionConfig)
	}{
		{"Key", ErrConfig, func(c *SessionConfig) { c.Key = nil }},
		{"packetBytes", ErrOrder, func(c *SessionConfig) { c.Order.PacketBytes = 0 }},
		{"Skew", ErrRules, func(c *SessionConfig) { c.Rules.Skew = 0 }},
		{"has no part", ErrForeign, func(c *SessionConfig) { c.Key = key(t, 9) }},
		{"has no part", ErrForeign, func(c *SessionConfig) { c.Peer = key(t, 9).ID() }},
	} {
		c := SessionConfig{Order: o, Key: key(t, 3), Peer: o.Prover, Rules: DefaultRules()}
		x.change(&c)
		if _, err := NewSession(c); !errors.Is(err, x.is) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want one that says %q", err, x.want)
		}
	}
}

func TestPacer_neverAheadNeverBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Order{RateKbps: rapid.Uint32Range(1, 2_000_000).Draw(t, "kbps"), PacketBytes: rapid.Uint16Range(MinPacketBytes, MaxPacketBytes).Draw(t, "bytes")}
		p := NewPacer(start, &o)
		bits := float64(o.PacketBytes) * 8
		sent, now := 0.0, start
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(maxBurst)).Draw(t, "gap")))
			sent += float64(p.Due(now))
			due := now.Sub(start).Seconds() * float64(o.RateKbps) * 1000 / bits
			if sent > due+1e-6 || sent < due-1-1e-6 {
				t.Fatalf("%v packets after %v, due are %v", sent, now.Sub(start), due)
			}
			if next := p.Next(); !next.After(now) || NewPacer(start, &o).at(next.Sub(p.start)) != p.sent+1 || p.at(next.Sub(p.start)-1) != p.sent {
				t.Fatalf("the next is due at %v, now is %v", next, now)
			}
		}
	})
}

func TestPacer_forfeitsAStall(t *testing.T) {
	o := Order{RateKbps: 800, PacketBytes: 1000} // 100 packets/s
	p := NewPacer(start, &o)
	for _, x := range []struct {
		after time.Duration
		want  int
	}{{time.Second, 25}, {1100 * time.Millisecond, 10}, {1350 * time.Millisecond, 25}, {2350 * time.Millisecond, 25}} {
		if n := p.Due(start.Add(x.after)); n != x.want {
			t.Errorf("after %v %d packets, want %d", x.after, n, x.want)
		}
	}
}

func TestProven_sumsWhatWasThereAtOnce(t *testing.T) {
	o := order(t, 3, func(o *Order) { o.RateKbps = 4000 })
	ms := time.Millisecond
	pairs := make([]Pair, 3)
	for i, target := range o.Challengers {
		path := shape.Settings{Delay: 10 * ms}
		w := newWorld(t, o, target.ID, path, path, uint64(i))
		if i == 2 { // gets half
			w.throttle = 2000
		}
		pairs[i].Prover, pairs[i].Challenger = w.run(t)
	}
	mbps, verdicts, err := Proven(&o, pairs, DefaultRules())
	if err != nil || mbps != 9 && mbps != 10 || len(verdicts) != 3 { // the last packet of a second may be in the next
		t.Fatalf("%d Mbit/s, %v, %v, want 10", mbps, verdicts, err)
	}
	// A Challenger that says more than was sent adds nothing, one that both sides
	// lie for adds its share.
	lie := *pairs[2].Challenger
	lie.Samples = slices.Clone(lie.Samples)
	for i := range lie.Samples {
		s := &lie.Samples[i]
		s.Bytes, s.Packets, s.Expected = s.Bytes*4, s.Packets*4, s.Expected*4
	}
	lie.sign(keyOf(t, lie.Node))
	without := []Pair{pairs[0], pairs[1], {nil, &lie}}
	prover := *pairs[2].Prover
	prover.Heard = nil
	prover.sign(keyOf(t, prover.Node))
	without[2].Prover = &prover
	mbps, verdicts, err = Proven(&o, without, DefaultRules())
	if err != nil || mbps > 8 || verdicts[2].Void != ReceivedMoreThanSent {
		t.Errorf("with a liar %d Mbit/s, %v, %v", mbps, verdicts[2].Void, err)
	}
	without[2].Prover = nil
	mbps, _, err = Proven(&o, without, DefaultRules())
	if err != nil || mbps > 12 {
		t.Errorf("with a friend %d Mbit/s, %v, want at most 12", mbps, err)
	}
	if mbps, _, err = Proven(&o, nil, DefaultRules()); err != nil || mbps != 0 {
		t.Errorf("of nothing %d, %v", mbps, err)
	}
	if _, _, err = Proven(&o, []Pair{pairs[0], pairs[0]}, DefaultRules()); !errors.Is(err, ErrForeign) {
		t.Errorf("twice the same: %v", err)
	}
	quality := order(t, 1, nil)
	if _, _, err = Proven(&quality, nil, DefaultRules()); !errors.Is(err, ErrKind) {
		t.Errorf("a test of quality: %v", err)
	}
}

func TestFindings_advertisedAgainstMeasured(t *testing.T) {
	o := order(t, 1, nil) // 800 kbit/s, 50 ms
	w := newWorld(t, o, o.Challengers[0].ID, shape.Settings{Delay: 60 * time.Millisecond}, shape.Settings{Delay: 60 * time.Millisecond}, 1)
	w.throttle = 400
	v := judge(t, &o, nil, nil2(w.run(t)))
	want := []Finding{{Bandwidth, 800, 400, false}, {Latency, 50_000, 120_000, false}}
	if len(v.Findings) != 2 || v.Findings[0].Holds || v.Findings[0].Measured > 404 || v.Findings[0].Measured < 396 || v.Findings[1] != want[1] {
		t.Errorf("%v, want about %v", v.Findings, want)
	}
	prover, challenger := honest(t, o)
	v = judge(t, &o, prover, challenger)
	// 300 thousandths at 5 + 0.8 Mbit/s are 5172 at 100.
	if got := v.Findings[2]; got != (Finding{CPU, 2000, 5172, false}) {
		t.Errorf("cpu: %v", got)
	}
	if !v.Findings[0].Holds || !v.Findings[1].Holds {
		t.Errorf("healthy: %v", v.Findings)
	}
	report := qos.NewReport(challenger.Series(&o), v.Result)
	if err := report.Check(DefaultRules().Score); err != nil {
		t.Errorf("the whitepaper's report: %v", err)
	}
}

func nil2(_, challenger *Report) *Report { return challenger }
