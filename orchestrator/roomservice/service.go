package roomservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// service has a method for each of the API's.
type service struct{ server *Server }

var _ livekit.RoomService = (*service)(nil)

// maxSeconds is the longest time that a room may wait for participants: a week.
const maxSeconds = 7 * 24 * 3600

// order gives an order to a room and lets look at what has become of it.
func order[T any](ctx context.Context, s *service, name signal.RoomName, create bool, o room.Order, look func(*room.Room) T) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	err := s.server.config.Rooms.Do(ctx, name, create, func(now time.Time, r *room.Room) []room.Effect {
		var effects []room.Effect
		var failed error
		if o != nil {
			effects, failed = r.Administer(now, o)
		}
		done <- result{look(r), failed}
		return effects
	})
	if err != nil {
		var none T
		return none, answerFor(err)
	}
	got := <-done
	return got.value, answerFor(got.err)
}

// face is what look returns of a room.
func face(r *room.Room) *livekit.Room { return wire.Room(r.Info()) }

// nothing is look for answers that are empty.
func nothing(*room.Room) struct{} { return struct{}{} }

// CreateRoom implements livekit.RoomService.
func (s *service) CreateRoom(ctx context.Context, q *livekit.CreateRoomRequest) (*livekit.Room, error) {
	c, err := creator(ctx)
	if err != nil {
		return nil, err
	}
	if q.GetName() == "" {
		return nil, invalid("name", "want the room's name, got none")
	}
	name, err := c.room(q.GetName())
	if err != nil {
		return nil, err
	}
	switch {
	case q.GetRoomPreset() != "":
		return nil, invalid("room_preset", "this server has no presets: give the settings themselves")
	case q.GetEmptyTimeout() > maxSeconds:
		return nil, invalid("empty_timeout", fmt.Sprintf("want at most %d seconds, got %d", maxSeconds, q.GetEmptyTimeout()))
	case q.GetDepartureTimeout() > maxSeconds:
		return nil, invalid("departure_timeout", fmt.Sprintf("want at most %d seconds, got %d", maxSeconds, q.GetDepartureTimeout()))
	case q.GetEgress() != nil:
		return nil, twirp.NewError(twirp.Unimplemented, "egress: this server records nothing: leave the field out")
	case len(q.GetAgents()) > 0:
		return nil, twirp.NewError(twirp.Unimplemented, "agents: this server dispatches none: let them join with tokens of their own")
	}
	return order(ctx, s, name, true, room.Create{Options: room.Options{
		EmptyTimeout:     time.Duration(q.GetEmptyTimeout()) * time.Second,
		DepartureTimeout: time.Duration(q.GetDepartureTimeout()) * time.Second,
		MaxParticipants:  q.GetMaxParticipants(), Metadata: q.GetMetadata(),
	}}, face)
}

// ListRooms implements livekit.RoomService.
func (s *service) ListRooms(ctx context.Context, q *livekit.ListRoomsRequest) (*livekit.ListRoomsResponse, error) {
	c, err := lister(ctx)
	if err != nil {
		return nil, err
	}
	rooms, err := s.server.config.Rooms.List(ctx, c.application, q.GetNames())
	if err != nil {
		return nil, answerFor(err)
	}
	slices.SortFunc(rooms, func(a, b room.Info) int { return cmp.Compare(a.Name, b.Name) })
	list := &livekit.ListRoomsResponse{}
	for _, r := range rooms {
		if len(q.GetNames()) == 0 || slices.Contains(q.GetNames(), r.Name) {
			list.Rooms = append(list.Rooms, wire.Room(r))
		}
	}
	return list, nil
}

// DeleteRoom implements livekit.RoomService.
func (s *service) DeleteRoom(ctx context.Context, q *livekit.DeleteRoomRequest) (*livekit.DeleteRoomResponse, error) {
	c, err := creator(ctx)
	if err != nil {
		return nil, err
	}
	name, err := c.room(q.GetRoom())
	if err != nil {
		return nil, err
	}
	if _, err := order(ctx, s, name, false, room.Close{}, nothing); err != nil {
		return nil, err
	}
	return &livekit.DeleteRoomResponse{}, nil
}

// UpdateRoomMetadata implements livekit.RoomService.
func (s *service) UpdateRoomMetadata(ctx context.Context, q *livekit.UpdateRoomMetadataRequest) (*livekit.Room, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	return order(ctx, s, name, false, room.SetRoomMetadata{Metadata: q.GetMetadata()}, face)
}

// SendData implements livekit.RoomService.
func (s *service) SendData(ctx context.Context, q *livekit.SendDataRequest) (*livekit.SendDataResponse, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	if n := len(q.GetNonce()); n != 0 && n != 16 {
		return nil, invalid("nonce", fmt.Sprintf("want 16 bytes or none, got %d", n))
	}
	if k := q.GetKind(); k != livekit.DataPacket_RELIABLE && k != livekit.DataPacket_LOSSY {
		return nil, invalid("kind", fmt.Sprintf("want RELIABLE or LOSSY, got %d", k))
	}
	packet, err := wire.UserPacket(q)
	if err != nil {
		return nil, invalid("data", err.Error())
	}
	send := room.Send{Packet: packet, Reliable: q.GetKind() == livekit.DataPacket_RELIABLE}
	for _, id := range q.GetDestinationIdentities() {
		send.To = append(send.To, drtc.Identity(id))
	}
	for _, sid := range q.GetDestinationSids() { //nolint:staticcheck // older servers
		send.IDs = append(send.IDs, drtc.ParticipantID(sid))
	}
	if _, err := order(ctx, s, name, false, send, nothing); err != nil {
		return nil, err
	}
	return &livekit.SendDataResponse{}, nil
}

// MoveParticipant implements livekit.RoomService.
func (s *service) MoveParticipant(ctx context.Context, q *livekit.MoveParticipantRequest) (*livekit.MoveParticipantResponse, error) {
	from, to, err := mover(ctx, q.GetRoom(), q.GetDestinationRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	// Nothing is made in the other room for somebody who can't go there.
	why, err := order(ctx, s, from, false, nil, func(r *room.Room) error { return r.MayMove(id) })
	if err = cmp.Or(err, answerFor(why)); err != nil {
		return nil, err
	}
	info, err := s.server.Await(ctx, to, id)
	if errors.Is(err, ErrElsewhere) && s.server.config.Await != nil {
		info, err = s.server.config.Await(ctx, to, id)
	}
	if err != nil {
		return nil, answerFor(err)
	}
	if _, err := order(ctx, s, from, false, room.MoveOut{Identity: id, To: info}, nothing); err != nil {
		return nil, err
	}
	return &livekit.MoveParticipantResponse{}, nil
}

// Await prepares a room for somebody who is about to come there from another
// room: the room is made if there is none. The error is one of Rooms.Do, or a
// Twirp error.
func (s *Server) Await(ctx context.Context, name signal.RoomName, id drtc.Identity) (room.Info, error) {
	type result struct {
		info   room.Info
		vacant bool
	}
	look := func(r *room.Room) result {
		_, again := r.Participant(id)
		return result{r.Info(), again || r.Vacant()}
	}
	done := make(chan result, 1)
	err := s.config.Rooms.Do(ctx, name, true, func(now time.Time, r *room.Room) []room.Effect {
		got := look(r)
		var effects []room.Effect
		if got.vacant {
			effects, _ = r.Administer(now, room.Await{Identity: id}) // always obeyed
		}
		done <- got
		return effects
	})
	if err != nil {
		return room.Info{}, fmt.Errorf("roomservice: preparing a room: %w", err)
	}
	got := <-done
	if !got.vacant {
		return room.Info{}, twirp.NewError(twirp.ResourceExhausted, "destination_room is full: raise its max_participants or wait until somebody leaves")
	}
	return got.info, nil
}

// PerformRpc implements livekit.RoomService.
func (s *service) PerformRpc(ctx context.Context, q *livekit.PerformRpcRequest) (*livekit.PerformRpcResponse, error) {
	if _, err := admin(ctx, q.GetRoom()); err != nil {
		return nil, err
	}
	return nil, twirp.NewError(twirp.Unimplemented,
		"calls to participants are answered between participants here: let one of the application's own make it")
}
