package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

// planner is one call of Make. Nodes are numbers into nodes: those of the field
// first, then those that only Members and Current speak of.
type planner struct {
	in       *Input
	field    *allocate.Field
	nodes    []node
	numbers  map[drtc.NodeID]int
	measured measured
	partly   bool      // not every link was measured
	members  []*Member // by id

	// Set by house.
	homes   []int    // of members, none where there is none
	groups  []*group // of the members that keep did not place
	refused map[drtc.ParticipantID]error
	standby map[int]int // of nodes with members
	reasons []Reason
}

const none = -1

// node is what planning knows of one node.
type node struct {
	id    drtc.NodeID
	spot  spot
	owner string
	state state
	why   string // of a state that is not open
	busy  bool   // above its limit: better not to pass streams on

	taken   allocate.Taken // given to it by this plan, not in the snapshot
	members int            // whose home it is in this plan
}

// state is what may be done with a node, from best to worst.
type state uint8

const (
	open    state = iota // takes members as long as there is room
	closed               // keeps what it has, takes nothing new
	shunned              // closed, and passes nothing on: its tests speak against it
	leaving              // who is there gets another home; it passes nothing on
	barred               // leaving, and nobody stays: the policy forbids it
	lost                 // dead
)

func newPlanner(in *Input) (*planner, error) {
	pol := &in.Policy
	field, err := allocate.Prepare(in.Now, in.Nodes, allocate.Request{Room: in.Room, Terms: pol.Terms()}, pol.Allocate)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p := &planner{in: in, field: field, measured: measured{}}
	p.numberAll()
	for _, id := range in.Draining {
		p.worsen(id, leaving, "it is draining")
	}
	for _, id := range in.Lost {
		p.worsen(id, lost, "it was lost")
	}
	for _, c := range in.Costs {
		if a, b := p.numberOf(c.A), p.numberOf(c.B); a != b && a != none && b != none {
			p.measured.add(pairOf(a, b), c)
		}
	}
	p.members = make([]*Member, len(in.Members))
	for i := range in.Members {
		p.members[i] = &in.Members[i]
	}
	slices.SortFunc(p.members, func(a, b *Member) int { return cmp.Compare(a.ID, b.ID) })
	for i, m := range p.members[min(1, len(p.members)):] {
		if m.ID == p.members[i].ID {
			return nil, fmt.Errorf("plan: input: Members: %.60q is listed twice", m.ID)
		}
	}
	return p, nil
}

func (p *planner) nodeOf(i int) node {
	c, dropped := p.field.Candidate(i), p.field.Dropped(i)
	n := node{id: c.ID, owner: c.Owner}
	if dropped.Cause == allocate.Invalid {
		n.state, n.why = closed, dropped.Detail
		return n
	}
	n.spot = spot{region: c.Region}
	if c.Place != (drtc.Place{}) { // a node without a place has the zero one
		n.spot = spotAt(c.Place, c.Region)
	}
	most := p.in.Policy.Allocate.MaxLoad
	n.busy = c.Refuses != "" || c.LoadFraction > most || c.CapacityMbps > 0 && c.LoadMbps > c.CapacityMbps*most
	if unwanted := p.field.Unwanted(i); unwanted.Cause != "" { // for instance one that is unreachable, too
		dropped = unwanted
		n.state = barred
	} else {
		switch dropped.Cause {
		case "":
			return n
		case allocate.Quarantined:
			n.state = shunned
		default:
			n.state = closed
		}
	}
	n.why = fmt.Sprintf("%s (%s)", dropped.Cause, dropped.Detail)
	return n
}

// numberAll numbers the candidates and then, by id, every other node that the
// input speaks of: nothing is known of those, so they may keep what they have.
func (p *planner) numberAll() {
	p.nodes = make([]node, p.field.Len())
	p.numbers = make(map[drtc.NodeID]int, len(p.nodes))
	for i := range p.nodes {
		p.nodes[i] = p.nodeOf(i)
		p.numbers[p.nodes[i].id] = i
	}
	var others []drtc.NodeID
	for id := range p.in.mentioned() {
		if _, ok := p.numbers[id]; !ok && !id.IsZero() {
			p.numbers[id] = none
			others = append(others, id)
		}
	}
	slices.SortFunc(others, compareIDs)
	for _, id := range others {
		p.numbers[id] = len(p.nodes)
		p.nodes = append(p.nodes, node{id: id, state: closed, why: "nothing is known of it"})
	}
}

// mentioned yields every node id of the input but those of Nodes, some often.
func (in *Input) mentioned() iter.Seq[drtc.NodeID] {
	return func(yield func(drtc.NodeID) bool) {
		each := func(ids ...drtc.NodeID) bool {
			for _, id := range ids {
				if !yield(id) {
					return false
				}
			}
			return true
		}
		ok := each(in.Lost...) && each(in.Draining...)
		for i := 0; ok && i < len(in.Members); i++ {
			m := &in.Members[i]
			ok = each(m.Home, m.Pin, in.Current.Homes[m.ID]) && each(m.Exclude...)
		}
		for i := 0; ok && i < len(in.Costs); i++ {
			ok = each(in.Costs[i].A, in.Costs[i].B)
		}
		for i := 0; ok && i < len(in.Current.Links); i++ {
			ok = each(in.Current.Links[i].A, in.Current.Links[i].B)
		}
		for a, b := range in.Current.Standby {
			ok = ok && each(a, b)
		}
	}
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

// numberOf is number, and none for the zero id.
func (p *planner) numberOf(id drtc.NodeID) int {
	if id.IsZero() {
		return none
	}
	return p.numbers[id]
}

func (p *planner) worsen(id drtc.NodeID, s state, why string) {
	if i := p.numberOf(id); i != none && p.nodes[i].state < s {
		p.nodes[i].state, p.nodes[i].why = s, why
	}
}

// room is how many members with such a need a node takes up to limit.
func (p *planner) room(i int, needMbps float64, audioOnly bool, limit float64) int {
	if p.nodes[i].state != open {
		return 0
	}
	return p.field.Room(i, p.nodes[i].taken, needMbps, audioOnly, limit)
}

// hard is the part of a node that may be in use.
func (p *planner) hard() float64 { return p.in.Policy.Allocate.MaxLoad }

// give makes node i the home of count more members. Those that the node's own
// figures count already are not taken again.
func (p *planner) give(i, count int, needMbps float64, counted bool) {
	n := &p.nodes[i]
	n.members += count
	if !counted {
		n.taken.Sessions += count
		n.taken.Mbps += float64(count) * needMbps
	}
}

func (p *planner) because(topic Topic, node int, format string, args ...any) {
	r := Reason{Topic: topic, Text: fmt.Sprintf(format, args...)}
	if node != none {
		r.Node = p.nodes[node].id
	}
	p.reasons = append(p.reasons, r)
}

// maxReasons bounds Plan.Reasons; of each topic the first by id are kept.
const maxReasons = 64

func (p *planner) sortedReasons() []Reason {
	order := []Topic{Chosen, Opened, Left, Stayed, Unmet, Relaying, Unguarded}
	slices.SortFunc(p.reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Topic), slices.Index(order, b.Topic)),
			bytes.Compare(a.Node[:], b.Node[:]), cmp.Compare(a.Text, b.Text))
	})
	return slices.Clip(slices.Clone(p.reasons[:min(len(p.reasons), maxReasons)]))
}

func (in *Input) validate() error {
	if err := in.Policy.Validate(); err != nil {
		return err
	}
	for i := range in.Members {
		m := &in.Members[i]
		switch {
		case m.ID == "":
			return fmt.Errorf("plan: input: Members[%d].ID: want the participant's id, got none", i)
		case m.Place != nil && !m.Place.Valid():
			return fmt.Errorf("plan: input: Members[%d].Place: want lat -90..90 and lon -180..180, got %v", i, *m.Place)
		case !(m.NeedMbps >= 0) || math.IsInf(m.NeedMbps, 0):
			return fmt.Errorf("plan: input: Members[%d].NeedMbps: want 0 or more, got %v", i, m.NeedMbps)
		}
	}
	for i, c := range in.Costs {
		if c.RoundTrip < 0 || !(c.Loss >= 0 && c.Loss <= 1) {
			return fmt.Errorf("plan: input: Costs[%d]: want a round trip of 0 or more and a loss of 0 to 1, got %v and %v", i, c.RoundTrip, c.Loss)
		}
	}
	return nil
}
