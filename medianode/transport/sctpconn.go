package transport

import (
	"io"
	"net"
	"sync"
	"time"
)

// inboundPackets is how many SCTP packets may wait for an association: a good
// part of receiveBuffer, since one read of the socket may bring as much.
const inboundPackets = 256

// sctpConn is the net.Conn under a peer's SCTP association: it reads what push
// brings and writes to DTLS. Closing it leaves DTLS alone.
type sctpConn struct {
	out io.Writer
	// taken is called before each read, when the packets that were read before
	// have had their effect.
	taken func()

	mu     sync.Mutex // guards what follows
	ready  sync.Cond  // there is a packet, or none will come
	queue  [][]byte
	closed bool

	room int // packets that may wait
}

func newSCTPConn(out io.Writer, room int, taken func()) *sctpConn {
	c := &sctpConn{out: out, room: room, taken: taken}
	c.ready.L = &c.mu
	return c
}

// push offers a packet, which becomes the conn's, and reports whether there was
// room.
func (c *sctpConn) push(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= c.room {
		return false
	}
	if !c.closed {
		c.queue = append(c.queue, b)
		c.ready.Signal()
	}
	return true
}

// Read returns the next packet.
func (c *sctpConn) Read(b []byte) (int, error) {
	c.taken()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closed {
		c.ready.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	n := copy(b, c.queue[0])
	c.queue[0] = nil
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	return n, nil
}

// Write sends one SCTP packet.
func (c *sctpConn) Write(b []byte) (int, error) { return c.out.Write(b) }

// Close ends a blocked and every later Read.
func (c *sctpConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.queue = true, nil
	c.ready.Broadcast()
	return nil
}

// SetReadDeadline ends reading if t has come. SCTP sets no other deadline: it
// aborts with this one.
func (c *sctpConn) SetReadDeadline(t time.Time) error {
	if t.IsZero() || time.Until(t) > 0 {
		return nil
	}
	return c.Close()
}

// SetDeadline is SetReadDeadline; writes never block.
func (c *sctpConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes never block.
func (c *sctpConn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn; an association has no address of its own.
func (c *sctpConn) LocalAddr() net.Addr { return dtlsAddr{} }

// RemoteAddr implements net.Conn.
func (c *sctpConn) RemoteAddr() net.Addr { return dtlsAddr{} }

// dtlsAddr is the address of whoever is at the other end of a peer's DTLS: the
// port is shared, and the peer may move.
type dtlsAddr struct{}

// Network implements net.Addr.
func (dtlsAddr) Network() string { return "dtls" }

// String implements net.Addr.
func (dtlsAddr) String() string { return "peer" }
