package meter

import "math/bits"

// window is how many packets may be on their way before their sizes are only
// known as a sum.
const window = 1024

// Stream counts one outgoing SSRC. Use Meter.Stream.
type Stream struct {
	meter *Meter
	// sizes holds the bytes of (aged, highest], 0 where nothing was sent.
	sizes                [window]uint16
	first, highest, aged uint64
	// agedBytes and agedPackets are the sums of what left the window before a
	// report covered it.
	agedBytes, agedPackets uint64

	// covered is the highest number a report covered; bytes and packets are
	// what was sent up to there, arrived the part of bytes that was counted.
	covered        uint64
	bytes, packets uint64
	arrived        uint64
}

// Sent counts one packet sent for the first time under this extended sequence
// number: its header and payload, without padding and tag. A packet that was
// late at the publisher may come after later ones.
func (s *Stream) Sent(seq uint64, bytes int) {
	size := uint16(min(max(bytes, 0), 1<<16-1))
	s.meter.sent += uint64(size)
	if s.first == 0 {
		s.first, s.highest, s.aged, s.covered = seq, seq-1, seq-1, seq-1
	}
	switch {
	case seq > s.highest:
		s.age(seq)
		s.highest = seq
		s.sizes[seq%window] = size
	case seq <= s.covered:
		s.bytes += uint64(size)
		s.packets++
	case seq <= s.aged:
		s.agedBytes += uint64(size)
		s.agedPackets++
	default:
		s.sizes[seq%window] = size
	}
}

// Warm reads what the next Sent needs into the processor's caches. The result
// says nothing.
func (s *Stream) Warm() uint64 {
	return s.packets + uint64(s.sizes[(s.highest+1)%window]) + s.meter.sent
}

// age makes room for the numbers up to seq and moves those that fall out of the
// window to the sums.
func (s *Stream) age(seq uint64) {
	if seq-s.highest >= window {
		s.collect(s.highest)
		s.aged = seq - window
	}
	for n := max(s.highest+1, s.aged+1); n <= seq; n++ {
		if n > s.aged+window {
			s.collect(n - window)
		}
		s.sizes[n%window] = 0
	}
}

// collect moves the sizes up to a number to the sums.
func (s *Stream) collect(to uint64) {
	for n := s.aged + 1; n <= to; n++ {
		if size := s.sizes[n%window]; size > 0 {
			s.agedBytes += uint64(size)
			s.agedPackets++
			s.sizes[n%window] = 0
		}
	}
	s.aged = max(s.aged, to)
}

// Acknowledged takes a reception report: the highest extended sequence number
// that arrived and the cumulative number of missing ones, holes of the source
// included. It returns how many bytes became paid by it. A report that goes
// back is ignored, as is one from the middle of what left the window; one about
// what was never sent counts up to what was.
func (s *Stream) Acknowledged(highest uint64, lost int64) uint64 {
	highest = min(highest, s.highest)
	if s.first == 0 || highest < s.first || highest < s.covered || highest < s.aged {
		return 0
	}
	s.cover(highest)
	span := int64(highest - s.first + 1)
	received := uint64(min(max(span-lost, 0), span))
	arrived := s.bytes
	if received < s.packets {
		high, low := bits.Mul64(s.bytes, received)
		arrived, _ = bits.Div64(high, low, s.packets)
	}
	if arrived <= s.arrived {
		return 0
	}
	paid := arrived - s.arrived
	s.arrived = arrived
	s.meter.acknowledged += paid
	return paid
}

// cover moves everything up to highest to what was reported on.
func (s *Stream) cover(highest uint64) {
	s.collect(highest)
	s.bytes += s.agedBytes
	s.packets += s.agedPackets
	s.agedBytes, s.agedPackets = 0, 0
	s.covered = highest
}
