package relay

import "strings"

// Mime is a codec, by its number in the protocol; 0 is none. Numbers that a node
// doesn't know are those of newer versions: it leaves such formats out.
type Mime uint8

// The codecs (spec RELAY-14).
const (
	Opus Mime = iota + 1
	RED
	VP8
	H264
	VP9
	AV1
)

// Format is how a codec is carried on every trunk. Formats of one codec with
// other parameters share the payload type: a stream says by its track which it
// is.
type Format struct {
	Mime        Mime
	Name        string // MIME type
	Video       bool
	ClockRate   uint32 // Hz
	PayloadType uint8
	RTX         uint8 // payload type of retransmissions, 0 for none
}

var formats = [...]Format{
	{Opus, "audio/opus", false, 48000, 111, 0},
	{RED, "audio/red", false, 48000, 63, 0},
	{VP8, "video/VP8", true, 90000, 96, 97},
	{H264, "video/H264", true, 90000, 102, 103},
	{VP9, "video/VP9", true, 90000, 98, 99},
	{AV1, "video/AV1", true, 90000, 45, 46},
}

// Formats lists how tracks of a kind may be carried.
func Formats(video bool) (out []Format) {
	for _, f := range formats {
		if f.Video == video {
			out = append(out, f)
		}
	}
	return out
}

// Format returns how the codec is carried; false if it is none or unknown.
func (m Mime) Format() (Format, bool) {
	if m == 0 || int(m) > len(formats) {
		return Format{}, false
	}
	return formats[m-1], true
}

// MimeOf finds a codec by its MIME type, in any letter case; 0 if it is unknown.
func MimeOf(name string) Mime {
	for _, f := range formats {
		if strings.EqualFold(f.Name, name) {
			return f.Mime
		}
	}
	return 0
}

// Ids of RTP header extensions on every trunk (spec RELAY-15).
const (
	ExtensionAudioLevel  = 1
	ExtensionTransportCC = 2
	ExtensionDependency  = 3
)
