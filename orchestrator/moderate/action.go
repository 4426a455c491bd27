package moderate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/roomservice"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// failure is an answer that says what is wrong and what to do.
type failure struct {
	status  int
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

func fail(status int, field, message, fix string) *failure {
	return &failure{status: status, Field: field, Message: message, Fix: fix}
}

// person is a participant in an answer.
type person struct {
	Identity   string            `json:"identity"`
	Name       string            `json:"name,omitempty"`
	Metadata   string            `json:"metadata,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Role       string            `json:"role,omitempty"`
	Waiting    bool              `json:"waiting,omitempty"`
	Since      time.Time         `json:"since,omitzero"` // in the lobby, or in the room
}

func personOf(p room.Participant) person {
	return person{
		Identity: string(p.Identity), Name: p.Name, Metadata: p.Metadata, Attributes: p.Attributes,
		Role: p.Attributes[room.AttributeRole], Waiting: p.Attributes[room.AttributeLobby] == room.Waiting, Since: p.JoinedAt.UTC(),
	}
}

// lobbyAction is the one that changes nothing.
const lobbyAction = "lobby"

// lobby lists who waits.
func (s *Server) lobby(ctx context.Context, c signal.Caller) (any, *failure) {
	answer := struct {
		Waiting []person `json:"waiting"`
	}{[]person{}}
	var err error
	done := s.config.Rooms.Do(ctx, nameOf(c), false, func(now time.Time, r *room.Room) []room.Effect {
		if err = entitled(r, by(c)); err != nil {
			return nil
		}
		for _, p := range r.Lobby() {
			answer.Waiting = append(answer.Waiting, personOf(p))
		}
		return nil
	})
	if done != nil { // err may still be written to
		return nil, failureOf(done)
	}
	if err != nil {
		return nil, failureOf(err)
	}
	return answer, nil
}

// entitled says why somebody may not look; nobody is an administrator.
func entitled(r *room.Room, who drtc.Identity) error {
	if who == "" {
		return nil
	}
	for _, host := range r.Hosts() {
		if host == who {
			return nil
		}
	}
	return room.ErrNotHost
}

// action makes the orders of a request for one participant, in a room.
type action func(q request, id drtc.Identity, c signal.Caller, r *room.Room, now time.Time) []room.Order

// actions by their names in the path.
func actions() map[string]action {
	return map[string]action{
		"accept": func(_ request, id drtc.Identity, _ signal.Caller, _ *room.Room, _ time.Time) []room.Order {
			return []room.Order{room.Accept{Identity: id}}
		},
		"deny": func(q request, id drtc.Identity, _ signal.Caller, _ *room.Room, now time.Time) []room.Order {
			return []room.Order{room.Deny{Identity: id, TokensFrom: tokensFrom(q, now)}}
		},
		"remove": func(q request, id drtc.Identity, _ signal.Caller, _ *room.Room, now time.Time) []room.Order {
			return []room.Order{room.Expel{Identity: id, TokensFrom: tokensFrom(q, now)}}
		},
		"mute": mute,
		"host": appoint,
		"role": func(q request, id drtc.Identity, _ signal.Caller, _ *room.Room, _ time.Time) []room.Order {
			return []room.Order{room.SetRole{Identity: id, Role: q.Role}}
		},
	}
}

// tokensFrom is from when on the tokens of one who has to go let it in again.
// Tokens count in seconds, so the present one is over first.
func tokensFrom(q request, now time.Time) time.Time {
	if q.MayReturn {
		return time.Time{}
	}
	return now.Truncate(time.Second).Add(time.Second)
}

func mute(q request, id drtc.Identity, _ signal.Caller, _ *room.Room, _ time.Time) []room.Order {
	if q.Track != "" {
		return []room.Order{room.ForceMute{Identity: id, Track: drtc.TrackID(q.Track), Muted: true}}
	}
	quiet := room.Silence{Identity: id}
	for _, name := range q.Sources {
		quiet.Sources = append(quiet.Sources, sources()[name])
	}
	return []room.Order{quiet}
}

// sources by their names in tokens.
func sources() map[string]room.Source {
	return map[string]room.Source{
		"camera": room.Camera, "microphone": room.Microphone,
		"screen_share": room.ScreenShare, "screen_share_audio": room.ScreenShareAudio,
	}
}

// appoint makes a host in place of the one who asks, or of all.
func appoint(q request, id drtc.Identity, c signal.Caller, r *room.Room, _ time.Time) []room.Order {
	if who := by(c); who != "" || q.Keep {
		o := room.Appoint{Identity: id, InPlaceOf: who}
		if q.Keep {
			o.InPlaceOf = ""
		}
		return []room.Order{o}
	}
	orders := []room.Order{room.Appoint{Identity: id}}
	for _, host := range r.Hosts() {
		orders = append(orders, room.Appoint{Identity: id, InPlaceOf: host})
	}
	return orders
}

// act carries out a request.
func (s *Server) act(ctx context.Context, c signal.Caller, name string, q request) (any, *failure) {
	if failed := check(name, q); failed != nil {
		return nil, failed
	}
	answer := struct {
		Participants []person `json:"participants"`
	}{[]person{}}
	var err error
	done := s.config.Rooms.Do(ctx, nameOf(c), false, func(now time.Time, r *room.Room) (effects []room.Effect) {
		if err = entitled(r, by(c)); err != nil {
			return nil
		}
		for _, id := range targets(name, q, c, r) {
			for _, o := range actions()[name](q, id, c, r, now) {
				var more []room.Effect
				more, err = r.Administer(now, ordered(c, o))
				effects = append(effects, more...)
				if q.All && errors.Is(err, room.ErrFull) { // the answer says who is inside
					err = nil
					return effects
				}
				if err != nil {
					return effects
				}
			}
			if p, there := r.Participant(id); there {
				answer.Participants = append(answer.Participants, personOf(p))
			}
		}
		return effects
	})
	if done != nil { // err may still be written to
		return nil, failureOf(done)
	}
	if err != nil {
		return nil, failureOf(err)
	}
	return answer, nil
}

// ordered has the room check that the order is a host's.
func ordered(c signal.Caller, o room.Order) room.Order {
	if who := by(c); who != "" {
		return room.Moderate{By: who, Order: o}
	}
	return o
}

// targets lists whom a request is about: all who wait, or all whom the caller can
// mute.
func targets(name string, q request, c signal.Caller, r *room.Room) (ids []drtc.Identity) {
	if !q.All {
		return []drtc.Identity{drtc.Identity(q.Identity)}
	}
	all := r.Participants()
	if name != "mute" {
		all = r.Lobby()
	}
	for _, p := range all {
		if string(p.Identity) != c.Identity {
			ids = append(ids, p.Identity)
		}
	}
	return ids
}

// check says what is wrong with a request.
func check(name string, q request) *failure {
	manifold := name == "accept" || name == "deny" || name == "mute"
	switch {
	case q.All && !manifold:
		return fail(http.StatusBadRequest, "all", "this is done to one participant at a time", "name it in identity")
	case q.All && q.Identity != "":
		return fail(http.StatusBadRequest, "identity", "all and an identity exclude each other", "leave one of them out")
	case !q.All && q.Identity == "":
		return fail(http.StatusBadRequest, "identity", "nobody is named", "send the identity of a participant")
	case name == "role" && q.Role == "":
		return fail(http.StatusBadRequest, "role", "no role is named", "send host, speaker, viewer or another word")
	case q.Track != "" && (q.All || len(q.Sources) > 0):
		return fail(http.StatusBadRequest, "track", "a track is one participant's, and has its source", "leave out all and sources")
	}
	for _, source := range q.Sources {
		if _, known := sources()[source]; !known {
			return fail(http.StatusBadRequest, "sources", "there is no such source", "use camera, microphone, screen_share and screen_share_audio")
		}
	}
	return nil
}

func nameOf(c signal.Caller) signal.RoomName {
	return signal.RoomName{Application: c.Application, Name: c.Room}
}

// failureOf puts a room's word into an answer.
func failureOf(err error) *failure {
	for _, known := range []struct {
		err                 error
		status              int
		field, message, fix string
	}{
		{room.ErrNotHost, http.StatusForbidden, "Authorization", "the token's participant is not host of the room", "ask a host, or join and become one"},
		{roomservice.ErrNoRoom, http.StatusNotFound, "room", "there is no such room now", "join it first"},
		{room.ErrNoParticipant, http.StatusNotFound, "identity", "nobody with this identity is in the room", "look at the participants, or at the lobby"},
		{room.ErrNoTrack, http.StatusNotFound, "track", "the participant publishes no such track", "use the sid of one of its tracks, or leave track out"},
		{room.ErrNotWaiting, http.StatusConflict, "identity", "the participant does not wait in the lobby", "use remove for one who is inside"},
		{room.ErrGuest, http.StatusConflict, "identity", "the participant is forwarded from another room", "do this there; here it can be muted and removed"},
		{room.ErrFull, http.StatusConflict, "identity", "the room is full", "remove somebody first"},
		{room.ErrRole, http.StatusBadRequest, "role", "a role has 1 to 64 bytes", "send host, speaker, viewer or another word"},
		{roomservice.ErrElsewhere, http.StatusServiceUnavailable, "", "the room is changing hands between servers", "try again in a second"},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "", "the room did not answer in time", "try again"},
	} {
		if errors.Is(err, known.err) {
			return fail(known.status, known.field, known.message, known.fix)
		}
	}
	return fail(http.StatusServiceUnavailable, "", "the room can't be reached", "try again")
}
