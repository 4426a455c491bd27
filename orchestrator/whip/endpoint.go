package whip

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const (
	endpointMethods = "OPTIONS, POST"
	sdpType         = "application/sdp"
	fragmentType    = "application/trickle-ice-sdpfrag"
)

// endpoint serves a path that opens sessions. join makes the Join of one from
// the token's own and an offer.
func (s *Server) endpoint(protocol string, join func(*http.Request, signal.Caller, room.Join, offer) (room.Join, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cors(w, endpointMethods)
		w.Header().Set("Accept-Post", sdpType)
		switch r.Method {
		case http.MethodOptions:
			w.Header().Set("Accept-Patch", fragmentType)
			s.linkServers(w)
			w.WriteHeader(http.StatusNoContent)
			return
		case http.MethodPost:
		default:
			(&refusal{status: http.StatusMethodNotAllowed, cause: "use POST with an SDP offer", allow: endpointMethods}).answer(w)
			return
		}
		e, answer, err := s.open(w, r, protocol, join)
		if err != nil {
			refused := asRefusal(err)
			s.config.Report(protocol, refused.status)
			refused.answer(w)
			return
		}
		s.config.Report(protocol, http.StatusCreated)
		h := w.Header()
		h.Set("Location", e.url())
		h.Set("ETag", e.entityTag())
		h.Set("Accept-Patch", fragmentType)
		h.Set("Content-Type", sdpType)
		h.Set("Cache-Control", "no-store")
		s.linkServers(w)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, answer) // a client that is gone loses its consent
	}
}

// open makes a session, or leaves nothing behind.
func (s *Server) open(w http.ResponseWriter, r *http.Request, protocol string, join func(*http.Request, signal.Caller, room.Join, offer) (room.Join, error)) (*session, string, error) {
	if err := typed(r, sdpType); err != nil {
		return nil, "", err
	}
	if !accepts(r, sdpType) {
		return nil, "", refuse(http.StatusNotAcceptable, "the answer is %s: name it in Accept, or leave Accept out", sdpType)
	}
	token, caller, err := s.authenticate(r)
	if err != nil {
		return nil, "", err
	}
	if name := r.PathValue("room"); name != caller.Room {
		return nil, "", refuse(http.StatusForbidden, "the access token is for another room than the path's")
	}
	e := newSession(s, protocol, token, caller)
	if err := s.reserve(e); err != nil {
		return nil, "", err
	}
	text, err := s.body(w, r, s.config.MaxOffer)
	if err != nil {
		s.forget(e)
		return nil, "", err
	}
	o, err := readOffer(text)
	if err != nil {
		s.forget(e)
		return nil, "", refuse(http.StatusBadRequest, "%s", err)
	}
	j := caller.Join()
	if p, err := drtc.ParsePlace(r.URL.Query().Get("place")); err == nil {
		j.Place = &p
	}
	j, err = join(r, caller, j, o)
	if err != nil {
		s.forget(e)
		return nil, "", err
	}
	answer, err := e.join(r.Context(), j, text, o)
	return e, answer, err
}

// publish makes the Join of a WHIP session: a participant with the offer's
// tracks.
func (s *Server) publish(r *http.Request, caller signal.Caller, j room.Join, o offer) (room.Join, error) {
	identity := r.PathValue("identity")
	switch {
	case len(identity) > maxIdentity:
		return j, refuse(http.StatusBadRequest, "the identity in the path is longer than %d bytes", maxIdentity)
	case identity != caller.Identity && !caller.Admin():
		return j, refuse(http.StatusForbidden, "the access token is for another identity than the path's: publishing under it takes roomAdmin")
	}
	tracks, err := o.tracks()
	if err != nil {
		return j, err
	}
	if identity != caller.Identity { // what the token says of its own holder does not hold for this one
		j.Identity, j.Name, j.Metadata, j.Attributes = drtc.Identity(identity), "", "", nil
	}
	j.Permission.Subscribe, j.Permission.PublishData, j.AutoSubscribe = false, false, false
	for _, t := range tracks {
		if !j.Permission.MayPublish(t.Source) {
			return j, refuse(http.StatusForbidden, "the access token does not allow publishing the %s (canPublish, canPublishSources)", nameOf(t.Source))
		}
		t.ID = drtc.TrackID(drtc.TrackPrefix + newID()[:16])
		t.Name = nameOf(t.Source)
		j.Tracks = append(j.Tracks, room.AddTrack{Track: t})
	}
	return j, nil
}

// play makes the Join of a WHEP session: a spectator.
func (s *Server) play(r *http.Request, _ signal.Caller, j room.Join, o offer) (room.Join, error) {
	if !j.Permission.Subscribe {
		return j, refuse(http.StatusForbidden, "the access token does not allow subscribing (canSubscribe)")
	}
	identity := r.PathValue("identity")
	if len(identity) > maxIdentity {
		return j, refuse(http.StatusBadRequest, "the identity in the path is longer than %d bytes", maxIdentity)
	}
	audio, video, err := o.watch()
	j.Watch = &room.Watch{Identity: drtc.Identity(identity), Audio: audio, Video: video}
	return j, err
}

// maxIdentity bounds an identity as it does in a token, in bytes.
const maxIdentity = 512

func nameOf(s room.Source) string {
	switch s {
	case room.Camera:
		return "camera"
	case room.Microphone:
		return "microphone"
	case room.ScreenShare:
		return "screen"
	}
	return "screen audio"
}

// authenticate checks the bearer token of a request.
func (s *Server) authenticate(r *http.Request) (string, signal.Caller, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return "", signal.Caller{}, refuse(http.StatusUnauthorized, "no access token: send it in the header Authorization, after the word Bearer")
	}
	caller, err := s.config.Gate.Authenticate(r)
	if err == nil {
		return token, caller, nil
	}
	if !s.config.Gate.Allow(r) {
		return "", signal.Caller{}, &refusal{
			status: http.StatusTooManyRequests, cause: "too many refused requests from this address: try again in a few seconds", retry: busyRetry,
		}
	}
	return "", signal.Caller{}, refuse(signal.Status(err), "%s", err)
}

// body reads a request's body, for a bounded time and within limit.
func (s *Server) body(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.config.ReadTimeout)) // a writer that has none is a test's
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", refuse(http.StatusRequestTimeout, "the body did not arrive within %v", s.config.ReadTimeout)
	case err != nil:
		return "", refuse(http.StatusBadRequest, "the body could not be read: send it whole")
	}
	_ = control.SetReadDeadline(time.Time{}) // else the connection ends while we wait for the room
	return string(b), nil
}

// typed checks the type of a request's body.
func typed(r *http.Request, want string) error {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != want {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type must be %s", want)
	}
	return nil
}

// accepts reports whether a client takes an answer of this type.
func accepts(r *http.Request, kind string) bool {
	lines := r.Header.Values("Accept")
	if len(lines) == 0 {
		return true
	}
	group, _, _ := strings.Cut(kind, "/")
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		got, parameters, err := mime.ParseMediaType(item)
		if err == nil && (got == kind || got == group+"/*" || got == "*/*") && parameters["q"] != "0" {
			return true
		}
	}
	return false
}

// reserve takes a place for a session.
func (s *Server) reserve(e *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return unavailable(busyRetry, "this Orchestrator is shutting down: try again")
	case len(s.sessions) >= s.config.MaxSessions:
		return unavailable(fullRetry, "this Orchestrator carries as many WHIP and WHEP sessions as it takes: try again later")
	}
	s.sessions[e.id] = e
	return nil
}

// forget gives a session's place back.
func (s *Server) forget(e *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, e.id)
}

// offerRefused is what the node said against an offer.
func offerRefused(g *room.Goodbye) *refusal {
	if g.Unusable {
		return refuse(http.StatusNotAcceptable, "the offer has no codec that media nodes forward: %s", g.Text)
	}
	return refuse(http.StatusBadRequest, "the offer was refused: %s", g.Text)
}

func asRefusal(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable(busyRetry, "the media node did not answer in time: try again")
	case signal.Status(err) == http.StatusForbidden:
		return refuse(http.StatusForbidden, "%s", err)
	}
	return unavailable(busyRetry, "%s: try again", err)
}
