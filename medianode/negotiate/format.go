package negotiate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// payload is what the attributes say about one payload type.
type payload struct {
	name     string
	clock    uint32
	channels uint16
	fmtp     string
	feedback []string
}

// codecs lists the enabled formats that the section names, in its order, with
// their retransmission payload types.
func (s *section) codecs(enabled []string) []Codec {
	rtx := make(map[string]uint8)
	var opus string
	for _, f := range s.formats {
		pt, p := s.payload(f)
		if p == nil {
			continue
		}
		if apt, ok := parameter(p.fmtp, "apt"); ok && strings.EqualFold(p.name, "rtx") && rtx[apt] == 0 {
			rtx[apt] = pt
		}
		if opus == "" && strings.EqualFold(p.name, "opus") {
			opus = f
		}
	}
	var out []Codec
	for _, f := range s.formats {
		pt, p := s.payload(f)
		if p == nil || slices.ContainsFunc(out, func(c Codec) bool { return c.PayloadType == pt }) {
			continue
		}
		spec, ok := specByName(s.kind, p.name, p.clock, p.channels)
		if !ok || !contains(enabled, spec.mime) || !spec.usable(p.fmtp) {
			continue
		}
		if blocks := strings.Split(p.fmtp, "/"); spec.mime == RED && (opus == "" || blocks[0] != opus) {
			continue
		}
		c := Codec{PayloadType: pt, Mime: spec.mime, ClockRate: spec.clock, Channels: spec.channels, Fmtp: p.fmtp}
		if s.kind == Video {
			c.RTXPayloadType = rtx[f]
		}
		for _, fb := range feedbackKinds() {
			if slices.Contains(p.feedback, fb) || slices.Contains(s.anyFB, fb) {
				c.Feedback = append(c.Feedback, fb)
			}
		}
		out = append(out, c)
	}
	return out
}

// payload finds a format's attributes; nil when it is no payload type that may
// be used beside RTCP on one port (RFC 5761 section 4).
func (s *section) payload(format string) (uint8, *payload) {
	pt, err := strconv.ParseUint(format, 10, 8)
	if err != nil || pt > 127 || pt >= 64 && pt <= 95 {
		return 0, nil
	}
	return uint8(pt), s.payloads[uint8(pt)]
}

// readFormat reads the lines that begin with a payload type.
func (s *section) readFormat(a sdp.Attribute, seen once) error {
	number, value, ok := strings.Cut(a.Value, " ")
	value = strings.TrimSpace(value)
	if a.Key == "rtcp-fb" && number == "*" {
		s.anyFB = addFeedback(s.anyFB, value)
		return nil
	}
	pt, err := strconv.ParseUint(number, 10, 8)
	if err != nil || pt > 127 || !ok {
		if !slices.Contains(s.formats, number) {
			return nil // of a format that is not a payload type
		}
		return s.errorf(ErrMalformed, "a=%s: want a payload type and a value, got %.40q", a.Key, a.Value)
	}
	p := s.payloads[uint8(pt)]
	if p == nil {
		p = &payload{}
		s.payloads[uint8(pt)] = p
	}
	if a.Key == "rtcp-fb" {
		p.feedback = addFeedback(p.feedback, value)
		return nil
	}
	if !seen.add(a.Key + number) {
		return s.twice(a.Key + ":" + number)
	}
	if a.Key == "fmtp" {
		p.fmtp = value
		return nil
	}
	return s.readRtpmap(p, value)
}

// feedbackKinds are the values of a=rtcp-fb that the node understands. Not
// goog-remb: who offers both would then send no transport-wide feedback.
func feedbackKinds() []string { return []string{"nack", "nack pli", "ccm fir", "transport-cc"} }

func addFeedback(list []string, value string) []string {
	if slices.Contains(feedbackKinds(), value) && !slices.Contains(list, value) {
		return append(list, value)
	}
	return list
}

func (s *section) readRtpmap(p *payload, value string) error {
	name, rest, _ := strings.Cut(value, "/")
	rate, channels, stereo := strings.Cut(rest, "/")
	clock, err := strconv.ParseUint(rate, 10, 32)
	if err != nil || name == "" {
		return s.errorf(ErrMalformed, "a=rtpmap: want name/rate, got %.40q", value)
	}
	p.name, p.clock = name, uint32(clock)
	if stereo {
		n, err := strconv.ParseUint(channels, 10, 16)
		if err != nil {
			return s.errorf(ErrMalformed, "a=rtpmap: want a number of channels, got %.40q", value)
		}
		p.channels = uint16(n)
	}
	return nil
}
