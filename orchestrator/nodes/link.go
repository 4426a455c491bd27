package nodes

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// errFingerprint: the node showed another certificate than its record names.
var errFingerprint = errors.New("nodes: the TLS certificate is not the one in the node's record")

// maxMessage bounds what a node may say at once, in bytes.
const maxMessage = 1 << 20

// link is the connection to one node.
type link struct {
	pool   *Pool
	target Target
	client medianodev1connect.ControlServiceClient
	base   *http.Transport
	ctx    context.Context // the life of the link's goroutines
	cancel context.CancelFunc
	calls  chan struct{} // a token for each call at once

	// Of the goroutine of run.
	instance  string
	sequence  uint64
	renewedAt time.Time

	watchdog *watchdog

	mu     sync.Mutex // guards what follows
	status Status
	up     chan struct{} // closed while the node is up
	lanes  map[laneKey]*lane
}

func newLink(p *Pool, t Target) *link {
	ctx, cancel := context.WithCancel(p.ctx)
	base := &http.Transport{
		TLSClientConfig:   pinned(t.Fingerprint),
		ForceAttemptHTTP2: true,
		MaxConnsPerHost:   4,
		// A connection to a host that vanished must not be used again.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: time.Second},
	}
	signed := &httpauth.Transport{Base: base, Key: p.config.Key, Audience: t.ID, Now: p.config.Now, Rand: p.config.Rand}
	return &link{
		pool: p, target: t, ctx: ctx, cancel: cancel, base: base,
		client: medianodev1connect.NewControlServiceClient(&http.Client{Transport: signed}, t.URL,
			connect.WithGRPC(), connect.WithReadMaxBytes(maxMessage), connect.WithInterceptors(As(p.config.Member))),
		calls:    make(chan struct{}, p.config.MaxCalls),
		up:       make(chan struct{}),
		lanes:    map[laneKey]*lane{},
		watchdog: newWatchdog(p.config.Silence),
	}
}

// pinned accepts the one certificate with this fingerprint, whoever issued it.
func pinned(fingerprint [32]byte) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], fingerprint[:]) != 1 {
				return errFingerprint
			}
			return nil
		},
	}
}

func (l *link) getStatus() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// run keeps the event stream open until the link is cancelled.
func (l *link) run() {
	defer l.base.CloseIdleConnections()
	backoff := 50 * time.Millisecond
	for l.ctx.Err() == nil {
		heard, err := l.follow()
		if l.ctx.Err() != nil {
			return
		}
		if heard {
			backoff = 50 * time.Millisecond
		}
		if l.getStatus().Up && (errors.Is(err, syscall.ECONNREFUSED) || l.watchdog.tooLong()) {
			l.lose(err)
		}
		if !l.getStatus().Up {
			// A stream that could not be opened may hang on a dead connection.
			l.base.CloseIdleConnections()
		}
		wait := backoff
		if backoff = min(2*backoff, l.pool.config.MaxBackoff); l.getStatus().Up {
			wait, backoff = 20*time.Millisecond, 50*time.Millisecond
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow opens the event stream and takes what comes until it ends or falls
// silent. heard reports whether anything came.
func (l *link) follow() (heard bool, err error) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	if !l.getStatus().Up {
		l.watchdog.heard() // an attempt has as long as a silence
	}
	// The watchdog ends the stream; whoever waits in Receive then goes on.
	l.watchdog.watch(cancel)
	defer l.watchdog.rest()

	stream, err := l.client.Events(ctx, connect.NewRequest(&medianodev1.EventsRequest{After: l.sequence, Instance: l.instance}))
	if err != nil {
		return false, err
	}
	defer stream.Close() //nolint:errcheck // ended either way
	for stream.Receive() {
		heard = true
		l.watchdog.heard()
		l.take(stream.Msg())
	}
	return heard, stream.Err()
}

// take handles one message of the event stream.
func (l *link) take(m *medianodev1.EventsResponse) {
	if m.GetInstance() != l.instance {
		if l.getStatus().Up {
			l.lose(errors.New("nodes: the media node was restarted"))
		}
		l.instance = m.GetInstance()
	}
	l.sequence = m.GetSequence()
	if !l.getStatus().Up {
		l.mu.Lock()
		l.status.Up = true
		close(l.up)
		l.mu.Unlock()
		l.pool.config.Log.Info("media node is up", slog.String("node", l.target.ID.String()), slog.String("instance", l.instance))
		l.pool.config.Emit(Event{Node: l.target.ID, Up: true})
	}
	if h := m.GetHeartbeat(); h != nil {
		l.heartbeat(h)
		for _, r := range h.GetReports() {
			l.count(Count{Session: drtc.SessionID(r.GetSession())}, r.GetFigures(), false)
			l.pool.config.Emit(reported(l.target.ID, r))
		}
		for _, r := range h.GetRelays() {
			l.countRelay(r, false)
			l.pool.config.Emit(relayed(l.target.ID, r))
		}
		return
	}
	l.countLast(m)
	if e, ok := translate(l.target.ID, m); ok {
		l.pool.config.Emit(e)
	}
}

func (l *link) heartbeat(h *medianodev1.Heartbeat) {
	l.mu.Lock()
	changed := l.status.Draining != h.GetDraining()
	l.status.Sessions, l.status.MaxSessions = int(h.GetSessions()), int(h.GetMaxSessions())
	l.status.EgressBps, l.status.Draining = h.GetEgressBps(), h.GetDraining()
	l.status.Refuses, l.status.ShedRatio = shortened(h.GetRefuses()), fraction(h.GetShedRatio())
	l.mu.Unlock()
	if changed {
		l.pool.config.Emit(Event{Node: l.target.ID, Command: room.NodeDraining{Node: l.target.ID, Undone: !h.GetDraining()}})
	}
	const early = 2 * time.Minute
	left := time.Duration(h.GetLeaseLeftMs()) * time.Millisecond
	if left > 0 && left < early && time.Since(l.renewedAt) > min(left/4, 10*time.Second) {
		l.renewedAt = time.Now()
		l.pool.group.Go(l.renew)
	}
}

// shortened bounds a text that a node chose; it goes into logs and to clients.
func shortened(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

func (l *link) renew() {
	ctx, cancel := context.WithTimeout(l.ctx, l.pool.config.CallTimeout)
	defer cancel()
	if _, err := l.client.RenewEvents(ctx, connect.NewRequest(&medianodev1.RenewEventsRequest{})); err != nil && l.ctx.Err() == nil {
		l.pool.config.Log.Warn("lease of a media node's event stream was not renewed",
			slog.String("node", l.target.ID.String()), slog.Any("error", err))
	}
}

// lose declares the node dead: its sessions are gone for us.
func (l *link) lose(cause error) {
	l.mu.Lock()
	l.status = Status{}
	l.up = make(chan struct{})
	l.mu.Unlock()
	l.instance, l.sequence = "", 0
	l.pool.config.Log.Warn("media node is lost", slog.String("node", l.target.ID.String()), slog.Any("error", cause))
	l.pool.config.Emit(Event{Node: l.target.ID, Command: room.NodeLost{Node: l.target.ID}})
}
