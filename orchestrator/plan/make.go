package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
)

// Make plans the room. It fails only when in names something that is out of
// range, and then says which field; what no node can do is in Plan.Refused and
// Plan.Reasons.
func Make(in Input) (Plan, error) {
	if err := in.validate(); err != nil {
		return Plan{}, err
	}
	g, err := in.span()
	if err != nil {
		return Plan{}, err
	}
	p := g.planner
	p.explain()
	out := Plan{
		Strategy:   g.strategy,
		Homes:      make(map[drtc.ParticipantID]drtc.NodeID, len(p.members)),
		Links:      g.links(),
		Routes:     g.routes(),
		Standby:    make(map[drtc.NodeID]drtc.NodeID, len(p.standby)),
		AudioLimit: in.Policy.AudioLimit,
		Refused:    p.refused,
		Reasons:    p.sortedReasons(),
	}
	for i, home := range p.homes {
		if home != none {
			out.Homes[p.members[i].ID] = p.nodes[home].id
		}
	}
	for n, s := range p.standby {
		out.Standby[p.nodes[n].id] = p.nodes[s].id
	}
	return out, nil
}

// span finds homes for the members and links for their nodes. Where not all nodes
// can be linked by ways of MaxPath, members get homes on those that can; if that
// refuses or moves some, links are made anew before.
func (in *Input) span() (*graph, error) {
	g, err := in.attempt(nil, false)
	if err != nil || len(g.stranded)+g.cut == 0 {
		return g, err
	}
	narrow, err := in.attempt(g.shut(nil), false)
	if err != nil || len(narrow.stranded)+narrow.cut == 0 && narrow.disturbed() <= g.disturbed() {
		return narrow, err
	}
	g, err = in.attempt(nil, true)
	for shut := (map[int]state)(nil); err == nil && len(g.stranded) > 0; {
		shut = g.shut(shut)
		g, err = in.attempt(shut, true)
	}
	return g, err
}

// disturbed counts members that are refused or on the move.
func (p *planner) disturbed() int {
	count := len(p.refused)
	for i, m := range p.members {
		if home := p.numberOf(m.Home); home != none && p.homes[i] != none && p.homes[i] != home {
			count++
		}
	}
	return count
}

// attempt plans with some nodes shut to members.
func (in *Input) attempt(shut map[int]state, flat bool) (*graph, error) {
	p, err := newPlanner(in)
	if err != nil {
		return nil, err
	}
	for i, s := range shut {
		p.worsen(p.nodes[i].id, s, fmt.Sprintf("the room has as many nodes as ways of at most %d nodes lead to, with at most %d links each", MaxPath, in.Policy.Degree))
	}
	strategy := p.choose()
	if len(shut) > 0 {
		p.because(Unmet, none, "not all nodes that are wanted can be linked by ways of at most %d nodes with at most %d links each", MaxPath, in.Policy.Degree)
	}
	return p.graph(strategy, flat), nil
}

// shut lists what the next attempt does without: nodes that are stranded, and
// those that the room is not on.
func (g *graph) shut(before map[int]state) map[int]state {
	shut := map[int]state{}
	for i := range g.nodes {
		if _, in := g.at[i]; !in {
			shut[i] = closed
		}
	}
	for i, s := range before {
		shut[i] = max(s, shut[i])
	}
	for _, i := range g.stranded {
		shut[i] = barred
	}
	return shut
}

// house gives everybody a home by the rules of a strategy, from the start.
func (p *planner) house(strategy Strategy) {
	for i := range p.nodes {
		p.nodes[i].members, p.nodes[i].taken.Sessions, p.nodes[i].taken.Mbps = 0, 0, 0
	}
	p.reasons = nil
	p.groups = p.groupsOf(p.keep())
	p.place(strategy)
	p.settle()
	p.spreadOwners()
	p.guard()
}

// explain says which nodes the room comes to and leaves.
func (p *planner) explain() {
	before := map[int]bool{}
	for _, id := range p.in.Current.Homes {
		if i, ok := p.numbers[id]; ok {
			before[i] = true
		}
	}
	goes, stays := map[int]int{}, map[int]int{}
	for i, m := range p.members {
		switch home := p.numberOf(m.Home); {
		case home == none || p.homes[i] == none:
		case p.homes[i] != home:
			goes[home]++
			before[home] = true
		case p.nodes[home].state == leaving:
			stays[home]++
		}
	}
	for _, i := range p.homeNodes() {
		if !before[i] {
			p.because(Opened, i, "home of %d of %d members", p.nodes[i].members, len(p.members))
		}
	}
	for _, i := range keys(goes) {
		why := p.nodes[i].why
		if p.nodes[i].state <= shunned {
			why = "its members may be better off elsewhere, or it is too full"
		}
		p.because(Left, i, "by %d members: %s", goes[i], why)
	}
	for _, i := range keys(stays) {
		p.because(Stayed, i, "%d members: %s, and no other node takes them", stays[i], p.nodes[i].why)
	}
}

func (g *graph) links() []Link {
	var links []Link
	for a, peers := range g.peers {
		for _, b := range peers {
			if x, y := g.id(a), g.id(b); compareIDs(x, y) < 0 {
				links = append(links, Link{x, y})
			}
		}
	}
	slices.SortFunc(links, func(x, y Link) int {
		return cmp.Or(bytes.Compare(x.A[:], y.A[:]), bytes.Compare(x.B[:], y.B[:]))
	})
	return links
}
