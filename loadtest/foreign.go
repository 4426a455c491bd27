package loadtest

import (
	"encoding/binary"

	"github.com/drtc-network/drtc/loadtest/traffic"
)

// foreignTrack makes up trailers for the packets of a track that another
// program publishes, so that they are counted like ours.
type foreignTrack struct {
	video     bool
	publisher uint16
	started   bool
	high      uint64 // sequence number without wraps
}

// trailer reads an RTP packet that came while the window was open, 0 for none.
// It reports false for one without payload.
func (f *foreignTrack) trailer(packet []byte, window uint8) (traffic.Trailer, bool) {
	const header = 12
	if len(packet) <= header {
		return traffic.Trailer{}, false
	}
	sequence := binary.BigEndian.Uint16(packet[2:])
	if !f.started { // so that what comes late is not below 0
		f.started, f.high = true, 1<<16|uint64(sequence)
	}
	number := f.high + uint64(int64(int16(sequence-uint16(f.high))))
	f.high = max(f.high, number)
	kind := traffic.Audio
	if f.video {
		kind = traffic.Video
	}
	return traffic.Trailer{Kind: kind, Window: window, Publisher: f.publisher, Sequence: number}, true
}
