package signal

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// serve lets a client in.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	CORS(w)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	caller, jr, err := s.admit(r)
	if err != nil {
		status := http.StatusInternalServerError
		if e, ok := err.(*refusal); ok { //nolint:errorlint // admit returns it bare
			status = e.status
		}
		s.config.Report(word(status))
		Refuse(w, err)
		return
	}
	s.mu.Lock()
	if s.ended || s.sockets.Load() >= int64(s.config.MaxSockets) {
		s.mu.Unlock()
		s.config.Report("full")
		Refuse(w, refuse(http.StatusServiceUnavailable, "this Orchestrator takes no more connections"))
		return
	}
	s.sockets.Add(1)
	s.group.Add(1)
	s.mu.Unlock()
	defer s.group.Done()
	defer s.sockets.Add(-1)
	s.attend(w, r, caller, jr)
}

// admit makes all checks that need no room.
func (s *Server) admit(r *http.Request) (Caller, *livekit.JoinRequest, error) {
	if !s.limit.allow(r, s.config.Now()) {
		return Caller{}, nil, refuse(http.StatusTooManyRequests, "too many connections from this address: try again in a few seconds")
	}
	if !r.URL.Query().Has("join_request") {
		_, err := readRequest(r)
		return Caller{}, nil, err
	}
	caller, err := s.Authenticate(r)
	if err != nil {
		return Caller{}, nil, err
	}
	jr, err := readRequest(r)
	if err != nil {
		return Caller{}, nil, err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return Caller{}, nil, refuse(http.StatusUpgradeRequired, "this address takes WebSocket connections")
	}
	return caller, jr, nil
}

// attend goes through the life of one connection.
func (s *Server) attend(w http.ResponseWriter, r *http.Request, caller Caller, jr *livekit.JoinRequest) {
	c := &client{
		server: s, caller: caller, out: newOutbox(s.config.MaxQueue),
		name: RoomName{Application: caller.Application, Name: caller.Room},
	}
	first := s.first(c, r, jr)
	conn, err := s.config.Rooms.Enter(r.Context(), c.name, c.out, first)
	if err != nil {
		var forbidden *refusal
		if !errors.As(err, &forbidden) {
			forbidden = refuse(http.StatusServiceUnavailable, "%s", err)
		}
		s.config.Report(word(forbidden.status))
		Refuse(w, forbidden)
		return
	}
	defer func() {
		// The room must hear of it, even if the request is long gone.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.config.Rooms.Post(ctx, c.name, room.Dropped{Conn: conn, Participant: c.participant}); err != nil {
			s.config.Log.Warn("room did not hear that a connection ended", slog.String("participant", string(c.participant)), slog.Any("error", err))
		}
	}()
	if err := c.awaitFirst(r.Context()); err != nil {
		s.config.Report("unavailable")
		Refuse(w, err)
		return
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any origin, see CORS
	if err != nil {
		s.config.Report("bad_upgrade")
		return // Accept has answered
	}
	s.config.Report("accepted")
	if err := c.sayMore(r.Context(), jr); err != nil {
		_ = socket.CloseNow()
		return
	}
	socket.SetReadLimit(s.config.MaxFrame)
	c.socket = socket
	c.run(s.ctx)
}

// sayMore hands on what a client that resumes has put into its request. A Join
// holds all of its request already.
func (c *client) sayMore(ctx context.Context, jr *livekit.JoinRequest) error {
	if !jr.GetReconnect() {
		return nil
	}
	commands := syncState(c.participant, jr.GetSyncState())
	if o := jr.GetPublisherOffer(); o.GetSdp() != "" {
		commands = append(commands, room.Offer{Participant: c.participant, ID: o.GetId(), SDP: o.GetSdp()})
	}
	for _, command := range commands {
		if err := c.server.config.Rooms.Post(ctx, c.name, command); err != nil {
			return err
		}
	}
	return nil
}

// placeAttribute is the attribute of a participant that says where it is,
// "lat,lon".
const placeAttribute = "drtc.place"

// first makes the command that opens the connection to the room.
func (s *Server) first(c *client, r *http.Request, jr *livekit.JoinRequest) func(room.Conn) room.Command {
	if jr.GetReconnect() {
		c.participant = drtc.ParticipantID(jr.GetParticipantSid())
		return func(conn room.Conn) room.Command {
			return room.Resume{Conn: conn, Participant: c.participant, Identity: drtc.Identity(c.caller.Identity)}
		}
	}
	c.participant = drtc.ParticipantID(newID(drtc.ParticipantPrefix))
	join := joinFrom(c.caller, jr)
	join.Participant, join.Session = c.participant, drtc.SessionID(newID(drtc.SessionPrefix))
	for _, said := range []string{r.URL.Query().Get("place"), join.Attributes[placeAttribute]} {
		if p, err := drtc.ParsePlace(said); err == nil {
			join.Place = &p
		}
	}
	return func(conn room.Conn) room.Command {
		join.Conn = conn
		return join
	}
}

// newID returns a fresh id with 80 random bits.
func newID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}
