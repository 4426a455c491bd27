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
	engine      *engine.Core
	sockets     *sockets
	worker      *worker
	inbox       *inbox
	handshakes  chan struct{} // a slot per handshake in flight
	scratch     sync.Pool     // of *[]byte, to which data channel messages are read
	ctx         context.Context
	cancel      context.CancelFunc
	teardowns   sync.WaitGroup // of peers that end; Add happens in the worker
	stopped     bool           // by the worker: Run is over
}

// New binds the port. The caller must call Run, which releases it again.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := engine.New(cfg.Engine)
	t, err := newTransport(cfg, c)
	if err != nil {
		return nil, err
	}
	t.engine = c
	if err := registerEngine(cfg.Metrics, t.counters); err != nil {
		return nil, errors.Join(fmt.Errorf("transport: registering metrics: %w", err), t.sockets.close())
	}
	return t, nil
}

// newTransport is New with any core.
func newTransport(cfg Config, c core) (*Transport, error) {
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
	if t.sockets, err = listen(cfg.Listen, cfg.SocketBuffer, cfg.Portable, t.metrics); err != nil {
		return nil, err
	}
	t.inbox = newInbox(cfg.Handler, t.metrics.eventsDropped)
	t.worker = newWorker(c, t.sockets, t.onEvent)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Run serves until ctx ends or a socket fails. It returns when every peer is
// closed, every goroutine has ended and the handler has its last call.
func (t *Transport) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	delivered := make(chan struct{})
	var readers, timers, handler sync.WaitGroup
	handler.Go(func() { t.inbox.run(delivered) })
	timers.Go(func() { t.worker.runTimers(ctx) })
	for _, conn := range t.sockets.all() {
		readers.Go(func() {
			if err := t.sockets.read(conn, t.worker.handle); err != nil {
				cancel(err)
			}
		})
	}
	t.logger.Info("transport listens", slog.Any("addrs", t.Addrs()))
	<-ctx.Done()
	t.stop()
	t.cancel()
	err := t.sockets.close()
	readers.Wait()
	timers.Wait()
	close(delivered)
	handler.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// stop ends all peers, who still can say goodbye, and waits for them.
func (t *Transport) stop() {
	var all []*peer
	t.worker.enter(func(time.Time) {
		t.stopped = true
		for _, p := range t.worker.peers {
			all = append(all, p)
		}
	})
	for _, p := range all {
		t.end(p, ErrClosed)
	}
	t.teardowns.Wait()
}

// Addrs returns the bound addresses, IPv4 first.
func (t *Transport) Addrs() []netip.AddrPort { return t.sockets.addrs() }

// Fingerprint is the SHA-256 of the certificate in SDP's form, such as
// "sha-256 AB:CD:...".
func (t *Transport) Fingerprint() string { return t.fingerprint.String() }

// Do runs fn alone with the core and then sends what fn put into the batch.
// fn must not block, keep its arguments or call the Transport.
func (t *Transport) Do(fn func(now time.Time, c *engine.Core, batch *engine.Batch)) {
	t.worker.enter(func(now time.Time) { fn(now, t.engine, &t.worker.batch) })
}

// Open adds a peer, whose DTLS begins with its first authenticated
// connectivity check. It fails with ErrPeer if the id is taken or Run is over.
func (t *Transport) Open(cfg PeerConfig) error {
	if slices.Contains(cfg.RemoteFingerprints, Fingerprint{}) {
		return errors.New("transport: RemoteFingerprints: want no empty one")
	}
	cfg.RemoteFingerprints = slices.Clone(cfg.RemoteFingerprints)
	p := newPeer(t, cfg)
	var err error
	t.worker.enter(func(now time.Time) {
		switch {
		case t.stopped:
			err = fmt.Errorf("%w %d: the transport is closed", ErrPeer, cfg.ID)
		case t.worker.peers[cfg.ID] != nil:
			err = fmt.Errorf("%w %d: open already", ErrPeer, cfg.ID)
		default:
			if err = t.worker.core.AddPeer(now, cfg.PeerConfig); err == nil {
				t.worker.peers[cfg.ID] = p
				t.metrics.peers.Inc()
			}
		}
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
	var p *peer
	var err error
	t.worker.enter(func(now time.Time) {
		p = t.worker.peers[id]
		switch {
		case p == nil:
			err = fmt.Errorf("%w %d: not open", ErrPeer, id)
			return
		case len(u.RemoteFingerprints) > 0 && len(p.cfg.RemoteFingerprints) > 0 &&
			!sameFingerprints(u.RemoteFingerprints, p.cfg.RemoteFingerprints):
			err = ErrFingerprintChanged
			return
		case u.Local != nil:
			err = t.worker.core.RestartICE(now, id, *u.Local, *u.Remote)
		case u.Remote != nil:
			err = t.worker.core.SetRemoteICE(id, *u.Remote)
		}
		if err == nil && len(p.cfg.RemoteFingerprints) == 0 {
			p.cfg.RemoteFingerprints, p.cfg.Active = slices.Clone(u.RemoteFingerprints), u.Active
			p.start()
		}
	})
	if err == nil && u.SCTP {
		p.channels.enable()
	}
	return err
}

// Close ends a peer: media stops at once, the goodbye and OnClosed with
// ErrClosed follow. Closing a peer that isn't there does nothing.
func (t *Transport) Close(id engine.PeerID) {
	if p := t.peer(id); p != nil {
		t.end(p, ErrClosed)
	}
}

// OpenChannel opens a data channel from this side, at once or when the
// association is up. Messages may be sent right away.
func (t *Transport) OpenChannel(id engine.PeerID, cfg ChannelConfig) error {
	p := t.peer(id)
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
	p := t.peer(id)
	if p == nil {
		return fmt.Errorf("%w %d: not open", ErrPeer, id)
	}
	return p.channels.send(label, payload)
}

// peer returns an open peer or nil.
func (t *Transport) peer(id engine.PeerID) *peer {
	t.worker.mu.Lock()
	defer t.worker.mu.Unlock()
	return t.worker.peers[id]
}

// end removes the peer and tears it down in the background. The first reason
// counts.
func (t *Transport) end(p *peer, reason error) {
	first := false
	t.worker.enter(func(now time.Time) {
		if first = t.worker.peers[p.id] == p; !first {
			return
		}
		p.last = t.worker.core.Address(p.id)
		delete(t.worker.peers, p.id)
		t.worker.core.RemovePeer(now, p.id)
		t.teardowns.Add(1)
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

// onEvent routes an event of the core. It runs inside the worker.
func (t *Transport) onEvent(event engine.Event) {
	switch e := event.(type) {
	case engine.DTLSDatagram:
		if p := t.worker.peers[e.Peer]; p != nil {
			if drop := p.association.push(e.Payload); drop != "" {
				t.metrics.receiveDrops.WithLabelValues(drop).Inc()
			}
		}
		return
	case engine.PeerReachable:
		if p := t.worker.peers[e.Peer]; p != nil {
			p.reachable = true
			p.start()
		}
	case engine.PeerState:
		if p := t.worker.peers[e.Peer]; p != nil && e.State == engine.StateFailed {
			p.spawn(func() { t.end(p, ErrConsent) })
		}
	}
	t.inbox.event(event)
}

// counters reads the core's counters.
func (t *Transport) counters() (c engine.Counters) {
	t.Do(func(_ time.Time, core *engine.Core, _ *engine.Batch) { c = core.Counters() })
	return c
}

func sameFingerprints(a, b []Fingerprint) bool {
	contains := func(in []Fingerprint) func(Fingerprint) bool {
		return func(f Fingerprint) bool { return !slices.Contains(in, f) }
	}
	return !slices.ContainsFunc(a, contains(b)) && !slices.ContainsFunc(b, contains(a))
}
