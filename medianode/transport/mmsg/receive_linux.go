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
	stamps   [MaxReceive]stamp
	buffers  [MaxReceive]unix.Iovec
	payloads [MaxReceive][]byte
	packets  [MaxReceive]Packet
	used     int // messages that the kernel wrote since they were made ready
}

func (in *inbound) init(size int) {
	memory := make([]byte, MaxReceive*size)
	for i := range in.messages {
		in.payloads[i] = memory[i*size : (i+1)*size : (i+1)*size]
		in.buffers[i].Base = &in.payloads[i][0]
		in.buffers[i].SetLen(size)
	}
	in.used = MaxReceive
}

// ready gives back to the kernel what it used the last time.
func (in *inbound) ready() {
	for i := range in.used {
		h := &in.messages[i].header
		point(h, &in.names[i], unix.SizeofSockaddrInet6, in.buffers[i:i+1])
		in.stamps[i].attach(h)
	}
	in.used = 0
}

// Receive returns the datagrams that wait, at most MaxReceive, in order of
// arrival; none if nothing waits. They are good until the next call. It fails
// with net.ErrClosed after Close.
func (s *Socket) Receive() ([]Packet, error) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed.Load() {
		return nil, net.ErrClosed
	}
	in := &s.inbound
	in.ready()
	n, errno := recvmmsg(s.fd, in.messages[:])
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return nil, nil
	}
	if errno != 0 {
		return nil, fmt.Errorf("mmsg: reading from %v: %w", s.addr, os.NewSyscallError("recvmmsg", errno))
	}
	in.used = n
	for i := range n {
		m := &in.messages[i]
		in.packets[i] = Packet{
			From:    in.names[i].get(m.header.Namelen),
			Payload: in.payloads[i][:m.length],
			Arrival: in.stamps[i].time(&m.header),
		}
	}
	return in.packets[:n], nil
}
