package transport_test

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/clock"
)

const frameInterval = 33 * time.Millisecond

// encoder is one encoding of a track on its own SSRC, as a browser sends it.
type encoder struct {
	*browser
	track, layer uint8
	generation   uint8 // counts the SSRCs
	mid, rid     string
	codec        engine.PayloadType
	ssrc, rtx    uint32
	seq, rtxSeq  uint16
	stamps       uint32
	delta, large int // packets of a frame, and of a key frame
	off          bool
	frame        uint32
	pictureID    uint16
	tl0          uint8
	key          bool // the next frame is to be a key frame
	lastKey      time.Time
	sent         map[uint16]resendable
}

type resendable struct {
	packet *rtp.Packet
	last   time.Time
}

// encode begins an encoding.
func (b *browser) encode(e encoder) *encoder {
	e.browser = b
	e.replace()
	b.encoders = append(b.encoders, &e)
	return &e
}

// replace goes on with other SSRCs, as after a new RTCRtpSender. The numbers
// wrap soon, but not before the node has heard of them.
func (e *encoder) replace() {
	e.generation++
	e.ssrc = 1000*uint32(e.id) + 100*uint32(e.track) + 10*uint32(e.layer) + 100_000*uint32(e.generation)
	e.rtx = e.ssrc + 1
	e.seq = 0xffff - 150 - uint16(e.random.IntN(100))
	e.rtxSeq = 0xffff - 50 - uint16(e.random.IntN(50))
	e.pictureID = 0x7fff - uint16(e.random.IntN(100))
	e.stamps = e.random.Uint32()
	e.sent = map[uint16]resendable{}
	e.key = true
}

func (e *encoder) stamp() uint32 {
	return e.stamps + uint32(clock.Ticks(e.now.Sub(time.Unix(1_700_000_000, 0)), e.codec.ClockRate))
}

// picture takes a request for a key frame: one shortly after the last is
// ignored, as Chromium does.
func (e *encoder) picture() {
	if e.now.Sub(e.lastKey) >= 300*time.Millisecond {
		e.key = true
	}
}

// next encodes one frame of video or one packet of audio.
func (e *encoder) next() {
	e.frame++
	if e.off {
		return
	}
	m := mark{Track: e.track, Layer: e.layer, Generation: e.generation, Key: e.key, Codec: e.codec.Number, Frame: e.frame, Count: uint8(e.delta)}
	if e.codec.Number == opus.Number {
		m.Key = false
	}
	if m.Key {
		m.Count, e.lastKey = uint8(e.large), e.now
	}
	e.key = false
	e.pictureID = (e.pictureID + 1) & 0x7fff
	e.tl0++
	for m.Index = range m.Count {
		e.packet(m)
	}
}

func (e *encoder) packet(m mark) {
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: e.codec.Number, SequenceNumber: e.seq, SSRC: e.ssrc, Timestamp: e.stamp(),
		Marker: m.Index+1 == m.Count,
	}}
	p.Payload = appendContent(e.prefix(m), m)
	e.identify(p, extensions.RID)
	e.sent[e.seq] = resendable{packet: p}
	delete(e.sent, e.seq-2000)
	e.seq++
	e.sendRTP(p.Clone())
}

// padding sends a packet without payload.
func (e *encoder) padding() {
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: e.codec.Number, SequenceNumber: e.seq, SSRC: e.ssrc, Timestamp: e.stamp(), Padding: true, PaddingSize: 100,
	}}
	e.identify(p, extensions.RID)
	e.seq++
	e.sendRTP(p)
}

func (e *encoder) identify(p *rtp.Packet, rid uint8) {
	e.must(p.SetExtension(extensions.Mid, []byte(e.mid)))
	if e.rid != "" {
		e.must(p.SetExtension(rid, []byte(e.rid)))
	}
}

// prefix is what the codec's payload begins with.
func (e *encoder) prefix(m mark) []byte {
	switch e.codec.Number {
	case vp8.Number:
		first, frame := byte(0x80), byte(1)
		if m.Index == 0 {
			first |= 0x10
		}
		if m.Key {
			frame = 0
		}
		return []byte{first, 0xe0, 0x80 | byte(e.pictureID>>8), byte(e.pictureID), e.tl0, 0x20, frame}
	case h264.Number:
		switch {
		case m.Key && m.Index == 0:
			return []byte{0x67, 0x42} // sequence parameter set
		case m.Key:
			return []byte{0x65, 0x88}
		}
		return []byte{0x41, 0x9a}
	}
	return nil
}

// resend answers a NACK, at most once in a round trip.
func (e *encoder) resend(seq uint16) {
	r, ok := e.sent[seq]
	if !ok || e.now.Sub(r.last) < e.roundTrip() {
		return
	}
	r.last = e.now
	e.sent[seq] = r
	p := r.packet.Clone()
	p.Header.Extensions, p.Header.Extension = nil, false
	p.SSRC, p.SequenceNumber, p.PayloadType = e.rtx, e.rtxSeq, codecOf(p.PayloadType).RTXNumber
	p.Payload = append(binary.BigEndian.AppendUint16(nil, seq), p.Payload...)
	e.identify(p, extensions.RepairedRID)
	e.rtxSeq++
	e.sendRTP(p)
}

// codecOf finds what a payload type, or that of its retransmissions, means.
func codecOf(number uint8) engine.PayloadType {
	for _, c := range []engine.PayloadType{vp8, h264, opus} {
		if number == c.Number || number == c.RTXNumber {
			return c
		}
	}
	return engine.PayloadType{}
}

func (e *encoder) report() *rtcp.SenderReport {
	return &rtcp.SenderReport{SSRC: e.ssrc, NTPTime: clock.NTP(e.now), RTPTime: e.stamp()}
}
