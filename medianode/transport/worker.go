package transport

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// core is what a worker needs of an engine.Core: its packets, its peers and
// what flows to a peer from outside of it.
type core interface {
	packets
	peers
	flows
}

type packets interface {
	HandleDatagram(now time.Time, from netip.AddrPort, b []byte, batch *engine.Batch)
	HandleTimeout(now time.Time, batch *engine.Batch)
	NextTimeout() time.Time
	Poll() (engine.Event, bool)
}

type peers interface {
	AddPeer(now time.Time, cfg engine.PeerConfig) error
	RestartICE(now time.Time, id engine.PeerID, local, remote engine.ICE) error
	SetRemoteICE(id engine.PeerID, remote engine.ICE) error
	RemovePeer(now time.Time, id engine.PeerID)
}

type flows interface {
	Protect(now time.Time, id engine.PeerID, p engine.Protection, batch *engine.Batch) error
	Address(id engine.PeerID) netip.AddrPort
	CountData(id engine.PeerID, bytes int)
}

// minTimer bounds how often the timer goroutine wakes, whatever the core wants.
const minTimer = 500 * time.Microsecond

// worker owns a core and the peers in it.
type worker struct {
	egress Egress
	// onEvent takes the core's events. It is called with mu held: it must not
	// block and must not enter the worker.
	onEvent func(engine.Event)
	wake    chan struct{} // the timer goroutine must look at armed again

	mu     sync.Mutex // guards what follows
	core   core
	batch  engine.Batch
	single [1]engine.Datagram // scratch of send
	peers  map[engine.PeerID]*peer
	armed  time.Time // when the timer goroutine will wake; zero for never
}

func newWorker(c core, egress Egress, onEvent func(engine.Event)) *worker {
	w := &worker{
		egress:  egress,
		onEvent: onEvent,
		wake:    make(chan struct{}, 1),
		core:    c,
		peers:   map[engine.PeerID]*peer{},
	}
	w.batch.Send = func(datagrams []engine.Datagram) { w.egress.Send(datagrams) }
	return w
}

// enter runs fn with the core's discipline and then flushes.
func (w *worker) enter(fn func(now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(time.Now())
	w.flush()
}

// handle takes the datagrams that waited together and then flushes what they
// caused, so that the packets of a frame leave together where they came so. It
// allocates nothing and keeps nothing.
func (w *worker) handle(packets []mmsg.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for i := range packets {
		w.core.HandleDatagram(now, packets[i].From, packets[i].Payload, &w.batch)
	}
	if next := w.core.NextTimeout(); !next.IsZero() && !next.After(now) {
		w.core.HandleTimeout(now, &w.batch)
	}
	w.flush()
}

// send sends b, which is not from the core, to the peer's present address.
func (w *worker) send(p *peer, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to := p.last
	if w.peers[p.id] == p {
		to = w.core.Address(p.id)
	}
	if !to.IsValid() {
		return
	}
	w.single[0] = engine.Datagram{To: to, Payload: b}
	w.egress.Send(w.single[:])
	w.single[0] = engine.Datagram{}
}

// countData adds the bytes of a sent message to the peer's meter.
func (w *worker) countData(p *peer, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.peers[p.id] == p {
		w.core.CountData(p.id, bytes)
	}
}

// flush sends the batch, drains the events and looks at the timer.
func (w *worker) flush() {
	w.sendBatch()
	for event, ok := w.core.Poll(); ok; event, ok = w.core.Poll() {
		w.onEvent(event)
	}
	next := w.core.NextTimeout()
	if !next.IsZero() && (w.armed.IsZero() || next.Before(w.armed)) {
		w.armed = next
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// sendBatch sends the batch and empties it.
func (w *worker) sendBatch() {
	if w.batch.Len() == 0 {
		return
	}
	w.egress.Send(w.batch.Datagrams())
	w.batch.Reset()
}

// runTimers gives the core its timeouts until ctx ends.
func (w *worker) runTimers(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
			w.timeout()
		}
		w.mu.Lock()
		armed := w.armed
		w.mu.Unlock()
		if armed.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(armed), minTimer))
		}
	}
}

func (w *worker) timeout() {
	w.enter(func(now time.Time) {
		w.armed = time.Time{}
		if next := w.core.NextTimeout(); !next.IsZero() && !now.Before(next) {
			w.core.HandleTimeout(now, &w.batch)
		}
	})
}
