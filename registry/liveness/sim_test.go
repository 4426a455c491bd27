package liveness_test

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
)

// sim is a network of Registries and nodes in virtual time. Each Registry has a
// real Prober and a real Verdicts; dials, keepalives, gossip and questions are
// drawn from a seed.
type sim struct {
	t          testing.TB
	now        time.Time
	random     *rand.Rand
	loss       float64 // of dials, nonces and messages between Registries, each by itself
	registries []*simRegistry
	nodes      []*simNode
	byID       map[drtc.NodeID]*simNode
	queue      simQueue
	order      int
	tick       time.Duration // between two HandleTimeout of Verdicts
	ticked     time.Time
	refused    int // pages over the network's rate limit
	dials      int
	direct     bool // only the first Registry judges
	changed    func(r *simRegistry, c liveness.Change)
}

type simRegistry struct {
	id       drtc.NodeID
	prober   *liveness.Prober
	verdicts *liveness.Verdicts // nil when nobody looks at this one's verdicts
	watches  map[drtc.NodeID]bool
	dead     bool                         // its process has ended
	cut      bool                         // its line is broken: nothing goes out or comes in
	rates    map[[2]drtc.NodeID]time.Time // of pages that arrive: when the bucket is full
}

type death int

const (
	alive    death = iota
	killed         // the process: connections break, dials are refused
	vanished       // the machine: silence
)

type simNode struct {
	id        drtc.NodeID
	keepalive bool // it opens streams to its probers
	death     death
	lives     int // counts deaths and births: what was due in another life is not done
	streams   map[*simRegistry]bool
}

type simEvent struct {
	at    time.Time
	order int
	do    func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

// newSim has every Registry judge when all is set, and only the first otherwise.
func newSim(t testing.TB, seed uint64, registries, nodes int, loss float64, all bool) *sim {
	s := &sim{
		t: t, now: start, random: rand.New(rand.NewPCG(seed, 1)), loss: loss, tick: time.Second, ticked: start, direct: !all,
		byID: map[drtc.NodeID]*simNode{}, changed: func(*simRegistry, liveness.Change) {},
	}
	for i := range registries {
		r := &simRegistry{id: simID(1000000 + i), watches: map[drtc.NodeID]bool{}, rates: map[[2]drtc.NodeID]time.Time{}}
		p, err := liveness.NewProber(liveness.DefaultProberConfig(), rand.New(rand.NewPCG(seed, uint64(2+i))))
		if err != nil {
			t.Fatal(err)
		}
		v, err := liveness.NewVerdicts(s.now, liveness.DefaultVerdictsConfig(r.id))
		if err != nil {
			t.Fatal(err)
		}
		r.prober = p
		if all || i == 0 {
			r.verdicts = v
		}
		s.registries = append(s.registries, r)
	}
	for i := range nodes {
		n := &simNode{id: simID(i), keepalive: i%2 == 0, streams: map[*simRegistry]bool{}}
		s.nodes, s.byID[n.id] = append(s.nodes, n), n
	}
	return s
}

func simID(n int) (id drtc.NodeID) {
	r := rand.New(rand.NewPCG(uint64(n), 99))
	for i := 0; i < len(id); i += 4 {
		binary.BigEndian.PutUint32(id[i:], r.Uint32())
	}
	return id
}

func (s *sim) ids() (ids []drtc.NodeID) {
	for _, r := range s.registries {
		ids = append(ids, r.id)
	}
	return ids
}

func (s *sim) lost() bool { return s.random.Float64() < s.loss }

func (s *sim) between(a, b time.Duration) time.Duration {
	return a + time.Duration(s.random.Float64()*float64(b-a))
}

func (s *sim) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.queue, simEvent{s.now.Add(d), s.order, do})
}

// begin lets every Registry know the others and all nodes.
func (s *sim) begin() {
	for _, r := range s.registries {
		if r.verdicts == nil {
			continue
		}
		s.apply(r, r.verdicts.Registries(s.now, s.ids()))
		for _, n := range s.nodes {
			s.apply(r, r.verdicts.Know(s.now, n.id))
		}
	}
}

// assign is for Registries without Verdicts of their own.
func (s *sim) assign() {
	for _, n := range s.nodes {
		probers := liveness.Probers(n.id, s.ids(), 0, liveness.DefaultProbers)
		for _, r := range s.registries {
			if r.verdicts == nil && slices.Contains(probers, r.id) {
				s.watch(r, liveness.Assignment{Node: n.id, Others: slices.DeleteFunc(slices.Clone(probers), func(id drtc.NodeID) bool { return id == r.id })})
			}
		}
	}
}

func (s *sim) apply(r *simRegistry, c liveness.Changes) {
	for _, a := range c.Assigned {
		s.watch(r, a)
	}
	for _, id := range c.Released {
		delete(r.watches, id)
		r.prober.Unwatch(s.now, id)
	}
	for _, change := range c.Verdicts {
		s.changed(r, change)
	}
}

func (s *sim) watch(r *simRegistry, a liveness.Assignment) {
	n := s.node(a.Node)
	r.prober.Watch(s.now, a.Node, n.streams[r], a.Others)
	if !r.watches[a.Node] {
		r.watches[a.Node] = true
		s.connect(r, n)
	}
}

func (s *sim) node(id drtc.NodeID) *simNode {
	return s.byID[id]
}

// connect has a node open its stream to a prober and prove it.
func (s *sim) connect(r *simRegistry, n *simNode) {
	if !n.keepalive || n.streams[r] || n.death != alive {
		return
	}
	life := n.lives
	s.after(s.between(200*time.Millisecond, 2*time.Second), func() {
		if n.lives != life || n.streams[r] || !r.watches[n.id] || r.dead {
			return
		}
		if s.lost() || r.cut {
			s.connect(r, n)
			return
		}
		n.streams[r] = true
		r.prober.Proven(s.now, n.id)
		s.after(s.untilSilent(), func() {
			if n.lives != life || !n.streams[r] || r.dead {
				return
			}
			s.breaks(r, n)
			s.connect(r, n)
		})
	})
}

// untilSilent is when two nonces in a row, each of which is lost by itself, make
// a stream of a living node look silent.
func (s *sim) untilSilent() time.Duration {
	if s.loss == 0 {
		return 1 << 60
	}
	const nonce = 3 * time.Second
	d := 2 * nonce
	for {
		d += time.Duration(geometric(s.random, s.loss)) * nonce
		if s.lost() {
			return d
		}
		d += nonce
	}
}

// geometric counts the successes before the first loss.
func geometric(r *rand.Rand, loss float64) (n int) {
	for r.Float64() >= loss {
		n++
	}
	return n
}

func (s *sim) breaks(r *simRegistry, n *simNode) {
	n.streams[r] = false
	r.prober.Lost(s.now, n.id)
}

func (s *sim) kill(n *simNode, d death) {
	n.death = d
	n.lives++
	for _, r := range s.registries {
		if !n.streams[r] {
			continue
		}
		wait := 20 * time.Millisecond
		if d == vanished { // the next nonce, and the one after it
			wait = s.between(6*time.Second, 9*time.Second)
		}
		life := n.lives
		s.after(wait, func() {
			if n.lives == life {
				s.breaks(r, n)
			}
		})
	}
}

func (s *sim) revive(n *simNode) {
	n.death = alive
	n.lives++
	for _, r := range s.registries {
		if n.streams[r] {
			s.breaks(r, n)
		}
		if r.watches[n.id] {
			r.prober.Renewed(s.now, n.id)
			s.connect(r, n)
		}
	}
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		next, who := s.ticked.Add(s.tick), -1
		if len(s.queue) > 0 && !s.queue[0].at.After(next) {
			next, who = s.queue[0].at, -2
		}
		for i, r := range s.registries {
			if at := r.prober.NextTimeout(); !r.dead && at.Before(next) {
				next, who = at, i
			}
		}
		if next.After(end) {
			s.now = end
			return
		}
		if next.After(s.now) {
			s.now = next
		}
		switch who {
		case -1:
			s.ticked = s.now
			for _, r := range s.registries {
				if r.verdicts != nil && !r.dead {
					s.apply(r, r.verdicts.HandleTimeout(s.now))
				}
			}
		case -2:
			heap.Pop(&s.queue).(simEvent).do()
		default:
			s.work(s.registries[who])
		}
	}
}

func (s *sim) work(r *simRegistry) {
	w := r.prober.HandleTimeout(s.now)
	for _, id := range w.Dials {
		s.dial(r, id)
	}
	for _, q := range w.Questions {
		for _, other := range s.registries {
			if slices.Contains(q.Registries, other.id) && !s.lost() && !r.cut && !other.cut {
				s.after(s.between(20*time.Millisecond, 200*time.Millisecond), func() { other.prober.Asked(s.now, q.Node) })
			}
		}
	}
	for _, p := range w.Pages {
		s.publish(r, p)
	}
	for _, subject := range w.Tombstones {
		at := s.now
		s.after(s.between(20*time.Millisecond, 500*time.Millisecond), func() {
			for _, to := range s.registries {
				if to.verdicts != nil {
					s.apply(to, to.verdicts.Drop(s.now, r.id, subject, at))
				}
			}
		})
	}
}

func (s *sim) dial(r *simRegistry, id drtc.NodeID) {
	s.dials++
	n := s.node(id)
	switch {
	case n.death == alive && !r.cut && !s.lost():
		// A moment later makes no difference; as an event it costs half the run.
		r.prober.Dialled(s.now, id, liveness.Answer{RTT: 30 * time.Millisecond})
	case n.death == killed && !r.cut:
		s.after(30*time.Millisecond, func() { r.prober.Dialled(s.now, id, liveness.Answer{Outcome: liveness.Missed}) })
	default:
		s.after(3*time.Second, func() { r.prober.Dialled(s.now, id, liveness.Answer{Outcome: liveness.Missed}) })
	}
}

// publish carries a page as its record would go: canonical bytes, gossip with
// loss that anti-entropy repairs, the network's rate limit. For one reader, who
// counts dials by the million, it is handed over.
func (s *sim) publish(r *simRegistry, p liveness.PageBody) {
	page := liveness.IssuedPage{Issuer: r.id, Subject: p.Subject, IssuedAt: s.now.UTC().Truncate(time.Millisecond), TTL: p.Life}
	if s.direct {
		page.Sightings = p.Sightings
		s.after(0, func() { s.apply(s.registries[0], s.registries[0].verdicts.Take(s.now, page)) })
		return
	}
	body := liveness.AppendSightings(nil, p.Sightings)
	if len(body) > 4<<10 {
		s.t.Fatalf("a page of %d sightings takes %d bytes", len(p.Sightings), len(body))
	}
	for _, to := range s.registries {
		if to.verdicts == nil || to.dead || to != r && (to.cut || r.cut) {
			continue
		}
		delay := s.between(20*time.Millisecond, 500*time.Millisecond)
		if to == r {
			delay = 0
		} else if s.lost() {
			delay = s.between(time.Second, 5*time.Second)
		}
		s.after(delay, func() {
			key := [2]drtc.NodeID{r.id, p.Subject}
			full := to.rates[key]
			if full.Before(s.now) {
				full = s.now
			}
			if full.Sub(s.now) > 9*time.Second {
				s.refused++
				return
			}
			to.rates[key] = full.Add(time.Second)
			page := page
			var err error
			if page.Sightings, err = liveness.ParseSightings(body); err == nil {
				err = liveness.CheckPage(page.Subject, page.Sightings)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			s.apply(to, to.verdicts.Take(s.now, page))
		})
	}
}

// breakLine cuts a Registry off; its streams fall silent.
func (s *sim) breakLine(r *simRegistry) {
	r.cut = true
	for _, n := range s.nodes {
		if n.streams[r] {
			s.after(s.between(6*time.Second, 9*time.Second), func() {
				s.breaks(r, n)
				s.connect(r, n)
			})
		}
	}
}

// A Registry whose line breaks believes neither itself nor anybody into calling
// its nodes dead, and the others do not miss it.
func TestSim_brokenLineKillsNobody(t *testing.T) {
	s := newSim(t, 3, 5, 150, 0.02, true)
	s.changed = func(r *simRegistry, c liveness.Change) {
		if c.To == liveness.Down {
			t.Errorf("%s says that %s is down", r.id.Short(), c.Node.Short())
		}
	}
	s.begin()
	s.run(5 * time.Minute)
	broken := s.registries[2]
	s.breakLine(broken)
	s.run(10 * time.Minute)
	if got := broken.prober.Status(); got.Withheld == "" || got.Missing < 50 {
		t.Errorf("the one that is cut off: got %+v, want it to withhold", got)
	}
	broken.cut = false
	s.run(5 * time.Minute)
	if got := broken.prober.Status(); got.Withheld != "" || got.Missing > 10 {
		t.Errorf("when its line is back: got %+v, want it to trust itself", got)
	}
}

// With fewer Registries than probers, down to one alone, and after one of them
// has died, a dead node is still gone in time.
func TestSim_fewRegistriesStillNotice(t *testing.T) {
	for _, tt := range []struct{ registries, die int }{{1, 0}, {2, 0}, {3, 0}, {4, 1}} {
		s := newSim(t, 4, tt.registries, 60, 0.02, true)
		s.begin()
		s.run(5 * time.Minute)
		for _, r := range s.registries[tt.registries-tt.die:] {
			r.dead = true
		}
		s.run(10 * time.Second)
		for _, n := range s.nodes[:3] { // with and without keepalive
			s.kill(n, vanished)
		}
		s.run(45 * time.Second)
		for _, r := range s.registries[:tt.registries-tt.die] {
			for i, n := range s.nodes {
				v, _ := r.verdicts.Verdict(n.id)
				if got := v.State == liveness.Down; got != (i < 3) {
					t.Errorf("%d Registries, %d of them dead: node %d is %s", tt.registries, tt.die, i, v.State)
				}
			}
		}
	}
}

// kills ends nodes one after the other and returns how long each was still shown
// by the slowest Registry, in order, and how long until it was back everywhere.
func kills(t testing.TB, seed uint64, count int) (gone, back []time.Duration) {
	const every, dead = 6 * time.Second, 90 * time.Second
	s := newSim(t, seed, 5, 150, 0.02, true)
	died, revived := map[drtc.NodeID]time.Time{}, map[drtc.NodeID]time.Time{}
	shown := map[drtc.NodeID]int{} // Registries that show a dead node, or hide a living one
	falseDown := 0
	s.changed = func(r *simRegistry, c liveness.Change) {
		n := s.node(c.Node)
		switch {
		case c.To == liveness.Down && n.death == alive && revived[c.Node].IsZero():
			falseDown++
		case c.To == liveness.Down && n.death != alive:
			if shown[c.Node]--; shown[c.Node] == 0 {
				gone = append(gone, s.now.Sub(died[c.Node]))
			}
		case c.From == liveness.Down && n.death == alive && !revived[c.Node].IsZero():
			if shown[c.Node]--; shown[c.Node] == 0 {
				back = append(back, s.now.Sub(revived[c.Node]))
				delete(revived, c.Node)
			}
		}
	}
	s.begin()
	s.run(5 * time.Minute)
	for i := range count {
		n := s.nodes[i%len(s.nodes)]
		if n.death != alive {
			t.Fatalf("node %d is dead before its turn", i)
		}
		died[n.id], shown[n.id] = s.now, len(s.registries)
		delete(revived, n.id)
		s.kill(n, []death{killed, vanished}[s.random.IntN(2)])
		s.after(dead, func() {
			if shown[n.id] > 0 {
				t.Errorf("seed %d: a node dead for %s is still shown by %d Registries", seed, dead, shown[n.id])
			}
			revived[n.id], shown[n.id] = s.now, len(s.registries)
			s.revive(n)
		})
		s.run(every)
	}
	s.run(2 * dead)
	if falseDown > 0 || s.refused > 0 {
		t.Errorf("seed %d: %d false Down, %d pages over the rate limit, want none", seed, falseDown, s.refused)
	}
	slices.Sort(gone)
	slices.Sort(back)
	return gone, back
}

// A node that dies is gone from every Registry's answers: p99 within 45 s.
// BenchmarkKills has the full count.
func TestSim_deadNodesAreGoneEverywhereIn45s(t *testing.T) {
	gone, back := kills(t, 1, 600)
	if len(gone) != 600 || gone[593] > 45*time.Second {
		t.Errorf("%d of 600 gone, p99 %s, want all, within 45s", len(gone), gone[len(gone)*99/100])
	}
	if len(back) != 600 || back[593] > 30*time.Second {
		t.Errorf("%d of 600 back, p99 %s, want all, within 30s", len(back), back[len(back)*99/100])
	}
}

func BenchmarkKills(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		gone, back := kills(b, uint64(1+i), 10_000)
		if len(gone) != 10_000 {
			b.Errorf("%d of 10000 gone", len(gone))
		}
		b.ReportMetric(gone[len(gone)/2].Seconds(), "p50-gone-s")
		b.ReportMetric(gone[len(gone)*99/100].Seconds(), "p99-gone-s")
		b.ReportMetric(gone[len(gone)-1].Seconds(), "max-gone-s")
		b.ReportMetric(back[len(back)*99/100].Seconds(), "p99-back-s")
	}
}

// falseDowns counts Down verdicts on nodes that live, over some node-hours at
// 2 % loss of everything; half of the nodes have no keepalive.
func falseDowns(t testing.TB, seed uint64, nodeHours int) (down, suspect, dials int) {
	const nodes = 100
	s := newSim(t, seed, 4, nodes, 0.02, false)
	s.tick = 5 * time.Second
	s.changed = func(_ *simRegistry, c liveness.Change) {
		switch c.To {
		case liveness.Down:
			down++
		case liveness.Suspect:
			suspect++
		case liveness.Up, liveness.Unknown:
		}
	}
	s.begin()
	s.assign()
	s.run(time.Duration(nodeHours/nodes) * time.Hour)
	return down, suspect, s.dials
}

func TestSim_livingNodesAreNotDown(t *testing.T) {
	down, _, dials := falseDowns(t, 1, 500)
	if down != 0 || dials < 500*240*3*9/10 {
		t.Errorf("%d false Down in %d dials of 500 node-hours, want none in about 360000", down, dials)
	}
}

func BenchmarkFalseDowns(b *testing.B) {
	for b.Loop() {
		var down, suspect, dials int
		for seed := range uint64(10) {
			d, s, n := falseDowns(b, 1+seed, 10_000)
			down, suspect, dials = down+d, suspect+s, dials+n
		}
		if down > 1 {
			b.Errorf("%d false Down in 10 x 10000 node-hours, want at most 1", down)
		}
		b.ReportMetric(float64(down), "false-downs")
		b.ReportMetric(float64(suspect), "suspects")
		b.ReportMetric(float64(dials), "dials")
	}
}
