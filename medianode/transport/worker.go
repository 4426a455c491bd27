package transport

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/limit"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

// core is what a worker needs of an engine.Core: its packets, its peers, what
// flows to a peer from outside of it, and what it has to say to other cores.
type core interface {
	packets
	peers
	flows
	parcels
}

type packets interface {
	HandleDatagram(now time.Time, from netip.AddrPort, b []byte, batch *engine.Batch)
	ObserveLag(now time.Time, lag time.Duration)
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

type parcels interface {
	Knows(from netip.AddrPort) bool
	Outbound(to engine.CoreID) *engine.Parcel
	TakeOutbound(to engine.CoreID, empty *engine.Parcel) *engine.Parcel
	HandleParcel(now time.Time, from engine.CoreID, p *engine.Parcel, batch *engine.Batch)
}

const (
	// minTimer bounds how often a worker wakes for its core's timers, whatever
	// the core wants.
	minTimer = 100 * time.Microsecond
	// retry is how soon a worker tries again to hand over what it must not drop.
	retry = time.Millisecond
)

// worker owns a core and the peers in it. One thread takes the datagrams, the
// timers and what other workers hand over; commands of other goroutines come in
// between by the mutex.
type worker struct {
	id        engine.CoreID
	egress    Egress
	directory *directory
	metrics   *metrics
	// onEvent takes the core's events. It is called with mu held: it must not
	// block and must not enter a worker.
	onEvent func(*worker, engine.Event)
	links   []link // to each worker; that to itself is not used
	ingress ingress

	asleep   atomic.Bool // the thread waits, or is about to, and wants to be woken
	stopping atomic.Bool

	mu      sync.Mutex // guards what follows
	core    core
	batch   engine.Batch
	single  [1]engine.Datagram // scratch of send
	peers   map[engine.PeerID]*peer
	armed   time.Time // when the thread wakes by itself; zero for never
	ready   time.Time // since when the thread has nothing at hand; zero while it has
	pressed bool      // a link was full and what must not be lost waits here
	offers  *limit.Limiter
}

func newWorker(id engine.CoreID, c core, egress Egress, d *directory, m *metrics, onEvent func(*worker, engine.Event)) *worker {
	w := &worker{
		id:        id,
		egress:    egress,
		directory: d,
		metrics:   m,
		onEvent:   onEvent,
		core:      c,
		peers:     map[engine.PeerID]*peer{},
		offers:    limit.New(limit.Config{Rate: offerRate, Burst: 2 * offerRate, GlobalRate: 20 * offerRate, GlobalBurst: 20 * offerRate}),
	}
	w.batch.Send = func(datagrams []engine.Datagram) { w.egress.Send(datagrams) }
	return w
}

// run serves until stop is called or the ingress fails. Its goroutine should be
// locked to a thread.
func (w *worker) run(in ingress) error {
	w.ingress = in
	take := func(packets []mmsg.Packet) {
		w.asleep.Store(false)
		w.handle(packets)
	}
	for {
		timeout, ended := w.rest()
		if ended {
			return nil
		}
		if err := in.Wait(timeout, take); err != nil {
			w.asleep.Store(false)
			return err
		}
	}
}

// stop makes run return.
func (w *worker) stop() {
	w.stopping.Store(true)
	w.wake()
}

// wake makes the thread look around if it sleeps.
func (w *worker) wake() {
	if w.asleep.CompareAndSwap(true, false) {
		w.ingress.Wake()
	}
}

// rest does what is due and returns for how long the thread may sleep, below
// zero for until it is woken. From here on others wake it.
func (w *worker) rest() (timeout time.Duration, ended bool) {
	w.asleep.Store(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.turn(now)
	w.ready = time.Now()
	next := w.core.NextTimeout()
	if soon := now.Add(retry); w.pressed && (next.IsZero() || soon.Before(next)) {
		next = soon
	}
	w.armed = next
	w.asleep.Store(true)
	switch { // whoever came before asleep was set has not woken us
	case w.stopping.Load():
		w.asleep.Store(false)
		return 0, true
	case w.waiting():
		w.asleep.Store(false)
		return 0, false
	case next.IsZero():
		return -1, false
	default:
		return max(next.Sub(now), minTimer), false
	}
}

// enter runs fn with the core's discipline and then flushes.
func (w *worker) enter(fn func(now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batch.Arrival = time.Time{}
	fn(time.Now())
	w.flush()
}

// handle takes the datagrams that waited together and then flushes what they
// caused. It allocates nothing and keeps nothing.
func (w *worker) handle(packets []mmsg.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.observeLag(now, packets[0].Arrival)
	for i := range packets {
		w.receive(now, &packets[i])
	}
	w.turn(now)
}

// observeLag tells the core how long the oldest datagram waited for the worker to
// be ready: until it went to wait for more, or until now if it did not.
func (w *worker) observeLag(now, arrival time.Time) {
	ready := w.ready
	if w.ready = (time.Time{}); ready.IsZero() {
		ready = now
	}
	if !arrival.IsZero() {
		w.core.ObserveLag(now, ready.Sub(arrival))
	}
}

// turn takes what other workers have handed over, runs the core's timers if
// they are due, and flushes.
func (w *worker) turn(now time.Time) {
	w.unload(now)
	if next := w.core.NextTimeout(); !next.IsZero() && !next.After(now) {
		w.batch.Arrival = time.Time{}
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

// flush sends the batch, drains the events, hands over what is for other cores
// and wakes the thread if it would sleep too long.
func (w *worker) flush() {
	w.sendBatch()
	for event, ok := w.core.Poll(); ok; event, ok = w.core.Poll() {
		w.onEvent(w, event)
	}
	w.ship()
	if !w.asleep.Load() {
		return // it will look for itself
	}
	next := w.core.NextTimeout()
	if w.pressed || !next.IsZero() && (w.armed.IsZero() || next.Before(w.armed)) {
		w.wake()
	}
}

// sendBatch sends the batch, notes for how long its packets were here and
// empties it.
func (w *worker) sendBatch() {
	if w.batch.Len() > 0 {
		w.egress.Send(w.batch.Datagrams())
	}
	if arrivals := w.batch.Forwarded(); len(arrivals) > 0 {
		now := time.Now()
		for _, arrival := range arrivals {
			w.metrics.forwardDelay.Observe(max(now.Sub(arrival), 0).Seconds())
		}
	}
	w.batch.Reset()
}
