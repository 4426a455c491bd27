package floor

import (
	"context"
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drtc-network/drtc/loadtest/traffic"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

const (
	headerSize    = 12
	extensionSize = 8 // one element of RFC 8285 with its header
	tagSize       = 16
	// atOnce is how many destinations are sealed for before they are sent to:
	// one full call, and little enough to stay in cache.
	atOnce = 64
	// idle is the longest pause between looks for new publishers.
	idle = 20 * time.Millisecond
)

// stream is one track on its way to one subscriber.
type stream struct {
	ssrc    uint32
	payload uint8 // payload type
	index   uint64
}

// destination is one subscriber. The sender's goroutine owns it once added.
type destination struct {
	to           netip.AddrPort
	seal         *seal
	audio, video stream
	// feedback is the id of the extension with the transport-wide sequence
	// number, which follows; 0 where none was agreed.
	feedback uint8
	sequence uint16
}

// publisher is one camera and microphone with those who play it.
type publisher struct {
	camera     *traffic.Camera
	microphone *traffic.Microphone
	start      time.Time
	// playing is replaced, never changed.
	playing atomic.Pointer[[]*destination]
}

// sender makes and sends all media, in one goroutine.
type sender struct {
	socket  *socket
	mix     traffic.Mix
	window  atomic.Uint32
	sent    atomic.Uint64 // packets stamped with a window
	changed atomic.Bool   // there is another publisher

	mu         sync.Mutex // guards what follows
	publishers map[string]*publisher

	datagrams []engine.Datagram
	slots     [][]byte
	total     mmsg.Sent // what the socket did
}

func newSender(s *socket, mix traffic.Mix) *sender {
	return &sender{socket: s, mix: mix, publishers: map[string]*publisher{}}
}

// open stamps packets with a window from now on; one that is not 0 begins to
// count.
func (s *sender) open(window uint8) {
	if window != 0 {
		s.sent.Store(0)
	}
	s.window.Store(uint32(window))
}

// publisher returns the publisher of this name, which has begun to send.
func (s *sender) publisher(identity string) *publisher {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.publishers[identity]
	if p == nil {
		n := uint16(len(s.publishers))
		p = &publisher{camera: traffic.NewCamera(s.mix, n), microphone: traffic.NewMicrophone(s.mix, n), start: time.Now()}
		p.playing.Store(&[]*destination{})
		s.publishers[identity] = p
		s.changed.Store(true)
	}
	return p
}

// play adds a destination to a publisher's and returns how to remove it.
func (s *sender) play(p *publisher, d *destination) (remove func()) {
	change := func(f func([]*destination) []*destination) {
		s.mu.Lock()
		defer s.mu.Unlock()
		next := f(slices.Clone(*p.playing.Load()))
		p.playing.Store(&next)
	}
	change(func(all []*destination) []*destination { return append(all, d) })
	return func() {
		change(func(all []*destination) []*destination {
			return slices.DeleteFunc(all, func(other *destination) bool { return other == d })
		})
	}
}

// run sends what is due, until ctx ends. It sleeps in the kernel and not in
// Go's scheduler, which would wake other threads to see whether there is more
// to do: with ten subscribers that costs more than sending.
func (s *sender) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var publishers []*publisher
	single := make([]*traffic.Packet, 1)
	var frame []*traffic.Packet
	for ctx.Err() == nil {
		if s.changed.Swap(false) {
			publishers = s.all(publishers[:0])
		}
		next := idle
		for _, p := range publishers {
			for now := time.Now(); now.Sub(p.start) >= p.camera.Due(); {
				packets := p.camera.Frame(now)
				frame = frame[:0]
				for i := range packets {
					frame = append(frame, &packets[i])
				}
				s.spread(p, frame, now, func(d *destination) *stream { return &d.video })
			}
			for now := time.Now(); now.Sub(p.start) >= p.microphone.Due(); {
				single[0] = p.microphone.Packet()
				s.spread(p, single, now, func(d *destination) *stream { return &d.audio })
			}
			next = min(next, min(p.camera.Due(), p.microphone.Due())-time.Since(p.start))
		}
		if next > 0 {
			pause := unix.NsecToTimespec(int64(next))
			// A signal that ends the pause does no harm.
			_ = unix.Nanosleep(&pause, nil)
		}
	}
}

// all appends every publisher to list.
func (s *sender) all(list []*publisher) []*publisher {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.publishers {
		list = append(list, p)
	}
	return list
}

// spread stamps packets that belong together and sends them to everybody who
// plays p.
func (s *sender) spread(p *publisher, packets []*traffic.Packet, now time.Time, track func(*destination) *stream) {
	window := uint8(s.window.Load())
	for _, packet := range packets {
		packet.Stamp(window, now)
	}
	if window != 0 {
		s.sent.Add(uint64(len(packets)))
	}
	for group := range slices.Chunk(*p.playing.Load(), atOnce) {
		s.datagrams = s.datagrams[:0]
		for _, d := range group {
			t := track(d)
			for _, packet := range packets {
				s.datagrams = append(s.datagrams, engine.Datagram{To: d.to, Stream: t.ssrc, Payload: s.protect(d, t, packet)})
			}
		}
		s.total.Add(s.socket.sendMedia(s.datagrams))
	}
}

// protect writes the header for a destination and seals the packet. The memory
// is good until the next group.
func (s *sender) protect(d *destination, t *stream, packet *traffic.Packet) []byte {
	used := len(s.datagrams)
	if used == len(s.slots) {
		s.slots = append(s.slots, make([]byte, engine.MaxDatagram))
	}
	const version, extended, marker, oneByte = 0x80, 0x10, 0x80, 0xbede
	b := s.slots[used][:headerSize]
	b[0], b[1] = version, t.payload
	if packet.Marker {
		b[1] |= marker
	}
	binary.BigEndian.PutUint16(b[2:], uint16(t.index))
	binary.BigEndian.PutUint32(b[4:], packet.Timestamp)
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
	sealed := d.seal.packet(b, packet.Payload, t.ssrc, t.index)
	t.index++
	return sealed
}
