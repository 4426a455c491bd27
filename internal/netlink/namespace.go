package netlink

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// own is the network namespace of the calling thread.
const own = "/proc/thread-self/ns/net"

// onThread runs f on a new goroutine, locked to a thread that ends with it. It
// is never the main thread, which would live on: in the namespace that f went
// to, and as the parent of what f started.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// Held here, the main thread cannot be given to the next goroutine.
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			f()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}

// newNamespace moves the calling thread, which must be locked, into a network
// namespace of its own and returns a descriptor of it.
func newNamespace() (int, error) {
	before, err := openOwn()
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(before) }()
	// Going to where it is shows that Run will be able to come back.
	if err := errors.Join(unix.Setns(before, unix.CLONE_NEWNET), unix.Unshare(unix.CLONE_NEWNET)); err != nil {
		return -1, fmt.Errorf("netlink: making a network namespace needs CAP_SYS_ADMIN: run as root, "+
			"or as yourself by \"unshare --user --map-root-user --net go test ...\": %w", err)
	}
	return openOwn()
}

func openOwn() (int, error) {
	fd, err := unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("netlink: opening %s (is /proc mounted?): %w", own, err)
	}
	return fd, nil
}

// within runs f on the calling goroutine with its thread in the namespace that
// enter goes to, and takes the thread back after it, however f ends.
func within(enter func() error, f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := openOwn()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(before) }()
	if err := enter(); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(before, unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("netlink: a thread cannot go back to its namespace: %v", err))
		}
	}()
	f()
	return nil
}
