package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// change is what differs between two plans of a room.
type change struct {
	moved        []drtc.ParticipantID // of the members of both
	added, ended []plan.Link
	rerouted     []plan.Route // of origins and nodes of both
}

func between(a, b plan.Plan) (c change) {
	for m, home := range a.Homes {
		if now, ok := b.Homes[m]; ok && now != home {
			c.moved = append(c.moved, m)
		}
	}
	for _, l := range a.Links {
		if !slices.Contains(b.Links, l) {
			c.ended = append(c.ended, l)
		}
	}
	for _, l := range b.Links {
		if !slices.Contains(a.Links, l) {
			c.added = append(c.added, l)
		}
	}
	via := map[[2]drtc.NodeID]drtc.NodeID{}
	for _, r := range a.Routes {
		via[[2]drtc.NodeID{r.Origin, r.Node}] = r.Via
	}
	for _, r := range b.Routes {
		if was, ok := via[[2]drtc.NodeID{r.Origin, r.Node}]; ok && was != r.Via {
			c.rerouted = append(c.rerouted, r)
		}
	}
	return c
}

// bound reports whether ways of the room are near MaxPath, since nodes have few
// links: then links may have to be made anew for a way to be short enough.
func bound(in plan.Input) bool {
	via, longest := map[[2]drtc.NodeID]drtc.NodeID{}, 0
	for _, r := range in.Current.Routes {
		via[[2]drtc.NodeID{r.Origin, r.Node}] = r.Via
	}
	for way := range via {
		nodes := 1
		for at := way[1]; at != way[0]; at = via[[2]drtc.NodeID{way[0], at}] {
			nodes++
		}
		longest = max(longest, nodes)
	}
	return longest >= plan.MaxPath-2
}

// ledThrough reports whether the way of an origin's tracks to a node led through
// one of others.
func ledThrough(p plan.Plan, origin, node drtc.NodeID, others ...drtc.NodeID) bool {
	via := map[drtc.NodeID]drtc.NodeID{}
	for _, r := range p.Routes {
		if r.Origin == origin {
			via[r.Node] = r.Via
		}
	}
	for at := via[node]; !at.IsZero(); at = via[at] {
		if slices.Contains(others, at) {
			return true
		}
	}
	return false
}

func touches(l plan.Link, ids ...drtc.NodeID) bool {
	return slices.Contains(ids, l.A) || slices.Contains(ids, l.B)
}

// busyWorld is a settled room of some dozen members on some of 60 nodes.
func busyWorld(t *rapid.T) plan.Input {
	in := world(60, rapid.IntRange(2, 120).Draw(t, "members"), rapid.IntRange(1, 20).Draw(t, "publishers"))
	in.Policy.Strategy = plan.Strategy(rapid.IntRange(1, 3).Draw(t, "strategy"))
	in.Policy.Standby = rapid.Bool().Draw(t, "standby")
	in.Policy.Degree = rapid.SampledFrom([]int{3, 5, 8}).Draw(t, "degree")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	r.Shuffle(len(in.Nodes.Nodes), func(i, k int) {
		a, b := &in.Nodes.Nodes[i], &in.Nodes.Nodes[k]
		a.Place, b.Place, a.Region, b.Region = b.Place, a.Place, b.Region, a.Region
	})
	for i := range in.Nodes.Nodes {
		in.Nodes.Nodes[i].MaxSessions = 5 + r.IntN(40)
	}
	in = settled(in, made(t, in))
	return settled(in, made(t, in))
}

// Who joins moves nobody and ends no link. Links are added at its own home and
// that home's standby alone, and streams that flow keep their way.
func TestMake_aJoinChangesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := busyWorld(t)
		in.Members = append(in.Members, drawMember(t, 9999, 60))
		p := made(t, in)
		check(t, in, p)
		c := between(in.Current, p)
		home := p.Homes["PA_9999"]
		if len(c.moved) > 0 || !bound(in) && (len(c.ended) > 0 || len(c.rerouted) > 0) {
			t.Errorf("moved %v, ended %v, rerouted %v", c.moved, c.ended, c.rerouted)
		}
		if bound(in) && len(c.ended) > 0 {
			return
		}
		for _, l := range c.added {
			if !touches(l, home, p.Standby[home]) {
				t.Errorf("new link %s-%s, the new member is on %s", word(l.A), word(l.B), word(home))
			}
		}
		if len(c.added) > in.Policy.Degree+1 {
			t.Errorf("%d new links", len(c.added))
		}
	})
}

// Who leaves moves nobody. Links end at nodes that are needed no longer; others
// come in their place, to mend the way or as direct ones where nodes have room
// for them now, and only what these carry has another way.
func TestMake_aLeaveChangesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := busyWorld(t)
		k := rapid.IntRange(0, len(in.Members)-1).Draw(t, "who")
		home := in.Members[k].Home
		in.Members = slices.Delete(slices.Clone(in.Members), k, k+1)
		p := made(t, in)
		check(t, in, p)
		c := between(in.Current, p)
		if len(c.moved) > 0 {
			t.Errorf("moved %v", c.moved)
		}
		gone := []drtc.NodeID{home, in.Current.Standby[home]}
		for _, l := range c.ended {
			if !touches(l, gone...) && !bound(in) {
				t.Errorf("link %s-%s ended, the member was on %s", word(l.A), word(l.B), word(home))
			}
		}
		if len(c.added) > in.Policy.Degree+1 {
			t.Errorf("new links %v", c.added)
		}
		for _, r := range c.rerouted {
			was := in.Current.Routes[slices.IndexFunc(in.Current.Routes, func(x plan.Route) bool { return x.Origin == r.Origin && x.Node == r.Node })].Via
			if !ledThrough(in.Current, r.Origin, r.Node, gone...) && !bound(in) && !slices.ContainsFunc(c.added, func(l plan.Link) bool { return touches(l, r.Via) && touches(l, r.Node) }) {
				t.Errorf("%s gets %s from %s and no longer from %s", word(r.Node), word(r.Origin), word(r.Via), word(was))
			}
		}
	})
}

// When a node dies only its own members move, to its standby as long as that has
// room, and only links with it end.
func TestMake_aLossMovesWhoWasThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := busyWorld(t)
		dead := in.Members[rapid.IntRange(0, len(in.Members)-1).Draw(t, "whose")].Home
		in.Lost = []drtc.NodeID{dead}
		p := made(t, in)
		check(t, in, p)
		c := between(in.Current, p)
		standby, all, there := in.Current.Standby[dead], 0, 0
		for _, m := range in.Members {
			if m.Home == dead {
				all++
				if p.Homes[m.ID] == standby {
					there++
				}
			} else if slices.Contains(c.moved, m.ID) && !bound(in) {
				t.Errorf("%s moved from %s, %s died", m.ID, word(m.Home), word(dead))
			}
		}
		if in.Policy.Standby && !standby.IsZero() && there < all && !bound(in) {
			i := slices.IndexFunc(in.Nodes.Nodes, func(n allocate.Candidate) bool { return n.ID == standby })
			if n := in.Nodes.Nodes[i]; n.Sessions+there < n.MaxSessions {
				t.Errorf("%d of %d went to the standby, which has %d of %d sessions", there, all, n.Sessions, n.MaxSessions)
			}
		}
		for _, l := range c.ended {
			if !touches(l, dead, in.Current.Standby[dead]) && !guardsFor(in.Current, l, dead) && !bound(in) {
				t.Errorf("link %s-%s ended, %s died", word(l.A), word(l.B), word(dead))
			}
		}
	})
}

// guardsFor reports whether an end of l stood by for nobody but the dead node or
// was a standby that has to be replaced.
func guardsFor(p plan.Plan, l plan.Link, dead drtc.NodeID) bool {
	for home, s := range p.Standby {
		if (s == l.A || s == l.B) && home == dead {
			return true
		}
	}
	return false
}

// An audience that comes little by little: leaves are added, and nothing else
// changes. The tree stays flat.
func TestMake_anAudienceGrowsWithoutChurn(t *testing.T) {
	all := world(300, 6000, 1)
	in := all
	in.Policy.Strategy = plan.FanOut
	in.Members = all.Members[:1]
	in = settled(in, made(t, in))
	for len(in.Members) < len(all.Members) {
		have := len(in.Members)
		in.Members = append(slices.Clone(in.Members), all.Members[have:min(have+200, len(all.Members))]...)
		p := made(t, in)
		check(t, in, p)
		if c := between(in.Current, p); len(c.moved) > 0 || len(c.ended) > 0 || len(c.rerouted) > 0 {
			t.Errorf("at %d members: moved %v, ended %v, rerouted %v", have, c.moved, c.ended, c.rerouted)
		}
		in = settled(in, p)
	}
	via, deepest := map[drtc.NodeID]drtc.NodeID{}, 0
	for _, r := range in.Current.Routes {
		via[r.Node] = r.Via
	}
	for node := range via {
		hops := 0
		for at := node; !at.IsZero(); at = via[at] {
			hops++
		}
		deepest = max(deepest, hops-1)
	}
	t.Logf("%d nodes, %d links, at most %d hops", len(via)+1, len(in.Current.Links), deepest)
	if deepest > 4 {
		t.Errorf("a viewer is %d hops away", deepest)
	}
}

// A node's round trips are known for some of its links before the others: that is
// no reason to send streams round by those.
func TestMake_comparesNoMeasurementWithDistance(t *testing.T) {
	in := plan.Input{Now: time.Unix(1000, 0), Room: "RM_1", Policy: plan.DefaultPolicy()}
	in.Nodes.At = in.Now
	places := []drtc.Place{{Lat: 50.1, Lon: 8.7}, {Lat: 38.9, Lon: -77.4}, {Lat: 1.3, Lon: 103.8}, {Lat: -23.5, Lon: -46.6}}
	for i, at := range places {
		id := drtc.NodeID{byte(i + 1)}
		in.Nodes.Nodes = append(in.Nodes.Nodes, allocate.Candidate{
			ID: id, Place: at, Version: "1.0.0", CapacityMbps: 1000, Reachable: true, Owner: fmt.Sprint(i),
		})
		in.Members = append(in.Members, plan.Member{ID: drtc.ParticipantID(fmt.Sprint("PA_", i)), Place: &at, Publishes: true, Home: id})
	}
	for a := byte(1); a <= 3; a++ { // all of the first node, which are short: the places are not the true ones
		in.Costs = append(in.Costs, plan.LinkCost{A: drtc.NodeID{1}, B: drtc.NodeID{a + 1}, RoundTrip: time.Millisecond})
	}
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Routes {
		if r.Via != r.Origin {
			t.Errorf("%s gets %s by way of %s, want it directly", r.Node.Short(), r.Origin.Short(), r.Via.Short())
		}
	}
}
