package negotiate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestAnswer_iceRestart(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	before := answer(t, tr, small("audio recvonly"))
	restarted := strings.NewReplacer("ufrag:peer", "ufrag:pier", "peer-password", "pier-password").Replace(small("audio recvonly"))
	a := answer(t, tr, restarted)
	if !a.Restarted || a.Local == before.Local || a.Remote.Ufrag != "pier" || tr.LocalICE() != a.Local {
		t.Errorf("got restarted %v, local %+v, remote %+v", a.Restarted, a.Local, a.Remote)
	}
	has(t, a.SDP, "a=ice-ufrag:"+a.Local.Ufrag)
	if a.Role != before.Role {
		t.Errorf("got role %s, want it unchanged", a.Role)
	}
	if again := answer(t, tr, restarted); again.Restarted || again.Local != a.Local {
		t.Errorf("the same credentials again: got restarted %v", again.Restarted)
	}
}

func TestAnswer_activeOnlyWhenForced(t *testing.T) {
	for setup, want := range map[string]negotiate.DTLSRole{"actpass": negotiate.Passive, "active": negotiate.Passive, "passive": negotiate.Active} {
		tr := newTransport(t, config(negotiate.Answerer))
		offer := strings.ReplaceAll(small("audio recvonly"), "actpass", setup)
		if a := answer(t, tr, offer); a.Role != want {
			t.Errorf("%s: got %s, want %s", setup, a.Role, want)
		} else {
			has(t, a.SDP, "a=setup:"+want.String())
		}
		if a := answer(t, tr, small("audio recvonly")); a.Role != want {
			t.Errorf("%s, then actpass: got %s, want %s to stay", setup, a.Role, want)
		}
	}
}

func TestAnswer_rejectsSectionBySection(t *testing.T) {
	offer := strings.ReplaceAll(small("audio sendonly", "video recvonly", "application x", "application x"), "opus/48000/2", "PCMU/8000")
	tr := newTransport(t, config(negotiate.Answerer))
	a := answer(t, tr, offer)
	s := sections(a.SDP)
	has(t, s["0"], "m=audio 0 UDP/TLS/RTP/SAVPF 111")
	has(t, s["3"], "m=application 0 UDP/DTLS/SCTP webrtc-datachannel")
	has(t, a.SDP, "a=group:BUNDLE 1 2")
	has(t, s["1"], "a=end-of-candidates")
	lacks(t, s["2"], "a=candidate")
	if len(a.Rejected) != 2 || a.Rejected[0].Mid != "0" || !strings.Contains(a.Rejected[0].Reason, "audio/opus") {
		t.Errorf("got %+v", a.Rejected)
	}
}

func TestAnswer_recyclesASectionThatWasOff(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	answer(t, tr, small("audio sendonly", "video sendonly"))
	off := strings.ReplaceAll(small("audio sendonly", "video off"), "BUNDLE 0 1", "BUNDLE 0")
	answer(t, tr, off)
	fresh := small("audio sendonly", "video off")
	fresh = fresh[:strings.Index(fresh, "m=video")] + smallSection("audio", "recvonly", 7)
	fresh = strings.ReplaceAll(fresh, "BUNDLE 0 1", "BUNDLE 0 7")
	bind(t, tr, opus("TR_1", 1))
	if a := answer(t, tr, fresh); a.Placed["7"] != "TR_1" {
		t.Errorf("got placed %v, want mid 7", a.Placed)
	}
}

func TestAnswer_extensionIDsMeanOneThing(t *testing.T) {
	offer := small("video sendonly", "video recvonly")
	mid := "a=extmap:%d urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
	cc := "a=extmap:%d http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
	parts := strings.SplitAfter(offer, "a=rtcp-mux\r\n")
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, vp8("TR_1", 1))
	a := answer(t, tr, parts[0]+fmt.Sprintf(mid+cc, 1, 2)+parts[1]+fmt.Sprintf(mid+cc, 2, 15)+parts[2])
	if x := a.Receive[0].Extensions; x.Mid != 1 || x.TransportCC != 2 {
		t.Errorf("got %+v, want ids 1 and 2", x)
	}
	if x := a.Send[0].Extensions; x != (negotiate.Extensions{}) {
		t.Errorf("got %+v, want none: 2 means something else, 15 is reserved", x)
	}
}

func TestAnswer_bundleOnlySections(t *testing.T) {
	offer := small("audio recvonly", "video recvonly")
	i := strings.Index(offer, "m=video")
	video := offer[i:]
	for _, line := range strings.SplitAfter(video, "\r\n") {
		if strings.HasPrefix(line, "a=ice-") || strings.HasPrefix(line, "a=fingerprint") || strings.HasPrefix(line, "a=setup") {
			video = strings.Replace(video, line, "", 1)
		}
	}
	offer = offer[:i] + strings.Replace(video, "m=video 9", "m=video 0", 1) + "a=bundle-only\r\n"
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, vp8("TR_1", 1))
	if a := answer(t, tr, offer); a.Placed["1"] != "TR_1" {
		t.Errorf("got placed %v, rejected %v", a.Placed, a.Rejected)
	}
	noAudio := strings.ReplaceAll(offer, "opus/48000/2", "PCMU/8000")
	tr = newTransport(t, config(negotiate.Answerer))
	if a := answer(t, tr, noAudio); a.Remote.Ufrag != "peer" || len(a.Rejected) != 1 {
		t.Errorf("got remote %+v: want the credentials of the refused first section", a.Remote)
	}
}

func TestAnswer_errors(t *testing.T) {
	good := small("audio recvonly", "video sendonly")
	replace := func(old, new string) string { return strings.ReplaceAll(good, old, new) }
	tests := []struct {
		name, offer string
		want        error
	}{
		{"empty", "", negotiate.ErrMalformed},
		{"not sdp", "hello", negotiate.ErrMalformed},
		{"no sections", "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", negotiate.ErrNoBundle},
		{"too large", good + strings.Repeat("a=x\r\n", negotiate.MaxSize/5), negotiate.ErrTooLarge},
		{"too many sections", strings.Repeat("m=audio 9 x 0\r\n", negotiate.MaxSections+1), negotiate.ErrTooLarge},
		{"long line", good + "a=x:" + strings.Repeat("x", 5000) + "\r\n", negotiate.ErrTooLarge},
		{"control character", good + "a=x:\x01\r\n", negotiate.ErrMalformed},
		{"carriage return in a line", good + "a=x:\rm=audio\r\n", negotiate.ErrMalformed},
		{"no bundle", replace("a=group:BUNDLE 0 1\r\n", ""), negotiate.ErrNoBundle},
		{"bundle of an unknown mid", replace("BUNDLE 0 1", "BUNDLE 0 2"), negotiate.ErrMalformed},
		{"two bundles", replace("a=group:BUNDLE 0 1\r\n", "a=group:BUNDLE 0\r\na=group:BUNDLE 1\r\n"), negotiate.ErrMalformed},
		{"no mux", replace("a=rtcp-mux\r\n", ""), negotiate.ErrNoRTCPMux},
		{"no ufrag", replace("a=ice-ufrag:peer\r\n", ""), negotiate.ErrNoICE},
		{"short password", replace("peer-password-22-chars", "short"), negotiate.ErrNoICE},
		{"sha-1 only", replace("sha-256", "sha-1"), negotiate.ErrNoFingerprint},
		{"holdconn", replace("actpass", "holdconn"), negotiate.ErrSetup},
		{"no mid", replace("a=mid:1\r\n", ""), negotiate.ErrMalformed},
		{"same mid", replace("a=mid:1\r\n", "a=mid:0\r\n"), negotiate.ErrMalformed},
		{"mid twice", replace("a=mid:1\r\n", "a=mid:1\r\na=mid:2\r\n"), negotiate.ErrMalformed},
		{"two directions", replace("a=sendonly\r\n", "a=sendonly\r\na=recvonly\r\n"), negotiate.ErrMalformed},
		{"rtpmap twice", replace("a=rtpmap:96 VP8/90000\r\n", "a=rtpmap:96 VP8/90000\r\na=rtpmap:96 VP9/90000\r\n"), negotiate.ErrMalformed},
		{"bad ssrc", replace("a=ssrc:1001", "a=ssrc:-1"), negotiate.ErrMalformed},
		{"nothing in common", strings.NewReplacer("opus", "G722", "VP8", "H263").Replace(good), negotiate.ErrNoCodec},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTransport(t, config(negotiate.Answerer))
			_, err := tr.Answer(tc.offer)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestAnswer_laterOffersMayNotChangeWhatIsAgreed(t *testing.T) {
	good := small("audio recvonly", "video sendonly")
	tests := []struct {
		name, offer string
		want        error
		text        string
	}{
		{"section left out", small("audio recvonly"), negotiate.ErrMidChanged, "port 0"},
		{"order", small("video sendonly", "audio recvonly"), negotiate.ErrMidChanged, `section 0 (mid "0"): was audio`},
		{"mid", strings.NewReplacer("mid:1", "mid:x", "BUNDLE 0 1", "BUNDLE 0 x").Replace(good), negotiate.ErrMidChanged, `section 1 (mid "x")`},
		{"certificate", strings.ReplaceAll(good, "01:23:45", "01:23:46"), negotiate.ErrFingerprintChanged, "new session"},
		{"role", strings.ReplaceAll(good, "actpass", "passive"), negotiate.ErrSetup, "actpass"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTransport(t, config(negotiate.Answerer))
			answer(t, tr, good)
			if _, err := tr.Answer(tc.offer); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
			answer(t, tr, good) // nothing has changed
		})
	}
}

func TestAnswer_ignoresWhatItDoesNotKnow(t *testing.T) {
	offer := small("audio recvonly")
	strange := strings.ReplaceAll(offer, "t=0 0\r\n", "t=0 0\r\nq=future\r\na=future:1\r\n") + "b=XX:1\r\nk=future\r\na=future\r\na=rtcp-xr:all\r\na=ssrc-group:NEW 1 2\r\n"
	if got, want := answer(t, newTransport(t, config(negotiate.Answerer)), strange).SDP, answer(t, newTransport(t, config(negotiate.Answerer)), offer).SDP; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// firefox is an offer in Firefox's manner, written by hand: transport lines
// before the sections, credentials of their own in each section of a first
// offer, directions on header extensions, mids without numbers, a bundle-only
// section with port 0.
const firefox = `v=0
o=mozilla...THIS_IS_SDPARTA-99.0 7 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF
a=group:BUNDLE cam mic
a=ice-options:trickle
a=extmap-allow-mixed
a=msid-semantic:WMS *
m=video 9 UDP/TLS/RTP/SAVPF 120 124 126 127
c=IN IP4 0.0.0.0
a=sendonly
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:9/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:10/recvonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:124 apt=120
a=fmtp:127 apt=126
a=ice-pwd:11111111111111111111111111111111
a=ice-ufrag:11111111
a=mid:cam
a=msid:- {camera}
a=rid:hi send
a=rid:lo send
a=rtcp-fb:* nack pli
a=rtcp-fb:120 transport-cc
a=rtcp-mux
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=rtpmap:126 H264/90000
a=rtpmap:127 rtx/90000
a=setup:actpass
a=simulcast:send hi;~lo
m=audio 0 UDP/TLS/RTP/SAVPF 109
c=IN IP4 0.0.0.0
a=bundle-only
a=recvonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=ice-pwd:22222222222222222222222222222222
a=ice-ufrag:22222222
a=mid:mic
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=setup:actpass
`

func TestAnswer_firefoxManner(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	bind(t, tr, opus("TR_a", 1))
	a := answer(t, tr, firefox)
	if a.Remote.Ufrag != "11111111" || a.Placed["mic"] != "TR_a" || len(a.Receive) != 1 {
		t.Fatalf("got %+v", a)
	}
	v := a.Receive[0]
	if v.CID != "{camera}" || v.StreamID != "" || strings.Join(v.RIDs, ";") != "hi;lo" {
		t.Errorf("got cid %q, stream %q, rids %v", v.CID, v.StreamID, v.RIDs)
	}
	if want := (negotiate.Extensions{Mid: 3, TransportCC: 7, RID: 9, Mixed: true}); v.Extensions != want {
		t.Errorf("got extensions %+v, want %+v: playout delay goes the other way", v.Extensions, want)
	}
	if c := v.Codecs[0]; c.PayloadType != 120 || c.RTXPayloadType != 124 || strings.Join(c.Feedback, ",") != "nack pli,transport-cc" {
		t.Errorf("got codec %+v", c)
	}
	has(t, a.SDP, "a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
	has(t, a.SDP, "m=audio 9 UDP/TLS/RTP/SAVPF 109")
}
