package transport

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
	"github.com/drtc-network/drtc/medianode/transport/handoff"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
)

const (
	// laneCargoes is how much may wait for another worker: what that many calls
	// of Receive brought. At 10,000 a second it is that worker's sleep of 12 ms.
	laneCargoes = 128
	// offerRate is how many datagrams a second of one unknown source are shown
	// to all workers; of all sources together it is 20 times as many.
	offerRate = 20
)

// link is one direction between two workers. The sender's mutex guards what is
// its part, and orders the goroutines that send; the receiver's mutex orders
// those that receive.
type link struct {
	to     *worker
	lane   *handoff.Lane[cargo]
	strays strays // go with the next cargo
}

// cargo is what one worker hands to another at a time.
type cargo struct {
	parcel *engine.Parcel
	strays strays
}

// strays are datagrams that came to a worker and are another's.
type strays struct {
	list   []stray
	memory []byte // their payloads, one after the other
}

type stray struct {
	from    netip.AddrPort
	arrival time.Time
	size    int
}

func (s *strays) add(p *mmsg.Packet) {
	s.list = append(s.list, stray{p.From, p.Arrival, len(p.Payload)})
	s.memory = append(s.memory, p.Payload...)
}

func (s *strays) reset() { s.list, s.memory = s.list[:0], s.memory[:0] }

// connect makes the links between all workers.
func connect(workers []*worker) {
	for _, w := range workers {
		w.links = make([]link, len(workers))
		for i, to := range workers {
			if to != w {
				w.links[i] = link{to: to, lane: handoff.New[cargo](laneCargoes)}
			}
		}
	}
}

// receive takes one datagram: it is this core's, or goes to the worker whose it
// is. One that nobody knows may be the first from a peer's new address, which
// the keys of its core alone can tell.
func (w *worker) receive(now time.Time, p *mmsg.Packet) {
	w.batch.Arrival = p.Arrival
	if len(w.links) < 2 {
		w.core.HandleDatagram(now, p.From, p.Payload, &w.batch)
		return
	}
	home, known := w.home(p)
	if home != w.id {
		w.redirect(home, p)
		return
	}
	w.core.HandleDatagram(now, p.From, p.Payload, &w.batch)
	if known || !isMedia(p.Payload) || w.core.Knows(p.From) || !w.offers.Allow(now, p.From.Addr()) {
		return
	}
	for i := range w.links {
		if w.links[i].to != nil {
			w.redirect(engine.CoreID(i), p)
		}
	}
}

// home finds the core whose peer a datagram is from. One that is not known is
// this worker's to judge.
func (w *worker) home(p *mmsg.Packet) (core engine.CoreID, known bool) {
	if core, is := engine.AnswerTo(p.Payload); is && int(core) < len(w.links) {
		return core, true
	}
	if stun.Is(p.Payload) {
		// By name first: a client may come from an address of another peer.
		if m, err := stun.Parse(p.Payload); err == nil {
			ufrag, _, _ := bytes.Cut(m.Username, []byte{':'})
			if core, known = w.directory.byUfrag(ufrag); known {
				return core, true
			}
		}
	}
	if w.directory.contested.Load() == 0 && w.core.Knows(p.From) {
		return w.id, true
	}
	if core, known = w.directory.byAddr(p.From); known {
		return core, true
	}
	return w.id, false
}

// isMedia reports whether a datagram is SRTP or SRTCP (RFC 7983 section 7).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }

func (w *worker) redirect(to engine.CoreID, p *mmsg.Packet) {
	w.links[to].strays.add(p)
	w.metrics.strays.Inc()
}

// ship hands over what has collected for other workers. If one does not keep
// up, media is dropped and state waits.
func (w *worker) ship() {
	w.pressed = false
	for i := range w.links {
		l := &w.links[i]
		if l.to == nil {
			continue
		}
		if len(l.strays.list) > 0 && l.to.visit(&l.strays) {
			l.strays.reset()
		}
		parcel := w.core.Outbound(l.to.id)
		if parcel.Empty() && len(l.strays.list) == 0 {
			continue
		}
		if l.lane.Full() {
			dropped := len(l.strays.list)
			l.strays.reset()
			if !parcel.Empty() {
				dropped += parcel.DropMedia()
				w.pressed = w.pressed || !parcel.Empty()
			}
			w.metrics.handoffDrops.Add(float64(dropped))
			l.to.wake()
			continue
		}
		c := l.lane.Spare()
		if c == nil {
			c = &cargo{parcel: &engine.Parcel{}}
		}
		if !parcel.Empty() {
			w.metrics.parcels.Inc()
			c.parcel = w.core.TakeOutbound(l.to.id, c.parcel)
		}
		c.strays, l.strays = l.strays, c.strays
		l.lane.Put(c)
		l.to.wake()
	}
}

// visit has the worker take strays in the thread of another, if nobody is busy
// with it: to wake a thread for one report of a viewer costs more than to handle
// it. It says whether it could.
func (w *worker) visit(s *strays) bool {
	if !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	now := time.Now()
	w.unload(now) // what came before them
	w.accept(now, s)
	w.flush()
	return true
}

// waiting reports whether another worker has handed over something.
func (w *worker) waiting() bool {
	for i := range w.links {
		if l := &w.links[i]; l.to != nil && l.to.links[w.id].lane.Waiting() {
			return true
		}
	}
	return false
}

// unload takes what other workers have handed over.
func (w *worker) unload(now time.Time) {
	for i := range w.links {
		if w.links[i].to == nil {
			continue
		}
		lane := w.links[i].to.links[w.id].lane
		for range laneCargoes { // what comes meanwhile has its turn later
			c := lane.Take()
			if c == nil {
				break
			}
			w.unpack(now, engine.CoreID(i), c)
			lane.Return(c)
		}
	}
}

// accept takes datagrams that came to another worker.
func (w *worker) accept(now time.Time, s *strays) {
	payloads := s.memory
	for _, one := range s.list {
		w.batch.Arrival = one.arrival
		w.core.HandleDatagram(now, one.from, payloads[:one.size], &w.batch)
		payloads = payloads[one.size:]
	}
}

func (w *worker) unpack(now time.Time, from engine.CoreID, c *cargo) {
	w.accept(now, &c.strays)
	c.strays.reset()
	if !c.parcel.Empty() {
		w.batch.Arrival = time.Time{}
		w.core.HandleParcel(now, from, c.parcel, &w.batch)
		c.parcel.Reset()
	}
}
