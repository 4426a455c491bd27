package mmsg

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"golang.org/x/sys/unix"
)

func TestReceive_takesWhatWaits(t *testing.T) {
	for version, addr := range loopbacks {
		t.Run(version, func(t *testing.T) {
			s := listen(t, addr)
			p := newPoller(t, s)
			a, b := newFar(t, addr), newFar(t, addr)
			lengths := []int{1200, 1, 0, 2048, 2049, 1500}
			for i := range 100 {
				from := []far{a, b}[i%2]
				if _, err := from.WriteToUDPAddrPort(payload(lengths[i%len(lengths)], i), s.Addr()); err != nil {
					t.Fatal(err)
				}
			}
			calls, i := 0, 0
			for ; i < 100; calls++ {
				for _, p := range await(t, p, s) {
					want := payload(lengths[i%len(lengths)], i)
					if from := []far{a, b}[i%2].addr; p.From != from {
						t.Fatalf("datagram %d from %v, want %v", i, p.From, from)
					}
					if want = want[:min(len(want), 2048)]; !bytes.Equal(p.Payload, want) {
						t.Fatalf("datagram %d has %d bytes, want %d", i, len(p.Payload), len(want))
					}
					i++
				}
			}
			if calls > 10 { // 2, unless loopback lags
				t.Errorf("100 waiting datagrams took %d calls, want few", calls)
			}
		})
	}
}

// Link-local addresses name the interface by number, so that the answer finds
// its way.
func TestName_keepsTheZone(t *testing.T) {
	for _, text := range []string{"[fe80::1%7]:9000", "[2001:db8::1]:1", "[::1]:65535"} {
		want := netip.MustParseAddrPort(text)
		var n name
		if got := n.get(n.set(want, true)); got != want {
			t.Errorf("%v comes back as %v", want, got)
		}
	}
	var n name
	if size := n.set(netip.MustParseAddrPort("[fe80::1%nosuchinterface]:1"), true); size != 0 {
		t.Errorf("an unknown interface gives a name of %d bytes, want 0", size)
	}
}

func TestClose_isFinal(t *testing.T) {
	s := listen(t, loopbacks["IPv4"])
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := s.Receive(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v, want %v", err, net.ErrClosed)
	}
	if got := s.Send(burst(s.Addr(), 1, 3, 10)); got != (Sent{Failed: 3}) {
		t.Errorf("Send: %+v, want 3 failed", got)
	}
	listen(t, s.Addr()) // the port is free
}

// Two nodes of one machine must not share a port by accident, so nobody joins
// sockets that share one among themselves.
func TestListen_portIsTaken(t *testing.T) {
	for _, taken := range []int{1, 2} {
		addr := listenTogether(t, loopbacks["IPv4"], taken)[0].Addr()
		for _, count := range []int{1, 2} {
			if _, err := Listen(addr, count, Buffers{Kernel: 1 << 16, Datagram: 100}); !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("%d sockets on a port that %d have: %v, want %v", count, taken, err, unix.EADDRINUSE)
			}
		}
	}
}

// Every flow stays with one of the sockets, and each socket has some.
func TestListen_socketsShareThePort(t *testing.T) {
	for version, addr := range loopbacks {
		t.Run(version, func(t *testing.T) {
			const flows, sockets, rounds = 64, 3, 4
			group := listenTogether(t, addr, sockets)
			var fars []far
			for range flows {
				fars = append(fars, newFar(t, addr))
			}
			for range rounds {
				for _, f := range fars {
					if _, err := f.WriteToUDPAddrPort([]byte{1}, group[0].Addr()); err != nil {
						t.Fatal(err)
					}
				}
			}
			home := map[netip.AddrPort]*Socket{}
			count := 0
			for _, s := range group {
				packets, err := s.Receive()
				for ; len(packets) > 0 && err == nil; packets, err = s.Receive() {
					for _, p := range packets {
						if other := home[p.From]; other != nil && other != s {
							t.Fatalf("datagrams of %v came to two sockets", p.From)
						}
						home[p.From] = s
						count++
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			each := map[*Socket]int{}
			for _, s := range home {
				each[s]++
			}
			if count != flows*rounds || len(each) != sockets {
				t.Errorf("%d datagrams on %d sockets, want %d on %d", count, len(each), flows*rounds, sockets)
			}
		})
	}
}

// The kernel says when it took a datagram, whenever that is read.
func TestReceive_saysWhenDatagramsArrived(t *testing.T) {
	for version, addr := range loopbacks {
		t.Run(version, func(t *testing.T) {
			s, f := listen(t, addr), newFar(t, addr)
			var sent []time.Time
			for range 3 {
				sent = append(sent, time.Now())
				if _, err := f.WriteToUDPAddrPort([]byte{1}, s.Addr()); err != nil {
					t.Fatal(err)
				}
			}
			end := time.Now()
			packets, err := s.Receive()
			if err != nil || len(packets) != len(sent) {
				t.Fatalf("%d packets, %v, want %d", len(packets), err, len(sent))
			}
			// Go's wall clock is the kernel's, read at another moment.
			const slack = 50 * time.Microsecond
			for i, p := range packets {
				if p.Arrival.Before(sent[i].Round(0).Add(-slack)) || p.Arrival.After(end.Round(0).Add(slack)) {
					t.Errorf("datagram %d of %v arrived at %v, want it before %v", i, sent[i], p.Arrival, end)
				}
			}
		})
	}
}

// Sending, receiving, collecting garbage and closing at once.
func TestSocket_underLoad(t *testing.T) {
	a, b := listen(t, loopbacks["IPv4"]), listen(t, loopbacks["IPv4"])
	p := newPoller(t, b)
	var wg sync.WaitGroup
	full := make(chan struct{})
	wg.Go(func() {
		runtime.LockOSThread()
		for taken := 0; ; {
			if _, err := p.Wait(-1); err != nil {
				t.Error(err)
			}
			packets, err := b.Receive()
			if err != nil {
				if taken < 1000 {
					t.Errorf("ended after %d datagrams: %v", taken, err)
				}
				return
			}
			for _, p := range packets {
				if len(p.Payload) != 700 || !bytes.Equal(p.Payload, payload(700, saltOf(p.Payload))) {
					t.Errorf("a datagram of %d bytes is not as sent", len(p.Payload))
				}
			}
			if taken < 1000 && taken+len(packets) >= 1000 {
				close(full)
			}
			taken += len(packets)
		}
	})
	wg.Go(func() {
		for i := 0; ; i++ {
			got := a.Send(burst(b.Addr(), uint32(i%2), 9, 700)) // fresh memory each time
			if got.Failed == 9 {
				return
			}
			if i%16 == 0 {
				runtime.GC()
			}
		}
	})
	select {
	case <-full:
	case <-time.After(patience):
		t.Error("1000 datagrams did not arrive")
	}
	if err := errors.Join(b.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	p.Wake()
	wg.Wait()
}

// saltOf finds which of a burst's payloads this is.
func saltOf(b []byte) int {
	for salt := range 9 {
		if b[0] == payload(1, salt)[0] {
			return salt
		}
	}
	return -1
}

func TestSocket_allocatesNothing(t *testing.T) {
	for version, addr := range loopbacks {
		t.Run(version, func(t *testing.T) {
			s := listen(t, addr)
			p := newPoller(t, s)
			var batch []engine.Datagram
			for i := range 10 {
				batch = append(batch, burst(s.Addr(), uint32(i%3), 5, 1200)...)
			}
			if allocs := testing.AllocsPerRun(100, func() {
				s.Send(batch)
				for got := 0; got < len(batch); {
					got += len(await(t, p, s))
				}
				p.Wake()
			}); allocs != 0 {
				t.Errorf("%v allocations to send and receive %d datagrams, want 0", allocs, len(batch))
			}
		})
	}
}
