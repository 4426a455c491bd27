package mmsg

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// loopbacks are what most tests run over.
var loopbacks = map[string]netip.AddrPort{
	"IPv4": netip.MustParseAddrPort("127.0.0.1:0"),
	"IPv6": netip.MustParseAddrPort("[::1]:0"),
}

func listen(t testing.TB, addr netip.AddrPort) *Socket {
	t.Helper()
	return listenTogether(t, addr, 1)[0]
}

func listenTogether(t testing.TB, addr netip.AddrPort, count int) []*Socket {
	t.Helper()
	group, err := Listen(addr, count, Buffers{Kernel: 4 << 20, Datagram: 2048})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range group {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return group
}

func newPoller(t testing.TB, sockets ...*Socket) *Poller {
	t.Helper()
	p, err := NewPoller(sockets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// await waits for datagrams on a socket.
func await(t testing.TB, p *Poller, s *Socket) []Packet {
	t.Helper()
	if _, err := p.Wait(patience); err != nil {
		t.Fatal(err)
	}
	packets, err := s.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if len(packets) == 0 {
		t.Fatalf("waited %v for a datagram", patience)
	}
	return packets
}

// far is a foreign socket: net's.
type far struct {
	*net.UDPConn
	addr netip.AddrPort
}

func newFar(t testing.TB, like netip.AddrPort) far {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(like.Addr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return far{conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// read returns so many datagrams and fails if there is another one.
func (f far) read(t rapid.TB, count int) (got [][]byte) {
	t.Helper()
	buf := make([]byte, 65536)
	for range count {
		if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", len(got), count, err)
		}
		got = append(got, bytes.Clone(buf[:n]))
	}
	// Loopback delivers before the send returns, so what is not there never was.
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("another datagram of %d bytes (%v), want %d in all", n, err, count)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// payload makes datagrams that differ from each other.
func payload(length, salt int) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte(i*7 + salt*31 + salt>>8)
	}
	return b
}

// burst is count datagrams of one stream.
func burst(to netip.AddrPort, stream uint32, count, length int) (out []engine.Datagram) {
	for i := range count {
		out = append(out, engine.Datagram{To: to, Stream: stream, Payload: payload(length, i)})
	}
	return out
}

// expect compares what every destination got with what it was sent.
func expect(t rapid.TB, fars []far, sent []engine.Datagram) {
	t.Helper()
	for i, f := range fars {
		var want [][]byte
		for _, d := range sent {
			if d.To == f.addr {
				want = append(want, d.Payload)
			}
		}
		got := f.read(t, len(want))
		for k := range want {
			if !bytes.Equal(got[k], want[k]) {
				t.Fatalf("destination %d: datagram %d has %d bytes %x..., want %d bytes %x...",
					i, k, len(got[k]), head(got[k]), len(want[k]), head(want[k]))
			}
		}
	}
}

func head(b []byte) []byte { return b[:min(8, len(b))] }
