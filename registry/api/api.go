// Package api is the Registry's face to the network (whitepaper section 4.2.3):
// the RPC service by which Media Nodes join, stay and leave, and the REST
// interface by which anybody finds them.
//
// Contract: nothing that comes in over the network can make a handler panic,
// block for longer than its time or use more than its share; every refusal says
// which parameter or field it is about.
//
//	/drtc.registry.v1.RegistryService/*   Connect, gRPC, gRPC-Web (HTTP/2 for KeepAlive)
//	GET /getMediaNodes  /nodeById  /listMediaNodes  /records  /peers  /healthz  /openapi.json  /metrics
//	GET /network...  /status...  with a Backend.Status
//
// docs/protocol/registry.md has all parameters and errors, openapi.json those of
// the second line. A Handler is safe for concurrent use.
package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// Config sets the limits of the API.
type Config struct {
	// RequestsPerSecond and Burst bound each client address (IPv6: each /64).
	RequestsPerSecond float64
	Burst             int
	// Timeout is for reading and for answering one request. Keepalive streams
	// have it per message.
	Timeout time.Duration
	// Silence is how long a keepalive stream may bring nothing.
	Silence time.Duration
	// MaxWatchers bounds the Watch streams, and MaxWatchersPerAddress those of
	// each client address (IPv6: each /64).
	MaxWatchers           int
	MaxWatchersPerAddress int
	// WatchLag is how old a watcher's knowledge may be while there is newer. It
	// bounds the old records that are kept for slow watchers.
	WatchLag time.Duration
}

// DefaultConfig returns limits for a public Registry.
func DefaultConfig() Config {
	return Config{
		RequestsPerSecond: 200, Burst: 1000, Timeout: 10 * time.Second, Silence: 30 * time.Second,
		MaxWatchers: 1000, MaxWatchersPerAddress: 16, WatchLag: time.Minute,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case !(c.RequestsPerSecond > 0):
		return fmt.Errorf("api: RequestsPerSecond must be above 0, is %v", c.RequestsPerSecond)
	case c.Burst < 1:
		return fmt.Errorf("api: Burst must be at least 1, is %d", c.Burst)
	case c.Timeout <= 0:
		return fmt.Errorf("api: Timeout must be above 0, is %s", c.Timeout)
	case c.Silence <= 0:
		return fmt.Errorf("api: Silence must be above 0, is %s", c.Silence)
	case c.MaxWatchers < 1:
		return fmt.Errorf("api: MaxWatchers must be at least 1, is %d", c.MaxWatchers)
	case c.MaxWatchersPerAddress < 1:
		return fmt.Errorf("api: MaxWatchersPerAddress must be at least 1, is %d", c.MaxWatchersPerAddress)
	case c.WatchLag <= 0:
		return fmt.Errorf("api: WatchLag must be above 0, is %s", c.WatchLag)
	}
	return nil
}

// maxMessage bounds an RPC message after decompression: the largest record of
// any kind that is submitted by RPC, and its fields. maxPublished is that of
// Publish.
const (
	maxMessage   = 8 << 10
	maxPublished = envelope.MaxSize + 1<<10
)

// New returns the handler of all paths. Metrics are registered with, and
// served from, the given registry.
func New(c Config, b Backend, metrics *prometheus.Registry) (http.Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m, err := newMeter(metrics)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	rpcPath, rpc := registryv1connect.NewRegistryServiceHandler(
		&service{config: c, backend: b, meter: m, watchers: newPlaces(c.MaxWatchers, c.MaxWatchersPerAddress)},
		connect.WithReadMaxBytes(maxMessage), connect.WithConditionalHandlerOptions(func(s connect.Spec) []connect.HandlerOption {
			if s.Procedure == registryv1connect.RegistryServicePublishProcedure {
				return []connect.HandlerOption{connect.WithReadMaxBytes(maxPublished)}
			}
			return nil
		}))
	mux.Handle(rpcPath, rpc)
	newRest(b).register(mux)
	if b.Status != nil {
		for _, path := range statusPaths {
			mux.Handle(path, b.Status)
		}
	}
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: c.Timeout}))
	return m.observe(newGate(c).admit(withDeadlines(c, mux))), nil
}

// statusPaths are what Backend.Status serves; see registry/status.
var statusPaths = []string{"/{$}", "/network", "/network/", "/status", "/status/", "/assets/", "/icon.svg"}

type controllerKey struct{}

// withDeadlines bounds how long a request may take in either direction. A
// stream's handler moves its own deadlines on.
func withDeadlines(c Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		end := time.Now().Add(c.Timeout)
		// Only a ResponseWriter without deadlines refuses, as in tests of handlers.
		_ = rc.SetReadDeadline(end)
		_ = rc.SetWriteDeadline(end)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), controllerKey{}, rc)))
	})
}
