package transport_test

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
)

// reporter is what a simulation needs of a test.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// conditions are those of the network between a browser and the node, the same
// in both directions.
type conditions struct {
	// loss and duplicate are shares of the datagrams.
	loss, duplicate float64
	// Every datagram takes delay, and up to jitter more, each by itself: they
	// overtake each other.
	delay, jitter time.Duration
}

// world is nodes and the browsers around them, in virtual time. All that is
// random in it follows from one seed.
type world struct {
	t        reporter
	now      time.Time
	random   *rand.Rand
	net      conditions
	agenda   agenda
	count    int // of events, so that those of one time keep their order
	cores    []*seatOfCore
	browsers []*browser
	byAddr   map[netip.AddrPort]receiver
	// duplicates is how many datagrams came to a core that it must refuse.
	duplicates uint64
	// live hears what the cores say of tracks, if it is set.
	live func(engine.TrackLive)
	// heard hears all that they say.
	heard func(*seatOfCore, engine.Event)
}

// receiver is whoever a core sends to.
type receiver interface {
	// send takes a datagram that a core has for it over the network.
	send(payload []byte)
}

// seatOfCore is a core with what its worker has beside it.
type seatOfCore struct {
	*engine.Core
	node  int
	id    engine.CoreID // among those of the node
	batch engine.Batch
	// free is when the lane to the other core is: parcels keep their order.
	free time.Time
}

type event struct {
	at    time.Time
	count int
	do    func()
}

// agenda is a heap of events, the next first.
type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, k int) bool {
	return a[i].at.Before(a[k].at) || a[i].at.Equal(a[k].at) && a[i].count < a[k].count
}
func (a agenda) Swap(i, k int) { a[i], a[k] = a[k], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

// newWorld is one of nodes with so many cores each, at most two.
func newWorld(t reporter, seed uint64, net conditions, cfg engine.Config, cores ...int) *world {
	w := &world{
		t: t, now: time.Unix(1_700_000_000, 0), random: rand.New(rand.NewPCG(seed, 0)), net: net,
		byAddr: map[netip.AddrPort]receiver{},
	}
	for node, count := range cores {
		for i := range count {
			cfg.Self = engine.CoreID(i)
			cfg.Random = w.nearWrap
			w.cores = append(w.cores, &seatOfCore{Core: engine.New(cfg), node: node, id: cfg.Self})
		}
	}
	return w
}

// nearWrap is a random number whose lower half ends soon.
func (w *world) nearWrap() uint32 { return w.random.Uint32() | 0xffc0 }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

// after has something done in a while.
func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.agenda, event{w.now.Add(d), w.count, do})
}

// every has something done again and again.
func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.every(d, do)
	})
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); ; {
		next, core := end, (*seatOfCore)(nil)
		if len(w.agenda) > 0 && w.agenda[0].at.Before(next) {
			next = w.agenda[0].at
		}
		for _, c := range w.cores {
			if at := c.NextTimeout(); !at.IsZero() && at.Before(next) {
				next, core = at, c
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		switch {
		case core != nil:
			core.HandleTimeout(w.now, &core.batch)
			w.flush(core)
		case next.Equal(end):
			return
		default:
			heap.Pop(&w.agenda).(event).do()
		}
	}
}

// flush sends what a core has for the network, for the other core and for its
// shell.
func (w *world) flush(c *seatOfCore) {
	for _, d := range c.batch.Datagrams() {
		if to := w.byAddr[d.To]; to != nil {
			to.send(d.Payload)
		}
	}
	c.batch.Reset()
	for _, other := range w.cores {
		if other == c || other.node != c.node || c.Outbound(other.id).Empty() {
			continue
		}
		p := c.TakeOutbound(other.id, &engine.Parcel{})
		c.free = later(c.free, w.now.Add(time.Duration(w.random.Int64N(int64(time.Millisecond)))))
		w.after(c.free.Sub(w.now), func() {
			other.HandleParcel(w.now, c.id, p, &other.batch)
			w.flush(other)
		})
	}
	for e, ok := c.Poll(); ok; e, ok = c.Poll() {
		if w.heard != nil {
			w.heard(c, e)
		}
		if live, is := e.(engine.TrackLive); is && w.live != nil {
			w.live(live)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// carry takes a datagram over the network: arrive is called for each copy that
// comes, with the number of copies that came before.
func (w *world) carry(arrive func(before int)) {
	copies, came := 1, 0
	if w.random.Float64() < w.net.duplicate {
		copies = 2
	}
	for range copies {
		if w.random.Float64() < w.net.loss {
			continue
		}
		d := w.net.delay
		if w.net.jitter > 0 {
			d += time.Duration(w.random.Int64N(int64(w.net.jitter)))
		}
		w.after(d, func() {
			arrive(came)
			came++
		})
	}
}

// roundTrip is that of a browser and the node, mostly.
func (w *world) roundTrip() time.Duration { return 2*w.net.delay + w.net.jitter }
