package transport

import (
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// maxWorkers is how many workers can share the port.
const maxWorkers = 64

// maxDrains is how many full calls of Receive a socket gets before the worker
// looks at the other one: a bound on the wait of its timers is in handle.
const maxDrains = 8

// openSockets binds the fastest sockets of the system, so many to one port.
func openSockets(addr netip.AddrPort, count, buffer int) ([]socket, error) {
	group, err := mmsg.Listen(addr, count, mmsg.Buffers{Kernel: buffer, Datagram: readSize})
	if err != nil {
		return nil, err
	}
	var sockets []socket
	for _, s := range group {
		sockets = append(sockets, s)
	}
	return sockets, nil
}

// polled is the ingress of the system's sockets.
type polled struct {
	poller  *mmsg.Poller
	sockets *sockets
}

// newPolled returns nil if the sockets are portable.
func newPolled(s *sockets) (ingress, error) {
	var system []*mmsg.Socket
	for _, c := range s.all() {
		if c, ok := c.(*mmsg.Socket); ok {
			system = append(system, c)
		}
	}
	if len(system) == 0 {
		return nil, nil
	}
	poller, err := mmsg.NewPoller(system...)
	if err != nil {
		return nil, err
	}
	return &polled{poller, s}, nil
}

// Wait implements ingress.
func (p *polled) Wait(timeout time.Duration, take func([]mmsg.Packet)) error {
	ready, err := p.poller.Wait(timeout)
	if err != nil {
		return err
	}
	for _, s := range ready {
		for range maxDrains {
			packets, err := s.Receive()
			if err != nil {
				return err
			}
			if len(packets) == 0 {
				break
			}
			full := len(packets) == mmsg.MaxReceive
			if packets = p.sockets.admit(packets); len(packets) > 0 {
				take(packets)
			}
			if !full { // nothing waits, most likely; if it does, the next Wait tells
				break
			}
		}
	}
	return nil
}

// Wake implements ingress.
func (p *polled) Wake() { p.poller.Wake() }

// Close implements ingress.
func (p *polled) Close() error { return p.poller.Close() }
