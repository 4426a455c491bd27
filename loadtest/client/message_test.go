package client

import (
	"reflect"
	"testing"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// The protocol's own module reads what is written here, and writes what is read.

func TestRequests_meanWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want *livekit.SignalRequest
	}{
		{"offer", encodeDescription(requestOffer, description{kind: "offer", sdp: "v=0", id: 1}), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: "v=0", Id: 1}}}},
		{"answer", encodeDescription(requestAnswer, description{kind: "answer", sdp: "v=0"}), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: "v=0"}}}},
		{"audio", encodeAudio("a"), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "a", Name: "microphone", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE, DisableRed: true}}}},
		{"video", encodeVideo("v", 640, 480), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "v", Name: "camera", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 640, Height: 480}}}},
		{"layers", encodeLayers("v", []Size{{320, 180, 100}, {640, 360, 300}}), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "v", Name: "camera", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 640, Height: 360, Layers: []*livekit.VideoLayer{
					{Quality: livekit.VideoQuality_LOW, Width: 320, Height: 180, Bitrate: 100}, {Quality: livekit.VideoQuality_MEDIUM, Width: 640, Height: 360, Bitrate: 300},
				}}}}},
		{"quality", encodeQuality("TR_a", Medium), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{"TR_a"}, Quality: livekit.VideoQuality_MEDIUM}}}},
		{"ping", encodePing(1_700_000_000_000), &livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1_700_000_000_000}}},
		{"leave", encodeLeave(), &livekit.SignalRequest{
			Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_CLIENT_INITIATED}}}},
	} {
		got := &livekit.SignalRequest{}
		if err := proto.Unmarshal(c.got, got); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !proto.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEncodeJoin_meansWhatItShould(t *testing.T) {
	wrapped, request := &livekit.WrappedJoinRequest{}, &livekit.JoinRequest{}
	if err := proto.Unmarshal(encodeJoin(true), wrapped); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(wrapped.GetJoinRequest(), request); err != nil {
		t.Fatal(err)
	}
	want := &livekit.JoinRequest{
		ClientInfo:         &livekit.ClientInfo{Sdk: livekit.ClientInfo_GO, Version: "2.4.0", Protocol: protocolVersion},
		ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true},
	}
	if !proto.Equal(request, want) {
		t.Errorf("got %v, want %v", request, want)
	}
}

// responses are what a server sends, with what the clients take of it.
func responses(t testing.TB) (wire [][]byte, want []response) {
	t.Helper()
	for _, c := range []struct {
		message *livekit.SignalResponse
		want    response
	}{
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{Room: &livekit.Room{Name: "r"}, PingTimeout: 15}}},
			response{kind: responseJoin}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: "v=0", Id: 7}}},
			response{kind: responseAnswer, description: description{kind: "answer", sdp: "v=0", id: 7}}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{Answer: &livekit.SessionDescription{Type: "answer", MidToTrackId: map[string]string{"2": "TR_a", "3": "TR_b"}}}},
			response{kind: responseAnswer, description: description{kind: "answer", tracks: map[string]string{"2": "TR_a", "3": "TR_b"}}}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumAudios: 2, NumVideos: 3}}},
			response{kind: responseSections, sections: sections{2, 3}}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: "v=0"}}},
			response{kind: responseOffer, description: description{kind: "offer", sdp: "v=0"}}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: "{}", Target: livekit.SignalTarget_SUBSCRIBER}}},
			response{kind: responseTrickle, trickle: trickle{[]byte("{}"), targetSubscriber}}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{TrackPublished: &livekit.TrackPublishedResponse{Cid: "a"}}},
			response{kind: responseTrackPublished}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{Action: livekit.LeaveRequest_DISCONNECT}}},
			response{kind: responseLeave}},
		{&livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 9}}, response{kind: 18}},
	} {
		b, err := proto.Marshal(c.message)
		if err != nil {
			t.Fatal(err)
		}
		wire, want = append(wire, b), append(want, c.want)
	}
	return wire, want
}

func TestDecodeResponse(t *testing.T) {
	wire, want := responses(t)
	for i := range wire {
		got, err := decodeResponse(wire[i])
		if err != nil {
			t.Errorf("message %d: %v", i, err)
			continue
		}
		if got.kind != want[i].kind || !reflect.DeepEqual(got.description, want[i].description) || got.sections != want[i].sections ||
			string(got.trickle.candidate) != string(want[i].trickle.candidate) || got.trickle.target != want[i].trickle.target {
			t.Errorf("message %d: got %+v, want %+v", i, got, want[i])
		}
	}
	for name, bad := range map[string][]byte{"cut tag": {0x80}, "cut length": {0x12, 9, 1}, "cut inside": {0x12, 2, 0x0a, 9}} {
		if got, err := decodeResponse(bad); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func FuzzDecodeResponse(f *testing.F) {
	wire, _ := responses(f)
	for _, b := range wire {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeResponse(b)
		if foreign := new(livekit.SignalResponse); err != nil && proto.Unmarshal(b, foreign) == nil {
			t.Errorf("refused a message that the protocol's module reads: %v", err)
		}
		if err != nil && got.kind != 0 {
			t.Errorf("an error comes with %+v", got)
		}
	})
}
