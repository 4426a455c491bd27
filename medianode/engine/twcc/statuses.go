package twcc

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrFeedback is returned for a message that is too short for the statuses it
// promises, promises more than anybody waits for, or uses the reserved status.
var ErrFeedback = errors.New("twcc: malformed feedback")

const (
	headerSize = 20 // up to the first chunk
	// maxStatuses bounds the work that one message can cause.
	maxStatuses = 2 * maxDepartures
	reserved    = 3
)

// Status is what a feedback message says of one packet.
type Status struct {
	Sequence uint16
	Received bool
	// At is when it arrived, in the receiver's time since the message's
	// reference time; zero if it did not.
	At time.Duration
}

// Statuses walks over one feedback message. Use ReadFeedback.
type Statuses struct {
	chunks, deltas []byte
	next           uint16
	left           int // statuses that are still to come
	at             time.Duration
	// reference is the reference time in units of 64 ms, 24 bits with sign.
	reference int32
	chunk     uint16
	inChunk   int // statuses of chunk that are still to come
}

// ReadFeedback reads one RTCP packet, with its header and without padding. A
// message that is not whole yields no statuses.
func ReadFeedback(b []byte) (Statuses, error) {
	if len(b) < headerSize {
		return Statuses{}, ErrFeedback
	}
	s := Statuses{
		next:      binary.BigEndian.Uint16(b[12:]),
		left:      int(binary.BigEndian.Uint16(b[14:])),
		reference: int32(binary.BigEndian.Uint32(b[16:])) >> 8,
	}
	if s.left > maxStatuses || !s.split(b[headerSize:]) {
		return Statuses{}, ErrFeedback
	}
	return s, nil
}

// split finds where the chunks end and the deltas begin, and reports whether
// both are whole.
func (s *Statuses) split(b []byte) bool {
	n, deltas := 0, 0
	for left := s.left; left > 0; n += 2 {
		if n+2 > len(b) {
			return false
		}
		c := binary.BigEndian.Uint16(b[n:])
		in := min(chunkSize(c), left)
		left -= in
		if c&0x8000 == 0 {
			symbol := int(c >> 13)
			if symbol == reserved {
				return false
			}
			deltas += in * symbol
			continue
		}
		for i := range in {
			symbol := symbolAt(c, i)
			if symbol == reserved {
				return false
			}
			deltas += int(symbol)
		}
	}
	s.chunks, s.deltas = b[:n], b[n:]
	return deltas <= len(s.deltas)
}

// chunkSize is how many statuses a chunk holds.
func chunkSize(c uint16) int {
	switch {
	case c&0x8000 == 0:
		return int(c & maxRun)
	case c&0x4000 == 0:
		return 14
	}
	return 7
}

// symbolAt is the symbol of one status of a chunk. A small delta takes one
// byte and is symbol 1, a large one takes two and is symbol 2.
func symbolAt(c uint16, i int) uint8 {
	switch {
	case c&0x8000 == 0:
		return uint8(c >> 13)
	case c&0x4000 == 0:
		return uint8(c>>(13-i)) & 1
	}
	return uint8(c>>(12-2*i)) & 3
}

// Len is how many statuses are still to come.
func (s *Statuses) Len() int { return s.left }

// Next returns the next status, in the order of the sequence numbers; false
// after the last.
func (s *Statuses) Next() (Status, bool) {
	if s.left == 0 {
		return Status{}, false
	}
	for s.inChunk == 0 {
		s.chunk = binary.BigEndian.Uint16(s.chunks)
		s.chunks = s.chunks[2:]
		s.inChunk = chunkSize(s.chunk)
	}
	symbol := symbolAt(s.chunk, chunkSize(s.chunk)-s.inChunk)
	s.inChunk--
	s.left--
	status := Status{Sequence: s.next}
	s.next++
	switch symbol {
	case small:
		s.at += time.Duration(s.deltas[0]) * tick
		s.deltas = s.deltas[1:]
	case large:
		s.at += time.Duration(int16(binary.BigEndian.Uint16(s.deltas))) * tick
		s.deltas = s.deltas[2:]
	default:
		return status, true
	}
	status.Received, status.At = true, s.at
	return status, true
}
