package simulation_test

import (
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/simulation"
)

// Clocks up to 30 s wrong, in both directions, and issuers at the true time:
// everything is accepted everywhere, and all hold the same.
func TestClocks_halfAMinuteWrongAgree(t *testing.T) {
	for seed := range uint64(10) {
		w := build(t, simulation.Plan{Seed: seed, Registries: 5, Issuers: 12, Homes: 2, Link: wan})
		skewed := func() {
			for _, id := range w.Honest() {
				w.Net().SetClock(id, time.Duration(w.Net().Rand().Int64N(60_001)-30_000)*time.Millisecond)
			}
			w.Net().SetClock(0, -30*time.Second)
			w.Net().SetClock(4, 30*time.Second)
		}
		skewed()
		for at := time.Duration(0); at < time.Minute; at += 10 * time.Second {
			w.Net().At(at, func() {
				for id := range w.Issuers() {
					if id < 3 && w.Net().Elapsed() >= 50*time.Second {
						w.Issuer(id).Leave()
					} else if w.Net().Elapsed() < 50*time.Second || id > 6 {
						w.Issuer(id).Refresh(5 * time.Minute)
					}
				}
				skewed() // clocks jump, too
			})
		}
		run(t, w, 70*time.Second)
		for _, id := range w.Honest() {
			for path := record.Submitted; path <= record.Synced; path++ {
				if n := w.Registry(id).Refusals[simulation.Refusal{Cause: record.ErrFuture, Path: path}]; n > 0 {
					t.Errorf("seed %d: Registry %d refused %d records of the true time as future", seed, id, n)
				}
			}
		}
		mustConverge(t, w, time.Minute) // with clocks still wrong: nothing is near its end
	}
}

// One Registry's clock goes back an hour when it holds a record whose issuer then
// leaves. It refuses the tombstone as of the future and goes on showing and
// offering the record, long after the others have forgotten that it left.
func TestClocks_anHourBehindBringsNothingBack(t *testing.T) {
	w := build(t, simulation.Plan{Registries: 5, Issuers: 8, Homes: 2, Link: wan})
	const wrong = 4
	for id := range w.Issuers() {
		w.Issuer(id).Refresh(15 * time.Minute)
	}
	run(t, w, 10*time.Second)
	w.Net().SetClock(wrong, -time.Hour)
	for id := range 4 {
		w.Issuer(id).Leave()
	}
	run(t, w, 5*time.Second)
	left := func(registry int) (n int) {
		for id := range 4 {
			if _, ok := w.Registry(registry).Set().Live(w.Net().Now(), w.Issuer(id).Key()); ok {
				n++
			}
		}
		return n
	}
	if left(wrong) == 0 {
		t.Fatal("the Registry of the past took the tombstones: this test shows nothing")
	}
	for w.Net().Elapsed() < 40*time.Minute {
		run(t, w, 5*time.Second)
		for id := range wrong {
			if n := left(id); n > 0 {
				t.Fatalf("after %s Registry %d shows %d nodes that left\n%s", w.Net().Elapsed(), id, n, w.Net().Report())
			}
		}
	}
	for id := range wrong {
		if n := w.Registry(id).Set().Len(); n != 0 {
			t.Errorf("Registry %d still holds %d records", id, n)
		}
	}
	if w.Registry(wrong).Set().Len() == 0 {
		t.Error("the Registry of the past has forgotten too: this test shows nothing")
	}
	if refusals(w, record.ErrExpired, record.Synced) == 0 {
		t.Error("the others were never offered what they had forgotten")
	}
	w.Net().SetClock(wrong, 0)
	mustConverge(t, w, time.Minute)
}

// A Registry an hour ahead forgets everything at once. The others do not follow
// it, and when its clock is right again it learns all of it anew.
func TestClocks_anHourAheadForgetsAlone(t *testing.T) {
	w := build(t, simulation.Plan{Registries: 5, Issuers: 8, Homes: 5, Link: wan})
	for id := range w.Issuers() {
		w.Issuer(id).Refresh(15 * time.Minute)
	}
	run(t, w, 10*time.Second)
	w.Net().SetClock(2, time.Hour)
	w.Net().At(w.Net().Elapsed()+5*time.Second, func() {
		for id := range w.Issuers() {
			w.Issuer(id).Refresh(15 * time.Minute)
		}
	})
	run(t, w, 30*time.Second)
	if n := w.Registry(2).Set().Len(); n != 0 {
		t.Errorf("the Registry of the future holds %d records, want none", n)
	}
	for id := range w.Issuers() {
		if n := shown(w, w.Issuer(id).Key()); n != 4 {
			t.Errorf("issuer %d: %d Registries show it, want 4", id, n)
		}
	}
	w.Net().SetClock(2, 0)
	mustConverge(t, w, time.Minute)
}

// Nodes that leave are gone from every Registry within two seconds.
func TestLeave_isSeenEverywhereWithinTwoSeconds(t *testing.T) {
	for _, c := range []struct{ registries, degree int }{{5, 0}, {15, 6}} {
		w := build(t, simulation.Plan{
			Seed: 1, Registries: c.registries, Issuers: 100, Homes: 3, Degree: c.degree,
			Link: netsim.Link{Delay: netsim.LongTail(60*time.Millisecond, 1.6), Loss: 0.02, Duplicate: 0.02, Reorder: 0.05},
		})
		for id := range w.Issuers() {
			w.Issuer(id).Refresh(5 * time.Minute)
		}
		run(t, w, 20*time.Second)
		mustConverge(t, w, time.Minute)
		var worst time.Duration
		for id := range w.Issuers() {
			begin := w.Net().Elapsed()
			if n := shown(w, w.Issuer(id).Key()); n != c.registries {
				t.Fatalf("%d of %d Registries show issuer %d before it leaves", n, c.registries, id)
			}
			w.Issuer(id).Leave()
			for shown(w, w.Issuer(id).Key()) > 0 && w.Net().Elapsed()-begin < 10*time.Second {
				run(t, w, 10*time.Millisecond)
			}
			worst = max(worst, w.Net().Elapsed()-begin)
		}
		t.Logf("%d Registries: the slowest of %d departures took %s", c.registries, w.Issuers(), worst)
		if worst > 2*time.Second {
			t.Errorf("%d Registries: the slowest departure took %s, want at most 2s", c.registries, worst)
		}
		mustConverge(t, w, time.Minute)
	}
}

// Fifteen Registries under the same faults as the small schedules.
func TestFifteen_converge(t *testing.T) {
	for seed := range uint64(3) {
		w, took, err := fifteen(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		t.Logf("seed %d: %d events, converged after %s", seed, w.Net().Stats().Events(), took)
	}
}
