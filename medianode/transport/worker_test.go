package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/prometheus/client_golang/prometheus"
)

// script is a core whose timeouts a test chooses.
type script struct {
	peers
	flows
	next  time.Time
	every time.Duration
	fired []time.Time
	lag   time.Duration
}

func (s *script) HandleDatagram(now time.Time, _ netip.AddrPort, _ []byte, _ *engine.Batch) {
	if s.every > 0 {
		s.next = now.Add(s.every)
	}
}

func (s *script) HandleTimeout(now time.Time, _ *engine.Batch) {
	s.fired = append(s.fired, now)
	s.next = time.Time{}
	if len(s.fired) < 3 {
		s.next = now.Add(s.every)
	}
}

func (s *script) ObserveLag(_ time.Time, lag time.Duration) { s.lag = lag }

func (s *script) NextTimeout() time.Time { return s.next }

func (s *script) Poll() (engine.Event, bool) {
	return nil, false
}

// alone is the only worker of a core.
func alone(t *testing.T, c core, egress Egress) *worker {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(0, c, egress, newDirectory(1, 16), m, [16]byte{}, func(*worker, engine.Event) {})
	connect([]*worker{w})
	return w
}

// running runs a worker whose ingress has no sockets; the function ends it.
func running(t *testing.T, w *worker) (stop func()) {
	t.Helper()
	in := newReaders(&sockets{})
	ended := make(chan error)
	go func() { ended <- w.run(in) }()
	return func() {
		w.stop()
		if err := errors.Join(<-ended, in.Close()); err != nil {
			t.Error(err)
		}
	}
}

func (s *script) Knows(netip.AddrPort) bool                                 { return false }
func (s *script) Outbound(engine.CoreID) *engine.Parcel                     { return nil }
func (s *script) TakeOutbound(engine.CoreID, *engine.Parcel) *engine.Parcel { return nil }
func (s *script) HandleParcel(time.Time, engine.CoreID, *engine.Parcel, *engine.Batch) {
}

type sink struct{}

func (sink) Send([]engine.Datagram) {}

func TestWorker_timersFollowTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &script{every: 10 * time.Millisecond}
		w := alone(t, core, sink{})
		stop := running(t, w)
		defer stop()
		time.Sleep(time.Minute) // nothing is due
		began := time.Now()
		w.handle(one(netip.AddrPort{}, nil))
		time.Sleep(time.Second)
		w.enter(func(time.Time) {
			if len(core.fired) != 3 {
				t.Fatalf("HandleTimeout ran %d times, want 3", len(core.fired))
			}
			for i, at := range core.fired {
				if want := time.Duration(i+1) * core.every; at.Sub(began) != want {
					t.Errorf("timeout %d after %v, want %v", i, at.Sub(began), want)
				}
			}
			core.fired, core.every = nil, time.Hour
		})
		// An earlier deadline that arises later moves the timer forward.
		w.handle(one(netip.AddrPort{}, nil))
		w.enter(func(time.Time) { core.every = time.Second })
		w.handle(one(netip.AddrPort{}, nil))
		time.Sleep(time.Second + time.Millisecond)
		w.enter(func(time.Time) {
			if len(core.fired) != 1 {
				t.Errorf("HandleTimeout ran %d times in the first second, want 1", len(core.fired))
			}
		})
	})
}

// A datagram that came while the worker was busy has waited for it since then;
// one that came while it slept has not.
func TestWorker_tellsTheLag(t *testing.T) {
	core := &script{}
	w := alone(t, core, sink{})
	for _, c := range []struct {
		name    string
		arrival time.Duration // from when the worker was ready
		want    time.Duration
	}{
		{"while the worker was busy", -20 * time.Millisecond, 20 * time.Millisecond},
		{"while it slept", 5 * time.Millisecond, -5 * time.Millisecond},
	} {
		w.rest()
		first := mmsg.Packet{Arrival: w.ready.Add(c.arrival)}
		w.handle([]mmsg.Packet{first, {Arrival: w.ready}})
		if core.lag != c.want {
			t.Errorf("it came %s: lag %v, want %v", c.name, core.lag, c.want)
		}
	}
	core.lag = time.Hour
	w.handle(one(netip.AddrPort{}, nil))
	if core.lag != time.Hour {
		t.Errorf("it came at a time that is not known: lag %v, want no word of it", core.lag)
	}
}

// A core that always wants to be called now costs a wake-up per minTimer.
func TestWorker_greedyTimerIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &greedy{}
		w := alone(t, core, sink{})
		stop := running(t, w)
		time.Sleep(time.Second)
		stop()
		if limit := 2 + int(time.Second/minTimer); core.calls > limit || core.calls == 0 {
			t.Errorf("HandleTimeout ran %d times in a second, want 1 to %d", core.calls, limit)
		}
	})
}

type greedy struct {
	script
	calls int
}

func (g *greedy) NextTimeout() time.Time                     { return time.Now() }
func (g *greedy) HandleTimeout(_ time.Time, _ *engine.Batch) { g.calls++ }

// The shell's part of a media packet's way allocates nothing.
func TestWorker_allocatesNothing(t *testing.T) { overSetups(t, testWorker_allocatesNothing) }

func testWorker_allocatesNothing(t *testing.T, on setup) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s := listenAlone(t, on, m, loopback4)
	defer s.close()
	w := alone(t, &script{}, s)
	packet := make([]byte, 1200)
	to := []engine.Datagram{{To: s.addrs()[0], Payload: packet}, {To: s.addrs()[0], Payload: packet}}
	received := one(to[0].To, packet)
	if allocs := testing.AllocsPerRun(100, func() {
		w.handle(received)
		s.Send(to)
	}); allocs != 0 {
		t.Errorf("%v allocations to take one datagram and send two, want 0", allocs)
	}
	if sent := gathered(t, registry, "packets_sent_total"); sent != 202 {
		t.Errorf("packets sent: %v, want 202", sent)
	}
	if bytes := gathered(t, registry, "sent_bytes_total"); bytes != 202*1200 {
		t.Errorf("bytes sent: %v, want %d", bytes, 202*1200)
	}
}

// flushes is an Egress that notes what it was given.
type flushes [][]engine.Datagram

func (f *flushes) Send(datagrams []engine.Datagram) { *f = append(*f, slices.Clone(datagrams)) }

// What came in together leaves together, each subscriber's packets in a row.
func TestWorker_flushesOncePerDrain(t *testing.T) {
	f := newForwarding(t, profiles[0], 3, oneWorker)
	f.workers[0].handle(f.seal(t, 1)) // the first brings feedback with it
	var got flushes
	f.workers[0].egress = &got
	f.workers[0].handle(f.seal(t, 4))
	if len(got) != 1 || len(got[0]) != 12 {
		t.Fatalf("flushes %v, want one of 12 datagrams", got)
	}
	for i, d := range got[0] {
		if want := f.addr(1 + engine.PeerID(i/4)); d.To != want {
			t.Errorf("datagram %d goes to %v, want %v", i, d.To, want)
		}
		sequence := func(d engine.Datagram) uint16 { return binary.BigEndian.Uint16(d.Payload[2:]) }
		if want := sequence(got[0][0]) + uint16(i%4); sequence(d)-sequence(got[0][i/4*4]) != uint16(i%4) {
			t.Errorf("datagram %d has sequence number %d, want %d", i, sequence(d), want)
		}
	}
}

func TestWorker_flushesALongDrainInParts(t *testing.T) {
	const packets, subscribers, limit = mmsg.MaxReceive, 40, 256
	f := newForwarding(t, profiles[0], subscribers, oneWorker)
	f.workers[0].handle(f.seal(t, 1))
	var got flushes
	f.workers[0].egress = &got
	f.workers[0].handle(f.seal(t, packets))
	sum := 0
	for _, datagrams := range got {
		if sum += len(datagrams); len(datagrams) > limit+packets {
			t.Errorf("a flush of %d datagrams, want at most about %d", len(datagrams), limit)
		}
	}
	if sum != packets*subscribers || len(got) < 2 {
		t.Errorf("%d datagrams in %d flushes, want %d in some", sum, len(got), packets*subscribers)
	}
}

// Packets of one stream are one message of the system's sockets, and those that
// wait come in one call. The portable ones move one at a time.
func TestSockets_countMessages(t *testing.T) { overSetups(t, testSockets_countMessages) }

func testSockets_countMessages(t *testing.T, on setup) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s := listenAlone(t, on, m, loopback4, netip.MustParseAddrPort("[::1]:0"))
	var batch []engine.Datagram
	for _, to := range s.addrs() {
		for range 4 {
			batch = append(batch, engine.Datagram{To: to, Stream: 1, Payload: make([]byte, 1000)})
		}
	}
	s.Send(batch)
	got := make(chan int, len(batch))
	end := take(t, s, got)
	for range batch {
		if size := receive(t, got, "a datagram"); size != 1000 {
			t.Errorf("took %d bytes, want 1000", size)
		}
	}
	end()
	few := 2.0
	if on.portable || runtime.GOOS != "linux" {
		few = 8
	}
	if calls := gathered(t, registry, "receive_calls_total"); on.portable && calls != 8 || calls > 8 {
		t.Errorf("receive_calls_total: %v, want 8, or fewer of the system's sockets", calls)
	}
	count, sum, upTo := histogram(t, registry, "egress_segments_per_message")
	if count != few || sum != 8 {
		t.Errorf("%v messages of %v segments in all, want %v of 8", count, sum, few)
	}
	for size, got := range upTo {
		want := few
		if few == 2 && size < 4 {
			want = 0
		}
		if got != want {
			t.Errorf("%v messages of up to %v segments, want %v", got, size, want)
		}
	}
	for name, want := range map[string]float64{
		"egress_messages_total": few, "egress_segments_total": 8, "packets_sent_total": 8, "sent_bytes_total": 8000,
		"receive_messages_total": 8, "packets_received_total": 8, "received_bytes_total": 8000,
		"segmentation_fallbacks_total": 0, "egress_drops_total": 0, "send_errors_total": 0,
	} {
		if got := gathered(t, registry, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestSockets_countWhatTheyDrop(t *testing.T) { overSetups(t, testSockets_countWhatTheyDrop) }

func testSockets_countWhatTheyDrop(t *testing.T, on setup) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s := listenAlone(t, on, m, loopback4)
	got := make(chan int, 4)
	end := take(t, s, got)
	s.Send([]engine.Datagram{
		{To: s.addrs()[0], Payload: make([]byte, engine.MaxDatagram+1)},
		{To: s.addrs()[0], Payload: make([]byte, readSize+1)},
		{To: netip.MustParseAddrPort("[::1]:9"), Payload: make([]byte, 10)}, // no IPv6 socket
		{To: s.addrs()[0], Payload: make([]byte, engine.MaxDatagram)},
	})
	if size := receive(t, got, "the datagram that fits"); size != engine.MaxDatagram {
		t.Errorf("took %d bytes, want %d", size, engine.MaxDatagram)
	}
	if drops := gathered(t, registry, "receive_drops_total"); drops != 2 {
		t.Errorf("oversize drops: %v, want 2", drops)
	}
	if failed := gathered(t, registry, "send_errors_total"); failed != 1 {
		t.Errorf("send errors: %v, want 1", failed)
	}
	end()
}

// listenAlone binds the sockets of a single worker.
func listenAlone(t *testing.T, on setup, m *metrics, addrs ...netip.AddrPort) *sockets {
	t.Helper()
	s, err := listen(addrs, 1, 1<<20, on.portable, m)
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// lengths is a core that reports the datagrams that it is given.
type lengths struct {
	script
	got chan<- int
}

func (l *lengths) HandleDatagram(_ time.Time, _ netip.AddrPort, b []byte, _ *engine.Batch) {
	l.got <- len(b)
}

// take reports the length of each datagram that arrives until end is called,
// which closes the sockets.
func take(t *testing.T, s *sockets, got chan<- int) (end func()) {
	t.Helper()
	w := alone(t, &lengths{got: got}, s)
	ended := make(chan error, 1)
	go func() { ended <- s.serve(w, false) }()
	return func() {
		w.stop()
		if err := receive(t, ended, "the worker to end"); err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNew_portInUse(t *testing.T) {
	taken, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback4))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = New(Config{Listen: []netip.AddrPort{taken.LocalAddr().(*net.UDPAddr).AddrPort()}, Handler: &node{}})
	if err == nil {
		t.Error("New bound a port that was taken")
	}
}

func TestMetrics_areRegistered(t *testing.T) {
	registry := prometheus.NewRegistry()
	tr, err := New(Config{Listen: []netip.AddrPort{loopback4}, Handler: &node{}, Metrics: registry, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{
		"drtc_medianode_packets_received_total", "drtc_medianode_sent_bytes_total", "drtc_medianode_peers",
		"drtc_medianode_dtls_handshake_seconds", "drtc_medianode_forward_delay_seconds",
		"drtc_medianode_handoff_drops_total", "drtc_medianode_handoff_parcels_total", "drtc_medianode_handoff_datagrams_total", "drtc_medianode_srtp_open_failures_total",
	} {
		if !names[want] {
			t.Errorf("no metric %s", want)
		}
	}
}

// gathered sums a metric over its labels.
func gathered(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "drtc_medianode_"+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// histogram returns a metric without labels: how many were observed, their sum,
// and how many were up to each bound.
func histogram(t *testing.T, registry *prometheus.Registry, name string) (count, sum float64, upTo map[float64]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "drtc_medianode_"+name {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		upTo = map[float64]float64{}
		for _, b := range h.GetBucket() {
			upTo[b.GetUpperBound()] = float64(b.GetCumulativeCount())
		}
		return float64(h.GetSampleCount()), h.GetSampleSum(), upTo
	}
	t.Fatalf("no metric %s", name)
	return 0, 0, nil
}
