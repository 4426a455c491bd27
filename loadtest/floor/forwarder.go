package floor

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/drtc-network/drtc/medianode/engine"
)

const (
	headerSize    = 12
	extensionSize = 8 // one element of RFC 8285 with its header
	// maxFrame is how many packets of a frame are held for its last one.
	maxFrame = 32
	// atOnce is how many destinations are sealed for before they are sent to:
	// one full call, and little enough to stay in cache.
	atOnce = 64
)

// packet is one opened packet, in memory of its feed.
type packet struct {
	timestamp uint32
	marker    bool
	payload   []byte
}

// feed is what an identity publishes. All but playing is of the reader's
// goroutine.
type feed struct {
	cipher *gcm
	audio  index
	video  index
	single [1]packet
	frame  []packet // of the video, until its last packet
	// playing is replaced, never changed.
	playing atomic.Pointer[[]*destination]
}

// stream is one track on its way to a destination.
type stream struct {
	ssrc    uint32
	payload uint8 // payload type
	next    uint64
}

// destination is one who plays a feed. The reader's goroutine owns it once
// added.
type destination struct {
	to           netip.AddrPort
	cipher       *gcm
	audio, video stream
	// feedback is the id of the extension with the transport-wide sequence
	// number, which follows; 0 where none was agreed.
	feedback uint8
	sequence uint16
}

// forwarder copies what feeds send to those who play them.
type forwarder struct {
	socket *socket
	// publishing are the feeds by the address that their packets come from; it
	// is replaced, never changed.
	publishing atomic.Pointer[map[netip.AddrPort]*feed]
	changing   sync.Mutex // held to replace it, or a feed's playing

	datagrams []engine.Datagram
	slots     [][]byte
}

func newForwarder(s *socket) *forwarder {
	f := &forwarder{socket: s}
	f.publishing.Store(&map[netip.AddrPort]*feed{})
	s.handle = f.forward
	return f
}

func newFeed() *feed {
	f := &feed{}
	f.playing.Store(&[]*destination{})
	return f
}

// publish has packets from an address belong to a feed, and returns how to end
// that.
func (f *forwarder) publish(from netip.AddrPort, one *feed) (remove func()) {
	change := func(do func(map[netip.AddrPort]*feed)) {
		f.changing.Lock()
		defer f.changing.Unlock()
		next := maps.Clone(*f.publishing.Load())
		do(next)
		f.publishing.Store(&next)
	}
	change(func(all map[netip.AddrPort]*feed) { all[from] = one })
	return func() { change(func(all map[netip.AddrPort]*feed) { delete(all, from) }) }
}

// play has a destination get what a feed sends, and returns how to end that.
func (f *forwarder) play(one *feed, d *destination) (remove func()) {
	change := func(do func([]*destination) []*destination) {
		f.changing.Lock()
		defer f.changing.Unlock()
		next := do(slices.Clone(*one.playing.Load()))
		one.playing.Store(&next)
	}
	change(func(all []*destination) []*destination { return append(all, d) })
	return func() {
		change(func(all []*destination) []*destination {
			return slices.DeleteFunc(all, func(other *destination) bool { return other == d })
		})
	}
}

// forward opens a packet and sends it on, or holds it until its frame is whole.
func (f *forwarder) forward(from netip.AddrPort, b []byte) {
	one := (*f.publishing.Load())[from]
	if one == nil || len(b) < headerSize {
		return // of one who plays
	}
	const payloadType, marker = 0x7f, 0x80
	switch b[1] & payloadType {
	case payloadOpus:
		if one.open(&one.single[0], &one.audio, b) {
			f.spread(one, one.single[:], func(d *destination) *stream { return &d.audio })
		}
	case payloadVP8:
		n := len(one.frame)
		if n < cap(one.frame) {
			one.frame = one.frame[:n+1] // with the memory of an earlier packet
		} else {
			one.frame = append(one.frame, packet{})
		}
		if !one.open(&one.frame[n], &one.video, b) {
			one.frame = one.frame[:n]
			return
		}
		if b[1]&marker != 0 || n+1 == maxFrame {
			f.spread(one, one.frame, func(d *destination) *stream { return &d.video })
			one.frame = one.frame[:0]
		}
	}
}

// open decrypts b into p.
func (one *feed) open(p *packet, i *index, b []byte) bool {
	const sources, extended, marker = 0x0f, 0x10, 0x80
	header := headerSize + 4*int(b[0]&sources)
	if b[0]&extended != 0 {
		if len(b) < header+4 {
			return false
		}
		header += 4 + 4*int(binary.BigEndian.Uint16(b[header+2:]))
	}
	if len(b) < header {
		return false
	}
	next := i.of(binary.BigEndian.Uint16(b[2:]))
	payload, err := one.cipher.open(p.payload[:0], b[:header], b[header:], binary.BigEndian.Uint32(b[8:]), next)
	if err != nil {
		return false // forged, or damaged
	}
	i.last = next
	*p = packet{timestamp: binary.BigEndian.Uint32(b[4:]), marker: b[1]&marker != 0, payload: payload}
	return true
}

// spread sends packets that belong together to everybody who plays the feed.
func (f *forwarder) spread(one *feed, packets []packet, track func(*destination) *stream) {
	for group := range slices.Chunk(*one.playing.Load(), atOnce) {
		f.datagrams = f.datagrams[:0]
		for _, d := range group {
			t := track(d)
			for i := range packets {
				f.datagrams = append(f.datagrams, engine.Datagram{To: d.to, Stream: t.ssrc, Payload: f.protect(d, t, &packets[i])})
			}
		}
		f.socket.send(f.datagrams)
	}
}

// protect writes the header for a destination and seals the packet. The memory
// is good until the next group.
func (f *forwarder) protect(d *destination, t *stream, p *packet) []byte {
	used := len(f.datagrams)
	if used == len(f.slots) {
		f.slots = append(f.slots, make([]byte, engine.MaxDatagram))
	}
	const version, extended, marker, oneByte = 0x80, 0x10, 0x80, 0xbede
	b := f.slots[used][:headerSize]
	b[0], b[1] = version, t.payload
	if p.marker {
		b[1] |= marker
	}
	binary.BigEndian.PutUint16(b[2:], uint16(t.next))
	binary.BigEndian.PutUint32(b[4:], p.timestamp)
	binary.BigEndian.PutUint32(b[8:], t.ssrc)
	if d.feedback != 0 {
		b[0] |= extended
		b = b[:headerSize+extensionSize]
		binary.BigEndian.PutUint16(b[12:], oneByte)
		binary.BigEndian.PutUint16(b[14:], 1) // word
		b[16] = d.feedback<<4 | 1             // two bytes
		binary.BigEndian.PutUint16(b[17:], d.sequence)
		b[19] = 0
		d.sequence++
	}
	sealed := d.cipher.seal(b, p.payload, t.ssrc, t.next)
	t.next++
	return sealed
}
