package wire

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/orchestrator/room"
)

func TestPermission_comesBackAsItWent(t *testing.T) {
	for _, p := range []room.Permission{
		{},
		{Subscribe: true, Publish: true, PublishData: true, UpdateMetadata: true, SubscribeMetrics: true},
		{Publish: true, Sources: []room.Source{room.Camera, room.ScreenShareAudio}},
		{Hidden: true, Recorder: true, Agent: true},
	} {
		if got := PermissionFrom(Permission(p)); !reflect.DeepEqual(got, p) {
			t.Errorf("got %+v, want %+v", got, p)
		}
	}
}

// A list of sources that nobody knows allows none of those that we know; a list
// that was taken for empty would allow all.
func TestPermissionFrom_unknownSourcesAllowNothing(t *testing.T) {
	for _, source := range []livekit.TrackSource{-1, 0, 99, 100_000} {
		p := PermissionFrom(&livekit.ParticipantPermission{CanPublish: true, CanPublishSources: []livekit.TrackSource{source}})
		for _, known := range []room.Source{room.Camera, room.Microphone, room.ScreenShare, room.ScreenShareAudio} {
			if p.MayPublish(known) {
				t.Errorf("source %d allows %d", source, known)
			}
		}
	}
}

func TestTracksOf_isBounded(t *testing.T) {
	m := &livekit.UpdateSubscription{TrackSids: []string{"TR_1"}}
	for i := range 2 * MaxTracksNamed {
		m.ParticipantTracks = append(m.ParticipantTracks, &livekit.ParticipantTracks{TrackSids: []string{fmt.Sprint(i)}})
	}
	if got := TracksOf(m); len(got) != MaxTracksNamed || got[0] != "TR_1" || got[1] != "0" {
		t.Errorf("got %d tracks, the first %q and %q; want %d in order", len(got), got[0], got[1], MaxTracksNamed)
	}
}

func TestRoom_saysHowLongItWaits(t *testing.T) {
	r := Room(room.Info{Options: room.Options{EmptyTimeout: 90 * time.Second, DepartureTimeout: 1500 * time.Millisecond, MaxParticipants: 3}})
	if r.EmptyTimeout != 90 || r.DepartureTimeout != 1 || r.MaxParticipants != 3 {
		t.Errorf("got %v, want 90 s, 1 s (cut) and 3", r)
	}
}

func TestUserPacket_isBoundedWithItsDestinations(t *testing.T) {
	q := &livekit.SendDataRequest{Data: make([]byte, 60<<10)}
	b, err := UserPacket(q)
	if err != nil {
		t.Fatal(err)
	}
	p := &livekit.DataPacket{}
	if err := proto.Unmarshal(b, p); err != nil || len(p.GetUser().GetPayload()) != 60<<10 || p.GetUser().Topic != nil {
		t.Errorf("got %v and %d bytes", err, len(p.GetUser().GetPayload()))
	}
	for i := range 1000 {
		q.DestinationIdentities = append(q.DestinationIdentities, fmt.Sprintf("participant %d", i))
	}
	if _, err := UserPacket(q); err == nil {
		t.Error("a packet above 64 KiB was made")
	}
}
