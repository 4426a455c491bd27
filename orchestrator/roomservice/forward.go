package roomservice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// ForwardParticipant implements livekit.RoomService. The other room has its guest
// before the participant's own room knows of it: so whoever asks is told why the
// guest is not taken. One that nobody speaks of after that goes by itself.
func (s *service) ForwardParticipant(ctx context.Context, q *livekit.ForwardParticipantRequest) (*livekit.ForwardParticipantResponse, error) {
	from, to, err := mover(ctx, q.GetRoom(), q.GetDestinationRoom())
	if err != nil {
		return nil, err
	}
	id, err := identity(q.GetIdentity())
	if err != nil {
		return nil, err
	}
	forward := room.Forward{
		Identity: id, To: to.Name,
		As: drtc.ParticipantID(newID(drtc.ParticipantPrefix)), Session: drtc.SessionID(newID(drtc.SessionPrefix)),
	}
	type preview struct {
		guest room.Guest
		err   error
	}
	first, err := order(ctx, s, from, false, nil, func(r *room.Room) preview {
		g, err := r.Forwarding(forward)
		return preview{g, err}
	})
	if err = cmp.Or(err, answerFor(first.err)); err != nil {
		return nil, err
	}
	if err := s.server.host(ctx, to, room.Host{Guest: first.guest}); err != nil {
		return nil, answerFor(err)
	}
	if _, err := order(ctx, s, from, false, forward, nothing); err != nil {
		gone := room.Host{Guest: room.Guest{ID: first.guest.ID, From: from.Name, Gone: true}}
		_ = s.server.host(ctx, to, gone) // or it goes by itself
		return nil, err
	}
	return &livekit.ForwardParticipantResponse{}, nil
}

// host gives an order about a guest to a room, wherever that is.
func (s *Server) host(ctx context.Context, name signal.RoomName, h room.Host) error {
	done := make(chan error, 1)
	err := s.config.Rooms.Do(ctx, name, !h.Guest.Gone, func(now time.Time, r *room.Room) []room.Effect {
		effects, failed := r.Administer(now, h)
		done <- failed
		return effects
	})
	switch {
	case errors.Is(err, ErrElsewhere) && s.config.Host != nil:
		return s.config.Host(ctx, name, h)
	case err != nil:
		return fmt.Errorf("roomservice: forwarding to a room: %w", err)
	}
	return <-done
}

// newID returns a new id as those of the client protocol are.
func newID(prefix string) string { return prefix + rand.Text()[:12] }
