// Package sending counts what leaves on one SSRC, writes its sender reports and
// reads what the receiver reports about it (RFC 3550 section 6.4; whitepaper
// section 4.3).
//
// Contract: a sender report carries the publisher's own clock, moved to the
// timestamps of this stream, so that a receiver plays audio and video of one
// publisher in step; the round trip is measured with our clock.
//
// Not safe for concurrent use.
package sending

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine/clock"
)

// remembered is how many of our reports a receiver may answer to.
const remembered = 4

// maxRoundTrip is the largest round trip believed.
const maxRoundTrip = 30 * time.Second

// Quality is what one reception report said.
type Quality struct {
	// RTT is the round trip, 0 if the report did not answer one of ours.
	RTT time.Duration
	// FractionLost is 0 to 1, since the receiver's report before.
	FractionLost float64
	// Lost is the receiver's cumulative count.
	Lost int64
	// Jitter is the interarrival jitter that the receiver sees.
	Jitter time.Duration
	// Highest is the highest extended sequence number received, in the numbers
	// of Sent; 0 if the report names one that was never sent.
	Highest uint64
}

type report struct {
	middle uint32
	at     time.Time
}

// Stream is one outgoing SSRC. Use New.
type Stream struct {
	ssrc, rate uint32
	packets    uint32
	octets     uint32
	highest    uint64
	first      uint64
	lastStamp  uint32
	lastAt     time.Time
	source     clock.Mapping
	reports    [remembered]report
	next       int
}

// New returns a stream with the SSRC and RTP clock rate (Hz) given.
func New(ssrc, clockRate uint32) *Stream { return &Stream{ssrc: ssrc, rate: clockRate} }

// Sent counts one packet with its extended sequence number, its timestamp and
// its payload in bytes without padding.
func (s *Stream) Sent(now time.Time, seq uint64, timestamp uint32, payload int) {
	s.packets++
	s.octets += uint32(payload)
	if s.first == 0 {
		s.first = seq
	}
	if seq > s.highest {
		s.highest = seq
		if timestamp != s.lastStamp || s.lastAt.IsZero() {
			s.lastStamp, s.lastAt = timestamp, now
		}
	}
}

// Warm reads what the next Sent needs into the processor's caches. The result
// says nothing.
func (s *Stream) Warm() uint64 { return s.highest }

// Align tells the publisher's clock: its NTP time and the timestamp that this
// stream has at that time. Call it at each sender report of the source and at
// each switch. Without it reports carry our clock.
func (s *Stream) Align(source clock.Mapping) { s.source = source }

// SenderReport returns the report for now. ok is false as long as nothing was
// sent.
func (s *Stream) SenderReport(now time.Time) (r rtcp.SenderReport, ok bool) {
	if s.packets == 0 {
		return rtcp.SenderReport{}, false
	}
	return s.report(now), true
}

// Announce returns the report for now of a stream that is aligned, though nothing
// was sent yet: the receiver knows the clock from the first packet on.
func (s *Stream) Announce(now time.Time) rtcp.SenderReport { return s.report(now) }

func (s *Stream) report(now time.Time) rtcp.SenderReport {
	at := s.source
	if at.IsZero() {
		at = clock.Mapping{NTP: clock.NTP(s.lastAt), Timestamp: s.lastStamp, At: s.lastAt}
	}
	at = at.Advance(now, s.rate)
	s.reports[s.next%remembered] = report{middle: clock.Middle(at.NTP), at: now}
	s.next++
	return rtcp.SenderReport{
		SSRC: s.ssrc, NTPTime: at.NTP, RTPTime: at.Timestamp,
		PacketCount: s.packets, OctetCount: s.octets,
	}
}

// HandleReception reads a report about this stream.
func (s *Stream) HandleReception(now time.Time, r rtcp.ReceptionReport) Quality {
	q := Quality{
		FractionLost: float64(r.FractionLost) / 256,
		Lost:         int64(int32(r.TotalLost<<8) >> 8),
		RTT:          s.roundTrip(now, r),
		Highest:      s.acknowledged(r.LastSequenceNumber),
	}
	if s.rate > 0 {
		q.Jitter = time.Duration(r.Jitter) * time.Second / time.Duration(s.rate)
	}
	return q
}

// roundTrip finds our report that r answers to.
func (s *Stream) roundTrip(now time.Time, r rtcp.ReceptionReport) time.Duration {
	if r.LastSenderReport == 0 {
		return 0
	}
	for _, sent := range s.reports {
		if sent.middle != r.LastSenderReport || sent.at.IsZero() {
			continue
		}
		held := time.Duration(r.Delay) * time.Second >> 16
		if rtt := now.Sub(sent.at) - held; rtt > 0 && rtt <= maxRoundTrip {
			return rtt
		}
	}
	return 0
}

// acknowledged maps the receiver's 32-bit count, whose cycles begin with the
// first packet it saw, to our numbers by its low 16 bits.
func (s *Stream) acknowledged(last uint32) uint64 {
	back := uint64(uint16(s.highest) - uint16(last))
	if s.packets == 0 || back > s.highest-s.first {
		return 0
	}
	return s.highest - back
}
