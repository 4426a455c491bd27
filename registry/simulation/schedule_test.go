package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/simulation"
)

// A schedule is a random history of one small network, decided by its seed:
// loss, duplication, reorder, partitions, crashes, and issuers that refresh,
// leave, equivocate and lose their state. It ends with everything healed.
func schedule(seed uint64) (*simulation.World, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	return history(r, drawPlan(r, seed))
}

func history(r *rand.Rand, p simulation.Plan) (*simulation.World, error) {
	w, err := simulation.New(p)
	if err != nil {
		return nil, err
	}
	end := 10*time.Second + time.Duration(r.Int64N(int64(50*time.Second)))
	drawIssuers(r, w, end)
	drawFaults(r, w, end)
	if err := w.Net().Run(end); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, w.Net().Report())
	}
	w.Net().Heal()
	for id := range w.Net().Len() {
		w.Net().Restart(id)
	}
	return w, nil
}

func drawPlan(r *rand.Rand, seed uint64) simulation.Plan {
	p := simulation.Plan{
		Seed: seed, Registries: 3 + r.IntN(4), Issuers: 5 + r.IntN(26), Homes: 1 + r.IntN(3), Degree: r.IntN(4),
		Trace: 40,
		Link: netsim.Link{
			Delay: netsim.LongTail(time.Duration(1+r.IntN(100))*time.Millisecond, 1+2*r.Float64()),
			Loss:  0.3 * r.Float64(), Duplicate: 0.2 * r.Float64(), Reorder: 0.3 * r.Float64(), ReorderBy: 2 * time.Second,
		},
	}
	if r.IntN(2) == 0 { // lives so short that records end and are forgotten on the way
		life := time.Duration(4+r.IntN(12)) * time.Second
		p.Rules = func(rules *record.Rules) {
			rules.Skew, rules.Grace = 2*time.Second, 2*time.Second
			rules.RateEvery, rules.RateBurst = time.Second, 2
			for i := range rules.Kinds {
				rules.Kinds[i].MaxTTL = life
			}
		}
	}
	return p
}

func drawIssuers(r *rand.Rand, w *simulation.World, end time.Duration) {
	longest := w.Rules().Kinds[0].MaxTTL
	for id := range w.Issuers() {
		every := 2*time.Second + time.Duration(r.Int64N(int64(15*time.Second)))
		liar := r.IntN(5) == 0
		for at := time.Duration(r.Int64N(int64(end / 3))); at < end; at += every/2 + time.Duration(r.Int64N(int64(every))) {
			ttl := time.Second * time.Duration(1+r.Int64N(int64(longest/time.Second)))
			draw := r.IntN(20)
			w.Net().At(at, func() {
				switch issuer := w.Issuer(id); {
				case draw == 0:
					w.RestartIssuer(id)
					w.Issuer(id).Refresh(ttl)
				case draw < 3:
					issuer.Leave()
				case draw < 7 && liar:
					issuer.Equivocate(ttl)
				default:
					issuer.Refresh(ttl)
				}
			})
		}
	}
}

func drawFaults(r *rand.Rand, w *simulation.World, end time.Duration) {
	net := w.Net()
	during := func() (from, to time.Duration) {
		from = time.Duration(r.Int64N(int64(end)))
		return from, from + time.Duration(r.Int64N(int64(20*time.Second)))
	}
	for range r.IntN(4) {
		var groups [3][]int
		for id := range net.Len() {
			side := r.IntN(len(groups))
			groups[side] = append(groups[side], id)
		}
		from, to := during()
		net.At(from, func() { net.Partition(groups[:2]...) })
		net.At(to, net.Heal)
	}
	if r.IntN(3) == 0 { // the power goes, everywhere
		at := time.Duration(r.Int64N(int64(end)))
		for _, id := range w.Honest() {
			net.At(at, func() { net.Crash(id) })
			net.At(at+time.Duration(r.Int64N(int64(3*time.Second))), func() { net.Restart(id) })
		}
	}
	for range r.IntN(6) {
		id := r.IntN(len(w.Honest()))
		from, to := during()
		net.At(from, func() { net.Crash(id) })
		net.At(to, func() { net.Restart(id) })
	}
}

// converge runs the schedule of a seed and returns how long after the last heal
// all Registries held the same, and that what was acknowledged.
func converge(seed uint64) (*simulation.World, time.Duration, error) {
	w, err := schedule(seed)
	if err != nil {
		return nil, 0, err
	}
	took, err := w.Converge(5 * time.Minute)
	return w, took, err
}

// fifteen is a schedule of a network of 15 Registries.
func fifteen(seed uint64) (*simulation.World, time.Duration, error) {
	r := rand.New(rand.NewPCG(seed, 4))
	p := drawPlan(r, seed)
	p.Registries, p.Degree, p.Issuers, p.Rules = 15, 4, 60, nil
	w, err := history(r, p)
	if err != nil {
		return nil, 0, err
	}
	took, err := w.Converge(5 * time.Minute)
	return w, took, err
}

// More of them run as a benchmark: make simulate runs 10,000.
func TestSchedules_endWithEqualRoots(t *testing.T) {
	for seed := range uint64(300) {
		if _, _, err := converge(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestSchedule_isDecidedByItsSeed(t *testing.T) {
	for seed := range uint64(5) {
		a, _, err1 := converge(seed)
		b, _, err2 := converge(seed)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if a.Net().Hash() != b.Net().Hash() || a.Registry(0).Set().Root() != b.Registry(0).Set().Root() {
			t.Errorf("seed %d: two runs differ:\n%s\n%s", seed, a.Net().Report(), b.Net().Report())
		}
	}
}

// BenchmarkSchedules runs the schedule of a new seed in each iteration, from 0 on.
func BenchmarkSchedules(b *testing.B) {
	var took []time.Duration
	events, verdicts := 0, 0
	for seed := range uint64(b.N) {
		w, d, err := converge(seed)
		if err != nil {
			b.Fatalf("seed %d: %v", seed, err)
		}
		took = append(took, d)
		events += w.Net().Stats().Events()
		verdicts += w.Verdicts
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "virtual-s-to-converge-p50")
	b.ReportMetric(took[len(took)*99/100].Seconds(), "virtual-s-to-converge-p99")
	b.ReportMetric(took[len(took)-1].Seconds(), "virtual-s-to-converge-max")
	b.ReportMetric(float64(events)/float64(b.N), "events/op")
	b.ReportMetric(float64(verdicts)/float64(b.N), "verifications/op")
}
