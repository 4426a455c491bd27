package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/drtc-network/drtc/medianode/engine"
)

// readSize holds every datagram that we take and shows a longer one as such.
const readSize = 2048

// Egress sends what a flush holds, in order. It is called with the worker's
// discipline, keeps nothing after it returns and counts its own errors.
type Egress interface {
	Send(datagrams []engine.Datagram)
}

// sockets are the UDP sockets of one worker, at most one of each IP version.
// It is the portable Egress: one system call per datagram.
type sockets struct {
	v4, v6  *net.UDPConn
	metrics *metrics
}

// listen binds the addresses.
func listen(addrs []netip.AddrPort, buffer int, m *metrics) (*sockets, error) {
	s := &sockets{metrics: m}
	for _, addr := range addrs {
		network, conn := "udp4", &s.v4
		if addr.Addr().Is6() {
			network, conn = "udp6", &s.v6
		}
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("transport: listening on %v: %w", addr, err), s.close())
		}
		*conn = c
		// The kernel caps both at its own limit without an error.
		if err := errors.Join(c.SetReadBuffer(buffer), c.SetWriteBuffer(buffer)); err != nil {
			return nil, errors.Join(fmt.Errorf("transport: sizing the buffers of %v: %w", addr, err), s.close())
		}
	}
	return s, nil
}

// all returns the sockets that there are.
func (s *sockets) all() []*net.UDPConn {
	var conns []*net.UDPConn
	for _, c := range []*net.UDPConn{s.v4, s.v6} {
		if c != nil {
			conns = append(conns, c)
		}
	}
	return conns
}

// addrs returns the bound addresses.
func (s *sockets) addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, c := range s.all() {
		a := c.LocalAddr().(*net.UDPAddr).AddrPort()
		addrs = append(addrs, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	return addrs
}

// read hands the datagrams of conn to handle until conn is closed. The buffer
// is reused: handle keeps nothing.
func (s *sockets) read(conn *net.UDPConn, handle func(from netip.AddrPort, b []byte)) error {
	oversize := s.metrics.receiveDrops.WithLabelValues("oversize")
	buf := make([]byte, readSize)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("transport: reading from %v: %w", conn.LocalAddr(), err)
		}
		s.metrics.packetsReceived.Inc()
		s.metrics.bytesReceived.Add(float64(n))
		if n > engine.MaxDatagram {
			oversize.Inc()
			continue
		}
		handle(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n])
	}
}

// Send implements Egress.
func (s *sockets) Send(datagrams []engine.Datagram) {
	var sent, failed, bytes int
	for _, d := range datagrams {
		conn := s.v6
		if d.To.Addr().Is4() {
			conn = s.v4
		}
		if conn == nil {
			failed++
			continue
		}
		if _, err := conn.WriteToUDPAddrPort(d.Payload, d.To); err != nil {
			failed++
			continue
		}
		sent++
		bytes += len(d.Payload)
	}
	s.metrics.packetsSent.Add(float64(sent))
	s.metrics.bytesSent.Add(float64(bytes))
	if failed > 0 {
		s.metrics.sendErrors.Add(float64(failed))
	}
}

func (s *sockets) close() error {
	var errs []error
	for _, c := range s.all() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
