package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Discovery. Start from DefaultConfig.
type Config struct {
	// Registries are base URLs, http or https. Ask at least three of different
	// owners where there are so many.
	Registries []string
	// Network is the name that records must carry.
	Network string
	// Every is the time between questions to one Registry, give or take a fifth;
	// it doubles with each failure up to MaxEvery.
	Every, MaxEvery time.Duration
	// Timeout bounds one request.
	Timeout time.Duration
	// Remember is how long the last answer of a silent Registry counts.
	Remember time.Duration
	// MaxNodes bounds memory, about 2 kB each.
	MaxNodes int
	// Transport carries the requests; nil is the network.
	Transport http.RoundTripper
}

// DefaultConfig returns the usual times; Registries and Network are to be filled
// in.
func DefaultConfig() Config {
	return Config{
		Every: 2 * time.Second, MaxEvery: 30 * time.Second, Timeout: 5 * time.Second,
		Remember: time.Minute, MaxNodes: 100_000,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if len(c.Registries) == 0 {
		return errors.New("discovery: Registries is empty: give at least one URL")
	}
	seen := map[string]bool{}
	for _, r := range c.Registries {
		u, err := url.Parse(r)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("discovery: Registries: want a URL such as https://registry.example, got %q", r)
		}
		if r = strings.TrimSuffix(r, "/"); seen[r] {
			return fmt.Errorf("discovery: Registries: %s is listed twice", r)
		}
		seen[r] = true
	}
	switch {
	case c.Network == "":
		return errors.New("discovery: Network is empty: give the network's name, such as devnet")
	case c.Every <= 0:
		return fmt.Errorf("discovery: Every must be above 0, is %s", c.Every)
	case c.MaxEvery < c.Every:
		return fmt.Errorf("discovery: MaxEvery must be at least Every, is %s", c.MaxEvery)
	case c.Timeout <= 0:
		return fmt.Errorf("discovery: Timeout must be above 0, is %s", c.Timeout)
	case c.Remember < 0:
		return fmt.Errorf("discovery: Remember must not be negative, is %s", c.Remember)
	case c.MaxNodes < 1:
		return fmt.Errorf("discovery: MaxNodes must be at least 1, is %d", c.MaxNodes)
	}
	return nil
}

// Discovery asks the Registries. Make one with New, then call Run.
type Discovery struct {
	config   Config
	log      *slog.Logger
	meter    *meter
	http     *http.Client
	snapshot atomic.Pointer[[]Node]

	mu      sync.Mutex // guards all below
	view    *view
	changed chan struct{} // closed and replaced when snapshot is
}

// New prepares a discovery that knows no nodes yet.
func New(c Config, log *slog.Logger, metrics prometheus.Registerer) (*Discovery, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Registries = slices.Clone(c.Registries)
	for i, r := range c.Registries {
		c.Registries[i] = strings.TrimSuffix(r, "/")
	}
	d := &Discovery{config: c, log: log, view: newView(c), changed: make(chan struct{})}
	d.snapshot.Store(&[]Node{})
	var err error
	if d.meter, err = newMeter(metrics, d); err != nil {
		return nil, err
	}
	transport := c.Transport
	if transport == nil {
		transport = &http.Transport{
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: c.Timeout,
			ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 16 << 10,
		}
	}
	d.http = &http.Client{
		Transport: transport, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d, nil
}

// Snapshot returns the nodes in order of id. It is replaced, never changed: read
// only.
func (d *Discovery) Snapshot() []Node { return *d.snapshot.Load() }

// Changed returns what is closed at the next change. Take it before Snapshot, or
// a change in between goes unnoticed.
func (d *Discovery) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// Run asks until ctx is done. It returns nil when all goroutines have ended.
func (d *Discovery) Run(ctx context.Context) error {
	var polls sync.WaitGroup
	for _, registry := range d.config.Registries {
		polls.Go(func() { d.poll(ctx, newClient(d.http, registry)) })
	}
	polls.Wait()
	d.http.CloseIdleConnections()
	return nil
}

// Bounds of one question with all its requests: a Registry that claims many
// nodes and proves none costs no more than this.
const (
	maxFetch    = 10_000 // records; the rest comes with the next questions
	askTimeouts = 6
)

// poll asks one Registry again and again.
func (d *Discovery) poll(ctx context.Context, c *client) {
	log := d.log.With(slog.String("registry", c.base))
	wait, silent := time.Duration(0), false
	for ctx.Err() == nil {
		err := d.ask(ctx, c)
		if ctx.Err() != nil {
			return
		}
		d.meter.polled(c.base, err)
		if (err != nil) != silent {
			silent = err != nil
			if silent {
				log.Warn("registry gives no answer", slog.Any("error", err))
			} else {
				log.Info("registry answers again")
			}
		}
		if wait = d.config.Every; err != nil {
			wait = min(2*max(wait, d.config.Every), d.config.MaxEvery)
			d.refresh() // time passes for what is held
		}
		timer := time.NewTimer(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ask takes in one complete answer, or nothing of it that needs completeness.
// A Registry that keeps it longer than askTimeouts has not answered.
func (d *Discovery) ask(ctx context.Context, c *client) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeouts*d.config.Timeout)
	defer cancel()
	answer, err := c.list(ctx, d.config.MaxNodes)
	if err != nil {
		return err
	}
	d.mu.Lock()
	ids := d.view.wanted(c.base, answer)
	d.mu.Unlock()
	ids = ids[:min(len(ids), maxFetch)]
	for len(ids) > 0 {
		page := ids[:min(len(ids), maxIDs)]
		ids = ids[len(page):]
		records, err := c.records(ctx, page)
		if err != nil {
			return err
		}
		d.take(c.base, records)
	}
	d.mu.Lock()
	d.view.listedBy(c.base, time.Now(), answer)
	d.mu.Unlock()
	d.refresh()
	return nil
}

func (d *Discovery) take(registry string, records []rawRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		if _, err := d.view.add(time.Now(), r.NodeID, r.Record); err != nil {
			d.meter.refused(registry, err)
			d.log.Debug("record refused", slog.String("registry", registry), slog.Any("error", err))
		}
	}
}

// refresh makes the Snapshot that is true now and tells of a difference.
func (d *Discovery) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	nodes := d.view.nodes(time.Now())
	if reflect.DeepEqual(nodes, d.Snapshot()) {
		return
	}
	d.snapshot.Store(&nodes)
	close(d.changed)
	d.changed = make(chan struct{})
}
