package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/net/netutil"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/store"
)

// Registry is one Registry process. Make one with New, then call Run once.
type Registry struct {
	config   Config
	log      *slog.Logger
	key      *identity.Key
	store    *store.Store
	listener net.Listener
	server   *http.Server
	ledger   *ledger
}

// New opens the key, the records and the listening socket, so that Addr and ID
// are known. Run closes them.
func New(c Config, log *slog.Logger) (*Registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	key, err := keyfile.LoadOrCreate(c.keyFile())
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	log = log.With(slog.String("registry", key.ID().Short()))
	records, err := store.Open(filepath.Join(c.Dir, "records"), c.Network, log)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{config: c, log: log, key: key, store: records}
	if err := r.assemble(); err != nil {
		return nil, errors.Join(err, records.Close())
	}
	return r, nil
}

func (r *Registry) assemble() error {
	metrics := prometheus.NewRegistry()
	if err := errors.Join(metrics.Register(collectors.NewGoCollector()),
		metrics.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return fmt.Errorf("registry: metrics: %w", err)
	}
	var err error
	if r.ledger, err = newLedger(r.config, r.key.ID(), r.store, r.log, metrics); err != nil {
		return err
	}
	handler, err := api.New(r.config.api(), r.ledger.backend(), metrics)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	listener, err := net.Listen("tcp", r.config.Listen)
	if err != nil {
		return fmt.Errorf("registry: listen: %w", err)
	}
	r.listener = newAddressListener(netutil.LimitListener(listener, r.config.MaxConnections), r.config.MaxConnectionsPerAddress)
	r.server = newServer(handler, r.log)
	return nil
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

	// The writer outlives the server, so that no request waits for it in vain.
	stopWriter := make(chan struct{})
	var writer, loops sync.WaitGroup
	writer.Go(func() {
		if err := r.ledger.write(stopWriter); err != nil {
			cancel(err)
		}
	})
	loops.Go(func() { r.ledger.expireLoop(ctx) })
	loops.Go(func() { r.ledger.keepAliveLoop(ctx) })
	loops.Go(func() {
		if err := r.server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("registry: serving: %w", err))
		}
	})
	r.log.Info("registry serves", slog.String("url", r.URL()), slog.String("id", r.ID().String()),
		slog.String("network", r.config.Network), slog.Int("nodes", r.ledger.Nodes().Len()))

	<-ctx.Done()
	r.shutdown()
	loops.Wait()
	close(stopWriter)
	writer.Wait()
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		cause = nil
	}
	if err := errors.Join(cause, r.store.Close()); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

func (r *Registry) shutdown() {
	timeout, cancel := context.WithTimeout(context.Background(), r.config.ShutdownTimeout)
	defer cancel()
	if err := r.server.Shutdown(timeout); err != nil {
		r.log.Warn("requests cut off", slog.Any("error", errors.Join(err, r.server.Close())))
	}
}
