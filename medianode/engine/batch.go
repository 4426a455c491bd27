package engine

import (
	"net/netip"
	"time"
)

// enough is how many datagrams a batch collects before it sends: one system call
// of 64 segmented messages.
const enough = 256

// MaxDatagram is the largest UDP payload that the engine sends or takes, bytes.
const MaxDatagram = 1500

// Datagram is one UDP payload to send.
type Datagram struct {
	To      netip.AddrPort
	Payload []byte
	// Stream is the SSRC of a media packet and zero for anything else. Packets
	// of one stream that follow each other may leave in one segmented send.
	Stream uint32
	// Video packets are the first to be dropped where not all can be sent.
	Video bool
}

// Batch collects the datagrams that leave in one flush. Its memory is reused:
// payloads are good until Reset. The zero Batch is ready; one goroutine.
type Batch struct {
	// Arrival is when the kernel took the datagram that is handled next; the
	// shell sets it before each, or leaves it zero if it does not know.
	Arrival time.Time
	// Send, if there is one, must send the datagrams at once. It is called as
	// soon as there are enough for a few system calls, so that a large room
	// needs no more memory than a small one, and the packets that were just
	// sealed are still in the cache when the kernel copies them. It must not use
	// the batch otherwise. What is left at the end of a call to the core is for
	// the caller to send.
	Send func(datagrams []Datagram)

	datagrams []Datagram
	slots     [][]byte
	used      int
	arrivals  []time.Time
	// peak is the most of the slots that were in use since the last trim.
	peak, peakBefore int
}

// Reset forgets the datagrams and keeps the memory.
func (b *Batch) Reset() {
	b.note()
	b.datagrams, b.arrivals, b.used = b.datagrams[:0], b.arrivals[:0], 0
}

// Forwarded returns the Arrival of each media packet of which copies are in the
// batch, where it was known.
func (b *Batch) Forwarded() []time.Time { return b.arrivals }

func (b *Batch) forwarded(arrival time.Time) {
	if !arrival.IsZero() {
		b.arrivals = append(b.arrivals, arrival)
	}
}

// arrival is when the datagram that is handled at now came to this machine.
func (b *Batch) arrival(now time.Time) time.Time {
	if b.Arrival.IsZero() {
		return now
	}
	return b.Arrival
}

// Datagrams returns what was collected since Reset, in order.
func (b *Batch) Datagrams() []Datagram { return b.datagrams }

// Len is the number of datagrams collected since Reset.
func (b *Batch) Len() int { return len(b.datagrams) }

// relieve sends what has collected, if it is enough.
func (b *Batch) relieve() {
	if b.Send != nil && len(b.datagrams) >= enough {
		b.Send(b.datagrams)
		b.note()
		b.datagrams, b.used = b.datagrams[:0], 0
	}
}

// slot lends an empty buffer of MaxDatagram capacity that lives until Reset.
func (b *Batch) slot() []byte {
	if b.used == len(b.slots) {
		b.slots = append(b.slots, make([]byte, 0, MaxDatagram))
	}
	s := b.slots[b.used]
	b.used++
	return s[:0]
}

func (b *Batch) add(to netip.AddrPort, payload []byte, stream uint32) {
	b.datagrams = append(b.datagrams, Datagram{To: to, Payload: payload, Stream: stream})
}
