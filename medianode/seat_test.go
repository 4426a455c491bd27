package medianode_test

import (
	"testing"

	"connectrpc.com/connect"
	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// spectate opens a session with seats whose client only receives.
func spectate(o *orchestrator, name string) (*participant, *medianodev1.OfferResponse) {
	o.t.Helper()
	p := o.join(name, &medianodev1.Permissions{Subscribe: true, Hidden: true})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := p.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			o.t.Fatal(err)
		}
	}
	offer, err := p.CreateOffer(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	answer := call(o, o.Offer, &medianodev1.OfferRequest{Session: p.session, Sdp: offer.SDP, Seats: seats()})
	return p, answer
}

func seats() []*medianodev1.Seat {
	return []*medianodev1.Seat{
		{Seat: "audio-0", Kind: medianodev1.Kind_KIND_AUDIO, Stream: "main"},
		{Seat: "video-0", Kind: medianodev1.Kind_KIND_VIDEO, Stream: "main"},
	}
}

func TestSeats_areDescribedBeforeAnybodyPublishes(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	_, answer := spectate(o, "eve")
	placed := map[string]bool{}
	for _, seat := range answer.MidToTrack {
		placed[seat] = true
	}
	if len(placed) != 2 || !placed["audio-0"] || !placed["video-0"] || answer.MissingAudio+answer.MissingVideo != 0 {
		t.Errorf("placed %v, missing %d and %d, want both seats placed", answer.MidToTrack, answer.MissingAudio, answer.MissingVideo)
	}
}

func TestSeats_refuseWhatTheyCannotShow(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	viewer, _ := spectate(o, "eve")
	alice := o.join("alice", everything())
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.AddTrack(track); err != nil {
		t.Fatal(err)
	}
	alice.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO})
	show := func(seat, track string) string {
		r := call(o, o.SetSources, &medianodev1.SetSourcesRequest{Session: viewer.session, Sources: []*medianodev1.Source{{Seat: seat, Track: track}}})
		return r.Refused[seat]
	}
	for _, c := range []struct{ seat, track string }{
		{"video-0", "TR_nobody"}, {"audio-0", "TR_cam"}, {"video-7", "TR_cam"},
	} {
		if show(c.seat, c.track) == "" {
			t.Errorf("%s shows %s, want a reason why it can't", c.seat, c.track)
		}
	}
	for _, track := range []string{"TR_cam", "TR_cam", "", ""} {
		if reason := show("video-0", track); reason != "" {
			t.Errorf("video-0 does not show %q: %s", track, reason)
		}
	}
	if reason := call(o, o.SetSources, &medianodev1.SetSourcesRequest{Session: alice.session, Sources: []*medianodev1.Source{{Seat: "video-0", Track: "TR_cam"}}}).Refused["video-0"]; reason == "" {
		t.Error("a session without seats shows its own track")
	}
}

func TestSeats_badOnesAreNamed(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	o.join("eve", everything())
	many := seats()
	for i := range 20 {
		many = append(many, &medianodev1.Seat{Seat: string('a' + rune(i)), Stream: "s"})
	}
	for name, bad := range map[string][]*medianodev1.Seat{
		"no id":     {{Stream: "s"}},
		"no stream": {{Seat: "x"}},
		"too many":  many,
	} {
		_, err := o.Offer(t.Context(), connect.NewRequest(&medianodev1.OfferRequest{Session: "SE_eve", Sdp: "v=0", Seats: bad}))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, "seats[") {
			t.Errorf("%s: got %v, want invalid_argument that names the seat", name, err)
		}
	}
}

func TestOffer_withoutACodecInCommonIsToldFromAWrongOne(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	o.join("eve", everything())
	const offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 9\r\n" +
		"c=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:9 G722/8000\r\na=rtcp-mux\r\na=recvonly\r\n"
	_, err := o.Offer(t.Context(), connect.NewRequest(&medianodev1.OfferRequest{Session: "SE_eve", Sdp: offer}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !contains(err, "audio/opus") {
		t.Errorf("got %v, want failed_precondition that names what would do", err)
	}
}
