package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// readSize holds every datagram that we take and shows a longer one as such.
const readSize = 2048

// Egress sends what a flush holds; datagrams of one destination and stream stay
// in order. It is called with the worker's discipline, keeps nothing after it
// returns and counts its own errors.
type Egress interface {
	Send(datagrams []engine.Datagram)
}

// socket is a bound UDP socket of one IP version: mmsg.Socket, or portable. One
// goroutine receives, one sends.
type socket interface {
	// Receive waits for datagrams, which are good until the next call. It fails
	// with net.ErrClosed after Close.
	Receive() ([]mmsg.Packet, error)
	Send(datagrams []engine.Datagram) mmsg.Sent
	Addr() netip.AddrPort
	Close() error
}

// sockets are those of one worker, at most one of each IP version.
type sockets struct {
	v4, v6  socket
	metrics *metrics
}

// listen binds the addresses, with net's sockets if portable is wanted or the
// system has no other.
func listen(addrs []netip.AddrPort, buffer int, portable bool, m *metrics) (*sockets, error) {
	open := openSocket
	if portable {
		open = openPortable
	}
	s := &sockets{metrics: m}
	for _, addr := range addrs {
		opened, err := open(addr, buffer)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("transport: listening on %v: %w", addr, err), s.close())
		}
		if addr.Addr().Is4() {
			s.v4 = opened
		} else {
			s.v6 = opened
		}
	}
	return s, nil
}

// all returns the sockets that there are.
func (s *sockets) all() []socket {
	var all []socket
	for _, c := range []socket{s.v4, s.v6} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// addrs returns the bound addresses.
func (s *sockets) addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, c := range s.all() {
		addrs = append(addrs, c.Addr())
	}
	return addrs
}

// read hands the datagrams of c to handle, those that came together in one
// call, until c is closed. Their memory is reused: handle keeps nothing. A
// call that waits in the kernel gets a thread of its own.
func (s *sockets) read(c socket, handle func([]mmsg.Packet)) error {
	if _, polled := c.(*portable); !polled {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	oversize := s.metrics.receiveDrops.WithLabelValues("oversize")
	for {
		packets, err := c.Receive()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("transport: reading from %v: %w", c.Addr(), err)
		}
		kept, bytes := packets[:0], 0
		for _, p := range packets {
			bytes += len(p.Payload)
			if len(p.Payload) <= engine.MaxDatagram {
				kept = append(kept, p)
			}
		}
		s.metrics.receiveCalls.Inc()
		s.metrics.receiveMessages.Add(float64(len(packets)))
		s.metrics.packetsReceived.Add(float64(len(packets)))
		s.metrics.bytesReceived.Add(float64(bytes))
		if dropped := len(packets) - len(kept); dropped > 0 {
			oversize.Add(float64(dropped))
		}
		if len(kept) > 0 {
			handle(kept)
		}
	}
}

// Send implements Egress.
func (s *sockets) Send(datagrams []engine.Datagram) {
	var sent mmsg.Sent
	for len(datagrams) > 0 {
		n := sameVersion(datagrams)
		c := s.v6
		if datagrams[0].To.Addr().Is4() {
			c = s.v4
		}
		if c == nil {
			sent.Failed += n
		} else {
			sent.Add(c.Send(datagrams[:n]))
		}
		datagrams = datagrams[n:]
	}
	s.metrics.count(sent)
}

// sameVersion returns how many of the first datagrams go to one IP version.
func sameVersion(datagrams []engine.Datagram) int {
	is4 := datagrams[0].To.Addr().Is4()
	for i := range datagrams {
		if datagrams[i].To.Addr().Is4() != is4 {
			return i
		}
	}
	return len(datagrams)
}

func (s *sockets) close() error {
	var errs []error
	for _, c := range s.all() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
