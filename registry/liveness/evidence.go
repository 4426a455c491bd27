package liveness

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// keepalive is what a Prober knows from streams.
type keepalive int

const (
	absent keepalive = iota // none, or lost before the last dial that was answered
	kept
	lost
)

// vote is why a node is called down.
type vote int

const (
	none        vote = iota
	silent           // no keepalive, and dials miss
	unreachable      // dials miss although the keepalive is healthy
)

// maxRTTs is how many round trips a node's minimum and median are taken over:
// five minutes of dials.
const maxRTTs = 20

// watched is one node.
type watched struct {
	id     drtc.NodeID
	others []drtc.NodeID // its other probers
	page   *leaf

	keepalive keepalive
	answered  time.Time // last answer of either side; zero for never
	misses    int       // dials in a row
	firstMiss time.Time // of these
	missed    bool      // the last dial was a miss

	vote  vote
	cast  bool // it is on the page; false when it is withheld
	voted time.Time

	next     time.Time // dial; meaningful when timer >= 0
	timer    int       // index in timers, -1 while not waiting
	dialling bool
	dialled  time.Time // end of the last dial

	rtts  [maxRTTs]uint32 // microseconds, a ring
	count int             // round trips ever
}

// Proven is told that a node's keepalive was proven (Table.Pong's up): it is a
// sign of life that outweighs dials, except that it does not make an unreachable
// node reachable.
func (p *Prober) Proven(now time.Time, node drtc.NodeID) {
	w := p.nodes[node]
	if w == nil || w.keepalive == kept {
		return
	}
	p.tally(w, -1)
	p.answeredFirst(w)
	w.keepalive, w.answered = kept, now
	w.misses, w.firstMiss = 0, time.Time{}
	if w.vote == silent {
		p.withdraw(w)
	}
	p.tally(w, 1)
	p.reconsider(now)
}

// Lost is told that a node's keepalive ended or fell silent (Table.Close's lost,
// Due.Down). The node is dialled at once.
func (p *Prober) Lost(now time.Time, node drtc.NodeID) {
	w := p.nodes[node]
	if w == nil || w.keepalive != kept {
		return
	}
	w.keepalive = lost
	if !w.dialling && w.next.After(now) {
		p.schedule(w, now)
	}
}

// Dialled is told how a dial of Work ended.
func (p *Prober) Dialled(now time.Time, node drtc.NodeID, a Answer) {
	w := p.nodes[node]
	if w == nil || !w.dialling {
		return
	}
	w.dialling, w.dialled = false, now
	if a.Outcome == Skipped {
		p.schedule(w, now.Add(p.config.Redial))
		return
	}
	p.tally(w, -1)
	if a.Outcome == Answered {
		p.dialAnswered(now, w, a.RTT)
	} else {
		p.dialMissed(now, w)
	}
	p.tally(w, 1)
	p.reconsider(now)
}

// dialAnswered takes back everything. A lost keepalive is forgotten: as evidence
// it would be good for the next misses, which may be weeks away.
func (p *Prober) dialAnswered(now time.Time, w *watched, rtt time.Duration) {
	p.answeredFirst(w)
	w.answered, w.missed, w.misses, w.firstMiss = now, false, 0, time.Time{}
	if w.keepalive == lost {
		w.keepalive = absent
	}
	if us := min(rtt, MaxRTT).Microseconds(); us > 0 {
		w.rtts[w.count%maxRTTs] = uint32(us)
		w.count++
	}
	if w.vote != none {
		p.withdraw(w)
	}
	p.schedule(w, p.later(now))
}

func (p *Prober) dialMissed(now time.Time, w *watched) {
	w.missed = true
	w.misses++
	if w.misses == 1 {
		w.firstMiss = now
	}
	if w.vote == none {
		if v := p.judge(now, w); v != none {
			p.suspect(now, w, v)
		}
	}
	// A miss is made sure of at once; with a healthy keepalive once is enough.
	if w.vote == none && (w.keepalive != kept || w.misses == 1) {
		p.schedule(w, now.Add(p.config.Redial))
	} else {
		p.schedule(w, p.later(now))
	}
}

// judge is the vote that a miss leads to.
func (p *Prober) judge(now time.Time, w *watched) vote {
	switch {
	case w.keepalive == kept:
		if w.misses >= p.config.Unreachable && now.Sub(w.firstMiss) >= p.config.UnreachableAfter {
			return unreachable
		}
	case w.keepalive == lost && w.misses >= p.config.MissesLost, w.misses >= p.config.MissesAlone:
		return silent
	}
	return none
}

// suspect makes a vote. While the prober distrusts itself it keeps it to itself.
func (p *Prober) suspect(now time.Time, w *watched, v vote) {
	w.vote, w.voted = v, now
	if p.distrust {
		return
	}
	p.cast(w)
}

func (p *Prober) cast(w *watched) {
	w.cast = true
	p.dirty(w)
	if len(w.others) > 0 && !slices.Contains(p.asks, w) {
		p.asks = append(p.asks, w)
	}
}

func (p *Prober) withdraw(w *watched) {
	if w.cast {
		p.dirty(w)
	}
	w.vote, w.cast = none, false
}

// answeredFirst lets a node's first answer be known at once.
func (p *Prober) answeredFirst(w *watched) {
	if w.answered.IsZero() {
		p.dirty(w)
	}
}

func (p *Prober) dirty(w *watched) {
	w.page.dirty = true
	p.pages = time.Time{}
}
