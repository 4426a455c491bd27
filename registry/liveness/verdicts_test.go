package liveness_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
)

// court is a Verdicts and the Registries that report to it; the first is its own.
type court struct {
	*liveness.Verdicts
	now     time.Time
	ids     []drtc.NodeID
	changes []liveness.Change
	mine    map[drtc.NodeID][]drtc.NodeID
}

func newCourt(t interface{ Fatal(...any) }, registries int, change func(*liveness.VerdictsConfig)) *court {
	c := &court{now: start, mine: map[drtc.NodeID][]drtc.NodeID{}}
	for i := range registries {
		c.ids = append(c.ids, simID(5000+i))
	}
	config := liveness.DefaultVerdictsConfig(c.ids[0])
	if change != nil {
		change(&config)
	}
	var err error
	if c.Verdicts, err = liveness.NewVerdicts(c.now, config); err != nil {
		t.Fatal(err)
	}
	c.did(c.Registries(c.now, c.ids))
	for _, id := range c.ids {
		c.page(id)
	}
	return c
}

func (c *court) did(changes liveness.Changes) {
	c.changes = append(c.changes, changes.Verdicts...)
	for _, a := range changes.Assigned {
		c.mine[a.Node] = a.Others
	}
	for _, id := range changes.Released {
		delete(c.mine, id)
	}
}

// page has a Registry write one page with these sightings and no others.
func (c *court) page(registry drtc.NodeID, sightings ...liveness.Sighting) {
	slices.SortFunc(sightings, func(a, b liveness.Sighting) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	c.did(c.Take(c.now, liveness.IssuedPage{
		Issuer: registry, Subject: liveness.Page(0, 0), IssuedAt: c.now, TTL: time.Minute, Sightings: sightings,
	}))
}

func (c *court) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(time.Second)
		c.did(c.HandleTimeout(c.now))
	}
}

func (c *court) state(id drtc.NodeID) string {
	v, ok := c.Verdict(id)
	if !ok {
		return "not known"
	}
	return v.State.String()
}

func isUp(id drtc.NodeID) liveness.Sighting {
	return liveness.Sighting{Node: id, AnsweredAt: start}
}

func isDown(id drtc.NodeID) liveness.Sighting { return liveness.Sighting{Node: id, Down: true} }

var subject = simID(1)

func TestVerdicts_majorityOfProbersIsNeeded(t *testing.T) {
	for registries, down := range map[int]int{1: 1, 2: 2, 3: 2, 5: 2} {
		c := newCourt(t, registries, nil)
		c.did(c.Know(c.now, subject))
		if got := c.state(subject); got != "unknown" {
			t.Errorf("%d Registries, nothing said: got %s, want unknown", registries, got)
		}
		probers := c.Probers(subject)
		if len(probers) != min(3, registries) {
			t.Fatalf("%d Registries: %d probers", registries, len(probers))
		}
		for _, id := range probers {
			c.page(id, isUp(subject))
		}
		if got := c.state(subject); got != "up" {
			t.Errorf("%d Registries, all say up: got %s", registries, got)
		}
		for i, id := range probers {
			c.page(id, isDown(subject))
			want := "suspect"
			if i+1 >= down {
				want = "down"
			}
			if got := c.state(subject); got != want {
				t.Errorf("%d Registries, %d say down: got %s, want %s", registries, i+1, got, want)
			}
		}
		c.page(probers[0], isUp(subject))
		want := map[int]string{1: "up", 2: "suspect", 3: "down", 5: "down"}[registries]
		if got := c.state(subject); got != want {
			t.Errorf("%d Registries, one says up again: got %s, want %s", registries, got, want)
		}
	}
}

func TestVerdicts_othersThanItsProbersDoNotCount(t *testing.T) {
	c := newCourt(t, 6, nil)
	c.did(c.Know(c.now, subject))
	probers := c.Probers(subject)
	for _, id := range c.ids {
		if !slices.Contains(probers, id) {
			c.page(id, isDown(subject))
		}
	}
	c.page(drtc.NodeID{0xee}, isDown(subject))
	if got := c.state(subject); got != "unknown" || len(c.changes) != 0 {
		t.Errorf("got %s, changes %v, want nothing", got, c.changes)
	}
}

func TestVerdicts_sayWhoVotedWhat(t *testing.T) {
	c := newCourt(t, 3, nil)
	c.did(c.Know(c.now, subject))
	probers := c.Probers(subject)
	c.page(probers[0], isDown(subject))
	c.pass(10 * time.Second)
	c.page(probers[2], isDown(subject))
	log := c.Log(subject)
	if len(log) != 2 || log[1].From != liveness.Suspect || log[1].To != liveness.Down || log[1].At != c.now {
		t.Fatalf("got %+v, want suspect and then down", log)
	}
	for i, v := range log[1].Votes {
		if v.Registry != probers[i] || v.Absent != (i == 1) || v.Sighting.Down != (i != 1) {
			t.Errorf("vote %d: got %+v", i, v)
		}
	}
	if !slices.EqualFunc(c.changes, log, func(a, b liveness.Change) bool { return a.At.Equal(b.At) && a.To == b.To }) {
		t.Errorf("reported %+v, logged %+v, want the same", c.changes, log)
	}
	for range 100 {
		c.page(probers[0], isUp(subject))
		c.page(probers[0], isDown(subject))
	}
	if got := len(c.Log(subject)); got != 16 {
		t.Errorf("after 200 changes the log has %d, want 16", got)
	}
}

func TestVerdicts_staleVoteEnds(t *testing.T) {
	c := newCourt(t, 3, func(c *liveness.VerdictsConfig) { c.Hold = 0 })
	c.did(c.Know(c.now, subject))
	for _, id := range c.Probers(subject) {
		c.page(id, isDown(subject))
	}
	c.pass(89 * time.Second)
	if got := c.state(subject); got != "down" {
		t.Errorf("within life and grace: got %s, want down", got)
	}
	c.pass(2 * time.Second)
	if got := c.state(subject); got != "unknown" {
		t.Errorf("after life and grace: got %s, want unknown", got)
	}
}

func TestVerdicts_registryThatFallsSilentIsReplaced(t *testing.T) {
	c := newCourt(t, 4, nil)
	c.did(c.Know(c.now, subject))
	probers := c.Probers(subject)
	dead := probers[0]
	if dead == c.ids[0] {
		dead = probers[1]
	}
	for range 100 {
		c.pass(time.Second)
		for _, id := range c.ids {
			if id != dead {
				c.page(id)
			}
		}
	}
	if got := c.Probers(subject); slices.Contains(got, dead) || len(got) != 3 || slices.Contains(c.AtWork(), dead) {
		t.Errorf("got probers %v, at work %v, want 3 without %s", got, c.AtWork(), dead)
	}
	c.page(dead)
	if got := c.Probers(subject); !slices.Equal(got, probers) {
		t.Errorf("when it is back: got %v, want %v as before", got, probers)
	}
}

func TestVerdicts_assignsOwnNodes(t *testing.T) {
	c := newCourt(t, 5, nil)
	for i := range 200 {
		c.did(c.Know(c.now, simID(i)))
	}
	check := func(when string) {
		t.Helper()
		for i := range 200 {
			probers := liveness.Probers(simID(i), c.AtWork(), c.Epoch(c.now), 3)
			if got := c.Probers(simID(i)); !slices.Equal(got, probers) {
				t.Fatalf("%s, node %d: got probers %v, want %v", when, i, got, probers)
			}
			others, mine := c.mine[simID(i)]
			want := slices.DeleteFunc(slices.Clone(probers), func(id drtc.NodeID) bool { return id == c.ids[0] })
			if mine != slices.Contains(probers, c.ids[0]) || mine && !slices.Equal(others, want) {
				t.Fatalf("%s, node %d: assigned %v with %v, probers are %v", when, i, mine, others, probers)
			}
		}
	}
	check("at first")
	c.did(c.Registries(c.now, c.ids[:4]))
	check("after one left")
	c.did(c.Registries(c.now, c.ids))
	check("after it came back")
	epoch := c.Epoch(c.now)
	for c.Epoch(c.now) == epoch {
		c.pass(10 * time.Minute)
		for _, id := range c.ids {
			c.page(id)
		}
	}
	check("in the next epoch")
	c.pass(25 * time.Hour)
	check("alone")
	if len(c.AtWork()) != 1 || len(c.mine) != 200 {
		t.Errorf("alone: %d at work, %d of 200 nodes, want only itself and all", len(c.AtWork()), len(c.mine))
	}
	c.did(c.Forget(c.now, simID(7), true))
	if _, mine := c.mine[simID(7)]; mine || c.state(simID(7)) != "not known" {
		t.Error("a forgotten node is still assigned")
	}
}

// When probers change, a dead node does not come back for a moment.
func TestVerdicts_downHoldsUntilAProberSeesTheNode(t *testing.T) {
	c := newCourt(t, 4, nil)
	c.did(c.Know(c.now, subject))
	probers := c.Probers(subject)
	c.page(probers[0], isDown(subject))
	c.page(probers[1], isDown(subject))
	c.did(c.Registries(c.now, slices.DeleteFunc(slices.Clone(c.ids), func(id drtc.NodeID) bool { return id == probers[1] })))
	if got := c.state(subject); got != "down" {
		t.Errorf("one of the two accusers was replaced: got %s, want down for now", got)
	}
	fresh := c.Probers(subject)[2]
	c.page(fresh, isUp(subject))
	if got := c.state(subject); got != "suspect" {
		t.Errorf("its successor sees the node: got %s, want suspect", got)
	}
	c.page(fresh, isDown(subject))
	c.page(fresh)
	for range 89 {
		c.pass(time.Second)
		for _, id := range c.ids {
			if id == probers[0] {
				c.page(id, isDown(subject))
			} else {
				c.page(id)
			}
		}
	}
	if got := c.state(subject); got != "down" {
		t.Errorf("89 s without a majority: got %s, want down", got)
	}
	c.pass(2 * time.Second)
	if got := c.state(subject); got != "suspect" {
		t.Errorf("91 s without a majority: got %s, want what the votes say", got)
	}
}

func TestVerdicts_newestPageOfTwoCounts(t *testing.T) {
	c := newCourt(t, 1, nil)
	c.did(c.Know(c.now, subject))
	self := c.ids[0]
	deep := liveness.Page(3, 0)
	for i := range 8 { // the page of subject
		if p := liveness.Page(3, uint64(i)<<61); liveness.CheckPage(p, []liveness.Sighting{isUp(subject)}) == nil {
			deep = p
		}
	}
	c.page(self, isDown(subject))
	divided := c.now.Add(time.Second)
	c.did(c.Take(divided, liveness.IssuedPage{Issuer: self, Subject: deep, IssuedAt: divided, TTL: time.Minute, Sightings: []liveness.Sighting{isUp(subject)}}))
	if got := c.state(subject); got != "up" {
		t.Errorf("the newer page says up: got %s", got)
	}
	c.page(self, isDown(subject)) // older than deep
	if got := c.state(subject); got != "up" {
		t.Errorf("after the older page came again: got %s, want up", got)
	}
	c.did(c.Drop(divided, self, deep, divided.Add(-time.Hour)))
	if got := c.state(subject); got != "up" {
		t.Errorf("after an old tombstone: got %s, want up", got)
	}
	c.did(c.Drop(divided, self, deep, divided))
	if got := c.state(subject); got != "down" {
		t.Errorf("after the newer page's tombstone: got %s, want down", got)
	}
	c.did(c.Take(divided, liveness.IssuedPage{Issuer: self, Subject: liveness.Page(0, 0), IssuedAt: start.Add(-time.Hour), TTL: time.Minute}))
	c.did(c.Take(divided, liveness.IssuedPage{Issuer: self, Subject: subject, IssuedAt: divided, TTL: time.Minute}))
	if got := c.state(subject); got != "down" {
		t.Errorf("after an expired page and one that is none: got %s, want down", got)
	}
}

// Two Registries that got the same pages in any order agree.
func TestVerdicts_orderOfPagesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pages []liveness.IssuedPage
		nodes := []drtc.NodeID{simID(1), simID(2), simID(3)}
		slices.SortFunc(nodes, func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
		for i := range rapid.IntRange(0, 12).Draw(t, "pages") {
			p := liveness.IssuedPage{Subject: liveness.Page(0, 0), TTL: time.Minute, IssuedAt: start.Add(time.Duration(i) * time.Millisecond)}
			p.Issuer = simID(5000 + rapid.IntRange(0, 3).Draw(t, "issuer"))
			for _, id := range nodes {
				switch rapid.IntRange(0, 2).Draw(t, "says") {
				case 0:
					p.Sightings = append(p.Sightings, isUp(id))
				case 1:
					p.Sightings = append(p.Sightings, isDown(id))
				}
			}
			pages = append(pages, p)
		}
		noHold := func(c *liveness.VerdictsConfig) { c.Hold = 0 } // what is held depends on what was before
		a, b := newCourt(t, 4, noHold), newCourt(t, 4, noHold)
		for _, c := range []*court{a, b} {
			c.now = start.Add(time.Second)
			for _, id := range nodes {
				c.did(c.Know(c.now, id))
			}
		}
		for _, p := range pages {
			a.did(a.Take(a.now, p))
		}
		for _, p := range rapid.Permutation(pages).Draw(t, "order") {
			b.did(b.Take(b.now, p))
		}
		for _, id := range nodes {
			x, _ := a.Verdict(id)
			y, _ := b.Verdict(id)
			if x.State != y.State {
				t.Fatalf("%s: %s in one order, %s in another", id, x.State, y.State)
			}
		}
	})
}

func TestVerdicts_bounds(t *testing.T) {
	c := newCourt(t, 1, func(c *liveness.VerdictsConfig) { c.MaxNodes, c.MaxPages = 1, 2 })
	c.did(c.Know(c.now, simID(1)))
	c.did(c.Know(c.now, simID(2)))
	if got := c.state(simID(2)); got != "not known" {
		t.Errorf("a node beyond MaxNodes: got %s", got)
	}
	for i := range 10 {
		c.page(simID(6000+i), isDown(simID(1)))
	}
	c.did(c.Registries(c.now, append(slices.Clone(c.ids), simID(6000), simID(6001))))
	if got := c.AtWork(); len(got) != 2 {
		t.Errorf("with two pages: %d at work, want 2", len(got))
	}
	if got := c.Tally(); got[liveness.Suspect] != 1 || len(got) != 1 {
		t.Errorf("got %v, want one suspect", got)
	}
}

func TestAvailability_isUpTimeOverJudgedTime(t *testing.T) {
	c := newCourt(t, 1, func(c *liveness.VerdictsConfig) { c.Epoch = time.Hour })
	first := c.Epoch(c.now) + 1
	c.pass(time.UnixMilli(int64(first) * 3600_000).Sub(c.now)) // to the start of an epoch
	c.did(c.Know(c.now, subject))
	say := func(d time.Duration, s ...liveness.Sighting) {
		for end := c.now.Add(d); c.now.Before(end); c.pass(20 * time.Second) {
			c.page(c.ids[0], s...)
		}
	}
	say(10 * time.Minute)                  // nothing known: in neither
	say(30*time.Minute, isUp(subject))     // to 0:40
	say(10*time.Minute, isDown(subject))   // to 0:50
	say(20*time.Minute, isUp(subject))     // to 1:10
	c.did(c.Forget(c.now, subject, false)) // its record ended: down from here
	say(10 * time.Minute)                  // to 1:20
	c.did(c.Know(c.now, subject))
	say(10*time.Minute, isUp(subject)) // to 1:30
	for epoch, want := range map[uint64]liveness.Account{
		first:     {Epoch: first, Up: 40 * time.Minute, Life: 50 * time.Minute},
		first + 1: {Epoch: first + 1, Up: 20 * time.Minute, Life: 30 * time.Minute},
	} {
		got, ok := c.Availability(c.now, subject, epoch)
		if !ok || got != want || got.Score() != want.Up.Seconds()/want.Life.Seconds() {
			t.Errorf("epoch %d: got %+v, %v, want %+v", epoch-first, got, ok, want)
		}
	}
	if _, ok := c.Availability(c.now, subject, first-1); ok {
		t.Error("an epoch that is not kept has an account")
	}
	if got := (liveness.Account{}).Score(); got != 0 {
		t.Errorf("no life: got %g, want 0", got)
	}
	c.did(c.Forget(c.now, subject, true)) // it says that it leaves: its life ends
	c.pass(10 * time.Minute)
	if got, _ := c.Availability(c.now, subject, first+1); got.Life != 30*time.Minute {
		t.Errorf("after it left: life %s, want still 30m", got.Life)
	}
	c.pass(3 * time.Hour)
	if _, ok := c.Availability(c.now, subject, c.Epoch(c.now)-1); ok || c.Log(subject) != nil {
		t.Error("two epochs after it left it is still remembered")
	}
}

func TestAvailability_overManyEpochsAtOnce(t *testing.T) {
	c := newCourt(t, 1, func(c *liveness.VerdictsConfig) { c.Epoch, c.Life = time.Minute, 100*time.Hour })
	c.did(c.Know(c.now, subject))
	c.did(c.Take(c.now, liveness.IssuedPage{Issuer: c.ids[0], Subject: liveness.Page(0, 0), IssuedAt: c.now, TTL: 100 * time.Hour, Sightings: []liveness.Sighting{isUp(subject)}}))
	later := c.now.Add(50 * time.Hour)
	got, ok := c.Availability(later, subject, c.Epoch(later)-1)
	if !ok || got.Up != time.Minute || got.Life != time.Minute {
		t.Errorf("got %+v, %v, want one whole epoch", got, ok)
	}
}

func TestVerdictsValidate_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*liveness.VerdictsConfig){
		"Self":     func(c *liveness.VerdictsConfig) { c.Self = drtc.NodeID{} },
		"Probers":  func(c *liveness.VerdictsConfig) { c.Probers = 0 },
		"Life":     func(c *liveness.VerdictsConfig) { c.Life = 0 },
		"Grace":    func(c *liveness.VerdictsConfig) { c.Grace = -1 },
		"Hold":     func(c *liveness.VerdictsConfig) { c.Hold = -1 },
		"Epoch":    func(c *liveness.VerdictsConfig) { c.Epoch = 0 },
		"MaxPages": func(c *liveness.VerdictsConfig) { c.MaxPages = 0 },
		"MaxNodes": func(c *liveness.VerdictsConfig) { c.MaxNodes = 0 },
	} {
		c := liveness.DefaultVerdictsConfig(drtc.NodeID{1})
		change(&c)
		if _, err := liveness.NewVerdicts(start, c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

// A Registry more or less of 15 moves a fifth of 100,000 nodes.
func BenchmarkVerdicts_registryLeavesAndReturns(b *testing.B) {
	c := newCourt(b, 15, nil)
	for i := range 100_000 {
		c.Know(c.now, simID(i))
	}
	for b.Loop() {
		c.Registries(c.now, c.ids[:14])
		c.Registries(c.now, c.ids)
	}
}
