package netlink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// rtnetlink speaks to the kernel about the interfaces of the namespace in which
// it was made (rtnetlink(7)).
type rtnetlink struct {
	socket   int
	sequence uint32
}

func newRtnetlink() (*rtnetlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: opening a netlink socket: %w", err)
	}
	return &rtnetlink{socket: fd}, nil
}

func (r *rtnetlink) close() { _ = unix.Close(r.socket) }

// up switches an interface on. An mtu of zero leaves everything else as it is;
// otherwise queue is the number of packets that may wait to be read, and the
// interface gets no addresses but those that it is given.
func (r *rtnetlink) up(index, mtu, queue int) error {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	binary.NativeEndian.PutUint32(body[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(body[12:], unix.IFF_UP)
	if mtu > 0 {
		body = attribute(body, unix.IFLA_MTU, number(mtu))
		body = attribute(body, unix.IFLA_TXQLEN, number(queue))
		const none = 1 // IN6_ADDR_GEN_MODE_NONE
		body = attribute(body, unix.IFLA_AF_SPEC,
			attribute(nil, unix.AF_INET6, attribute(nil, unix.IFLA_INET6_ADDR_GEN_MODE, []byte{none})))
	}
	return r.ask(unix.RTM_NEWLINK, 0, body)
}

// address gives an interface an address, and by its prefix a route.
func (r *rtnetlink) address(index int, a netip.Prefix) error {
	family := byte(unix.AF_INET)
	if a.Addr().Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, byte(a.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	body = attribute(body, unix.IFA_LOCAL, a.Addr().AsSlice())
	body = attribute(body, unix.IFA_ADDRESS, a.Addr().AsSlice())
	return r.ask(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

// ask sends one request and waits for the kernel's yes or no.
func (r *rtnetlink) ask(kind, flags uint16, body []byte) error {
	r.sequence++
	request := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	binary.NativeEndian.PutUint32(request, uint32(unix.SizeofNlMsghdr+len(body)))
	binary.NativeEndian.PutUint16(request[4:], kind)
	binary.NativeEndian.PutUint16(request[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	binary.NativeEndian.PutUint32(request[8:], r.sequence)
	if err := unix.Sendto(r.socket, append(request, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(r.socket, answer, 0)
	if err != nil {
		return err
	}
	const error32 = unix.SizeofNlMsghdr // offset of nlmsgerr.error
	if n < error32+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR || binary.NativeEndian.Uint32(answer[8:]) != r.sequence {
		return fmt.Errorf("the kernel's answer of %d bytes is not an acknowledgement", n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[error32:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// attribute appends one to body, padded to four bytes.
func attribute(body []byte, kind uint16, value []byte) []byte {
	body = binary.NativeEndian.AppendUint16(body, uint16(unix.SizeofRtAttr+len(value)))
	body = binary.NativeEndian.AppendUint16(body, kind)
	body = append(body, value...)
	return append(body, make([]byte, -len(value)&3)...)
}

func number(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

// configure makes the interfaces of the calling thread's namespace ready: lo,
// and the TUN device that is there under the name device.
func configure(device string, addresses [2]netip.Prefix, mtu, queue int) error {
	r, err := newRtnetlink()
	if err != nil {
		return err
	}
	defer r.close()
	const loopback = 1
	if err := r.up(loopback, 0, 0); err != nil {
		return fmt.Errorf("netlink: switching lo on: %w", err)
	}
	tun, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("netlink: looking for the device just made: %w", err)
	}
	if err := r.up(tun.Index, mtu, queue); err != nil {
		return fmt.Errorf("netlink: switching %s on: %w", device, err)
	}
	for _, a := range addresses {
		if err := r.address(tun.Index, a); err != nil {
			return fmt.Errorf("netlink: giving %s the address %v: %w", device, a, err)
		}
	}
	return awaitLocal(addresses[1].Addr())
}

// awaitLocal waits until the namespace takes packets to its IPv6 address: the
// kernel makes the route to itself in a task of its own, after the answer to
// the request, and drops what comes before.
func awaitLocal(a netip.Addr) error {
	const table = "/proc/thread-self/net/ipv6_route"
	route := fmt.Sprintf("%x 80 ", a.As16()) // 128 bits
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		routes, err := os.ReadFile(table)
		if err != nil {
			return fmt.Errorf("netlink: reading routes: %w", err)
		}
		if bytes.Contains(routes, []byte(route)) {
			return nil
		}
	}
	return fmt.Errorf("netlink: the kernel has not finished to take the address %v in 10 s", a)
}
