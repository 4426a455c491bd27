package negotiate_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew")

// config is a node with one address of each family and numbered credentials.
func config(role negotiate.Role) negotiate.Config {
	print, err := negotiate.ParseFingerprint("sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"))
	if err != nil {
		panic(err)
	}
	n := 0
	return negotiate.Config{
		Role:        role,
		Candidates:  []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7000"), netip.MustParseAddrPort("[2001:db8::1]:7000")},
		Fingerprint: print,
		NewICE: func() negotiate.ICE {
			n++
			return negotiate.ICE{Ufrag: fmt.Sprintf("node%d", n), Pwd: fmt.Sprintf("a-password-of-22-chars%d", n)}
		},
	}
}

func newTransport(t testing.TB, cfg negotiate.Config) *negotiate.Transport {
	t.Helper()
	tr, err := negotiate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func answer(t testing.TB, tr *negotiate.Transport, offer string) negotiate.Agreement {
	t.Helper()
	a, err := tr.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bind(t testing.TB, tr *negotiate.Transport, track negotiate.Track) negotiate.Binding {
	t.Helper()
	b, err := tr.Bind(track)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func track(id string, kind negotiate.Kind, mime, fmtp string, ssrc uint32) negotiate.Track {
	tr := negotiate.Track{ID: drtc.TrackID(id), Stream: "PA_alice|camera", Kind: kind, SSRC: ssrc,
		Codec: negotiate.Codec{Mime: mime, Fmtp: fmtp}}
	if kind == negotiate.Video {
		tr.RTXSSRC = ssrc + 1
	}
	return tr
}

func vp8(id string, ssrc uint32) negotiate.Track {
	return track(id, negotiate.Video, negotiate.VP8, "", ssrc)
}

func opus(id string, ssrc uint32) negotiate.Track {
	return track(id, negotiate.Audio, negotiate.Opus, "", ssrc)
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, name); got != want {
		t.Errorf("%s differs (run with -rewrite and look at the difference)\ngot:\n%s", name, got)
	}
}

// sections splits a description into its media sections, by mid.
func sections(sdp string) map[string]string {
	out := make(map[string]string)
	for _, s := range strings.Split(sdp, "\r\nm=")[1:] {
		_, rest, _ := strings.Cut(s, "a=mid:")
		mid, _, _ := strings.Cut(rest, "\r\n")
		out[mid] = "m=" + s + "\r\n"
	}
	return out
}

func has(t *testing.T, section, line string) {
	t.Helper()
	if !strings.Contains(section, line+"\r\n") {
		t.Errorf("want the line %q in\n%s", line, section)
	}
}

func lacks(t *testing.T, section, part string) {
	t.Helper()
	if strings.Contains(section, part) {
		t.Errorf("want no %q in\n%s", part, section)
	}
}

// small is a minimal offer: one section per "kind direction" pair, mids from 0.
func small(pairs ...string) string {
	var mids, body string
	for i, p := range pairs {
		kind, direction, _ := strings.Cut(p, " ")
		mids += fmt.Sprintf(" %d", i)
		body += smallSection(kind, direction, i)
	}
	return "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE" + mids + "\r\n" + body
}

func smallSection(kind, direction string, mid int) string {
	const transport = "a=ice-ufrag:peer\r\na=ice-pwd:peer-password-22-chars\r\na=setup:actpass\r\na=fingerprint:sha-256 " +
		"01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF\r\n"
	head := func(port int, rest string) string {
		return fmt.Sprintf("m=%s %d %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\n", kind, port, rest, mid)
	}
	switch {
	case direction == "off":
		return head(0, "UDP/TLS/RTP/SAVPF 96") + "a=inactive\r\n"
	case kind == "application":
		return head(9, "UDP/DTLS/SCTP webrtc-datachannel") + transport + "a=sctp-port:5000\r\n"
	}
	s := "a=rtcp-mux\r\na=" + direction + "\r\n"
	if direction == "sendonly" || direction == "sendrecv" {
		s += fmt.Sprintf("a=msid:s%d t%d\r\na=ssrc:%d cname:c\r\n", mid, mid, 1000+mid)
	}
	if kind == "audio" {
		return head(9, "UDP/TLS/RTP/SAVPF 111") + transport + s + "a=rtpmap:111 opus/48000/2\r\n"
	}
	return head(9, "UDP/TLS/RTP/SAVPF 96 97") + transport + s + "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
}
