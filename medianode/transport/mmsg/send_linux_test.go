package mmsg

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Whatever the sizes, streams and destinations of a batch, each destination
// gets its datagrams byte for byte in order.
func TestSend_arrivesAsIfSentOneByOne(t *testing.T) {
	for version, addr := range loopbacks {
		t.Run(version, func(t *testing.T) {
			s := listen(t, addr)
			fars := []far{newFar(t, addr), newFar(t, addr), newFar(t, addr)}
			rapid.Check(t, func(t *rapid.T) {
				var batch []engine.Datagram
				// A receive buffer of the usual limit holds 160 datagrams of 1500 bytes.
				for len(batch) < 90 && (len(batch) == 0 || rapid.IntRange(0, 9).Draw(t, "more") > 0) {
					batch = append(batch, burst(
						rapid.SampledFrom(fars).Draw(t, "to").addr,
						rapid.Uint32Range(0, 2).Draw(t, "stream"),
						rapid.IntRange(1, 70).Draw(t, "count"),
						rapid.SampledFrom([]int{0, 1, 2, 100, 1199, 1200, 1500}).Draw(t, "length"),
					)...)
				}
				got := s.Send(batch)
				if got.Segments != len(batch) || got.Dropped+got.Failed+got.Fallbacks != 0 {
					t.Fatalf("Send of %d datagrams: %+v, want all sent", len(batch), got)
				}
				expect(t, fars, batch)
			})
		})
	}
}

// FuzzSend reads a batch from bytes: destination, stream and length of each
// datagram.
func FuzzSend(f *testing.F) {
	addr := loopbacks["IPv4"]
	s := listen(f, addr)
	fars := []far{newFar(f, addr), newFar(f, addr)}
	f.Add([]byte{0, 100, 0, 100, 0, 100, 0, 50, 1, 100})
	f.Add([]byte{2, 255, 2, 255, 2, 254, 3, 1, 3, 0, 3, 1})
	f.Add(bytes.Repeat([]byte{4, 200}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		var batch []engine.Datagram
		for i := 0; i+1 < len(b) && len(batch) < 160; i += 2 {
			batch = append(batch, engine.Datagram{
				To: fars[b[i]&1].addr, Stream: uint32(b[i] >> 1 & 3), Payload: payload(int(b[i+1])*5, i),
			})
		}
		if got := s.Send(batch); got.Segments != len(batch) {
			t.Fatalf("Send of %d datagrams: %+v, want all sent", len(batch), got)
		}
		expect(t, fars, batch)
	})
}

// What makes one message, on the real kernel.
func TestSend_segments(t *testing.T) {
	addr := loopbacks["IPv4"]
	s := listen(t, addr)
	a, b := newFar(t, addr), newFar(t, addr)
	join := func(parts ...[]engine.Datagram) (all []engine.Datagram) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, c := range []struct {
		name  string
		batch []engine.Datagram
		sizes [SizeClasses]int
	}{
		{"nothing", nil, sizes()},
		{"a frame", burst(a.addr, 1, 8, 1200), sizes(8)},
		{"no stream", burst(a.addr, 0, 8, 1200), singles(8)},
		{"the last is shorter", join(burst(a.addr, 1, 3, 1200), burst(a.addr, 1, 1, 7)), sizes(4)},
		{"nothing follows a shorter one", join(burst(a.addr, 1, 2, 1200), burst(a.addr, 1, 3, 7)), sizes(3, 2)},
		{"a longer one begins another", join(burst(a.addr, 1, 2, 7), burst(a.addr, 1, 2, 8)), sizes(2, 2)},
		{"empty ones go alone", join(burst(a.addr, 1, 2, 7), burst(a.addr, 1, 2, 0)), sizes(2, 1, 1)},
		{"two streams", join(burst(a.addr, 1, 2, 7), burst(a.addr, 2, 2, 7)), sizes(2, 2)},
		{"two destinations", join(burst(a.addr, 1, 2, 7), burst(b.addr, 1, 2, 7)), sizes(2, 2)},
		{"64 segments", burst(a.addr, 1, 65, 100), sizes(64, 1)},
		{"64,000 bytes", burst(a.addr, 1, 54, 1200), sizes(53, 1)},
		{"more messages than a call takes", burst(a.addr, 0, 130, 10), singles(130)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Sent{Sizes: c.sizes, Segments: len(c.batch)}
			for _, d := range c.batch {
				want.Bytes += len(d.Payload)
			}
			for _, n := range c.sizes {
				want.Messages += n
			}
			if got := s.Send(c.batch); got != want {
				t.Errorf("Send: %+v, want %+v", got, want)
			}
			expect(t, []far{a, b}, c.batch)
		})
	}
}

// sizes are classes of messages of so many segments, written out.
func sizes(segments ...int) (s [SizeClasses]int) {
	for _, n := range segments {
		class := 0
		for most := 1; n > most; most *= 2 {
			class++
		}
		s[class]++
	}
	return s
}

// singles are the classes of messages of one segment.
func singles(n int) [SizeClasses]int { return [SizeClasses]int{n} }

// A kernel or device that cannot segment costs nothing but speed, and only on
// the way to that destination.
func TestSend_fallsBackPerDestination(t *testing.T) {
	for _, refusal := range []unix.Errno{unix.EIO, unix.EINVAL, unix.EMSGSIZE} {
		t.Run(refusal.Error(), func(t *testing.T) {
			s := listen(t, loopbacks["IPv4"])
			bad, good := newFar(t, netip.MustParseAddrPort("127.0.0.2:0")), newFar(t, loopbacks["IPv4"])
			segmented := 0
			s.sender.sendmmsg = func(fd int, messages []message) (int, unix.Errno) {
				for i := range messages {
					n := name{*s.nameOf(&messages[i])}
					if messages[i].header.Control != nil && n.get(messages[i].header.Namelen) == bad.addr {
						segmented++
						if i > 0 {
							return sendmmsg(fd, messages[:i])
						}
						return 0, refusal
					}
				}
				return sendmmsg(fd, messages)
			}
			for round, want := range []Sent{
				{Messages: 7, Sizes: sizes(4, 1, 1, 1, 1, 1, 4), Segments: 13, Bytes: 13 * 500, Fallbacks: 1},
				{Messages: 7, Sizes: sizes(4, 1, 1, 1, 1, 1, 4), Segments: 13, Bytes: 13 * 500},
			} {
				var batch []engine.Datagram
				batch = append(batch, burst(good.addr, 1, 4, 500)...)
				batch = append(batch, burst(bad.addr, 1, 5, 500)...)
				batch = append(batch, burst(good.addr, 1, 4, 500)...)
				if got := s.Send(batch); got != want {
					t.Errorf("round %d: %+v, want %+v", round, got, want)
				}
				expect(t, []far{good, bad}, batch)
			}
			if segmented != 2 { // behind the first message, then in front
				t.Errorf("the kernel saw %d segmented messages to that destination, want 2", segmented)
			}
		})
	}
}

// nameOf finds the address of a queued message.
func (s *Socket) nameOf(m *message) *unix.RawSockaddrInet6 {
	for _, q := range []*queue{&s.sender.outbound, &s.sender.plain} {
		for i := range q.names {
			if m == &q.messages[i] {
				return &q.names[i].raw
			}
		}
	}
	panic("not queued")
}

// Where plain datagrams fail too, segmentation is not to blame.
func TestSend_badDestinationKeepsSegmentation(t *testing.T) {
	s := listen(t, loopbacks["IPv4"])
	nowhere := netip.MustParseAddrPort("127.0.0.1:0")
	if got, want := s.Send(burst(nowhere, 1, 3, 10)), (Sent{Failed: 3, Fallbacks: 1}); got != want {
		t.Errorf("Send to port 0: %+v, want %+v", got, want)
	}
	f := newFar(t, loopbacks["IPv4"])
	if got := s.Send(burst(f.addr, 1, 3, 10)); got.Messages != 1 {
		t.Errorf("afterwards 3 datagrams made %d messages, want 1", got.Messages)
	}
	if got := s.Send(burst(netip.MustParseAddrPort("[::1]:9"), 1, 3, 10)); got != (Sent{Failed: 3}) {
		t.Errorf("Send to the other IP version: %+v, want 3 failed", got)
	}
}

func TestSend_remembersFewRefusals(t *testing.T) {
	s := listen(t, loopbacks["IPv4"])
	for i := range maxPlain + 10 {
		s.sender.refuse(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if got := len(s.sender.refused); got != maxPlain {
		t.Errorf("%d destinations remembered, want %d", got, maxPlain)
	}
}

// An interrupted call is repeated, a short one continued, and a full buffer
// costs the message of video that found it full.
func TestSend_goesOn(t *testing.T) {
	s := listen(t, loopbacks["IPv4"])
	f := newFar(t, loopbacks["IPv4"])
	type step struct {
		take  int
		errno unix.Errno
	}
	var steps []step
	s.sender.sendmmsg = func(fd int, messages []message) (int, unix.Errno) {
		if len(steps) == 0 {
			return sendmmsg(fd, messages)
		}
		next := steps[0]
		steps = steps[1:]
		if next.errno != 0 || next.take == 0 {
			return 0, next.errno
		}
		return sendmmsg(fd, messages[:next.take])
	}
	batch := burst(f.addr, 0, 10, 10)
	for i := range batch {
		batch[i].Video = true
	}
	for _, c := range []struct {
		name  string
		steps []step
		lost  []int
		want  Sent
	}{
		{"interrupted", []step{{0, unix.EINTR}, {0, unix.EINTR}}, nil, Sent{Messages: 10, Sizes: singles(10), Segments: 10, Bytes: 100}},
		{"short", []step{{3, 0}, {1, 0}}, nil, Sent{Messages: 10, Sizes: singles(10), Segments: 10, Bytes: 100}},
		{"full", []step{{3, 0}, {0, unix.EAGAIN}, {2, 0}, {0, unix.ENOBUFS}}, []int{3, 6}, Sent{Messages: 8, Sizes: singles(8), Segments: 8, Bytes: 80, Dropped: 2}},
		{"unreachable", []step{{0, unix.ENETUNREACH}}, []int{0}, Sent{Messages: 9, Sizes: singles(9), Segments: 9, Bytes: 90, Failed: 1}},
		{"nothing taken", []step{{0, 0}}, []int{0}, Sent{Messages: 9, Sizes: singles(9), Segments: 9, Bytes: 90, Failed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps = c.steps
			if got := s.Send(batch); got != c.want {
				t.Errorf("Send: %+v, want %+v", got, c.want)
			}
			var arrive []engine.Datagram
			for i, d := range batch {
				if len(c.lost) > 0 && c.lost[0] == i {
					c.lost = c.lost[1:]
					continue
				}
				arrive = append(arrive, d)
			}
			expect(t, []far{f}, arrive)
		})
	}
}

// With a full send buffer video gives way, and audio gets through.
func TestSend_dropsVideoBeforeAudio(t *testing.T) {
	addr := loopbacks["IPv4"]
	for refusals, audio := range map[int]int{1: 3, 2: 3, 1000: 0} {
		s := listen(t, addr)
		to := newFar(t, addr)
		var batch []engine.Datagram
		for i := range 6 {
			batch = append(batch, engine.Datagram{To: to.addr, Stream: uint32(1 + i), Payload: payload(100, i), Video: i%2 == 0})
		}
		video := map[*byte]bool{}
		for _, d := range batch {
			video[&d.Payload[0]] = d.Video
		}
		tried := 0 // with audio
		s.sender.sendmmsg = func(fd int, messages []message) (int, unix.Errno) {
			if video[messages[0].header.Iov.Base] {
				return 0, unix.EAGAIN
			}
			if tried++; tried <= refusals {
				return 0, unix.EAGAIN
			}
			return sendmmsg(fd, messages[:1])
		}
		got := s.Send(batch)
		if got.Segments != audio || got.Dropped != len(batch)-audio {
			t.Errorf("audio refused %d times: got %+v, want %d audio datagrams sent and the others dropped", refusals, got, audio)
		}
	}
}
