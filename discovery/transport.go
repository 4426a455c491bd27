package discovery

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// errPrivate: a learned Registry would have us call a machine of our own.
var errPrivate = errors.New("discovery: a learned Registry is at a private address")

// carriers are the two ways of asking: questions with an end, and streams.
type carriers struct {
	questions, streams *http.Client
}

// newCarriers makes the ways to Registries. guarded ones never call a loopback,
// private or link-local address: who wrote the URL is a stranger.
func newCarriers(c Config, guarded bool) carriers {
	var questions, streams = c.Transport, c.Transport
	if c.Transport == nil {
		dial := &net.Dialer{Timeout: c.Timeout}
		if guarded {
			dial.Control = refusePrivate
		}
		questions, streams = transport(c, dial, false), transport(c, dial, true)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return carriers{
		questions: &http.Client{Transport: questions, Timeout: c.Timeout, CheckRedirect: stay},
		streams:   &http.Client{Transport: streams, CheckRedirect: stay},
	}
}

// transport carries streams by HTTP/2 alone, whose pings notice a Registry that
// is gone.
func transport(c Config, dial *net.Dialer, streams bool) *http.Transport {
	t := &http.Transport{
		DialContext: dial.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: c.Timeout,
		ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 16 << 10,
	}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(streams)
	t.Protocols.SetHTTP1(!streams)
	if streams {
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
	}
	return t
}

func (c carriers) close() {
	c.questions.CloseIdleConnections()
	c.streams.CloseIdleConnections()
}

// refusePrivate looks at the address that a name was resolved to, just before
// it is called.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) {
		return fmt.Errorf("%w: %s", errPrivate, address)
	}
	return nil
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// local reports whether one of the Registries is itself at an address that is
// not public: then learned ones may be too.
func local(registries []string) bool {
	for _, r := range registries {
		u, err := url.Parse(r)
		if err != nil {
			continue
		}
		if u.Hostname() == "localhost" {
			return true
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !public(a) {
			return true
		}
	}
	return false
}
