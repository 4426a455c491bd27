package netsim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netsim"
)

// A listener remembers what it hears and how often it was woken.
type listener struct {
	port   *netsim.Port[int]
	heard  []int
	at     []time.Time
	wakes  []int
	starts []time.Time
}

func (l *listener) Start(now time.Time) { l.starts = append(l.starts, now) }
func (l *listener) Receive(now time.Time, _ int, m int) {
	l.heard = append(l.heard, m)
	l.at = append(l.at, now)
}
func (l *listener) Timeout(_ time.Time, tag int) { l.wakes = append(l.wakes, tag) }

// listeners is a network of n listeners that are up.
func listeners(t testing.TB, n int, c netsim.Config[int]) (*netsim.Network[int], []*listener) {
	t.Helper()
	net := netsim.New(c)
	all := make([]*listener, n)
	for i := range all {
		net.Add(func(p *netsim.Port[int]) netsim.Node[int] {
			all[i] = &listener{port: p}
			return all[i]
		})
	}
	run(t, net, 0)
	return net, all
}

func run[M any](t testing.TB, net *netsim.Network[M], until time.Duration) {
	t.Helper()
	if err := net.Run(until); err != nil {
		t.Fatalf("%v\n%s", err, net.Report())
	}
}

func TestSend_keepsOrderAndDelay(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{Link: netsim.Link{Delay: netsim.Uniform(10*time.Millisecond, 90*time.Millisecond)}})
	begin := net.Now()
	for i := range 1000 {
		net.At(time.Duration(i)*time.Millisecond, func() { nodes[0].port.Send(1, i) })
	}
	run(t, net, 2*time.Second)
	if len(nodes[1].heard) != 1000 || !slices.IsSorted(nodes[1].heard) {
		t.Errorf("got %d messages, sorted %t, want 1000 in order", len(nodes[1].heard), slices.IsSorted(nodes[1].heard))
	}
	for i, at := range nodes[1].at {
		if d := at.Sub(begin) - time.Duration(i)*time.Millisecond; d < 10*time.Millisecond || d > 90*time.Millisecond {
			t.Fatalf("message %d took %s, want 10 to 90 ms", i, d)
		}
	}
}

func TestLink_losesDoublesAndReordersAsSet(t *testing.T) {
	const sent = 100_000
	net, nodes := listeners(t, 2, netsim.Config[int]{Seed: 7, Link: netsim.Link{
		Delay: netsim.Fixed(time.Millisecond), Loss: 0.2, Duplicate: 0.1, Reorder: 0.05, ReorderBy: 10 * time.Millisecond,
	}})
	for i := range sent {
		net.At(time.Duration(i)*time.Millisecond, func() { nodes[0].port.Send(1, i) })
	}
	run(t, net, sent*time.Millisecond+time.Second)
	stats := net.Stats()
	near := func(what string, got int, of int, want float64) {
		t.Helper()
		if rate := float64(got) / float64(of); rate < want-0.01 || rate > want+0.01 {
			t.Errorf("%s: got %.4f, want %.2f +/- 0.01", what, rate, want)
		}
	}
	near("lost", stats[netsim.Lost], sent, 0.2)
	near("doubled", stats[netsim.Doubled], sent-stats[netsim.Lost], 0.1)
	if got, want := len(nodes[1].heard), sent-stats[netsim.Lost]+stats[netsim.Doubled]; got != want {
		t.Errorf("delivered: got %d, want %d", got, want)
	}
	overtaken := 0
	for i := 1; i < len(nodes[1].heard); i++ {
		if nodes[1].heard[i] < nodes[1].heard[i-1] {
			overtaken++
		}
	}
	// Held back by 0 to 10 ms with one message a millisecond: nearly all are overtaken.
	near("overtaken", overtaken, len(nodes[1].heard), 0.045)
}

func TestSendReliable_isAStreamOnALossyLink(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{Seed: 3, Link: netsim.Link{
		Delay: netsim.LongTail(20*time.Millisecond, 3), Loss: 0.3, Duplicate: 0.5, Reorder: 0.5,
	}})
	for i := range 2000 {
		nodes[0].port.SendReliable(1, i)
	}
	run(t, net, time.Minute)
	if len(nodes[1].heard) != 2000 || !slices.IsSorted(nodes[1].heard) {
		t.Errorf("got %d frames, want 2000 in order", len(nodes[1].heard))
	}
	if late := nodes[1].at[1999].Sub(nodes[1].starts[0]); late < 200*time.Millisecond {
		t.Errorf("2000 frames at 30 %% loss came in %s: losses cost nothing", late)
	}
}

func TestPartition_separatesUntilHealed(t *testing.T) {
	net, nodes := listeners(t, 5, netsim.Config[int]{Link: netsim.Link{Delay: netsim.Fixed(10 * time.Millisecond)}})
	everybodyTalks := func() {
		for from, n := range nodes {
			for to := range nodes {
				if to%2 == 0 {
					n.port.Send(to, from)
				} else {
					n.port.SendReliable(to, from)
				}
			}
		}
	}
	net.At(0, everybodyTalks) // under way when the partition begins: lost across it
	net.At(5*time.Millisecond, func() { net.Partition([]int{0, 1}, []int{2}) })
	net.At(time.Second, everybodyTalks)
	run(t, net, 2*time.Second)
	for i, want := range [][]int{{0, 1}, {0, 1}, {2}, {3, 4}, {3, 4}} {
		got := slices.Sorted(slices.Values(nodes[i].heard))
		if want = slices.Sorted(slices.Values(append(want, want...))); !slices.Equal(got, want) {
			t.Errorf("node %d heard %v, want %v", i, got, want)
		}
		nodes[i].heard = nil
	}
	net.Heal()
	everybodyTalks()
	run(t, net, 3*time.Second)
	for i, n := range nodes {
		if got := slices.Sorted(slices.Values(n.heard)); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
			t.Errorf("healed: node %d heard %v, want everybody", i, got)
		}
	}
}

func TestCrash_keepsOnlyWhatWasSaved(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{Link: netsim.Link{Delay: netsim.Fixed(10 * time.Millisecond)}})
	first := nodes[1]
	if first.port.Saved() != nil {
		t.Errorf("a new disk holds %v", first.port.Saved())
	}
	first.port.Save("kept")
	first.port.After(time.Second, 1)
	nodes[0].port.Send(1, 1)
	nodes[0].port.SendReliable(1, 2)
	net.Crash(1)
	net.Crash(1)
	if net.Up(1) || net.Node(1) != nil {
		t.Error("a crashed node is up")
	}
	first.port.Send(0, 3) // a dead life does nothing
	first.port.Save("lost")
	run(t, net, 100*time.Millisecond)

	// What a life had sent before it died still arrives; a stream dies with its end.
	nodes[0].port.SendReliable(1, 4)
	net.Restart(1)
	net.Restart(1)
	nodes[0].port.SendReliable(1, 5)
	nodes[1].port.After(time.Second, 2)
	net.Crash(1)
	net.Restart(1)
	nodes[0].port.Send(1, 6)
	nodes[1].port.After(time.Second, 3)
	run(t, net, 2*time.Second)
	second := nodes[1]
	if second == first || second.port.Saved() != "kept" {
		t.Errorf("restarted with %v, want what the first life saved", second.port.Saved())
	}
	if len(nodes[0].heard) != 0 || len(first.heard) != 0 || !slices.Equal(second.heard, []int{6}) || !slices.Equal(second.wakes, []int{3}) {
		t.Errorf("others heard %v and %v; the last life heard %v and woke %v, want [6] and [3]", nodes[0].heard, first.heard, second.heard, second.wakes)
	}
	if got := net.Stats()[netsim.Cut]; got != 4 {
		t.Errorf("got %d messages cut by the crashes, want 4", got)
	}
}

func TestClock_isTheMachinesOwn(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{})
	net.SetClock(1, time.Hour)
	nodes[1].port.After(time.Minute, 1)
	net.At(30*time.Second, func() { net.SetClock(1, -time.Hour) }) // a jump does not touch timers
	net.At(40*time.Second, func() { nodes[0].port.Send(1, 0) })
	run(t, net, 59*time.Second)
	if len(nodes[1].wakes) != 0 {
		t.Error("the jump of the clock fired a timer")
	}
	run(t, net, time.Minute)
	if len(nodes[1].wakes) != 1 {
		t.Error("the jump of the clock lost a timer")
	}
	if got, want := nodes[1].at[0], net.Now().Add(-20*time.Second-time.Hour); !got.Equal(want) {
		t.Errorf("received at %s of its clock, want %s", got, want)
	}
	if got := nodes[1].port.Now().Sub(nodes[0].port.Now()); got != -time.Hour {
		t.Errorf("clocks differ by %s, want -1h", got)
	}
}

func TestBandwidth_spacesMessagesAndDropsPastTheQueue(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{
		Size: func(int) int { return 1000 },
		Link: netsim.Link{Bandwidth: 10_000, Queue: time.Second}, // 100 ms each
	})
	for i := range 20 {
		nodes[0].port.Send(1, i)
	}
	run(t, net, time.Minute)
	// Ten fill a second; the eleventh finds exactly a second before it.
	if got := len(nodes[1].heard); got != 11 {
		t.Errorf("got %d messages, want 11", got)
	}
	for i, at := range nodes[1].at {
		if got, want := at.Sub(nodes[1].starts[0]), time.Duration(i+1)*100*time.Millisecond; got != want {
			t.Errorf("message %d arrived after %s, want %s", i, got, want)
		}
	}
}

func TestSetLink_isOneDirection(t *testing.T) {
	net, nodes := listeners(t, 2, netsim.Config[int]{})
	net.SetLink(0, 1, netsim.Link{Loss: 1})
	nodes[0].port.Send(1, 1)
	nodes[0].port.SendReliable(1, 1)
	nodes[1].port.Send(0, 2)
	run(t, net, time.Second)
	if len(nodes[1].heard) != 0 || !slices.Equal(nodes[0].heard, []int{2}) {
		t.Errorf("heard %v and %v, want [2] and nothing", nodes[0].heard, nodes[1].heard)
	}
	net.SetLinks(netsim.Link{})
	nodes[0].port.Send(1, 3)
	run(t, net, 2*time.Second)
	if !slices.Equal(nodes[1].heard, []int{3}) {
		t.Errorf("after SetLinks: heard %v, want [3]", nodes[1].heard)
	}
}

func TestDistributions_haveTheirMiddle(t *testing.T) {
	for _, c := range []struct {
		name      string
		draw      netsim.Distribution
		want, tol time.Duration
	}{
		{"fixed", netsim.Fixed(time.Second), time.Second, 0},
		{"uniform", netsim.Uniform(0, 2*time.Second), time.Second, 40 * time.Millisecond},
		{"normal", netsim.Normal(time.Second, 100*time.Millisecond), time.Second, 10 * time.Millisecond},
		{"long tail", netsim.LongTail(time.Second, 2), time.Second, 40 * time.Millisecond},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		draws := make([]time.Duration, 20_001)
		for i := range draws {
			if draws[i] = c.draw(r); draws[i] < 0 {
				t.Fatalf("%s: drew %s", c.name, draws[i])
			}
		}
		slices.Sort(draws)
		if d := draws[10_000] - c.want; d < -c.tol || d > c.tol {
			t.Errorf("%s: median %s, want %s +/- %s", c.name, draws[10_000], c.want, c.tol)
		}
		if tail := draws[19_500]; c.name == "long tail" && (tail < 3500*time.Millisecond || tail > 4500*time.Millisecond) {
			t.Errorf("long tail: one in forty is over %s, want about 4 s", tail)
		}
	}
}

// A chatter answers what it hears to somebody else, and begins again every second.
type chatter struct{ port *netsim.Port[int] }

func (c *chatter) Start(time.Time) { c.port.After(time.Second, 0) }
func (c *chatter) Receive(_ time.Time, _ int, hops int) {
	if hops > 0 {
		c.port.Send(c.port.Rand().IntN(8), hops-1)
	}
}
func (c *chatter) Timeout(time.Time, int) {
	c.port.SendReliable(c.port.Rand().IntN(8), 20)
	c.port.After(time.Second, 0)
}

func chat(seed uint64, maxEvents int) (*netsim.Network[int], error) {
	net := netsim.New(netsim.Config[int]{
		Seed: seed, Trace: 10, MaxEvents: maxEvents, Describe: func(m int) string { return fmt.Sprint("hops ", m) },
		Link: netsim.Link{Delay: netsim.Normal(20*time.Millisecond, 10*time.Millisecond), Loss: 0.05, Duplicate: 0.05, Reorder: 0.05},
	})
	for range 8 {
		net.Add(func(p *netsim.Port[int]) netsim.Node[int] { return &chatter{p} })
	}
	for i := range 20 {
		net.At(time.Duration(i)*time.Second, func() {
			net.Crash(net.Rand().IntN(8))
			net.Partition([]int{net.Rand().IntN(8), net.Rand().IntN(8)})
		})
		net.At(time.Duration(i)*time.Second+500*time.Millisecond, func() {
			net.Heal()
			for id := range 8 {
				net.Restart(id)
			}
		})
	}
	return net, net.Run(30 * time.Second)
}

func TestHash_isDecidedByTheSeed(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(20) {
		first, err1 := chat(seed, 0)
		again, err2 := chat(seed, 0)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if first.Hash() != again.Hash() || first.Report() != again.Report() {
			t.Errorf("two runs differ:\n%s\n%s", first.Report(), again.Report())
		}
		if other, ok := seen[first.Hash()]; ok {
			t.Errorf("seeds %d and %d have the same hash", other, seed)
		}
		seen[first.Hash()] = seed
	}
}

func TestRun_endsAtMaxEvents(t *testing.T) {
	net, err := chat(1, 1000)
	if !errors.Is(err, netsim.ErrEvents) {
		t.Errorf("got %v, want ErrEvents", err)
	}
	if got := net.Stats().Events(); got < 1000 || got > 1010 {
		t.Errorf("got %d events, want about 1000", got)
	}
}

func TestReport_saysHowToRepeatAndWhatHappenedLast(t *testing.T) {
	net, err := chat(42, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(net.Report()), "\n")
	if !strings.HasPrefix(lines[0], "seed 42, 30s of virtual time, hash ") || len(lines) != 11 {
		t.Errorf("got %d lines, want the seed and 10 events:\n%s", len(lines), net.Report())
	}
	if !strings.Contains(net.Report(), "hops ") {
		t.Errorf("no message is described:\n%s", net.Report())
	}
}

func BenchmarkNetwork(b *testing.B) {
	b.ReportAllocs()
	events := 0
	for seed := 0; b.Loop(); seed++ {
		net, err := chat(uint64(seed), 0)
		if err != nil {
			b.Fatal(err)
		}
		events += net.Stats().Events()
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
