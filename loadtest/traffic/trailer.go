package traffic

import (
	"encoding/binary"
	"time"
)

// Kind says what a packet carries.
type Kind uint8

// The kinds of packets.
const (
	// Video is a packet of a camera.
	Video Kind = iota + 1
	// Audio is a packet of a microphone.
	Audio
	// KeyFrame is the first packet of a key frame of a camera.
	KeyFrame
)

// TrailerSize is the length of a trailer in bytes, the least payload.
const TrailerSize = 24

const magic = 0x44525443 // DRTC

// Trailer is the end of every payload.
type Trailer struct {
	Kind Kind
	// Window is the id of the measurement that the packet was sent in; 0 means
	// none.
	Window    uint8
	Publisher uint16
	// Sequence counts the packets of the track from 0.
	Sequence uint64
	// Sent is in nanoseconds since 1970; 0 if it is not known.
	Sent int64
}

// put writes t to the end of payload, which is at least TrailerSize long.
func (t Trailer) put(payload []byte) {
	b := payload[len(payload)-TrailerSize:]
	binary.BigEndian.PutUint32(b, magic)
	b[4], b[5] = byte(t.Kind), t.Window
	binary.BigEndian.PutUint16(b[6:], t.Publisher)
	binary.BigEndian.PutUint64(b[8:], t.Sequence)
	binary.BigEndian.PutUint64(b[16:], uint64(t.Sent))
}

// Delay is how long before now the packet was sent.
func (t Trailer) Delay(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - t.Sent)
}

// ReadTrailer returns the trailer of an RTP packet, header and padding
// included. It reports false for one that no publisher of ours sent: a probe,
// or padding that the server made.
func ReadTrailer(packet []byte) (Trailer, bool) {
	const header, padded = 12, 0x20
	if len(packet) > header && packet[0]&padded != 0 {
		size := int(packet[len(packet)-1])
		if size > len(packet)-header {
			return Trailer{}, false
		}
		packet = packet[:len(packet)-size]
	}
	if len(packet) < header+TrailerSize {
		return Trailer{}, false
	}
	b := packet[len(packet)-TrailerSize:]
	if binary.BigEndian.Uint32(b) != magic {
		return Trailer{}, false
	}
	t := Trailer{
		Kind:      Kind(b[4]),
		Window:    b[5],
		Publisher: binary.BigEndian.Uint16(b[6:]),
		Sequence:  binary.BigEndian.Uint64(b[8:]),
		Sent:      int64(binary.BigEndian.Uint64(b[16:])),
	}
	return t, t.Kind >= Video && t.Kind <= KeyFrame
}
