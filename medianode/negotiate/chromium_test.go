package negotiate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestAnswer_livekitJoin(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	a := answer(t, tr, read(t, "chromium_join_offer.sdp"))
	golden(t, "chromium_join_answer.sdp", a.SDP)
	if a.Role != negotiate.Passive || a.Restarted || len(a.RemoteFingerprints) != 1 {
		t.Errorf("got role %s, restarted %v, %d fingerprints", a.Role, a.Restarted, len(a.RemoteFingerprints))
	}
	if a.Remote != (negotiate.ICE{Ufrag: "8gsN", Pwd: "i9pH+ADNT8FzfyU5ETHLRWUq"}) {
		t.Errorf("got remote credentials %+v", a.Remote)
	}
	if a.Application == nil || *a.Application != (negotiate.SCTP{Mid: "6", Port: 5000, MaxMessageSize: 262144}) {
		t.Errorf("got data section %+v", a.Application)
	}
	if tr.Free(negotiate.Audio) != 3 || tr.Free(negotiate.Video) != 3 {
		t.Errorf("got %d audio and %d video sections free, want 3 and 3", tr.Free(negotiate.Audio), tr.Free(negotiate.Video))
	}
	if len(a.Receive) != 0 || len(a.Send) != 0 || len(a.Rejected) != 0 {
		t.Errorf("got %+v", a)
	}
}

// TestAnswer_chromiumSession replays the offers of one PeerConnection of
// Chromium 156: it joins, publishes while three tracks come in, and restarts ICE
// with more sections. What it offers depends on the answers it got.
func TestAnswer_chromiumSession(t *testing.T) {
	cfg := config(negotiate.Answerer)
	cfg.Codecs = append(negotiate.DefaultCodecs(), negotiate.RED)
	tr := newTransport(t, cfg)
	a := answer(t, tr, read(t, "chromium_session_join.sdp"))
	for _, mid := range []string{"3", "4", "5"} { // inactive, but see answerExtensions
		has(t, sections(a.SDP)[mid], "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
	}
	bind(t, tr, vp8("TR_vp8", 100))
	bind(t, tr, track("TR_h264", negotiate.Video, negotiate.H264, "packetization-mode=1;profile-level-id=42e01f", 200))
	bind(t, tr, track("TR_red", negotiate.Audio, negotiate.RED, "", 300))
	a = answer(t, tr, read(t, "chromium_session_publish.sdp"))
	if a.Placed["0"] != "TR_red" || a.Placed["3"] != "TR_vp8" || a.Placed["4"] != "TR_h264" {
		t.Errorf("got placed %v", a.Placed)
	}
	if len(a.Receive) != 2 || a.Receive[0].Mid != "7" || a.Receive[1].Mid != "8" || strings.Join(a.Receive[1].RIDs, "") != "qhf" {
		t.Errorf("got received %+v", a.Receive)
	}
	if a.Send[2].Extensions.RID != 0 || a.Receive[1].Extensions.RID != 10 {
		t.Errorf("got rid extensions %d sent and %d received, want 0 and 10", a.Send[2].Extensions.RID, a.Receive[1].Extensions.RID)
	}
	a = answer(t, tr, read(t, "chromium_session_restart.sdp"))
	if !a.Restarted || len(a.Placed) != 3 || tr.Free(negotiate.Video) != 2 {
		t.Errorf("got restarted %v, placed %v, %d video sections free", a.Restarted, a.Placed, tr.Free(negotiate.Video))
	}
}

func TestAccept_chromium(t *testing.T) {
	tr := newTransport(t, config(negotiate.Offerer))
	bind(t, tr, vp8("TR_vp8", 100))
	bind(t, tr, track("TR_h264", negotiate.Video, negotiate.H264, "packetization-mode=1;profile-level-id=42e01f", 200))
	bind(t, tr, opus("TR_a", 300))
	offer, err := tr.Offer()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "dual_offer.sdp", offer)
	if _, err := tr.Offer(); !errors.Is(err, negotiate.ErrPending) {
		t.Errorf("second offer: got %v, want ErrPending", err)
	}
	a, err := tr.Accept(read(t, "chromium_dual_answer.sdp"))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Send) != 3 || a.Role != negotiate.Passive || a.Application == nil {
		t.Fatalf("got %+v", a)
	}
	want := negotiate.Extensions{Mid: 4, AbsSendTime: 2, TransportCC: 3, PlayoutDelay: 5, DependencyDescriptor: 6, Mixed: true}
	if v := a.Send[0]; v.Codec.PayloadType != 96 || v.Codec.RTXPayloadType != 97 || v.Extensions != want {
		t.Errorf("got %+v", v)
	}
	if _, err := tr.Accept(read(t, "chromium_dual_answer.sdp")); !errors.Is(err, negotiate.ErrNoOffer) {
		t.Errorf("second answer: got %v, want ErrNoOffer", err)
	}
}

func TestAnswer_chromiumPublish(t *testing.T) {
	cfg := config(negotiate.Answerer)
	cfg.Codecs = append(negotiate.DefaultCodecs(), negotiate.RED)
	tr := newTransport(t, cfg)
	a := answer(t, tr, read(t, "chromium_publish_offer.sdp"))
	golden(t, "chromium_publish_answer.sdp", a.SDP)
	if len(a.Receive) != 3 {
		t.Fatalf("got %d sections received, want 3", len(a.Receive))
	}
	audio, simulcast, svc := a.Receive[0], a.Receive[1], a.Receive[2]
	if audio.CID != "f6e7931a-e0d8-4278-a145-48fec391ba2b" || audio.Codecs[0].Mime != negotiate.RED || audio.Codecs[1].Mime != negotiate.Opus {
		t.Errorf("audio: got %+v", audio)
	}
	if audio.Extensions != (negotiate.Extensions{Mid: 4, AudioLevel: 1, TransportCC: 3, AbsSendTime: 2, Mixed: true}) {
		t.Errorf("audio: got extensions %+v", audio.Extensions)
	}
	if len(audio.SSRCs) != 1 || audio.SSRCs[0] != (negotiate.SourceGroup{SSRC: 2105878961}) {
		t.Errorf("audio: got sources %v", audio.SSRCs)
	}
	if strings.Join(simulcast.RIDs, ";") != "q;h;f" || len(simulcast.SSRCs) != 0 {
		t.Errorf("simulcast: got rids %v, sources %v", simulcast.RIDs, simulcast.SSRCs)
	}
	want := negotiate.Extensions{Mid: 4, RID: 10, RepairedRID: 11, TransportCC: 3, AbsSendTime: 2, DependencyDescriptor: 12, PlayoutDelay: 5, Mixed: true}
	if simulcast.Extensions != want {
		t.Errorf("simulcast: got extensions %+v, want %+v", simulcast.Extensions, want)
	}
	if len(svc.SSRCs) != 1 || svc.SSRCs[0] != (negotiate.SourceGroup{SSRC: 524670886, RTX: 2657477223}) {
		t.Errorf("svc: got sources %v", svc.SSRCs)
	}
	for _, c := range simulcast.Codecs {
		if c.RTXPayloadType == 0 || strings.Join(c.Feedback, ",") != "nack,nack pli,ccm fir,transport-cc" {
			t.Errorf("got codec %+v, want rtx and four kinds of feedback", c)
		}
	}
	lacks(t, a.SDP, "goog-remb")
	lacks(t, a.SDP, "packetization-mode=0")
	lacks(t, a.SDP, "profile-id=2")
	if tr.Free(negotiate.Video) != 1 {
		t.Errorf("got %d free video sections, want the recvonly one", tr.Free(negotiate.Video))
	}
}

func TestAnswer_h264ByProfile(t *testing.T) {
	tests := []struct {
		fmtp string // of the publisher
		want uint8  // payload type in Chromium's offer
	}{
		{"packetization-mode=1;profile-level-id=42e01f", 108},
		{"profile-level-id=42E034;packetization-mode=1", 108},
		{"packetization-mode=1;profile-level-id=42001f", 102},
		{"packetization-mode=1;profile-level-id=4d0032", 116},
		{"packetization-mode=1;profile-level-id=4d801f", 108}, // constrained baseline, spelt as main
		{"packetization-mode=1", 108},
		{"packetization-mode=1;profile-level-id=64001f", 0}, // high: Chromium offers none here
	}
	for _, tc := range tests {
		tr := newTransport(t, config(negotiate.Answerer))
		bind(t, tr, track("TR_1", negotiate.Video, negotiate.H264, tc.fmtp, 1))
		a := answer(t, tr, read(t, "chromium_join_offer.sdp"))
		switch {
		case tc.want == 0 && (len(a.Send) != 0 || len(a.Refused) != 1):
			t.Errorf("%s: got %+v, want a refusal", tc.fmtp, a.Send)
		case tc.want != 0 && (len(a.Send) != 1 || a.Send[0].Codec.PayloadType != tc.want):
			t.Errorf("%s: got %+v, want payload type %d", tc.fmtp, a.Send, tc.want)
		}
	}
}

func TestAnswer_redTrackToAPeerWithoutRED(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, track("TR_1", negotiate.Audio, negotiate.RED, "111/111", 1))
	a := answer(t, tr, read(t, "chromium_join_offer.sdp"))
	if len(a.Send) != 1 || a.Send[0].Codec.Mime != negotiate.Opus {
		t.Errorf("got %+v, want Opus", a.Send)
	}
}
