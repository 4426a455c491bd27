package whip

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const sessionMethods = "OPTIONS, PATCH, DELETE"

// session is one publisher or player.
type session struct {
	server      *Server
	id          string // in its URL, unguessable
	protocol    string
	token       [sha256.Size]byte // of the token that opened it
	owner       string            // identity in that token
	name        signal.RoomName
	participant drtc.ParticipantID
	out         *outlet

	mu         sync.Mutex // guards what follows
	offer      string     // as last answered
	ufrag      string     // of the offer
	mids       []string   // of the offer's sections
	tag        string     // of the ICE session
	offers     uint32
	restarting bool
}

func newSession(s *Server, protocol, token string, caller signal.Caller) *session {
	return &session{
		server: s, id: newID(), protocol: protocol, token: sha256.Sum256([]byte(token)), owner: caller.Identity,
		name:        signal.RoomName{Application: caller.Application, Name: caller.Room},
		participant: drtc.ParticipantID(drtc.ParticipantPrefix + newID()[:16]),
		out:         newOutlet(), tag: newID()[:16], offers: 1,
	}
}

func (e *session) url() string { return sessionPath + e.protocol + "/" + e.id }

// entityTag names the ICE session (RFC 9725 section 4.3.1).
func (e *session) entityTag() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return `"` + e.tag + `"`
}

// join enters the room with an offer and returns the answer. On error nothing is
// left.
func (e *session) join(ctx context.Context, j room.Join, sdp string, o offer) (string, error) {
	s := e.server
	ctx, cancel := context.WithTimeout(ctx, s.config.AnswerWait)
	defer cancel()
	e.offer, e.ufrag, e.mids = sdp, o.ufrag(), o.mids()
	j.Participant, j.Session = e.participant, drtc.SessionID(drtc.SessionPrefix+newID()[:16])
	j.Offer = &room.Offer{ID: e.offers, SDP: sdp}
	conn, err := s.config.Rooms.Enter(ctx, e.name, e.out, func(conn room.Conn) room.Command {
		j.Conn = conn
		return j
	})
	if err != nil {
		s.forget(e)
		return "", err
	}
	s.follow(e, conn)
	answer, err := e.out.await(ctx, e.offers)
	if err != nil {
		e.leave()
		return "", err
	}
	return answer.SDP, nil
}

// follow waits for the session's end and tells the room.
func (s *Server) follow(e *session, conn room.Conn) {
	s.mu.Lock()
	if s.ended { // Run has closed those that it saw
		e.out.Close()
	}
	s.group.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.group.Done()
		<-e.out.ended
		s.forget(e)
		e.post(room.Dropped{Conn: conn, Participant: e.participant})
	}()
}

// leave ends the session.
func (e *session) leave() {
	e.post(room.Leave{Participant: e.participant})
	e.out.Close() // one that is not in the room yet goes by its Dropped
}

// post hands the room a command that it must hear, however the request goes.
func (e *session) post(c room.Command) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.server.config.Rooms.Post(ctx, e.name, c); err != nil {
		e.server.config.Log.Warn("room did not hear of a session", slog.String("participant", string(e.participant)), slog.Any("error", err))
	}
}

// serveSession serves the URL of a session.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request) {
	cors(w, sessionMethods)
	h := w.Header()
	h.Set("Accept-Patch", fragmentType)
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPatch, http.MethodDelete:
	default:
		(&refusal{status: http.StatusMethodNotAllowed, cause: "use PATCH for candidates and ICE restarts, DELETE to end the session", allow: sessionMethods}).answer(w)
		return
	}
	e, err := s.find(r)
	if err != nil {
		asRefusal(err).answer(w)
		return
	}
	if r.Method == http.MethodDelete {
		e.leave()
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := e.patch(w, r); err != nil {
		asRefusal(err).answer(w)
	}
}

// find returns the session of a request whose token may command it: the one that
// opened it, or one of the same identity or of an administrator of its room.
func (s *Server) find(r *http.Request) (*session, error) {
	s.mu.Lock()
	e := s.sessions[r.PathValue("session")]
	s.mu.Unlock()
	if e != nil && e.opened(r) {
		return e, nil
	}
	_, caller, err := s.authenticate(r)
	switch {
	case err != nil:
		return nil, err
	case e == nil || e.url() != r.URL.Path:
		return nil, refuse(http.StatusNotFound, "no such session: it has ended, POST a new offer")
	case caller.Application != e.name.Application || caller.Room != e.name.Name || caller.Identity != e.owner && !caller.Admin():
		return nil, refuse(http.StatusForbidden, "the access token may not command this session: use the one that opened it")
	}
	return e, nil
}

// opened reports whether a request carries the token that opened the session. It
// may have expired since.
func (e *session) opened(r *http.Request) bool {
	sum := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	return e.url() == r.URL.Path && subtle.ConstantTimeCompare(sum[:], e.token[:]) == 1
}
