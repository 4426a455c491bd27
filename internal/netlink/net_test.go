package netlink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netlink/shape"
)

const ms = time.Millisecond

// pair starts a network of hosts "a" and "b".
func pair(t testing.TB, a, b HostConfig) (n *Net, first, second *Host) {
	t.Helper()
	a.Name, b.Name = "a", "b"
	n = Start(t, Config{Seed: rand.Uint64(), Hosts: []HostConfig{a, b}})
	return n, n.Host("a"), n.Host("b")
}

func TestPing_takesTheDelaysOfBothLinks(t *testing.T) {
	n, a, b := pair(t,
		HostConfig{Up: shape.Settings{Delay: 12 * ms}, Down: shape.Settings{Delay: 5 * ms}},
		HostConfig{Up: shape.Settings{Delay: 3 * ms}, Down: shape.Settings{Delay: 10 * ms}})
	for _, addresses := range [][2]netip.Addr{{a.Addr4(), b.Addr4()}, {a.Addr6(), b.Addr6()}} {
		times := ping(t, a, b, 20, addresses[0], addresses[1])
		// The least: the others also have the turns that both programs waited for.
		const want = 30 * ms
		got := quantile(times, 0)
		t.Logf("to %v: least %v, median %v, 99 %% late by at most %v", addresses[1], got, quantile(times, 0.5), n.Lateness(0.99))
		if got < want || got > want+3*ms {
			t.Errorf("to %v: got %v, want %v to %v", addresses[1], got, want, want+3*ms)
		}
		if late := n.Lateness(0.5); late > ms {
			t.Errorf("half of all packets were late by up to %v, want less than a millisecond", late)
		}
	}
}

// The kernel's time of arrival less the program's time of sending.
func TestDelay_oneWayByTheKernelsClock(t *testing.T) {
	_, a, b := pair(t, HostConfig{Up: shape.Settings{Delay: 20 * ms}}, HostConfig{})
	got := flights(stream(t, a, b, 200, 200, ms))
	if len(got) != 200 {
		t.Fatalf("got %d packets, want 200", len(got))
	}
	median, least := quantile(got, 0.5), quantile(got, 0)
	t.Logf("median %v, least %v, 90 %% %v", median, least, quantile(got, 0.9))
	if least < 20*ms || median > 22*ms {
		t.Errorf("got least %v and median %v, want 20 ms to 22 ms", least, median)
	}
	if back := flights(stream(t, b, a, 100, 200, ms)); quantile(back, 0.5) > 2*ms {
		t.Errorf("the other way: median: got %v, want less than 2ms: directions are separate", quantile(back, 0.5))
	}
}

func TestLoss_isBinomialAndCounted(t *testing.T) {
	const n, p = 10_000, 0.05
	_, a, b := pair(t, HostConfig{Up: shape.Settings{Loss: shape.Loss{Probability: p}}}, HostConfig{})
	got := stream(t, a, b, n, 50, 20*time.Microsecond)
	up, down := a.Counters(Up), b.Counters(Down)
	if over, err := a.Overruns(); err != nil || over != 0 {
		t.Fatalf("overruns: got %d %v, want none: the machine was too busy to judge", over, err)
	}
	if up.In != n || up.Out != uint64(len(got)) || down.Out != up.Out {
		t.Errorf("sent %d, received %d: got up %+v, down %+v", n, len(got), up, down)
	}
	bound := 5 * math.Sqrt(n*p*(1-p))
	if lost := float64(n - len(got)); math.Abs(lost-n*p) > bound {
		t.Errorf("lost: got %v, want %v ± %.0f", lost, n*p, bound)
	}
}

func TestLoss_burstsShowInTheNumbers(t *testing.T) {
	const n, mean = 10_000, 6
	_, a, b := pair(t, HostConfig{}, HostConfig{Down: shape.Settings{Loss: shape.Loss{Burst: shape.Bursts(0.1, mean)}}})
	got := stream(t, a, b, n, 50, 20*time.Microsecond)
	runs, lost := 0, 0
	for i := 1; i < len(got); i++ {
		if gap := got[i].number - got[i-1].number - 1; gap > 0 {
			runs, lost = runs+1, lost+gap
		}
	}
	if runs == 0 {
		t.Fatalf("no gaps in %d packets", len(got))
	}
	// Lengths are geometric: their deviation is sqrt(mean(mean-1)).
	bound := 5 * math.Sqrt(mean*(mean-1)/float64(runs))
	if length := float64(lost) / float64(runs); math.Abs(length-mean) > bound {
		t.Errorf("mean of %d bursts: got %.2f packets, want %d ± %.2f", runs, length, mean, bound)
	}
}

func TestRate_isWithinFivePercent(t *testing.T) {
	for _, rate := range []int64{1_000_000, 20_000_000, 100_000_000} {
		limited := func(rate int64) shape.Settings {
			return shape.Settings{Rate: shape.Rate{BitsPerSecond: rate, QueueBytes: 1 << 30}}
		}
		// A full queue before the measurement: so the sender's pace has no part in it.
		_, a, b := pair(t, HostConfig{}, HostConfig{Down: limited(1000)})
		source, sink := socket(t, a, a.Addr4()), socket(t, b, b.Addr4())
		const size, headers = 1200, 28
		n := int(rate / 2 / ((size + headers) * 8)) // half a second
		for i := range n {
			sendNumbered(t, source, addrOf(sink), i, size)
		}
		eventually(t, func() string {
			if in := b.Counters(Down).In; in != uint64(n) {
				return fmt.Sprintf("rate %d: %d of %d packets are in the queue", rate, in, n)
			}
			return ""
		})
		if err := b.Set(Down, limited(rate)); err != nil {
			t.Fatal(err)
		}
		got := receive(t, sink, n-1, time.Second)
		if len(got) != n {
			t.Fatalf("rate %d: got %d packets, want %d", rate, len(got), n)
		}
		// The median of many spans of half the packets: a few late ones do not count.
		var spans []time.Duration
		for i := range n - n/2 {
			spans = append(spans, got[i+n/2].at.Sub(got[i].at))
		}
		measured := float64(n/2) * (size + headers) * 8 / quantile(spans, 0.5).Seconds()
		t.Logf("rate %d: measured %.0f", rate, measured)
		if math.Abs(measured/float64(rate)-1) > 0.05 {
			t.Errorf("rate %d: got %.0f bit/s, want it within 5 %%", rate, measured)
		}
	}
}

func TestQueue_fillsDelaysAndDrops(t *testing.T) {
	full := shape.Settings{Rate: shape.Rate{BitsPerSecond: 2_000_000, QueueTime: 50 * ms}}
	_, a, b := pair(t, HostConfig{Up: full}, HostConfig{})
	got := flights(stream(t, a, b, 200, 972, 100*time.Microsecond)) // 4 ms each, in 20 ms
	c := a.Counters(Up)
	if c.Dropped == 0 || c.Dropped+uint64(len(got)) != 200 {
		t.Errorf("dropped %d and received %d, want some dropped and 200 together", c.Dropped, len(got))
	}
	if long := quantile(got, 0.8); long < 40*ms || long > 80*ms {
		t.Errorf("flight behind a full queue: got %v, want about 54ms: the queue and one packet", long)
	}
}

func TestJitter_spreadsFlightsAndKeepsOrder(t *testing.T) {
	jitter := shape.Settings{Delay: 30 * ms, Jitter: shape.Jitter{Distribution: shape.Uniform, Spread: 10 * ms}}
	_, a, b := pair(t, HostConfig{Up: jitter}, HostConfig{})
	got := stream(t, a, b, 40, 100, 21*ms) // no packet waits for the one before
	times := flights(got)
	least, low, high := quantile(times, 0), quantile(times, 0.15), quantile(times, 0.85)
	t.Logf("least %v, 15 %% %v, 85 %% %v", least, low, high)
	if least < 20*ms || low > 29*ms || high < 31*ms || high > 45*ms {
		t.Errorf("flights: got least %v, 15 %% below %v and 85 %% below %v, want them spread over 20 to 40 ms", least, low, high)
	}
	for i := 1; i < len(got); i++ {
		if got[i].number < got[i-1].number {
			t.Errorf("packet %d came before %d, want order kept", got[i-1].number, got[i].number)
		}
	}
}

func TestReorder_showsInTheNumbersAndIsCounted(t *testing.T) {
	late := shape.Settings{Reorder: shape.Reorder{Probability: 0.05, Late: 10 * ms, Gap: 3}}
	_, a, b := pair(t, HostConfig{}, HostConfig{Down: late})
	got := stream(t, a, b, 1000, 50, 200*time.Microsecond)
	if len(got) != 1000 {
		t.Fatalf("got %d packets, want all 1000", len(got))
	}
	overtaken, highest := 0, -1
	for _, p := range got {
		if p.number < highest {
			overtaken++
		}
		highest = max(highest, p.number)
	}
	// 1000 * 0.05/(1+0.05*3) = 43 are held back.
	if c := b.Counters(Down); uint64(overtaken) != c.Reordered || overtaken < 10 || overtaken > 90 {
		t.Errorf("overtaken: got %d and %d counted, want about 43", overtaken, c.Reordered)
	}
}

func TestDuplicate_arrivesTwice(t *testing.T) {
	_, a, b := pair(t, HostConfig{Up: shape.Settings{Duplicate: 1}}, HostConfig{})
	if got := stream(t, a, b, 100, 50, 100*time.Microsecond); len(got) != 200 {
		t.Errorf("got %d packets of 100, want each twice", len(got))
	}
}

func TestTCP_survivesLoss(t *testing.T) {
	lossy := shape.Settings{Delay: 5 * ms, Loss: shape.Loss{Probability: 0.01}}
	_, a, b := pair(t, HostConfig{Up: lossy}, HostConfig{Up: lossy})
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	listener, err := b.Listen(ctx, "tcp", netip.AddrPortFrom(b.Addr4(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(sent)
	writing := make(chan error, 1)
	go func() {
		conn, err := a.DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			writing <- err
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(15 * time.Second))
		_, err = conn.Write(sent)
		writing <- err
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	start := time.Now()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-writing); err != nil {
		t.Fatal(err)
	}
	t.Logf("1 MiB in %v, lost %d packets", time.Since(start), a.Counters(Up).Lost)
	if !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes, hash %x, want the %d that were sent", len(got), sha256.Sum256(got), len(sent))
	}
	if a.Counters(Up).Lost == 0 {
		t.Error("nothing was lost: the test shows nothing")
	}
}

func TestMTU_isTheInterfacesAndLargerPacketsDisappear(t *testing.T) {
	_, a, b := pair(t, HostConfig{Up: shape.Settings{MTU: 1300}}, HostConfig{Down: shape.Settings{MTU: 1280}})
	var link *net.Interface
	var err error
	if runErr := a.Run(func() { link, err = net.InterfaceByName(device) }); runErr != nil || err != nil {
		t.Fatal(runErr, err)
	}
	if link.MTU != 1300 {
		t.Errorf("MTU of the interface: got %d, want 1300", link.MTU)
	}
	stream(t, a, b, 1, 1280-28, ms)
	stream(t, a, b, 1, 1281-28, ms)
	if c := b.Counters(Down); c.Out != 1 || c.Oversize != 1 {
		t.Errorf("got %d through and %d too large, want one of each", c.Out, c.Oversize)
	}
}

func TestSet_changesARunningLink(t *testing.T) {
	_, a, b := pair(t, HostConfig{}, HostConfig{})
	median := func() time.Duration { return quantile(flights(stream(t, a, b, 20, 100, ms)), 0.5) }
	if got := median(); got > 10*ms {
		t.Errorf("before: got %v, want next to nothing", got)
	}
	if err := a.Set(Up, shape.Settings{Delay: 30 * ms}); err != nil {
		t.Fatal(err)
	}
	if got := median(); got < 30*ms || got > 40*ms {
		t.Errorf("after: got %v, want 30ms", got)
	}
	if got := a.Settings(Up).Delay; got != 30*ms {
		t.Errorf("Settings: got a delay of %v, want 30ms", got)
	}
	if err := a.Set(Up, shape.Settings{Delay: -1}); err == nil || a.Settings(Up).Delay != 30*ms {
		t.Errorf("a negative delay: got %v, want an error and no change", err)
	}
}

func TestSchedule_cutsAndMendsTheLink(t *testing.T) {
	_, a, b := pair(t, HostConfig{}, HostConfig{})
	for in, down := range map[time.Duration]bool{100 * ms: true, 200 * ms: false} {
		if err := a.Schedule(in, Up, shape.Settings{Down: down}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	got := stream(t, a, b, 300, 50, ms)
	before, after := 0, 0
	for _, p := range got {
		switch sent := p.at.Add(-p.flight).Sub(start); {
		case sent < 100*ms:
			before++
		case sent > 180*ms: // those near the end may have been read after it
			after++
		default:
			t.Errorf("a packet sent after %v arrived, want it cut", sent)
		}
	}
	if before == 0 || after == 0 {
		t.Errorf("got %d packets from before the cut and %d from its end on, want some of both", before, after)
	}
	if c := a.Counters(Up); c.Cut == 0 || c.Cut+uint64(len(got)) != 300 {
		t.Errorf("cut %d and received %d, want 300 together", c.Cut, len(got))
	}
}

func TestHosts_reachEachOtherAndNothingElse(t *testing.T) {
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	n := Start(t, Config{Hosts: []HostConfig{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	for _, from := range n.Hosts() {
		for _, to := range n.Hosts() {
			ping(t, from, to, 1, from.Addr4(), to.Addr4())
			ping(t, from, to, 1, from.Addr6(), to.Addr6())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a := n.Host("a")
	for address, want := range map[string]error{
		"192.0.2.1:80":            syscall.ENETUNREACH,
		"[2001:db8::1]:80":        syscall.ENETUNREACH,
		outside.Addr().String():   syscall.ECONNREFUSED, // its own loopback
		a.Addr4().String() + ":9": syscall.ECONNREFUSED,
	} {
		if conn, err := a.DialContext(ctx, "tcp", address); !errors.Is(err, want) {
			t.Errorf("dialling %s from a host: got %v %v, want %v", address, conn, err, want)
		}
	}
	stray, err := a.DialContext(ctx, "udp", "198.19.255.1:9") // in the route, nobody's
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	before := n.Strays()
	for n.Strays() == before {
		if _, err := stray.Write([]byte("x")); err != nil || ctx.Err() != nil {
			t.Fatalf("a packet to nobody is not counted: %v %v", err, ctx.Err())
		}
	}
}

func TestOverruns_countsWhatTheRouterDidNotRead(t *testing.T) {
	n, a, b := pair(t, HostConfig{}, HostConfig{})
	source, sink := socket(t, a, a.Addr4()), socket(t, b, b.Addr4())
	n.router.mu.Lock()
	for i := range tunQueue + 1000 {
		sendNumbered(t, source, addrOf(sink), i, 12)
	}
	n.router.mu.Unlock()
	got, err := a.Overruns()
	if err != nil || got < 900 || got > 1020 {
		t.Errorf("got %d %v, want the 1000 packets that found the queue full and few of the kernel's own", got, err)
	}
}

func TestConfig_validateNamesTheField(t *testing.T) {
	tests := map[string]Config{
		"Hosts has 0":                       {},
		"Hosts[0].Name is empty":            {Hosts: []HostConfig{{}}},
		"Hosts[1].Name \"a\" is another":    {Hosts: []HostConfig{{Name: "a"}, {Name: "a"}}},
		"Hosts[0].Up: shape: Delay":         {Hosts: []HostConfig{{Name: "a", Up: shape.Settings{Delay: -1}}}},
		"Hosts[0].Down: shape: Duplicate":   {Hosts: []HostConfig{{Name: "a", Down: shape.Settings{Duplicate: 2}}}},
		"Hosts has 251 entries, give 1 to ": {Hosts: make([]HostConfig, 251)},
	}
	for want, config := range tests {
		if n, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v %v, want an error with %q", n, err, want)
		}
	}
}

func TestPath_liesBetweenTwoHostsAlone(t *testing.T) {
	n := Start(t, Config{Seed: 1, Hosts: []HostConfig{
		{Name: "a", Up: shape.Settings{Delay: 5 * ms}}, {Name: "b"}, {Name: "c", Down: shape.Settings{Delay: 10 * ms}},
	}, Paths: []PathConfig{
		{From: "a", To: "b", Settings: shape.Settings{Delay: 30 * ms}}, {From: "b", To: "a", Settings: shape.Settings{Delay: 20 * ms}},
	}})
	a, b, c := n.Host("a"), n.Host("b"), n.Host("c")
	for _, way := range []struct {
		to   *Host
		want time.Duration
	}{{b, 55 * ms}, {c, 15 * ms}} {
		if got := quantile(ping(t, a, way.to, 5, a.Addr4(), way.to.Addr4()), 0); got < way.want || got > way.want+3*ms {
			t.Errorf("there and back to %s: got %v, want %v to %v", way.to.Name(), got, way.want, way.want+3*ms)
		}
	}
	for _, set := range []error{
		n.SetPath(a, b, shape.Settings{Delay: 2 * ms}), // was there
		n.SetPath(c, a, shape.Settings{Delay: 40 * ms}),
	} {
		if set != nil {
			t.Fatal(set)
		}
	}
	if got := quantile(ping(t, a, b, 5, a.Addr4(), b.Addr4()), 0); got < 27*ms || got > 30*ms {
		t.Errorf("there and back to b with a shorter path: got %v, want 27ms to 30ms", got)
	}
	if got := quantile(ping(t, a, c, 5, a.Addr4(), c.Addr4()), 0); got < 55*ms || got > 58*ms {
		t.Errorf("there and back to c with a new path: got %v, want 55ms to 58ms", got)
	}
}

func TestConfig_namesWrongPaths(t *testing.T) {
	hosts := []HostConfig{{Name: "a"}, {Name: "b"}}
	for _, c := range []struct {
		paths []PathConfig
		want  string
	}{
		{[]PathConfig{{From: "x", To: "b"}}, "Paths[0].From"},
		{[]PathConfig{{From: "a", To: "x"}}, "Paths[0].To"},
		{[]PathConfig{{From: "a", To: "b"}, {From: "b", To: "a"}, {From: "a", To: "b"}}, "Paths[2]"},
		{[]PathConfig{{From: "a", To: "b", Settings: shape.Settings{Delay: -1}}}, "Paths[0]"},
	} {
		if err := (Config{Hosts: hosts, Paths: c.paths}).Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error that names %s", c.paths, err, c.want)
		}
	}
}
