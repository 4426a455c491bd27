package negotiate_test

import (
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

// twoCodecs is an offer of VP8 before H.264, on sections with the msid t0, t1.
func twoCodecs(pairs ...string) string {
	offer := strings.ReplaceAll(small(pairs...), "SAVPF 96 97", "SAVPF 96 97 108 109")
	return strings.ReplaceAll(offer, "a=rtpmap:96 VP8", "a=rtpmap:108 H264/90000\r\n"+
		"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"+
		"a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\na=rtpmap:96 VP8")
}

// sends is the codec that the client sends on a section: the first answered.
func sends(t *testing.T, a negotiate.Agreement, mid string) string {
	t.Helper()
	for _, r := range a.Receive {
		if r.Mid == mid {
			line, _, _ := strings.Cut(sections(a.SDP)[mid], "\r\n")
			if pt := strings.Fields(line)[3]; (pt == "96") != (r.Codecs[0].PayloadType == 96) {
				t.Errorf("mid %s: the answer begins %q, the agreement with %+v", mid, line, r.Codecs[0])
			}
			return r.Codecs[0].Mime
		}
	}
	t.Errorf("mid %s is not in %+v", mid, a.Receive)
	return ""
}

func TestPrefer_theAnswerPutsTheWishFirst(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	tr.Prefer("t1", negotiate.H264)
	offer := twoCodecs("video sendonly", "video sendonly", "video recvonly")
	for range 2 { // a later answer must not change what the client sends
		a := answer(t, tr, offer)
		if got := sends(t, a, "0"); got != negotiate.VP8 {
			t.Errorf("without a wish: got %s, want the client's order", got)
		}
		if got := sends(t, a, "1"); got != negotiate.H264 {
			t.Errorf("with a wish: got %s, want %s", got, negotiate.H264)
		}
	}
	// Another track on the same section has a wish of its own, or none.
	if got := sends(t, answer(t, tr, strings.ReplaceAll(offer, "s1 t1", "s1 t9")), "1"); got != negotiate.VP8 {
		t.Errorf("the next track on the section: got %s, want the client's order", got)
	}
}

func TestPrefer_byKindWhereTheIdsDiffer(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	tr.Prefer("announced", negotiate.H264)
	for range 2 {
		if got := sends(t, answer(t, tr, twoCodecs("audio sendonly", "video sendonly")), "1"); got != negotiate.H264 {
			t.Errorf("the only video section: got %s, want the only wish", got)
		}
	}
}

func TestPrefer_whatIsNotOfferedChangesNothing(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	tr.Prefer("t0", negotiate.AV1)
	tr.Prefer("t0", "video/unheard-of")
	tr.Prefer("", negotiate.H264)
	if got := sends(t, answer(t, tr, twoCodecs("video sendonly")), "0"); got != negotiate.VP8 {
		t.Errorf("got %s, want %s", got, negotiate.VP8)
	}
}
