package roomservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// identity reads the name of a participant.
func identity(text string) (drtc.Identity, error) {
	switch {
	case text == "":
		return "", invalid("identity", "want the participant's identity, got none")
	case len(text) > maxName:
		return "", invalid("identity", fmt.Sprintf("want at most %d bytes, got %d", maxName, len(text)))
	}
	return drtc.Identity(text), nil
}

// seen is look for one participant; nil when it is not there.
func seen(id drtc.Identity) func(*room.Room) *livekit.ParticipantInfo {
	return func(r *room.Room) *livekit.ParticipantInfo {
		p, ok := r.Participant(id)
		if !ok {
			return nil
		}
		return wire.Participant(p)
	}
}

// ListParticipants implements livekit.RoomService. In a room that is not there
// nobody is.
func (s *service) ListParticipants(ctx context.Context, q *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	list, err := order(ctx, s, name, false, nil, func(r *room.Room) *livekit.ListParticipantsResponse {
		list := &livekit.ListParticipantsResponse{}
		for _, p := range r.Participants() {
			list.Participants = append(list.Participants, wire.Participant(p))
		}
		return list
	})
	var e twirp.Error
	if errors.As(err, &e) && e.Code() == twirp.NotFound {
		return &livekit.ListParticipantsResponse{}, nil
	}
	return list, err
}

// GetParticipant implements livekit.RoomService.
func (s *service) GetParticipant(ctx context.Context, q *livekit.RoomParticipantIdentity) (*livekit.ParticipantInfo, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	p, err := order(ctx, s, name, false, nil, seen(id))
	if err == nil && p == nil {
		err = answerFor(room.ErrNoParticipant)
	}
	return p, err
}

// RemoveParticipant implements livekit.RoomService.
func (s *service) RemoveParticipant(ctx context.Context, q *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	expel := room.Expel{Identity: id}
	switch at := q.GetRevokeTokenTs(); {
	case at < 0:
		return nil, invalid("revoke_token_ts", "want seconds since 1970, or 0 to revoke nothing")
	case at > 0:
		expel.TokensFrom = time.Unix(at, 0)
	}
	if _, err := order(ctx, s, name, false, expel, nothing); err != nil {
		return nil, err
	}
	return &livekit.RemoveParticipantResponse{}, nil
}

// MutePublishedTrack implements livekit.RoomService.
func (s *service) MutePublishedTrack(ctx context.Context, q *livekit.MuteRoomTrackRequest) (*livekit.MuteRoomTrackResponse, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	switch {
	case q.GetTrackSid() == "":
		return nil, invalid("track_sid", "want the track's sid, got none")
	case !q.GetMuted() && !s.server.config.RemoteUnmute:
		return nil, twirp.NewError(twirp.FailedPrecondition, "remote unmute not enabled: only participants unmute themselves; the server's operator can allow it with remote_unmute")
	}
	track := drtc.TrackID(q.GetTrackSid())
	info, err := order(ctx, s, name, false, room.ForceMute{Identity: id, Track: track, Muted: q.GetMuted()}, func(r *room.Room) *livekit.TrackInfo {
		t, ok := r.Track(id, track)
		if !ok {
			return nil
		}
		return wire.Track(t)
	})
	if err != nil {
		return nil, err
	}
	return &livekit.MuteRoomTrackResponse{Track: info}, nil
}

// UpdateParticipant implements livekit.RoomService.
func (s *service) UpdateParticipant(ctx context.Context, q *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	permit := room.Permit{Identity: id, Name: q.GetName(), Metadata: q.GetMetadata(), Attributes: q.GetAttributes()}
	if q.GetPermission() != nil {
		p := wire.PermissionFrom(q.GetPermission())
		permit.Permission = &p
	}
	return order(ctx, s, name, false, permit, seen(id))
}

// UpdateSubscriptions implements livekit.RoomService.
func (s *service) UpdateSubscriptions(ctx context.Context, q *livekit.UpdateSubscriptionsRequest) (*livekit.UpdateSubscriptionsResponse, error) {
	name, err := admin(ctx, q.GetRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	if _, err := order(ctx, s, name, false, room.SetSubscriptions{Identity: id, Tracks: wire.TracksOf(q), On: q.GetSubscribe()}, nothing); err != nil {
		return nil, err
	}
	return &livekit.UpdateSubscriptionsResponse{}, nil
}
