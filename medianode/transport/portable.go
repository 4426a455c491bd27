package transport

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// portable is the socket of any system: one system call per datagram.
type portable struct {
	conn   *net.UDPConn
	buffer [readSize]byte
	packet [1]mmsg.Packet
}

// openPortable binds one socket.
func openPortable(addr netip.AddrPort, buffer int) ([]socket, error) {
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	// The kernel caps both at its own limit without an error.
	if err := errors.Join(conn.SetReadBuffer(buffer), conn.SetWriteBuffer(buffer)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return []socket{&portable{conn: conn}}, nil
}

// receive waits for a datagram, which is good until the next call. It fails
// once interrupt was called.
func (p *portable) receive() ([]mmsg.Packet, error) {
	n, from, err := p.conn.ReadFromUDPAddrPort(p.buffer[:])
	if err != nil {
		return nil, err
	}
	p.packet[0] = mmsg.Packet{
		From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Payload: p.buffer[:n],
		Arrival: time.Now(), // about: it may have waited
	}
	return p.packet[:], nil
}

// interrupt ends receive for good.
func (p *portable) interrupt() {
	_ = p.conn.SetReadDeadline(time.Unix(1, 0)) // fails if the conn is closed, which has ended it
}

// Send implements socket.
func (p *portable) Send(datagrams []engine.Datagram) (sent mmsg.Sent) {
	for i := range datagrams {
		if _, err := p.conn.WriteToUDPAddrPort(datagrams[i].Payload, datagrams[i].To); err != nil {
			sent.Failed++
			continue
		}
		sent.Took(1, len(datagrams[i].Payload))
	}
	return sent
}

// Addr implements socket.
func (p *portable) Addr() netip.AddrPort {
	a := p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Close implements socket.
func (p *portable) Close() error { return p.conn.Close() }
