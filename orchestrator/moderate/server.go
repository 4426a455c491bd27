package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// Gate says who sent a request; see signal.Server.
type Gate interface {
	Authenticate(*http.Request) (signal.Caller, error)
	Allow(*http.Request) bool
}

// Rooms is what the service asks of the rest of the Orchestrator; see
// roomservice.Rooms, whose errors it returns.
type Rooms interface {
	Do(ctx context.Context, name signal.RoomName, create bool, do func(now time.Time, r *room.Room) []room.Effect) error
}

// Config of a Server. Gate, Rooms and Log are required.
type Config struct {
	Gate  Gate
	Rooms Rooms
	Log   *slog.Logger
	Now   func() time.Time

	MaxBody int64         // bytes of a request; default 4 KiB
	Timeout time.Duration // of one request; default 5 s
	Rate    float64       // requests a second of one participant; default 10, negative is unlimited
	Burst   int           // at once; default 50
	// Report, if set, hears of every request: the action, and the status.
	Report func(action string, status int)
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxBody == 0 {
		c.MaxBody = 4 << 10
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Rate == 0 {
		c.Rate = 10
	}
	if c.Burst == 0 {
		c.Burst = 50
	}
	if c.Report == nil {
		c.Report = func(string, int) {}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Gate == nil, c.Rooms == nil, c.Log == nil:
		return errors.New("moderate: config: Gate, Rooms, Log: all are required")
	case c.MaxBody < 0, c.Timeout < 0, c.Burst < 0:
		return errors.New("moderate: config: MaxBody, Timeout, Burst: want 0 or more")
	}
	return nil
}

// Server serves the hosts of rooms. Use New.
type Server struct {
	config Config

	mu     sync.Mutex // guards callers
	limits map[callerKey]*rate.Limiter
}

// callerKey names a participant over all rooms.
type callerKey struct{ application, room, identity string }

// maxCallers bounds the participants whose rate is remembered.
const maxCallers = 20_000

// New makes a Server.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Server{config: c.withDefaults(), limits: map[callerKey]*rate.Limiter{}}, nil
}

// Register adds the paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.HandleFunc("/drtc/v1/rooms/{room}/{action}", s.serve)
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	signal.CORS(w)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	action := r.PathValue("action")
	if _, known := actions()[action]; !known && action != lobbyAction {
		action = ""
	}
	body, err := s.handle(w, r, action)
	status := http.StatusOK
	if err != nil {
		status, body = err.status, struct {
			Error *failure `json:"error"`
		}{err}
	}
	s.config.Report(action, status)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone when this fails
}

// handle finds out who asks, and does what it asks for.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, action string) (any, *failure) {
	caller, failed := s.caller(r)
	if failed != nil {
		return nil, failed
	}
	if name := r.PathValue("room"); name != caller.Room {
		return nil, fail(http.StatusForbidden, "room", "the token is for another room", "use the room of the token in the path")
	}
	if !s.allow(callerKey{caller.Application, caller.Room, caller.Identity}) {
		return nil, fail(http.StatusTooManyRequests, "", "too many requests of this participant", "try again in a second")
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Timeout)
	defer cancel()
	switch {
	case action == "":
		return nil, fail(http.StatusNotFound, "action", "there is no such action", "use lobby, accept, deny, mute, remove, host or role")
	case action == lobbyAction && r.Method != http.MethodGet:
		return nil, fail(http.StatusMethodNotAllowed, "", "the lobby is read", "use GET")
	case action == lobbyAction:
		return s.lobby(ctx, caller)
	case r.Method != http.MethodPost:
		return nil, fail(http.StatusMethodNotAllowed, "", "this changes something", "use POST")
	}
	q, failed := s.read(w, r)
	if failed != nil {
		return nil, failed
	}
	return s.act(ctx, caller, action, q)
}

// caller reads the token, which must stand in the header.
func (s *Server) caller(r *http.Request) (signal.Caller, *failure) {
	caller, err := s.config.Gate.Authenticate(r)
	switch {
	case err == nil:
		return caller, nil
	case !s.config.Gate.Allow(r):
		return caller, fail(http.StatusTooManyRequests, "", "too many refused requests from this address", "try again in a few seconds")
	}
	return caller, fail(signal.Status(err), "Authorization", err.Error(), "send the token that lets you into the room, after the word Bearer")
}

// allow reports whether a participant may ask once more.
func (s *Server) allow(k callerKey) bool {
	if s.config.Rate < 0 {
		return true
	}
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits[k]
	if l == nil {
		if len(s.limits) >= maxCallers {
			for other, l := range s.limits {
				if l.TokensAt(now) >= float64(s.config.Burst) {
					delete(s.limits, other)
				}
			}
		}
		if len(s.limits) >= maxCallers {
			return false
		}
		l = rate.NewLimiter(rate.Limit(s.config.Rate), s.config.Burst)
		s.limits[k] = l
	}
	return l.AllowN(now, 1)
}

// request is the body of every POST; each action reads some of it.
type request struct {
	Identity  string   `json:"identity"`
	All       bool     `json:"all"`
	Track     string   `json:"track"`
	Sources   []string `json:"sources"`
	Role      string   `json:"role"`
	Keep      bool     `json:"keep"`
	MayReturn bool     `json:"may_return"`
}

// read reads a body.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (request, *failure) {
	var q request
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.config.Timeout)) // a writer that has none is a test's
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.config.MaxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&q)
	_ = control.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &large):
		return q, fail(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body is longer than %d bytes", s.config.MaxBody), "send the fields alone")
	case errors.As(err, &kind):
		return q, fail(http.StatusBadRequest, kind.Field, fmt.Sprintf("want a %s, got a %s", kind.Type, kind.Value), "see docs/apps/roles.md")
	default:
		return q, fail(http.StatusBadRequest, "", "the body is not the JSON object that is wanted: "+err.Error(), `send {"identity": "…"} and the action's own fields`)
	}
	if len(q.Identity) > maxIdentity {
		return q, fail(http.StatusBadRequest, "identity", fmt.Sprintf("longer than %d bytes", maxIdentity), "use the identity in the participant's token")
	}
	return q, nil
}

// maxIdentity bounds an identity as it does in a token, in bytes.
const maxIdentity = 512

// by is the caller as a room knows it; empty for one that needs no place in it.
func by(c signal.Caller) drtc.Identity {
	if c.Admin() {
		return ""
	}
	return drtc.Identity(c.Identity)
}
