package plan

import "fmt"

// When Adaptive changes: a strategy is entered at the first figure and left at
// the second, so that a room at the border does not go back and forth.
const (
	// FanOut is for an audience: so many viewers, and so many for each publisher.
	audienceEnter, audienceLeave = 50, 30
	shareEnter, shareLeave       = 10, 5

	// Regional is for load and bad links. It is left when no node is in use
	// beyond this part of Policy.Fill.
	calm = 0.8
	// Links between regions that lose so much are bad; when at least half of
	// those that were measured are, one link between two regions is enough.
	lossEnter, lossLeave = 0.03, 0.01
)

// choose finds the strategy and houses the members by it.
func (p *planner) choose() Strategy {
	if s := p.in.Policy.Strategy; s != Adaptive {
		p.house(s)
		p.because(Chosen, none, "%s: the policy says so", s)
		return s
	}
	now := p.in.Current.Strategy
	chosen, why := p.audience(now)
	if chosen == Adaptive {
		first := now
		if first != Regional {
			first = Proximity
		}
		p.house(first)
		if chosen, why = p.shape(now); chosen != first {
			p.house(chosen)
		}
	} else {
		p.house(chosen)
	}
	p.because(Chosen, none, "%s: %s", chosen, why)
	return chosen
}

// audience chooses FanOut by the numbers of those who send and watch.
func (p *planner) audience(now Strategy) (Strategy, string) {
	publishers := 0
	for _, m := range p.members {
		if m.Publishes {
			publishers++
		}
	}
	viewers := len(p.members) - publishers
	least, share := audienceEnter, shareEnter
	if now == FanOut {
		least, share = audienceLeave, shareLeave
	}
	if viewers < least || viewers < share*publishers {
		return Adaptive, ""
	}
	return FanOut, fmt.Sprintf("%d publish and %d watch, at least %d and %d for each publisher", publishers, viewers, least, share)
}

// shape chooses between Proximity and Regional by what the homes came to.
func (p *planner) shape(now Strategy) (Strategy, string) {
	homes := p.homeNodes()
	most, part, loss := p.in.Policy.meshNodes(), p.in.Policy.Fill, lossEnter
	if now == Regional {
		most, part, loss = most-2, part*calm, lossLeave
	}
	if n := len(homes); n > most {
		return Regional, fmt.Sprintf("%d nodes are too many to link each with each, at most %d are", n, most)
	}
	if len(p.members) >= 2 && p.crowded(part) {
		return Regional, fmt.Sprintf("a node is in use beyond %.2f, the nodes of a region share the load", part)
	}
	if bad, of := p.badLinks(homes, loss); 2*bad >= of && of >= 2 {
		return Regional, fmt.Sprintf("%d of %d links between regions lose %.0f %% or more, one for two regions is enough", bad, of, 100*loss)
	}
	if len(homes) <= 1 {
		return Proximity, "one node is near enough to everybody"
	}
	return Proximity, fmt.Sprintf("%d nodes, each near its members, at most %d are linked each with each", len(homes), most)
}

// badLinks counts measured links between home nodes of different regions, and
// those that lose so much.
func (p *planner) badLinks(homes []int, loss float64) (bad, of int) {
	if len(p.measured) == 0 {
		return 0, 0
	}
	for k, a := range homes {
		for _, b := range homes[:k] {
			c, ok := p.measured[pairOf(a, b)]
			if !ok || p.nodes[a].spot.region == p.nodes[b].spot.region {
				continue
			}
			of++
			if c.Loss >= loss {
				bad++
			}
		}
	}
	return bad, of
}
