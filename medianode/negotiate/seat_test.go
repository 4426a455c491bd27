package negotiate_test

import (
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

// A track without a codec keeps all that its section has: it may become any.
func TestBind_trackOfAnyCodec(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	seat := track("video-0", negotiate.Video, "", "", 100)
	offer := read(t, "chromium_join_offer.sdp")
	bind(t, tr, seat)
	if _, ok := tr.Format("video-0", negotiate.Codec{Mime: negotiate.VP8}); ok {
		t.Error("a format before the first negotiation")
	}
	a := answer(t, tr, offer)
	if len(a.Send) != 1 || !a.Send[0].Active || a.Send[0].Codec.PayloadType == 0 {
		t.Fatalf("sends %+v, want the seat", a.Send)
	}
	section := sections(a.SDP)[a.Send[0].Mid]
	has(t, section, "a=sendonly")
	has(t, section, "a=msid:PA_alice|camera video-0")
	for _, c := range []struct {
		media negotiate.Codec
		pt    string
	}{
		{negotiate.Codec{Mime: negotiate.VP8}, "VP8/90000"},
		{negotiate.Codec{Mime: negotiate.VP9}, "VP9/90000"},
		{negotiate.Codec{Mime: negotiate.AV1}, "AV1/90000"},
		{negotiate.Codec{Mime: negotiate.H264, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}, "H264/90000"},
	} {
		f, ok := tr.Format("video-0", c.media)
		if !ok || f.Mime != c.media.Mime || f.RTXPayloadType == 0 || !strings.Contains(section, c.pt) {
			t.Errorf("%s goes out as %+v (%v), want a format of the section", c.media.Mime, f, ok)
		}
	}
	for name, media := range map[string]negotiate.Codec{
		"an audio codec":       {Mime: negotiate.Opus},
		"a profile not agreed": {Mime: negotiate.H264, Fmtp: "packetization-mode=1;profile-level-id=7a001f"},
	} {
		if f, ok := tr.Format("video-0", media); ok {
			t.Errorf("%s goes out as %+v", name, f)
		}
	}
	if _, ok := tr.Format("video-1", negotiate.Codec{Mime: negotiate.VP8}); ok {
		t.Error("a format of a track that is not bound")
	}
	// A restart of ICE leaves it where it is.
	again := answer(t, tr, strings.NewReplacer("a=ice-ufrag:", "a=ice-ufrag:n").Replace(offer))
	if !again.Restarted || len(again.Send) != 1 || again.Send[0].Mid != a.Send[0].Mid {
		t.Errorf("after a restart sends %+v (restarted %v), want the same section", again.Send, again.Restarted)
	}
}

func TestBind_trackOfAnyCodecWantsOneThatTheNodeKnows(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, track("video-0", negotiate.Video, "", "", 100))
	bind(t, tr, track("audio-0", negotiate.Audio, "", "", 200))
	offer := strings.ReplaceAll(small("audio recvonly", "video recvonly"), "VP8/90000", "H263/90000")
	a := answer(t, tr, offer)
	if len(a.Send) != 1 || a.Send[0].TrackID != "audio-0" || a.Send[0].Codec.Mime != negotiate.Opus {
		t.Errorf("sends %+v, want sound alone", a.Send)
	}
}
