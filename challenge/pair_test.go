package challenge

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/internal/netlink/shape"
)

// failer is what *testing.T and *rapid.T have.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// key is one of a few keys, the same in every run.
func key(t failer, n byte) *identity.Key {
	t.Helper()
	secret := make([]byte, 64)
	for i := range secret {
		secret[i] = "0123456789abcdef"[n%16]
	}
	k, err := identity.ParseKey(string(secret))
	if err != nil {
		t.Fatalf("key %d: %v", n, err)
	}
	return k
}

var start = time.UnixMilli(1_790_000_000_000).UTC()

// order is a signed order of key 1 for a Prover with key 2 and Challengers with
// keys from 3 on: 20 samples of a second.
func order(t failer, challengers int, change func(*Order)) Order {
	t.Helper()
	o := Order{
		Network: "devnet", Test: [32]byte{7}, Epoch: 9, Slot: 3, Kind: Quality, Prover: key(t, 2).ID(),
		RateKbps: 800, PacketBytes: 1000, Start: start, Latest: start.Add(10 * time.Minute),
		SetUp: 10 * time.Second, Duration: 20 * time.Second, Interval: time.Second,
	}
	for i := range challengers {
		o.Challengers = append(o.Challengers, Target{key(t, byte(3+i)).ID(), 50 * time.Millisecond})
	}
	if challengers > 1 {
		o.Kind = Capacity
	}
	for i := range o.Challengers { // few: a simple sort
		for j := range i {
			if o.Challengers[i].ID.String() < o.Challengers[j].ID.String() {
				o.Challengers[i], o.Challengers[j] = o.Challengers[j], o.Challengers[i]
			}
		}
	}
	if change != nil {
		change(&o)
	}
	if err := o.Sign(key(t, 1)); err != nil {
		t.Fatalf("signing the order: %v", err)
	}
	return o
}

// keyOf finds the key of a node of order.
func keyOf(t failer, id drtc.NodeID) *identity.Key {
	t.Helper()
	for n := byte(1); n < 16; n++ {
		if k := key(t, n); k.ID() == id {
			return k
		}
	}
	t.Fatalf("no key of %s", id)
	return nil
}

// world is one pair and the path between them, in virtual time.
type world struct {
	order         Order
	rules         Rules
	there, back   *shape.Shaper // Prover to Challenger, and back
	skew          [2]time.Duration
	throttle      uint32 // kbit/s that the Prover sends at most; 0 is the order's
	sides         [2]*actor
	letters       []letter
	now           time.Time
	stalls        func(time.Time) bool // whether the Prover sends nothing now
	lossyControls bool                 // checkpoints do not arrive
}

// letter is a checkpoint on its way, over something reliable.
type letter struct {
	at time.Time
	to int
	c  Checkpoint
}

// actor is a shell: what it counts, sends and answers.
type actor struct {
	session           *Session
	report            *Report
	connected         bool
	pacer             *Pacer
	next              time.Time // of feedback or probes
	highest, received uint64    // of the Challenger, by packets' numbers from 1
	sent              uint64
	acked, lost       uint64 // as feedback said
	trip              time.Duration
	echo, echoAt      time.Time // of the newest packet, for the Prover's round trip
}

// Packets of the simulated path.
const (
	media    = 1 // number, time of sending
	feedback = 2 // highest, lost, time echoed, time held
	ping     = 3 // time
	pong     = 4 // the time of ping
)

func packet(kind byte, size int, values ...uint64) []byte {
	b := make([]byte, max(size, 1+8*len(values)))
	b[0] = kind
	for i, v := range values {
		binary.BigEndian.PutUint64(b[1+8*i:], v)
	}
	return b
}

func value(b []byte, i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }

func newWorld(t failer, o Order, challenger drtc.NodeID, there, back shape.Settings, seed uint64) *world {
	t.Helper()
	w := &world{order: o, rules: DefaultRules(), now: o.Start}
	var err error
	if w.there, err = shape.New(there, seed); err != nil {
		t.Fatalf("path: %v", err)
	}
	if w.back, err = shape.New(back, seed+1); err != nil {
		t.Fatalf("path: %v", err)
	}
	adv := Advertised{Generation: 1, Seq: 4, CapacityMbps: 100, LoadMbps: 5, Cores: 2}
	for i, part := range [][2]drtc.NodeID{{o.Prover, challenger}, {challenger, o.Prover}} {
		s, err := NewSession(SessionConfig{Order: o, Key: keyOf(t, part[0]), Peer: part[1], Rules: w.rules, Advertised: adv})
		if err != nil {
			t.Fatalf("session: %v", err)
		}
		s.CPU(300)
		w.sides[i] = &actor{session: s, next: o.Start}
	}
	return w
}

func (w *world) clock(i int) time.Time { return w.now.Add(w.skew[i]) }

// run carries the test out and returns both reports.
func (w *world) run(t failer) (prover, challenger *Report) {
	t.Helper()
	end := w.order.End().Add(time.Minute)
	for w.now.Before(end) && (w.sides[0].report == nil || w.sides[1].report == nil) {
		for i := range w.sides {
			w.step(t, i)
		}
		next := w.now.Add(time.Second)
		earlier := func(at time.Time) {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		for i, a := range w.sides {
			if at := a.session.NextTimeout(); !at.IsZero() {
				earlier(at.Add(-w.skew[i]))
			}
			earlier(a.next)
		}
		if p := w.sides[0].pacer; p != nil && (w.stalls == nil || !w.stalls(w.now)) {
			earlier(p.Next())
		}
		for _, s := range []*shape.Shaper{w.there, w.back} {
			if at, ok := s.NextTimeout(); ok {
				earlier(at)
			}
		}
		for _, l := range w.letters {
			earlier(l.at)
		}
		if !next.After(w.now) {
			next = w.now.Add(time.Microsecond)
		}
		w.now = next
	}
	return w.sides[0].report, w.sides[1].report
}

func (w *world) step(t failer, i int) {
	a := w.sides[i]
	a.session.Timeout(w.clock(i))
	for {
		action, ok := a.session.Poll()
		if !ok {
			break
		}
		w.act(i, action)
	}
	if i == 0 {
		w.proverMedia()
	} else {
		w.challengerMedia()
	}
	rest := w.letters[:0]
	for _, l := range w.letters {
		if l.to != i || l.at.After(w.now) {
			rest = append(rest, l)
		} else if err := a.session.Hear(l.c); err != nil {
			t.Fatalf("a checkpoint of an honest side: %v", err)
		}
	}
	w.letters = rest
}

func (w *world) act(i int, action Action) {
	a := w.sides[i]
	switch action.Do {
	case Connect:
		a.connected = true
		if w.sides[1-i].connected {
			for j, other := range w.sides {
				other.session.Connected(w.clock(j))
			}
		}
	case StartStream:
		o := w.order
		if w.throttle != 0 {
			o.RateKbps = w.throttle
		}
		a.pacer = NewPacer(w.now, &o)
	case StopStream:
		a.pacer = nil
	case Measure:
		c := Counters{Packets: a.received, Expected: a.highest}
		if i == 0 {
			c = Counters{Packets: a.sent, Expected: a.acked, Lost: a.lost}
		}
		c.Bytes, c.Trip = c.Packets*uint64(w.order.PacketBytes), a.trip
		a.trip = 0
		a.session.Measured(w.clock(i), c)
	case SendCheckpoint:
		if !w.lossyControls {
			w.letters = append(w.letters, letter{w.now.Add(300 * time.Millisecond), 1 - i, *action.Checkpoint})
		}
	case Close:
	case Finish:
		a.report = action.Report
	}
}

func (w *world) proverMedia() {
	a := w.sides[0]
	if a.pacer != nil && (w.stalls == nil || !w.stalls(w.now)) {
		for range a.pacer.Due(w.now) {
			a.sent++
			w.there.Push(w.now, packet(media, int(w.order.PacketBytes), a.sent, uint64(w.now.UnixNano())))
		}
	}
	for {
		b, _, ok := w.back.Poll(w.now)
		if !ok {
			break
		}
		switch b[0] {
		case feedback:
			if value(b, 0) > a.acked { // an overtaken one says nothing new
				a.acked, a.lost = value(b, 0), value(b, 1)
				a.trip = w.now.Sub(time.Unix(0, int64(value(b, 2)+value(b, 3))))
			}
		case ping:
			w.there.Push(w.now, packet(pong, 60, value(b, 0)))
		}
	}
	if !a.next.After(w.now) {
		a.next = w.now.Add(time.Second)
	}
}

func (w *world) challengerMedia() {
	a := w.sides[1]
	for {
		b, _, ok := w.there.Poll(w.now)
		if !ok {
			break
		}
		switch b[0] {
		case media:
			a.received++ // the path makes no copies
			if n := value(b, 0); n > a.highest {
				a.highest = n
				a.echo, a.echoAt = time.Unix(0, int64(value(b, 1))), w.now
			}
		case pong:
			a.trip = w.now.Sub(time.Unix(0, int64(value(b, 0))))
		}
	}
	if !a.next.After(w.now) {
		a.next = w.now.Add(500 * time.Millisecond)
		w.back.Push(w.now, packet(ping, 60, uint64(w.now.UnixNano())))
		if a.highest > 0 {
			w.back.Push(w.now, packet(feedback, 60, a.highest, a.highest-a.received, uint64(a.echo.UnixNano()), uint64(w.now.Sub(a.echoAt))))
		}
	}
}

// honest is an honest pair over a good path.
func honest(t testing.TB, o Order) (prover, challenger *Report) {
	t.Helper()
	path := shape.Settings{Delay: 20 * time.Millisecond}
	return newWorld(t, o, o.Challengers[0].ID, path, path, 1).run(t)
}
