package mmsg

import (
	"net/netip"

	"github.com/drtc-network/drtc/medianode/engine"
	"golang.org/x/sys/unix"
)

const (
	// maxMessages is how many messages go into one system call. More gain nothing.
	maxMessages = 64
	// maxSegments and maxSegmented are what the kernel takes in one segmented
	// message: UDP_MAX_SEGMENTS of old kernels, and less than an IP datagram.
	maxSegments  = 64
	maxSegmented = 64000 // bytes
	// maxBuffers bounds the datagrams of one system call.
	maxBuffers = 512
	// maxPlain is how many destinations are remembered as not to be segmented
	// for. Past it any of them is asked again.
	maxPlain = 4096
	// maxWaits is how often one system call's datagrams wait for a send buffer.
	maxWaits = 2
)

// sender is the memory that the kernel reads datagrams from.
type sender struct {
	outbound queue
	plain    queue // datagrams of a message that could not be segmented
	segments bool  // the kernel knows UDP_SEGMENT
	ipv6     bool
	// refused are destinations to which a segmented message failed where plain
	// datagrams went through.
	refused  map[netip.Addr]struct{}
	sendmmsg func(fd int, messages []message) (int, unix.Errno)
}

func (s *sender) init(segments, ipv6 bool) {
	s.segments, s.ipv6 = segments, ipv6
	s.refused = map[netip.Addr]struct{}{}
	s.sendmmsg = sendmmsg
	s.outbound.init()
	s.plain.init()
}

// queue is what one system call sends.
type queue struct {
	messages [maxMessages]message
	names    [maxMessages]name
	controls [maxMessages]segmentation
	runs     [maxMessages][]engine.Datagram // the datagrams of each message
	buffers  [maxBuffers]unix.Iovec
	used     int // messages
	buffered int // buffers
}

func (q *queue) init() {
	for i := range q.controls {
		q.controls[i].init()
	}
}

// full reports whether there is no room for another message of so many segments.
func (q *queue) full(segments int) bool {
	return q.used == maxMessages || q.buffered+segments > maxBuffers
}

// add appends a message of one or more datagrams, which go to one destination.
// It reports whether the socket can reach that.
func (q *queue) add(run []engine.Datagram, ipv6 bool) bool {
	size := q.names[q.used].set(run[0].To, ipv6)
	if size == 0 {
		return false
	}
	buffers := q.buffers[q.buffered : q.buffered+len(run)]
	for i := range run {
		buffers[i].Base = nil
		if len(run[i].Payload) > 0 {
			buffers[i].Base = &run[i].Payload[0]
		}
		buffers[i].SetLen(len(run[i].Payload))
	}
	h := &q.messages[q.used].header
	*h = unix.Msghdr{}
	point(h, &q.names[q.used], size, buffers)
	if len(run) > 1 {
		q.controls[q.used].attach(h, len(run[0].Payload))
	}
	q.runs[q.used] = run
	q.used++
	q.buffered += len(run)
	return true
}

// reset lets go of everything that was queued.
func (q *queue) reset() {
	clear(q.buffers[:q.buffered])
	clear(q.runs[:q.used])
	q.used, q.buffered = 0, 0
}

// Send sends datagrams. What finds the send buffer full is dropped: video at
// once, anything else after some milliseconds. Datagrams of a destination of the other IP version fail, as all do
// after Close.
func (s *Socket) Send(datagrams []engine.Datagram) (sent Sent) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed.Load() {
		sent.Failed = len(datagrams)
		return sent
	}
	q := &s.sender.outbound
	for len(datagrams) > 0 {
		run := datagrams[:s.sender.run(datagrams)]
		datagrams = datagrams[len(run):]
		if q.full(len(run)) {
			s.flush(q, &sent)
		}
		if !q.add(run, s.sender.ipv6) {
			sent.Failed += len(run)
		}
	}
	s.flush(q, &sent)
	return sent
}

// run returns how many of the first datagrams make one message: the same
// stream to the same destination in equal sizes, of which the last may be
// shorter.
func (s *sender) run(datagrams []engine.Datagram) int {
	first := &datagrams[0]
	size := len(first.Payload)
	if first.Stream == 0 || size == 0 || !s.segments {
		return 1
	}
	n := 1
	for n < len(datagrams) && n < maxSegments && (n+1)*size <= maxSegmented {
		d := &datagrams[n]
		length := len(d.Payload)
		if d.Stream != first.Stream || d.To != first.To || length > size || length == 0 {
			break
		}
		n++
		if length < size {
			break
		}
	}
	if n > 1 {
		if _, refused := s.refused[first.To.Addr()]; refused {
			return 1
		}
	}
	return n
}

// flush sends what q holds and empties it. Where the send buffer is full, video
// is dropped, and anything else waits a moment for what was sent to leave.
func (s *Socket) flush(q *queue, sent *Sent) {
	waits := 0
	for next := 0; next < q.used; {
		n, errno := s.sender.sendmmsg(s.fd, q.messages[next:q.used])
		for _, run := range q.runs[next : next+n] {
			bytes := 0
			for i := range run {
				bytes += len(run[i].Payload)
			}
			sent.Took(len(run), bytes)
		}
		next += n
		if n > 0 || errno == unix.EINTR {
			continue
		}
		// The first of them is at fault.
		run := q.runs[next]
		next++
		switch {
		case (errno == unix.EAGAIN || errno == unix.ENOBUFS) && !run[0].Video && waits < maxWaits:
			waits++
			s.awaitRoom()
			next-- // again
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			sent.Dropped += len(run)
		case len(run) > 1 && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE):
			s.sendPlain(run, sent)
		default:
			sent.Failed += len(run)
		}
	}
	q.reset()
}

// awaitRoom waits until the send buffer has room, a millisecond at most.
func (s *Socket) awaitRoom() {
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	unix.Poll(fds[:], 1) //nolint:errcheck // the send after it says how it is
}

// sendPlain sends the datagrams of a segmented message that the kernel refused.
// If it takes them, segmentation was at fault and is not tried again for the
// destination.
func (s *Socket) sendPlain(run []engine.Datagram, sent *Sent) {
	before := sent.Segments
	for i := range run {
		s.sender.plain.add(run[i:i+1], s.sender.ipv6)
	}
	s.flush(&s.sender.plain, sent)
	sent.Fallbacks++
	if sent.Segments > before {
		s.sender.refuse(run[0].To.Addr())
	}
}

// refuse remembers a destination not to segment for.
func (s *sender) refuse(a netip.Addr) {
	if len(s.refused) >= maxPlain {
		for other := range s.refused {
			delete(s.refused, other)
			break
		}
	}
	s.refused[a] = struct{}{}
}
