package negotiate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestAccept_theAnswerLacksTheCodec(t *testing.T) {
	tr := newTransport(t, config(negotiate.Offerer))
	bind(t, tr, track("TR_1", negotiate.Video, negotiate.AV1, "", 1))
	offer, err := tr.Offer()
	if err != nil {
		t.Fatal(err)
	}
	a, err := tr.Accept(strings.ReplaceAll(reply(offer, func(string) int { return 0 }), "AV1/90000", "H266/90000"))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Refused) != 1 || len(a.Send) != 0 || !tr.Stale() {
		t.Errorf("got refused %v, sent %v, stale %v: the section must be told to be inactive", a.Refused, a.Send, tr.Stale())
	}
	if offer, err = tr.Offer(); err != nil {
		t.Fatal(err)
	}
	lacks(t, offer, "sendonly")
}

func TestBind_takesAFreeSection(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	offer := read(t, "chromium_join_offer.sdp")
	answer(t, tr, offer)
	b := bind(t, tr, vp8("TR_v", 100))
	if b != (negotiate.Binding{Mid: "3"}) || !tr.Stale() {
		t.Fatalf("got %+v, stale %v", b, tr.Stale())
	}
	bind(t, tr, opus("TR_a", 200))
	a := answer(t, tr, offer)
	golden(t, "chromium_bound_answer.sdp", a.SDP)
	if len(a.Placed) != 2 || a.Placed["3"] != "TR_v" || a.Placed["0"] != "TR_a" || tr.Stale() {
		t.Errorf("got placed %v, stale %v", a.Placed, tr.Stale())
	}
	v := a.Send[1]
	if v.Codec.PayloadType != 96 || v.Codec.RTXPayloadType != 97 || v.SSRC != 100 || v.RTXSSRC != 101 || !v.Active {
		t.Errorf("got %+v", v)
	}
}

func TestUnbind_reusesASectionOnlyAfterItWasInactive(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	offer := small("video recvonly")
	bind(t, tr, vp8("TR_1", 1))
	if a := answer(t, tr, offer); a.Placed["0"] != "TR_1" {
		t.Fatalf("got placed %v, want the waiting track at once", a.Placed)
	}
	if !tr.Unbind("TR_1") || tr.Unbind("TR_1") {
		t.Error("want Unbind to know the track once")
	}
	if b := bind(t, tr, vp8("TR_2", 3)); !b.NeedsSection || tr.Pending()[negotiate.Video] != 1 || tr.Free(negotiate.Video) != 0 {
		t.Fatalf("got %+v, %d pending, %d free: want it to wait", b, tr.Pending()[negotiate.Video], tr.Free(negotiate.Video))
	}
	a := answer(t, tr, offer)
	has(t, a.SDP, "a=inactive")
	if len(a.Send) != 0 || !tr.Stale() || tr.Pending()[negotiate.Video] != 0 {
		t.Errorf("got %v sent, stale %v: want the section free and reserved", a.Send, tr.Stale())
	}
	if a := answer(t, tr, offer); a.Placed["0"] != "TR_2" || tr.Stale() {
		t.Errorf("got placed %v", a.Placed)
	}
}

func TestUnbind_rebindOfTheSameTrackKeepsItsSection(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	offer := small("video recvonly", "video recvonly")
	bind(t, tr, vp8("TR_1", 1))
	bind(t, tr, vp8("TR_2", 3))
	answer(t, tr, offer)
	tr.Unbind("TR_2")
	if b := bind(t, tr, vp8("TR_2", 3)); b.Mid != "1" || tr.Stale() {
		t.Errorf("got %+v, stale %v, want mid 1 and nothing to tell", b, tr.Stale())
	}
	if b := bind(t, tr, vp8("TR_2", 3)); b.Mid != "1" {
		t.Errorf("bound again: got %+v, want mid 1", b)
	}
	if _, err := tr.Bind(vp8("TR_2", 7)); !errors.Is(err, negotiate.ErrTrack) {
		t.Errorf("other streams: got %v, want ErrTrack", err)
	}
}

func TestBind_needsSection(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	answer(t, tr, small("audio recvonly", "video sendonly"))
	if b := bind(t, tr, vp8("TR_1", 1)); !b.NeedsSection {
		t.Errorf("got %+v, want NeedsSection: the video section is the client's", b)
	}
	a := answer(t, tr, small("audio recvonly", "video sendonly", "video recvonly"))
	if a.Placed["2"] != "TR_1" || len(tr.Pending()) != 0 {
		t.Errorf("got placed %v, pending %v", a.Placed, tr.Pending())
	}
}

func TestAnswer_clientTakesTheSectionForItself(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, vp8("TR_1", 1))
	answer(t, tr, small("video recvonly", "video recvonly"))
	a := answer(t, tr, small("video sendrecv", "video recvonly"))
	if a.Placed["1"] != "TR_1" || len(a.Placed) != 1 {
		t.Errorf("got placed %v, want the track on mid 1", a.Placed)
	}
	has(t, sections(a.SDP)["0"], "a=recvonly")
	if len(a.Receive) != 1 || a.Receive[0].CID != "t0" || !a.Receive[0].Active {
		t.Errorf("got received %+v", a.Receive)
	}
	a = answer(t, tr, small("video recvonly", "video off"))
	if a.Placed["0"] != "TR_1" || len(a.Receive) != 1 || a.Receive[0].Active {
		t.Errorf("got placed %v, received %+v", a.Placed, a.Receive)
	}
}

func TestAnswer_sendrecvWithoutASource(t *testing.T) {
	offer := strings.ReplaceAll(small("audio recvonly"), "a=recvonly\r\n", "")
	tr := newTransport(t, config(negotiate.Answerer))
	has(t, answer(t, tr, offer).SDP, "a=recvonly")
	if b := bind(t, tr, opus("TR_1", 1)); b.Mid != "0" {
		t.Errorf("got %+v, want mid 0", b)
	}
	has(t, answer(t, tr, offer).SDP, "a=sendonly")
}

func TestAnswer_refusesWhatTheClientCannotDecode(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	answer(t, tr, small("video recvonly"))
	b := bind(t, tr, track("TR_1", negotiate.Video, negotiate.AV1, "", 1))
	if b.Mid != "" || b.NeedsSection || b.Refused == "" || len(tr.Pending()) != 0 {
		t.Errorf("got %+v, pending %v, want a refusal", b, tr.Pending())
	}
	a := answer(t, tr, small("video recvonly", "video recvonly"))
	if len(a.Refused) != 1 || a.Refused[0].TrackID != "TR_1" {
		t.Errorf("got refused %v", a.Refused)
	}
	withAV1 := strings.ReplaceAll(small("video recvonly", "video recvonly"), "a=rtpmap:96 VP8", "a=rtpmap:96 AV1")
	if a := answer(t, tr, withAV1); len(a.Refused) != 0 || a.Placed["0"] != "TR_1" {
		t.Errorf("the next offer has it: got refused %v, placed %v", a.Refused, a.Placed)
	}
}

func TestBind_badTracks(t *testing.T) {
	tests := map[string]func(*negotiate.Track){
		"id with a line break": func(tr *negotiate.Track) { tr.ID = "TR\r\na=x" },
		"stream with a space":  func(tr *negotiate.Track) { tr.Stream = "a b" },
		"no ssrc":              func(tr *negotiate.Track) { tr.SSRC = 0 },
		"rtx on the same ssrc": func(tr *negotiate.Track) { tr.RTXSSRC = tr.SSRC },
		"ssrc in use":          func(tr *negotiate.Track) { tr.RTXSSRC = 1 },
		"kind of the codec":    func(tr *negotiate.Track) { tr.Kind = negotiate.Audio },
		"unknown codec":        func(tr *negotiate.Track) { tr.Codec.Mime = "video/H266" },
	}
	for name, spoil := range tests {
		tr := newTransport(t, config(negotiate.Answerer))
		bind(t, tr, vp8("TR_1", 1))
		bad := vp8("TR_2", 10)
		spoil(&bad)
		if _, err := tr.Bind(bad); !errors.Is(err, negotiate.ErrTrack) {
			t.Errorf("%s: got %v, want ErrTrack", name, err)
		}
	}
}
