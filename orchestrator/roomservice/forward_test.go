package roomservice

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// list is who is in a room, as a server sees it.
func list(t *testing.T, h *house, name string) map[string]*livekit.ParticipantInfo {
	t.Helper()
	grant := everything()
	grant.Room = name
	all, err := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t)).ListParticipants(with(t, token(t, grant)), &livekit.ListParticipantsRequest{Room: name})
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]*livekit.ParticipantInfo{}
	for _, p := range all.Participants {
		people[p.Identity] = p
	}
	return people
}

func TestForwardParticipant_showsItInTheOtherRoom(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann := h.join("r", "ann", func(j *room.Join) { j.Name, j.Metadata = "Ann", "m" })
		h.publish("r", "ann", "TR_cam")
		q := &livekit.ForwardParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"}
		if _, err := c.ForwardParticipant(ctx, q); err != nil {
			t.Fatal(err)
		}
		there := list(t, h, "s")["ann"]
		if there == nil || there.Sid == string(pa("r", "ann")) || there.Name != "Ann" || there.Metadata != "m" ||
			!slices.Equal(there.KindDetails, []livekit.ParticipantInfo_KindDetail{livekit.ParticipantInfo_FORWARDED}) {
			t.Fatalf("in s: got %v, want Ann, marked as forwarded", there)
		}
		if a := ordered[room.AliasTrack](h); len(a) != 1 || a[0].Source != "TR_cam" {
			t.Errorf("nodes were told %+v, want an alias of the camera", a)
		}
		if _, err := c.ForwardParticipant(ctx, q); err != nil {
			t.Errorf("again: %v", err)
		}
		if again := list(t, h, "s"); len(again) != 1 || again["ann"].Sid != there.Sid {
			t.Errorf("again: got %v, want the same", again)
		}
		// It ends where it is shown, and its participant stays.
		grant := everything()
		grant.Room = "s"
		if _, err := c.RemoveParticipant(with(t, token(t, grant)), &livekit.RoomParticipantIdentity{Room: "s", Identity: "ann"}); err != nil {
			t.Fatal(err)
		}
		if people := list(t, h, "s"); len(people) > 0 {
			t.Errorf("removed from s: got %v", people)
		}
		if h.closed[ann] || list(t, h, "r")["ann"] == nil {
			t.Error("ann has gone from her own room")
		}
		// Or with its participant.
		if _, err := c.ForwardParticipant(ctx, q); err != nil {
			t.Fatal(err)
		}
		if _, err := c.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: "r", Identity: "ann"}); err != nil {
			t.Fatal(err)
		}
		if people := list(t, h, "s"); len(people) > 0 {
			t.Errorf("gone from r: s has %v", people)
		}
	})
}

// One who moves to another room is not forwarded any more.
func TestForwardParticipant_endsWithAMove(t *testing.T) {
	h := open(t, nil)
	h.join("r", "ann", nil)
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	for _, to := range []string{"s", "t"} {
		grant := everything()
		grant.DestinationRoom = to
		if _, err := c.ForwardParticipant(with(t, token(t, grant)), &livekit.ForwardParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: to}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.MoveParticipant(with(t, token(t, everything())), &livekit.MoveParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s", "t"} {
		if people := list(t, h, name); len(people) > 0 {
			t.Errorf("%s has %v", name, people)
		}
	}
}

func TestForwardParticipant_refusals(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		h.join("r", "ann", nil)
		h.join("r", "hidden", func(j *room.Join) { j.Permission.Hidden = true })
		for _, bad := range []struct {
			q    *livekit.ForwardParticipantRequest
			code twirp.ErrorCode
			text string
		}{
			{&livekit.ForwardParticipantRequest{}, twirp.Unauthenticated, "roomAdmin"},
			{&livekit.ForwardParticipantRequest{Room: "r"}, twirp.InvalidArgument, "destination_room"},
			{&livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "s"}, twirp.InvalidArgument, "identity"},
			{&livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "s", Identity: strings.Repeat("x", 600)}, twirp.InvalidArgument, "identity"},
			{&livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "t", Identity: "ann"}, twirp.Unauthenticated, "destinationRoom"},
			{&livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "s", Identity: "\x00nobody"}, twirp.NotFound, "participant does not exist"},
			{&livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "s", Identity: "hidden"}, twirp.FailedPrecondition, "hidden"},
		} {
			_, err := c.ForwardParticipant(ctx, bad.q)
			wantCode(t, bad.q.String(), err, bad.code, bad.text)
		}
		grant := everything()
		grant.DestinationRoom = "r"
		_, err := c.ForwardParticipant(with(t, token(t, grant)), &livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "r", Identity: "ann"})
		wantCode(t, "to its own room", err, twirp.InvalidArgument, "another room")
		if len(h.rooms) != 1 {
			t.Errorf("%d rooms are there, want r alone", len(h.rooms))
		}
		h.join("s", "ann", nil)
		q := &livekit.ForwardParticipantRequest{Room: "r", DestinationRoom: "s", Identity: "ann"}
		_, err = c.ForwardParticipant(ctx, q)
		wantCode(t, "where the identity is taken", err, twirp.AlreadyExists, "identity")
		h.handle("s", room.Leave{Participant: pa("s", "ann")})
		if _, err = c.ForwardParticipant(ctx, q); err != nil {
			t.Fatal(err)
		}
		grant = everything()
		grant.Room, grant.DestinationRoom = "s", "t"
		_, err = c.ForwardParticipant(with(t, token(t, grant)), &livekit.ForwardParticipantRequest{Room: "s", DestinationRoom: "t", Identity: "ann"})
		wantCode(t, "on from there", err, twirp.FailedPrecondition, "forwarded from another room")
		_, err = c.UpdateParticipant(with(t, token(t, grant)), &livekit.UpdateParticipantRequest{Room: "s", Identity: "ann", Name: "x"})
		wantCode(t, "renaming it there", err, twirp.FailedPrecondition, "own room")
	})
}

func TestForwardParticipant_intoARoomOfAnotherProcess(t *testing.T) {
	h := open(t, nil)
	h.server.config.Rooms = elsewhere{h, "s"}
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	ctx := with(t, token(t, everything()))
	h.join("r", "ann", nil)
	q := &livekit.ForwardParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"}
	_, err := c.ForwardParticipant(ctx, q)
	wantCode(t, "without a way", err, twirp.Unavailable, "changing hands")
	var told []room.Host
	answer := error(nil)
	h.server.config.Host = func(_ context.Context, name signal.RoomName, o room.Host) error {
		told = append(told, o)
		if name != (signal.RoomName{Application: "app", Name: "s"}) {
			return errors.New("another room")
		}
		return answer
	}
	if _, err := c.ForwardParticipant(ctx, q); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Guest.Identity != "ann" || told[0].Guest.From != "r" || !strings.HasPrefix(string(told[0].Guest.ID), "PA_") {
		t.Errorf("the other process was told %+v", told)
	}
	answer = room.ErrFull
	_, err = c.ForwardParticipant(ctx, q)
	wantCode(t, "a full room", err, twirp.ResourceExhausted, "as many")
}
