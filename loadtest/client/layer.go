package client

import (
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	extensionMid = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extensionRID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
)

// layerRIDs are the names of simulcast layers, lowest first, as LiveKit SDKs
// have them.
var layerRIDs = [...]string{"q", "h", "f"}

// MaxLayers is how many layers a camera may have.
const MaxLayers = len(layerRIDs)

// Layer is one simulcast layer of a camera (RFC 8853). A packet that is written
// to it says which section and layer it is of, which pion leaves to its user.
type Layer struct {
	*webrtc.TrackLocalStaticRTP
	stamp atomic.Pointer[stamp] // nil until the connection is negotiated
	mid   atomic.Pointer[string]
}

// stamp is which header extensions were agreed on; 0 is none.
type stamp struct{ mid, rid uint8 }

// NewLayers returns the layers of one VP8 camera, 2 to MaxLayers, lowest first.
func NewLayers(count int, id, stream string) ([]*Layer, error) {
	var layers []*Layer
	for _, rid := range layerRIDs[:count] {
		codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
		track, err := webrtc.NewTrackLocalStaticRTP(codec, id, stream, webrtc.WithRTPStreamID(rid))
		if err != nil {
			return nil, err
		}
		layers = append(layers, &Layer{TrackLocalStaticRTP: track})
	}
	return layers, nil
}

// Bind implements webrtc.TrackLocal.
func (l *Layer) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	var s stamp
	for _, x := range c.HeaderExtensions() {
		switch x.URI {
		case extensionMid:
			s.mid = uint8(x.ID) //nolint:gosec // 1 to 14
		case extensionRID:
			s.rid = uint8(x.ID) //nolint:gosec // 1 to 14
		}
	}
	l.stamp.Store(&s)
	return l.TrackLocalStaticRTP.Bind(c)
}

// WriteRTP sends a packet, whose header extensions it sets. Before the layer is
// negotiated it does nothing.
func (l *Layer) WriteRTP(p *rtp.Packet) error {
	s, mid := l.stamp.Load(), l.mid.Load()
	if s == nil || mid == nil {
		return nil
	}
	if s.mid != 0 {
		if err := p.SetExtension(s.mid, []byte(*mid)); err != nil {
			return err
		}
	}
	if s.rid != 0 {
		if err := p.SetExtension(s.rid, []byte(l.RID())); err != nil {
			return err
		}
	}
	return l.TrackLocalStaticRTP.WriteRTP(p)
}
