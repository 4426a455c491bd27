package simulation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/simulation"
)

// watched is a network of Registries that watch over nodes, warmed up.
func watched(t testing.TB, seed uint64, registries, nodes int) *simulation.World {
	t.Helper()
	w := build(t, simulation.Plan{
		Seed: seed, Registries: registries, Issuers: nodes, Homes: 3, Degree: 4, Liveness: true, Trace: 20,
		Link: netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 1.5), Loss: 0.02},
	})
	refresh := func() {
		for id := range w.Issuers() {
			if w.Net().Up(w.Machine(id)) {
				w.Issuer(id).Refresh(5 * time.Minute)
			}
		}
	}
	for at := time.Second; at < 20*time.Minute; at += 100 * time.Second {
		w.Net().At(at, refresh)
	}
	run(t, w, 2*time.Minute)
	for _, id := range w.Honest() {
		for node := range w.Issuers() {
			if got := w.Registry(id).Verdict(w.Issuer(node)); got != liveness.Up {
				t.Fatalf("seed %d: after two minutes Registry %d finds node %d %s, want up", seed, id, node, got)
			}
		}
	}
	return w
}

// agree waits until every Registry finds every node what it is.
func agree(t testing.TB, w *simulation.World, limit time.Duration) time.Duration {
	t.Helper()
	begin := w.Net().Elapsed()
	for {
		registry, node, got := disagreement(w)
		took := w.Net().Elapsed() - begin
		if registry < 0 {
			return took
		}
		if took > limit {
			t.Fatalf("after %s Registry %d finds node %d %s, and up is %t\n%s", took, registry, node, got, w.Net().Up(w.Machine(node)), w.Net().Report())
		}
		run(t, w, time.Second)
	}
}

func disagreement(w *simulation.World) (registry, node int, got liveness.State) {
	for _, id := range w.Honest() {
		for node := range w.Issuers() {
			want := liveness.Down
			if w.Net().Up(w.Machine(node)) {
				want = liveness.Up
			}
			if got := w.Registry(id).Verdict(w.Issuer(node)); got != want {
				return id, node, got
			}
		}
	}
	return -1, 0, 0
}

// Two of seven Registries are cut off, with a share of the nodes or without any,
// while nodes die. Those who are cut off never take a living node down for the
// others, whose own nodes all stay up; and soon after the healing all agree.
func TestWatch_aPartitionedMinorityTakesNobodyDown(t *testing.T) {
	for seed := range uint64(6) {
		w := watched(t, seed, 7, 30)
		minority := []int{0, 1}
		for node := range int(seed) * 5 { // up to 25 of 30 nodes are on the small side
			minority = append(minority, w.Machine(node))
		}
		alone := func(node int) bool { return slices.Contains(minority, w.Machine(node)) }
		var partedAt, healedAt time.Duration
		w.OnVerdict = func(registry int, c liveness.Change) {
			node := slices.IndexFunc(nodes(w), func(i *simulation.Issuer) bool { return i.Key().Subject == c.Node })
			if c.To != liveness.Down || !w.Net().Up(w.Machine(node)) {
				return
			}
			if registry > 1 && !alone(node) {
				t.Errorf("seed %d: after %s (parted %s, healed %s) Registry %d takes the living node %d down: %+v",
					seed, w.Net().Elapsed(), partedAt, healedAt, registry, node, c.Votes)
			}
		}
		partedAt = w.Net().Elapsed()
		w.Net().Partition(minority)
		for n := range 3 {
			w.Net().At(partedAt+time.Duration(20+40*n)*time.Second, func() { w.Net().Crash(w.Machine(29 - n)) })
		}
		run(t, w, 4*time.Minute)
		for _, id := range w.Honest()[2:] {
			for node := 27; node < 30; node++ {
				// Who misses more than a fifth of all nodes distrusts itself and accuses
				// nobody: a dead node then fades instead.
				got, few := w.Registry(id).Verdict(w.Issuer(node)), len(minority) <= 2+5
				if few && got != liveness.Down || got == liveness.Up {
					t.Errorf("seed %d: a minute after its end Registry %d finds node %d %s, want down", seed, id, node, got)
				}
			}
		}
		healedAt = w.Net().Elapsed()
		w.Net().Heal()
		took := agree(t, w, 3*time.Minute)
		t.Logf("seed %d: %d nodes on the small side, all agreed %s after the healing", seed, len(minority)-2, took)
	}
}

// Registries that are cut off from the others, and besides from one node in ten,
// which the others still reach: too few to distrust themselves for that alone.
func TestWatch_aMinorityThatMissesFewNodes(t *testing.T) {
	for _, seed := range []uint64{2, 5, 6, 9} { // each of them failed once
		w := watched(t, seed, 7, 40)
		down := 0
		w.OnVerdict = func(registry int, c liveness.Change) {
			if registry > 1 && c.To == liveness.Down {
				down++
				t.Logf("seed %d: after %s Registry %d takes a living node down: %+v", seed, w.Net().Elapsed(), registry, c.Votes)
			}
		}
		away := []int{2, 3, 4, 5, 6}
		for n := range 4 {
			away = append(away, w.Machine(4*int(seed)+n))
		}
		cut := func(l netsim.Link) {
			for _, other := range away {
				for small := range 2 {
					w.Net().SetLink(small, other, l)
					w.Net().SetLink(other, small, l)
				}
			}
		}
		cut(netsim.Link{Loss: 1})
		run(t, w, 4*time.Minute)
		cut(netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 1.5), Loss: 0.02})
		agree(t, w, 3*time.Minute)
		if down > 0 {
			t.Errorf("seed %d: %d times a living node was taken down", seed, down)
		}
	}
}

// Kills in a whole network: the last Registry knows within the 45 s of R10.
func TestWatch_killsAreKnownEverywhere(t *testing.T) {
	w := watched(t, 11, 5, 40)
	var all []time.Duration
	for node := range 20 {
		begin := w.Net().Elapsed()
		w.Net().Crash(w.Machine(node))
		for !downEverywhere(w, node) && w.Net().Elapsed()-begin < 2*time.Minute {
			run(t, w, 100*time.Millisecond)
		}
		all = append(all, w.Net().Elapsed()-begin)
	}
	slices.Sort(all)
	t.Logf("20 kills without keepalives: known everywhere after %s in the middle, %s at most", all[10], all[19])
	if all[19] > 45*time.Second {
		t.Errorf("the slowest took %s, want at most 45s", all[19])
	}
}

func downEverywhere(w *simulation.World, node int) bool {
	for _, id := range w.Honest() {
		if w.Registry(id).Verdict(w.Issuer(node)) != liveness.Down {
			return false
		}
	}
	return true
}

func nodes(w *simulation.World) []*simulation.Issuer {
	all := make([]*simulation.Issuer, w.Issuers())
	for id := range all {
		all[id] = w.Issuer(id)
	}
	return all
}
