package roomservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// Errors of Rooms.
var (
	// ErrNoRoom: there is no such room.
	ErrNoRoom = errors.New("roomservice: no such room")
	// ErrElsewhere: the room is with another process of the Orchestrator.
	ErrElsewhere = errors.New("roomservice: the room is with another member")
)

// Rooms is what the service asks of the rest of the Orchestrator.
type Rooms interface {
	// Do lets do look at a room and give it orders, in the goroutine that owns the
	// room, carries out the effects that do returns, and returns after both. With
	// create a room that is missing is made first, otherwise the error is
	// ErrNoRoom. It is ErrElsewhere for a room that another process has. After any
	// error do may still run, or not.
	Do(ctx context.Context, name signal.RoomName, create bool, do func(now time.Time, r *room.Room) []room.Effect) error
	// List returns the rooms of an application in all processes, as they are
	// stored (room.ReadInfo); those with these names, or all when there are none.
	List(ctx context.Context, application string, names []string) ([]room.Info, error)
}

// Config of a Server. Keys, Rooms and Log are required.
type Config struct {
	Keys  map[string]signal.Key // by API key
	Rooms Rooms
	Log   *slog.Logger
	Now   func() time.Time

	MaxBody   int64         // bytes of a request; default 512 KiB
	MaxAtOnce int           // requests; default 256
	Timeout   time.Duration // of one request; default 5 s
	// RemoteUnmute lets servers unmute the tracks of participants. Without it
	// only participants unmute themselves.
	RemoteUnmute bool
	// Elsewhere, if set, sees every request that concerns one room, after its
	// token was verified and its body read: r's body is whole. It reports whether
	// it has answered, because another process has the room. A request that came
	// from another process must not be handed on again.
	Elsewhere func(w http.ResponseWriter, r *http.Request, name signal.RoomName) bool
	// Await, if set, does at the process that has the room what Server.Await does
	// here. It is asked when Rooms.Do says ErrElsewhere.
	Await func(ctx context.Context, name signal.RoomName, id drtc.Identity) (room.Info, error)
	// Host, if set, gives the order to the process that has the room, which is made
	// if there is none. It is asked when Rooms.Do says ErrElsewhere.
	Host func(ctx context.Context, name signal.RoomName, h room.Host) error
	// Report, if set, hears of every request: the method, or "" for none that is
	// served, and "ok" or the Twirp code.
	Report func(method, outcome string)
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxBody == 0 {
		c.MaxBody = 512 << 10
	}
	if c.MaxAtOnce == 0 {
		c.MaxAtOnce = 256
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Report == nil {
		c.Report = func(string, string) {}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case len(c.Keys) == 0:
		return errors.New("roomservice: config: Keys: want at least one API key, got none")
	case c.Rooms == nil:
		return errors.New("roomservice: config: Rooms: required")
	case c.Log == nil:
		return errors.New("roomservice: config: Log: required")
	case c.MaxBody < 0, c.MaxAtOnce < 0, c.Timeout < 0:
		return errors.New("roomservice: config: MaxBody, MaxAtOnce, Timeout: want 0 or more")
	}
	return nil
}

// Server serves the API.
type Server struct {
	config Config
	seats  chan struct{} // one token for each request under way
	twirp  livekit.TwirpServer
}

// New makes a Server.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &Server{config: c, seats: make(chan struct{}, c.MaxAtOnce)}
	s.twirp = livekit.NewRoomServiceServer(&service{server: s}, twirp.WithServerHooks(&twirp.ServerHooks{
		ResponseSent: s.report,
	}))
	return s, nil
}

// Register adds the service's paths to mux.
func (s *Server) Register(mux *http.ServeMux) { mux.Handle("/twirp/", s) }

// report counts a request that a method has answered.
func (s *Server) report(ctx context.Context) {
	method, _ := twirp.MethodName(ctx)
	outcome := "ok"
	if status, _ := twirp.StatusCode(ctx); status != "200" {
		outcome = "http_" + status
	}
	s.config.Report(method, outcome)
}

// ServeHTTP checks a request and hands it to its method.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signal.CORS(w)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	select {
	case s.seats <- struct{}{}:
		defer func() { <-s.seats }()
	default:
		w.Header().Set("Retry-After", "1")
		s.refuse(w, twirp.NewError(twirp.ResourceExhausted, "too many requests at once: try again in a second"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Timeout)
	defer cancel()
	r = r.WithContext(ctx)
	if err := s.check(w, &r); err != nil {
		s.refuse(w, err)
		return
	}
	if r != nil {
		s.twirp.ServeHTTP(w, r)
	}
}

// check does what comes before a method: it leaves the caller in the request's
// context, or nil for a request that has been answered elsewhere.
func (s *Server) check(w http.ResponseWriter, r **http.Request) error {
	full, method, _ := strings.Cut(strings.TrimPrefix((*r).URL.Path, "/twirp/"), "/")
	if full != "livekit.RoomService" {
		return twirp.NewError(twirp.Unimplemented, fmt.Sprintf("no service %.100q here: this server has livekit.RoomService", full))
	}
	claims, err := signal.ReadToken(*r, s.config.Keys, s.config.Now())
	if err != nil {
		return twirp.NewError(twirp.Unauthenticated, err.Error())
	}
	body, err := io.ReadAll(io.LimitReader((*r).Body, s.config.MaxBody+1))
	switch {
	case err != nil:
		return twirp.NewError(twirp.Malformed, "the request's body could not be read")
	case int64(len(body)) > s.config.MaxBody:
		return twirp.NewError(twirp.ResourceExhausted, fmt.Sprintf("the request's body is longer than %d bytes", s.config.MaxBody))
	}
	known := caller{application: claims.Application, grant: claims.Grants.Video}
	*r = (*r).WithContext(context.WithValue((*r).Context(), callerKey{}, known))
	(*r).Body = io.NopCloser(bytes.NewReader(body))
	if s.config.Elsewhere == nil {
		return nil
	}
	name := concerns(method, (*r).Header.Get("Content-Type"), body)
	if name != "" && s.config.Elsewhere(w, *r, signal.RoomName{Application: claims.Application, Name: name}) {
		*r = nil
	}
	return nil
}

// refuse answers a request that reaches no method.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	outcome := string(twirp.Internal)
	var e twirp.Error
	if errors.As(err, &e) {
		outcome = string(e.Code())
	}
	s.config.Report("", outcome)
	if err := twirp.WriteError(w, err); err != nil {
		s.config.Log.Debug("answer was not written", slog.Any("error", err))
	}
}
