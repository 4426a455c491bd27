package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

const (
	// dtlsMTU keeps handshake records inside the smallest IPv6 packet.
	dtlsMTU = 1200
	// flightInterval is the first retransmission timeout of DTLS; it doubles.
	// Real-time peers lose a second too much with the RFC's default.
	flightInterval = 250 * time.Millisecond
	// maxReadErrors ends a peer whose DTLS fails this often in a row.
	maxReadErrors = 64
)

// peer is one DTLS association and what runs on it.
type peer struct {
	id        engine.PeerID
	cfg       PeerConfig
	transport *Transport
	worker    *worker
	conn      *packetConn
	channels  *channels
	ctx       context.Context // ends with the peer
	cancel    context.CancelFunc

	ufrags []string // the directory's

	// The worker's mutex guards these, and cfg until the handshake has begun.
	reachable bool           // a connectivity check has passed
	started   bool           // the handshake has begun
	last      netip.AddrPort // where goodbyes go once the core forgot the peer

	mu    sync.Mutex // guards what follows
	ended bool       // no goroutine may start any more
	dtls  *dtls.Conn
	wg    sync.WaitGroup // of the peer's goroutines
}

func newPeer(t *Transport, w *worker, cfg PeerConfig) *peer {
	p := &peer{id: cfg.ID, cfg: cfg, transport: t, worker: w}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.conn = newPacketConn(p.id, func(b []byte) { w.send(p, b) })
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

// run is the peer's life from its first connectivity check on.
func (p *peer) run() {
	conn, err := p.handshake()
	if err == nil {
		p.channels.established(conn)
		err = p.read(conn)
	}
	p.transport.end(p, err)
}

// handshake runs DTLS and lends the keys to the core.
func (p *peer) handshake() (*dtls.Conn, error) {
	t := p.transport
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.ctx, t.cfg.HandshakeTimeout)
	defer cancel()
	conn, err := p.negotiate(ctx)
	if err != nil {
		reason, err := p.handshakeError(ctx, err)
		t.metrics.handshakeFailures.WithLabelValues(reason).Inc()
		return nil, err
	}
	t.metrics.handshakeSeconds.Observe(time.Since(began).Seconds())
	return conn, nil
}

func (p *peer) negotiate(ctx context.Context) (*dtls.Conn, error) {
	t := p.transport
	select {
	case t.handshakes <- struct{}{}:
		defer func() { <-t.handshakes }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := p.newDTLS()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.dtls = conn
	p.mu.Unlock()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	p.conn.established.Store(true)
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errors.New("no connection state")
	}
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("no srtp profile in common")
	}
	keys, err := newProtection(profile, &state, p.cfg.Active)
	if err != nil {
		return nil, err
	}
	err = ErrClosed
	p.worker.enter(func(now time.Time) {
		if p.worker.peers[p.id] == p {
			err = p.worker.core.Protect(now, p.id, keys, &p.worker.batch)
		}
	})
	return conn, err
}

// newDTLS makes the association in the role that the SDP gave us. No cookie
// exchange: the address has passed an authenticated connectivity check.
func (p *peer) newDTLS() (*dtls.Conn, error) {
	verify := dtls.WithVerifyPeerCertificate(p.verify)
	shared := []dtls.Option{
		dtls.WithCertificates(p.transport.certificate),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithMTU(dtlsMTU),
		dtls.WithFlightInterval(flightInterval),
		dtls.WithLoggerFactory(quiet()),
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
		return dtls.ClientWithOptions(p.conn, p.conn.LocalAddr(), options...)
	}
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
	}
	for _, o := range shared {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(p.conn, p.conn.LocalAddr(), options...)
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

// read takes what the association delivers until it ends. It runs with and
// without data channels, since DTLS answers repeated flights and alerts only
// while somebody reads.
func (p *peer) read(conn *dtls.Conn) error {
	buf := make([]byte, readSize)
	for failed := 0; failed < maxReadErrors; {
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			failed = 0
			p.channels.deliver(buf[:n])
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, dtls.ErrConnClosed):
			return ErrClosedByPeer
		default:
			failed++
		}
	}
	return fmt.Errorf("%w: %d errors in a row", ErrClosedByPeer, maxReadErrors)
}

// shutdown says goodbye and waits for the peer's goroutines.
func (p *peer) shutdown() {
	p.mu.Lock()
	p.ended = true
	conn := p.dtls
	p.mu.Unlock()
	p.channels.close()
	if conn != nil && p.conn.established.Load() {
		// Sends close_notify. The error is about a conn that ended already.
		_ = conn.Close()
	}
	p.cancel()
	_ = p.conn.Close()
	p.wg.Wait()
	if conn != nil {
		_ = conn.Close() // after a handshake that failed or was cancelled
	}
}

// quiet keeps pion's own logs out: they are per packet, and a peer can cause
// them at will.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}
