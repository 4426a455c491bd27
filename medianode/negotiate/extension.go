package negotiate

// Extensions are the ids of the header extensions (RFC 8285) in use on a
// section, 1 to 14, or 0 for one that is not in use.
type Extensions struct {
	Mid                  uint8 // RFC 9143
	RID                  uint8 // RFC 8852
	RepairedRID          uint8 // RFC 8852
	AudioLevel           uint8 // RFC 6464
	TransportCC          uint8 // transport-wide sequence number
	AbsSendTime          uint8
	DependencyDescriptor uint8 // AV1 RTP specification, appendix A
	PlayoutDelay         uint8

	// Mixed allows packets with one-byte and with two-byte headers on one
	// stream; without it every element must fit one byte headers, 16 bytes.
	Mixed bool
}

// maxExtensionID is the highest id of a one-byte header; 15 is reserved. Ids
// above it are not answered, so that every packet may use the short form.
const maxExtensionID = 14

const (
	uriMid                  = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID                  = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	uriRepairedRID          = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	uriAudioLevel           = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	uriTransportCC          = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	uriAbsSendTime          = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
	uriDependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
	uriPlayoutDelay         = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
)

// slot is the field of an extension, nil for one this package does not know.
func (e *Extensions) slot(uri string) *uint8 {
	switch uri {
	case uriMid:
		return &e.Mid
	case uriRID:
		return &e.RID
	case uriRepairedRID:
		return &e.RepairedRID
	case uriAudioLevel:
		return &e.AudioLevel
	case uriTransportCC:
		return &e.TransportCC
	case uriAbsSendTime:
		return &e.AbsSendTime
	case uriDependencyDescriptor:
		return &e.DependencyDescriptor
	case uriPlayoutDelay:
		return &e.PlayoutDelay
	}
	return nil
}

// extmap is one a=extmap line.
type extmap struct {
	id        uint8
	direction direction // of the side that wrote the line
	explicit  bool      // the line names its direction
	uri       string
}

// offeredExtensions are the lines of our own offers, for sections we send on.
func offeredExtensions(k Kind) []extmap {
	both := []extmap{
		{id: 2, uri: uriAbsSendTime}, {id: 3, uri: uriTransportCC}, {id: 4, uri: uriMid},
	}
	if k == Audio {
		both = append(both, extmap{id: 1, uri: uriAudioLevel})
	} else {
		both = append(both, extmap{id: 5, uri: uriPlayoutDelay}, extmap{id: 6, uri: uriDependencyDescriptor})
	}
	for i := range both {
		both[i].direction = sendRecv
	}
	return both
}

// answerExtensions chooses the lines to answer: those we know, in the
// direction that flows. receive says whether packets of the section come to us.
// taken holds what ids mean in the sections before, because one id must mean
// one thing in the whole BUNDLE group; a line that contradicts it is dropped.
//
// The stream ids are answered even where nothing is received: Chromium 156
// offers a later section only the extensions that sections of its kind before
// it got, and then fails to offer simulcast because the rid is not among them.
func answerExtensions(offered []extmap, kind Kind, receive bool, taken map[uint8]string) ([]extmap, Extensions) {
	var lines []extmap
	var ids Extensions
	for _, x := range offered {
		slot := ids.slot(x.uri)
		if slot == nil || *slot != 0 || x.id == 0 || x.id > maxExtensionID {
			continue
		}
		if kind != Video && (x.uri == uriRID || x.uri == uriRepairedRID) {
			continue
		}
		if receive && !x.direction.sends() || !receive && !x.direction.receives() {
			continue
		}
		if uri, ok := taken[x.id]; ok && uri != x.uri {
			continue
		}
		taken[x.id] = x.uri
		*slot = x.id
		x.direction = x.direction.reversed()
		lines = append(lines, x)
	}
	return lines, ids
}
