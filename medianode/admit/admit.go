// Package admit keeps a Media Node's list of who may command it (whitepaper
// section 4.1.2), as the Registries sign it: the shell around the core
// admission.
//
// Contract: an Orchestrator is let in while a list that names it, signed by a
// quorum of trusted Registries, is alive, and for Config.Grace after that; before
// the first list, and after the grace, nobody is. The error of Check says why.
//
//	Registries --GetAdmission--> admission.Roll --> Check(caller)
//	                                  |    ^
//	                                  +-- Config.File: who is trusted now, and the last list
//
// A Registry that lies, is down, or shows an old list changes nothing. What each
// of them holds is put together, since none needs to hold all signatures.
//
// Methods of Gate are safe for concurrent use; Run is called once.
package admit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// Config of a Gate. Start from DefaultConfig.
type Config struct {
	// Registries are the base URLs of those who are asked.
	Registries []string
	// Network is the name that signatures must carry.
	Network string
	// Trusted are the Registries whose quorum is believed at first; a list that
	// they sign names those who are after that.
	Trusted []drtc.NodeID
	// File remembers the last list over a restart; empty for none. It is thrown
	// away when Trusted changes.
	File string
	// Grace is how long a list counts after its signatures have expired.
	Grace time.Duration
	// Every is the time between questions; before the first list it is RetryMin,
	// doubling.
	Every, RetryMin time.Duration
	// Timeout bounds one question.
	Timeout time.Duration
	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper
}

// DefaultConfig returns the network's times; Registries, Network and Trusted are
// to be filled in.
func DefaultConfig() Config {
	return Config{Grace: 24 * time.Hour, Every: time.Minute, RetryMin: 250 * time.Millisecond, Timeout: 5 * time.Second}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if len(c.Registries) == 0 {
		return errors.New("admit: Registries is empty: give the URL of at least one that has the list")
	}
	for _, r := range c.Registries {
		if u, err := url.Parse(r); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("admit: Registries: want a URL such as https://registry.example, got %.80q", r)
		}
	}
	switch {
	case c.Network == "":
		return errors.New("admit: Network is empty: give the network's name, such as devnet")
	case len(c.Trusted) == 0:
		return errors.New("admit: Trusted is empty: give the ids of the Registries whose signatures count")
	case c.Grace < 0:
		return fmt.Errorf("admit: Grace must not be negative, is %s", c.Grace)
	case c.Every <= 0 || c.RetryMin <= 0 || c.Timeout <= 0:
		return errors.New("admit: Every, RetryMin and Timeout must be above 0")
	}
	return nil
}

// Why nobody is let in. The errors of Check wrap one of these.
var (
	// ErrNoList: no list has arrived yet.
	ErrNoList = errors.New("admit: no quorum of Registries has shown this node who may command it yet")
	// ErrTooOld: the list expired longer ago than Config.Grace.
	ErrTooOld = errors.New("admit: the list of who may command this node is too old")
	// ErrUnlisted: there is a list, and the caller is not on it.
	ErrUnlisted = errors.New("admit: the Registries do not list the caller")
)

// Gate lets Orchestrators in. Make one with New, then call Run.
type Gate struct {
	config  Config
	log     *slog.Logger
	fetches *prometheus.CounterVec
	http    *http.Client
	clients []registryv1connect.RegistryServiceClient

	mu   sync.Mutex // guards roll
	roll *admission.Roll
}

// New makes a gate that goes by what File remembers. A file that cannot be used
// is logged and written anew.
func New(c Config, log *slog.Logger, metrics prometheus.Registerer) (*Gate, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 2 * c.Every, TLSHandshakeTimeout: c.Timeout}
	}
	g := &Gate{
		config: c, log: log, roll: admission.New(c.Network, c.Trusted),
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	for _, r := range c.Registries {
		g.clients = append(g.clients, registryv1connect.NewRegistryServiceClient(g.http, r, connect.WithReadMaxBytes(maxAnswer)))
	}
	if err := g.meter(metrics); err != nil {
		return nil, err
	}
	if c.File != "" {
		if err := g.load(); err != nil {
			log.Warn("the remembered list of who may command this node cannot be used", slog.Any("error", err))
		}
	}
	return g, nil
}

func (g *Gate) meter(r prometheus.Registerer) error {
	g.fetches = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "drtc_medianode_admission_fetches_total", Help: "Questions to Registries for the list of who may command the node, by outcome.",
	}, []string{"outcome"})
	serial := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drtc_medianode_admission_serial", Help: "Serial of the list of who may command the node, 0 before the first.",
	}, func() float64 { return float64(g.Status().Serial) })
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drtc_medianode_admission_expiry_timestamp_seconds", Help: "When the list's signatures expire, Unix time, 0 before the first.",
	}, func() float64 {
		if s := g.Status(); s.Serial > 0 {
			return float64(s.ExpiresAt.Unix())
		}
		return 0
	})
	for _, c := range []prometheus.Collector{g.fetches, serial, expiry} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("admit: metrics: %w", err)
		}
	}
	return nil
}

// Check returns nil if an Orchestrator may command the node now. The error wraps
// ErrNoList, ErrTooOld or ErrUnlisted.
func (g *Gate) Check(caller drtc.NodeID) error {
	s := g.snapshot()
	if err := g.usable(time.Now(), s); err != nil {
		return err
	}
	if !s.Admits(caller) {
		return fmt.Errorf("%w (serial %d)", ErrUnlisted, s.Serial)
	}
	return nil
}

func (g *Gate) snapshot() admission.Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roll.Snapshot()
}

func (g *Gate) usable(now time.Time, s admission.Snapshot) error {
	switch {
	case s.Serial == 0:
		return ErrNoList
	case !now.Before(s.ExpiresAt.Add(g.config.Grace)):
		return fmt.Errorf("%w: serial %d expired at %s", ErrTooOld, s.Serial, s.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// Status is how the node stands with its list.
type Status struct {
	Serial    uint64    // 0: there is none
	ExpiresAt time.Time // of the signatures
	// Expired: the list counts for Config.Grace only.
	Expired bool
	// Err says why nobody is let in.
	Err error
}

// Status reports how things stand now.
func (g *Gate) Status() Status {
	s, now := g.snapshot(), time.Now()
	return Status{s.Serial, s.ExpiresAt, s.Serial > 0 && !now.Before(s.ExpiresAt), g.usable(now, s)}
}

// Run asks until ctx is done and returns nil when all has ended.
func (g *Gate) Run(ctx context.Context) error {
	defer g.http.CloseIdleConnections()
	var said string
	wait := g.config.RetryMin
	for {
		g.fetch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		status := g.Status()
		said = g.say(status, said)
		if status.Err == nil && !status.Expired {
			wait = g.config.Every
		}
		timer := time.NewTimer(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = min(2*wait, g.config.Every)
	}
}

// say logs how things stand when that is another way than it was said last.
func (g *Gate) say(s Status, before string) string {
	state := fmt.Sprint(s.Serial, s.Expired, s.Err != nil)
	if state == before {
		return state
	}
	serial, end := slog.Uint64("serial", s.Serial), slog.Time("expires", s.ExpiresAt)
	switch {
	case s.Err != nil:
		g.log.Error("nobody may command this node", slog.Any("error", s.Err))
	case s.Expired:
		g.log.Warn("the list of who may command this node has expired and counts a while longer", serial, end, slog.Duration("grace", g.config.Grace))
	default:
		g.log.Info("the list of who may command this node is good", serial, end)
	}
	return state
}

// maxAnswer bounds one answer, bytes: the largest list and its signatures.
const maxAnswer = 1 << 20

// offer is a list that some Registry shows, with the signatures that all who
// show it hold.
type offer struct {
	body         []byte
	attestations []envelope.Envelope
}

// fetch asks all Registries at once and takes what their answers prove.
func (g *Gate) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	answers := make([]*registryv1.GetAdmissionResponse, len(g.clients))
	var calls sync.WaitGroup
	for i, client := range g.clients {
		calls.Go(func() {
			a, err := client.GetAdmission(ctx, connect.NewRequest(&registryv1.GetAdmissionRequest{}))
			if err != nil {
				g.fetches.WithLabelValues("failed").Inc()
				g.log.Debug("asking who may command this node failed", slog.String("registry", g.config.Registries[i]), slog.Any("error", err))
				return
			}
			answers[i] = a.Msg
		})
	}
	calls.Wait()
	g.mu.Lock()
	changed := g.take(time.Now(), g.offers(answers))
	g.mu.Unlock()
	if changed && g.config.File != "" {
		if err := g.save(); err != nil {
			g.log.Warn("the list of who may command this node is not remembered", slog.Any("error", err))
		}
	}
}

// offers puts together what belongs to the same list. Of each Registry it takes
// one signature of each trusted one, so that a liar cannot crowd out others. It
// needs the lock.
func (g *Gate) offers(answers []*registryv1.GetAdmissionResponse) []offer {
	var offers []offer
	for _, a := range answers {
		if len(a.GetBody()) == 0 {
			continue
		}
		i := slices.IndexFunc(offers, func(o offer) bool { return bytes.Equal(o.body, a.GetBody()) })
		if i < 0 {
			i = len(offers)
			offers = append(offers, offer{body: a.GetBody()})
		}
		seen := map[drtc.NodeID]bool{}
		for _, r := range a.GetAttestations() {
			e, err := fromProto(r)
			if err != nil || seen[e.Issuer] || !slices.Contains(g.roll.Trusted(), e.Issuer) {
				continue
			}
			seen[e.Issuer] = true
			offers[i].attestations = append(offers[i].attestations, e)
		}
	}
	return offers
}

// take needs the lock. It reports whether the list or its life changed.
func (g *Gate) take(now time.Time, offers []offer) (changed bool) {
	for _, o := range offers {
		news, err := g.roll.Take(now, o.body, o.attestations)
		changed = changed || news
		switch {
		case err != nil:
			g.fetches.WithLabelValues("refused").Inc()
			g.log.Debug("a list of who may command this node is not believed", slog.Any("error", err))
		case news:
			g.fetches.WithLabelValues("changed").Inc()
		default:
			g.fetches.WithLabelValues("same").Inc()
		}
	}
	return changed
}
