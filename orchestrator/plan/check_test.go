package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// problems lists what is wrong with a plan. It knows the promises of the package
// and nothing of how they are kept.
func problems(in plan.Input, p plan.Plan) (found []string) {
	wrong := func(format string, args ...any) { found = append(found, words(fmt.Sprintf(format, args...))) }
	nodes := map[drtc.NodeID]*allocate.Candidate{}
	for i := range in.Nodes.Nodes {
		nodes[in.Nodes.Nodes[i].ID] = &in.Nodes.Nodes[i]
	}
	leave := func(id drtc.NodeID) bool { // nothing new there
		c := nodes[id]
		return slices.Contains(in.Draining, id) || c != nil && c.QuarantinedUntil.After(in.Now)
	}
	allowed := func(id drtc.NodeID) string {
		c, pol := nodes[id], in.Policy
		switch {
		case slices.Contains(in.Lost, id):
			return "lost"
		case c == nil:
			return ""
		case len(pol.Regions) > 0 && !slices.Contains(pol.Regions, c.Region):
			return "in the wrong region"
		case len(pol.Owners) > 0 && !slices.Contains(pol.Owners, c.Owner), c.Owner != "" && slices.Contains(pol.ExcludeOwners, c.Owner):
			return "of the wrong owner"
		case pol.MaxPriceWeight > 0 && max(c.PriceWeight, rank(c.PriceWeight == 0)) > pol.MaxPriceWeight:
			return "too dear"
		}
		return ""
	}

	// Who is where.
	needed, origins, owners := map[drtc.NodeID]bool{}, map[drtc.NodeID]bool{}, map[string]bool{}
	given, givenMbps := map[drtc.NodeID]int{}, map[drtc.NodeID]float64{}
	for _, m := range in.Members {
		home, placed := p.Homes[m.ID]
		if err, refused := p.Refused[m.ID]; placed == refused {
			wrong("%s is placed: %v, refused: %v", m.ID, placed, err)
		} else if refused && !isNoNode(err) {
			wrong("%s is refused with %v", m.ID, err)
		} else if refused {
			var refusal *allocate.Refusal
			if !errors.As(err, &refusal) || len(refusal.Rejected) != len(in.Nodes.Nodes) ||
				slices.ContainsFunc(refusal.Rejected, func(r allocate.Rejection) bool { return r.Cause == "" || r.Detail == "" }) {
				wrong("%s is refused, and not of every node it is said why: %v", m.ID, err)
			}
		}
		if !placed {
			continue
		}
		needed[home] = true
		origins[home] = origins[home] || m.Publishes
		if why := allowed(home); why != "" {
			wrong("%s is on %s, which is %s", m.ID, home, why)
		}
		if slices.Contains(m.Exclude, home) || !m.Pin.IsZero() && m.Pin != home {
			wrong("%s is on %s, pinned to %s and kept from %v", m.ID, home, m.Pin, m.Exclude)
		}
		c := nodes[home]
		if c != nil {
			owners[c.Owner] = true
		}
		if home != m.Home {
			if c == nil || !c.Reachable || leave(home) {
				wrong("%s is newly on %s, which takes nobody", m.ID, home)
			}
			given[home]++
			givenMbps[home] += m.NeedMbps
			if !m.Home.IsZero() && !slices.Contains(in.Lost, m.Home) { // until it has gone
				needed[m.Home] = true
				origins[m.Home] = origins[m.Home] || m.Publishes
			}
		}
	}
	if len(p.Homes)+len(p.Refused) != len(in.Members) {
		wrong("%d homes and %d refusals for %d members", len(p.Homes), len(p.Refused), len(in.Members))
	}
	for id, count := range given {
		c := nodes[id]
		most := max(c.MaxSessions, c.AudioCapacity)
		if c.MaxSessions > 0 && c.Sessions+count > most {
			wrong("%s has %d sessions and gets %d, at most %d", id, c.Sessions, count, most)
		}
		if c.CapacityMbps > 0 && givenMbps[id] > 0 && c.LoadMbps+givenMbps[id] > c.CapacityMbps*in.Policy.Allocate.MaxLoad+1e-6 {
			wrong("%s sends %v and gets %v of %v Mbit/s", id, c.LoadMbps, givenMbps[id], c.CapacityMbps)
		}
	}
	delete(owners, "")
	if want := min(in.Policy.MinOwners, len(p.Homes)); want > 1 && len(owners) < want && !says(p, plan.Unmet) {
		wrong("the room is with %d owners, want %d", len(owners), want)
	}

	// Standbys.
	for home, s := range p.Standby {
		a, b := nodes[home], nodes[s]
		if home == s || a != nil && b != nil && a.Owner != "" && a.Owner == b.Owner {
			wrong("%s stands by for %s, of the same owner", s, home)
		}
		if why := allowed(s); why != "" || leave(s) {
			wrong("%s stands by for %s and is being left or %s", s, home, why)
		}
		needed[s] = true
	}

	// Links and routes.
	linked, degree := map[plan.Link]bool{}, map[drtc.NodeID]int{}
	for _, l := range p.Links {
		if string(l.A[:]) >= string(l.B[:]) || linked[l] {
			wrong("link %s-%s is the wrong way round or twice", l.A, l.B)
		}
		linked[l] = true
		for _, end := range []drtc.NodeID{l.A, l.B} {
			if degree[end]++; degree[end] == in.Policy.Degree+1 {
				wrong("%s has more than %d links", end, in.Policy.Degree)
			}
			if slices.Contains(in.Lost, end) {
				wrong("link %s-%s with a lost node", l.A, l.B)
			}
		}
	}
	via := map[[2]drtc.NodeID]drtc.NodeID{}
	for _, r := range p.Routes {
		key := [2]drtc.NodeID{r.Origin, r.Node}
		if _, twice := via[key]; twice {
			wrong("%s has two ways to %s", r.Node, r.Origin)
		}
		via[key] = r.Via
		if a, b := r.Node, r.Via; !linked[plan.Link{A: a, B: b}] && !linked[plan.Link{A: b, B: a}] {
			wrong("%s gets %s from %s without a link", r.Node, r.Origin, r.Via)
		}
		if !origins[r.Origin] {
			wrong("route from %s, where nobody publishes", r.Origin)
		}
		if leave(r.Via) && r.Via != r.Origin {
			wrong("%s gets %s through %s, which is being left", r.Node, r.Origin, r.Via)
		}
		if why := allowed(r.Via); why != "" && r.Via != r.Origin {
			wrong("%s gets %s through %s, which is %s", r.Node, r.Origin, r.Via, why)
		}
	}
	for origin := range origins {
		if !origins[origin] {
			continue
		}
		for node := range needed {
			at, steps := node, 1 // itself
			for ; at != origin && steps <= len(degree)+1; steps++ {
				next, ok := via[[2]drtc.NodeID{origin, at}]
				if !ok {
					break
				}
				at = next
			}
			if at != origin {
				if !slices.ContainsFunc(p.Reasons, func(r plan.Reason) bool {
					return r.Topic == plan.Unmet && (r.Node == node || r.Node == origin) // it is being left, and is told
				}) {
					wrong("%s does not get %s: the way ends at %s", node, origin, at)
				}
			} else if steps > plan.MaxPath {
				wrong("%s gets %s over %d nodes, at most %d pass a track on", node, origin, steps, plan.MaxPath)
			}
		}
	}
	return found
}

func rank(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func says(p plan.Plan, topic plan.Topic) bool {
	return slices.ContainsFunc(p.Reasons, func(r plan.Reason) bool { return r.Topic == topic })
}

// roundTripMs is the model of the package's documentation, by the vocabulary's
// distance.
func roundTripMs(a, b drtc.Place) float64 { return a.DistanceKm(b) * 1.5 * 2 / 200 }

func gainMs(in plan.Input) float64 { return float64(in.Policy.Gain) / float64(time.Millisecond) }
