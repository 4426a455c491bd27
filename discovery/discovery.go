package discovery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// settle is how long changes are gathered before the Snapshot is made anew.
const settle = 50 * time.Millisecond

// Discovery asks the Registries. Make one with New, then call Run.
type Discovery struct {
	config   Config
	log      *slog.Logger
	meter    *meter
	way      carriers      // to the Registries of Config
	learnWay carriers      // to learned ones
	touched  chan struct{} // holds one: something was learned
	snapshot atomic.Pointer[[]Node]

	mu      sync.Mutex // guards all below
	view    *view
	learned []acquaintance
	changed chan struct{} // closed and replaced when snapshot is
}

// New prepares a discovery that knows what CacheFile holds. A file that cannot
// be used is logged and written anew.
func New(c Config, log *slog.Logger, metrics prometheus.Registerer) (*Discovery, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Registries = slices.Clone(c.Registries)
	for i, r := range c.Registries {
		c.Registries[i] = strings.TrimSuffix(r, "/")
	}
	d := &Discovery{
		config: c, log: log, view: newView(c), changed: make(chan struct{}), touched: make(chan struct{}, 1),
		way: newCarriers(c, false), learnWay: newCarriers(c, !local(c.Registries)),
	}
	d.snapshot.Store(&[]Node{})
	var err error
	if d.meter, err = newMeter(metrics, d); err != nil {
		return nil, err
	}
	if c.CacheFile != "" {
		if err := d.load(time.Now()); err != nil {
			log.Warn("what was known before the start cannot be used", slog.String("file", c.CacheFile), slog.Any("error", err))
		}
	}
	d.refresh()
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

// Registries returns the base URLs of those whose word counts: of Config, then
// learned ones.
func (d *Discovery) Registries() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.view.registries)
}

// Run asks until ctx is done. It returns nil when all goroutines have ended.
func (d *Discovery) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	for _, registry := range d.config.Registries {
		parts.Go(func() { d.follow(ctx, d.newSource(registry, false)) })
	}
	if d.config.Learn > 0 {
		parts.Go(func() { d.keepLearning(ctx) })
	}
	if d.config.CacheFile != "" {
		parts.Go(func() { d.keepSaving(ctx) })
	}
	parts.Go(func() { d.keepFresh(ctx) })
	parts.Wait()
	d.way.close()
	d.learnWay.close()
	return nil
}

// keepFresh makes a new Snapshot soon after something was learned, and now and
// then because records end.
func (d *Discovery) keepFresh(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.touched:
			pause(ctx, min(settle, d.config.Every))
		case <-time.After(d.config.Every):
		}
		d.refresh()
	}
}

// touch asks for a new Snapshot.
func (d *Discovery) touch() {
	select {
	case d.touched <- struct{}{}:
	default:
	}
}

// refresh makes the Snapshot that is true now and tells of a difference.
func (d *Discovery) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	nodes := d.view.nodes(time.Now())
	if same(nodes, d.Snapshot()) {
		return
	}
	d.snapshot.Store(&nodes)
	close(d.changed)
	d.changed = make(chan struct{})
}

// pause returns after d, or early when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// spread returns d, give or take a fifth.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
