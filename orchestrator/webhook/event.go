package webhook

import (
	"fmt"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// names are what receivers call the kinds of events.
func names() map[room.EventKind]string {
	return map[room.EventKind]string{
		room.EventRoomStarted:        "room_started",
		room.EventRoomFinished:       "room_finished",
		room.EventParticipantJoined:  "participant_joined",
		room.EventParticipantLeft:    "participant_left",
		room.EventParticipantAborted: "participant_connection_aborted",
		room.EventTrackPublished:     "track_published",
		room.EventTrackUnpublished:   "track_unpublished",
	}
}

// eventTo is the message for an event. Those of tracks name their room and their
// participant, and no more.
func eventTo(e room.Event) *livekit.WebhookEvent {
	m := &livekit.WebhookEvent{Event: names()[e.Kind], CreatedAt: e.At.Unix(), Room: wire.Room(e.Room)}
	if e.Kind == room.EventRoomFinished {
		m.RoomEndReason = livekit.RoomEndReason_ROOM_END_IDLE_TIMEOUT
		if e.Deleted {
			m.RoomEndReason = livekit.RoomEndReason_ROOM_END_API_DELETE
		}
	}
	switch {
	case e.Track.ID != "":
		m.Room = &livekit.Room{Sid: string(e.Room.ID), Name: e.Room.Name}
		m.Participant = &livekit.ParticipantInfo{Sid: string(e.Participant.ID), Identity: string(e.Participant.Identity)}
		m.Track = wire.Track(e.Track)
	case e.Participant.ID != "":
		m.Participant = wire.Participant(e.Participant)
	}
	return m
}

func encode(m *livekit.WebhookEvent) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("webhook: writing an event: %w", err)
	}
	return b, nil
}
