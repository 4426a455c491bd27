package plan

import (
	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

// settle gives each member of the groups its home. Who got none stays on a node
// that should be left, if it may, or is refused.
func (p *planner) settle() {
	p.refused = map[drtc.ParticipantID]error{}
	refusals := map[string]*allocate.Refusal{}
	for _, g := range p.groups {
		rest := g.members
		for _, s := range g.given {
			for _, i := range rest[:s.count] {
				p.homes[i] = s.node
			}
			rest = rest[s.count:]
		}
		for _, i := range rest {
			m := p.members[i]
			if home := p.numberOf(m.Home); home != none && p.nodes[home].state <= leaving && p.suits(m, home) {
				p.homes[i] = home
				p.give(home, 1, m.NeedMbps, true)
				continue
			}
			if refusals[g.reach] == nil {
				refusals[g.reach] = p.refusal(g)
			}
			p.refused[m.ID] = refusals[g.reach]
		}
	}
}

// refusal says of every node why the group can't be there.
func (p *planner) refusal(g *group) *allocate.Refusal {
	r := &allocate.Refusal{Room: p.in.Room}
	if g.pin != none {
		r.Pin = p.nodes[g.pin].id
	}
	for i := range p.nodes[:p.field.Len()] {
		n, dropped := &p.nodes[i], p.field.Dropped(i)
		switch {
		case dropped.Cause == allocate.Invalid:
		case g.pin != none && g.pin != i:
			dropped = allocate.Rejection{Node: n.id, Cause: allocate.NotPinned, Detail: "the member is to be on " + r.Pin.String()}
		case !g.allows(i):
			dropped = allocate.Rejection{Node: n.id, Cause: allocate.Excluded, Detail: "by the member"}
		case dropped.Cause == "" && n.state != open:
			dropped = allocate.Rejection{Node: n.id, Cause: allocate.Excluded, Detail: n.why}
		case dropped.Cause == "":
			dropped = p.field.Full(i, n.taken, g.needMbps, g.audioOnly)
		}
		r.Rejected = append(r.Rejected, dropped)
	}
	return r
}
