package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// ErrRefused is returned for a target that must not be called; the text says
// why.
var ErrRefused = errors.New("probe: refused")

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard decides which addresses may be called. The zero Guard is that of a
// public network.
type Guard struct {
	// AllowPrivate lets calls go to this machine, to private networks and to any
	// port: for a network on one machine or in one house.
	AllowPrivate bool
	// Resolver resolves names; nil is the system's.
	Resolver Resolver
}

// maxAddresses of one name that are looked at; more are cut off.
const maxAddresses = 8

// Check refuses an address that no public node has, with ErrRefused.
func (g *Guard) Check(to netip.AddrPort) error {
	addr := to.Addr()
	if v4, ok := embedded(addr); ok {
		addr = v4
	}
	if to.Port() == 0 {
		return fmt.Errorf("%w: port 0", ErrRefused)
	}
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("%w: %s is no host's address", ErrRefused, to.Addr())
	}
	if g.AllowPrivate {
		return nil
	}
	if to.Addr().Zone() != "" {
		return fmt.Errorf("%w: %s has a zone", ErrRefused, to.Addr())
	}
	if special(addr) {
		return fmt.Errorf("%w: %s is not a public address", ErrRefused, to.Addr())
	}
	if slices.Contains(abusedPorts, to.Port()) {
		return fmt.Errorf("%w: port %d belongs to another protocol; serve the node on another one", ErrRefused, to.Port())
	}
	return nil
}

// Resolve finds where to call a host. One forbidden address refuses the name: a
// public node has no use for it. The error wraps ErrRefused or is the
// resolver's.
func (g *Guard) Resolve(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	to := make([]netip.AddrPort, 0, len(addrs))
	for _, a := range addrs {
		ap := netip.AddrPortFrom(a.Unmap(), port)
		if err := g.Check(netip.AddrPortFrom(a, port)); err != nil {
			return nil, fmt.Errorf("%w (of %.100q)", err, host)
		}
		to = append(to, ap)
	}
	return to, nil
}

func (g *Guard) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	r := g.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("probe: resolving %.100q: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("probe: resolving %.100q: it has no address", host)
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// DialContext connects to "host:port" if that may be called: for an
// http.Transport.
func (g *Guard) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("probe: port %.20q: %w", portText, err)
	}
	to, err := g.Resolve(ctx, host, uint16(port))
	if err != nil {
		return nil, err
	}
	c, _, err := connect(ctx, to)
	return c, err
}

// Client is for URLs that others chose, such as a node's MetricsURL: it calls
// only what the Guard allows, follows no redirect and knows no proxy. The caller
// bounds what it reads of the body.
func (g *Guard) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: g.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: maxHeader, DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// connect tries one address after the other; each has its share of the time that
// is left. rtt is that of the connection made.
func connect(ctx context.Context, to []netip.AddrPort) (c net.Conn, rtt time.Duration, err error) {
	dialer := net.Dialer{KeepAlive: -1, FallbackDelay: -1}
	for i, ap := range to {
		try, cancel := ctx, context.CancelFunc(func() {})
		if end, ok := ctx.Deadline(); ok {
			try, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(len(to)-i))
		}
		start := time.Now()
		c, err = dialer.DialContext(try, "tcp", ap.String())
		rtt = time.Since(start)
		cancel()
		if err == nil {
			return c, rtt, nil
		}
	}
	return nil, 0, fmt.Errorf("probe: %w", err)
}

// abusedPorts are those of protocols that a stranger's bytes could harm or that
// a victim would complain about.
var abusedPorts = []uint16{
	19, 21, 22, 23, 25, 53, 69, 110, 111, 123, 135, 139, 143, 161, 389, 445, 465, 514, 587, 636, 993, 995,
	1433, 1521, 2049, 2375, 3306, 3389, 5432, 5900, 6379, 9200, 11211, 27017,
}

// nat64 carries an IPv4 address in its last 32 bits (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// embedded is the IPv4 address that a packet to addr ends at.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if addr.Is4In6() {
		return addr.Unmap(), true
	}
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return addr, false
}

// special4 are the IPv4 blocks of the IANA registry of special purposes that are
// not reachable by all (RFC 6890 and later), multicast and class E.
var special4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// global6 is all that is given out of IPv6; special6 is what of it is not
// reachable by all or hides another address: protocol assignments with Teredo
// and ORCHID, documentation, 6to4.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		ps[i] = netip.MustParsePrefix(t)
	}
	return ps
}

func special(addr netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if addr.Is4() {
		return slices.ContainsFunc(special4, in)
	}
	return !global6.Contains(addr) || slices.ContainsFunc(special6, in)
}
