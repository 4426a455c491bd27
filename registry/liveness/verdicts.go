package liveness

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// VerdictsConfig sets who counts and for how long.
type VerdictsConfig struct {
	// Self is this Registry. If it is among the Registries it counts as one that
	// is at work.
	Self drtc.NodeID
	// Probers is how many Registries watch over one node.
	Probers int
	// Life and Grace: a Registry is at work while it has a page that was issued
	// less than Life + Grace ago. A page counts for as long, or for its ttl + Grace
	// if that is less.
	Life, Grace time.Duration
	// Hold is how long a node stays Down after the majority against it is gone,
	// while no prober says that it answers: probers change.
	Hold time.Duration
	// Epoch is the length of an epoch; epochs are counted from 1970. Probers
	// change with them and availability is taken over them.
	Epoch time.Duration
	// MaxPages bounds the pages that are held, MaxNodes the nodes.
	MaxPages, MaxNodes int
}

// DefaultVerdictsConfig returns the network's numbers.
func DefaultVerdictsConfig(self drtc.NodeID) VerdictsConfig {
	return VerdictsConfig{
		Self: self, Probers: DefaultProbers, Life: time.Minute, Grace: 30 * time.Second,
		Hold: 90 * time.Second, Epoch: 24 * time.Hour, MaxPages: 65536, MaxNodes: 200_000,
	}
}

// Validate names the field that is out of range.
func (c VerdictsConfig) Validate() error {
	switch {
	case c.Self.IsZero():
		return errors.New("liveness: Self is zero: give the Registry's id")
	case c.Probers < 1:
		return fmt.Errorf("liveness: Probers must be at least 1, is %d", c.Probers)
	case c.Life <= 0:
		return fmt.Errorf("liveness: Life must be above 0, is %s", c.Life)
	case c.Grace < 0:
		return fmt.Errorf("liveness: Grace must not be negative, is %s", c.Grace)
	case c.Hold < 0:
		return fmt.Errorf("liveness: Hold must not be negative, is %s", c.Hold)
	case c.Epoch < time.Second:
		return fmt.Errorf("liveness: Epoch must be at least 1s, is %s", c.Epoch)
	case c.MaxPages < 1:
		return fmt.Errorf("liveness: MaxPages must be at least 1, is %d", c.MaxPages)
	case c.MaxNodes < 1:
		return fmt.Errorf("liveness: MaxNodes must be at least 1, is %d", c.MaxNodes)
	}
	return nil
}

// IssuedPage is a page as a record brought it.
type IssuedPage struct {
	Issuer, Subject drtc.NodeID
	IssuedAt        time.Time
	TTL             time.Duration
	Sightings       []Sighting // as CheckPage accepts them; no longer changed
}

// Vote is what one prober says about one node at the moment.
type Vote struct {
	Registry drtc.NodeID
	Sighting Sighting // without Node when Absent
	// Absent: nothing fresh is known from this prober about the node.
	Absent bool
}

// Verdict is what the probers of one node say together.
type Verdict struct {
	State State
	Since time.Time
	Votes []Vote // one for each prober, in rank
}

// Change of a verdict, with the votes that led to it.
type Change struct {
	At       time.Time
	Node     drtc.NodeID
	From, To State
	Votes    []Vote
}

// Assignment is a node that this Registry is to watch, and who else does.
type Assignment struct {
	Node   drtc.NodeID
	Others []drtc.NodeID
}

// Changes is what a call led to; each list is in order of nodes. Pass Assigned to
// Prober.Watch and Released to Prober.Unwatch.
type Changes struct {
	Verdicts []Change
	Assigned []Assignment
	Released []drtc.NodeID
}

// Verdicts counts the votes of all Registries. Make one with NewVerdicts. Call
// HandleTimeout about once a second.
type Verdicts struct {
	config     VerdictsConfig
	epoch      uint64
	candidates []drtc.NodeID // may attest; in order
	atWork     []drtc.NodeID // of these
	issuers    map[drtc.NodeID]*issuer
	pages      int
	nodes      map[drtc.NodeID]*judged
	holding    map[drtc.NodeID]*judged  // those with held set
	gone       map[drtc.NodeID]*history // of nodes whose record ended
	changes    Changes
}

// issuer is what is held of one Registry.
type issuer struct {
	pages  map[drtc.NodeID]*IssuedPage
	depths [MaxDepth + 1]int
	newest time.Time
}

// judged is one node.
type judged struct {
	probers []drtc.NodeID
	mine    bool
	state   State
	since   time.Time
	held    time.Time // since when Down without a majority; zero otherwise
	history *history
}

// NewVerdicts returns a Verdicts without Registries and nodes.
func NewVerdicts(now time.Time, c VerdictsConfig) (*Verdicts, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	v := &Verdicts{
		config: c, issuers: map[drtc.NodeID]*issuer{}, nodes: map[drtc.NodeID]*judged{},
		holding: map[drtc.NodeID]*judged{}, gone: map[drtc.NodeID]*history{},
	}
	v.epoch = v.Epoch(now)
	return v, nil
}

// Registries says who may attest: the bonded ones with a live record. Pages of
// others are kept but do not count.
func (v *Verdicts) Registries(now time.Time, ids []drtc.NodeID) Changes {
	v.candidates = slices.Compact(slices.SortedFunc(slices.Values(ids), compareIDs))
	v.reassign(now)
	return v.drain()
}

// Know is told of each node whose record is shown; to be told again does
// nothing. A node beyond MaxNodes is not judged.
func (v *Verdicts) Know(now time.Time, node drtc.NodeID) Changes {
	if v.nodes[node] != nil || len(v.nodes) >= v.config.MaxNodes {
		return Changes{}
	}
	j := &judged{since: now, history: v.recall(now, node)}
	v.nodes[node] = j
	v.assign(node, j, v.atWork)
	v.judge(now, node, j)
	return v.drain()
}

// Forget is told of each node whose record is no longer shown. left says that it
// said so itself: its lifetime then ends, and else it counts as down until the
// end of the epoch.
func (v *Verdicts) Forget(now time.Time, node drtc.NodeID, left bool) Changes {
	j := v.nodes[node]
	if j == nil {
		return Changes{}
	}
	if j.mine {
		v.changes.Released = append(v.changes.Released, node)
	}
	delete(v.nodes, node)
	delete(v.holding, node)
	j.history.leave(now, left, v.config.Epoch)
	if len(v.gone) < v.config.MaxNodes {
		v.gone[node] = j.history
	}
	return v.drain()
}

// Take is told of each live page, this Registry's own too. An older one than is
// held, and one beyond MaxPages, is ignored.
func (v *Verdicts) Take(now time.Time, p IssuedPage) Changes {
	depth, _, ok := ParsePage(p.Subject)
	if !ok || !now.Before(v.end(&p)) {
		return Changes{}
	}
	from := v.issuers[p.Issuer]
	if from == nil {
		from = &issuer{pages: map[drtc.NodeID]*IssuedPage{}}
	}
	old := from.pages[p.Subject]
	if old == nil {
		if v.pages >= v.config.MaxPages {
			return Changes{}
		}
		v.pages++
		from.depths[depth]++
		old = &IssuedPage{}
	} else if p.IssuedAt.Before(old.IssuedAt) {
		return Changes{}
	}
	v.issuers[p.Issuer] = from
	from.pages[p.Subject] = &p
	if p.IssuedAt.After(from.newest) {
		from.newest = p.IssuedAt
	}
	v.reassign(now)
	v.compare(now, old.Sightings, p.Sightings)
	return v.drain()
}

// Drop is told of a page's tombstone, issued at issuedAt.
func (v *Verdicts) Drop(now time.Time, registry, subject drtc.NodeID, issuedAt time.Time) Changes {
	from := v.issuers[registry]
	if from == nil || from.pages[subject] == nil || from.pages[subject].IssuedAt.After(issuedAt) {
		return Changes{}
	}
	v.compare(now, v.remove(from, registry, subject), nil)
	return v.drain()
}

// HandleTimeout lets pages, Registries, epochs and held verdicts end.
func (v *Verdicts) HandleTimeout(now time.Time) Changes {
	for id, from := range v.issuers {
		for subject, p := range from.pages {
			if !now.Before(v.end(p)) {
				v.compare(now, v.remove(from, id, subject), nil)
			}
		}
	}
	if e := v.Epoch(now); e != v.epoch {
		v.epoch, v.atWork = e, nil // everybody comes anew, with another rank
		for id, h := range v.gone {
			if h.settle(now, v.config.Epoch); h.ended() {
				delete(v.gone, id)
			}
		}
	}
	v.reassign(now)
	for id, j := range v.holding {
		v.judge(now, id, j)
	}
	return v.drain()
}

// Heard is when a Registry issued the newest page that was taken of it; the zero
// time for none.
func (v *Verdicts) Heard(registry drtc.NodeID) time.Time {
	if from := v.issuers[registry]; from != nil {
		return from.newest
	}
	return time.Time{}
}

// AtWork are the Registries among whom probers are chosen, in order.
func (v *Verdicts) AtWork() []drtc.NodeID { return slices.Clone(v.atWork) }

// Probers of any node, known or not, the first in rank first.
func (v *Verdicts) Probers(node drtc.NodeID) []drtc.NodeID {
	if j := v.nodes[node]; j != nil {
		return slices.Clone(j.probers)
	}
	return Probers(node, v.atWork, v.epoch, v.config.Probers)
}

// Verdict on a node; ok is false for one that is not known.
func (v *Verdicts) Verdict(node drtc.NodeID) (verdict Verdict, ok bool) {
	j := v.nodes[node]
	if j == nil {
		return Verdict{}, false
	}
	return Verdict{j.state, j.since, v.votes(node, j)}, true
}

// Tally counts the nodes in each state.
func (v *Verdicts) Tally() map[State]int {
	counts := map[State]int{}
	for _, j := range v.nodes {
		counts[j.state]++
	}
	return counts
}

// end is when p no longer counts.
func (v *Verdicts) end(p *IssuedPage) time.Time {
	return p.IssuedAt.Add(min(p.TTL, v.config.Life) + v.config.Grace)
}

// remove takes a page away and returns what it said.
func (v *Verdicts) remove(from *issuer, id, subject drtc.NodeID) []Sighting {
	p := from.pages[subject]
	depth, _, _ := ParsePage(subject)
	from.depths[depth]--
	v.pages--
	if delete(from.pages, subject); len(from.pages) == 0 {
		delete(v.issuers, id)
	}
	return p.Sightings
}

// compare judges the nodes about which old and new, both in order, differ.
func (v *Verdicts) compare(now time.Time, old, fresh []Sighting) {
	for len(old) > 0 || len(fresh) > 0 {
		var order int
		switch {
		case len(old) == 0:
			order = 1
		case len(fresh) == 0:
			order = -1
		default:
			order = compareIDs(old[0].Node, fresh[0].Node)
		}
		var node drtc.NodeID
		switch {
		case order < 0:
			node, old = old[0].Node, old[1:]
		case order > 0:
			node, fresh = fresh[0].Node, fresh[1:]
		default:
			same := old[0].Down == fresh[0].Down
			node, old, fresh = old[0].Node, old[1:], fresh[1:]
			if same {
				continue
			}
		}
		if j := v.nodes[node]; j != nil {
			v.judge(now, node, j)
		}
	}
}

// reassign finds who is at work and, if that changed, who watches over what.
func (v *Verdicts) reassign(now time.Time) {
	atWork := make([]drtc.NodeID, 0, len(v.candidates))
	for _, id := range v.candidates {
		from := v.issuers[id]
		if id == v.config.Self || from != nil && now.Before(from.newest.Add(v.config.Life+v.config.Grace)) {
			atWork = append(atWork, id)
		}
	}
	if slices.Equal(atWork, v.atWork) {
		return
	}
	came, left := without(atWork, v.atWork), without(v.atWork, atWork)
	v.atWork = atWork
	for id, j := range v.nodes {
		// Only a node that loses a prober needs all ranks anew; for the others those
		// who came are held against those it has.
		among := atWork
		if len(j.probers) == v.config.Probers && !slices.ContainsFunc(left, func(id drtc.NodeID) bool { return slices.Contains(j.probers, id) }) {
			if len(came) == 0 {
				continue
			}
			among = slices.Concat(j.probers, came)
		}
		if v.assign(id, j, among) {
			v.judge(now, id, j)
		}
	}
}

// without returns those of a that are not in b.
func without(a, b []drtc.NodeID) []drtc.NodeID {
	return slices.DeleteFunc(slices.Clone(a), func(id drtc.NodeID) bool { return slices.Contains(b, id) })
}

// assign chooses the probers of a node, notes whether that concerns us and
// reports whether they changed.
func (v *Verdicts) assign(id drtc.NodeID, j *judged, among []drtc.NodeID) bool {
	probers := Probers(id, among, v.epoch, v.config.Probers)
	if slices.Equal(probers, j.probers) {
		return false
	}
	at := slices.Index(probers, v.config.Self)
	switch {
	case at >= 0:
		others := slices.Delete(slices.Clone(probers), at, at+1)
		v.changes.Assigned = append(v.changes.Assigned, Assignment{id, others})
	case j.mine:
		v.changes.Released = append(v.changes.Released, id)
	}
	j.probers, j.mine = probers, at >= 0
	return true
}

// votes finds what each prober of a node says at the moment.
func (v *Verdicts) votes(node drtc.NodeID, j *judged) []Vote {
	votes := make([]Vote, len(j.probers))
	for i, id := range j.probers {
		s, ok := v.issuers[id].find(node)
		votes[i] = Vote{id, s, !ok}
	}
	return votes
}

// find returns the newest sighting of a node; there are two for the moment
// between a page's division and its tombstone.
func (i *issuer) find(node drtc.NodeID) (s Sighting, ok bool) {
	if i == nil {
		return s, false
	}
	var at time.Time
	for depth, n := range i.depths {
		if n == 0 {
			continue
		}
		p := i.pages[Page(depth, prefixOf(node))]
		if p == nil || ok && p.IssuedAt.Before(at) {
			continue
		}
		k, found := slices.BinarySearchFunc(p.Sightings, node, func(s Sighting, id drtc.NodeID) int { return compareIDs(s.Node, id) })
		if found {
			s, ok, at = p.Sightings[k], true, p.IssuedAt
		}
	}
	return s, ok
}

// judge counts (spec LIV-13).
func (v *Verdicts) judge(now time.Time, id drtc.NodeID, j *judged) {
	votes := v.votes(id, j)
	var up, down int
	for _, vote := range votes {
		switch {
		case vote.Absent:
		case vote.Sighting.Down:
			down++
		default:
			up++
		}
	}
	state := Unknown
	switch {
	case 2*down > len(votes):
		state = Down
		v.release(id, j)
	case up == 0 && v.hold(now, id, j):
		return
	case down > 0:
		state = Suspect
	case up > 0:
		state = Up
	}
	if state == j.state {
		return
	}
	v.release(id, j)
	c := Change{now, id, j.state, state, votes}
	j.state, j.since = state, now
	j.history.change(c, v.config.Epoch)
	v.changes.Verdicts = append(v.changes.Verdicts, c)
}

// hold keeps a node Down without a majority, for a while.
func (v *Verdicts) hold(now time.Time, id drtc.NodeID, j *judged) bool {
	if j.state != Down {
		return false
	}
	if j.held.IsZero() {
		j.held, v.holding[id] = now, j
	}
	return now.Sub(j.held) < v.config.Hold
}

func (v *Verdicts) release(id drtc.NodeID, j *judged) {
	j.held = time.Time{}
	delete(v.holding, id)
}

// drain returns what has changed, in order: maps have none.
func (v *Verdicts) drain() Changes {
	c := v.changes
	v.changes = Changes{}
	slices.SortStableFunc(c.Verdicts, func(a, b Change) int { return compareIDs(a.Node, b.Node) })
	slices.SortFunc(c.Assigned, func(a, b Assignment) int { return compareIDs(a.Node, b.Node) })
	slices.SortFunc(c.Released, compareIDs)
	return c
}
