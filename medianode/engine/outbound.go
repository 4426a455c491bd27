package engine

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/rtpheader"
)

// sealRoom is what sealing may add to a packet: the largest tag of RFC 3711
// and RFC 7714, 16 bytes, and the SRTCP index.
const sealRoom = 20

// header writes the header of an outgoing packet into a slot of the batch. Dependency
// descriptors go to peers that take the two-byte form alone: the template
// structure on key frames is longer than an element of the one-byte form can
// be, and a browser that gets descriptors without the structure drops the
// frames. They go with AV1 alone: VP9 payloads say themselves which frames they
// build on.
func (c *Core) header(now time.Time, s *subscription, ssrc uint32, pt uint8, seq uint16, timestamp uint32, marker bool, k *packet, batch *Batch) []byte {
	ids := &s.section.Extensions
	n, long := 0, false
	if ids.TransportCC != 0 {
		s.peer.transportSeq++
		c.values[0], c.values[1] = byte(s.peer.transportSeq>>8), byte(s.peer.transportSeq)
		c.elements[n] = rtpheader.Extension{ID: ids.TransportCC, Value: c.values[0:2]}
		n++
	}
	if ids.AbsSendTime != 0 {
		at := uint32(clock.NTP(now) >> 14) // 6.18 fixed point seconds
		c.values[2], c.values[3], c.values[4] = byte(at>>16), byte(at>>8), byte(at)
		c.elements[n] = rtpheader.Extension{ID: ids.AbsSendTime, Value: c.values[2:5]}
		n++
	}
	if ids.AudioLevel != 0 && len(k.level) > 0 {
		c.elements[n] = rtpheader.Extension{ID: ids.AudioLevel, Value: k.level}
		n++
	}
	if k.codec == codec.AV1 && len(k.dependency) > 0 && ids.DependencyDescriptor != 0 && ids.Mixed {
		value := dependency.Append(c.dependency[:0], k.dependency, k.frame, k.active)
		c.elements[n] = rtpheader.Extension{ID: ids.DependencyDescriptor, Value: value}
		n++
		long = len(value) > rtpheader.MaxOneByte
	}
	return rtpheader.Append(batch.slot(), rtpheader.Outgoing{
		SSRC: ssrc, PayloadType: pt, SequenceNumber: seq, Timestamp: timestamp, Marker: marker,
		Padding: k.padding > 0, Extensions: c.elements[:n], TwoByte: long,
	})
}

func appendPayload(dst []byte, k *packet, p codec.Picture) []byte {
	start := len(dst)
	dst = append(dst, k.payload...)
	switch {
	case k.vp8.Size > 0:
		codec.PatchVP8(dst[start:], k.vp8, p)
	case k.vp9.Size > 0:
		codec.PatchVP9(dst[start:], k.vp9, p)
	}
	return dst
}

// appendPadding appends n bytes of padding, the last of which is their count
// (RFC 3550 section 5.1).
func appendPadding(dst []byte, n uint8) []byte {
	if n == 0 {
		return dst
	}
	for range n - 1 {
		dst = append(dst, 0)
	}
	return append(dst, n)
}

// seal protects a packet that header began, in place, and puts it into the
// batch. headerSize is how many bytes header wrote.
func (c *Core) seal(s *subscription, plain []byte, headerSize int, ssrc uint32, index uint64, batch *Batch) bool {
	if len(plain)+sealRoom > MaxDatagram {
		c.counters.Malformed++
		return false
	}
	sealed, err := s.peer.keys.SealRTP(plain, headerSize, index)
	if err != nil {
		c.counters.SealFailures++
		return false
	}
	c.counters.SentBytes += uint64(len(sealed))
	batch.add(s.peer.addr, sealed, ssrc)
	batch.datagrams[len(batch.datagrams)-1].Video = s.track.cfg.Video
	return true
}
