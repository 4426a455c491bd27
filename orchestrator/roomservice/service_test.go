package roomservice

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

func TestCreateRoom_keepsWhatItWasTold(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		made, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{
			Name: "r", EmptyTimeout: 600, DepartureTimeout: 30, MaxParticipants: 2, Metadata: "m",
		})
		if err != nil {
			t.Fatal(err)
		}
		if made.Name != "r" || made.Sid == "" || made.EmptyTimeout != 600 || made.DepartureTimeout != 30 ||
			made.MaxParticipants != 2 || made.Metadata != "m" || made.CreationTime == 0 {
			t.Errorf("got %v, want what was asked for", made)
		}
		again, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r", MaxParticipants: 1})
		if err != nil {
			t.Fatal(err)
		}
		if again.Sid != made.Sid || again.MaxParticipants != 1 || again.EmptyTimeout != 600 || again.Metadata != "m" {
			t.Errorf("got %v, want the same room with place for 1", again)
		}
		h.join("r", "ann", nil)
		if bob := h.join("r", "bob", nil); h.refused[bob] == "" {
			t.Error("a second participant was let into a room for one")
		}
		list, err := c.ListRooms(ctx, &livekit.ListRoomsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Rooms) != 1 || list.Rooms[0].NumParticipants != 1 || list.Rooms[0].DepartureTimeout != 30 {
			t.Errorf("got %v, want one room with ann in it", list)
		}
	})
}

func TestCreateRoom_livesUntilSomebodyCame(t *testing.T) {
	h := open(t, nil)
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	ctx := with(t, token(t, everything()))
	if _, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r", EmptyTimeout: 600, DepartureTimeout: 30}); err != nil {
		t.Fatal(err)
	}
	// due lets the room's timeouts pass on a copy, and says when it ended.
	due := func() time.Duration {
		saved, err := h.rooms[signal.RoomName{Application: "app", Name: "r"}].Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		r, err := room.Restore(room.DefaultConfig(), saved, h.now)
		if err != nil {
			t.Fatal(err)
		}
		for {
			at := r.NextTimeout()
			if slices.Contains(r.HandleTimeout(at), room.Effect(room.Ended{})) {
				return at.Sub(h.now)
			}
		}
	}
	if got := due(); got != 600*time.Second {
		t.Errorf("the room ends in %v, want 600 s", got)
	}
	h.join("r", "ann", nil)
	h.handle("r", room.Leave{Participant: pa("r", "ann")})
	if got := due(); got != 30*time.Second {
		t.Errorf("after the last one left the room ends in %v, want 30 s", got)
	}
	if _, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "s"}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{"s", "absent"}})
	if err != nil || len(list.Rooms) != 1 || list.Rooms[0].EmptyTimeout != 300 {
		t.Errorf("got %v and %v, want s alone, which waits 300 s", list, err)
	}
}

func TestDeleteRoom_letsEverybodyGoForGood(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		conns := []room.Conn{h.join("r", "ann", nil), h.join("r", "bob", nil)}
		told[room.Update](h, conns[0])
		if _, err := c.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: "r"}); err != nil {
			t.Fatal(err)
		}
		for _, conn := range conns {
			if !h.closed[conn] {
				t.Errorf("connection %d is open", conn)
			}
			if bye := told[room.Goodbye](h, conn); len(bye) != 1 || bye[0].Reason != room.RoomDeleted || bye[0].Action != room.Disconnect {
				t.Errorf("connection %d was told %+v, want ROOM_DELETED and DISCONNECT", conn, bye)
			}
		}
		if got := len(ordered[room.CloseSession](h)); got != 2 {
			t.Errorf("%d sessions were closed, want 2", got)
		}
		_, err := c.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: "r"})
		wantCode(t, "again", err, twirp.NotFound, "requested room does not exist")
	})
}

func TestParticipants_areSeenAsClientsSeeThem(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann := h.join("r", "ann", func(j *room.Join) { j.Name, j.Attributes = "Ann", map[string]string{"a": "b"} })
		h.join("r", "eve", func(j *room.Join) { j.Permission.Hidden = true })
		h.publish("r", "ann", "TR_1")
		told[room.Update](h, ann)
		list, err := c.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: "r"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Participants) != 2 || list.Participants[1].Identity != "eve" || !list.Participants[1].Permission.Hidden {
			t.Fatalf("got %v, want ann and the hidden eve", list)
		}
		p, err := c.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: "r", Identity: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(p, list.Participants[0]) {
			t.Errorf("got %v alone and %v in the list", p, list.Participants[0])
		}
		if p.Name != "Ann" || p.Attributes["a"] != "b" || p.State != livekit.ParticipantInfo_ACTIVE || !p.IsPublisher ||
			len(p.Tracks) != 1 || p.Tracks[0].Sid != "TR_1" || p.Tracks[0].MimeType != "video/VP8" || p.JoinedAt == 0 {
			t.Errorf("got %v", p)
		}
		_, err = c.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: "r", Identity: "nobody"})
		wantCode(t, "nobody", err, twirp.NotFound, "participant does not exist")
	})
}

func TestRemoveParticipant_andItsOlderTokens(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann, bob := h.join("r", "ann", nil), h.join("r", "bob", nil)
		told[room.Update](h, bob)
		remove := &livekit.RoomParticipantIdentity{Room: "r", Identity: "ann"}
		if _, err := c.RemoveParticipant(ctx, remove); err != nil {
			t.Fatal(err)
		}
		if bye := told[room.Goodbye](h, ann); len(bye) != 1 || bye[0].Reason != room.ParticipantRemoved || !h.closed[ann] {
			t.Errorf("ann was told %+v, want PARTICIPANT_REMOVED", bye)
		}
		gone := told[room.Update](h, bob)
		if len(gone) != 1 || gone[0].Participants[0].State != room.Disconnected || gone[0].Participants[0].Reason != room.ParticipantRemoved {
			t.Errorf("bob was told %+v, want that ann was removed", gone)
		}
		_, err := c.RemoveParticipant(ctx, remove)
		wantCode(t, "again", err, twirp.NotFound, "participant")

		h.join("r", "ann", nil) // nothing was revoked
		remove.RevokeTokenTs = h.now.Unix() + 60
		if _, err := c.RemoveParticipant(ctx, remove); err != nil {
			t.Fatal(err)
		}
		old := h.join("r", "ann", nil)
		if bye := told[room.Goodbye](h, old); len(bye) != 1 || bye[0].Action != room.Disconnect || !h.closed[old] {
			t.Errorf("with a revoked token: got %+v, want DISCONNECT", bye)
		}
		fresh := h.join("r", "ann", func(j *room.Join) { j.TokenFrom = h.now.Add(time.Hour) })
		if got := told[room.Welcome](h, fresh); len(got) != 1 {
			t.Error("a token from after the revocation was refused")
		}
	})
}

func TestMutePublishedTrack_tellsThePublisherAndTheOthers(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann, bob := h.join("r", "ann", nil), h.join("r", "bob", nil)
		h.publish("r", "ann", "TR_1")
		told[room.Update](h, bob)
		told[room.Update](h, ann)
		q := &livekit.MuteRoomTrackRequest{Room: "r", Identity: "ann", TrackSid: "TR_1", Muted: true}
		got, err := c.MutePublishedTrack(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if !got.GetTrack().GetMuted() || got.Track.Sid != "TR_1" {
			t.Errorf("got %v, want the muted track", got)
		}
		if m := told[room.Muted](h, ann); len(m) != 1 || !m[0].Muted || m[0].Track != "TR_1" {
			t.Errorf("ann was told %+v, want that her track is muted", m)
		}
		if u := told[room.Update](h, bob); len(u) != 1 || !u[0].Participants[0].Tracks[0].Muted {
			t.Errorf("bob was told %+v, want that ann's track is muted", u)
		}
		if m := ordered[room.MuteTrack](h); len(m) != 1 || !m[0].Muted {
			t.Errorf("the node was told %+v", m)
		}
		q.Muted = false
		_, err = c.MutePublishedTrack(ctx, q)
		wantCode(t, "unmute", err, twirp.FailedPrecondition, "remote unmute not enabled")
		q.Muted, q.TrackSid = true, "TR_absent"
		_, err = c.MutePublishedTrack(ctx, q)
		wantCode(t, "absent track", err, twirp.NotFound, "track")
	})
}

func TestMutePublishedTrack_unmutesWhereThatIsAllowed(t *testing.T) {
	inBoth(t, func(c *Config) { c.RemoteUnmute = true }, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann := h.join("r", "ann", nil)
		h.publish("r", "ann", "TR_1")
		h.handle("r", room.Mute{Participant: pa("r", "ann"), Track: "TR_1", Muted: true})
		got, err := c.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: "r", Identity: "ann", TrackSid: "TR_1"})
		if err != nil || got.GetTrack().GetMuted() {
			t.Errorf("got %v and %v, want the track unmuted", got, err)
		}
		if m := told[room.Muted](h, ann); len(m) != 1 || m[0].Muted {
			t.Errorf("ann was told %+v", m)
		}
	})
}

func TestUpdateParticipant_changesItsFaceAndItsToken(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann := h.join("r", "ann", func(j *room.Join) {
			j.Name, j.Metadata, j.Attributes = "Ann", "old", map[string]string{"keep": "1", "drop": "1"}
		})
		told[room.Update](h, ann)
		p, err := c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
			Room: "r", Identity: "ann", Metadata: "new", Attributes: map[string]string{"drop": "", "add": "2"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "Ann" || p.Metadata != "new" || len(p.Attributes) != 2 || p.Attributes["keep"] != "1" || p.Attributes["add"] != "2" {
			t.Errorf("got %v", p)
		}
		if got := told[room.RefreshToken](h, ann); len(got) != 1 || got[0].Metadata != "new" {
			t.Errorf("ann got tokens %+v, want one with the new metadata", got)
		}
		_, err = c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
			Room: "r", Identity: "ann", Metadata: string(bytes.Repeat([]byte("m"), 65<<10)),
		})
		wantCode(t, "long metadata", err, twirp.InvalidArgument, "64 KiB")
	})
}

func TestUpdateParticipant_takesAwayWhatIsForbidden(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann, bob := h.join("r", "ann", nil), h.join("r", "bob", nil)
		h.publish("r", "ann", "TR_1")
		h.publish("r", "bob", "TR_2")
		told[room.Update](h, ann)
		told[room.Update](h, bob)
		p, err := c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
			Room: "r", Identity: "ann", Permission: &livekit.ParticipantPermission{CanPublishData: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		if p.Permission.CanPublish || p.Permission.CanSubscribe || !p.Permission.CanPublishData || len(p.Tracks) != 0 {
			t.Errorf("got %v, want data alone", p)
		}
		if got := ordered[room.ChangePermission](h); len(got) != 1 || got[0].Permission.Publish || !got[0].Permission.PublishData {
			t.Errorf("the node was told %+v", got)
		}
		if got := ordered[room.UnpublishTrack](h); len(got) != 1 || got[0].Track != "TR_1" {
			t.Errorf("the node was to end %+v, want TR_1", got)
		}
		if got := ordered[room.UnsubscribeTracks](h); len(got) != 1 || !slices.Contains(got[0].Tracks, "TR_2") {
			t.Errorf("the node was to stop %+v, want bob's track for ann", got)
		}
		if got := told[room.TrackUnpublished](h, ann); len(got) != 1 || got[0].Track != "TR_1" {
			t.Errorf("ann was told %+v, want that TR_1 ended", got)
		}
		if got := told[room.Update](h, bob); len(got) == 0 || len(got[len(got)-1].Participants[0].Tracks) != 0 {
			t.Errorf("bob was told %+v, want that ann publishes nothing", got)
		}
		before := len(ordered[room.SubscribeTracks](h))
		_, err = c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
			Room: "r", Identity: "ann", Permission: &livekit.ParticipantPermission{CanSubscribe: true},
		})
		if got := ordered[room.SubscribeTracks](h); err != nil || len(got) != before+1 {
			t.Errorf("got %v, want that ann sees bob again: %+v", err, got)
		}
	})
}

func TestUpdateParticipant_hidesAndShows(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		h.join("r", "ann", nil)
		bob := h.join("r", "bob", nil)
		h.publish("r", "ann", "TR_1")
		told[room.Update](h, bob)
		set := func(hidden bool) {
			t.Helper()
			_, err := c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
				Room: "r", Identity: "ann", Permission: &livekit.ParticipantPermission{CanPublish: true, Hidden: hidden},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		set(true)
		if got := told[room.Update](h, bob); len(got) != 1 || got[0].Participants[0].State != room.Disconnected {
			t.Errorf("bob was told %+v, want that ann has gone", got)
		}
		if got := ordered[room.UnsubscribeTracks](h); len(got) != 1 || got[0].Tracks[0] != "TR_1" {
			t.Errorf("the node was to stop %+v, want TR_1 for bob", got)
		}
		set(false)
		got := told[room.Update](h, bob)
		if len(got) == 0 || got[0].Participants[0].State != room.Active || len(got[0].Participants[0].Tracks) != 1 {
			t.Errorf("bob was told %+v, want that ann is there with her track", got)
		}
		if subs := ordered[room.SubscribeTracks](h); len(subs) != 2 {
			t.Errorf("bob was subscribed %d times, want 2", len(subs))
		}
	})
}

func TestUpdateSubscriptions_actsForTheParticipant(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		h.join("r", "ann", nil)
		h.join("r", "bob", func(j *room.Join) { j.AutoSubscribe = false })
		h.publish("r", "ann", "TR_1")
		q := &livekit.UpdateSubscriptionsRequest{Room: "r", Identity: "bob", Subscribe: true, ParticipantTracks: []*livekit.ParticipantTracks{
			{ParticipantSid: "PA_r_ann", TrackSids: []string{"TR_1", "TR_absent"}},
		}}
		if _, err := c.UpdateSubscriptions(ctx, q); err != nil {
			t.Fatal(err)
		}
		if got := ordered[room.SubscribeTracks](h); len(got) != 1 || got[0].Subscriptions[0].Track != "TR_1" {
			t.Errorf("the node was told %+v, want TR_1 for bob", got)
		}
		q.Subscribe, q.TrackSids, q.ParticipantTracks = false, []string{"TR_1"}, nil
		if _, err := c.UpdateSubscriptions(ctx, q); err != nil {
			t.Fatal(err)
		}
		if got := ordered[room.UnsubscribeTracks](h); len(got) != 1 {
			t.Errorf("the node was told %+v, want the end of TR_1", got)
		}
		q.Identity = "nobody"
		_, err := c.UpdateSubscriptions(ctx, q)
		wantCode(t, "nobody", err, twirp.NotFound, "participant")
	})
}

func TestSendData_reachesThoseWhoAreNamed(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		h.join("r", "ann", nil)
		h.join("r", "bob", nil)
		topic := "chat"
		send := func(q *livekit.SendDataRequest) room.SendPacket {
			t.Helper()
			q.Room, q.Topic, q.Nonce = "r", &topic, bytes.Repeat([]byte{7}, 16)
			before := len(ordered[room.SendPacket](h))
			if _, err := c.SendData(ctx, q); err != nil {
				t.Fatal(err)
			}
			got := ordered[room.SendPacket](h)
			if len(got) == before {
				return room.SendPacket{}
			}
			return got[len(got)-1]
		}
		all := send(&livekit.SendDataRequest{Data: []byte("hello"), Kind: livekit.DataPacket_LOSSY})
		if all.Reliable || len(all.Sessions) != 0 || all.Room != "RM_app_r" {
			t.Errorf("the node was told %+v, want a lossy packet for all", all)
		}
		packet := &livekit.DataPacket{}
		if err := proto.Unmarshal(all.Packet, packet); err != nil {
			t.Fatal(err)
		}
		if u := packet.GetUser(); string(u.GetPayload()) != "hello" || u.GetTopic() != "chat" || len(u.GetNonce()) != 16 || packet.GetParticipantSid() != "" {
			t.Errorf("the packet is %v", packet)
		}
		one := send(&livekit.SendDataRequest{Data: []byte("psst"), DestinationIdentities: []string{"bob", "nobody"}})
		if !one.Reliable || len(one.Sessions) != 1 || one.Sessions[0] != "SE_r_bob" {
			t.Errorf("the node was told %+v, want a reliable packet for bob", one)
		}
		if got := send(&livekit.SendDataRequest{Data: []byte("psst"), DestinationIdentities: []string{"nobody"}}); got.Packet != nil {
			t.Errorf("the node was told %+v, want nothing for nobody", got)
		}
		sid := &livekit.SendDataRequest{Data: []byte("psst")}
		sid.DestinationSids = []string{"PA_r_ann"} //nolint:staticcheck // older servers
		if got := send(sid); len(got.Sessions) != 1 || got.Sessions[0] != "SE_r_ann" {
			t.Errorf("the node was told %+v, want a packet for ann", got)
		}
		_, err := c.SendData(ctx, &livekit.SendDataRequest{Room: "r", Nonce: []byte{1}})
		wantCode(t, "short nonce", err, twirp.InvalidArgument, "16 bytes")
		_, err = c.SendData(ctx, &livekit.SendDataRequest{Room: "r", Data: make([]byte, 64<<10)})
		wantCode(t, "long data", err, twirp.InvalidArgument, "65536")
		_, err = c.SendData(ctx, &livekit.SendDataRequest{Room: "r", Kind: 7})
		wantCode(t, "unknown kind", err, twirp.InvalidArgument, "RELIABLE")
	})
}

func TestUpdateRoomMetadata_tellsEverybody(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann := h.join("r", "ann", nil)
		told[room.RoomChanged](h, ann)
		got, err := c.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: "r", Metadata: "new"})
		if err != nil || got.Metadata != "new" || got.NumParticipants != 1 {
			t.Errorf("got %v and %v", got, err)
		}
		if m := told[room.RoomChanged](h, ann); len(m) != 1 || m[0].Room.Metadata != "new" {
			t.Errorf("ann was told %+v, want the new metadata", m)
		}
		_, err = c.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: "r", Metadata: string(make([]byte, 65<<10))})
		wantCode(t, "long metadata", err, twirp.InvalidArgument, "64 KiB")
	})
}

func TestMoveParticipant_sendsTheClientToTheOtherRoom(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		ann, bob := h.join("r", "ann", nil), h.join("r", "bob", nil)
		told[room.Update](h, ann)
		told[room.Update](h, bob)
		q := &livekit.MoveParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"}
		if _, err := c.MoveParticipant(ctx, q); err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		said := h.said[ann]
		h.mu.Unlock()
		if len(said) != 2 {
			t.Fatalf("ann was told %+v, want room_moved and leave", said)
		}
		moved, ok := said[0].(room.Moved)
		if !ok || moved.Room.Name != "s" || moved.Room.ID == "" || moved.Self.Identity != "ann" {
			t.Errorf("first ann was told %+v, want that she is in s", said[0])
		}
		if bye, ok := said[1].(room.Goodbye); !ok || bye.Action != room.Reconnect || !h.closed[ann] {
			t.Errorf("then ann was told %+v, want to join anew", said[1])
		}
		if gone := told[room.Update](h, bob); len(gone) != 1 || gone[0].Participants[0].State != room.Disconnected {
			t.Errorf("bob was told %+v, want that ann has gone", gone)
		}
		// Who comes by a full reconnect is told of nothing new for a moment.
		there := h.join("s", "ann", nil)
		told[room.Update](h, there)
		h.join("s", "cid", nil)
		if got := told[room.Update](h, there); len(got) != 0 {
			t.Errorf("ann was told %+v at once, want nothing yet", got)
		}
		_, err := c.MoveParticipant(ctx, q)
		wantCode(t, "again", err, twirp.NotFound, "participant")
	})
}

func TestMoveParticipant_refusals(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context) {
		h.join("r", "old", func(j *room.Join) { j.Client.Version = 15 })
		away := h.join("r", "away", nil)
		h.handle("r", room.Dropped{Conn: away, Participant: pa("r", "away")})
		h.join("r", "ann", nil)
		move := func(id string) error {
			_, err := c.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: "r", Identity: id, DestinationRoom: "s"})
			return err
		}
		wantCode(t, "an old client", move("old"), twirp.FailedPrecondition, "protocol before 16")
		wantCode(t, "a lost connection", move("away"), twirp.FailedPrecondition, "lost")
		if len(h.rooms) != 1 {
			t.Errorf("%d rooms, want none made for who can't be moved", len(h.rooms))
		}
		if _, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "s", MaxParticipants: 1}); err != nil {
			t.Fatal(err)
		}
		h.join("s", "cid", nil)
		wantCode(t, "a full room", move("ann"), twirp.ResourceExhausted, "full")
		_, err := c.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "t"})
		wantCode(t, "another destination", err, twirp.Unauthenticated, "destinationRoom")
	})
}

func TestMoveParticipant_intoARoomOfAnotherProcess(t *testing.T) {
	var awaited signalRoom
	h := open(t, nil)
	h.server.config.Rooms = elsewhere{h, "s"}
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	ctx := with(t, token(t, everything()))
	ann := h.join("r", "ann", nil)
	q := &livekit.MoveParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"}
	_, err := c.MoveParticipant(ctx, q)
	wantCode(t, "without a way", err, twirp.Unavailable, "changing hands")
	h.server.config.Await = awaited.await
	if _, err := c.MoveParticipant(ctx, q); err != nil {
		t.Fatal(err)
	}
	if awaited.name != "s" || awaited.identity != "ann" {
		t.Errorf("the other process was told %+v, want ann in s", awaited)
	}
	if m := told[room.Moved](h, ann); len(m) != 1 || m[0].Room.ID != "RM_there" {
		t.Errorf("ann was told %+v", m)
	}
}

func TestPerformRpc_saysWhatToDoInstead(t *testing.T) {
	inBoth(t, nil, func(t *testing.T, _ *house, c livekit.RoomService, ctx context.Context) {
		_, err := c.PerformRpc(ctx, &livekit.PerformRpcRequest{Room: "r", DestinationIdentity: "ann"})
		wantCode(t, "rpc", err, twirp.Unimplemented, "participants")
	})
}
