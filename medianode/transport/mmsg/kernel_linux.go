package mmsg

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is struct mmsghdr. What its pointers lead to lives in the same
// structure on the heap as the message itself, and payloads until the call
// ends: Go's heap does not move.
type message struct {
	header unix.Msghdr
	length uint32 // by the kernel: bytes received or sent
}

// name holds an address of either IP version in the kernel's form.
type name struct{ raw unix.RawSockaddrInet6 }

// set writes an address and returns its size, or zero if the socket cannot
// reach it.
func (n *name) set(a netip.AddrPort, ipv6 bool) uint32 {
	if a.Addr().Is6() != ipv6 || !a.IsValid() {
		return 0
	}
	if !ipv6 {
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n.raw)) // the smaller of the two
		*raw = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(a.Port()), Addr: a.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	n.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(a.Port()), Addr: a.Addr().As16()}
	if a.Addr().Zone() != "" {
		zone, err := zoneOf(a.Addr())
		if err != nil {
			return 0
		}
		n.raw.Scope_id = zone
	}
	return unix.SizeofSockaddrInet6
}

// get reads an address of the given size. It is the zero one if there is none.
func (n *name) get(size uint32) netip.AddrPort {
	switch {
	case n.raw.Family == unix.AF_INET && size >= unix.SizeofSockaddrInet4:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), networkOrder(raw.Port))
	case n.raw.Family == unix.AF_INET6 && size >= unix.SizeofSockaddrInet6:
		a := netip.AddrFrom16(n.raw.Addr)
		if n.raw.Scope_id != 0 { // link-local
			a = a.WithZone(strconv.FormatUint(uint64(n.raw.Scope_id), 10))
		}
		return netip.AddrPortFrom(a, networkOrder(n.raw.Port))
	default:
		return netip.AddrPort{}
	}
}

// networkOrder converts a port to network byte order, or back.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// segmentation is a control message that asks for segments of a size.
type segmentation struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte // CMSG_SPACE
}

func (c *segmentation) init() {
	c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.header.SetLen(unix.CmsgLen(2))
}

// attach makes h ask for segments of the size.
func (c *segmentation) attach(h *unix.Msghdr, size int) {
	c.size = uint16(size)
	h.Control = (*byte)(unsafe.Pointer(c))
	h.SetControllen(unix.CmsgSpace(2))
}

// stamp is a control message in which the kernel says when a datagram arrived.
type stamp struct {
	header unix.Cmsghdr
	at     unix.Timespec
}

// attach makes the kernel fill c at the next receive into h.
func (c *stamp) attach(h *unix.Msghdr) {
	h.Control = (*byte)(unsafe.Pointer(c))
	h.SetControllen(int(unsafe.Sizeof(*c)))
}

// time is the arrival of the datagram that came with h, zero if the kernel did
// not say.
func (c *stamp) time(h *unix.Msghdr) time.Time {
	if int(h.Controllen) < unix.CmsgLen(int(unsafe.Sizeof(c.at))) ||
		c.header.Level != unix.SOL_SOCKET || c.header.Type != unix.SCM_TIMESTAMPNS {
		return time.Time{}
	}
	return time.Unix(c.at.Unix())
}

// point makes h lead to the address and to the buffers.
func point(h *unix.Msghdr, n *name, size uint32, buffers []unix.Iovec) {
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(n)), size
	h.Iov = &buffers[0]
	h.SetIovlen(len(buffers))
}

// recvmmsg takes the messages that are there and returns how many.
func recvmmsg(fd int, messages []message) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])),
		uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// sendmmsg sends messages without waiting for room. It returns how many the
// kernel took; the error is that of the first one.
func sendmmsg(fd int, messages []message) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])),
		uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
