package engine

import "net/netip"

// MaxDatagram is the largest UDP payload that the engine sends or takes, bytes.
const MaxDatagram = 1500

// Datagram is one UDP payload to send.
type Datagram struct {
	To      netip.AddrPort
	Payload []byte
	// Stream is the SSRC of a media packet and zero for anything else. Packets
	// of one stream that follow each other may leave in one segmented send.
	Stream uint32
}

// Batch collects the datagrams that leave in one flush. Its memory is reused:
// payloads are good until Reset. The zero Batch is ready; one goroutine.
type Batch struct {
	datagrams []Datagram
	slots     [][]byte
	used      int
}

// Reset forgets the datagrams and keeps the memory.
func (b *Batch) Reset() { b.datagrams, b.used = b.datagrams[:0], 0 }

// Datagrams returns what was collected since Reset, in order.
func (b *Batch) Datagrams() []Datagram { return b.datagrams }

// Len is the number of datagrams collected since Reset.
func (b *Batch) Len() int { return len(b.datagrams) }

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
