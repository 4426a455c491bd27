package mmsg

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"golang.org/x/sys/unix"
)

// BenchmarkSend is what a datagram of 1200 bytes to one of 50 destinations
// costs the process, while somebody waits to read from the same socket. The
// destinations drop by a filter.
func BenchmarkSend(b *testing.B) {
	addr := loopbacks["IPv4"]
	var to []netip.AddrPort
	for range 50 {
		f := newFar(b, addr)
		raw, err := f.SyscallConn()
		if err != nil {
			b.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
		}); err != nil {
			b.Fatal(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		to = append(to, f.addr)
	}
	batch := func(group int) (out []engine.Datagram) {
		for _, addr := range to {
			out = append(out, burst(addr, 1, group, 1200)...)
		}
		return out
	}
	measure := func(b *testing.B, datagrams []engine.Datagram, send func([]engine.Datagram)) {
		b.ReportAllocs()
		before, rounds := cpu(b), 0
		for ; b.Loop(); rounds++ {
			send(datagrams)
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(rounds*len(datagrams)), "cpu-ns/packet")
	}
	b.Run("UDPConn", func(b *testing.B) {
		conn := newFar(b, addr)
		var reader sync.WaitGroup
		reader.Go(func() { _, _, _ = conn.ReadFromUDPAddrPort(make([]byte, 1)) })
		measure(b, batch(1), func(datagrams []engine.Datagram) {
			for _, d := range datagrams {
				if _, err := conn.WriteToUDPAddrPort(d.Payload, d.To); err != nil {
					b.Fatal(err)
				}
			}
		})
		conn.Close()
		reader.Wait()
	})
	for _, group := range []int{1, 4, 8} {
		b.Run(fmt.Sprint("groups=", group), func(b *testing.B) {
			s := listen(b, addr)
			p := newPoller(b, s)
			var reader sync.WaitGroup
			reader.Go(func() { _, _ = p.Wait(-1) })
			measure(b, batch(group), func(datagrams []engine.Datagram) {
				if sent := s.Send(datagrams); sent.Segments != len(datagrams) {
					b.Fatalf("%+v", sent)
				}
			})
			p.Wake()
			reader.Wait()
		})
	}
}

// cpu is the time that the process has spent, user and system.
func cpu(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
