package api

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// gate gives each client address its share of requests.
type gate struct {
	config Config

	mu       sync.Mutex // guards all below
	clients  map[netip.Prefix]*client
	overflow *rate.Limiter // for addresses beyond maxClients
	swept    time.Time
	latest   time.Time // of all calls
}

type client struct {
	*rate.Limiter
	seen time.Time
}

// servicePath is where RPC starts; its clients read errors of another form.
const servicePath = "/" + registryv1connect.RegistryServiceName + "/"

const (
	maxClients = 50_000 // 10 MB
	sweepEvery = 10 * time.Second
)

func newGate(c Config) *gate {
	g := &gate{config: c, clients: map[netip.Prefix]*client{}}
	g.overflow = g.limiter()
	return g
}

func (g *gate) limiter() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(g.config.RequestsPerSecond), g.config.Burst)
}

func (g *gate) admit(next http.Handler) http.Handler {
	rpc := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.allow(time.Now(), r.RemoteAddr) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		if strings.HasPrefix(r.URL.Path, servicePath) {
			_ = rpc.Write(w, r, connect.NewError(connect.CodeResourceExhausted, errors.New("too many requests from your address; slow down"))) // the client has gone
			return
		}
		writeProblem(w, &problem{status: http.StatusTooManyRequests, Code: "too_many_requests", Parameter: "address",
			Message: "too many requests from your address; slow down"})
	})
}

func (g *gate) allow(now time.Time, remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.latest) { // a Limiter that goes back fills itself again
		now = g.latest
	}
	g.latest = now
	if now.Sub(g.swept) > sweepEvery {
		g.sweep(now)
	}
	key := prefixOf(at.Addr())
	c := g.clients[key]
	if c == nil {
		if len(g.clients) >= maxClients {
			return g.overflow.AllowN(now, 1)
		}
		c = &client{Limiter: g.limiter()}
		g.clients[key] = c
	}
	c.seen = now
	return c.AllowN(now, 1)
}

// sweep forgets whoever has had time for a full bucket.
func (g *gate) sweep(now time.Time) {
	full := time.Duration(float64(g.config.Burst) / g.config.RequestsPerSecond * float64(time.Second))
	for k, c := range g.clients {
		if now.Sub(c.seen) > full {
			delete(g.clients, k)
		}
	}
	g.swept = now
}

// prefixOf is what one client can be taken to have: an IPv4 address or a /64.
func prefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}
