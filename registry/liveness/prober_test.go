package liveness_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
)

// bench drives one Prober by hand: answers says what dials get, at once.
type bench struct {
	*liveness.Prober
	t        interface{ Fatal(...any) }
	now      time.Time
	answers  map[drtc.NodeID]liveness.Answer // missing means Missed
	dials    map[drtc.NodeID][]time.Time
	asked    []liveness.Question
	pages    map[drtc.NodeID]liveness.PageBody
	written  map[drtc.NodeID][]time.Time
	tombs    []drtc.NodeID
	hanging  bool // dials are not answered
	underWay []drtc.NodeID
}

func newBench(t interface{ Fatal(...any) }) *bench {
	p, err := liveness.NewProber(liveness.DefaultProberConfig(), rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		Prober: p, t: t, now: start, answers: map[drtc.NodeID]liveness.Answer{}, dials: map[drtc.NodeID][]time.Time{},
		pages: map[drtc.NodeID]liveness.PageBody{}, written: map[drtc.NodeID][]time.Time{},
	}
}

var others = []drtc.NodeID{{0xaa}, {0xbb}}

// watch adds n nodes that answer.
func (b *bench) watch(n int, kept bool) (ids []drtc.NodeID) {
	for i := range n {
		id := simID(i)
		b.answers[id] = liveness.Answer{RTT: 20 * time.Millisecond}
		b.Watch(b.now, id, kept, others)
		ids = append(ids, id)
	}
	return ids
}

func (b *bench) step() {
	w := b.HandleTimeout(b.now)
	for _, id := range w.Dials {
		b.dials[id] = append(b.dials[id], b.now)
		if b.hanging {
			b.underWay = append(b.underWay, id)
			continue
		}
		a, ok := b.answers[id]
		if !ok {
			a.Outcome = liveness.Missed
		}
		b.Dialled(b.now, id, a)
	}
	b.asked = append(b.asked, w.Questions...)
	for _, p := range w.Pages {
		if err := liveness.CheckPage(p.Subject, p.Sightings); err != nil {
			b.t.Fatal(err)
		}
		b.pages[p.Subject] = p
		b.written[p.Subject] = append(b.written[p.Subject], b.now)
	}
	for _, id := range w.Tombstones {
		if _, there := b.pages[id]; !there {
			b.t.Fatal("tombstone of a page that was not written", id)
		}
		delete(b.pages, id)
		b.tombs = append(b.tombs, id)
	}
}

func (b *bench) pass(d time.Duration) {
	for end := b.now.Add(d); ; {
		b.step()
		next := b.NextTimeout()
		if next.After(end) {
			b.now = end
			return
		}
		if next.After(b.now) {
			b.now = next
		}
	}
}

// said is what the pages say of a node.
func (b *bench) said(id drtc.NodeID) (s liveness.Sighting, ok bool) {
	for _, p := range b.pages {
		for _, s := range p.Sightings {
			if s.Node == id {
				return s, true
			}
		}
	}
	return s, false
}

func (b *bench) down(id drtc.NodeID) bool {
	s, _ := b.said(id)
	return s.Down
}

func TestProber_dialsEvery15sGiveOrTakeAFifth(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, false)[0]
	b.pass(time.Hour)
	dials := b.dials[id]
	if first := dials[0].Sub(start); first > 15*time.Second {
		t.Errorf("first dial after %s, want within 15s", first)
	}
	var least, most time.Duration = time.Hour, 0
	for i := range dials[1:] {
		gap := dials[i+1].Sub(dials[i])
		least, most = min(least, gap), max(most, gap)
	}
	if least < 12*time.Second || most > 18*time.Second || most-least < 3*time.Second {
		t.Errorf("dials %s to %s apart, want 12s to 18s and not all alike", least, most)
	}
	s, ok := b.said(id)
	if !ok || s.Down || s.RTTMin != 20*time.Millisecond || s.RTTMedian != s.RTTMin || b.now.Sub(s.AnsweredAt) > 45*time.Second {
		t.Errorf("the page says %+v, want a recent answer in 20ms", s)
	}
}

func TestProber_nodeWithoutKeepaliveIsDownAfter3Misses(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, false)[0]
	b.pass(time.Minute)
	delete(b.answers, id)
	n := len(b.dials[id])
	for len(b.dials[id]) < n+2 {
		b.now = b.NextTimeout()
		b.step()
	}
	if b.down(id) || len(b.asked) != 0 {
		t.Errorf("after 2 misses: down %v, asked %v, want neither", b.down(id), b.asked)
	}
	b.pass(time.Second)
	if got := b.dials[id][len(b.dials[id])-1].Sub(b.dials[id][n]); len(b.dials[id]) != n+3 || got != 2*time.Second {
		t.Errorf("%d misses within %s, want 3 within 2s", len(b.dials[id])-n, got)
	}
	if !b.down(id) || len(b.asked) != 1 || b.asked[0].Node != id || !slices.Equal(b.asked[0].Registries, others) {
		t.Errorf("after 3 misses: down %v, asked %v, want down and the others asked once", b.down(id), b.asked)
	}
	b.pass(10 * time.Minute)
	if len(b.asked) != 1 || len(b.dials[id]) > 60 {
		t.Errorf("asked %d times, dialled %d times, want 1 and the usual pace", len(b.asked), len(b.dials[id]))
	}
}

func TestProber_lostKeepaliveIsLookedAtAtOnce(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	delete(b.answers, id)
	died := b.now
	b.Lost(b.now, id)
	b.step()
	if last := b.dials[id][len(b.dials[id])-1]; last != died || b.down(id) {
		t.Errorf("last dial at %s, down %v, want a dial at once and no vote yet", last.Sub(died), b.down(id))
	}
	b.pass(time.Second)
	if !b.down(id) {
		t.Error("2 misses with a lost keepalive: want down")
	}
	b.Proven(b.now, id)
	b.pass(0)
	if b.down(id) {
		t.Error("a proven keepalive: want the vote taken back at once")
	}
}

func TestProber_lostKeepaliveIsForgottenOnceADialIsAnswered(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	b.Lost(b.now, id)
	b.pass(time.Minute)
	delete(b.answers, id)
	n := len(b.dials[id])
	for len(b.dials[id]) < n+2 {
		b.now = b.NextTimeout()
		b.step()
	}
	if b.pass(0); b.down(id) {
		t.Error("2 misses long after the keepalive ended: want no vote before the third")
	}
}

func TestProber_nodeThatCannotBeReachedIsDownInSpiteOfItsKeepalive(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	delete(b.answers, id)
	n := len(b.dials[id])
	b.pass(time.Minute)
	if b.down(id) {
		t.Errorf("down after %d misses within a minute, want patience", len(b.dials[id])-n)
	}
	b.pass(40 * time.Second)
	if !b.down(id) {
		t.Fatalf("not down after %d misses in 100s", len(b.dials[id])-n)
	}
	b.Lost(b.now, id)
	b.Proven(b.now, id)
	b.pass(time.Second)
	if !b.down(id) {
		t.Error("a keepalive made an unreachable node reachable")
	}
	b.answers[id] = liveness.Answer{}
	b.pass(20 * time.Second)
	if b.down(id) {
		t.Error("an answered dial: want the vote taken back")
	}
}

func TestProber_askedOneDialsAtOnceAndOnceMoreOnAMiss(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	delete(b.answers, id)
	b.now = b.dials[id][len(b.dials[id])-1].Add(3 * time.Second)
	n := len(b.dials[id])
	if !b.Asked(b.now, id) || b.Asked(b.now, simID(77)) {
		t.Error("asked about a node of its own and a stranger: want true and false")
	}
	asked := b.now
	b.pass(1500 * time.Millisecond)
	if got := b.dials[id][n:]; len(got) != 2 || got[0] != asked || got[1] != asked.Add(time.Second) {
		t.Errorf("dials %v, want at once and after 1s", got)
	}
	for range 100 {
		b.Asked(b.now, id)
		b.step()
	}
	if got := len(b.dials[id]) - n; got != 2 {
		t.Errorf("asked a hundred times more within 2s: %d dials, want 2", got)
	}
}

func TestProber_renewedRecordOfADownNodeIsLookedAt(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, false)[0]
	b.pass(time.Minute)
	delete(b.answers, id)
	b.pass(time.Minute)
	n := len(b.dials[id])
	b.now = b.now.Add(3 * time.Second)
	b.answers[id] = liveness.Answer{}
	b.Renewed(b.now, id)
	b.pass(0)
	if len(b.dials[id]) != n+1 || b.down(id) {
		t.Errorf("%d dials, down %v, want one and the vote taken back", len(b.dials[id])-n, b.down(id))
	}
	n++
	b.Renewed(b.now.Add(5*time.Second), id)
	b.step()
	if len(b.dials[id]) != n {
		t.Error("a record of a node that answers led to a dial")
	}
}

func TestProber_skippedDialCountsNeitherWay(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, false)[0]
	b.pass(time.Minute)
	b.answers[id] = liveness.Answer{Outcome: liveness.Skipped}
	n := len(b.dials[id])
	b.pass(time.Minute)
	if b.down(id) || len(b.dials[id])-n < 30 {
		t.Errorf("down %v after %d dials that were not tried, want up and a try each second", b.down(id), len(b.dials[id])-n)
	}
}

func TestProber_oneDialAtATime(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.hanging = true
	b.pass(5 * time.Minute)
	b.Lost(b.now, id)
	b.Asked(b.now, id)
	b.pass(time.Minute)
	if len(b.underWay) != 1 {
		t.Errorf("%d dials of one node under way, want 1", len(b.underWay))
	}
	b.Unwatch(b.now, id)
	b.Dialled(b.now, id, liveness.Answer{Outcome: liveness.Missed}) // too late
	b.Dialled(b.now, simID(9), liveness.Answer{})
	if got := b.Status(); got != (liveness.ProberStatus{}) {
		t.Errorf("after the only node is gone: got %+v, want nothing", got)
	}
}

func TestProber_thatMissesManyDistrustsItself(t *testing.T) {
	b := newBench(t)
	ids := b.watch(50, true)
	b.pass(5 * time.Minute)
	// One node is long dead: that vote stands.
	delete(b.answers, ids[0])
	b.Lost(b.now, ids[0])
	b.pass(5 * time.Minute)
	// One more has just died when the line breaks: that vote is taken back.
	delete(b.answers, ids[1])
	b.Lost(b.now, ids[1])
	b.pass(5 * time.Second)
	if !b.down(ids[0]) || !b.down(ids[1]) {
		t.Fatal("the dead are not down")
	}
	asked := len(b.asked)
	for _, id := range ids {
		delete(b.answers, id)
		b.Lost(b.now, id)
	}
	b.pass(10 * time.Minute)
	if got := b.Status(); got.Withheld == "" || got.Missing != 49 || got.Down != 1 || !strings.Contains(got.Withheld, "49 of 49") {
		t.Errorf("got %+v, want 49 missing and withheld", got)
	}
	if !b.down(ids[0]) || len(b.asked) != asked {
		t.Errorf("the old vote stands: %v, asked %d times more; want true and never", b.down(ids[0]), len(b.asked)-asked)
	}
	for _, id := range ids[1:] {
		if s, ok := b.said(id); ok {
			t.Fatalf("it says %+v, want nothing about who does not answer", s)
		}
	}
	// The line is back; two nodes died meanwhile.
	for _, id := range ids[3:] {
		b.answers[id] = liveness.Answer{}
	}
	b.pass(time.Minute)
	if got := b.Status(); got.Withheld != "" || got.Down != 3 || !b.down(ids[1]) || !b.down(ids[2]) || b.down(ids[3]) {
		t.Errorf("got %+v, want trust again and the three dead down", got)
	}
}

func TestProber_withoutOtherRegistriesAccusesNobody(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	b.Isolated(b.now, true)
	delete(b.answers, id)
	b.Lost(b.now, id)
	b.pass(time.Minute)
	if b.down(id) || len(b.asked) != 0 || !strings.Contains(b.Status().Withheld, "cut off") {
		t.Errorf("isolated: down %v, asked %v, status %+v, want the vote withheld", b.down(id), b.asked, b.Status())
	}
	b.Isolated(b.now, false)
	b.pass(0)
	if !b.down(id) || len(b.asked) != 1 {
		t.Errorf("connected again: down %v, asked %v, want the vote made", b.down(id), b.asked)
	}
}

// What was missed over a broken line is no evidence once the line is whole: the
// nodes are dialled again before anybody is accused.
func TestProber_looksAgainBeforeItTrustsItself(t *testing.T) {
	b := newBench(t)
	ids := b.watch(20, false)
	b.pass(time.Minute)
	b.Isolated(b.now, true)
	answers := b.answers
	b.answers = map[drtc.NodeID]liveness.Answer{}
	b.pass(5 * time.Minute)
	b.answers = answers
	delete(b.answers, ids[0]) // the only one that died
	b.Isolated(b.now, false)
	for end := b.now.Add(30 * time.Second); b.now.Before(end); b.pass(100 * time.Millisecond) {
		for _, id := range ids[1:] {
			if b.down(id) {
				t.Fatalf("it accuses %s, which lives, %s before the end", id, end.Sub(b.now))
			}
		}
	}
	if !b.down(ids[0]) {
		t.Error("it does not accuse the dead one, 30 s after the line is whole")
	}
}

func TestProber_writesWithinTheRate(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, true)[0]
	b.pass(5 * time.Minute)
	for range 100 { // a node that flaps
		b.now = b.now.Add(time.Second)
		delete(b.answers, id)
		b.Lost(b.now, id)
		b.pass(2 * time.Second)
		b.answers[id] = liveness.Answer{}
		b.Proven(b.now, id)
		b.pass(0)
	}
	written := b.written[liveness.Page(0, 0)]
	full := start
	for _, at := range written { // the bucket of spec REG-11
		if full.Before(at) {
			full = at
		}
		if full.Sub(at) > 9*time.Second {
			t.Fatalf("a page at %s is over one each second, 10 at once", at.Sub(start))
		}
		full = full.Add(time.Second)
	}
	if n := len(written); n < 12+40 {
		t.Errorf("%d pages, want a flapping node shown as often as the rate allows", n)
	}
}

func TestProber_emptyOneWritesAPageToo(t *testing.T) {
	b := newBench(t)
	b.pass(10 * time.Minute)
	written := b.written[liveness.Page(0, 0)]
	if len(written) < 24 || written[0] != start || len(b.pages) != 1 {
		t.Errorf("%d times one of %d pages, first after %s, want one page each 25s from the start", len(written), len(b.pages), written[0].Sub(start))
	}
	for i := range written[1:] {
		if gap := written[i+1].Sub(written[i]); gap > 25*time.Second {
			t.Fatalf("pages %s apart, want at most 25s", gap)
		}
	}
}

// However nodes come and go, each is on exactly one page, and pages that are
// gone have tombstones.
func TestProber_pagesHoldEachNodeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(t)
		watched := map[drtc.NodeID]bool{}
		next := 0
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			for range rapid.IntRange(0, 300).Draw(t, "come") {
				id := simID(next)
				if next%3 == 0 { // somebody makes ids that begin alike
					copy(id[:4], []byte{1, 2, 3, 4})
				}
				next++
				watched[id] = true
				b.answers[id] = liveness.Answer{}
				b.Watch(b.now, id, true, nil)
			}
			gone := rapid.IntRange(0, 300).Draw(t, "go")
			for i := range next {
				id := simID(i)
				if i%3 == 0 {
					copy(id[:4], []byte{1, 2, 3, 4})
				}
				if gone > 0 && watched[id] {
					gone--
					delete(watched, id)
					b.Unwatch(b.now, id)
				}
			}
			b.pass(time.Minute)
			on := map[drtc.NodeID]int{}
			for _, p := range b.pages {
				for _, s := range p.Sightings {
					on[s.Node]++
				}
			}
			for id := range watched {
				if on[id] != 1 {
					t.Fatalf("%s is on %d pages, want 1", id, on[id])
				}
			}
			if len(on) != len(watched) || len(b.pages) > 40+len(watched)/20 {
				t.Fatalf("%d nodes on %d pages, want %d nodes", len(on), len(b.pages), len(watched))
			}
		}
	})
}

func TestProber_roundTripsAreMinimumAndMedianOfTheLast(t *testing.T) {
	b := newBench(t)
	id := b.watch(1, false)[0]
	b.answers[id] = liveness.Answer{RTT: time.Millisecond}
	b.pass(time.Minute)
	b.answers[id] = liveness.Answer{RTT: 40 * time.Millisecond}
	b.pass(3 * time.Minute)
	if s, _ := b.said(id); s.RTTMin != time.Millisecond || s.RTTMedian != 40*time.Millisecond {
		t.Errorf("got %s and %s, want 1ms and 40ms", s.RTTMin, s.RTTMedian)
	}
	b.answers[id] = liveness.Answer{RTT: time.Hour}
	b.pass(10 * time.Minute)
	if s, _ := b.said(id); s.RTTMin != liveness.MaxRTT {
		t.Errorf("got %s, want what is sayable, %s, and the old ones forgotten", s.RTTMin, liveness.MaxRTT)
	}
	c := newBench(t)
	id = c.watch(1, false)[0]
	c.answers[id] = liveness.Answer{} // on this machine
	c.pass(time.Minute)
	if s, ok := c.said(id); !ok || s.RTTMin != 0 {
		t.Errorf("got %+v, want an answer without a round trip", s)
	}
}

func TestProberValidate_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*liveness.ProberConfig){
		"Every":            func(c *liveness.ProberConfig) { c.Every = 0 },
		"Jitter":           func(c *liveness.ProberConfig) { c.Jitter = 1 },
		"Redial":           func(c *liveness.ProberConfig) { c.Redial = 0 },
		"MissesLost":       func(c *liveness.ProberConfig) { c.MissesLost = 0 },
		"MissesAlone":      func(c *liveness.ProberConfig) { c.MissesAlone = 0 },
		"Unreachable":      func(c *liveness.ProberConfig) { c.Unreachable = 0 },
		"UnreachableAfter": func(c *liveness.ProberConfig) { c.UnreachableAfter = 0 },
		"Life":             func(c *liveness.ProberConfig) { c.Life = c.Refresh },
		"Refresh":          func(c *liveness.ProberConfig) { c.Refresh = 0 },
		"RateEvery":        func(c *liveness.ProberConfig) { c.RateEvery = 0 },
		"RateBurst":        func(c *liveness.ProberConfig) { c.RateBurst = 0 },
		"Distrust":         func(c *liveness.ProberConfig) { c.Distrust = 1 },
		"DistrustNodes":    func(c *liveness.ProberConfig) { c.DistrustNodes = 0 },
		"Reconsider":       func(c *liveness.ProberConfig) { c.Reconsider = 0 },
		"AskEvery":         func(c *liveness.ProberConfig) { c.AskEvery = 0 },
	} {
		c := liveness.DefaultProberConfig()
		change(&c)
		if _, err := liveness.NewProber(c, nil); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
