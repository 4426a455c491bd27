package room

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

const (
	// settledWithin is how long one waits with an open session on another node
	// for the links to be up before it goes there.
	settledWithin = 3 * time.Second
	// retireWithin is how long an old session goes on at most.
	retireWithin = 10 * time.Second
)

// next is a session on another node that is made before the member goes there.
type next struct {
	node    drtc.NodeID
	session drtc.SessionID
	opened  bool
	until   time.Time // when it goes there though links are missing
}

// retired is a session that was left and goes on for a while: its end would end
// the subscriptions of those who are on their way from the same node.
type retired struct {
	node    drtc.NodeID
	session drtc.SessionID
	member  drtc.ParticipantID
	until   time.Time
}

// nodeLost moves everybody whom the node carried to other nodes. Those whose
// client can't go on elsewhere are told to join anew.
func (r *Room) nodeLost(c NodeLost) {
	n := r.node(c.Node)
	n.lost, n.draining, n.unheard, n.had, n.claimAt = true, false, false, nil, time.Time{}
	clear(n.tracks)
	r.cascade.Lost(r.now, c.Node)
	for _, old := range r.retired {
		if old.node == c.Node {
			r.close(old.node, old.session)
		}
	}
	r.retired = slices.DeleteFunc(r.retired, func(old retired) bool { return old.node == c.Node })
	var gone []*member
	for _, m := range r.members() {
		if m.next != nil && m.next.node == c.Node {
			r.dropNext(m)
		}
		switch {
		case m.Node != c.Node:
		case m.Guest != nil:
			r.guestLost(m)
		case m.phase == opening:
			m.exclude = append(m.exclude, c.Node)
			r.close(m.Node, m.Session)
			r.place(m)
		case m.phase != present:
		case m.move != nil:
			r.moveLost(m)
		case m.resumable():
			r.startMove(m, false)
		default:
			gone = append(gone, m)
		}
	}
	r.letGo(gone)
	r.knownNow()
	r.needPlan()
}

// letGo tells members to join anew. All are told, and hear no more, before any
// of them is removed.
func (r *Room) letGo(gone []*member) {
	for _, m := range gone {
		r.toClient(m, Goodbye{Reason: Migration, Action: Reconnect})
		if m.conn != 0 {
			r.out = append(r.out, CloseClient{Conn: m.conn})
			m.conn = 0
		}
	}
	for _, m := range gone {
		if m.watch == nil {
			r.expect(m.Identity)
		}
		r.remove(m, Migration)
	}
}

// sessionEnded is for one whose session is gone from a node that lives.
func (r *Room) sessionEnded(m *member, reason Reason) {
	switch {
	case m.Guest != nil:
		if m.Guest.opened {
			r.reopen(m)
		}
	case m.move != nil:
		r.moveLost(m)
	case m.resumable():
		r.startMove(m, false)
	default:
		r.dismiss(m, reason, Reconnect)
	}
}

// nodeSynced compares what a node has with what the room thinks that it has.
func (r *Room) nodeSynced(c NodeSynced) {
	n := r.node(c.Node)
	back := n.lost
	n.lost, n.unheard, n.had = false, false, nil
	for _, session := range n.ghosts {
		if slices.Contains(c.Sessions, session) {
			r.close(c.Node, session)
		}
	}
	n.ghosts = nil
	r.cascade.Back(r.now, c.Node)
	for _, m := range r.members() {
		if m.next != nil && m.next.node == c.Node && m.next.opened && !slices.Contains(c.Sessions, m.next.session) {
			r.dropNext(m)
			r.needPlan()
		}
		if m.Node == c.Node && m.phase == present && !slices.Contains(c.Sessions, m.Session) && (m.move == nil || m.move.opened) {
			r.sessionEnded(m, StateMismatch)
		}
	}
	if slices.Contains(r.Nodes(), c.Node) {
		r.claim(c.Node)
	}
	if back {
		r.needPlan()
	}
	r.knownNow()
}

// heard takes the first answer of a node to a restored room, which is what
// NodeSynced says where the node has just come up. Sessions that are younger than
// the room's state are of joins that nobody knows of any more.
func (r *Room) heard(n *node, c Claimed) {
	known := map[drtc.SessionID]bool{}
	for _, s := range r.Sessions() {
		known[s.Session] = true
	}
	for _, session := range c.Sessions {
		if !known[session] {
			r.close(c.Node, session)
		}
	}
	had := n.had
	n.unheard, n.had, n.ghosts = false, nil, nil
	for _, m := range r.members() {
		if m.Node == c.Node && m.phase == present && slices.Contains(had, m.Session) && !slices.Contains(c.Sessions, m.Session) {
			r.sessionEnded(m, StateMismatch)
		}
	}
	r.knownNow()
}

// knownNow ends the wait of a restored room when it has heard of all its nodes.
func (r *Room) knownNow() {
	if r.knownAt.IsZero() || len(r.nodeIDs(func(n *node) bool { return n.unheard })) > 0 {
		return
	}
	asked := !r.planAt.IsZero()
	r.knownAt = time.Time{}
	if asked {
		r.needPlan()
	}
}

// giveUpUnheard takes the nodes for lost of which a restored room has no news.
func (r *Room) giveUpUnheard() {
	unheard := r.nodeIDs(func(n *node) bool { return n.unheard })
	r.knownAt = time.Time{}
	for _, id := range unheard { // nobody is to move from one to the other
		r.node(id).lost = true
	}
	for _, id := range unheard {
		r.nodeLost(NodeLost{Node: id})
	}
}

// nodeDraining has everybody go from a node that wants to be rid of them.
func (r *Room) nodeDraining(c NodeDraining) {
	n := r.node(c.Node)
	if n.lost || n.draining == !c.Undone {
		return
	}
	n.draining = !c.Undone
	for _, m := range r.state.Members {
		if c.Undone && m.Node == c.Node {
			r.dropNext(m)
		}
	}
	r.needPlan()
}

// relocate prepares m's way to another home, which the plan wants for it. The
// new session is opened and the links are up before the client hears of it.
func (r *Room) relocate(m *member, home drtc.NodeID) {
	switch {
	case m.next != nil && m.next.node == home:
		return
	case slices.Contains(m.exclude, home):
		r.planWithin(drainRetry)
		return
	case !m.resumable():
		r.letGo([]*member{m})
		return
	}
	r.dropNext(m)
	m.next = &next{node: home, session: m.nextSession()}
	r.changed = true
	r.open(home, m.next.session, m)
}

// nextOpened goes on when the session is there, or not.
func (r *Room) nextOpened(m *member, c SessionOpened) {
	if c.Err != "" {
		m.exclude = append(m.exclude, c.Node)
		r.dropNext(m)
		r.planWithin(drainRetry)
		return
	}
	m.next.opened, m.next.until = true, r.now.Add(settledWithin)
}

// dropNext gives up the way that was prepared for m.
func (r *Room) dropNext(m *member) {
	if m.next != nil {
		r.close(m.next.node, m.next.session)
		m.next = nil
	}
}

// switchOver sends those to their new nodes for whom all is ready there.
func (r *Room) switchOver() {
	for _, m := range r.members() {
		if m.next == nil || !m.next.opened || m.move != nil {
			continue
		}
		switch {
		case !r.cascade.Settled() && r.now.Before(m.next.until):
		case m.resumable():
			r.startMove(m, true)
		default: // its first offer has been answered meanwhile
			r.letGo([]*member{m})
		}
	}
}

// keeps reports whether m's old session goes on.
func (r *Room) keeps(m *member) bool {
	return slices.ContainsFunc(r.retired, func(old retired) bool { return old.member == m.ID && old.node == m.move.from })
}

// retire ends old sessions: when their members are where they wanted to be and
// nobody else is on the way from the same node, or after a time.
func (r *Room) retire() {
	leaving := map[drtc.NodeID]bool{}
	moving := map[drtc.ParticipantID]bool{}
	for _, m := range r.state.Members {
		if m.next != nil {
			leaving[m.Node] = true
		}
		if m.move != nil {
			leaving[m.move.from], moving[m.ID] = true, true
		}
	}
	r.retired = slices.DeleteFunc(r.retired, func(old retired) bool {
		if r.now.Before(old.until) && leaving[old.node] {
			return false
		}
		r.close(old.node, old.session)
		return true
	})
}
