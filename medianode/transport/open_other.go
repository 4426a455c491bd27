//go:build !linux

package transport

import "net/netip"

// openSocket binds the fastest socket of the system.
func openSocket(addr netip.AddrPort, buffer int) (socket, error) { return openPortable(addr, buffer) }
