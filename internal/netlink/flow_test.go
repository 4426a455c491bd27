package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrival is a numbered packet that came out of the network, with the times at
// which its sender wrote it and the receiver's kernel had it.
type arrival struct {
	number int
	flight time.Duration
	at     time.Time
}

// socket opens a UDP socket in a host, on a port of the kernel's choice.
func socket(t testing.TB, h *Host, addr netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := h.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatalf("opening a socket in %s: %v", h.Name(), err)
	}
	t.Cleanup(func() { c.Close() })
	udp := c.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			t.Errorf("asking for the kernel's timestamps: %v", err)
		}
		// So that only the link loses packets; in a user namespace it is refused.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	return udp
}

func addrOf(c net.PacketConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// sendNumbered writes packet number n of size bytes.
func sendNumbered(t testing.TB, from *net.UDPConn, to netip.AddrPort, n, size int) {
	packet := make([]byte, max(size, 12))
	binary.BigEndian.PutUint32(packet, uint32(n))
	binary.BigEndian.PutUint64(packet[4:], uint64(time.Now().UnixNano()))
	if _, err := from.WriteToUDPAddrPort(packet, to); err != nil {
		t.Errorf("sending packet %d: %v", n, err)
	}
}

// receive reads until packet last has come, or until nothing came for quiet.
func receive(t testing.TB, c *net.UDPConn, last int, quiet time.Duration) (got []arrival) {
	t.Helper()
	packet, control := make([]byte, 2048), make([]byte, 128)
	for len(got) == 0 || got[len(got)-1].number != last {
		c.SetReadDeadline(time.Now().Add(quiet))
		_, n, _, _, err := c.ReadMsgUDPAddrPort(packet, control)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatalf("receiving: %v", err)
		}
		at, sent := kernelTime(t, control[:n]), int64(binary.BigEndian.Uint64(packet[4:]))
		got = append(got, arrival{int(binary.BigEndian.Uint32(packet)), at.Sub(time.Unix(0, sent)), at})
	}
	return got
}

func kernelTime(t testing.TB, control []byte) time.Time {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 || len(messages[0].Data) != 16 {
		t.Fatalf("the kernel's timestamp: got %v %v", messages, err)
	}
	data := messages[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}

// stream sends n packets of size bytes, one every gap, and returns those that
// arrived. Sending is not exact; what is measured does not need it.
func stream(t testing.TB, from, to *Host, n, size int, gap time.Duration) []arrival {
	t.Helper()
	source, sink := socket(t, from, from.Addr4()), socket(t, to, to.Addr4())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pace := time.NewTicker(max(gap, time.Microsecond))
		defer pace.Stop()
		start := time.Now()
		for i := range n {
			for gap > 0 && time.Since(start) < time.Duration(i)*gap {
				<-pace.C
			}
			sendNumbered(t, source, addrOf(sink), i, size)
		}
	}()
	got := receive(t, sink, n-1, 500*time.Millisecond)
	<-sent
	// What was overtaken by the last.
	return append(got, receive(t, sink, -1, 100*time.Millisecond)...)
}

// ping sends n packets to and fro, one after the other, and returns the times.
func ping(t testing.TB, from, to *Host, n int, source, target netip.Addr) []time.Duration {
	t.Helper()
	client, server := socket(t, from, source), socket(t, to, target)
	go func() {
		packet := make([]byte, 2048)
		for {
			n, peer, err := server.ReadFromUDPAddrPort(packet)
			if err != nil {
				return // closed
			}
			_, _ = server.WriteToUDPAddrPort(packet[:n], peer)
		}
	}()
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		sendNumbered(t, client, addrOf(server), i, 64)
		if got := receive(t, client, i, 5*time.Second); len(got) == 0 {
			t.Fatalf("ping %d from %s to %s: no answer", i, source, target)
		}
		times[i] = time.Since(start)
	}
	return times
}

func quantile[T int | time.Duration](values []T, share float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func flights(got []arrival) []time.Duration {
	times := make([]time.Duration, len(got))
	for i, a := range got {
		times[i] = a.flight
	}
	return times
}
