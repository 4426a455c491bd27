package traffic

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
)

const (
	// minKeyInterval bounds how often a camera obeys who asks for a key frame.
	minKeyInterval  = 300 * time.Millisecond
	descriptorSize  = 4  // VP8 payload descriptor with a picture id of 15 bits
	frameHeaderSize = 10 // of a key frame (RFC 6386, 9.1)
	videoClock      = 90000
	audioClock      = 48000
)

// Packet is one packet of a track. Its memory is the track's, and is used again
// for the next frame.
type Packet struct {
	rtp.Packet
	trailer Trailer
}

// Stamp says when the packet is sent and in which measurement.
func (p *Packet) Stamp(window uint8, now time.Time) {
	p.trailer.Window, p.trailer.Sent = window, now.UnixNano()
	p.trailer.put(p.Payload)
}

// Camera makes the packets of a video track.
type Camera struct {
	mix      Mix
	schedule schedule
	owed     int // packets not yet sent, in units of 1/FramesPerSecond
	next     Trailer
	header   rtp.Header
	base     uint32 // RTP timestamp of the first frame
	picture  uint16
	keyed    time.Time // last key frame
	wanted   bool      // somebody waits for one
	packets  []Packet
}

// NewCamera returns the camera of a publisher.
func NewCamera(mix Mix, publisher uint16) *Camera {
	r := rand.New(rand.NewPCG(uint64(publisher), 1))
	c := &Camera{
		mix:      mix,
		schedule: schedule{rate: mix.FramesPerSecond, phase: time.Duration(r.Int64N(int64(time.Second) / int64(mix.FramesPerSecond)))},
		next:     Trailer{Publisher: publisher},
		header:   rtp.Header{Version: 2, SequenceNumber: uint16(r.Uint32())},
		base:     r.Uint32(),
		picture:  uint16(r.Uint32() & 0x7fff),
		packets:  make([]Packet, mix.VideoPackets/mix.FramesPerSecond+1),
	}
	for i := range c.packets {
		c.packets[i].Payload = noise(r, mix.VideoBytes)
	}
	return c
}

// Due is when the next frame leaves, counted from the start of the publisher.
func (c *Camera) Due() time.Duration { return c.schedule.due() }

// WantKeyFrame makes one of the next frames a key frame: the next, unless the
// last one is younger than 300 ms.
func (c *Camera) WantKeyFrame() { c.wanted = true }

// Frame returns the packets of the next frame, to be stamped and sent in order
// before Frame is called again.
func (c *Camera) Frame(now time.Time) []Packet {
	c.owed += c.mix.VideoPackets
	n := c.owed / c.mix.FramesPerSecond
	c.owed -= n * c.mix.FramesPerSecond

	age := now.Sub(c.keyed)
	key := age >= c.mix.KeyFrameEvery || c.wanted && age > minKeyInterval
	if key {
		c.keyed, c.wanted = now, false
	}
	c.header.Timestamp = c.base + c.schedule.timestamp(videoClock)
	frame := c.packets[:n]
	for i := range frame {
		p := &frame[i]
		first := i == 0
		p.Header = c.header
		p.Header.Marker = i == n-1
		p.trailer = c.next
		p.trailer.Kind = Video
		if first && key {
			p.trailer.Kind = KeyFrame
		}
		describe(p.Payload, c.picture, first, key)
		c.header.SequenceNumber++
		c.next.Sequence++
	}
	c.picture = (c.picture + 1) & 0x7fff
	c.schedule.turn++
	return frame
}

// describe writes the VP8 payload descriptor (RFC 7741, 4.2) and, at the start
// of a frame, as much of the frame header as a server looks at: 640x480.
func describe(payload []byte, picture uint16, first, key bool) {
	const extended, startOfPartition, pictureID, long = 0x80, 0x10, 0x80, 0x80
	payload[0] = extended
	payload[1] = pictureID
	payload[2] = long | byte(picture>>8)
	payload[3] = byte(picture)
	if !first {
		return
	}
	payload[0] |= startOfPartition
	if key {
		copy(payload[descriptorSize:], []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01})
	} else {
		copy(payload[descriptorSize:], []byte{0x11, 0x02, 0x00})
	}
}

// Microphone makes the packets of an audio track.
type Microphone struct {
	schedule schedule
	base     uint32
	packet   Packet
}

// NewMicrophone returns the microphone of a publisher.
func NewMicrophone(mix Mix, publisher uint16) *Microphone {
	r := rand.New(rand.NewPCG(uint64(publisher), 2))
	m := &Microphone{
		schedule: schedule{rate: mix.AudioPackets, phase: time.Duration(r.Int64N(int64(time.Second) / int64(mix.AudioPackets)))},
		base:     r.Uint32(),
	}
	m.packet.Payload = noise(r, mix.AudioBytes)
	m.packet.Payload[0] = 0x78 // Opus, CELT, full band, 20 ms, mono (RFC 6716, 3.1)
	m.packet.Header = rtp.Header{Version: 2, SequenceNumber: uint16(r.Uint32()) - 1}
	m.packet.trailer = Trailer{Kind: Audio, Publisher: publisher, Sequence: ^uint64(0)}
	return m
}

// Due is when the next packet leaves, counted from the start of the publisher.
func (m *Microphone) Due() time.Duration { return m.schedule.due() }

// Packet returns the next packet, to be stamped and sent before Packet is
// called again.
func (m *Microphone) Packet() *Packet {
	p := &m.packet
	p.Header.SequenceNumber++
	p.Header.Timestamp = m.base + m.schedule.timestamp(audioClock)
	p.Header.Marker = m.schedule.turn == 0 // start of a talk spurt (RFC 3551, 4.1)
	p.trailer.Sequence++
	m.schedule.turn++
	return p
}

func noise(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
