package netlink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drtc-network/drtc/internal/netlink/shape"
)

// Direction is one of a host's access link.
type Direction int

// The directions, seen from the host.
const (
	Up   Direction = iota // to the router
	Down                  // from the router
)

// Host is one network namespace.
type Host struct {
	name      string
	addresses [2]netip.Prefix
	router    *router
	tun       int
	shapers   [2]*shape.Shaper        // by Direction; guarded by the router's mutex
	paths     map[*Host]*shape.Shaper // to other hosts, where anything lies between; guarded likewise

	tasks chan func()   // for the host's own thread
	quit  chan struct{} // closed to end it
	ended chan struct{} // closed when it has

	mu        sync.Mutex // guards the fields below
	namespace int        // descriptor; -1 when closed
}

// newHost makes a namespace with a thread that lives as long as the host.
func newHost(name string, addresses [2]netip.Prefix, mtu int, r *router) (*Host, error) {
	h := &Host{
		name: name, addresses: addresses, router: r, tun: -1, namespace: -1,
		paths: map[*Host]*shape.Shaper{}, tasks: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	ready := make(chan error)
	onThread(func() {
		defer close(h.ended)
		err := h.build(mtu)
		ready <- err
		if err == nil {
			h.serve()
		}
	})
	if err := <-ready; err != nil {
		h.close()
		return nil, fmt.Errorf("%w (host %s)", err, name)
	}
	return h, nil
}

func (h *Host) build(mtu int) error {
	var err error
	if h.namespace, err = newNamespace(); err != nil {
		return err
	}
	if h.tun, err = openTun(); err != nil {
		return err
	}
	return configure(device, h.addresses, mtu, tunQueue)
}

func (h *Host) serve() {
	for {
		select {
		case task := <-h.tasks:
			task()
		case <-h.quit:
			return
		}
	}
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Addr4 returns the host's IPv4 address.
func (h *Host) Addr4() netip.Addr { return h.addresses[0].Addr() }

// Addr6 returns the host's IPv6 address.
func (h *Host) Addr6() netip.Addr { return h.addresses[1].Addr() }

// Run calls f on the calling goroutine, with its thread in the host. What f
// opens by itself is in the host and stays there; goroutines that it starts are
// not, and so neither are connections that a library opens on one. For those
// hand DialContext or Listen to the library. f may end the test (t.Fatal), and
// may call Run of another host.
func (h *Host) Run(f func()) error {
	return within(func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.namespace < 0 {
			return ErrClosed
		}
		if err := unix.Setns(h.namespace, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netlink: entering host %s: %w", h.name, err)
		}
		return nil
	}, f)
}

// Go calls Run(f) on a goroutine of its own and hands over what Run returns, or
// ErrExit. The caller waits for it: Close does not.
func (h *Host) Go(f func()) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := ErrExit
		defer func() { done <- err }()
		err = h.Run(f)
	}()
	return done
}

// Listen is net.ListenConfig.Listen in the host.
func (h *Host) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	runErr := h.Run(func() { l, err = new(net.ListenConfig).Listen(ctx, network, address) })
	return l, firstError(runErr, err)
}

// ListenPacket is net.ListenConfig.ListenPacket in the host.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (c net.PacketConn, err error) {
	runErr := h.Run(func() { c, err = new(net.ListenConfig).ListenPacket(ctx, network, address) })
	return c, firstError(runErr, err)
}

// DialContext is net.Dialer.DialContext in the host. The address has digits: a
// name would be looked up outside.
func (h *Host) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	runErr := h.Run(func() { c, err = new(net.Dialer).DialContext(ctx, network, address) })
	return c, firstError(runErr, err)
}

// Set changes one direction of the host's link now. The MTU of the host's
// interface stays as New made it.
func (h *Host) Set(d Direction, settings shape.Settings) error {
	return h.router.change(func(now time.Time) error { return h.shapers[d].Set(now, settings) })
}

// Schedule changes one direction of the host's link at a time from now,
// to the nanosecond on the time line of the link. Several may wait.
func (h *Host) Schedule(in time.Duration, d Direction, settings shape.Settings) error {
	return h.router.change(func(now time.Time) error { return h.shapers[d].Schedule(now.Add(in), settings) })
}

// Settings returns those that are in force.
func (h *Host) Settings(d Direction) (s shape.Settings) {
	_ = h.router.change(func(now time.Time) error {
		s = h.shapers[d].Settings()
		return nil
	})
	return s
}

// Counters returns what happened in one direction until now.
func (h *Host) Counters(d Direction) (c shape.Counters) {
	_ = h.router.change(func(time.Time) error {
		c = h.shapers[d].Counters()
		return nil
	})
	return c
}

// Overruns returns how many packets the host's kernel dropped because the
// router's thread did not read them in time: losses that no setting asked for.
func (h *Host) Overruns() (uint64, error) {
	var table []byte
	var err error
	if runErr := h.Run(func() { table, err = os.ReadFile("/proc/thread-self/net/dev") }); runErr != nil || err != nil {
		return 0, firstError(runErr, err)
	}
	for _, line := range strings.Split(string(table), "\n") {
		if name, numbers, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == device {
			const dropped = 11 // bytes packets errs drop fifo frame compressed multicast, twice
			if fields := strings.Fields(numbers); len(fields) > dropped {
				return strconv.ParseUint(fields[dropped], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("netlink: host %s has no interface %s any more", h.name, device)
}

// do runs a short f on the host's own thread.
func (h *Host) do(f func()) error {
	done := make(chan struct{})
	select {
	case h.tasks <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-h.quit:
		return ErrClosed
	}
}

// close ends the host's thread, and with it the programs that it started.
func (h *Host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.namespace < 0 && h.tun < 0 {
		return
	}
	close(h.quit)
	<-h.ended
	for _, fd := range []*int{&h.namespace, &h.tun} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
