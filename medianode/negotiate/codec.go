package negotiate

import (
	"fmt"
	"strconv"
	"strings"
)

// The codecs of this package, by MIME type.
const (
	Opus = "audio/opus"
	RED  = "audio/red" // redundant Opus, RFC 2198
	VP8  = "video/VP8"
	H264 = "video/H264" // packetization-mode 1 only
	VP9  = "video/VP9"  // profile 0 only
	AV1  = "video/AV1"  // profile 0 only
)

// Codec is one format of a section, with the payload types of the section.
type Codec struct {
	PayloadType    uint8
	RTXPayloadType uint8 // 0: no retransmission stream
	Mime           string
	ClockRate      uint32 // Hz
	Channels       uint16 // 0 for video
	Fmtp           string
	Feedback       []string // of nack, "nack pli", "ccm fir", transport-cc
}

// spec is a row of the codec table.
type spec struct {
	mime     string
	kind     Kind
	name     string // encoding name of a=rtpmap
	clock    uint32
	channels uint16
}

var codecTable = [...]spec{
	{Opus, Audio, "opus", 48000, 2},
	{RED, Audio, "red", 48000, 2},
	{VP8, Video, "VP8", 90000, 0},
	{H264, Video, "H264", 90000, 0},
	{VP9, Video, "VP9", 90000, 0},
	{AV1, Video, "AV1", 90000, 0},
}

// DefaultCodecs are the MIME types that a Config without Codecs enables: all
// but RED, which trades bandwidth for loss and is the owner's choice.
func DefaultCodecs() []string { return []string{Opus, VP8, H264, VP9, AV1} }

func specByMime(mime string) (spec, bool) {
	for _, s := range codecTable {
		if strings.EqualFold(s.mime, mime) {
			return s, true
		}
	}
	return spec{}, false
}

func specByName(kind Kind, name string, clock uint32, channels uint16) (spec, bool) {
	for _, s := range codecTable {
		if s.kind == kind && strings.EqualFold(s.name, name) && s.clock == clock && s.channels == channels {
			return s, true
		}
	}
	return spec{}, false
}

// rtpmap is the value of a=rtpmap after the payload type.
func (s spec) rtpmap() string {
	text := s.name + "/" + strconv.FormatUint(uint64(s.clock), 10)
	if s.channels > 1 {
		text += "/" + strconv.FormatUint(uint64(s.channels), 10)
	}
	return text
}

// usable reports whether the node can forward a format with these parameters.
func (s spec) usable(fmtp string) bool {
	switch s.mime {
	case H264:
		mode, _ := parameter(fmtp, "packetization-mode")
		return mode == "1" && parseH264Profile(fmtp) != unknownProfile
	case VP9:
		id, ok := parameter(fmtp, "profile-id")
		return !ok || id == "0"
	case AV1:
		id, ok := parameter(fmtp, "profile")
		return !ok || id == "0"
	}
	return true
}

// parameter finds a key of an a=fmtp value, whose keys have no letter case.
func parameter(fmtp, key string) (string, bool) {
	for part := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(k, key) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// h264Profile is a profile of RFC 6184 table 5.
type h264Profile uint8

const (
	unknownProfile h264Profile = iota
	constrainedBaseline
	baseline
	mainProfile
	constrainedHigh
	highProfile
)

// parseH264Profile reads profile-level-id. Browsers take a missing one as
// constrained baseline, not as the RFC's baseline level 1, and so does this.
func parseH264Profile(fmtp string) h264Profile {
	text, ok := parameter(fmtp, "profile-level-id")
	if !ok {
		return constrainedBaseline
	}
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 6 {
		return unknownProfile
	}
	idc, iop := uint8(v>>16), uint8(v>>8)
	switch {
	case idc == 0x42 && iop&0x4f == 0x40, idc == 0x4d && iop&0x8f == 0x80, idc == 0x58 && iop&0xcf == 0xc0:
		return constrainedBaseline
	case idc == 0x42 && iop&0x4f == 0, idc == 0x58 && iop&0xcf == 0x80:
		return baseline
	case idc == 0x4d && iop&0xaf == 0:
		return mainProfile
	case idc == 0x64 && iop == 0x0c:
		return constrainedHigh
	case idc == 0x64 && iop == 0:
		return highProfile
	}
	return unknownProfile
}

// decoders lists the profiles whose decoders play a stream of profile p, best
// first. Encoders of browsers use no tool of Baseline that Constrained Baseline
// lacks, so the two stand in for each other.
func (p h264Profile) decoders() []h264Profile {
	switch p {
	case constrainedBaseline:
		return []h264Profile{constrainedBaseline, baseline, mainProfile, constrainedHigh, highProfile}
	case baseline:
		return []h264Profile{baseline, constrainedBaseline, mainProfile, constrainedHigh, highProfile}
	case mainProfile:
		return []h264Profile{mainProfile, highProfile}
	case constrainedHigh:
		return []h264Profile{constrainedHigh, highProfile}
	case highProfile:
		return []h264Profile{highProfile}
	}
	return nil
}

// choose finds the codec in which a track goes to a peer that receives codecs.
// A RED track goes to a peer without RED as Opus: its first block is one. A
// track without a codec, whose media may be of any, gets the peer's first.
func choose(codecs []Codec, track Codec) (Codec, bool) {
	wanted := []func(Codec) bool{func(c Codec) bool { return strings.EqualFold(c.Mime, track.Mime) }}
	switch {
	case track.Mime == "":
		wanted[0] = func(c Codec) bool { return c.Mime != RED }
	case strings.EqualFold(track.Mime, RED):
		wanted = append(wanted, func(c Codec) bool { return c.Mime == Opus })
	case strings.EqualFold(track.Mime, H264):
		wanted = wanted[:0]
		for _, p := range parseH264Profile(track.Fmtp).decoders() {
			wanted = append(wanted, func(c Codec) bool { return c.Mime == H264 && parseH264Profile(c.Fmtp) == p })
		}
	}
	for _, match := range wanted {
		for _, c := range codecs {
			if match(c) {
				return c, true
			}
		}
	}
	return Codec{}, false
}

// first returns codecs with the one of payload type pt moved to the front.
func first(codecs []Codec, pt uint8) []Codec {
	out := make([]Codec, 0, len(codecs))
	for _, c := range codecs {
		if c.PayloadType == pt {
			out = append(out, c)
		}
	}
	for _, c := range codecs {
		if c.PayloadType != pt {
			out = append(out, c)
		}
	}
	return out
}

// describe names a codec in a reason.
func (c Codec) describe() string {
	switch c.Mime {
	case "":
		return "that the node can forward"
	case H264:
		return H264 + fmt.Sprintf(" with packetization-mode=1 and the profile of %.80q", c.Fmtp)
	}
	return c.Mime
}

// offeredCodecs is the list of our own offers. The numbers are those browsers
// use, so that traces read alike.
func offeredCodecs(kind Kind, enabled []string) []Codec {
	video := feedbackKinds()
	h264 := func(level string) string {
		return "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + level
	}
	all := []Codec{
		{PayloadType: 111, Mime: Opus, Fmtp: "minptime=10;useinbandfec=1", Feedback: []string{"transport-cc"}},
		{PayloadType: 63, Mime: RED, Fmtp: "111/111"},
		{PayloadType: 96, RTXPayloadType: 97, Mime: VP8, Feedback: video},
		{PayloadType: 108, RTXPayloadType: 109, Mime: H264, Fmtp: h264("42e01f"), Feedback: video},
		{PayloadType: 102, RTXPayloadType: 103, Mime: H264, Fmtp: h264("42001f"), Feedback: video},
		{PayloadType: 116, RTXPayloadType: 117, Mime: H264, Fmtp: h264("4d001f"), Feedback: video},
		{PayloadType: 114, RTXPayloadType: 115, Mime: H264, Fmtp: h264("640c1f"), Feedback: video},
		{PayloadType: 112, RTXPayloadType: 113, Mime: H264, Fmtp: h264("64001f"), Feedback: video},
		{PayloadType: 98, RTXPayloadType: 99, Mime: VP9, Fmtp: "profile-id=0", Feedback: video},
		{PayloadType: 45, RTXPayloadType: 46, Mime: AV1, Fmtp: "level-idx=5;profile=0;tier=0", Feedback: video},
	}
	var out []Codec
	for _, c := range all {
		s, _ := specByMime(c.Mime)
		if s.kind == kind && contains(enabled, c.Mime) {
			c.ClockRate, c.Channels = s.clock, s.channels
			out = append(out, c)
		}
	}
	return out
}

func contains(mimes []string, mime string) bool {
	for _, m := range mimes {
		if strings.EqualFold(m, mime) {
			return true
		}
	}
	return false
}
