package plan

// guard names the node that takes over when a home node dies: of another owner,
// near it, one that the room is on already before one that is as good; and the
// one that it was, as long as it will do.
func (p *planner) guard() {
	p.standby = map[int]int{}
	if !p.in.Policy.Standby {
		return
	}
	var candidates []int
	in := make([]bool, len(p.nodes)) // the room is there anyway
	for i := range p.nodes[:p.field.Len()] {
		in[i] = p.nodes[i].members > 0
		if p.room(i, 0, false, p.hard()) > 0 {
			candidates = append(candidates, i)
		}
	}
	for _, home := range p.homeNodes() {
		if p.nodes[home].state > shunned {
			continue // it is left already
		}
		var best int
		if s := p.numberOf(p.in.Current.Standby[p.nodes[home].id]); s != none && p.mayGuard(s, home) &&
			(p.nodes[s].members > 0 && p.nodes[s].state <= closed || p.room(s, 0, false, p.hard()) > 0) {
			best = s
		} else {
			best = p.bestGuard(home, candidates, in)
		}
		if best == none {
			p.because(Unguarded, home, "no node of another owner than %.60q can stand by", p.nodes[home].owner)
			continue
		}
		p.standby[home] = best
		in[best] = true
	}
}

// mayGuard reports whether s is another node, of an owner that is not known to
// be the same.
func (p *planner) mayGuard(s, home int) bool {
	return s != home && (p.nodes[s].owner == "" || p.nodes[s].owner != p.nodes[home].owner)
}

func (p *planner) bestGuard(home int, candidates []int, in []bool) int {
	best, bestScore := none, 0.0
	for _, i := range candidates {
		if !p.mayGuard(i, home) {
			continue
		}
		score := p.field.Score(i, p.nodes[home].spot.km(&p.nodes[i].spot))
		if in[i] {
			score += p.field.Affinity()
		}
		if best == none || p.field.Compare(i, score, best, bestScore) < 0 {
			best, bestScore = i, score
		}
	}
	return best
}
