package netlink

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drtc-network/drtc/internal/netlink/shape"
)

// BenchmarkPackets sends as fast as the link carries: an op is a packet of 1200
// bytes that arrived. "router-ns" is the processor time of the router's thread
// for it, so 1e9 over it is what one core carries.
func BenchmarkPackets(b *testing.B) {
	for _, bench := range []struct {
		name     string
		settings shape.Settings
	}{
		{"zero", shape.Settings{}},
		{"delay", shape.Settings{Delay: 5 * time.Millisecond}},
		{"all", shape.Settings{Delay: 5 * time.Millisecond, Jitter: shape.Jitter{Distribution: shape.Normal, Spread: time.Millisecond},
			Loss: shape.Loss{Burst: shape.Bursts(0.01, 5)}, Rate: shape.Rate{BitsPerSecond: 10_000_000_000}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			_, from, to := pair(b, HostConfig{Up: bench.settings}, HostConfig{})
			source, sink := socket(b, from, from.Addr4()), socket(b, to, to.Addr4())
			stop, stopped := make(chan struct{}), make(chan struct{})
			target := addrOf(sink)
			go func() {
				defer close(stopped)
				packet := make([]byte, 1200)
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := source.WriteToUDPAddrPort(packet, target); err != nil {
							b.Error(err)
							return
						}
					}
				}
			}()
			packet := make([]byte, 2048)
			for b.Loop() {
				if _, _, err := sink.ReadFromUDPAddrPort(packet); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-stopped
			n := float64(to.Counters(Down).Out)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(routerTime(b).Nanoseconds())/n, "router-ns")
		})
	}
}

// BenchmarkPing measures the way to and fro of 64 bytes, against the loopback
// of one namespace with the same sockets: half the difference is what the link
// adds to a packet at settings of zero. With a delay, what is above twice the
// delay is what waking up late adds too.
func BenchmarkPing(b *testing.B) {
	report := func(b *testing.B, from, to *Host, source, target netip.Addr) {
		times := ping(b, from, to, b.N, source, target)
		b.ReportMetric(float64(quantile(times, 0.5).Microseconds()), "p50-us")
		b.ReportMetric(float64(quantile(times, 0.99).Microseconds()), "p99-us")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("loopback", func(b *testing.B) {
		_, from, _ := pair(b, HostConfig{}, HostConfig{})
		report(b, from, from, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"))
	})
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		b.Run("link/"+delay.String(), func(b *testing.B) {
			n, from, to := pair(b, HostConfig{Up: shape.Settings{Delay: delay}}, HostConfig{Up: shape.Settings{Delay: delay}})
			report(b, from, to, from.Addr4(), to.Addr4())
			b.ReportMetric(float64(n.Lateness(0.5).Nanoseconds())/1e3, "late-p50-us")
			b.ReportMetric(float64(n.Lateness(0.99).Nanoseconds())/1e3, "late-p99-us")
		})
	}
}

// BenchmarkLateness sends a packet every millisecond over a delay, alone and
// while every processor of Go's runtime is busy in the same process.
func BenchmarkLateness(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := map[bool]string{false: "idle", true: "busy"}[busy]
		b.Run(name, func(b *testing.B) {
			n, from, to := pair(b, HostConfig{Up: shape.Settings{Delay: 5 * time.Millisecond}}, HostConfig{})
			var quit atomic.Bool
			defer quit.Store(true)
			for range map[bool]int{true: runtime.GOMAXPROCS(0)}[busy] {
				go func() {
					for !quit.Load() {
						continue
					}
				}()
			}
			stream(b, from, to, b.N, 200, time.Millisecond)
			b.ReportMetric(float64(n.Lateness(0.5).Nanoseconds())/1e3, "late-p50-us")
			b.ReportMetric(float64(n.Lateness(0.99).Nanoseconds())/1e3, "late-p99-us")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// routerTime returns the processor time of the one thread that is scheduled in
// real time: the router's.
func routerTime(b *testing.B) time.Duration {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		b.Fatal(err)
	}
	for _, task := range tasks {
		id, _ := strconv.Atoi(filepath.Base(task))
		if attr, err := unix.SchedGetAttr(id, 0); err != nil || attr.Policy != unix.SCHED_RR {
			continue
		}
		stat, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			b.Fatal(err)
		}
		var spent int64
		if _, err := fmt.Sscan(string(stat), &spent); err != nil {
			b.Fatal(err)
		}
		return time.Duration(spent)
	}
	b.Fatal("no thread is scheduled in real time: the benchmark needs CAP_SYS_NICE")
	return 0
}
