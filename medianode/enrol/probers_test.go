package enrol

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
)

// asProber is how others name the Registry. It has heard of the node by gossip.
func (f *fakeRegistry) asProber() *registryv1.Prober {
	f.change(func() {
		f.held, f.asks = &registryv1.Record{}, make(chan drtc.NodeID)
	})
	return &registryv1.Prober{Registry: f.id.String(), Url: f.URL}
}

// until waits for a condition that is looked at under the lock of f.
func (f *fakeRegistry) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for met := false; !met; {
		f.change(func() { met = is() })
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

func TestProbers_areAnsweredWhileTheyAreNamed(t *testing.T) {
	home, prober, figures := newFake(t, 1), newFake(t, 2), newFigures()
	home.probers = []*registryv1.Prober{prober.asProber(), {Registry: home.id.String(), Url: home.URL}}
	e := newEnrolment(t, testConfig(home), newKey(t), figures)
	run(t, e)
	home.want(t, "register")
	for range 2 { // on a new stream each time
		prober.asks <- prober.id
		prober.want(t, "pong")
	}
	prober.asks <- home.id // in whose name the node signs nothing here
	prober.want(t, "no pong")
	prober.until(t, "a stream is open", func() bool { return prober.open == 1 })
	if got := e.Probers(); len(got) != 1 || got[0].Registry != prober.id || got[0].URL != prober.URL {
		t.Errorf("probers: got %+v, want that one; the node is registered with the other", got)
	}
	home.change(func() { home.probers = nil })
	figures.change(func(p *Payload) { p.Sessions = 1 })
	home.want(t, "refresh")
	prober.until(t, "nobody is a prober", func() bool { return len(e.Probers()) == 0 })
	prober.until(t, "no stream is open", func() bool { return prober.open == 0 })
}

func TestProbers_endWithTheNode(t *testing.T) {
	home, prober := newFake(t, 1), newFake(t, 2)
	home.probers = []*registryv1.Prober{prober.asProber()}
	stop := run(t, newEnrolment(t, testConfig(home), newKey(t), newFigures()))
	prober.until(t, "a stream is open", func() bool { return prober.open == 1 })
	stop()
	prober.until(t, "no stream is open", func() bool { return prober.open == 0 })
}

func TestProbers_boundedAndOfTheMajorityFirst(t *testing.T) {
	id := func(n byte) drtc.NodeID { return drtc.NodeID{19: n} }
	as := func(n byte, url string) *registryv1.Prober {
		return &registryv1.Prober{Registry: id(n).String(), Url: url}
	}
	e := newEnrolment(t, testConfig(newFake(t, 1), newFake(t, 2), newFake(t, 3)), newKey(t), newFigures())
	p := e.probers
	e.members[0].status.ID = id(200)
	var flood []*registryv1.Prober
	for n := range byte(20) {
		flood = append(flood, as(10+n, fmt.Sprintf("http://liar.example/%d", n)))
	}
	p.name("liar", flood)
	honest := []*registryv1.Prober{
		as(100, "https://a.example"), as(101, "http://b.example:1"), as(200, "http://member.example"), as(0, "http://zero.example"),
		as(102, "ftp://c.example"), as(103, "http://me:secret@d.example"), {Registry: "nobody", Url: "http://e.example"},
	}
	p.name("one", honest)
	p.name("two", append(slices.Clone(honest[:2]), as(100, "https://other.example")))
	got := p.wanted()
	if len(got) != maxProbers {
		t.Fatalf("got %d, want %d", len(got), maxProbers)
	}
	if got[0] != (named{id(100), "https://a.example"}) || got[1] != (named{id(101), "http://b.example:1"}) {
		t.Errorf("got %v first, want those that two name", got[:2])
	}
	for _, n := range got[2:] {
		if n.id[19] < 10 || n.id[19] > 29 {
			t.Errorf("calls %v, which is no prober, a member, or named otherwise by more", n)
		}
	}
}

func TestGeneration_isRaisedWhenMostSayItMustBe(t *testing.T) {
	k := newKey(t)
	a, b, c := newFake(t, 1), newFake(t, 2), newFake(t, 3)
	a.minimum, b.minimum = 5, 7
	config := testConfig(a, b, c)
	config.Refresh = 10 * time.Millisecond
	run(t, newEnrolment(t, config, k, newFigures()))
	a.want(t, "register") // 5 is what two of three ask for at least
	a.until(t, "a record of generation 5", func() bool { return a.held.GetGeneration() == 5 })
	c.until(t, "the same at the third", func() bool { return c.held.GetGeneration() == 5 })
	b.until(t, "nothing at the one that wants more", func() bool { return b.held == nil })
	c.change(func() { c.minimum = 8 })
	a.change(func() { a.minimum = 6 })
	b.until(t, "a record of generation 7, which two ask for now", func() bool { return b.held.GetGeneration() == 7 })
}

func TestGeneration_liarsRaiseNothing(t *testing.T) {
	for name, minimums := range map[string][]uint64{
		"one of three":   {math.MaxUint64, 0, 0},
		"one of two":     {3, 0},
		"all, by a leap": {math.MaxUint64, maxRaise + 1},
	} {
		t.Run(name, func(t *testing.T) {
			var registries []*fakeRegistry
			for i, m := range minimums {
				f := newFake(t, byte(i+1))
				f.minimum = m
				registries = append(registries, f)
			}
			e := newEnrolment(t, testConfig(registries...), newKey(t), newFigures())
			for range 2 {
				for _, f := range registries {
					got, err := e.Register(t.Context(), f.URL)
					if want := f.minimum == 0; (got == Success) != want || (err == nil) != want {
						t.Errorf("a Registry that takes generation %d: got %s, %v", f.minimum, got, err)
					}
				}
			}
			if now, _ := e.author.current(); now.Generation != 0 {
				t.Errorf("generation %d, want 0", now.Generation)
			}
		})
	}
}

func TestAuthor_raises(t *testing.T) {
	k, now := newKey(t), time.UnixMilli(1790000000000)
	c := testConfig()
	a, err := newAuthor(now, k, c, newFigures().p)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to     uint64
		raised bool
		want   uint64
	}{{0, false, 0}, {4, true, 4}, {4, false, 4}, {3, false, 4}, {4 + maxRaise, true, 4 + maxRaise}} {
		raised, err := a.raise(now, tt.to)
		e, _ := a.current()
		if err != nil || raised != tt.raised || e.Generation != tt.want || e.Verify() != nil {
			t.Errorf("to %d: got %v, %v and a record of generation %d, want %v and %d", tt.to, raised, err, e.Generation, tt.raised, tt.want)
		}
	}
	if _, err := a.leave(now); err != nil {
		t.Fatal(err)
	}
	if raised, err := a.raise(now, 1<<19+maxRaise); raised || err != nil {
		t.Errorf("after leaving: got %v, %v, want nothing", raised, err)
	}
	var before envelope.Version
	if e, _ := a.current(); !before.Less(e.Version()) {
		t.Error("no record is left")
	}
}
