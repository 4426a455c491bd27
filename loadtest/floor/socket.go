package floor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// socketBuffers are asked of the kernel, in bytes each way.
const socketBuffers = 4 << 20

// pollTime is how long a wait may be that the scheduler does not see.
const pollTime = 20 * time.Millisecond

// socket is the one UDP port. Media goes to handle, on the reader's goroutine;
// pion sees the rest as a net.PacketConn.
type socket struct {
	*mmsg.Socket
	handle  func(from netip.AddrPort, packet []byte)
	poller  *mmsg.Poller
	closing atomic.Bool
	sending sync.Mutex // one at a time
	waiting []mmsg.Packet
	locked  bool // the reader has its own thread
}

func listen() (*socket, error) {
	loopback := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	group, err := mmsg.Listen(loopback, 1, mmsg.Buffers{Kernel: socketBuffers, Datagram: engine.MaxDatagram})
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	poller, err := mmsg.NewPoller(group...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("floor: %w", err), group[0].Close())
	}
	poller.Hold = true // Run has raised GOMAXPROCS for it
	return &socket{Socket: group[0], poller: poller}, nil
}

// Close ends the reader and frees the port.
func (s *socket) Close() error {
	s.closing.Store(true)
	s.poller.Wake()
	return s.Socket.Close()
}

// send sends datagrams in order.
func (s *socket) send(datagrams []engine.Datagram) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.Send(datagrams)
}

// ReadFrom returns the next datagram that is not RTP or RTCP. One goroutine
// reads.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	if !s.locked {
		runtime.LockOSThread() // it spends its time in the kernel
		s.locked = true
	}
	for {
		for len(s.waiting) > 0 {
			p := s.waiting[0]
			s.waiting = s.waiting[1:]
			if isMedia(p.Payload) {
				s.handle(p.From, p.Payload)
				continue
			}
			return copy(b, p.Payload), net.UDPAddrFromAddrPort(p.From), nil
		}
		if s.closing.Load() {
			return 0, nil, errors.Join(net.ErrClosed, s.poller.Close())
		}
		var err error
		if s.waiting, err = s.Receive(); err != nil {
			return 0, nil, errors.Join(err, s.poller.Close())
		}
		if len(s.waiting) > 0 {
			continue
		}
		if _, err = s.poller.Wait(pollTime); err != nil {
			return 0, nil, err
		}
	}
}

// isMedia tells RTP and RTCP by their first byte (RFC 7983, 7).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }

// WriteTo sends one datagram of ICE or DTLS.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("floor: sending to %v: want a UDP address", to)
	}
	at := udp.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	s.send([]engine.Datagram{{To: at, Payload: b}})
	return len(b), nil
}

// LocalAddr returns the bound address.
func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.Addr()) }

// SetDeadline does nothing: Close ends reads, and writes do not wait.
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
