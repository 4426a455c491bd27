package plan_test

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

func nodeID(n int) (id drtc.NodeID) {
	binary.BigEndian.PutUint32(id[:], uint32(0x61000000+n)) // an a first, to print as a name
	return id
}

func drawPlace(t *rapid.T) (drtc.Place, drtc.Region) {
	m := rapid.SampledFrom(metropoles).Draw(t, "metropole")
	return drtc.Place{
		Lat: m.place.Lat + float64(rapid.IntRange(-2, 2).Draw(t, "north")),
		Lon: m.place.Lon + float64(rapid.IntRange(-2, 2).Draw(t, "east")),
	}, m.region
}

func drawNode(t *rapid.T, n int) allocate.Candidate {
	c := allocate.Candidate{
		ID:           nodeID(n),
		Owner:        rapid.SampledFrom([]string{"", "x", "y", "z", "w"}).Draw(t, "owner"),
		CapacityMbps: rapid.SampledFrom([]float64{0, 20, 100, 1000}).Draw(t, "capacity"),
		MaxSessions:  rapid.SampledFrom([]int{0, 3, 10, 100}).Draw(t, "max sessions"),
		PriceWeight:  rapid.SampledFrom([]float64{0, 0.5, 3}).Draw(t, "price"),
		Reachable:    rapid.IntRange(0, 9).Draw(t, "reachable") > 0,
	}
	c.Place, c.Region = drawPlace(t)
	if rapid.IntRange(0, 9).Draw(t, "unplaced") == 0 {
		c.Place = drtc.Place{}
	}
	if rapid.IntRange(0, 9).Draw(t, "quarantined") == 0 {
		c.QuarantinedUntil = start.Add(time.Hour)
	}
	if rapid.IntRange(0, 9).Draw(t, "loaded") == 0 {
		c.LoadFraction = 0.95
	}
	return c
}

func drawMember(t *rapid.T, n, nodes int) plan.Member {
	m := plan.Member{
		ID:        drtc.ParticipantID(fmt.Sprintf("PA_%04d", n)),
		Publishes: rapid.IntRange(0, 2).Draw(t, "publishes") == 0,
		AudioOnly: rapid.IntRange(0, 5).Draw(t, "audio") == 0,
		NeedMbps:  rapid.SampledFrom([]float64{0, 1, 5}).Draw(t, "need"),
	}
	place, region := drawPlace(t)
	if rapid.IntRange(0, 4).Draw(t, "placed") > 0 {
		m.Place = &place
	} else if rapid.Bool().Draw(t, "known region") {
		m.Region = region
	}
	if rapid.IntRange(0, 9).Draw(t, "excludes") == 0 {
		m.Exclude = []drtc.NodeID{nodeID(rapid.IntRange(0, nodes).Draw(t, "exclude"))}
	}
	if rapid.IntRange(0, 19).Draw(t, "pinned") == 0 {
		m.Pin = nodeID(rapid.IntRange(0, nodes).Draw(t, "pin"))
	}
	return m
}

func drawPolicy(t *rapid.T) plan.Policy {
	p := plan.DefaultPolicy()
	p.Strategy = plan.Strategy(rapid.IntRange(0, 3).Draw(t, "strategy"))
	p.Degree = rapid.SampledFrom([]int{3, 4, 8}).Draw(t, "degree")
	p.Standby = rapid.Bool().Draw(t, "standby")
	p.MinOwners = rapid.IntRange(0, 3).Draw(t, "min owners")
	p.Own = rapid.SampledFrom([]string{"", "x"}).Draw(t, "own")
	p.Gain = rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, time.Second}).Draw(t, "gain")
	p.RegionNodes = rapid.IntRange(1, 3).Draw(t, "region nodes")
	p.MaxMoves = rapid.SampledFrom([]int{0, 2}).Draw(t, "max moves")
	if rapid.IntRange(0, 3).Draw(t, "regions") == 0 {
		p.Regions = []drtc.Region{drtc.Europe, drtc.NorthAmerica, drtc.Asia}
	}
	if rapid.IntRange(0, 3).Draw(t, "owners") == 0 {
		p.Owners = []string{"x", "y"}
	}
	if rapid.IntRange(0, 3).Draw(t, "excluded owners") == 0 {
		p.ExcludeOwners = []string{"z"}
	}
	if rapid.IntRange(0, 3).Draw(t, "price cap") == 0 {
		p.MaxPriceWeight = 2
	}
	return p
}

func draw(t *rapid.T) plan.Input {
	in := plan.Input{Now: start, Room: "RM_a", Policy: drawPolicy(t), Nodes: allocate.Snapshot{At: start}, Region: drtc.Europe}
	nodes := rapid.IntRange(0, 24).Draw(t, "nodes")
	for n := range nodes {
		in.Nodes.Nodes = append(in.Nodes.Nodes, drawNode(t, n))
	}
	for n := range rapid.IntRange(0, 40).Draw(t, "members") {
		in.Members = append(in.Members, drawMember(t, n, nodes))
	}
	for range rapid.IntRange(0, 4).Draw(t, "costs") {
		in.Costs = append(in.Costs, plan.LinkCost{
			A: nodeID(rapid.IntRange(0, nodes).Draw(t, "a")), B: nodeID(rapid.IntRange(0, nodes).Draw(t, "b")),
			RoundTrip: time.Duration(rapid.IntRange(0, 300).Draw(t, "rtt")) * time.Millisecond,
			Loss:      rapid.SampledFrom([]float64{0, 0.01, 0.2}).Draw(t, "loss"),
		})
	}
	return in
}

// disturb changes what a room has to live with: members come and go, nodes die,
// drain, fill and come, policies change.
func disturb(t *rapid.T, in plan.Input, joined *int) plan.Input {
	in.Members, in.Nodes.Nodes = slices.Clone(in.Members), slices.Clone(in.Nodes.Nodes)
	someNode := func() drtc.NodeID { return nodeID(rapid.IntRange(0, 24).Draw(t, "node")) }
	switch rapid.SampledFrom([]string{"join", "leave", "lose", "drain", "fill", "vanish", "add", "publish", "quarantine", "policy"}).Draw(t, "what") {
	case "join":
		*joined++
		in.Members = append(in.Members, drawMember(t, 1000+*joined, 24))
	case "leave":
		if len(in.Members) > 0 {
			k := rapid.IntRange(0, len(in.Members)-1).Draw(t, "who")
			in.Members = slices.Delete(in.Members, k, k+1)
		}
	case "lose":
		in.Lost = append(slices.Clone(in.Lost), someNode())
	case "drain":
		in.Draining = append(slices.Clone(in.Draining), someNode())
	case "fill":
		for i := range in.Nodes.Nodes {
			if in.Nodes.Nodes[i].ID == someNode() {
				in.Nodes.Nodes[i].LoadFraction = 0.97
			}
		}
	case "vanish":
		id := someNode()
		in.Nodes.Nodes = slices.DeleteFunc(in.Nodes.Nodes, func(c allocate.Candidate) bool { return c.ID == id })
	case "add":
		n := drawNode(t, 100+len(in.Nodes.Nodes)+*joined)
		*joined++
		in.Nodes.Nodes = append(in.Nodes.Nodes, n)
	case "publish":
		if len(in.Members) > 0 {
			m := &in.Members[rapid.IntRange(0, len(in.Members)-1).Draw(t, "who")]
			m.Publishes = !m.Publishes
		}
	case "quarantine":
		id := someNode()
		for i := range in.Nodes.Nodes {
			if in.Nodes.Nodes[i].ID == id {
				in.Nodes.Nodes[i].QuarantinedUntil = start.Add(time.Hour)
			}
		}
	case "policy":
		if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
			in.Policy = drawPolicy(t)
		}
	}
	return in
}

// arrive lets some members reach the homes that they were given.
func arrive(t *rapid.T, in plan.Input, p plan.Plan) plan.Input {
	if rapid.Bool().Draw(t, "all arrive") {
		return settled(in, p)
	}
	staying := in
	in = settled(in, p)
	for i := range in.Members {
		if rapid.IntRange(0, 3).Draw(t, "is late") == 0 {
			in.Members[i].Home = staying.Members[i].Home
		}
	}
	return in
}

// A room lives through anything and each of its plans keeps all promises.
func TestMake_keepsItsPromisesThroughALife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, joined := draw(t), 0
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			p := made(t, in)
			check(t, in, p)
			if t.Failed() {
				t.Fatalf("%+v", in.Policy)
			}
			in = disturb(t, arrive(t, in, p), &joined)
		}
	})
}

func TestMake_orderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, joined := draw(t), 0
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			in = disturb(t, arrive(t, in, made(t, in)), &joined)
		}
		p := made(t, in)
		in.Nodes.Nodes = rapid.Permutation(in.Nodes.Nodes).Draw(t, "nodes permuted")
		in.Members = rapid.Permutation(in.Members).Draw(t, "members permuted")
		in.Costs = rapid.Permutation(in.Costs).Draw(t, "costs permuted")
		in.Lost = rapid.Permutation(in.Lost).Draw(t, "lost permuted")
		in.Draining = rapid.Permutation(in.Draining).Draw(t, "draining permuted")
		if again := made(t, in); !reflect.DeepEqual(plain(p), plain(again)) {
			t.Errorf("got\n%s\nand in another order\n%s", text(p), text(again))
		}
	})
}

// The same question with the answer as the current plan has the same answer.
func TestMake_aPlanStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, joined := draw(t), 0
		in.Policy.MaxMoves = 0
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			in = disturb(t, settled(in, made(t, in)), &joined)
			in.Policy.MaxMoves = 0
		}
		p := made(t, in)
		in = settled(in, p)
		p = made(t, in) // without the nodes that members have left now
		in.Current = p
		again := made(t, in)
		p.Reasons, again.Reasons, p.Refused, again.Refused = nil, nil, nil, nil
		if !reflect.DeepEqual(plain(p), plain(again)) {
			t.Errorf("got\n%s\nand then\n%s", text(p), text(again))
		}
	})
}

// plain is a plan with the texts of its refusals in place of the errors.
func plain(p plan.Plan) any {
	refused := map[drtc.ParticipantID]string{}
	for m, err := range p.Refused {
		refused[m] = err.Error()
	}
	return []any{p.Strategy, p.Homes, p.Links, p.Routes, p.Standby, p.AudioLimit, refused, p.Reasons}
}
