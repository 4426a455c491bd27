// Package enrol keeps a Media Node in the Registry network: algorithm 2 of
// whitepaper section 4.2.3.1, refreshing, keepalive, and leaving.
//
// Contract: while Run runs, every Registry that can be reached holds the same
// newest record of this node, signed by its key; when Run ends, each that can be
// reached in Config.Leave is told that the node has left.
//
// One author signs; one member per Registry sends. All Registries get the same
// bytes, because two records of one version would be a lie told to one of them.
//
//	            +--> member: register, then refresh on every new record --> Registry
//	author -----+              keepalive stream: sign each nonce       <--> Registry
//	(seq)       +--> member ...
//	                 probers that the answers name: keepalive stream   <--> Registry
//
// A Registry that probes the node need not be one that it registered with. Such
// streams are few (maxProbers), and nonces are signed for the named id alone.
//
// Methods of Enrolment are safe for concurrent use; Run is called once.
package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

// Result is the outcome of algorithm 2.
type Result int

// The three results of algorithm 2.
const (
	// ConnectionFailed: the Registry could not be reached.
	ConnectionFailed Result = iota
	// RegistrationFailed: it was reached and refused.
	RegistrationFailed
	// Success: it holds the record.
	Success
)

// String gives the paper's names.
func (r Result) String() string {
	return [...]string{"CONNECTION_FAILED", "REGISTRATION_FAILED", "SUCCESS"}[r]
}

// Config of an Enrolment. Start from DefaultConfig.
type Config struct {
	// Registries are base URLs, http or https.
	Registries []string
	// Network is the name that records carry.
	Network string
	// TTL is the life of one record, Refresh the time after which the next is
	// signed, give or take a fifth.
	TTL, Refresh time.Duration
	// Watch is how often the node's figures are looked at; a change that matters
	// makes a record ahead of time. A Registry takes one record every 5 s.
	Watch time.Duration
	// Timeout bounds one call, Leave the farewell to all Registries.
	Timeout, Leave time.Duration
	// RetryMin and RetryMax bound the time between attempts; it doubles from one
	// to the other.
	RetryMin, RetryMax time.Duration
	// Silence is how long a keepalive stream may bring no nonce.
	Silence time.Duration
	// Transport carries the calls; it must speak HTTP/2. Nil is TCP, with TLS for
	// https.
	Transport http.RoundTripper
}

// DefaultConfig returns the network's times; Registries and Network are to be
// filled in.
func DefaultConfig() Config {
	return Config{
		TTL: 300 * time.Second, Refresh: 100 * time.Second, Watch: 6 * time.Second,
		Timeout: 5 * time.Second, Leave: 2 * time.Second,
		RetryMin: 500 * time.Millisecond, RetryMax: 30 * time.Second, Silence: 30 * time.Second,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if len(c.Registries) == 0 {
		return errors.New("enrol: Registries is empty: give at least one URL")
	}
	for _, r := range c.Registries {
		if !baseURL(r) {
			return fmt.Errorf("enrol: Registries: want a URL such as https://registry.example, got %q", r)
		}
	}
	if c.Network == "" {
		return errors.New("enrol: Network is empty: give the network's name, such as devnet")
	}
	if c.TTL < time.Second || c.TTL%time.Second != 0 || c.TTL > 900*time.Second {
		return fmt.Errorf("enrol: TTL: want whole seconds from 1s to 900s, got %s", c.TTL)
	}
	for name, d := range map[string]time.Duration{
		"Refresh": c.Refresh, "Watch": c.Watch, "Timeout": c.Timeout, "Leave": c.Leave,
		"RetryMin": c.RetryMin, "RetryMax": c.RetryMax, "Silence": c.Silence,
	} {
		if d <= 0 {
			return fmt.Errorf("enrol: %s must be above 0, is %s", name, d)
		}
	}
	if c.Refresh >= c.TTL {
		return fmt.Errorf("enrol: Refresh: want less than TTL %s, got %s", c.TTL, c.Refresh)
	}
	return nil
}

// baseURL reports whether a Registry's API may be there.
func baseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// Enrolment is a node's membership. Make one with New, then call Run.
type Enrolment struct {
	config  Config
	log     *slog.Logger
	key     *identity.Key
	payload func() Payload
	author  *author
	members []*member
	probers *probers

	mu       sync.Mutex        // guards minimums
	minimums map[string]uint64 // generation that a Registry takes at least, by its URL
}

// New prepares an enrolment. payload is called from one goroutine at a time and
// returns the node's present figures.
func New(c Config, key *identity.Key, payload func() Payload, log *slog.Logger) (*Enrolment, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	e := &Enrolment{config: c, log: log, key: key, payload: payload, minimums: map[string]uint64{}}
	var err error
	if e.author, err = newAuthor(time.Now(), key, c, payload()); err != nil {
		return nil, err
	}
	transport := c.Transport
	if transport == nil {
		transport = newTransport()
	}
	for _, url := range c.Registries {
		e.members = append(e.members, newMember(e, url, transport))
	}
	e.probers = newProbers(e, transport)
	return e, nil
}

// newTransport speaks HTTP/2 only, which the keepalive stream needs, over TLS
// or in clear.
func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:           &protocols,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13},
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     2 * time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// Register runs algorithm 2 once with one Registry. The error says why the
// result is not Success.
func (e *Enrolment) Register(ctx context.Context, registry string) (Result, error) {
	for _, m := range e.members {
		if m.url == registry {
			return m.register(ctx)
		}
	}
	return ConnectionFailed, fmt.Errorf("enrol: %s is not one of Config.Registries", registry)
}

// Run keeps the node registered until ctx is done, then takes leave and returns
// nil when all goroutines have ended.
func (e *Enrolment) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var members sync.WaitGroup
	for _, m := range e.members {
		members.Go(func() { m.run(working) })
	}
	members.Go(func() { e.probers.run(working) })
	err := e.renewLoop(ctx)
	if err == nil {
		e.leave(working) // while the streams still answer
	}
	stop()
	members.Wait()
	for _, m := range e.members {
		m.http.CloseIdleConnections()
	}
	return err
}

// renewLoop signs a record whenever it is time or the figures have changed.
func (e *Enrolment) renewLoop(ctx context.Context) error {
	refresh := time.NewTimer(spread(e.config.Refresh, 0.2))
	defer refresh.Stop()
	watch := time.NewTicker(e.config.Watch)
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-refresh.C:
		case <-watch.C:
			if !e.author.differs(e.payload()) {
				continue
			}
		}
		if err := e.author.renew(time.Now(), e.payload()); err != nil {
			return err
		}
		refresh.Reset(spread(e.config.Refresh, 0.2))
	}
}

// leave tells all Registries at once.
func (e *Enrolment) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Leave)
	defer cancel()
	tombstone, err := e.author.leave(time.Now())
	if err != nil {
		e.log.Error("node could not sign its leave", slog.Any("error", err))
		return
	}
	var calls sync.WaitGroup
	for _, m := range e.members {
		calls.Go(func() { m.deregister(ctx, tombstone) })
	}
	calls.Wait()
}

// heard takes what a Registry says about the network besides. It reports whether
// the node's generation was raised, which more than half of Config.Registries
// must ask for: one that lies must not make a node use up its generations.
func (e *Enrolment) heard(registry string, minGeneration uint64, named []*registryv1.Prober) (raised bool, err error) {
	e.probers.name(registry, named)
	e.mu.Lock()
	e.minimums[registry] = minGeneration
	all := slices.Sorted(maps.Values(e.minimums))
	e.mu.Unlock()
	most := len(e.config.Registries)/2 + 1
	if len(all) < most {
		return false, nil
	}
	return e.author.raise(time.Now(), all[len(all)-most])
}

// Status is how the node stands with one Registry.
type Status struct {
	Registry string      // base URL
	ID       drtc.NodeID // zero before it answered
	Result   Result
	// Since is when Result last changed; zero before the first attempt.
	Since time.Time
	// Err says why Result is not Success.
	Err error
	// KeepAlive: the stream is open and was asked for a signature.
	KeepAlive bool
}

// Status reports on all Registries, in the order of Config.Registries.
func (e *Enrolment) Status() []Status {
	all := make([]Status, len(e.members))
	for i, m := range e.members {
		all[i] = m.current()
	}
	return all
}

// Probers are the Registries beside those of Config.Registries to which the node
// keeps a stream because they probe it.
func (e *Enrolment) Probers() []Prober { return e.probers.current() }

// spread returns d, at random up to the given share more or less.
func spread(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 - share + 2*share*rand.Float64()))
}
