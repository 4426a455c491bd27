package signal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// Versions of the client protocol.
const (
	// Protocol is what we advertise: one below the first that asks for packet
	// trailers.
	Protocol = 16
	// OldestProtocol is the oldest that clients may speak: the first with stream
	// ids in sync.
	OldestProtocol = 9
)

// RoomName names a room: applications can't reach each other's.
type RoomName struct {
	Application string
	Name        string
}

// Outlet takes what a room has for one connection. No method blocks.
type Outlet interface {
	// Send queues a message.
	Send(room.Message)
	// Close closes the connection after what was sent.
	Close()
	// Refuse turns the connection away; nothing was sent.
	Refuse(reason string)
}

// Rooms is what signalling asks of the rest of the Orchestrator.
type Rooms interface {
	// Enter opens a connection to a room: first makes its Join or Resume. Every
	// connection that Enter returned is ended by one Dropped.
	Enter(ctx context.Context, name RoomName, out Outlet, first func(room.Conn) room.Command) (room.Conn, error)
	// Post hands a command to a room; one that has ended ignores it.
	Post(ctx context.Context, name RoomName, c room.Command) error
}

// Config of a Server. Keys, Rooms and Log are required.
type Config struct {
	Keys  map[string]Key // by API key
	Rooms Rooms
	Log   *slog.Logger
	Now   func() time.Time

	Version        string         // of our software, shown to clients
	Region         string         // of this Orchestrator, shown to clients
	MaxSockets     int            // at once; default 10,000
	ConnectRate    float64        // connections a second for one address; default 5, negative is unlimited
	ConnectBurst   int            // at once for one address; default 30
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	MaxFrame       int64          // bytes; default 1 MiB
	MaxQueue       int            // messages waiting for a client; default 1024
	Drills         bool           // obey requests to simulate failures
	FirstWait      time.Duration  // for the room's first answer; default 5 s
	PingInterval   time.Duration  // of WebSocket pings; default 10 s
	WriteTimeout   time.Duration  // of one frame; default 10 s
	// Report, if set, hears of every connection request: "accepted" or a word
	// for why not.
	Report func(outcome string)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.FirstWait, 5*time.Second)
	set(&c.PingInterval, 10*time.Second)
	set(&c.WriteTimeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxSockets == 0 {
		c.MaxSockets = 10_000
	}
	if c.ConnectRate == 0 {
		c.ConnectRate = 5
	}
	if c.ConnectBurst == 0 {
		c.ConnectBurst = 30
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = 1 << 20
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 1024
	}
	if c.Report == nil {
		c.Report = func(string) {}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case len(c.Keys) == 0:
		return errors.New("signal: config: Keys: want at least one API key, got none")
	case c.Rooms == nil:
		return errors.New("signal: config: Rooms: required")
	case c.Log == nil:
		return errors.New("signal: config: Log: required")
	case c.MaxSockets < 0, c.ConnectBurst < 0, c.MaxFrame < 0, c.MaxQueue < 0:
		return errors.New("signal: config: MaxSockets, ConnectBurst, MaxFrame, MaxQueue: want 0 or more")
	}
	for k, v := range c.Keys {
		if k == "" || v.Secret == "" {
			return fmt.Errorf("signal: config: Keys: key %q: want a key and a secret", k)
		}
	}
	return nil
}

// Server serves the client protocol.
type Server struct {
	config  Config
	limit   *limiter
	sockets atomic.Int64
	ctx     context.Context // the life of the connections
	cancel  context.CancelFunc

	mu    sync.Mutex // guards ended and additions to group
	ended bool
	group sync.WaitGroup
}

// New makes a Server.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		config: c, ctx: ctx, cancel: cancel,
		limit: &limiter{
			perSecond: rate.Limit(c.ConnectRate), burst: c.ConnectBurst,
			trusted: c.TrustedProxies, addresses: map[netip.Addr]*rate.Limiter{},
		},
	}, nil
}

// Run waits for ctx to end, closes all connections, and returns when all of
// their goroutines have ended.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.cancel()
	s.group.Wait()
	return nil
}

// Sockets returns how many connections there are.
func (s *Server) Sockets() int64 { return s.sockets.Load() }

// Register adds the protocol's paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.HandleFunc("/rtc", s.serve)
	mux.HandleFunc("/rtc/v1", s.serve)
	mux.HandleFunc("/rtc/validate", s.validate)
	mux.HandleFunc("/rtc/v1/validate", s.validate)
}

// CORS lets pages of any origin read the answer: access is by token, not by
// cookie.
func CORS(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
}

// Refuse answers a request with the status and the cause that err holds.
func Refuse(w http.ResponseWriter, err error) {
	status := Status(err)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, err.Error(), status)
}

// Status is the HTTP status of a refusal by this package.
func Status(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return http.StatusInternalServerError
}

// Allow reports whether the address of a request may make one more attempt. It
// is one of those that Config.ConnectRate bounds.
func (s *Server) Allow(r *http.Request) bool { return s.limit.allow(r, s.config.Now()) }

// word is the cause of a refusal for metrics.
func word(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "no_such_mode"
	case http.StatusTooManyRequests:
		return "rate"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "bad_request"
}

// validate does the checks of a connection without making one. Clients ask it
// why an upgrade failed.
func (s *Server) validate(w http.ResponseWriter, r *http.Request) {
	CORS(w)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !s.limit.allow(r, s.config.Now()) {
		Refuse(w, refuse(http.StatusTooManyRequests, "too many connections from this address: try again in a few seconds"))
		return
	}
	if _, err := s.Authenticate(r); err != nil {
		Refuse(w, err)
		return
	}
	if r.URL.Query().Has("join_request") {
		if _, err := readRequest(r); err != nil {
			Refuse(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("success"))
}

// readRequest reads the parameters of a connection.
func readRequest(r *http.Request) (*livekit.JoinRequest, error) {
	q := r.URL.Query()
	if !q.Has("join_request") {
		return nil, refuse(http.StatusNotFound, "%s",
			`{"error":"dual-connection mode is not offered yet: connect with a single peer connection (join_request)"}`)
	}
	jr, err := decodeJoinRequest(q.Get("join_request"))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s", err)
	}
	if q.Get("reconnect") == "1" {
		jr.Reconnect = true
	}
	if sid := q.Get("sid"); sid != "" && jr.ParticipantSid == "" {
		jr.ParticipantSid = sid
	}
	if p := jr.GetClientInfo().GetProtocol(); p < OldestProtocol {
		return nil, refuse(http.StatusBadRequest, "client protocol %d is too old: want %d or newer", p, OldestProtocol)
	}
	if jr.Reconnect && jr.ParticipantSid == "" {
		return nil, refuse(http.StatusBadRequest, "reconnect without participant_sid")
	}
	return jr, nil
}
