package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
)

// Transport is the UDP port of a Media Node and everybody behind it.
type Transport struct {
	cfg         Config
	metrics     *metrics
	logger      *slog.Logger
	certificate tls.Certificate
	fingerprint Fingerprint
	sockets     []*sockets // of each worker
	workers     []*worker
	engines     []*engine.Core // of each worker
	directory   *directory
	inbox       *inbox
	handshakes  chan struct{} // a slot per handshake in flight
	scratch     sync.Pool     // of *[]byte, to which data channel messages are read
	ctx         context.Context
	cancel      context.CancelFunc
	teardowns   sync.WaitGroup // of peers that end; Add happens in their worker
}

// New binds the port. The caller must call Run, which releases it again.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return newTransport(cfg, func(c *engine.Core) core { return c })
}

// newTransport is New, where the workers see each core as wrap returns it.
func newTransport(cfg Config, wrap func(*engine.Core) core) (*Transport, error) {
	t := &Transport{cfg: cfg, logger: cfg.Logger, handshakes: make(chan struct{}, cfg.MaxHandshakes)}
	if cfg.Certificate != nil {
		t.certificate = *cfg.Certificate
	} else {
		var err error
		if t.certificate, err = newCertificate(time.Now()); err != nil {
			return nil, err
		}
	}
	if len(t.certificate.Certificate) == 0 {
		return nil, errors.New("transport: Certificate: want at least one")
	}
	t.fingerprint = fingerprintOf(t.certificate.Certificate[0])
	var err error
	if t.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("transport: registering metrics: %w", err)
	}
	t.inbox = newInbox(cfg.Handler, t.metrics.eventsDropped)
	t.directory = newDirectory(cfg.Workers, cfg.Together)
	if t.sockets, err = listen(cfg.Listen, cfg.Workers, cfg.SocketBuffer, cfg.Portable, t.metrics); err != nil {
		return nil, err
	}
	for i, s := range t.sockets {
		e := cfg.Engine
		e.Self = engine.CoreID(i)
		c := engine.New(e)
		t.engines = append(t.engines, c)
		t.workers = append(t.workers, newWorker(e.Self, wrap(c), s, t.directory, t.metrics, e.STUN.Key, t.onEvent))
	}
	connect(t.workers)
	if err := registerEngine(cfg.Metrics, t.sum); err != nil {
		return nil, errors.Join(fmt.Errorf("transport: registering metrics: %w", err), t.close())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Run serves until ctx ends or a socket fails. It returns when every peer is
// closed, every goroutine has ended and the handler has its last call.
func (t *Transport) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	delivered := make(chan struct{})
	var serving, handler sync.WaitGroup
	handler.Go(func() { t.inbox.run(delivered) })
	for i, w := range t.workers {
		serving.Go(func() {
			if err := t.sockets[i].serve(w, t.cfg.HoldProcessors); err != nil {
				cancel(err)
			}
		})
	}
	t.logger.Info("transport listens", slog.Any("addrs", t.Addrs()), slog.Int("workers", len(t.workers)))
	<-ctx.Done()
	t.stop()
	t.cancel()
	for _, w := range t.workers {
		w.stop()
	}
	serving.Wait()
	err := t.close()
	close(delivered)
	handler.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// stop ends all peers, who still can say goodbye, and waits for them.
func (t *Transport) stop() {
	for _, p := range t.directory.close() {
		t.end(p, ErrClosed)
	}
	t.teardowns.Wait()
}

// close frees the port.
func (t *Transport) close() error {
	var errs []error
	for _, s := range t.sockets {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Workers is how many threads share the work.
func (t *Transport) Workers() int { return len(t.workers) }

// Addrs returns the bound addresses, IPv4 first.
func (t *Transport) Addrs() []netip.AddrPort { return t.sockets[0].addrs() }

// Fingerprint is the SHA-256 of the certificate in SDP's form, such as
// "sha-256 AB:CD:...".
func (t *Transport) Fingerprint() string { return t.fingerprint.String() }

// Do runs fn alone with the core that has the peer and then sends what fn put
// into the batch. fn must not block, keep its arguments or call the Transport.
// It fails with ErrPeer, without running fn, if the peer is not open.
func (t *Transport) Do(id engine.PeerID, fn func(now time.Time, c *engine.Core, batch *engine.Batch)) error {
	p := t.directory.peer(id)
	if p == nil {
		return fmt.Errorf("%w %d: not open", ErrPeer, id)
	}
	w := p.worker
	w.enter(func(now time.Time) { fn(now, t.engines[w.id], &w.batch) })
	return nil
}

// Home is the core that has the peer, for as long as it is open: subscriptions
// to its tracks name it. It fails with ErrPeer if the peer is not open.
func (t *Transport) Home(id engine.PeerID) (engine.CoreID, error) {
	if p := t.directory.peer(id); p != nil {
		return p.worker.id, nil
	}
	return 0, fmt.Errorf("%w %d: not open", ErrPeer, id)
}

// Each runs fn alone with one core after the other, as Do does.
func (t *Transport) Each(fn func(now time.Time, c *engine.Core, batch *engine.Batch)) {
	for i, w := range t.workers {
		w.enter(func(now time.Time) { fn(now, t.engines[i], &w.batch) })
	}
}

// sum adds up one of the counters of all cores.
func (t *Transport) sum(counter func(engine.Counters) uint64) (sum uint64) {
	t.Each(func(_ time.Time, c *engine.Core, _ *engine.Batch) { sum += counter(c.Counters()) })
	return sum
}

// Open adds a peer, whose DTLS begins with its first authenticated
// connectivity check, or with the first answer to one of ours if it has
// addresses to check: an active peer then sends its ClientHello. It fails with ErrPeer if the id is taken or Run is over.
func (t *Transport) Open(cfg PeerConfig) error {
	if slices.Contains(cfg.RemoteFingerprints, Fingerprint{}) {
		return errors.New("transport: RemoteFingerprints: want no empty one")
	}
	cfg.RemoteFingerprints = slices.Clone(cfg.RemoteFingerprints)
	b, err := boundsOf(t.cfg, cfg)
	if err != nil {
		return err
	}
	w := t.workers[t.directory.place(cfg.Room, cfg.Relay)]
	p := newPeer(t, w, cfg, b)
	w.enter(func(now time.Time) {
		if err = t.directory.add(p); err != nil {
			return
		}
		if err = w.core.AddPeer(now, cfg.PeerConfig); err != nil {
			t.directory.remove(p)
			return
		}
		w.peers[cfg.ID] = p
		t.metrics.peers.Inc()
	})
	if err != nil {
		p.cancel()
	}
	return err
}

// Update applies a later offer or an answer. It changes nothing if it fails,
// with ErrPeer or ErrFingerprintChanged.
func (t *Transport) Update(id engine.PeerID, u Update) error {
	if slices.Contains(u.RemoteFingerprints, Fingerprint{}) {
		return errors.New("transport: Update.RemoteFingerprints: want no empty one")
	}
	if u.Local != nil && u.Remote == nil {
		return errors.New("transport: Update.Remote: required where Local is given")
	}
	p := t.directory.peer(id)
	if p == nil {
		return fmt.Errorf("%w %d: not open", ErrPeer, id)
	}
	var err error
	p.worker.enter(func(now time.Time) { err = p.update(now, u) })
	if err == nil && u.SCTP {
		p.channels.enable()
	}
	return err
}

// Close ends a peer: media stops at once, the goodbye and OnClosed with
// ErrClosed follow. Closing a peer that isn't there does nothing.
func (t *Transport) Close(id engine.PeerID) {
	if p := t.directory.peer(id); p != nil {
		t.end(p, ErrClosed)
	}
}

// OpenChannel opens a data channel from this side, at once or when the
// association is up. Messages may be sent right away.
func (t *Transport) OpenChannel(id engine.PeerID, cfg ChannelConfig) error {
	p := t.directory.peer(id)
	if p == nil {
		return fmt.Errorf("%w %d: not open", ErrPeer, id)
	}
	return p.channels.open(cfg)
}

// SendData queues a binary message for a peer and never blocks. The payload
// may be shared between calls and must not change afterwards. Fails with
// ErrPeer, ErrChannel, ErrTooLarge, or ErrSlowPeer if the channel is reliable
// and too much waits already; a lossy channel drops its oldest message instead.
func (t *Transport) SendData(id engine.PeerID, label string, payload []byte) error {
	p := t.directory.peer(id)
	if p == nil {
		return fmt.Errorf("%w %d: not open", ErrPeer, id)
	}
	return p.channels.send(label, payload)
}

// end removes the peer and tears it down in the background. The first reason
// counts.
func (t *Transport) end(p *peer, reason error) {
	first := false
	w := p.worker
	w.enter(func(now time.Time) {
		if first = w.peers[p.id] == p; !first {
			return
		}
		p.last = w.core.Address(p.id)
		delete(w.peers, p.id)
		w.core.RemovePeer(now, p.id)
		t.teardowns.Add(1) // before stop can miss the peer
		t.directory.remove(p)
	})
	if !first {
		return
	}
	t.metrics.peers.Dec()
	go func() {
		defer t.teardowns.Done()
		p.shutdown()
		t.inbox.closed(p.id, reason)
	}()
}

// onEvent routes an event of a worker's core. It runs inside the worker.
func (t *Transport) onEvent(w *worker, event engine.Event) {
	switch e := event.(type) {
	case engine.AddressAdded:
		t.directory.believe(w.id, e.Addr)
		return
	case engine.AddressRemoved:
		t.directory.forget(w.id, e.Addr)
		return
	case engine.DTLSDatagram:
		if p := w.peers[e.Peer]; p != nil {
			if drop := p.association.push(e.Payload); drop != "" {
				t.metrics.receiveDrops.WithLabelValues(drop).Inc()
			}
		}
		return
	case engine.PeerReachable:
		if p := w.peers[e.Peer]; p != nil {
			p.reachable = true
			p.start()
		}
	case engine.PeerState:
		if p := w.peers[e.Peer]; p != nil && e.State == engine.StateFailed {
			p.spawn(func() { t.end(p, ErrConsent) })
		}
	}
	t.inbox.event(event)
}

func sameFingerprints(a, b []Fingerprint) bool {
	contains := func(in []Fingerprint) func(Fingerprint) bool {
		return func(f Fingerprint) bool { return !slices.Contains(in, f) }
	}
	return !slices.ContainsFunc(a, contains(b)) && !slices.ContainsFunc(b, contains(a))
}
