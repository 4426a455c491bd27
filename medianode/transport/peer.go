package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/record"
	"github.com/pion/dtls/v3"
)

const (
	// dtlsMTU keeps handshake records inside the smallest IPv6 packet.
	dtlsMTU = 1200
	// flightInterval is the first retransmission timeout of DTLS; it doubles.
	// Real-time peers lose a second too much with the RFC's default.
	flightInterval = 250 * time.Millisecond
	// helloInterval is the same for a node that begins: the peer may have taken
	// the hello before it had settled on the path to here, and answered elsewhere.
	helloInterval = 50 * time.Millisecond
	// helloDelay is how long a node that begins lets the client take the answer to
	// its first check: it settles on the path a moment later.
	helloDelay = 8 * time.Millisecond
)

// peer is one DTLS association and what runs on it.
type peer struct {
	id          engine.PeerID
	cfg         PeerConfig
	bounds      bounds
	transport   *Transport
	worker      *worker
	association *association
	channels    *channels
	ctx         context.Context // ends with the peer
	cancel      context.CancelFunc

	ufrags []string // the directory's

	// The worker's mutex guards these, and cfg until the handshake has begun.
	reachable bool           // a connectivity check has passed
	started   bool           // the handshake has begun
	last      netip.AddrPort // where goodbyes go once the core forgot the peer

	mu    sync.Mutex     // guards what follows
	ended bool           // no goroutine may start any more
	wg    sync.WaitGroup // of the peer's goroutines
}

func newPeer(t *Transport, w *worker, cfg PeerConfig, b bounds) *peer {
	p := &peer{id: cfg.ID, cfg: cfg, bounds: b, transport: t, worker: w}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.association = newAssociation(p)
	p.channels = newChannels(p)
	return p
}

// spawn runs fn in a goroutine of the peer, unless the peer has ended.
func (p *peer) spawn(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.wg.Go(fn)
	}
}

// start begins the handshake as soon as the peer can be reached and it is known
// who it must be. It is called by the worker.
func (p *peer) start() {
	if p.reachable && !p.started && len(p.cfg.RemoteFingerprints) > 0 {
		p.started = true
		p.spawn(p.run)
	}
}

// update applies a later offer or an answer. It is called by the worker.
func (p *peer) update(now time.Time, u Update) error {
	w := p.worker
	switch {
	case w.peers[p.id] != p:
		return fmt.Errorf("%w %d: not open", ErrPeer, p.id)
	case len(u.RemoteFingerprints) > 0 && len(p.cfg.RemoteFingerprints) > 0 &&
		!sameFingerprints(u.RemoteFingerprints, p.cfg.RemoteFingerprints):
		return ErrFingerprintChanged
	case u.Local != nil:
		if err := w.directory.rename(p, u.Local.Ufrag); err != nil {
			return err
		}
		if err := w.core.RestartICE(now, p.id, *u.Local, *u.Remote); err != nil {
			return err
		}
	case u.Remote != nil:
		if err := w.core.SetRemoteICE(p.id, *u.Remote); err != nil {
			return err
		}
	}
	if len(p.cfg.RemoteFingerprints) == 0 {
		p.cfg.RemoteFingerprints, p.cfg.Active = slices.Clone(u.RemoteFingerprints), u.Active
		p.start()
	}
	return nil
}

// run makes the association. What comes later is acted on as it arrives, and a
// peer without data channels has no goroutine.
func (p *peer) run() {
	if err := p.handshake(); err != nil {
		p.transport.end(p, err)
	}
}

// handshake runs DTLS and lends the keys to the core.
func (p *peer) handshake() error {
	t := p.transport
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.ctx, t.cfg.HandshakeTimeout)
	defer cancel()
	if err := p.negotiate(ctx); err != nil {
		reason, err := p.handshakeError(ctx, err)
		t.metrics.handshakeFailures.WithLabelValues(reason).Inc()
		return err
	}
	t.metrics.handshakeSeconds.Observe(time.Since(began).Seconds())
	return nil
}

func (p *peer) negotiate(ctx context.Context) error {
	t := p.transport
	select {
	case t.handshakes <- struct{}{}:
		defer func() { <-t.handshakes }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.cfg.Active && !p.cfg.Relay {
		select {
		case <-time.After(helloDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	conn, err := p.newDTLS()
	if err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says it all
		return err
	}
	return p.establish(conn)
}

// establish takes over from the handshake.
func (p *peer) establish(conn *dtls.Conn) error {
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("no connection state")
	}
	layer, err := p.association.takeOver(conn, &state)
	if err != nil {
		return err
	}
	p.association.sealWith(layer) // from here on we can say goodbye
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no srtp profile in common")
	}
	keys, err := newProtection(profile, &state, p.cfg.Active, p.bounds.streams)
	if err != nil {
		return err
	}
	err = ErrClosed
	p.worker.enter(func(now time.Time) {
		if p.worker.peers[p.id] == p {
			err = p.worker.core.Protect(now, p.id, keys, &p.worker.batch)
		}
	})
	if err != nil {
		return err
	}
	p.channels.established(p.association)
	p.association.openWith(layer)
	return nil
}

// newDTLS makes the association in the role that the SDP gave us. No cookie
// exchange: the address has passed an authenticated connectivity check.
func (p *peer) newDTLS() (*dtls.Conn, error) {
	conn := p.association.conn
	verify := dtls.WithVerifyPeerCertificate(p.verify)
	interval := flightInterval
	if p.cfg.Active {
		interval = helloInterval
	}
	shared := []dtls.Option{
		dtls.WithCertificates(p.transport.certificate),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithMTU(dtlsMTU),
		dtls.WithFlightInterval(interval),
		dtls.WithLoggerFactory(quiet()),
		dtls.WithCipherSuites(suites()...),
		verify,
	}
	if p.cfg.Active {
		options := []dtls.ClientOption{
			dtls.WithInsecureSkipVerify(true), // verify compares the fingerprint
			dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM),
		}
		for _, o := range shared {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(conn, conn.LocalAddr(), options...)
	}
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
	}
	for _, o := range shared {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(conn, conn.LocalAddr(), options...)
}

// verify compares the certificate with what the SDP promised (RFC 8122).
func (p *peer) verify(chain [][]byte, _ [][]*x509.Certificate) error {
	if len(chain) == 0 {
		return ErrFingerprint
	}
	for _, f := range p.cfg.RemoteFingerprints {
		if f.matches(chain[0]) {
			return nil
		}
	}
	return ErrFingerprint
}

// handshakeError names the failure for the metric and for the handler.
func (p *peer) handshakeError(ctx context.Context, err error) (reason string, named error) {
	switch {
	case p.ctx.Err() != nil:
		return "closed", ErrClosed
	case errors.Is(err, ErrFingerprint):
		return "fingerprint", ErrFingerprint
	case ctx.Err() != nil:
		return "timeout", ErrHandshakeTimeout
	default:
		return "protocol", fmt.Errorf("%w: %w", ErrHandshake, err)
	}
}

// send implements owner.
func (p *peer) send(b []byte) { p.worker.send(p, b) }

// deliver implements owner.
func (p *peer) deliver(content []byte) { p.channels.deliver(content) }

// later implements owner.
func (p *peer) later(fn func()) { p.spawn(fn) }

// gone implements owner.
func (p *peer) gone() { p.spawn(func() { p.transport.end(p, ErrClosedByPeer) }) }

// shutdown says goodbye and waits for the peer's goroutines.
func (p *peer) shutdown() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.channels.close()
	p.association.close()
	p.cancel()
	p.wg.Wait()
}

// suites are the cipher suites that the record layer can go on with.
func suites() (out []dtls.CipherSuiteID) {
	for _, suite := range record.Suites() {
		out = append(out, dtls.CipherSuiteID(suite))
	}
	return out
}
