package roomservice

import (
	"context"
	"errors"
	"fmt"

	"github.com/livekit/protocol/auth"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// caller is the server that makes a call.
type caller struct {
	application string
	grant       *auth.VideoGrant
}

type callerKey struct{}

// callerOf is the one that ServeHTTP has left in the context.
func callerOf(ctx context.Context) caller {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return caller{grant: &auth.VideoGrant{}}
	}
	return c
}

// denied is the answer to a call that the token does not grant. Clients of this
// API take missing grants as a missing identity.
func denied(format string, args ...any) error {
	return twirp.NewError(twirp.Unauthenticated, fmt.Sprintf(format, args...))
}

// creator lets callers pass that may make and delete rooms.
func creator(ctx context.Context) (caller, error) {
	c := callerOf(ctx)
	if !c.grant.RoomCreate {
		return c, denied("the access token does not grant roomCreate: set video.roomCreate")
	}
	return c, nil
}

// lister lets callers pass that may see which rooms there are.
func lister(ctx context.Context) (caller, error) {
	c := callerOf(ctx)
	if !c.grant.RoomList {
		return c, denied("the access token does not grant roomList: set video.roomList")
	}
	return c, nil
}

// admin lets callers pass that may act in this room.
func admin(ctx context.Context, name string) (signal.RoomName, error) {
	c := callerOf(ctx)
	switch {
	case !c.grant.RoomAdmin:
		return signal.RoomName{}, denied("the access token does not grant roomAdmin: set video.roomAdmin and video.room")
	case c.grant.Room != name || name == "":
		return signal.RoomName{}, denied("the access token grants roomAdmin for another room: set video.room to the request's room")
	}
	return c.room(name)
}

// mover lets callers pass that may send participants from one room to another.
func mover(ctx context.Context, from, to string) (source, destination signal.RoomName, err error) {
	if source, err = admin(ctx, from); err != nil {
		return source, destination, err
	}
	c := callerOf(ctx)
	switch {
	case to == "":
		return source, destination, invalid("destination_room", "want the name of the room to go to, got none")
	case c.grant.DestinationRoom != to:
		return source, destination, denied("the access token does not grant this destination: set video.destinationRoom to the request's destination_room")
	case from == to:
		return source, destination, invalid("destination_room", "want another room than room")
	}
	destination, err = c.room(to)
	return source, destination, err
}

// maxName is the longest name of a room or a participant in bytes.
const maxName = 512

// room is the caller's room of that name.
func (c caller) room(name string) (signal.RoomName, error) {
	switch {
	case name == "":
		return signal.RoomName{}, invalid("room", "want the room's name, got none")
	case len(name) > maxName:
		return signal.RoomName{}, invalid("room", fmt.Sprintf("want a name of at most %d bytes, got %d", maxName, len(name)))
	}
	return signal.RoomName{Application: c.application, Name: name}, nil
}

// invalid is the answer to a request with a wrong field.
func invalid(field, text string) error { return twirp.InvalidArgumentError(field, text) }

// answerFor is the Twirp error for what went wrong with a room.
func answerFor(err error) error {
	var code twirp.ErrorCode
	var text string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoRoom):
		code, text = twirp.NotFound, "requested room does not exist"
	case errors.Is(err, room.ErrNoParticipant):
		code, text = twirp.NotFound, "participant does not exist: nobody with this identity is in the room"
	case errors.Is(err, room.ErrNoTrack):
		code, text = twirp.NotFound, "track is not found: the participant publishes none with this track_sid"
	case errors.Is(err, room.ErrLimit):
		code, text = twirp.InvalidArgument, "name (256 bytes), metadata (64 KiB) or attributes (64 KiB together): too long"
	case errors.Is(err, room.ErrOldClient):
		code, text = twirp.FailedPrecondition, "the participant's client can't be moved: it speaks a protocol before 16; update its SDK, or remove it and give it a token for the other room"
	case errors.Is(err, room.ErrAway):
		code, text = twirp.FailedPrecondition, "the participant's connection is lost at the moment: try again when it is back"
	case errors.Is(err, room.ErrGuest):
		code, text = twirp.FailedPrecondition, "the participant is forwarded from another room: do this in its own room; here it can be muted and removed"
	case errors.Is(err, room.ErrUnseen):
		code, text = twirp.FailedPrecondition, "the participant is hidden or waits in the lobby: show it, or let it in, and forward it then"
	case errors.Is(err, room.ErrForwards):
		code, text = twirp.ResourceExhausted, "the participant is forwarded to as many rooms as possible: remove it from one of them"
	case errors.Is(err, room.ErrIdentity):
		code, text = twirp.AlreadyExists, "destination_room has another participant with this identity: let that one leave, or give one of the two another identity"
	case errors.Is(err, room.ErrFull):
		code, text = twirp.ResourceExhausted, "destination_room has as many forwarded participants as it takes"
	case errors.Is(err, ErrElsewhere):
		code, text = twirp.Unavailable, "the room is changing hands between servers: try again in a second"
	case errors.Is(err, context.DeadlineExceeded):
		code, text = twirp.DeadlineExceeded, "the room did not answer in time: try again"
	case errors.Is(err, context.Canceled):
		code, text = twirp.Canceled, "the request was given up"
	default:
		var e twirp.Error
		if errors.As(err, &e) {
			return e
		}
		code, text = twirp.Unavailable, err.Error()
	}
	return twirp.NewError(code, text)
}
