package probe

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
)

// Errors of a dial.
var (
	// ErrFingerprint: whoever answers is not who signed the record.
	ErrFingerprint = errors.New("probe: the certificate is not the one in the node's record")
	// ErrBusy: MaxDials others are under way, so it was not tried.
	ErrBusy = errors.New("probe: too many dials under way")
)

// maxHeader bounds the header of an answer over http.
const maxHeader = 16 << 10

// Config of a Dialer.
type Config struct {
	// Timeout of one dial, from the name to the end of the handshake; a dial waits
	// as long for its turn.
	Timeout time.Duration
	// MaxDials under way at once.
	MaxDials int
	// Guard says what may be called.
	Guard Guard
}

// DefaultConfig is for a public network.
func DefaultConfig() Config { return Config{Timeout: 3 * time.Second, MaxDials: 256} }

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Timeout <= 0:
		return fmt.Errorf("probe: Timeout must be above 0, is %s", c.Timeout)
	case c.MaxDials < 1:
		return fmt.Errorf("probe: MaxDials must be at least 1, is %d", c.MaxDials)
	}
	return nil
}

// Target is a node to dial.
type Target struct {
	Node drtc.NodeID
	// URL of its control service, http or https.
	URL string
	// Fingerprint is the SHA-256 of the certificate of an https URL.
	Fingerprint [sha256.Size]byte
}

// Result of a dial.
type Result struct {
	Node drtc.NodeID
	// Err is nil when the node answered. ErrBusy and context.Canceled mean that it
	// was not tried to the end, ErrRefused that it must not be; all else is a miss.
	Err error
	// RTT from SYN to SYN-ACK; 0 when the node did not answer.
	RTT time.Duration
	// Address that was called, if any.
	Address netip.AddrPort
	// Local says that the address is on this machine or in a private network, so
	// that RTT says nothing about distance.
	Local bool
}

// Answer is the Result as evidence.
func (r Result) Answer() liveness.Answer {
	switch {
	case r.Err == nil && r.Local:
		return liveness.Answer{Outcome: liveness.Answered}
	case r.Err == nil:
		return liveness.Answer{Outcome: liveness.Answered, RTT: r.RTT}
	case errors.Is(r.Err, ErrBusy), errors.Is(r.Err, context.Canceled):
		return liveness.Answer{Outcome: liveness.Skipped}
	}
	return liveness.Answer{Outcome: liveness.Missed}
}

// Dialer dials nodes. Make one with New.
type Dialer struct {
	config Config
	slots  chan struct{}
	dials  *prometheus.CounterVec
	rtt    prometheus.Histogram

	mu   sync.Mutex
	own  []netip.Addr // of this machine
	seen time.Time    // when they were asked for
}

// New returns a Dialer that counts in metrics.
func New(c Config, metrics prometheus.Registerer) (*Dialer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Dialer{
		config: c, slots: make(chan struct{}, c.MaxDials),
		dials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_probes_total", Help: "Dials of nodes, by outcome.",
		}, []string{"outcome"}),
		rtt: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drtc_registry_probe_rtt_seconds", Help: "Round trips to nodes that answered.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	for _, m := range []prometheus.Collector{d.dials, d.rtt} {
		if err := metrics.Register(m); err != nil {
			return nil, fmt.Errorf("probe: metrics: %w", err)
		}
	}
	return d, nil
}

// Dial calls a node and waits for the end: a full TLS handshake with the pinned
// certificate, or over http any answer to GET /healthz. It takes at most twice
// the Timeout.
func (d *Dialer) Dial(ctx context.Context, t Target) Result {
	r := Result{Node: t.Node}
	if r.Err = d.enter(ctx); r.Err == nil {
		d.dial(ctx, t, &r)
		<-d.slots
	}
	if r.Err != nil {
		r.RTT = 0
	} else {
		d.rtt.Observe(r.RTT.Seconds())
	}
	outcome := r.Answer().Outcome.String()
	if errors.Is(r.Err, ErrRefused) {
		outcome = "refused"
	}
	d.dials.WithLabelValues(outcome).Inc()
	return r
}

// enter waits for a turn.
func (d *Dialer) enter(ctx context.Context) error {
	turn := time.NewTimer(d.config.Timeout)
	defer turn.Stop()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-turn.C:
		return fmt.Errorf("%w: %d", ErrBusy, d.config.MaxDials)
	}
}

func (d *Dialer) dial(ctx context.Context, t Target, r *Result) {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	u, port, err := parse(t.URL)
	if err != nil {
		r.Err = err
		return
	}
	to, err := d.config.Guard.Resolve(ctx, u.Hostname(), port)
	if err != nil {
		r.Err = err
		return
	}
	conn, rtt, err := connect(ctx, to)
	if err != nil {
		r.Err = err
		return
	}
	defer conn.Close()
	r.RTT = rtt
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		r.Address = a.AddrPort()
		r.Local = d.local(r.Address.Addr().Unmap())
	}
	if u.Scheme == "https" {
		r.Err = handshake(ctx, conn, u.Hostname(), t.Fingerprint)
	} else {
		r.Err = get(ctx, conn, u)
	}
}

// parse takes a node's URL apart.
func parse(text string) (u *url.URL, port uint16, err error) {
	u, err = url.Parse(text)
	if err != nil {
		return nil, 0, fmt.Errorf("probe: url: %w", err)
	}
	defaults := map[string]uint16{"http": 80, "https": 443}
	port, ok := defaults[u.Scheme]
	if !ok || u.Hostname() == "" {
		return nil, 0, fmt.Errorf("%w: url: want http or https and a host, got %.60q", ErrRefused, text)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: url: port %.20q: want 1 to 65535", ErrRefused, p)
		}
		port = uint16(n)
	}
	return u, port, nil
}

// handshake proves that who answers holds the key of the pinned certificate: TLS
// has the server sign the handshake with it. Names and authorities play no part.
func handshake(ctx context.Context, conn net.Conn, host string, fingerprint [sha256.Size]byte) error {
	c := tls.Client(conn, &tls.Config{
		ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], fingerprint[:]) != 1 {
				return fmt.Errorf("%w: its SHA-256 is %x", ErrFingerprint, got)
			}
			return nil
		},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("probe: TLS: %w", err)
	}
	return nil
}

// get counts any answer; http.Transport follows no redirects by itself.
func get(ctx context.Context, conn net.Conn, u *url.URL) error {
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("/healthz").String(), nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	response.Body.Close()
	return nil
}

// ownFor is how long the list of this machine's addresses is good.
const ownFor = time.Minute

// local reports whether a packet to addr stays near this machine.
func (d *Dialer) local(addr netip.Addr) bool {
	if special(addr) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.seen) > ownFor {
		d.own, d.seen = ownAddresses(), now
	}
	return slices.Contains(d.own, addr)
}

func ownAddresses() (own []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then the public address of this machine counts as far
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own
}
