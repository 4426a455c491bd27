package mmsg

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Socket is a bound UDP socket of one IP version.
type Socket struct {
	fd      int
	addr    netip.AddrPort
	closed  atomic.Bool
	open    sync.RWMutex // held while fd is in use, so that Close does not free its number
	inbound inbound
	sender  sender
}

// Buffers are sizes of a socket, in bytes.
type Buffers struct {
	// Kernel is asked of the kernel for the receive and for the send buffer; it
	// caps both at its own limit without an error.
	Kernel int
	// Datagram is the longest datagram that Receive takes whole; a longer one
	// is cut to this.
	Datagram int
}

// Listen binds addr, which is not an IPv4 address in IPv6 form, with so many
// sockets that share it. Port 0 picks a free one. An IPv6 socket takes IPv6
// alone.
func Listen(addr netip.AddrPort, count int, b Buffers) ([]*Socket, error) {
	var group []*Socket
	for i := range count {
		s, err := open(addr, i > 0, b)
		if err == nil && i == 0 && count > 1 {
			// Only now, so that a port that another process shares is taken.
			if err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				err = errors.Join(fmt.Errorf("mmsg: sharing %v: %w", addr, os.NewSyscallError("setsockopt", err)), s.Close())
			}
		}
		if err != nil {
			for _, other := range group {
				err = errors.Join(err, other.Close())
			}
			return nil, err
		}
		group = append(group, s)
		addr = s.addr
	}
	return group, nil
}

// open binds one socket, which can join those that share the address.
func open(addr netip.AddrPort, join bool, b Buffers) (*Socket, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("mmsg: opening a socket: %w", os.NewSyscallError("socket", err))
	}
	s := &Socket{fd: fd}
	if err := s.bind(family, addr, join, b.Kernel); err != nil {
		return nil, errors.Join(fmt.Errorf("mmsg: binding %v: %w", addr, err), unix.Close(fd))
	}
	s.inbound.init(b.Datagram)
	// Kernels before 4.18 would send a segmented message as one long datagram.
	_, err = unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	s.sender.init(err == nil, family == unix.AF_INET6)
	return s, nil
}

func (s *Socket) bind(family int, addr netip.AddrPort, join bool, buffer int) error {
	var name unix.Sockaddr = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: v4(addr.Addr())}
	if family == unix.AF_INET6 {
		zone, err := zoneOf(addr.Addr())
		if err != nil {
			return err
		}
		name = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16(), ZoneId: zone}
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	options := map[int]int{unix.SO_RCVBUF: buffer, unix.SO_SNDBUF: buffer, unix.SO_TIMESTAMPNS: 1}
	if join {
		options[unix.SO_REUSEPORT] = 1
	}
	for option, value := range options {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option, value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(s.fd, name); err != nil {
		return os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		s.addr = netip.AddrPortFrom(addr.Addr(), uint16(b.Port))
	case *unix.SockaddrInet6:
		s.addr = netip.AddrPortFrom(addr.Addr(), uint16(b.Port))
	}
	return nil
}

// zoneOf returns the number of the interface that an address is bound to.
func zoneOf(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// v4 is As4 of an IPv4 address and zero for any other.
func v4(a netip.Addr) (b [4]byte) {
	if a.Is4() {
		b = a.As4()
	}
	return b
}

// Addr returns the bound address.
func (s *Socket) Addr() netip.AddrPort { return s.addr }

// Close frees the socket when no call uses it any more. Closing again does
// nothing.
func (s *Socket) Close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return nil
	}
	s.open.Lock()
	defer s.open.Unlock()
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("mmsg: closing %v: %w", s.addr, os.NewSyscallError("close", err))
	}
	return nil
}
