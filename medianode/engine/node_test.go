package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
)

// node is the cores of one node, in virtual time, with an exchange between them
// as workers have it: a bounded queue from each to each that keeps the order,
// and in which a parcel takes a while.
type node struct {
	now   time.Time
	cores []*network
	// delay is how long the next parcel takes.
	delay func() time.Duration
	// slots is how many parcels fit between two cores.
	slots   int
	queues  map[route][]parcel
	spare   []*engine.Parcel
	dropped int
}

type route struct{ from, to engine.CoreID }

type parcel struct {
	*engine.Parcel
	due time.Time
}

// newNode makes a node whose viewers see what the publisher sends from the time
// on at which they are there, nothing of before.
func newNode(t testing.TB, cores int) *node {
	return newNodeOf(t, cores, engine.Config{NoReplay: true})
}

func newNodeOf(t testing.TB, cores int, cfg engine.Config) *node {
	x := &node{
		now: time.Unix(1_700_000_000, 0), slots: 64, queues: map[route][]parcel{},
		delay: func() time.Duration { return 100 * time.Microsecond },
	}
	for id := range cores {
		seed := rand.New(rand.NewPCG(1, uint64(id)))
		n := &network{t: t, now: x.now, room: "room", node: x}
		cfg.Random, cfg.Self = seed.Uint32, engine.CoreID(id)
		n.core = engine.New(cfg)
		x.cores = append(x.cores, n)
	}
	return x
}

func (x *node) id(n *network) engine.CoreID {
	for i := range x.cores {
		if x.cores[i] == n {
			return engine.CoreID(i)
		}
	}
	panic("a core of another node")
}

// collect puts what a core has for the others into the queues. A core without a
// node has none.
func (x *node) collect(n *network) {
	if x == nil {
		return
	}
	from := x.id(n)
	for to := range engine.CoreID(len(x.cores)) {
		out := n.core.Outbound(to)
		if out.Empty() {
			continue
		}
		r := route{from, to}
		if from == to {
			n.t.Fatalf("core %d has a parcel for itself", from)
		}
		if len(x.queues[r]) >= x.slots {
			x.dropped += out.DropMedia()
			continue
		}
		spare := &engine.Parcel{}
		if len(x.spare) > 0 {
			spare, x.spare = x.spare[0], x.spare[1:]
		}
		due := x.now.Add(x.delay())
		if q := x.queues[r]; len(q) > 0 && q[len(q)-1].due.After(due) {
			due = q[len(q)-1].due
		}
		x.queues[r] = append(x.queues[r], parcel{n.core.TakeOutbound(to, spare), due})
	}
}

// pass lets time go by for all cores.
func (x *node) pass(d time.Duration) {
	for _, n := range x.cores {
		n.flush()
	}
	end := x.now.Add(d)
	for {
		at, do := x.next()
		if do == nil || at.After(end) {
			break
		}
		x.set(at)
		do()
	}
	x.set(end)
}

// next is what happens next, and when.
func (x *node) next() (at time.Time, do func()) {
	earlier := func(t time.Time) bool { return !t.IsZero() && (do == nil || t.Before(at)) }
	for from := range engine.CoreID(len(x.cores)) {
		for to := range engine.CoreID(len(x.cores)) {
			if q := x.queues[route{from, to}]; len(q) > 0 && earlier(q[0].due) {
				at, do = q[0].due, func() { x.arrive(route{from, to}) }
			}
		}
	}
	for _, n := range x.cores {
		if t := n.core.NextTimeout(); earlier(t) {
			at, do = t, func() {
				n.core.HandleTimeout(n.now, &n.batch)
				n.flush()
			}
		}
	}
	return at, do
}

func (x *node) arrive(r route) {
	p := x.queues[r][0].Parcel
	x.queues[r] = x.queues[r][1:]
	n := x.cores[r.to]
	n.core.HandleParcel(n.now, r.from, p, &n.batch)
	p.Reset()
	x.spare = append(x.spare, p)
	n.flush()
	x.collect(x.cores[r.from]) // there is room again
}

func (x *node) set(now time.Time) {
	if now.After(x.now) {
		x.now = now
	}
	for _, n := range x.cores {
		n.now = x.now
	}
}

// settle lets what is on its way arrive, and the answers.
func (x *node) settle() { x.pass(time.Millisecond) }
