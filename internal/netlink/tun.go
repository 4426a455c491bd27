package netlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	device     = "link0" // the interface in every host
	tunControl = "/dev/net/tun"

	// tunQueue packets may wait for the router's thread in each device. The
	// kernel's usual 500 are lost in 2 ms of a gigabit.
	tunQueue = 8192
)

// openTun makes the device in the namespace of the calling thread. It is gone
// when the descriptor is closed.
func openTun() (int, error) {
	fd, err := unix.Open(tunControl, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fmt.Errorf("netlink: no TUN devices here: load the kernel's module (modprobe tun), "+
			"or give the container the device (--device %s): %w", tunControl, err)
	case err != nil:
		return -1, fmt.Errorf("netlink: opening %s: run as root, or let everybody open it as most systems do (chmod 0666 %[1]s): %w", tunControl, err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("netlink: making a TUN device needs CAP_NET_ADMIN (container: --cap-add NET_ADMIN): %w", err)
	}
	return fd, nil
}
