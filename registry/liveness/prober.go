package liveness

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// ProberConfig sets when a Prober dials, suspects and writes.
type ProberConfig struct {
	// Every is the time between two dials of a node, give or take Jitter of it.
	Every  time.Duration
	Jitter float64 // 0 to 0.9
	// Redial is how soon a miss is followed by another dial.
	Redial time.Duration
	// MissesLost in a row make a node suspected whose keepalive was lost,
	// MissesAlone one that had none.
	MissesLost, MissesAlone int
	// Unreachable misses in a row over at least UnreachableAfter make a node
	// unreachable although its keepalive is healthy.
	Unreachable      int
	UnreachableAfter time.Duration
	// Life of a page's record. It is written again between 4/5 Refresh and
	// Refresh after the last time.
	Life, Refresh time.Duration
	// RateEvery and RateBurst bound how often one page is written; a little below
	// what the network accepts (record.DefaultRules), for it is counted where
	// records arrive.
	RateEvery time.Duration
	RateBurst int
	// Distrust is the share of its nodes that a prober must miss, and more than
	// DistrustNodes of them, to distrust itself. It trusts itself again at half the
	// share. Votes younger than Reconsider are then taken back.
	Distrust      float64
	DistrustNodes int
	Reconsider    time.Duration
	// AskEvery is the least time between an end of a dial and another that
	// somebody asks for.
	AskEvery time.Duration
}

// DefaultProberConfig returns the network's times.
func DefaultProberConfig() ProberConfig {
	return ProberConfig{
		Every: 15 * time.Second, Jitter: 0.2, Redial: time.Second,
		MissesLost: 2, MissesAlone: 3, Unreachable: 4, UnreachableAfter: time.Minute,
		Life: time.Minute, Refresh: 25 * time.Second,
		RateEvery: 1100 * time.Millisecond, RateBurst: 8,
		Distrust: 0.2, DistrustNodes: 2, Reconsider: time.Minute,
		AskEvery: 2 * time.Second,
	}
}

// Validate names the field that is out of range.
func (c ProberConfig) Validate() error {
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Every", c.Every}, {"Redial", c.Redial}, {"UnreachableAfter", c.UnreachableAfter}, {"Refresh", c.Refresh},
		{"RateEvery", c.RateEvery}, {"Reconsider", c.Reconsider}, {"AskEvery", c.AskEvery},
	} {
		if d.value <= 0 {
			return fmt.Errorf("liveness: %s must be above 0, is %s", d.field, d.value)
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"MissesLost", c.MissesLost}, {"MissesAlone", c.MissesAlone}, {"Unreachable", c.Unreachable},
		{"RateBurst", c.RateBurst}, {"DistrustNodes", c.DistrustNodes},
	} {
		if n.value < 1 {
			return fmt.Errorf("liveness: %s must be at least 1, is %d", n.field, n.value)
		}
	}
	switch {
	case c.Jitter < 0 || c.Jitter > 0.9:
		return fmt.Errorf("liveness: Jitter must be 0 to 0.9, is %g", c.Jitter)
	case c.Life < c.Refresh+c.RateEvery:
		return fmt.Errorf("liveness: Life must be at least Refresh + RateEvery = %s, is %s", c.Refresh+c.RateEvery, c.Life)
	case c.Distrust <= 0 || c.Distrust >= 1:
		return fmt.Errorf("liveness: Distrust must be between 0 and 1, is %g", c.Distrust)
	}
	return nil
}

// Outcome of a dial.
type Outcome int

const (
	// Answered: the node proved that it runs.
	Answered Outcome = iota
	// Missed: it did not, for whatever reason; refusing is as good as silence.
	Missed
	// Skipped: it could not be tried.
	Skipped
)

// String returns the outcome in lower case, for metrics.
func (o Outcome) String() string { return [...]string{"answered", "missed", "skipped"}[o] }

// Answer is the end of a dial.
type Answer struct {
	Outcome Outcome
	// RTT of an Answered dial; 0 when it says nothing about distance, as on the
	// same machine.
	RTT time.Duration
}

// Question asks other Registries to look at a node now.
type Question struct {
	Node       drtc.NodeID
	Registries []drtc.NodeID
}

// PageBody is a page to be written: sign it as a record of kind "liveness" with
// subject Subject, a ttl of Life and the body AppendSightings(nil, Sightings).
type PageBody struct {
	Subject   drtc.NodeID
	Sightings []Sighting
	Life      time.Duration
}

// Work is what HandleTimeout decided. Every list is in order of its ids.
type Work struct {
	// Dials are nodes to dial; each is answered by exactly one call of Dialled.
	Dials []drtc.NodeID
	// Questions are to be sent to other Registries, once; an answer is not needed,
	// as theirs is the vote on their page.
	Questions []Question
	// Pages are to be written now.
	Pages []PageBody
	// Tombstones are subjects of pages that no longer exist. Write them after
	// Pages, where their nodes went.
	Tombstones []drtc.NodeID
}

// Prober watches over the nodes of one Registry and writes what it sees of them.
// Make one with NewProber.
//
// Call HandleTimeout at NextTimeout, and after each call of any other method.
// A node that is not watched is ignored by every method but Watch.
type Prober struct {
	config ProberConfig
	random *rand.Rand
	nodes  map[drtc.NodeID]*watched
	timers timers
	tree   *tree
	asks   []*watched
	pages  time.Time // when the next page is due

	missing, voted int // see tally
	isolated       bool
	distrust       bool
}

// NewProber returns a Prober without nodes. Its first page, empty, is due at
// once. random is used for jitter alone and is not shared.
func NewProber(c ProberConfig, random *rand.Rand) (*Prober, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Prober{config: c, random: random, nodes: map[drtc.NodeID]*watched{}, tree: newTree()}, nil
}

// Watch begins to watch a node, or changes who else does. kept says whether it
// is kept alive here at the moment (Table.Kept). The first dial comes within
// Every.
func (p *Prober) Watch(now time.Time, node drtc.NodeID, kept bool, others []drtc.NodeID) {
	w := p.nodes[node]
	if w != nil {
		w.others = others
		return
	}
	w = &watched{id: node, others: others, timer: -1}
	p.nodes[node] = w
	p.tree.insert(w)
	p.pages = time.Time{}
	p.schedule(w, now.Add(time.Duration(p.random.Float64()*float64(p.config.Every))))
	if kept {
		p.Proven(now, node)
	}
}

// Unwatch stops. The node's sighting goes with the page's next record; a dial
// under way is still to be answered and then ignored.
func (p *Prober) Unwatch(now time.Time, node drtc.NodeID) {
	w := p.nodes[node]
	if w == nil {
		return
	}
	p.tally(w, -1)
	p.unschedule(w)
	delete(p.nodes, node)
	p.tree.drop(w)
	p.pages = time.Time{}
	p.asks = slices.DeleteFunc(p.asks, func(a *watched) bool { return a == w })
	p.reconsider(now)
}

// Renewed is told of each new record of a node. One that was silent is dialled
// at once: it may be back.
func (p *Prober) Renewed(now time.Time, node drtc.NodeID) {
	if w := p.nodes[node]; w != nil && w.vote != none {
		p.lookNow(now, w)
	}
}

// Asked is told that another Registry asks to look at node now. ok is false for
// a node that is not watched here: nobody makes this Registry dial what it would
// not dial anyway.
func (p *Prober) Asked(now time.Time, node drtc.NodeID) (ok bool) {
	w := p.nodes[node]
	if w == nil {
		return false
	}
	p.lookNow(now, w)
	return true
}

// Isolated is told whether this Registry and those that it hears are at most half
// of the Registries that it knows: then its own line may be what is broken, and
// with the healing its votes would count among the others'. One that knows no
// other is not isolated.
func (p *Prober) Isolated(now time.Time, isolated bool) {
	p.isolated = isolated
	p.reconsider(now)
}

// HandleTimeout decides what is due at now.
func (p *Prober) HandleTimeout(now time.Time) Work {
	var work Work
	for len(p.timers) > 0 && !now.Before(p.timers[0].next) {
		w := p.timers[0]
		p.unschedule(w)
		w.dialling = true
		work.Dials = append(work.Dials, w.id)
	}
	slices.SortFunc(work.Dials, compareIDs)
	slices.SortFunc(p.asks, func(a, b *watched) int { return compareIDs(a.id, b.id) })
	for _, w := range p.asks {
		work.Questions = append(work.Questions, Question{w.id, w.others})
	}
	p.asks = nil
	if !now.Before(p.pages) {
		p.writePages(now, &work)
	}
	return work
}

// NextTimeout is when HandleTimeout has something to do; the zero time for now.
func (p *Prober) NextTimeout() time.Time {
	if len(p.asks) > 0 {
		return time.Time{}
	}
	if len(p.timers) > 0 && p.timers[0].next.Before(p.pages) {
		return p.timers[0].next
	}
	return p.pages
}

// Sighting is what the Prober would write about a node; ok is false when it
// would leave it out.
func (p *Prober) Sighting(node drtc.NodeID) (s Sighting, ok bool) {
	if w := p.nodes[node]; w != nil {
		return p.sighting(w)
	}
	return s, false
}

// ProberStatus is for people.
type ProberStatus struct {
	Watched, Missing, Down int
	// Withheld says that the prober distrusts itself and why; empty when it does
	// not.
	Withheld string
}

// Status of the Prober.
func (p *Prober) Status() ProberStatus {
	s := ProberStatus{Watched: len(p.nodes), Missing: p.missing, Down: p.voted}
	switch {
	case p.distrust && p.isolated:
		s.Withheld = "cut off from half of the Registries or more: this one's line may be broken, so it accuses nobody"
	case p.distrust:
		s.Withheld = fmt.Sprintf("%d of %d nodes missed their last dial: this Registry's line may be broken, so it accuses nobody", p.missing, len(p.nodes)-p.voted)
	}
	return s
}

// timers are the nodes that wait for a dial, the next one first.
type timers []*watched

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if !t[i].next.Equal(t[j].next) {
		return t[i].next.Before(t[j].next)
	}
	return compareIDs(t[i].id, t[j].id) < 0
}
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].timer, t[j].timer = i, j
}
func (t *timers) Push(x any) {
	w := x.(*watched)
	w.timer = len(*t)
	*t = append(*t, w)
}
func (t *timers) Pop() any {
	last := len(*t) - 1
	w := (*t)[last]
	(*t)[last], *t = nil, (*t)[:last]
	w.timer = -1
	return w
}

// schedule sets the time of w's next dial.
func (p *Prober) schedule(w *watched, at time.Time) {
	w.next = at
	if w.timer >= 0 {
		heap.Fix(&p.timers, w.timer)
	} else {
		heap.Push(&p.timers, w)
	}
}

func (p *Prober) unschedule(w *watched) {
	if w.timer >= 0 {
		heap.Remove(&p.timers, w.timer)
	}
}

// later is the time of the next regular dial.
func (p *Prober) later(now time.Time) time.Time {
	factor := 1 + p.config.Jitter*(2*p.random.Float64()-1)
	return now.Add(time.Duration(factor * float64(p.config.Every)))
}

// lookNow dials w at once, unless that is under way or just done.
func (p *Prober) lookNow(now time.Time, w *watched) {
	if !w.dialling && now.Sub(w.dialled) >= p.config.AskEvery && w.next.After(now) {
		p.schedule(w, now)
	}
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }
