// Package reception counts what arrives from one source and writes the
// reception reports that tell its sender (RFC 3550 sections 6.4.1, A.3 and A.8;
// whitepaper section 4.3).
//
// Contract: a report covers exactly the packets since the report before.
//
// Not safe for concurrent use.
package reception

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/sequence"
)

// maxDropout is the largest jump ahead that counts as loss (RFC 3550 A.1).
const maxDropout = 3000

// Statistics counts one source. Use New.
type Statistics struct {
	ssrc, rate uint32
	unwrapper  sequence.Unwrapper
	started    bool
	// base is the first extended number, max the highest.
	base, max uint64
	// resync is the number that follows the last one that jumped too far.
	resync  uint16
	jumped  bool
	packets uint64
	bytes   uint64
	// expectedBefore and packetsBefore are those of the last report.
	expectedBefore, packetsBefore uint64

	// Interarrival jitter in 1/16 ticks of the RTP clock.
	jitter    uint32
	lastAt    time.Time
	lastStamp uint32

	sender clock.Mapping
}

// New returns the statistics of a source with the SSRC and RTP clock rate (Hz)
// given.
func New(ssrc, clockRate uint32) *Statistics {
	return &Statistics{ssrc: ssrc, rate: clockRate}
}

// Receive counts one packet; size is its header and payload in bytes. Packets
// sent again on an RTX stream are not to be counted here.
func (s *Statistics) Receive(now time.Time, seq uint16, timestamp uint32, size int) {
	if !s.accept(seq) {
		return
	}
	s.packets++
	s.bytes += uint64(size)
	s.updateJitter(now, timestamp)
}

// accept follows the sequence. A far jump is believed if two packets in a row
// say so: the source began anew.
func (s *Statistics) accept(seq uint16) bool {
	if s.started && !s.near(seq) {
		if !s.jumped || seq != s.resync {
			s.jumped, s.resync = true, seq+1
			return false
		}
		s.restart()
	}
	s.jumped = false
	extended := s.unwrapper.Unwrap(seq)
	if !s.started {
		s.started, s.base, s.max = true, extended, extended
	}
	s.max = max(s.max, extended)
	return true
}

// near reports whether seq is a little ahead of the highest, or behind it.
func (s *Statistics) near(seq uint16) bool {
	return int16(seq-uint16(s.max)) < maxDropout
}

func (s *Statistics) restart() {
	s.unwrapper = sequence.Unwrapper{}
	s.started, s.packets = false, 0
	s.expectedBefore, s.packetsBefore = 0, 0
}

// updateJitter is the estimator of RFC 3550 appendix A.8. Packets of one frame
// share a timestamp and leave in a burst: only the first of them tells about
// the network.
func (s *Statistics) updateJitter(now time.Time, timestamp uint32) {
	if s.lastAt.IsZero() {
		s.lastAt, s.lastStamp = now, timestamp
		return
	}
	if int32(timestamp-s.lastStamp) <= 0 {
		return
	}
	d := clock.Ticks(now.Sub(s.lastAt), s.rate) - int64(timestamp-s.lastStamp)
	s.lastAt, s.lastStamp = now, timestamp
	d = min(max(d, -d), int64(s.rate)*10)
	s.jitter += uint32(d) - (s.jitter+8)>>4
}

// HandleSenderReport takes note of the sender's clock.
func (s *Statistics) HandleSenderReport(now time.Time, r *rtcp.SenderReport) {
	s.sender = clock.Mapping{NTP: r.NTPTime, Timestamp: r.RTPTime, At: now}
}

// Clock returns what the last sender report said, zero before the first.
func (s *Statistics) Clock() clock.Mapping { return s.sender }

// Report returns the report for now and begins the next interval.
func (s *Statistics) Report(now time.Time) rtcp.ReceptionReport {
	expected := s.expected()
	r := rtcp.ReceptionReport{
		SSRC:               s.ssrc,
		TotalLost:          uint32(min(s.Lost(), 0x7fffff)),
		LastSequenceNumber: uint32(s.cycles())<<16 | uint32(uint16(s.max)),
		Jitter:             s.jitter >> 4,
	}
	interval := int64(expected - s.expectedBefore)
	lost := interval - int64(s.packets-s.packetsBefore)
	if interval > 0 && lost > 0 {
		r.FractionLost = uint8(min(lost<<8/interval, 255))
	}
	s.expectedBefore, s.packetsBefore = expected, s.packets
	if !s.sender.IsZero() {
		r.LastSenderReport = clock.Middle(s.sender.NTP)
		r.Delay = uint32(clock.Ticks(now.Sub(s.sender.At), 1<<16))
	}
	return r
}

func (s *Statistics) expected() uint64 {
	if !s.started {
		return 0
	}
	return s.max - s.base + 1
}

// cycles counts wraps since the first packet.
func (s *Statistics) cycles() uint64 { return s.max>>16 - s.base>>16 }

// Lost returns how many packets are missing since the beginning. Duplicates can
// make it too small, never less than 0.
func (s *Statistics) Lost() uint64 {
	if e := s.expected(); e > s.packets {
		return e - s.packets
	}
	return 0
}

// Packets returns the number of packets received since the source began.
func (s *Statistics) Packets() uint64 { return s.packets }

// Bytes returns the header and payload bytes received.
func (s *Statistics) Bytes() uint64 { return s.bytes }

// Jitter returns the interarrival jitter.
func (s *Statistics) Jitter() time.Duration {
	if s.rate == 0 {
		return 0
	}
	return time.Duration(s.jitter>>4) * time.Second / time.Duration(s.rate)
}
