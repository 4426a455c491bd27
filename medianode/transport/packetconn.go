package transport

import (
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
)

// inboundDatagrams is how many datagrams may wait for a peer's DTLS.
const inboundDatagrams = 64

// packetConn is the net.PacketConn under one peer's DTLS: datagrams come from
// the worker and leave to wherever the core has the peer now.
type packetConn struct {
	peer        engine.PeerID
	send        func(b []byte)
	gate        gate        // used by push alone
	established atomic.Bool // the handshake is done

	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex // guards what follows
	deadline chan struct{}
	timer    *time.Timer
}

func newPacketConn(peer engine.PeerID, send func(b []byte)) *packetConn {
	return &packetConn{
		peer:     peer,
		send:     send,
		in:       make(chan []byte, inboundDatagrams),
		closed:   make(chan struct{}),
		deadline: make(chan struct{}),
	}
}

// push offers a datagram, which becomes the conn's, and reports why it was
// dropped; empty when it was not. One goroutine at a time.
func (c *packetConn) push(b []byte) (drop string) {
	if !c.gate.admit(b, c.established.Load()) {
		return "dtls_malformed"
	}
	select {
	case c.in <- b:
		return ""
	default:
		return "dtls_queue"
	}
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
		return copy(b, datagram), peerAddr(c.peer), nil
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
	c.send(b)
	return len(b), nil
}

// Close ends every blocked and every later call.
func (c *packetConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// LocalAddr names the peer: the port is shared.
func (c *packetConn) LocalAddr() net.Addr { return peerAddr(c.peer) }

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

// peerAddr is the net.Addr of a peer, which stays the same when it moves.
type peerAddr engine.PeerID

// Network implements net.Addr.
func (a peerAddr) Network() string { return "peer" }

// String implements net.Addr.
func (a peerAddr) String() string { return strconv.FormatUint(uint64(a), 10) }
