package whip

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// When a client that was turned away may try again.
const (
	busyRetry = 2 * time.Second
	fullRetry = 10 * time.Second
)

// Gate says who sent a request.
type Gate interface {
	// Authenticate reads a request's token. The error holds a status, see
	// signal.Status.
	Authenticate(*http.Request) (signal.Caller, error)
	// Allow reports whether the request's address may make one more attempt.
	Allow(*http.Request) bool
}

// Rooms is what the sessions ask of the rest of the Orchestrator; see
// signal.Rooms.
type Rooms interface {
	Enter(ctx context.Context, name signal.RoomName, out signal.Outlet, first func(room.Conn) room.Command) (room.Conn, error)
	Post(ctx context.Context, name signal.RoomName, c room.Command) error
}

// ICEServer is a STUN or TURN server that clients are told of.
type ICEServer struct {
	URL        string `toml:"url"` // stun:host, turn:host?transport=udp …
	Username   string `toml:"username"`
	Credential string `toml:"credential"`
}

// Config of a Server. Gate, Rooms and Log are required.
type Config struct {
	Gate  Gate
	Rooms Rooms
	Log   *slog.Logger

	ICEServers  []ICEServer
	MaxSessions int           // at once; default 10,000
	MaxOffer    int64         // bytes of an offer; default 64 KiB
	ReadTimeout time.Duration // for a body; default 5 s
	AnswerWait  time.Duration // for the room's answer; default 5 s
	// Report, if set, hears of every request that would open a session: "whip"
	// or "whep", and the status.
	Report func(protocol string, status int)
}

func (c Config) withDefaults() Config {
	if c.MaxSessions == 0 {
		c.MaxSessions = 10_000
	}
	if c.MaxOffer == 0 {
		c.MaxOffer = 64 << 10
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 5 * time.Second
	}
	if c.AnswerWait == 0 {
		c.AnswerWait = 5 * time.Second
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
		return errors.New("whip: config: Gate, Rooms, Log: all are required")
	case c.MaxSessions < 0, c.MaxOffer < 0, c.ReadTimeout < 0, c.AnswerWait < 0:
		return errors.New("whip: config: MaxSessions, MaxOffer, ReadTimeout, AnswerWait: want 0 or more")
	}
	for i, s := range c.ICEServers {
		if err := s.validate(); err != nil {
			return fmt.Errorf("whip: config: ICEServers[%d]: %w", i, err)
		}
	}
	return nil
}

// Server serves WHIP and WHEP. Use New.
type Server struct {
	config Config

	mu       sync.Mutex // guards what follows, and additions to group
	sessions map[string]*session
	ended    bool
	group    sync.WaitGroup // a goroutine for each session
}

// New makes a Server.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Server{config: c.withDefaults(), sessions: map[string]*session{}}, nil
}

// Run waits for ctx to end, then lets go of all sessions, and returns when their
// rooms have heard of it.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.ended = true
	for _, e := range s.sessions {
		e.out.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
	return nil
}

// Sessions returns how many sessions there are.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// sessionPath is where the URLs of sessions begin.
const sessionPath = "/drtc/v1/"

// Register adds the paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	publish := s.endpoint("whip", s.publish)
	play := s.endpoint("whep", s.play)
	mux.HandleFunc("/whip/{room}/{identity}", publish)
	mux.HandleFunc("/whep/{room}/{identity}", play)
	mux.HandleFunc("/whep/{room}", play)
	lost := func(w http.ResponseWriter, _ *http.Request) {
		cors(w, endpointMethods)
		refuse(http.StatusNotFound, "no such path: want /whip/{room}/{identity}, /whep/{room}/{identity} or /whep/{room}").answer(w)
	}
	mux.HandleFunc("/whip/", lost)
	mux.HandleFunc("/whep/", lost)
	mux.HandleFunc(sessionPath+"whip/{session}", s.serveSession)
	mux.HandleFunc(sessionPath+"whep/{session}", s.serveSession)
}

// newID returns a fresh text with 160 random bits.
func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return base32.StdEncoding.EncodeToString(b[:])
}
