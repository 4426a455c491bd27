package whip

import (
	"errors"
	"strings"
	"testing"
)

// An offer never panics, is bounded, and what is restarted of it has the new
// credentials alone.
func FuzzReadOffer(f *testing.F) {
	f.Add("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=msid:s t\r\na=ice-ufrag:abcd\r\na=ice-pwd:x\r\n")
	f.Add("v=0\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=bundle-only\na=simulcast:send a;~b,c recv d\na=recvonly\n")
	f.Add("v=0\r\na=recvonly\r\nm=video 9 x 96\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")
	f.Add("v=0\r\nm=")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOffer(text)
		if err != nil {
			return
		}
		if len(o.sections) == 0 || len(o.sections) > maxSections {
			t.Fatalf("%d sections", len(o.sections))
		}
		tracks, err := o.tracks()
		var refused *refusal
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("tracks: %v is no refusal", err)
		}
		seen := map[string]bool{}
		for _, track := range tracks {
			if track.CID == "" || len(track.Layers) > maxLayers {
				t.Fatalf("track %+v", track)
			}
			seen[track.CID] = true
		}
		audio, video, err := o.watch()
		if err == nil && audio+video == 0 || audio+video > len(o.sections) {
			t.Fatalf("%d audio and %d video sections to watch", audio, video)
		}
		again := restarted(text, fragment{ufrag: "new0", pwd: "new0new0new0new0new0new0"})
		for line := range strings.Lines(again) {
			if strings.HasPrefix(line, "a=ice-ufrag:") && line != "a=ice-ufrag:new0\r\n" || strings.HasPrefix(line, "a=candidate:") {
				t.Fatalf("a restarted offer has %q", line)
			}
		}
	})
}

// A fragment never panics and is bounded, and what it holds may stand in an
// offer.
func FuzzReadFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\na=end-of-candidates\r\n")
	f.Add("a=ice-pwd:\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readFragment(text)
		if err != nil {
			return
		}
		if (got.ufrag == "") != (got.pwd == "") || len(got.candidates) > maxCandidates {
			t.Fatalf("read %+v", got)
		}
		for _, value := range append([]string{got.ufrag, got.pwd}, got.candidates...) {
			if strings.ContainsAny(value, "\r\n") {
				t.Fatalf("%q would be more than one line", value)
			}
		}
	})
}

// The answer's side of ICE has no line that is not of ICE.
func FuzzFragmentOf(f *testing.F) {
	f.Add("v=0\r\na=group:BUNDLE 0\r\na=ice-lite\r\nm=audio 0 x 0\r\nm=video 9 x 96\r\na=mid:0\r\na=ice-ufrag:n\r\na=ice-pwd:p\r\na=candidate:1\r\na=end-of-candidates\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		sections := 0
		for line := range strings.Lines(fragmentOf(text)) {
			if strings.HasPrefix(line, "m=") {
				sections++
			}
			if strings.HasPrefix(line, "a=fingerprint") || strings.HasPrefix(line, "a=rtpmap") {
				t.Fatalf("has %q", line)
			}
		}
		if sections > 1 {
			t.Fatalf("%d sections, want one at most", sections)
		}
	})
}
