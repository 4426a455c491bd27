package plan

import "slices"

// spreadOwners brings the room to nodes of Policy.MinOwners owners, by moving
// one member for each owner that is wanting: of those who are placed now before
// those who are somewhere, the one who loses the least.
func (p *planner) spreadOwners() {
	want := p.in.Policy.MinOwners
	if want < 2 {
		return
	}
	placed := 0
	for _, h := range p.homes {
		if h != none {
			placed++
		}
	}
	for want = min(want, placed); ; {
		owners := p.owners()
		if len(owners) >= want {
			return
		}
		m, to := p.cheapestMove(owners)
		if m == none {
			p.because(Unmet, none, "the room is on nodes of %d owners, not of %d: no node of another owner takes one of its members", len(owners), want)
			return
		}
		from := &p.nodes[p.homes[m]]
		from.members--
		if p.members[m].Home != from.id {
			from.taken.Sessions--
			from.taken.Mbps -= p.members[m].NeedMbps
		}
		p.homes[m] = to
		p.give(to, 1, p.members[m].NeedMbps, false)
		p.because(Opened, to, "for one member: the room is to be on nodes of %d owners", want)
	}
}

// owners counts the members on nodes of each owner that is known.
func (p *planner) owners() map[string]int {
	owners := map[string]int{}
	for i := range p.nodes {
		if n := &p.nodes[i]; n.members > 0 && n.owner != "" {
			owners[n.owner] += n.members
		}
	}
	return owners
}

// maxLooked bounds how many members of a large room are asked who loses least.
const maxLooked = 512

// cheapestMove finds a member to move to a node of a further owner; none where
// there is none.
func (p *planner) cheapestMove(owners map[string]int) (member, to int) {
	var targets []int
	for i := range p.nodes[:p.field.Len()] {
		n := &p.nodes[i]
		if n.state == open && n.owner != "" && owners[n.owner] == 0 {
			targets = append(targets, i)
		}
	}
	member, to = none, none
	var least float64
	looked := 0
	for _, settled := range []bool{false, true} {
		for i, m := range p.members {
			home := p.homes[i]
			if home == none || (m.Home == p.nodes[home].id) != settled || looked > maxLooked {
				continue
			}
			if owner := p.nodes[home].owner; owner != "" && owners[owner] < 2 {
				continue // it would be wanting then
			}
			looked++
			s := p.spotOf(m)
			was := s.km(&p.nodes[home].spot)
			for _, t := range targets {
				if p.room(t, m.NeedMbps, m.AudioOnly, p.hard()) == 0 || !p.suits(m, t) {
					continue
				}
				lost := s.km(&p.nodes[t].spot) - was
				if member == none || lost < least || lost == least && member == i &&
					p.field.Compare(t, p.field.Merit(t), to, p.field.Merit(to)) < 0 {
					member, to, least = i, t, lost
				}
			}
		}
		if member != none {
			break
		}
	}
	return member, to
}

func (p *planner) spotOf(m *Member) *spot {
	region := m.Region
	if region == "" {
		region = p.in.Region
	}
	s := spot{region: region}
	if m.Place != nil {
		s = spotAt(*m.Place, region)
	}
	return &s
}

// crowded reports whether a node of the room is in use beyond limit.
func (p *planner) crowded(limit float64) bool {
	return slices.ContainsFunc(p.homeNodes(), func(i int) bool {
		return p.nodes[i].state == open && p.room(i, 0, false, limit) == 0
	})
}

// homeNodes are the nodes that somebody has a home on.
func (p *planner) homeNodes() (all []int) {
	for i := range p.nodes {
		if p.nodes[i].members > 0 {
			all = append(all, i)
		}
	}
	return all
}
