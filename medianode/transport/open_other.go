//go:build !linux

package transport

import "net/netip"

// maxWorkers is how many workers can share the port.
const maxWorkers = 1

// openSockets binds the fastest sockets of the system.
func openSockets(addr netip.AddrPort, _, buffer int) ([]socket, error) {
	return openPortable(addr, buffer)
}

// newPolled returns nil: all sockets are portable.
func newPolled(*sockets) (ingress, error) { return nil, nil }
