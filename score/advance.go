package score

import (
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// Advance scores an epoch: the book after it and the report. The error wraps
// ErrInvalid and names what no honest evidence contains.
func Advance(before Book, in Input, r Rules) (Book, Report, error) {
	if err := r.Validate(); err != nil {
		return Book{}, Report{}, err
	}
	if in.Epoch < before.next || in.Epoch == 1<<64-1 {
		return Book{}, Report{}, fmt.Errorf("%w: epoch %d, want %d or later", ErrInvalid, in.Epoch, before.next)
	}
	in, err := in.sorted(r)
	if err != nil {
		return Book{}, Report{}, err
	}
	c := closing{in: in, rules: r, entries: before.open(in, r)}
	c.enter()
	c.assess()
	after := Book{next: in.Epoch + 1, entries: c.entries}
	after.hash = after.Hash()
	report := Report{
		Epoch:  in.Epoch,
		Inputs: append([]Source{{"rules", r.Hash()}, {"book", before.Hash()}}, in.sources()...),
		Scores: c.scores(),
		Book:   after.hash,
	}
	return after, report, nil
}

// closing is one call of Advance.
type closing struct {
	in      Input
	rules   Rules
	entries []entry

	numbers map[drtc.NodeID]int32 // of challengers in the window
	weights []uint32              // by number
	medians []econ.Wad            // by entry, as are those below
	tested  []econ.Wad
	raise   map[drtc.NodeID]econ.Wad
}

// enter puts the epoch's lists into the entries. The lists are in order of nodes.
func (c *closing) enter() {
	for _, t := range c.in.Results {
		e := c.entry(t.Prover)
		e.results = append(e.results, held{c.in.Epoch, t.Challenger, t.Further, t.Quality})
	}
	sessions, uptimes := c.in.Sessions, c.in.Uptimes
	for i := range c.entries {
		e := &c.entries[i]
		n := leading(sessions, func(s Sessions) bool { return s.Node == e.id })
		e.remember(sessions[:n], c.rules)
		sessions = sessions[n:]
		n = leading(uptimes, func(u Uptime) bool { return u.Node == e.id })
		e.attend(uptimes[:n], c.in.Registries)
		uptimes = uptimes[n:]
	}
	supply(c.entries, c.in.Supplies, c.rules)
}

func (c *closing) entry(node drtc.NodeID) *entry {
	i, _ := Book{entries: c.entries}.find(node)
	return &c.entries[i]
}

// leading is how many elements from the first on are of one node.
func leading[T any](list []T, of func(T) bool) int {
	n := 0
	for n < len(list) && of(list[n]) {
		n++
	}
	return n
}

// assess finds credibility, medians and standings.
func (c *closing) assess() {
	c.numbers = map[drtc.NodeID]int32{}
	p := panel{rules: c.rules, ballots: make([][]vote, len(c.entries))}
	for i, e := range c.entries {
		votes := make([]vote, len(e.results))
		for k, h := range e.results {
			number, ok := c.numbers[h.challenger]
			if !ok {
				number = int32(len(c.numbers))
				c.numbers[h.challenger] = number
			}
			votes[k] = vote{number, h.quality}
		}
		p.ballots[i] = newBallot(votes)
	}
	p.challengers = len(c.numbers)
	c.weights = p.credibility()
	c.medians = make([]econ.Wad, len(c.entries))
	p.medians(c.weights, c.medians)
	c.tested = c.test()
	c.raise = lenience(c.entries, c.tested, c.rules)

	b := bench{rules: c.rules, epoch: c.in.Epoch, atWork: c.atWork()}
	for i := range c.entries {
		if e := &c.entries[i]; e.seen == c.in.Epoch {
			b.credible = func(h held) bool { return credibilityOf(p.apart(i, c.numbers[h.challenger])) >= c.rules.Credible }
			b.judge(e)
		}
	}
}

// atWork reports whether at least half of the epoch's nodes were tested.
func (c *closing) atWork() bool {
	tested := 0
	for _, e := range c.entries {
		if n := len(e.results); n > 0 && e.results[n-1].epoch == c.in.Epoch {
			tested++
		}
	}
	return 2*tested >= len(c.in.Nodes)
}

// test is V by tests: medians, and for nodes with few results no more than a
// percentile of those with enough (spec K7).
func (c *closing) test() []econ.Wad {
	var enough []uint64
	for i, e := range c.entries {
		if len(e.results) >= int(c.rules.FewResults) {
			enough = append(enough, uint64(c.medians[i]))
		}
	}
	tested := append([]econ.Wad(nil), c.medians...)
	if len(enough) == 0 {
		return tested
	}
	most := econ.Wad(econ.Percentile(enough, int(c.rules.FewPercentile)))
	for i, e := range c.entries {
		if len(e.results) < int(c.rules.FewResults) {
			tested[i] = min(tested[i], most)
		}
	}
	return tested
}

// scores puts everything together for the nodes of the epoch.
func (c *closing) scores() []Score {
	listed := map[drtc.NodeID]Node{}
	findings := map[drtc.NodeID]Finding{}
	for _, n := range c.in.Nodes {
		listed[n.ID], findings[n.ID] = n, c.rules.find(n)
	}
	counted := make([]bool, len(c.entries))
	counts := map[drtc.NodeID]bool{}
	for i, e := range c.entries {
		counted[i] = listed[e.id].Delegated && e.passed(c.rules)
		counts[e.id] = counted[i]
	}
	g := newGrid(c.in, findings, func(id drtc.NodeID) bool { return counts[id] }, c.rules)
	history := histories(c.entries, counted, c.rules)
	scores := make([]Score, 0, len(c.in.Nodes))
	for i, e := range c.entries {
		if e.seen != c.in.Epoch {
			continue
		}
		s := Score{
			Node: e.id, Results: len(e.results), Measured: c.medians[i], Tested: c.tested[i],
			Few: len(e.results) < int(c.rules.FewResults), SessionLimit: econ.One,
			Standing: e.standing, Further: c.rules.Further(e.standing), Credibility: econ.One,
			Place: findings[e.id], Cell: g.cells[e.id], Counted: counted[i],
			Up: e.up, Life: e.life, Supplied: e.supplied,
		}
		if number, ok := c.numbers[e.id]; ok {
			s.Credibility = credibilityOf(c.weights[number])
		}
		if most, ok := e.witness(c.raise, c.rules); ok {
			s.SessionLimit = most
		}
		s.Quality = min(s.Tested, s.SessionLimit)
		s.History = history[i]
		s.Location, s.Coverage = g.scores(e.id, counted[i])
		var err error
		if s.Availability, err = econ.Availability(e.up, e.life); err != nil {
			panic("score: " + err.Error()) // attend keeps up at most life
		}
		scores = append(scores, s)
	}
	return scores
}

// passed reports whether a test of the window was good.
func (e *entry) passed(r Rules) bool {
	for _, h := range e.results {
		if h.quality >= r.Suspect {
			return true
		}
	}
	return false
}
