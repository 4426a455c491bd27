package client

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of a SignalRequest, client to server.
const (
	requestOffer    protowire.Number = 1
	requestAnswer   protowire.Number = 2
	requestAddTrack protowire.Number = 4
	requestSettings protowire.Number = 7
	requestLeave    protowire.Number = 8
	requestPing     protowire.Number = 14
)

// Numbers of the fields of a SignalResponse, server to client.
const (
	responseJoin           protowire.Number = 1
	responseAnswer         protowire.Number = 2
	responseOffer          protowire.Number = 3
	responseTrickle        protowire.Number = 4
	responseTrackPublished protowire.Number = 6
	responseLeave          protowire.Number = 8
	responseSections       protowire.Number = 25
)

// Values of enumerations.
const (
	trackAudio       = 0
	trackVideo       = 1
	sourceCamera     = 1
	sourceMicrophone = 2
	targetPublisher  = 0
	targetSubscriber = 1
	leaveByClient    = 1 // DisconnectReason CLIENT_INITIATED
	sdkGo            = 5
	protocolVersion  = 16
)

// description is a SessionDescription.
type description struct {
	kind string // offer or answer
	sdp  string
	id   uint64
	// tracks are those that the server's answer puts into sections, by mid.
	tracks map[string]string
}

// sections is a MediaSectionsRequirement: how many more a client should offer.
type sections struct{ audio, video uint64 }

// trickle is a TrickleRequest: a candidate as JSON, for one of the two
// PeerConnections.
type trickle struct {
	candidate []byte
	target    uint64
}

// response is what of a SignalResponse the clients use; kind is the number of
// its one field.
type response struct {
	kind        protowire.Number
	description description // of an offer or an answer
	trickle     trickle
	sections    sections
}

// appendMessage puts the one field of a SignalRequest around a message.
func appendMessage(field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), message)
}

func encodeDescription(field protowire.Number, d description) []byte {
	m := appendString(nil, 1, d.kind)
	m = appendString(m, 2, d.sdp)
	return appendMessage(field, appendNumber(m, 3, d.id))
}

func encodeAudio(cid string) []byte {
	m := appendString(nil, 1, cid)
	m = appendString(m, 2, "microphone")
	m = appendNumber(m, 3, trackAudio)
	m = appendNumber(m, 8, sourceMicrophone)
	m = appendNumber(m, 13, 1) // no redundant audio
	return appendMessage(requestAddTrack, m)
}

func encodeVideo(cid string, width, height uint64) []byte {
	m := appendString(nil, 1, cid)
	m = appendString(m, 2, "camera")
	m = appendNumber(m, 3, trackVideo)
	m = appendNumber(m, 4, width)
	m = appendNumber(m, 5, height)
	m = appendNumber(m, 8, sourceCamera)
	return appendMessage(requestAddTrack, m)
}

// Size is what a layer of a camera is announced as.
type Size struct {
	Width, Height uint64
	Bitrate       uint64 // bits per second
}

// encodeLayers announces a camera in layers, lowest first.
func encodeLayers(cid string, sizes []Size) []byte {
	largest := sizes[len(sizes)-1]
	m := appendString(nil, 1, cid)
	m = appendString(m, 2, "camera")
	m = appendNumber(m, 3, trackVideo)
	m = appendNumber(m, 4, largest.Width)
	m = appendNumber(m, 5, largest.Height)
	m = appendNumber(m, 8, sourceCamera)
	for quality, s := range sizes {
		layer := appendNumber(nil, 1, uint64(quality)) //nolint:gosec // at most MaxLayers
		layer = appendNumber(layer, 2, s.Width)
		layer = appendNumber(layer, 3, s.Height)
		layer = appendNumber(layer, 4, s.Bitrate)
		m = protowire.AppendBytes(protowire.AppendTag(m, 9, protowire.BytesType), layer)
	}
	return appendMessage(requestAddTrack, m)
}

// encodeQuality says which layer of a track is wanted.
func encodeQuality(track string, q Quality) []byte {
	m := appendString(nil, 1, track)
	return appendMessage(requestSettings, appendNumber(m, 4, uint64(q)))
}

// encodePing carries the sender's clock in milliseconds since 1970.
func encodePing(unixMilli int64) []byte {
	return appendNumber(nil, requestPing, uint64(unixMilli))
}

func encodeLeave() []byte {
	return appendMessage(requestLeave, appendNumber(nil, 2, leaveByClient))
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// decodeResponse reads a SignalResponse. Messages that the clients do not use
// have a kind alone.
func decodeResponse(b []byte) (response, error) {
	var r response
	err := eachField(b, func(field protowire.Number, _ uint64, message []byte) error {
		r.kind = field
		switch field {
		case responseAnswer, responseOffer:
			return eachField(message, func(field protowire.Number, v uint64, text []byte) error {
				switch field {
				case 1:
					r.description.kind = string(text)
				case 2:
					r.description.sdp = string(text)
				case 3:
					r.description.id = v
				case 4:
					return r.description.addTrack(text)
				}
				return nil
			})
		case responseSections:
			return eachField(message, func(field protowire.Number, v uint64, _ []byte) error {
				switch field {
				case 1:
					r.sections.audio = v
				case 2:
					r.sections.video = v
				}
				return nil
			})
		case responseTrickle:
			return eachField(message, func(field protowire.Number, v uint64, text []byte) error {
				switch field {
				case 1:
					r.trickle.candidate = text
				case 2:
					r.trickle.target = v
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return response{}, fmt.Errorf("client: reading a message of the server: %w", err)
	}
	return r, nil
}

// addTrack reads an entry of the map from mids to tracks.
func (d *description) addTrack(entry []byte) error {
	var mid, track string
	err := eachField(entry, func(field protowire.Number, _ uint64, text []byte) error {
		switch field {
		case 1:
			mid = string(text)
		case 2:
			track = string(text)
		}
		return nil
	})
	if d.tracks == nil {
		d.tracks = map[string]string{}
	}
	d.tracks[mid] = track
	return err
}

// encodeJoin is a WrappedJoinRequest of who may play everything.
func encodeJoin(plays bool) []byte {
	info := appendNumber(nil, 1, sdkGo)
	info = appendString(info, 2, "2.4.0")
	info = appendNumber(info, 3, protocolVersion)
	var settings []byte
	if plays {
		settings = appendNumber(settings, 1, 1)
	}
	m := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), info)
	m = protowire.AppendBytes(protowire.AppendTag(m, 2, protowire.BytesType), settings)
	return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), m)
}

// eachField calls f for every field of a message: v of a number, text of
// anything with a length.
func eachField(b []byte, f func(field protowire.Number, v uint64, text []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(field, v, text); err != nil {
			return err
		}
	}
	return nil
}
