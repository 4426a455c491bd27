package signal

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds the addresses remembered for the rate limit.
const maxAddresses = 20_000

// limiter bounds how often one address may connect.
type limiter struct {
	perSecond rate.Limit
	burst     int
	trusted   []netip.Prefix

	mu        sync.Mutex // guards addresses
	addresses map[netip.Addr]*rate.Limiter
}

// allow reports whether the client of r may connect now.
func (l *limiter) allow(r *http.Request, now time.Time) bool {
	if l.perSecond <= 0 {
		return true
	}
	// An owner of one IPv6 network has any number of addresses in it.
	addr := l.client(r)
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.addresses[addr]
	if b == nil {
		if len(l.addresses) >= maxAddresses {
			l.forget(now)
		}
		if len(l.addresses) >= maxAddresses {
			return false
		}
		b = rate.NewLimiter(l.perSecond, l.burst)
		l.addresses[addr] = b
	}
	return b.AllowN(now, 1)
}

// forget drops addresses whose allowance is full again.
func (l *limiter) forget(now time.Time) {
	for a, b := range l.addresses {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.addresses, a)
		}
	}
}

// client is the address of who sent r: the last one in X-Forwarded-For that is
// not a proxy of ours, if the connection comes from one.
func (l *limiter) client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	addr = addr.Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && l.isTrusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (l *limiter) isTrusted(a netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Client is the address of who sent r, by Config.TrustedProxies.
func (s *Server) Client(r *http.Request) netip.Addr { return s.limit.client(r) }
