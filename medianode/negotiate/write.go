package negotiate

import (
	"fmt"
	"strconv"
	"strings"
)

// written is a media section about to be written.
type written struct {
	mid, proto string
	kind       Kind
	refused    string // a format of the offer: the section is refused (port 0)
	setup      string
	direction  direction
	codecs     []Codec
	extmaps    []extmap
	rtcpRsize  bool
	rids       []string // simulcast layers to receive
	track      *Track   // the track to send; nil for none
	rtx        bool     // its retransmission stream is in use
}

// text is a description under construction.
type text struct{ strings.Builder }

func (w *text) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	w.WriteString("\r\n")
}

// describe writes a whole description. bundle holds the mids in use, the one
// whose section carries the candidates first.
func (t *Transport) describe(sections []written, bundle []string, mixed bool) string {
	w := &text{}
	w.line("v=0")
	w.line("o=- %d %d IN IP4 127.0.0.1", t.session, t.version)
	w.line("s=-")
	w.line("t=0 0")
	w.line("a=group:BUNDLE %s", strings.Join(bundle, " "))
	w.line("a=ice-lite")
	if mixed {
		w.line("a=extmap-allow-mixed")
	}
	w.line("a=msid-semantic: WMS *")
	for _, s := range sections {
		t.section(w, s)
		if s.mid == bundle[0] && s.refused == "" {
			t.candidates(w)
		}
	}
	return w.String()
}

func (t *Transport) section(w *text, s written) {
	if s.refused != "" {
		w.line("m=%s 0 %s %s", s.kind, s.proto, s.refused)
		w.line("c=IN IP4 0.0.0.0")
		if s.mid != "" {
			w.line("a=mid:%s", s.mid)
		}
		w.line("a=inactive")
		return
	}
	w.line("m=%s 9 %s %s", s.kind, s.proto, s.formats())
	w.line("c=IN IP4 0.0.0.0")
	w.line("a=mid:%s", s.mid)
	w.line("a=ice-ufrag:%s", t.local.Ufrag)
	w.line("a=ice-pwd:%s", t.local.Pwd)
	w.line("a=fingerprint:%s", t.cfg.Fingerprint)
	w.line("a=setup:%s", s.setup)
	if s.kind == application {
		w.line("a=sctp-port:5000")
		w.line("a=max-message-size:%d", t.cfg.MaxMessageSize)
		return
	}
	for _, x := range s.extmaps {
		if x.explicit {
			w.line("a=extmap:%d/%s %s", x.id, x.direction, x.uri)
		} else {
			w.line("a=extmap:%d %s", x.id, x.uri)
		}
	}
	w.line("a=%s", s.direction)
	if s.track != nil {
		w.line("a=msid:%s %s", s.track.Stream, s.track.ID)
	}
	w.line("a=rtcp-mux")
	if s.rtcpRsize {
		w.line("a=rtcp-rsize")
	}
	for _, c := range s.codecs {
		w.codec(c)
	}
	w.simulcast(s.rids)
	if s.track != nil {
		w.sources(s.track, s.rtx)
	}
}

// formats is the list of payload types of the m= line.
func (s written) formats() string {
	if s.kind == application {
		return "webrtc-datachannel"
	}
	var list []string
	for _, c := range s.codecs {
		list = append(list, strconv.Itoa(int(c.PayloadType)))
		if c.RTXPayloadType != 0 {
			list = append(list, strconv.Itoa(int(c.RTXPayloadType)))
		}
	}
	return strings.Join(list, " ")
}

func (w *text) codec(c Codec) {
	spec, _ := specByMime(c.Mime)
	w.line("a=rtpmap:%d %s", c.PayloadType, spec.rtpmap())
	for _, fb := range c.Feedback {
		w.line("a=rtcp-fb:%d %s", c.PayloadType, fb)
	}
	fmtp := c.Fmtp
	if _, ok := parameter(fmtp, "useinbandfec"); c.Mime == Opus && !ok {
		fmtp = strings.TrimPrefix(fmtp+";useinbandfec=1", ";")
	}
	if fmtp != "" {
		w.line("a=fmtp:%d %s", c.PayloadType, fmtp)
	}
	if c.RTXPayloadType != 0 {
		w.line("a=rtpmap:%d rtx/%d", c.RTXPayloadType, c.ClockRate)
		w.line("a=fmtp:%d apt=%d", c.RTXPayloadType, c.PayloadType)
	}
}

func (w *text) simulcast(rids []string) {
	for _, rid := range rids {
		w.line("a=rid:%s recv", rid)
	}
	if len(rids) > 0 {
		w.line("a=simulcast:recv %s", strings.Join(rids, ";"))
	}
}

// sources names the streams of a track; the stream id is its CNAME, so that
// browsers synchronise what belongs together.
func (w *text) sources(track *Track, rtx bool) {
	if rtx {
		w.line("a=ssrc-group:FID %d %d", track.SSRC, track.RTXSSRC)
	}
	w.line("a=ssrc:%d cname:%s", track.SSRC, track.Stream)
	if rtx {
		w.line("a=ssrc:%d cname:%s", track.RTXSSRC, track.Stream)
	}
}

// candidates writes the node's addresses (RFC 8839), all there will be.
func (t *Transport) candidates(w *text) {
	for i, a := range t.cfg.Candidates {
		// Type preference of a host candidate, then the order of Config.
		priority := 126<<24 | (65535-i)<<8 | 255
		w.line("a=candidate:%d 1 udp %d %s %d typ host", i+1, priority, a.Addr().Unmap().WithZone(""), a.Port())
	}
	w.line("a=end-of-candidates")
}
