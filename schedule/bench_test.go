package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drtc-network/drtc/schedule"
)

// BenchmarkPlan plans slots of an epoch in which all pairs of seven epochs are known.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{200, 1000, 10_000} {
		rules := schedule.DefaultRules(genesis)
		agreed := schedule.Agreed{Epoch: 7, Nodes: town(n, rand.New(rand.NewPCG(1, 8))), Registries: registries(20)}
		r := rand.New(rand.NewPCG(1, 9))
		for range 8 * 7 * n / 2 {
			agreed.Pairs = append(agreed.Pairs, schedule.Pair{A: nodeID(r.IntN(n)), B: nodeID(r.IntN(n)), Epoch: uint64(1 + r.IntN(6))})
		}
		for i := range agreed.Nodes {
			agreed.Nodes[i].MeasuredAgo = uint32(1 + r.IntN(7))
			if r.IntN(100) == 0 {
				agreed.Nodes[i].Flagged, agreed.Nodes[i].Extra = true, 8
			}
		}
		b.Run(fmt.Sprintf("begin/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := schedule.Begin(rules, agreed); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("slot/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			course, err := schedule.Begin(rules, agreed)
			if err != nil {
				b.Fatal(err)
			}
			tests := 0
			for i := 0; b.Loop(); i++ {
				if course.Slot() == rules.Slots {
					b.StopTimer()
					if course, err = schedule.Begin(rules, agreed); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				tests += len(next(b, course, rules, agreed, source(uint64(i))))
			}
			b.ReportMetric(float64(tests)/float64(b.N), "tests/op")
		})
	}
}
