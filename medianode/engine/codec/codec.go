package codec

import "strings"

// Kind is a codec whose payloads this package knows.
type Kind uint8

// The codecs. Unknown payloads are forwarded and never start a key frame.
const (
	Unknown Kind = iota
	Opus
	RED
	VP8
	H264
	VP9
	AV1
)

// Of returns the codec of a media type such as "video/VP8" or of an SDP
// encoding name such as "opus", in any letter case.
func Of(mime string) Kind {
	name := mime
	if _, after, ok := strings.Cut(mime, "/"); ok {
		name = after
	}
	for kind := Opus; kind <= AV1; kind++ {
		if strings.EqualFold(name, kind.String()) {
			return kind
		}
	}
	return Unknown
}

// String returns the SDP encoding name, "unknown" for Unknown.
func (k Kind) String() string {
	switch k {
	case Opus:
		return "opus"
	case RED:
		return "red"
	case VP8:
		return "VP8"
	case H264:
		return "H264"
	case VP9:
		return "VP9"
	case AV1:
		return "AV1"
	}
	return "unknown"
}

// Video reports whether k has key frames.
func (k Kind) Video() bool { return k >= VP8 }

// StartsKeyFrame reports whether the payload is the first of a key frame, the
// place at which a receiver can begin to decode. An H.264 key frame of several
// NAL units may say so more than once.
func StartsKeyFrame(kind Kind, payload []byte) bool {
	switch kind {
	case VP8:
		d, err := ParseVP8(payload)
		return err == nil && d.KeyFrame
	case H264:
		return startsH264(payload)
	case VP9:
		return startsVP9(payload)
	case AV1:
		return startsAV1(payload)
	}
	return false
}
