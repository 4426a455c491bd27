package transport

import (
	"fmt"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// ingress is where a worker's thread waits.
type ingress interface {
	// Wait blocks until datagrams come, the timeout is over (below zero it never
	// is) or Wake is called. It gives what came to take, which keeps nothing;
	// datagrams that waited together in one call, or in a few if they were many.
	Wait(timeout time.Duration, take func([]mmsg.Packet)) error
	// Wake ends the present Wait or the next. It may be called from anywhere, and
	// after Close.
	Wake()
	// Close ends it; the sockets stay open. Nobody may be in Wait.
	Close() error
}

// readers is the ingress of portable sockets: a goroutine for each reads it.
type readers struct {
	arrived chan arrival
	wakes   chan struct{}
	failed  chan error
	closing chan struct{}
	timer   *time.Timer
	sockets *sockets
	running sync.WaitGroup
}

// arrival is what a reader has for the worker; it goes on when told that it was
// taken.
type arrival struct {
	packets []mmsg.Packet
	taken   chan<- struct{}
}

func newReaders(s *sockets) *readers {
	all := s.all()
	r := &readers{
		arrived: make(chan arrival),
		wakes:   make(chan struct{}, 1),
		failed:  make(chan error, len(all)),
		closing: make(chan struct{}),
		timer:   time.NewTimer(time.Hour),
		sockets: s,
	}
	for _, c := range all {
		r.running.Go(func() { r.read(c.(*portable)) })
	}
	return r
}

func (r *readers) read(s *portable) {
	taken := make(chan struct{})
	for {
		packets, err := s.receive()
		if err != nil {
			r.failed <- fmt.Errorf("transport: reading from %v: %w", s.Addr(), err)
			return
		}
		select {
		case r.arrived <- arrival{packets, taken}:
			<-taken
		case <-r.closing:
			return
		}
	}
}

// Wait implements ingress.
func (r *readers) Wait(timeout time.Duration, take func([]mmsg.Packet)) error {
	var expired <-chan time.Time
	if timeout >= 0 {
		r.timer.Reset(timeout)
		expired = r.timer.C
	}
	select {
	case a := <-r.arrived:
		if packets := r.sockets.admit(a.packets); len(packets) > 0 {
			take(packets)
		}
		a.taken <- struct{}{}
	case <-expired:
	case <-r.wakes:
	case err := <-r.failed:
		return err
	}
	return nil
}

// Wake implements ingress.
func (r *readers) Wake() {
	select {
	case r.wakes <- struct{}{}:
	default:
	}
}

// Close implements ingress.
func (r *readers) Close() error {
	close(r.closing)
	r.timer.Stop()
	for _, c := range r.sockets.all() {
		c.(*portable).interrupt()
	}
	r.running.Wait()
	return nil
}
