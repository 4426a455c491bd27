package twcc

import "time"

const (
	firstDepartures = 64
	// maxDepartures is how many sent packets are remembered for one receiver.
	maxDepartures = 4096
	// keep is how long a packet that was not acknowledged is worth memory.
	keep = time.Second
)

// Ack is what one feedback message says of one packet that was sent: what
// congestion control is fed with.
type Ack struct {
	// Number is the transport-wide number in 64 bits.
	Number uint64
	// Sent is when the packet left, by our clock, to the microsecond.
	Sent time.Time
	// Arrival is when it arrived, by the receiver's clock, since a time of the
	// receiver's that stays the same for a History; zero unless Received.
	// Differences between acks are good to 250 us.
	Arrival time.Duration
	// Size is that of the RTP packet, header and payload, bytes.
	Size     int
	Received bool
	// Recovered says that the packet was reported missing before.
	Recovered bool
}

// Report is one feedback message matched with what was sent. Each packet is in
// at most two reports: once as received, and before that once as missing if it
// came late or not at all.
type Report struct {
	// Acks by ascending number.
	Acks []Ack
	// Received, Lost and Recovered count the acks; a recovered packet is a
	// received one too.
	Received, Lost, Recovered int
	// Bytes is the size of what was received.
	Bytes int
	// Unknown counts statuses of packets that are forgotten or were never sent.
	Unknown int
}

// reset forgets the acks and keeps their memory.
func (r *Report) reset() { *r = Report{Acks: r.Acks[:0]} }

// departure is one sent packet, eight bytes.
type departure struct {
	at    uint32 // microseconds since the epoch, in a circle of 71 minutes
	size  uint16
	state state
}

type state uint8

const (
	unused state = iota
	unreported
	lost
	received
)

// History remembers when the packets to one receiver left and how large they
// were, by their transport-wide numbers. The zero value is ready and holds no
// memory before the first packet.
type History struct {
	epoch   time.Time
	entries []departure // by number, modulo their count, a power of two
	next    uint64      // after the highest number sent
	// reference is the reference time of the last feedback, in units of 64 ms,
	// unwrapped; origin that of the first.
	reference, origin int64
	heard             bool
}

// Sent notes that a packet leaves. Numbers ascend, each by one; a number that
// is left out was not sent.
func (h *History) Sent(now time.Time, seq uint16, size int) {
	if h.entries == nil {
		h.entries = make([]departure, firstDepartures)
		h.epoch = now
		h.next = 1<<16 + uint64(seq)
	}
	number := h.extend(seq)
	if number < h.next {
		return
	}
	if number-h.next >= maxDepartures {
		clear(h.entries)
	} else {
		for ; h.next < number; h.next++ {
			*h.entry(h.next) = departure{}
		}
	}
	at := h.micros(now)
	for e := h.entry(number); h.young(e, at) && len(h.entries) < maxDepartures; e = h.entry(number) {
		h.grow()
	}
	*h.entry(number) = departure{at: at, size: uint16(min(size, 1<<16-1)), state: unreported}
	h.next = number + 1
}

// young reports whether a packet may still be acknowledged.
func (h *History) young(e *departure, at uint32) bool {
	return (e.state == unreported || e.state == lost) && time.Duration(at-e.at)*time.Microsecond < keep
}

// grow doubles the memory.
func (h *History) grow() {
	old := h.entries
	h.entries = make([]departure, 2*len(old))
	for n := h.next - min(uint64(len(old)), h.next); n < h.next; n++ {
		*h.entry(n) = old[n&uint64(len(old)-1)]
	}
}

func (h *History) entry(number uint64) *departure {
	return &h.entries[number&uint64(len(h.entries)-1)]
}

// extend returns the number nearest to the next one to be sent.
func (h *History) extend(seq uint16) uint64 {
	return h.next + uint64(int64(int16(seq-uint16(h.next))))
}

func (h *History) micros(now time.Time) uint32 { return uint32(now.Sub(h.epoch) / time.Microsecond) }

// Match reads a feedback message that arrived now into r, whose memory is used
// again: what r held before is gone.
func (h *History) Match(now time.Time, s Statuses, r *Report) {
	r.reset()
	if h.entries == nil {
		r.Unknown = s.Len()
		return
	}
	base := h.arrival(s.reference)
	at := h.micros(now)
	for status, ok := s.Next(); ok; status, ok = s.Next() {
		number := h.extend(status.Sequence)
		if number >= h.next || h.next-number > uint64(len(h.entries)) || h.entry(number).state == unused {
			r.Unknown++
			continue
		}
		e := h.entry(number)
		if e.state == received || !status.Received && e.state == lost {
			continue // told before
		}
		ack := Ack{
			Number: number, Size: int(e.size), Received: status.Received, Recovered: e.state == lost,
			Sent: now.Add(-time.Duration(at-e.at) * time.Microsecond),
		}
		if !status.Received {
			e.state = lost
			r.Lost++
			r.Acks = append(r.Acks, ack)
			continue
		}
		e.state = received
		ack.Arrival = base + status.At
		r.Received++
		r.Bytes += ack.Size
		if ack.Recovered {
			r.Recovered++
		}
		r.Acks = append(r.Acks, ack)
	}
}

// arrival unwraps a reference time, which goes round every 12 days.
func (h *History) arrival(reference int32) time.Duration {
	if !h.heard {
		h.heard, h.reference, h.origin = true, int64(reference), int64(reference)
	}
	h.reference += int64(int32(uint32(int64(reference)-h.reference)<<8) >> 8)
	return time.Duration(h.reference-h.origin) * 64 * time.Millisecond
}
