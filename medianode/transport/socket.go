package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/prometheus/client_golang/prometheus"
)

// readSize holds every datagram that we take and shows a longer one as such.
const readSize = 2048

// Egress sends what a flush holds; datagrams of one destination and stream stay
// in order. It is called with the worker's discipline, keeps nothing after it
// returns and counts its own errors.
type Egress interface {
	Send(datagrams []engine.Datagram)
}

// socket is a bound UDP socket of one IP version: mmsg.Socket, or portable. One
// goroutine sends.
type socket interface {
	Send(datagrams []engine.Datagram) mmsg.Sent
	Addr() netip.AddrPort
	Close() error
}

// sockets are those of one worker, at most one of each IP version.
type sockets struct {
	v4, v6   socket
	metrics  *metrics
	oversize prometheus.Counter
}

// listen binds the addresses for so many workers, who share each port. Portable
// sockets are those of package net; they do not share.
func listen(addrs []netip.AddrPort, workers, buffer int, isPortable bool, m *metrics) ([]*sockets, error) {
	var all []*sockets
	for range workers {
		all = append(all, &sockets{metrics: m, oversize: m.receiveDrops.WithLabelValues("oversize")})
	}
	for _, addr := range addrs {
		var opened []socket
		var err error
		if isPortable {
			opened, err = openPortable(addr, buffer)
		} else {
			opened, err = openSockets(addr, workers, buffer)
		}
		if err != nil {
			err = fmt.Errorf("transport: listening on %v: %w", addr, err)
			for _, s := range all {
				err = errors.Join(err, s.close())
			}
			return nil, err
		}
		for i, c := range opened {
			if addr.Addr().Is4() {
				all[i].v4 = c
			} else {
				all[i].v6 = c
			}
		}
	}
	return all, nil
}

// all returns the sockets that there are.
func (s *sockets) all() []socket {
	var all []socket
	for _, c := range []socket{s.v4, s.v6} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// addrs returns the bound addresses.
func (s *sockets) addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, c := range s.all() {
		addrs = append(addrs, c.Addr())
	}
	return addrs
}

// serve runs the worker of these sockets until it is stopped. A worker that
// waits in the kernel has a thread of its own.
func (s *sockets) serve(w *worker) error {
	in, err := newPolled(s)
	if err != nil {
		return err
	}
	if in != nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	} else {
		in = newReaders(s)
	}
	return errors.Join(w.run(in), in.Close())
}

// admit counts what came in one call and returns what is not too long.
func (s *sockets) admit(packets []mmsg.Packet) []mmsg.Packet {
	kept, bytes := packets[:0], 0
	for _, p := range packets {
		bytes += len(p.Payload)
		if len(p.Payload) <= engine.MaxDatagram {
			kept = append(kept, p)
		}
	}
	s.metrics.receiveCalls.Inc()
	s.metrics.receiveMessages.Add(float64(len(packets)))
	s.metrics.packetsReceived.Add(float64(len(packets)))
	s.metrics.bytesReceived.Add(float64(bytes))
	if dropped := len(packets) - len(kept); dropped > 0 {
		s.oversize.Add(float64(dropped))
	}
	return kept
}

// Send implements Egress.
func (s *sockets) Send(datagrams []engine.Datagram) {
	var sent mmsg.Sent
	for len(datagrams) > 0 {
		n := sameVersion(datagrams)
		c := s.v6
		if datagrams[0].To.Addr().Is4() {
			c = s.v4
		}
		if c == nil {
			sent.Failed += n
		} else {
			sent.Add(c.Send(datagrams[:n]))
		}
		datagrams = datagrams[n:]
	}
	s.metrics.count(sent)
}

// sameVersion returns how many of the first datagrams go to one IP version.
func sameVersion(datagrams []engine.Datagram) int {
	is4 := datagrams[0].To.Addr().Is4()
	for i := range datagrams {
		if datagrams[i].To.Addr().Is4() != is4 {
			return i
		}
	}
	return len(datagrams)
}

func (s *sockets) close() error {
	var errs []error
	for _, c := range s.all() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
