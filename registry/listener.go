package registry

import (
	"net"
	"net/netip"
	"sync"
)

// addressListener refuses an address that has too many connections open, so
// that one machine cannot take all of them.
type addressListener struct {
	net.Listener
	limit int

	mu   sync.Mutex // guards open
	open map[netip.Addr]int
}

func newAddressListener(l net.Listener, limit int) *addressListener {
	return &addressListener{Listener: l, limit: limit, open: map[netip.Addr]int{}}
}

// Accept closes what is over the limit and waits for the next.
func (l *addressListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || !l.enter(at.Addr().Unmap()) {
			conn.Close()
			continue
		}
		return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(at.Addr().Unmap()) })}, nil
	}
}

func (l *addressListener) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[a] >= l.limit {
		return false
	}
	l.open[a]++
	return true
}

func (l *addressListener) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[a]--; l.open[a] == 0 {
		delete(l.open, a)
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
