package negotiate_test

import (
	"errors"
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

func TestTransport_role(t *testing.T) {
	answerer, offerer := newTransport(t, config(negotiate.Answerer)), newTransport(t, config(negotiate.Offerer))
	_, err1 := answerer.Offer()
	_, err2 := answerer.Accept("")
	_, err3 := offerer.Answer("")
	for _, err := range []error{err1, err2, err3, answerer.RestartICE()} {
		if !errors.Is(err, negotiate.ErrRole) {
			t.Errorf("got %v, want ErrRole", err)
		}
	}
}

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

func TestPlace_putsTracksBackOnTheirMids(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	for mid, track := range map[string]negotiate.Track{"5": vp8("TR_v", 10), "2": opus("TR_a", 20), "99": vp8("TR_w", 30)} {
		if err := tr.Place(mid, track); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Place("5", vp8("TR_x", 40)); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("second track on mid 5: got %v, want ErrPlace", err)
	}
	a := answer(t, tr, read(t, "chromium_join_offer.sdp"))
	if a.Placed["5"] != "TR_v" || a.Placed["2"] != "TR_a" || a.Placed["3"] != "TR_w" || a.Restarted {
		t.Errorf("got placed %v, restarted %v", a.Placed, a.Restarted)
	}
	if err := tr.Place("4", vp8("TR_x", 40)); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("after the first answer: got %v, want ErrPlace", err)
	}
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
		{"nothing in common", strings.NewReplacer("opus", "G722", "VP8", "H263").Replace(good), negotiate.ErrNoBundle},
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

func TestConfig_Validate(t *testing.T) {
	tests := map[string]func(*negotiate.Config){
		"Role":        func(c *negotiate.Config) { c.Role = 9 },
		"Candidates":  func(c *negotiate.Config) { c.Candidates[0] = netip.MustParseAddrPort("0.0.0.0:7000") },
		"Fingerprint": func(c *negotiate.Config) { c.Fingerprint.Sum = nil },
		"NewICE":      func(c *negotiate.Config) { c.NewICE = nil },
		"Codecs":      func(c *negotiate.Config) { c.Codecs = []string{"video/H266"} },
	}
	for field, spoil := range tests {
		cfg := config(negotiate.Answerer)
		spoil(&cfg)
		if _, err := negotiate.New(cfg); !errors.Is(err, negotiate.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want ErrConfig that names it", field, err)
		}
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

func TestFingerprint_roundTrip(t *testing.T) {
	const text = "sha-256 01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"
	f, err := negotiate.ParseFingerprint(strings.ToLower(text))
	if err != nil || f.String() != text {
		t.Errorf("got %s, %v", f, err)
	}
	for _, s := range []string{"", "sha-1 01", "sha-256 01:23", strings.ReplaceAll(text, ":", "."), strings.ReplaceAll(text, "A", "G")} {
		if _, err := negotiate.ParseFingerprint(s); !errors.Is(err, negotiate.ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", s, err)
		}
	}
}
