package simulation_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/simulation"
)

var wan = netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 1.5)}

func build(t testing.TB, p simulation.Plan) *simulation.World {
	t.Helper()
	if p.Trace == 0 {
		p.Trace = 40
	}
	w, err := simulation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run lets d of virtual time pass.
func run(t testing.TB, w *simulation.World, d time.Duration) {
	t.Helper()
	if err := w.Net().Run(w.Net().Elapsed() + d); err != nil {
		t.Fatalf("%v\n%s", err, w.Net().Report())
	}
}

func mustConverge(t testing.TB, w *simulation.World, limit time.Duration) time.Duration {
	t.Helper()
	took, err := w.Converge(limit)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// refusals sums up over the honest Registries.
func refusals(w *simulation.World, cause error, p record.Path) int {
	n := 0
	for _, id := range w.Honest() {
		n += w.Registry(id).Refusals[simulation.Refusal{Cause: cause, Path: p}]
	}
	return n
}

func holds(w *simulation.World, e *envelope.Envelope) bool {
	for _, id := range w.Honest() {
		if held, ok := w.Registry(id).Set().Get(record.KeyOf(e)); ok && held.Hash() == e.Hash() {
			return true
		}
	}
	return false
}

func shown(w *simulation.World, key record.Key) int {
	n := 0
	for _, id := range w.Honest() {
		if _, ok := w.Registry(id).Set().Live(w.Net().Now(), key); ok {
			n++
		}
	}
	return n
}

// Every rule has a record that breaks it, offered in each of the three ways.
func TestBad_isNeverStoredAndCounted(t *testing.T) {
	probe := build(t, simulation.Plan{Registries: 3, Issuers: 3, Homes: 1, Hostile: []simulation.Habits{{}}})
	cases := len(probe.Bad(2))
	if cases < 13 {
		t.Fatalf("there are %d bad records, want one for every rule", cases)
	}
	for c := range cases {
		for path, name := range map[record.Path]string{record.Submitted: "submitted", record.Gossiped: "gossiped", record.Synced: "synced"} {
			bad := probe.Bad(2)[c]
			t.Run(bad.Name+" "+name, func(t *testing.T) {
				habits := simulation.Habits{}
				switch path {
				case record.Gossiped:
					habits.Gossip = []envelope.Envelope{bad.Record}
				case record.Synced:
					habits.Show = []envelope.Envelope{bad.Record}
				case record.Submitted:
				}
				w := build(t, simulation.Plan{Registries: 3, Issuers: 3, Homes: 1, Hostile: []simulation.Habits{habits}, Link: wan})
				for id := range w.Issuers() {
					w.Issuer(id).Refresh(5 * time.Minute)
				}
				if path == record.Submitted {
					w.Issuer(2).Submit(bad.Record, 0)
					w.Issuer(2).Submit(bad.Record, 1)
				}
				run(t, w, 20*time.Second)
				if holds(w, &bad.Record) {
					t.Errorf("it is held\n%s", w.Net().Report())
				}
				if refusals(w, bad.Want, path) == 0 {
					t.Errorf("no refusal for %q; got %v and %v", bad.Want, w.Registry(0).Refusals, w.Registry(1).Refusals)
				}
				mustConverge(t, w, time.Minute)
			})
		}
	}
}

func TestReplay_bringsNothingBack(t *testing.T) {
	w := build(t, simulation.Plan{
		Registries: 4, Issuers: 6, Homes: 2, Hostile: []simulation.Habits{{Replay: true}}, Link: wan,
	})
	for range 3 { // the hostile Registry hears three versions of each
		for id := range w.Issuers() {
			w.Issuer(id).Refresh(2 * time.Minute)
		}
		run(t, w, 6*time.Second)
	}
	for id := range 3 {
		w.Issuer(id).Leave()
	}
	run(t, w, 2*time.Second)
	for w.Net().Elapsed() < 20*time.Minute { // past the end of every mark
		run(t, w, 10*time.Second)
		for id := range w.Issuers() {
			if n := shown(w, w.Issuer(id).Key()); n > 0 && (id < 3 || w.Net().Elapsed() > 3*time.Minute) {
				t.Fatalf("after %s %d Registries show a record that has ended\n%s", w.Net().Elapsed(), n, w.Net().Report())
			}
		}
	}
	if stale := refusals(w, simulation.ErrStale, record.Gossiped); stale == 0 {
		t.Error("no replay by gossip was counted as stale")
	}
	for _, path := range []record.Path{record.Gossiped, record.Synced} {
		if refusals(w, record.ErrExpired, path) == 0 {
			t.Errorf("no replay of a forgotten record was counted as expired on path %d", path)
		}
	}
	for _, id := range w.Honest() {
		if n := w.Registry(id).Set().Len(); n != 0 {
			t.Errorf("Registry %d holds %d records, all of which have ended", id, n)
		}
	}
}

func TestExpired_isAtMostAMark(t *testing.T) {
	w := build(t, simulation.Plan{Registries: 3, Issuers: 2, Homes: 1, Link: wan, Hostile: []simulation.Habits{{}}})
	old := w.Issuer(0).SignAt(w.Net().Now().Add(-10*time.Minute), time.Minute)
	w.Hostile(2).Gossip = []envelope.Envelope{old}
	run(t, w, 10*time.Second)
	if n := shown(w, w.Issuer(0).Key()); n != 0 {
		t.Errorf("%d Registries show a record that has expired", n)
	}
	if refusals(w, record.ErrExpired, record.Gossiped) == 0 {
		t.Error("it was not counted as expired")
	}
	mustConverge(t, w, time.Minute)
}

// Each habit by itself, so that one that harms is known by its name.
func TestHostile_eachHabit(t *testing.T) {
	for name, habits := range map[string]simulation.Habits{
		"drop":    {Drop: true},
		"replay":  {Replay: true},
		"flood":   {Flood: 50},
		"lie":     {Lie: true},
		"garble":  {Garble: true},
		"endless": {Endless: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := hostileWorld(t, 1, []simulation.Habits{habits})
			took := mustConverge(t, w, 2*time.Minute)
			broken, refused := 0, 0
			for _, id := range w.Honest() {
				broken += w.Registry(id).Broken
				for _, n := range w.Registry(id).Refusals {
					refused += n
				}
			}
			t.Logf("converged after %s, %d sessions broken, %d records refused, %d verifications, %+v", took, broken, refused, w.Verdicts, w.Sessions)
			if habits.Garble && broken == 0 {
				t.Error("no session was broken: the habit was not seen")
			}
			if habits.Endless && w.Sessions.BytesIn+w.Sessions.BytesOut < 1<<20 {
				t.Error("few bytes crossed: the habit was not seen")
			}
			if (habits.Flood > 0 || habits.Replay) && refused == 0 {
				t.Error("nothing was refused: the habit was not seen")
			}
		})
	}
}

// hostileWorld is two honest Registries in three, and half a minute of life.
func hostileWorld(t testing.TB, seed uint64, hostile []simulation.Habits) *simulation.World {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	n := (len(hostile)*10 + 2) / 3
	w := build(t, simulation.Plan{
		Seed: seed, Registries: n, Issuers: 15, Homes: len(hostile) + 1, Degree: 4, Hostile: hostile,
		Link: netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 2), Loss: 0.05, Duplicate: 0.05, Reorder: 0.05},
	})
	drawIssuers(r, w, 30*time.Second)
	drawFaults(r, w, 30*time.Second)
	run(t, w, 30*time.Second)
	w.Net().Heal()
	for id := range w.Net().Len() {
		w.Net().Restart(id)
	}
	return w
}

func TestHostile_thirtyPercentDoNotKeepTheOthersApart(t *testing.T) {
	for seed := range uint64(3) {
		w := hostileWorld(t, seed, drawHabits(rand.New(rand.NewPCG(seed, 3)), 3))
		if len(w.Honest()) != 7 {
			t.Fatalf("got %d honest of 10", len(w.Honest()))
		}
		if _, err := w.Converge(5 * time.Minute); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// BenchmarkHostile runs the history of a new seed in each iteration.
func BenchmarkHostile_thirtyPercent(b *testing.B) {
	var longest time.Duration
	for seed := range uint64(b.N) {
		w := hostileWorld(b, seed, drawHabits(rand.New(rand.NewPCG(seed, 3)), 3))
		took, err := w.Converge(5 * time.Minute)
		if err != nil {
			b.Fatalf("seed %d: %v", seed, err)
		}
		longest = max(longest, took)
	}
	b.ReportMetric(longest.Seconds(), "virtual-s-to-converge-max")
}

func drawHabits(r *rand.Rand, n int) []simulation.Habits {
	all := make([]simulation.Habits, n)
	for i := range all {
		all[i] = simulation.Habits{
			Drop: r.IntN(4) == 0, Replay: r.IntN(2) == 0, Flood: r.IntN(2) * 20,
			Lie: r.IntN(2) == 0, Garble: r.IntN(3) == 0, Endless: r.IntN(4) == 0,
		}
	}
	return all
}

// An issuer that says one thing here and another there is found out by every
// Registry that hears both, and all hold the same of the two.
func TestEquivocation_isProvenAndJoined(t *testing.T) {
	w := build(t, simulation.Plan{Registries: 5, Issuers: 8, Homes: 3, Link: wan})
	for id := range w.Issuers() {
		if id < 4 {
			w.Issuer(id).Equivocate(5 * time.Minute)
		} else {
			w.Issuer(id).Refresh(5 * time.Minute)
		}
	}
	run(t, w, 5*time.Second)
	mustConverge(t, w, time.Minute)
	run(t, w, 2*time.Second)
	for _, id := range w.Honest() {
		found := map[record.Key]bool{}
		for _, p := range w.Registry(id).Proofs {
			found[record.KeyOf(&p.First)] = true
			if p.First.Verify() != nil || p.Second.Verify() != nil || p.First.Version() != p.Second.Version() || p.First.Hash() == p.Second.Hash() {
				t.Errorf("Registry %d holds a proof that proves nothing: %+v", id, p)
			}
		}
		for issuer := range w.Issuers() {
			if got, want := found[w.Issuer(issuer).Key()], issuer < 4; got && !want {
				t.Errorf("Registry %d accuses issuer %d: %t, want %t", id, issuer, got, want)
			}
		}
		if len(found) == 0 {
			t.Errorf("Registry %d found no equivocation", id)
		}
	}
}

// Whatever the order in which too many records of one issuer come, all
// Registries keep the same ones.
func TestQuota_leavesTheSameEverywhere(t *testing.T) {
	refused := 0
	for seed := range uint64(10) {
		w := build(t, simulation.Plan{
			Seed: seed, Registries: 5, Issuers: 2, Homes: 2,
			Link:  netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 3), Loss: 0.2, Reorder: 0.3, Duplicate: 0.2},
			Rules: func(r *record.Rules) { r.MaxPerIssuer = 4 },
		})
		for n := range 30 {
			at := time.Duration(w.Net().Rand().Int64N(int64(20 * time.Second)))
			w.Net().At(at, func() { w.Issuer(n%2).Submit(w.Page(n%5, n), w.Net().Rand().IntN(5)) })
		}
		run(t, w, 20*time.Second)
		mustConverge(t, w, 2*time.Minute)
		set := w.Registry(0).Set()
		if set.Len() == 0 || set.Len() > 5*4 {
			t.Errorf("seed %d: %d pages are held, want at most 4 of each of 5 Registries", seed, set.Len())
		}
		refused += refusals(w, record.ErrQuota, record.Gossiped) + refusals(w, record.ErrQuota, record.Submitted)
	}
	if refused == 0 {
		t.Error("nobody was ever over the quota")
	}
}
