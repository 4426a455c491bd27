package engine

import (
	"net/netip"
	"slices"
)

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
	grouping  grouping
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

// Group puts the datagrams of one destination and stream behind each other, in
// the order in which they were added; the streams follow each other in the
// order of their first datagram. It allocates nothing once the batch has grown.
func (b *Batch) Group() {
	if len(b.datagrams) > 1 {
		b.datagrams, b.grouping.sorted = b.grouping.sort(b.datagrams), b.datagrams
	}
}

// grouping is the memory of Group.
type grouping struct {
	first  map[route]int32 // datagram of each group
	group  []int32         // of each datagram
	starts []int32         // where each group begins in sorted, then where its next goes
	sorted []Datagram
}

type route struct {
	to     netip.AddrPort
	stream uint32
}

// sort returns the datagrams grouped, in memory of its own.
func (g *grouping) sort(datagrams []Datagram) []Datagram {
	g.assign(datagrams)
	at := int32(0)
	for i, size := range g.starts {
		g.starts[i] = at
		at += size
	}
	g.sorted = slices.Grow(g.sorted[:0], len(datagrams))[:len(datagrams)]
	for i := range datagrams {
		next := &g.starts[g.group[i]]
		g.sorted[*next] = datagrams[i]
		*next++
	}
	return g.sorted
}

// assign numbers the groups, and leaves their sizes in starts. A track's
// packets go to the same subscribers in the same order: if the last datagram
// was like an earlier one, the next is most often like the one behind that, and
// the map is not asked.
func (g *grouping) assign(datagrams []Datagram) {
	if g.first == nil {
		g.first = map[route]int32{}
	}
	clear(g.first)
	g.group, g.starts = slices.Grow(g.group[:0], len(datagrams)), g.starts[:0]
	guess := 0 // a datagram that this one may be like
	for i := range datagrams {
		d := &datagrams[i]
		if guess >= i || datagrams[guess].Stream != d.Stream || datagrams[guess].To != d.To {
			guess = g.find(route{d.To, d.Stream}, i)
		}
		if guess == i { // the first of its group
			g.group = append(g.group, int32(len(g.starts)))
			g.starts = append(g.starts, 1)
			continue
		}
		g.group = append(g.group, g.group[guess])
		g.starts[g.group[i]]++
		guess++
	}
}

// find returns the first datagram of a group, which is i if there was none.
func (g *grouping) find(r route, i int) int {
	if first, known := g.first[r]; known {
		return int(first)
	}
	g.first[r] = int32(i)
	return i
}
