package netsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrEvents ends a run that had more events than Config.MaxEvents.
var ErrEvents = errors.New("netsim: too many events: the nodes talk without end, or MaxEvents is too low")

// Config is what a Network starts with.
type Config[M any] struct {
	// Seed decides everything that is random.
	Seed uint64
	// Epoch is the true time at the start; zero: 2026-01-01 UTC.
	Epoch time.Time
	// Link lies between all nodes that SetLink does not name.
	Link Link
	// MaxEvents bounds all Runs together; zero: 10 million.
	MaxEvents int
	// Trace is how many of the last events Report shows.
	Trace int
	// Describe writes a message in Report; nil leaves it out.
	Describe func(M) string
	// Size is a message in bytes, for Bandwidth.
	Size func(M) int
}

// Network is the simulated network. Make one with New.
type Network[M any] struct {
	config   Config[M]
	random   *rand.Rand
	now      time.Duration // since Epoch
	queue    queue[M]
	seq      uint64
	machines []*machine[M]
	ways     [][]way // from, to

	stats Stats
	hash  uint64
	lines []line[M]
	noted int
}

type machine[M any] struct {
	boot   func(*Port[M]) Node[M]
	node   Node[M]
	up     bool
	life   int
	side   int // of the partition
	offset time.Duration
	disk   any
}

// New returns a network without nodes, at its Epoch.
func New[M any](c Config[M]) *Network[M] {
	if c.Epoch.IsZero() {
		c.Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.MaxEvents == 0 {
		c.MaxEvents = 10_000_000
	}
	return &Network[M]{config: c, random: rand.New(rand.NewPCG(c.Seed, 0)), hash: 14695981039346656037}
}

// Add adds a machine and returns its number. boot makes the node of each of its
// lives; the first starts with the next Run, or at once during one.
func (n *Network[M]) Add(boot func(*Port[M]) Node[M]) int {
	id := len(n.machines)
	n.machines = append(n.machines, &machine[M]{boot: boot})
	for from := range n.ways {
		n.ways[from] = append(n.ways[from], way{Link: n.config.Link})
	}
	row := make([]way, id+1)
	for to := range row {
		row[to].Link = n.config.Link
	}
	n.ways = append(n.ways, row)
	n.push(event[M]{at: n.now, kind: Started, to: id})
	return id
}

// Len is how many machines there are, up or not.
func (n *Network[M]) Len() int { return len(n.machines) }

// SetLink changes the way from one node to another, in this direction only.
func (n *Network[M]) SetLink(from, to int, l Link) { n.ways[from][to].Link = l }

// SetLinks changes all ways there are, and those of later nodes.
func (n *Network[M]) SetLinks(l Link) {
	n.config.Link = l
	for _, row := range n.ways {
		for to := range row {
			row[to].Link = l
		}
	}
}

// SetClock sets a machine's clock to the true time plus offset, from now on.
func (n *Network[M]) SetClock(id int, offset time.Duration) { n.machines[id].offset = offset }

// Partition parts the network: nodes hear each other only within their group.
// Nodes that are in no group are one more group together. A new partition
// replaces the last.
func (n *Network[M]) Partition(groups ...[]int) {
	for _, m := range n.machines {
		m.side = 0
	}
	for i, group := range groups {
		for _, id := range group {
			n.machines[id].side = i + 1
		}
	}
	n.event(Parted, 0, 0, 0)
}

// Heal ends the partition.
func (n *Network[M]) Heal() { n.Partition() }

// Crash ends a machine's life at once: what it did not Save is gone, and so is
// what it waits for. Crashing one that is down does nothing.
func (n *Network[M]) Crash(id int) {
	if m := n.machines[id]; m.up {
		m.up, m.node = false, nil
		m.life++
		n.event(Crashed, 0, id, 0)
	}
}

// Restart gives a machine that is down a new life, with what it saved.
func (n *Network[M]) Restart(id int) {
	m := n.machines[id]
	if m.up {
		return
	}
	m.up = true
	stream := uint64(id+1)<<32 | uint64(m.life)
	m.node = m.boot(&Port[M]{net: n, id: id, life: m.life, random: rand.New(rand.NewPCG(n.config.Seed, stream))})
	n.event(Started, 0, id, 0)
	m.node.Start(n.clock(id))
}

// Up reports whether a machine runs.
func (n *Network[M]) Up(id int) bool { return n.machines[id].up }

// Node is what runs on a machine, nil when it is down.
func (n *Network[M]) Node(id int) Node[M] { return n.machines[id].node }

// Rand is the source for the schedule of a test: when to part, whom to crash.
func (n *Network[M]) Rand() *rand.Rand { return n.random }

// Elapsed is the virtual time since the start.
func (n *Network[M]) Elapsed() time.Duration { return n.now }

// Now is the true time.
func (n *Network[M]) Now() time.Time { return n.config.Epoch.Add(n.now) }

// At calls f when the virtual time is at, or as soon as possible if that is past.
func (n *Network[M]) At(at time.Duration, f func()) {
	n.push(event[M]{at: max(at, n.now), kind: Called, call: f})
}

// Run lets time pass until the virtual time is until. The error is ErrEvents.
func (n *Network[M]) Run(until time.Duration) error {
	for len(n.queue.events) > 0 && n.queue.events[0].at <= until {
		if n.stats.Events() >= n.config.MaxEvents {
			return fmt.Errorf("%w: %d", ErrEvents, n.config.MaxEvents)
		}
		e := n.queue.pop()
		n.now = e.at
		n.happen(&e)
	}
	n.now = max(n.now, until)
	return nil
}

func (n *Network[M]) happen(e *event[M]) {
	switch e.kind {
	case Delivered:
		n.deliver(e)
	case Woken:
		if m := n.machines[e.to]; m.up && m.life == e.life {
			n.event(Woken, 0, e.to, e.tag)
			m.node.Timeout(n.clock(e.to), e.tag)
		}
	case Started:
		n.Restart(e.to)
	case Called:
		n.event(Called, 0, 0, 0)
		e.call()
	case Lost, Doubled, Cut, Crashed, Parted: // happen when they are noted
	}
}

func (n *Network[M]) deliver(e *event[M]) {
	m := n.machines[e.to]
	if !m.up || m.side != n.machines[e.from].side || e.life != anyLife && e.life != m.life {
		n.note(Cut, e.from, e.to, 0, e.message)
		return
	}
	n.note(Delivered, e.from, e.to, 0, e.message)
	m.node.Receive(n.clock(e.to), e.from, e.message)
}

func (n *Network[M]) send(from, to int, m M) {
	if !n.reach(from, to, m) {
		return
	}
	w := &n.ways[from][to]
	out, ok := w.transmit(n.now, n.size(m))
	if !ok || chance(n.random, w.Loss) {
		n.note(Lost, from, to, 0, m)
		return
	}
	e := event[M]{kind: Delivered, from: from, to: to, life: anyLife, message: m}
	e.at = n.arrival(w, out)
	n.push(e)
	if chance(n.random, w.Duplicate) {
		n.note(Doubled, from, to, 0, m)
		e.at = n.arrival(w, out)
		n.push(e)
	}
}

// arrival draws when a datagram arrives: after those before it, unless it is
// held back, in which case those after it need not wait.
func (n *Network[M]) arrival(w *way, out time.Duration) time.Duration {
	at := max(out+w.travel(n.random), w.last)
	if chance(n.random, w.Reorder) {
		by := w.ReorderBy
		if by == 0 {
			by = defaultReorderBy
		}
		return at + time.Duration(n.random.Int64N(int64(by)+1))
	}
	w.last = at
	return at
}

func (n *Network[M]) sendReliable(from, to int, m M) {
	if !n.reach(from, to, m) {
		return
	}
	w := &n.ways[from][to]
	out, ok := w.transmit(n.now, n.size(m))
	if !ok || w.Loss >= 1 {
		n.note(Lost, from, to, 0, m)
		return
	}
	for wait := resendAfter; chance(n.random, w.Loss); wait = min(2*wait, maxResend) {
		out += wait
	}
	w.stream = max(out+w.travel(n.random), w.stream)
	life := n.machines[to].life
	n.push(event[M]{at: w.stream, kind: Delivered, from: from, to: to, life: life, message: m})
}

// reach notes a message that cannot leave, and short-cuts one to its own sender.
func (n *Network[M]) reach(from, to int, m M) bool {
	if from == to {
		n.push(event[M]{at: n.now, kind: Delivered, from: from, to: to, life: n.machines[to].life, message: m})
		return false
	}
	if n.machines[from].side != n.machines[to].side {
		n.note(Cut, from, to, 0, m)
		return false
	}
	return true
}

func (n *Network[M]) size(m M) int {
	if n.config.Size == nil {
		return 0
	}
	return n.config.Size(m)
}

func (n *Network[M]) event(kind Kind, from, to, tag int) {
	var none M
	n.note(kind, from, to, tag, none)
}

func (n *Network[M]) push(e event[M]) {
	e.seq = n.seq
	n.seq++
	n.queue.push(e)
}

// clock is what the machine believes the time to be.
func (n *Network[M]) clock(id int) time.Time {
	return n.config.Epoch.Add(n.now + n.machines[id].offset)
}
