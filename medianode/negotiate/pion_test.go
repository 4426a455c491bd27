package negotiate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

// The other side of these tests is pion's PeerConnection: it must take every
// description of ours and ours every one of its.

func newPeer(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
	})
	return pc
}

// exchange lets the peer offer and take our answer.
func exchange(t *testing.T, tr *negotiate.Transport, pc *webrtc.PeerConnection, o *webrtc.OfferOptions) negotiate.Agreement {
	t.Helper()
	offer, err := pc.CreateOffer(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	a := answer(t, tr, offer.SDP)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a.SDP}); err != nil {
		t.Fatalf("%v\noffer:\n%s\nanswer:\n%s", err, offer.SDP, a.SDP)
	}
	return a
}

func local(t *testing.T, mime, id string, options ...func(*webrtc.TrackLocalStaticRTP)) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	l, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, "stream", options...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func addTransceiver(t *testing.T, pc *webrtc.PeerConnection, l webrtc.TrackLocal) *webrtc.RTPTransceiver {
	t.Helper()
	tx, err := pc.AddTransceiverFromTrack(l, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func receiveOn(t *testing.T, pc *webrtc.PeerConnection, kind webrtc.RTPCodecType) *webrtc.RTPTransceiver {
	t.Helper()
	tx, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// simulcast publishes three layers on one section.
func simulcast(t *testing.T, pc *webrtc.PeerConnection) {
	t.Helper()
	layer := func(rid string) *webrtc.TrackLocalStaticRTP {
		return local(t, webrtc.MimeTypeVP8, "camera", webrtc.WithRTPStreamID(rid))
	}
	tx := addTransceiver(t, pc, layer("q"))
	for _, rid := range []string{"h", "f"} {
		if err := tx.Sender().AddEncoding(layer(rid)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPion_publishSubscribeAndRestart(t *testing.T) {
	pc, tr := newPeer(t), newTransport(t, config(negotiate.Answerer))
	if _, err := pc.CreateDataChannel("_reliable", nil); err != nil {
		t.Fatal(err)
	}
	addTransceiver(t, pc, local(t, webrtc.MimeTypeOpus, "mic"))
	simulcast(t, pc)
	audio, video := receiveOn(t, pc, webrtc.RTPCodecTypeAudio), receiveOn(t, pc, webrtc.RTPCodecTypeVideo)

	first := exchange(t, tr, pc, nil)
	if len(first.Receive) != 2 || first.Receive[0].CID != "mic" || first.Receive[1].CID != "camera" || first.Application == nil {
		t.Fatalf("got %+v", first)
	}
	if got := strings.Join(first.Receive[1].RIDs, ";"); got != "q;h;f" {
		t.Errorf("got rids %s", got)
	}
	if first.Remote.Ufrag == "" || first.Role != negotiate.Passive || len(first.RemoteFingerprints) != 1 {
		t.Errorf("got remote %+v, role %s", first.Remote, first.Role)
	}

	bind(t, tr, opus("TR_a", 10))
	bind(t, tr, vp8("TR_v", 20))
	if b := bind(t, tr, vp8("TR_w", 30)); !b.NeedsSection {
		t.Fatalf("got %+v, want NeedsSection", b)
	}
	more := receiveOn(t, pc, webrtc.RTPCodecTypeVideo) // what media_sections_requirement asks for
	second := exchange(t, tr, pc, nil)
	want := map[string]drtc.TrackID{audio.Mid(): "TR_a", video.Mid(): "TR_v", more.Mid(): "TR_w"}
	if fmt.Sprint(second.Placed) != fmt.Sprint(want) {
		t.Errorf("got placed %v, want %v", second.Placed, want)
	}
	for _, tx := range []*webrtc.RTPTransceiver{audio, video, more} {
		if id := drtc.TrackID(tx.Receiver().Track().ID()); id != want[tx.Mid()] {
			t.Errorf("mid %s: pion sees track %q, want %q", tx.Mid(), id, want[tx.Mid()])
		}
	}

	tr.Unbind("TR_v")
	third := exchange(t, tr, pc, nil)
	has(t, sections(third.SDP)[video.Mid()], "a=inactive")
	if b := bind(t, tr, vp8("TR_x", 40)); b.Mid != video.Mid() {
		t.Errorf("got %+v, want mid %s", b, video.Mid())
	}
	fourth := exchange(t, tr, pc, &webrtc.OfferOptions{ICERestart: true})
	if !fourth.Restarted || fourth.Placed[video.Mid()] != "TR_x" || fourth.Local == third.Local {
		t.Errorf("got restarted %v, placed %v", fourth.Restarted, fourth.Placed)
	}
}

func TestPion_clientStopsASection(t *testing.T) {
	pc, tr := newPeer(t), newTransport(t, config(negotiate.Answerer))
	one, two := receiveOn(t, pc, webrtc.RTPCodecTypeVideo), receiveOn(t, pc, webrtc.RTPCodecTypeVideo)
	bind(t, tr, vp8("TR_1", 10))
	exchange(t, tr, pc, nil)
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
	if a := exchange(t, tr, pc, nil); a.Placed[two.Mid()] != "TR_1" {
		t.Errorf("got placed %v, want the track on mid %s", a.Placed, two.Mid())
	}
}

// offerTo lets the peer answer our offer.
func offerTo(t *testing.T, tr *negotiate.Transport, pc *webrtc.PeerConnection) negotiate.Agreement {
	t.Helper()
	offer, err := tr.Offer()
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		t.Fatalf("%v\noffer:\n%s", err, offer)
	}
	desc, err := pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(desc); err != nil {
		t.Fatal(err)
	}
	a, err := tr.Accept(desc.SDP)
	if err != nil {
		t.Fatalf("%v\noffer:\n%s\nanswer:\n%s", err, offer, desc.SDP)
	}
	return a
}

func TestPion_weOffer(t *testing.T) {
	pc, tr := newPeer(t), newTransport(t, config(negotiate.Offerer))
	if !tr.Stale() {
		t.Error("want the first offer to be due")
	}
	a := offerTo(t, tr, pc)
	if a.Application == nil || a.Application.Mid != "0" || len(a.Send) != 0 || a.Role == 0 {
		t.Fatalf("got %+v", a)
	}
	for i, want := range []string{"1", "2", "3"} {
		tracks := []negotiate.Track{opus("TR_a", 10), vp8("TR_v", 20),
			track("TR_h", negotiate.Video, negotiate.H264, "packetization-mode=1;profile-level-id=42e01f", 30)}
		if b := bind(t, tr, tracks[i]); b.Mid != want || b.NeedsSection {
			t.Errorf("%s: got %+v, want mid %s", tracks[i].ID, b, want)
		}
	}
	b := offerTo(t, tr, pc)
	if len(b.Send) != 3 || b.Placed["2"] != "TR_v" || len(b.Refused) != 0 || b.Restarted || b.Role != a.Role || tr.Stale() {
		t.Fatalf("got %+v, stale %v", b, tr.Stale())
	}
	if v := b.Send[1]; v.Codec.PayloadType != 96 || v.Codec.RTXPayloadType != 97 || !v.Active || v.Extensions.TransportCC == 0 {
		t.Errorf("got %+v", v)
	}
	if h := b.Send[2]; h.Codec.Mime != negotiate.H264 || !strings.Contains(h.Codec.Fmtp, "42e01f") {
		t.Errorf("got %+v", h)
	}

	tr.Unbind("TR_v")
	if b := bind(t, tr, vp8("TR_w", 40)); b.Mid != "4" {
		t.Errorf("got %+v: mid 2 must be inactive once before it is used again", b)
	}
	c := offerTo(t, tr, pc)
	if len(c.Send) != 3 || c.Placed["4"] != "TR_w" {
		t.Errorf("got placed %v", c.Placed)
	}
	if err := tr.RestartICE(); err != nil {
		t.Fatal(err)
	}
	if b := bind(t, tr, vp8("TR_x", 50)); b.Mid != "2" {
		t.Errorf("got %+v, want mid 2 again", b)
	}
	d := offerTo(t, tr, pc)
	if !d.Restarted || d.Local == c.Local || d.Placed["2"] != "TR_x" || d.Role != a.Role {
		t.Errorf("got restarted %v, placed %v, role %s", d.Restarted, d.Placed, d.Role)
	}
}
