package transport

import (
	"net/netip"

	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// openSocket binds the fastest socket of the system.
func openSocket(addr netip.AddrPort, buffer int) (socket, error) {
	s, err := mmsg.Listen(addr, mmsg.Buffers{Kernel: buffer, Datagram: readSize})
	if err != nil {
		return nil, err
	}
	return s, nil
}
