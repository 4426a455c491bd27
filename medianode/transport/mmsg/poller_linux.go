package mmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSockets is how many sockets one Poller watches: one of each IP version.
const maxSockets = 2

// maxHold is the longest Wait that keeps the processor: a bound on how long the
// runtime may have to wait for the thread, should its signal come just before
// the call.
const maxHold = 20 * time.Millisecond

// maxEmpty is how many waits in a row may bring nothing before longer ones are
// left to the scheduler: a second after the last datagram.
const maxEmpty = 50

// Poller waits for the first datagram on any of its sockets, for the time, or
// for Wake. It asks the kernel about arrivals alone, never about room to send.
type Poller struct {
	// Hold lets a Wait of up to 20 ms keep the processor (P) of Go's scheduler, and
	// cuts longer ones to that while datagrams come.
	// Without it the scheduler's monitor wakes some thousand times a second to
	// see whether the thread that sleeps could lend its processor to others: a
	// fifth of the cost of forwarding to 100 subscribers. Set it before the first
	// Wait, and only where GOMAXPROCS leaves processors for everybody else. A
	// collection of garbage ends a Wait early, by a signal.
	Hold bool

	epoll   int
	sockets []*Socket
	ready   [maxSockets]*Socket
	events  [maxSockets + 1]unix.EpollEvent
	timeout unix.Timespec // of the present call: here, so that nothing is allocated
	coarse  bool          // the kernel knows milliseconds alone
	empty   int           // waits in a row in which nothing came

	mu     sync.Mutex // guards what follows
	event  int        // an eventfd, whose count nobody reads
	one    [8]byte    // what a Wake adds to the count, so that 2^64 fit
	closed bool
}

// NewPoller makes a Poller over sockets, at most two. They stay the caller's.
func NewPoller(sockets ...*Socket) (*Poller, error) {
	if len(sockets) > maxSockets {
		return nil, fmt.Errorf("mmsg: polling %d sockets: want at most %d", len(sockets), maxSockets)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mmsg: making a poller: %w", os.NewSyscallError("epoll_create1", err))
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mmsg: making a poller: %w", os.NewSyscallError("eventfd2", err)), unix.Close(epoll))
	}
	p := &Poller{epoll: epoll, event: event, sockets: sockets}
	binary.NativeEndian.PutUint64(p.one[:], 1)
	// An edge is enough: what matters of a wake-up is that it happened.
	err = p.add(event, unix.EPOLLIN|unix.EPOLLET, maxSockets)
	for i, s := range sockets {
		if err == nil {
			err = p.add(s.fd, unix.EPOLLIN, i)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Poller) add(fd int, events uint32, mark int) error {
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(mark)}); err != nil {
		return fmt.Errorf("mmsg: making a poller: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// Wait blocks until a datagram waits on a socket, until the timeout is over, or
// until Wake is or has been called since the last Wait. A negative timeout is
// for ever. It returns the sockets with datagrams, good until the next call,
// which can be none, also before the time with Hold. One goroutine, which should be locked to a thread: it
// spends its time in the kernel.
func (p *Poller) Wait(timeout time.Duration) ([]*Socket, error) {
	n, errno := p.wait(timeout)
	if errno != 0 && errno != unix.EINTR {
		return nil, fmt.Errorf("mmsg: waiting: %w", os.NewSyscallError("epoll_pwait2", errno))
	}
	if p.empty++; n > 0 {
		p.empty = 0
	}
	ready := p.ready[:0]
	for _, e := range p.events[:n] {
		if e.Fd < maxSockets {
			ready = append(ready, p.sockets[e.Fd])
		}
	}
	return ready, nil
}

func (p *Poller) wait(timeout time.Duration) (int, unix.Errno) {
	call := unix.Syscall6
	if p.Hold && (timeout < 0 || timeout > maxHold) && p.empty < maxEmpty {
		timeout = maxHold // and once more, if need be
	}
	if p.Hold && timeout >= 0 && timeout <= maxHold {
		call = unix.RawSyscall6
	}
	if !p.coarse {
		var until *unix.Timespec
		if timeout >= 0 {
			p.timeout = unix.NsecToTimespec(timeout.Nanoseconds())
			until = &p.timeout
		}
		n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)), uintptr(unsafe.Pointer(until)), 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.ENOSYS, unix.EPERM: // before Linux 5.11, or a filter that has not heard of it
			p.coarse = true
		default:
			return 0, errno
		}
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(milliseconds(timeout)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// milliseconds rounds up: a timer that is early is run twice.
func milliseconds(timeout time.Duration) int32 {
	if timeout < 0 {
		return -1
	}
	const longest = 1<<31 - 1
	return int32(min((timeout+time.Millisecond-1)/time.Millisecond, longest))
}

// Wake ends the present Wait, or else the next. It may be called from anywhere,
// also after Close.
func (p *Poller) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		_, _ = unix.Write(p.event, p.one[:])
	}
}

// Close frees the poller. Nobody may be in Wait.
func (p *Poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if err := errors.Join(unix.Close(p.event), unix.Close(p.epoll)); err != nil {
		return fmt.Errorf("mmsg: closing a poller: %w", os.NewSyscallError("close", err))
	}
	return nil
}
