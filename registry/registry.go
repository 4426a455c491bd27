package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/net/netutil"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/geoip"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/probe"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/status"
	"github.com/drtc-network/drtc/registry/store"
)

// Registry is one Registry process. Make one with New, then call Run once.
type Registry struct {
	config   Config
	log      *slog.Logger
	key      *identity.Key
	metrics  *prometheus.Registry
	listener net.Listener
	server   *http.Server

	bonding   bonding.Source
	store     *store.Store
	ledger    *ledger.Ledger
	book      *book
	rounds    *rounds
	directory *directory
	duties    *duties
	gossip    *gossip.Network
	dialer    *probe.Dialer
	geoip     *geoip.DB // nil: none
}

// New opens the key, the records and the listening sockets, so that Addr and ID
// are known. Run closes them.
func New(c Config, log *slog.Logger) (*Registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	key, err := keyfile.LoadOrCreate(c.keyFile())
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{config: c, log: log.With(slog.String("registry", key.ID().Short())), key: key, metrics: prometheus.NewRegistry()}
	if r.bonding, err = openBonds(c); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if r.store, err = store.Open(RecordsDir(c.Dir), c.Network, r.log); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	for _, part := range []func(time.Time) error{r.openLedger, r.openNetwork, r.openAPI} {
		if err := part(time.Now()); err != nil {
			return nil, errors.Join(fmt.Errorf("registry: %w", err), r.close())
		}
	}
	return r, nil
}

// openLedger reads the records and builds what follows them.
func (r *Registry) openLedger(now time.Time) (err error) {
	if err := errors.Join(r.metrics.Register(collectors.NewGoCollector()),
		r.metrics.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if r.ledger, err = ledger.Open(now, r.config.ledger(r.bonding), disk{r.store}, observer{r}, r.metrics); err != nil {
		return err
	}
	signs := &author{key: r.key, network: r.config.Network, ledger: r.ledger, bonding: r.bonding}
	r.book = newBook(r.ledger, r.log)
	r.duties = &duties{log: r.log, author: signs, self: r.body, admitted: r.admitted}
	if r.dialer, err = probe.New(r.config.probe(), r.metrics); err != nil {
		return err
	}
	if r.config.GeoIPFile != "" {
		if r.geoip, err = geoip.Open(r.config.GeoIPFile); err != nil {
			return err
		}
	}
	if r.rounds, err = newRounds(now, r.config, r.ID(), r.log); err != nil {
		return err
	}
	r.rounds.author, r.rounds.dial, r.rounds.ask = signs, r.dial, r.ask
	r.directory = &directory{log: r.log, ledger: r.ledger, rounds: r.rounds, book: r.book, geoip: r.geoip, nodes: new(index.Snapshot), waiting: map[drtc.NodeID]bool{}}
	r.rounds.judged = func(nodes []drtc.NodeID) { r.directory.refresh(time.Now(), nodes) }
	return newMeter(r.metrics, r)
}

func (r *Registry) openNetwork(now time.Time) (err error) {
	if r.gossip, err = gossip.New(r.config.gossip(), r.key, r.ledger, r.bonding, r.log, r.metrics); err != nil {
		return err
	}
	r.gossip.OnProbe(func(_ context.Context, _, node drtc.NodeID) (bool, error) { return r.rounds.asked(node), nil })
	var others []record.Key
	var nodes []drtc.NodeID
	r.ledger.Select(func(k record.Key) bool {
		if k.Kind == record.KindNode {
			nodes = append(nodes, k.Subject)
		} else {
			others = append(others, k)
		}
		return false
	})
	r.directory.refresh(now, nodes)
	r.rounds.know(now, r.directory.board.View().Nodes.IDs())
	observer{r}.Changed(now, others)
	return nil
}

func (r *Registry) openAPI(time.Time) error {
	backend := r.backend()
	var err error
	if backend.Status, err = status.New(r.statusSource()); err != nil {
		return err
	}
	handler, err := api.New(r.config.api(), backend, r.metrics)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", r.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	r.listener = newAddressListener(netutil.LimitListener(listener, r.config.MaxConnections), r.config.MaxConnectionsPerAddress)
	r.server = newServer(handler, r.log)
	return nil
}

// close gives back what New opened, of a Registry that never ran.
func (r *Registry) close() error {
	var err error
	if r.gossip != nil {
		err = r.gossip.Close()
	}
	if r.geoip != nil {
		err = errors.Join(err, r.geoip.Close())
	}
	return errors.Join(err, r.store.Close())
}

// publicURL is where others find the API.
func (r *Registry) publicURL() string {
	if r.config.URL != "" {
		return strings.TrimSuffix(r.config.URL, "/")
	}
	return r.URL()
}

// newServer serves HTTP/1.1 and, for streams in both directions, HTTP/2 without
// TLS. Deadlines of single requests are the handler's.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that misbehave
	}
}

// ID is the Registry's identity.
func (r *Registry) ID() drtc.NodeID { return r.key.ID() }

// Addr is where the API listens.
func (r *Registry) Addr() net.Addr { return r.listener.Addr() }

// URL is the API's base URL, without a slash at the end.
func (r *Registry) URL() string { return "http://" + r.listener.Addr().String() }

// Run serves until ctx is done or the disk fails. It returns when everything
// that New and Run started has ended; nil after ctx is done.
func (r *Registry) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Streams end with ctx; requests under way may finish.
	r.server.BaseContext = func(net.Listener) context.Context { return ctx }

	// The writer outlives all who wait for it, and the network the writer, so
	// that the last records go out.
	stopWriter := make(chan struct{})
	networkCtx, stopNetwork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNetwork()
	var writer, network, loops sync.WaitGroup
	writer.Go(func() {
		if err := r.ledger.Run(stopWriter); err != nil {
			cancel(err)
		}
	})
	network.Go(func() {
		if err := r.gossip.Run(networkCtx); err != nil {
			cancel(err)
		}
	})
	loops.Go(func() { r.rounds.run(ctx) })
	loops.Go(func() { r.duties.run(ctx) })
	loops.Go(func() { r.chores(ctx) })
	loops.Go(func() { r.flushes(ctx) })
	loops.Go(func() { followBonds(ctx, r.bonding, r.log) })
	loops.Go(func() { r.backups(ctx) })
	if r.config.Chain != nil {
		loops.Go(func() { r.config.Chain.Run(ctx) })
	}
	loops.Go(func() {
		if err := r.server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("registry: serving: %w", err))
		}
	})
	r.log.Info("registry serves", slog.String("url", r.URL()), slog.String("id", r.ID().String()),
		slog.String("network", r.config.Network), slog.Int("nodes", r.directory.board.View().Nodes.Len()))

	if r.config.URL == "" && !r.config.AllowPrivateTargets {
		r.log.Warn("others are told the listening address: set url if they cannot reach it", slog.String("url", r.URL()))
	}
	if !r.bonding.Bonded(record.RoleRegistry, r.ID()) {
		r.log.Warn("this registry is not on the list of registries: it reads along and says nothing; bond it on the chain, or add its id to the bonding file")
	}

	<-ctx.Done()
	r.shutdown()
	loops.Wait()
	close(stopWriter)
	writer.Wait()
	stopNetwork()
	network.Wait()
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		cause = nil
	}
	if err := errors.Join(cause, r.store.Close()); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// shutdown ends the requests and tells the others.
func (r *Registry) shutdown() {
	timeout, cancel := context.WithTimeout(context.Background(), r.config.ShutdownTimeout)
	defer cancel()
	if err := r.server.Shutdown(timeout); err != nil {
		r.log.Warn("requests cut off", slog.Any("error", errors.Join(err, r.server.Close())))
	}
	if r.ledger.Failure() == nil {
		r.duties.leave(timeout)
	}
}
