package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drtc-network/drtc/internal/netlink/shape"
)

// batch packets are taken from one device before others and departures have
// their turn.
const batch = 32

// router carries packets between the devices of hosts, on one thread.
type router struct {
	wake    int           // eventfd: something changed
	started bool          // start was called
	ended   chan struct{} // closed when the thread has ended

	mu       sync.Mutex // guards the fields below and every Shaper
	stopping bool
	failure  error
	hosts    []*Host
	legs     []leg // every Shaper, in the order in which they were made
	byAddr   map[netip.Addr]*Host
	stray    uint64
	late     histogram
	buffer   []byte
}

// leg is a part of the ways of packets: a direction of a host's link, or what
// lies between two hosts.
type leg struct {
	shaper    *shape.Shaper
	host      *Host
	direction Direction // of a link
	to        *Host     // where it lies between two hosts; nil of a link
}

func newRouter() (*router, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("netlink: making an eventfd: %w", err)
	}
	return &router{wake: wake, ended: make(chan struct{}), byAddr: map[netip.Addr]*Host{}, buffer: make([]byte, 1<<16)}, nil
}

// attach gives a host its Shapers. The router must not have started.
func (r *router) attach(h *Host, config HostConfig, seed uint64) error {
	for d, settings := range [...]shape.Settings{Up: config.Up, Down: config.Down} {
		s, err := shape.New(settings, seed+uint64(2*len(r.hosts)+d))
		if err != nil {
			return err
		}
		h.shapers[d] = s
		r.legs = append(r.legs, leg{shaper: s, host: h, direction: Direction(d)})
	}
	r.hosts = append(r.hosts, h)
	for _, a := range h.addresses {
		r.byAddr[a.Addr()] = h
	}
	return nil
}

// join puts something between two hosts, in the one direction.
func (r *router) join(from, to *Host, settings shape.Settings, seed uint64) error {
	const links = 2 * MaxHosts // have the seeds before
	s, err := shape.New(settings, seed+links+uint64(len(r.legs)))
	if err != nil {
		return err
	}
	from.paths[to] = s
	r.legs = append(r.legs, leg{shaper: s, host: from, to: to})
	return nil
}

func (r *router) start() {
	r.started = true
	onThread(func() {
		defer close(r.ended)
		err := r.run()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failure = err
	})
}

// run carries packets until close. It sleeps in ppoll, whose timeout has the
// resolution of the kernel's high-resolution timers once the thread's slack of
// 50 us is off; timers of Go's runtime have a millisecond's when all is quiet.
func (r *router) run() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("netlink: making timeouts precise: %w", err)
	}
	// Before every ordinary thread of the machine, or a busy machine makes packets
	// late by a scheduler's turn, which is milliseconds. Without the right to it
	// the network works, less precisely.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)

	fds := []unix.PollFd{{Fd: int32(r.wake), Events: unix.POLLIN}}
	for _, h := range r.hosts {
		fds = append(fds, unix.PollFd{Fd: int32(h.tun), Events: unix.POLLIN})
	}
	for {
		next, waiting, stopping := r.turn(fds)
		if stopping {
			return nil
		}
		var timeout *unix.Timespec
		if waiting {
			t := unix.NsecToTimespec(max(0, int64(time.Until(next))))
			timeout = &t
		}
		if _, err := unix.Ppoll(fds, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("netlink: waiting for packets: %w", err)
		}
	}
}

// turn reads what poll found and carries what is due.
func (r *router) turn(fds []unix.PollFd) (next time.Time, waiting, stopping bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fds[0].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(r.wake, count[:])
	}
	for i, h := range r.hosts {
		if fd := &fds[i+1]; fd.Revents != 0 && !r.read(h) {
			fd.Fd = -1 // poll leaves it out
		}
	}
	next, waiting = r.carry()
	return next, waiting, r.stopping
}

// read takes packets of a host. It returns false if its device is gone.
func (r *router) read(h *Host) bool {
	for range batch {
		n, err := unix.Read(h.tun, r.buffer)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return true
		case err != nil:
			return false
		}
		if r.destination(r.buffer[:n]) == nil {
			r.stray++
			continue
		}
		h.shapers[Up].Push(time.Now(), r.buffer[:n])
	}
	return true
}

// carry does what is due on all links in the order of its time, and returns
// when the next thing is.
func (r *router) carry() (next time.Time, waiting bool) {
	now := time.Now()
	for {
		l, at := r.first()
		if l == nil {
			return time.Time{}, false
		}
		if at.After(now) {
			if now = time.Now(); at.After(now) {
				return at, true
			}
		}
		packet, left, ok := l.shaper.Poll(at)
		switch {
		case !ok: // it only left the queue
		case l.to != nil:
			l.to.shapers[Down].Push(left, packet)
		case l.direction == Up:
			to := r.destination(packet)
			if path := l.host.paths[to]; path != nil {
				path.Push(left, packet)
			} else {
				to.shapers[Down].Push(left, packet)
			}
		default:
			if _, err := unix.Write(l.host.tun, packet); err != nil {
				r.stray++
			}
			r.late.add(time.Since(left))
		}
	}
}

// first returns the leg on which something happens next. It looks at all of
// them: networks of tests are small.
func (r *router) first() (next *leg, at time.Time) {
	for i := range r.legs {
		if t, ok := r.legs[i].shaper.NextTimeout(); ok && (next == nil || t.Before(at)) {
			next, at = &r.legs[i], t
		}
	}
	return next, at
}

// destination returns the host that an IP packet goes to, or nil.
func (r *router) destination(packet []byte) *Host {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		return r.byAddr[netip.AddrFrom4([4]byte(packet[16:20]))]
	case len(packet) >= 40 && packet[0]>>4 == 6:
		return r.byAddr[netip.AddrFrom16([16]byte(packet[24:40]))]
	}
	return nil
}

// change runs f between two turns, with all that is due by now done.
func (r *router) change(f func(now time.Time) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return f(time.Now())
	}
	r.carry()
	err := f(time.Now())
	r.interrupt()
	return err
}

func (r *router) interrupt() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(r.wake, one) // fails only when the count is full, and then poll returns too
}

func (r *router) countStrays() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stray
}

func (r *router) lateness(share float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late.quantile(share)
}

// close ends the thread. It returns why that had ended before, if it had.
func (r *router) close() error {
	r.mu.Lock()
	again := r.stopping
	r.stopping = true
	if !again {
		r.interrupt()
	}
	r.mu.Unlock()
	if again {
		return nil
	}
	if r.started {
		<-r.ended
	}
	_ = unix.Close(r.wake)
	return r.failure
}
