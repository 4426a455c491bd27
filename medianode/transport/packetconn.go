package transport

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/transport/record"
)

// inboundDatagrams is how many datagrams may wait for a handshake.
const inboundDatagrams = 64

// packetConn is the net.PacketConn under one peer's handshake: datagrams come
// from the worker and leave to wherever the core has the peer now.
type packetConn struct {
	send   func(b []byte)
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex // guards what follows
	deadline chan struct{}
	timer    *time.Timer
	sent     record.Sent
	muted    bool
}

func newPacketConn(send func(b []byte)) *packetConn {
	return &packetConn{
		send:     send,
		in:       make(chan []byte, inboundDatagrams),
		closed:   make(chan struct{}),
		deadline: make(chan struct{}),
	}
}

// push offers a datagram, which becomes the conn's, and reports whether there
// was room.
func (c *packetConn) push(b []byte) bool {
	select {
	case c.in <- b:
		return true
	default:
		return false
	}
}

// mute lets nothing leave any more and returns what has left.
func (c *packetConn) mute() record.Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = true
	return c.sent
}

// ReadFrom returns the next datagram.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	select {
	case <-c.closed:
		return 0, nil, net.ErrClosed
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case datagram := <-c.in:
		return copy(b, datagram), dtlsAddr{}, nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo sends a datagram; the address is the core's business.
func (c *packetConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	muted := c.muted
	if !muted {
		c.sent.Watch(b)
	}
	c.mu.Unlock()
	if !muted {
		c.send(b)
	}
	return len(b), nil
}

// Close ends every blocked and every later call.
func (c *packetConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// LocalAddr names the peer: the port is shared.
func (c *packetConn) LocalAddr() net.Addr { return dtlsAddr{} }

// SetDeadline sets the read deadline; writes never block.
func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes never block.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline makes blocked and later reads fail from t on; the zero time
// takes the deadline away.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil && !c.timer.Stop() {
		<-c.deadline // it has fired, or is about to
	}
	c.timer = nil
	select {
	case <-c.deadline:
		c.deadline = make(chan struct{})
	default:
	}
	deadline := c.deadline
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		close(deadline)
	default:
		c.timer = time.AfterFunc(wait, func() { close(deadline) })
	}
	return nil
}
