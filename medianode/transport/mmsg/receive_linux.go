package mmsg

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// inbound is the memory that the kernel writes datagrams into.
type inbound struct {
	messages [MaxReceive]message
	names    [MaxReceive]name
	buffers  [MaxReceive]unix.Iovec
	payloads [MaxReceive][]byte
	packets  [MaxReceive]Packet
}

func (in *inbound) init(size int) {
	memory := make([]byte, MaxReceive*size)
	for i := range in.messages {
		in.payloads[i] = memory[i*size : (i+1)*size : (i+1)*size]
		in.buffers[i].Base = &in.payloads[i][0]
		in.buffers[i].SetLen(size)
		point(&in.messages[i].header, &in.names[i], unix.SizeofSockaddrInet6, in.buffers[i:i+1])
	}
}

// Receive waits for a datagram and returns it with those that wait behind it,
// in order of arrival. They are good until the next call. It fails with
// net.ErrClosed after Close. Its goroutine should be locked to a thread, which
// spends its time in the kernel.
func (s *Socket) Receive() ([]Packet, error) {
	s.open.RLock()
	defer s.open.RUnlock()
	in := &s.inbound
	for {
		if s.closed.Load() {
			return nil, net.ErrClosed
		}
		n, errno := recvmmsg(s.fd, in.messages[:])
		switch {
		case s.closed.Load(): // the kernel pretends an empty datagram
			return nil, net.ErrClosed
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return nil, fmt.Errorf("mmsg: reading from %v: %w", s.addr, os.NewSyscallError("recvmmsg", errno))
		}
		for i := range n {
			m := &in.messages[i]
			in.packets[i] = Packet{From: in.names[i].get(m.header.Namelen), Payload: in.payloads[i][:m.length]}
			m.header.Namelen = unix.SizeofSockaddrInet6 // for the next call
		}
		return in.packets[:n], nil
	}
}
