package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// metropoles are where people are; each with the region that it is in.
var metropoles = []struct {
	place  drtc.Place
	region drtc.Region
}{
	{drtc.Place{Lat: 40.7, Lon: -74}, drtc.NorthAmerica}, {drtc.Place{Lat: 34, Lon: -118.2}, drtc.NorthAmerica},
	{drtc.Place{Lat: 41.9, Lon: -87.6}, drtc.NorthAmerica}, {drtc.Place{Lat: 19.4, Lon: -99.1}, drtc.NorthAmerica},
	{drtc.Place{Lat: -23.5, Lon: -46.6}, drtc.SouthAmerica}, {drtc.Place{Lat: -34.6, Lon: -58.4}, drtc.SouthAmerica},
	{drtc.Place{Lat: 51.5, Lon: -0.1}, drtc.Europe}, {drtc.Place{Lat: 52.5, Lon: 13.4}, drtc.Europe},
	{drtc.Place{Lat: 40.4, Lon: -3.7}, drtc.Europe}, {drtc.Place{Lat: 59.4, Lon: 24.8}, drtc.Europe},
	{drtc.Place{Lat: 6.5, Lon: 3.4}, drtc.Africa}, {drtc.Place{Lat: -26.2, Lon: 28}, drtc.Africa},
	{drtc.Place{Lat: 30, Lon: 31.2}, drtc.MiddleEast}, {drtc.Place{Lat: 25.2, Lon: 55.3}, drtc.MiddleEast},
	{drtc.Place{Lat: 35.7, Lon: 139.7}, drtc.Asia}, {drtc.Place{Lat: 19.1, Lon: 72.9}, drtc.Asia},
	{drtc.Place{Lat: 1.35, Lon: 103.8}, drtc.Asia}, {drtc.Place{Lat: 31.2, Lon: 121.5}, drtc.Asia},
	{drtc.Place{Lat: -33.9, Lon: 151.2}, drtc.Oceania},
}

// world is a room of so many members, the first of which publish, and nodes of
// 50 owners, all around metropoles. A node has room for 400 members.
func world(nodes, members, publishers int) plan.Input {
	r := rand.New(rand.NewPCG(1, 2))
	near := func() (drtc.Place, drtc.Region) {
		m := metropoles[r.IntN(len(metropoles))]
		return drtc.Place{Lat: m.place.Lat + 3*r.NormFloat64(), Lon: m.place.Lon + 3*r.NormFloat64()}, m.region
	}
	in := plan.Input{Now: start, Room: "RM_world", Policy: plan.DefaultPolicy(), Nodes: allocate.Snapshot{At: start}}
	for i := range nodes {
		c := allocate.Candidate{
			ID: named(fmt.Sprintf("n%04d", i)), Reachable: true, Owner: fmt.Sprintf("owner%d", i%50),
			CapacityMbps: 1000, LoadMbps: 100 * r.Float64(), MaxSessions: 1000,
		}
		c.Place, c.Region = near()
		in.Nodes.Nodes = append(in.Nodes.Nodes, c)
	}
	for i := range members {
		place, region := near()
		in.Members = append(in.Members, plan.Member{
			ID: drtc.ParticipantID(fmt.Sprintf("PA_%06d", i)), Place: &place, Region: region, NeedMbps: 2, Publishes: i < publishers,
		})
	}
	return in
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func made(t fataler, in plan.Input) plan.Plan {
	t.Helper()
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// settled lets everybody arrive: the nodes count them.
func settled(in plan.Input, p plan.Plan) plan.Input {
	in.Current = p
	in.Nodes.Nodes = append([]allocate.Candidate(nil), in.Nodes.Nodes...)
	in.Members = append([]plan.Member(nil), in.Members...)
	at := map[drtc.NodeID]int{}
	for i, c := range in.Nodes.Nodes {
		at[c.ID] = i
	}
	for i := range in.Members {
		m := &in.Members[i]
		to := p.Homes[m.ID]
		if to == m.Home {
			continue
		}
		if k, ok := at[m.Home]; ok {
			in.Nodes.Nodes[k].Sessions = max(0, in.Nodes.Nodes[k].Sessions-1)
			in.Nodes.Nodes[k].LoadMbps = max(0, in.Nodes.Nodes[k].LoadMbps-m.NeedMbps)
		}
		if k, ok := at[to]; ok {
			in.Nodes.Nodes[k].Sessions++
			in.Nodes.Nodes[k].LoadMbps += m.NeedMbps
		}
		m.Home = to
	}
	return in
}

func benchmark(b *testing.B, in plan.Input) {
	b.ReportAllocs()
	var p plan.Plan
	for b.Loop() {
		p = made(b, in)
	}
	homes := map[drtc.NodeID]bool{}
	for _, h := range p.Homes {
		homes[h] = true
	}
	b.ReportMetric(float64(len(homes)), "homes")
	b.ReportMetric(float64(len(p.Links)), "links")
	b.ReportMetric(float64(len(p.Refused)), "refused")
}

func BenchmarkMake_10000Clients1000Nodes(b *testing.B) {
	for _, s := range []plan.Strategy{plan.Adaptive, plan.Proximity, plan.Regional, plan.FanOut} {
		b.Run(s.String(), func(b *testing.B) {
			in := world(1000, 10_000, 100)
			in.Policy.Strategy = s
			benchmark(b, in)
		})
	}
}

// Small nodes: almost all of them are needed.
func BenchmarkMake_10000Clients1000SmallNodes(b *testing.B) {
	in := world(1000, 10_000, 100)
	for i := range in.Nodes.Nodes {
		in.Nodes.Nodes[i].MaxSessions = 15
	}
	benchmark(b, in)
}

// Everybody publishes: each node is the origin of a tree.
func BenchmarkMake_10000Publishers1000Nodes(b *testing.B) { benchmark(b, world(1000, 10_000, 10_000)) }

func BenchmarkMake_100000Viewers1000Nodes(b *testing.B) {
	for _, s := range []plan.Strategy{plan.Adaptive, plan.Regional} {
		b.Run(s.String(), func(b *testing.B) {
			in := world(1000, 100_000, 3)
			in.Policy.Strategy = s
			benchmark(b, in)
		})
	}
}

// The nodes have too little room for all.
func BenchmarkMake_100000Viewers200Nodes(b *testing.B) { benchmark(b, world(200, 100_000, 3)) }

func BenchmarkMake_joinInto10000(b *testing.B) {
	in := world(1000, 10_000, 100)
	in = settled(in, made(b, in))
	in.Members = append(in.Members, plan.Member{ID: "PA_new", Place: &metropoles[7].place, NeedMbps: 2})
	benchmark(b, in)
}

func BenchmarkMake_nodeLossIn10000(b *testing.B) {
	in := world(1000, 10_000, 100)
	in = settled(in, made(b, in))
	in.Lost = []drtc.NodeID{in.Current.Homes["PA_000000"]}
	benchmark(b, in)
}

// Many small rooms: what one of them costs among 1,000 nodes.
func BenchmarkMake_roomOf4(b *testing.B) { benchmark(b, world(1000, 4, 4)) }
