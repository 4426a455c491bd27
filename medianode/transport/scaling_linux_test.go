package transport

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"golang.org/x/sys/unix"
)

// BenchmarkWorkers is what a second worker gains: the frames of one publisher go
// to 100 subscribers with one worker and with two, in turns. ratio compares the
// packets that each sends in a second, on a machine that has two processors to
// spare; cpu-ratio compares the processor time that the busiest thread needs for
// a packet, whatever else runs. The source is in the process. The sink is a veth
// pair in a network namespace of its own, whose far end drops; it takes root.
func BenchmarkWorkers(b *testing.B) {
	for _, frame := range []int{1, 4} {
		b.Run(fmt.Sprintf("frame=%d", frame), func(b *testing.B) { benchmarkWorkers(b, frame, 100) })
	}
}

func benchmarkWorkers(b *testing.B, frame, subscribers int) {
	const frames = 256     // of one turn
	runtime.LockOSThread() // for good: the thread ends with its namespace
	if err := enterNamespace(); err != nil {
		b.Fatalf("needs root, for a network namespace of its own: %v", err)
	}
	var rates []*pace
	for _, workers := range []int{1, 2} {
		rates = append(rates, newPace(b, workers, subscribers))
	}
	for b.Loop() {
		for _, r := range rates {
			r.turn(b, frame, frames)
		}
	}
	for i, r := range rates {
		b.ReportMetric(r.perSecond(), fmt.Sprintf("packets/s-of-%d", i+1))
		b.ReportMetric(float64(r.spent.Nanoseconds())/float64(r.sent), fmt.Sprintf("cpu-ns/packet-of-%d", i+1))
	}
	b.ReportMetric(rates[1].perSecond()/rates[0].perSecond(), "ratio")
	b.ReportMetric(rates[0].busiest()/rates[1].busiest(), "cpu-ratio")
	for _, r := range rates {
		r.stop(b)
	}
}

// network is what lies behind the veth pair.
const network = "10.99.1.0"

// enterNamespace moves the thread to a network namespace with a veth pair. What
// is sent to the network leaves at one end and is dropped at the other since it
// is not addressed to it.
func enterNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace of our own: %w", err)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "near", "type", "veth", "peer", "name", "far"},
		{"link", "set", "near", "up"},
		{"link", "set", "far", "up"},
		{"addr", "add", "10.99.0.1/24", "dev", "near"},
		{"neigh", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "near"},
		{"route", "add", network + "/24", "via", "10.99.0.2"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// pace is a node that is fed frames, and how fast it forwards them.
type pace struct {
	*forwarding
	subscribers int
	source      *source
	ended       chan error
	sent        uint64
	took, spent time.Duration
	threads     []int // of the workers
	before      []time.Duration
	busy        []time.Duration // processor time of each thread
}

func newPace(b *testing.B, workers, subscribers int) *pace {
	b.Helper()
	tr, err := New(Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0")}, Handler: &recorder{},
		Workers: workers, Logger: slog.New(slog.DiscardHandler),
		Engine: engine.Config{DisconnectAfter: time.Hour, ConsentTimeout: time.Hour},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := &pace{
		forwarding:  &forwarding{Transport: tr, network: netip.MustParseAddr(network), port: 5000},
		subscribers: subscribers,
		ended:       make(chan error, workers),
	}
	r.fill(b, profiles[0], subscribers)
	home, err := r.Home(0)
	if err != nil {
		b.Fatal(err)
	}
	for i, w := range r.workers {
		if w.id == home {
			r.source = &source{worker: w, frames: make(chan [][]mmsg.Packet), wakes: make(chan struct{}, 1), timer: time.NewTimer(0)}
		}
		thread := make(chan int)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			thread <- unix.Gettid()
			if w.id == home {
				r.ended <- w.run(r.source)
			} else {
				r.ended <- r.sockets[i].serve(w)
			}
		}()
		r.threads = append(r.threads, <-thread)
	}
	r.before, r.busy = make([]time.Duration, workers), make([]time.Duration, workers)
	return r
}

// cpuOf is the processor time of a thread.
func cpuOf(b *testing.B, thread int) time.Duration {
	const perThread, scheduled = 4, 2 // the number of a thread's clock, by Linux
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^thread<<3|perThread|scheduled), &at); err != nil {
		b.Fatal(err)
	}
	return time.Duration(at.Nano())
}

// busiest is the processor time for a packet of the thread that needs most.
func (r *pace) busiest() float64 {
	return float64(slices.Max(r.busy).Nanoseconds()) / float64(r.sent)
}

// source is the ingress of the publisher's worker: frames come as fast as the
// node takes them.
type source struct {
	worker *worker
	frames chan [][]mmsg.Packet
	wakes  chan struct{}
	timer  *time.Timer
}

func (s *source) Wait(timeout time.Duration, take func([]mmsg.Packet)) error {
	if timeout < 0 {
		timeout = time.Hour
	}
	s.timer.Reset(timeout)
	select {
	case frames := <-s.frames:
		for _, frame := range frames {
			for i := range s.worker.links {
				for l := &s.worker.links[i]; l.to != nil && l.lane.Full(); {
					runtime.Gosched()
				}
			}
			take(frame)
		}
	case <-s.timer.C:
	case <-s.wakes:
	}
	return nil
}

func (s *source) Wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

func (s *source) Close() error { return nil }

// turn forwards so many frames and waits until the last packet has left.
func (r *pace) turn(b *testing.B, frame, count int) {
	var frames [][]mmsg.Packet
	for range count {
		frames = append(frames, r.seal(b, frame))
	}
	forwarded := func() uint64 { return r.Sum(func(c engine.Counters) uint64 { return c.Forwarded }) }
	before, cpuBefore, began := forwarded(), cpu(b), time.Now()
	for i, thread := range r.threads {
		r.before[i] = cpuOf(b, thread)
	}
	want := before + uint64(count*frame*r.subscribers)
	r.source.frames <- frames
	look, late := time.NewTicker(200*time.Microsecond), time.After(patience)
	defer look.Stop()
	for forwarded() < want {
		select {
		case <-look.C:
		case <-late:
			b.Fatalf("%d packets forwarded of %d", forwarded()-before, want-before)
		}
	}
	for i, thread := range r.threads {
		r.busy[i] += cpuOf(b, thread) - r.before[i]
	}
	r.took += time.Since(began)
	r.spent += cpu(b) - cpuBefore
	r.sent += want - before
}

func (r *pace) perSecond() float64 { return float64(r.sent) / r.took.Seconds() }

func (r *pace) stop(b *testing.B) {
	b.Helper()
	for _, w := range r.workers {
		w.stop()
	}
	for range r.workers {
		if err := <-r.ended; err != nil {
			b.Error(err)
		}
	}
	if err := r.close(); err != nil {
		b.Error(err)
	}
}
