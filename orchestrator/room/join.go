package room

import (
	"slices"

	"github.com/drtc-network/drtc"
)

// maxDeparted bounds what is kept for a participant that is away: who went
// meanwhile.
const maxDeparted = 1000

// maxAttempts is how many nodes are tried for one member.
const maxAttempts = 3

func (r *Room) join(c Join) {
	if r.revoked(c) {
		return
	}
	for _, m := range r.members() {
		// Its own full reconnect: the old connection is gone, so its session can
		// make room at once. One that is still waiting is simply superseded.
		if m.Identity == c.Identity && m.watch == nil && c.Watch == nil && m.Guest == nil && (m.phase != present || m.conn == 0) {
			if m.phase != present {
				r.out = append(r.out, Refuse{Conn: m.conn, Reason: "the same identity joined again"})
			} else {
				r.expect(m.Identity)
			}
			r.remove(m, DuplicateIdentity)
		}
	}
	watching := r.spectators()
	if c.Watch != nil && watching >= r.config.MaxSpectators {
		r.out = append(r.out, Refuse{Conn: c.Conn, Reason: "the room has as many spectators as it takes"})
		return
	}
	if text := r.crowded(c); text != "" {
		r.out = append(r.out, Refuse{Conn: c.Conn, Reason: text})
		return
	}
	if c.Watch == nil && !c.Lobby && !r.Vacant() {
		r.out = append(r.out, Refuse{Conn: c.Conn, Reason: "the room is full"})
		return
	}
	if r.state.Metadata == "" {
		r.state.Metadata = c.RoomMetadata
	}
	r.state.Application = c.Application
	m := &member{
		ID: c.Participant, Session: c.Session, Identity: c.Identity, Name: c.Name,
		Metadata: c.Metadata, Attributes: c.Attributes, Permission: c.Permission,
		Client: c.Client, AutoSubscribe: c.AutoSubscribe, Application: c.Application, APIKey: c.APIKey,
		Subscriptions: map[drtc.TrackID]*subscription{},
		conn:          c.Conn, Place: c.Place, first: c.Tracks,
	}
	if c.Watch != nil {
		m.watch, m.Permission = newSpectator(*c.Watch), Permission{Subscribe: true, Hidden: true}
	}
	r.seat(m, c)
	m.negotiation.next = c.Offer
	r.state.Members = append(r.state.Members, m)
	r.place(m)
}

// place asks for a home for m.
func (r *Room) place(m *member) {
	m.phase, m.Node = waiting, drtc.NodeID{}
	r.needPlan()
}

// openAt makes m's first session on a node.
func (r *Room) openAt(m *member, home drtc.NodeID) {
	m.Node, m.phase = home, opening
	r.open(m.Node, m.Session, m)
}

// refuse turns away a member that is not in the room yet.
func (r *Room) refuse(m *member, reason string) {
	r.out = append(r.out, Refuse{Conn: m.conn, Reason: reason})
	r.remove(m, JoinFailure)
}

// sessionOpened takes a node's word on a session that it was asked for.
func (r *Room) sessionOpened(c SessionOpened) {
	for _, m := range r.state.Members {
		switch {
		case m.next != nil && m.next.session == c.Session && m.next.node == c.Node:
			r.nextOpened(m, c)
		case m.Session != c.Session || m.Node != c.Node:
			continue
		case m.Guest != nil:
			r.guestOpened(m, c)
		case m.phase == opening:
			r.opened(m, c)
		case m.move != nil && !m.move.opened:
			r.moveOpened(m, c)
		}
		return
	}
}

// opened goes on when a node has made m's first session, or looks for another
// node.
func (r *Room) opened(m *member, c SessionOpened) {
	if c.Err == "" {
		r.enter(m)
		return
	}
	m.exclude = append(m.exclude, m.Node)
	if len(m.exclude) >= maxAttempts {
		r.refuse(m, "the media node takes no more: "+c.Err)
		return
	}
	r.close(m.Node, m.Session) // it may exist if only the answer was lost
	r.place(m)
}

// enter makes m visible. Nobody has heard of it before.
func (r *Room) enter(m *member) {
	m.exclude = nil
	if m.watch != nil {
		m.phase, m.State, m.JoinedAt = present, Joined, r.now
		r.firstOffer(m)
		return
	}
	for _, old := range r.members() {
		if old != m && old.Identity == m.Identity && old.watch == nil {
			r.dismiss(old, DuplicateIdentity, Disconnect)
		}
	}
	m.phase, m.State, m.JoinedAt = present, Joined, r.now
	m.refreshAt = r.now.Add(r.config.TokenRefresh)
	if r.reportAt.IsZero() {
		r.reportAt = r.now.Add(r.config.ReportInterval)
	}
	m.Version++
	r.changed = true
	r.entered()
	welcome := Welcome{Room: r.Info(), Self: m.view(), Node: m.Node}
	for _, o := range r.state.Members {
		if o != m && o.phase == present && r.hears(m, o) {
			welcome.Others = append(welcome.Others, o.view())
		}
	}
	r.toClient(m, welcome)
	r.refreshToken(m)
	for _, v := range r.viewers(m) {
		if v != m {
			r.tell(v, m.view())
		}
	}
	for _, t := range m.first {
		r.addTrack(m, t)
	}
	m.first = nil
	r.stepBack(m)
	r.reconcile(m)
	r.calmDown(m)
	r.firstOffer(m)
}

// firstOffer hands on the offer that came with the Join.
func (r *Room) firstOffer(m *member) {
	if o := m.negotiation.next; o != nil {
		m.negotiation.next = nil
		r.offer(m, *o)
	}
}

func (r *Room) refreshToken(m *member) {
	attributes, permission := m.credentials()
	r.toClient(m, RefreshToken{Name: m.Name, Metadata: m.Metadata, Attributes: attributes, Permission: permission})
}

// dismiss tells m to go, and lets it go.
func (r *Room) dismiss(m *member, reason Reason, action Action) {
	r.dismissFor(m, Goodbye{Reason: reason, Action: action})
}

// dismissFor is dismiss with a cause in words.
func (r *Room) dismissFor(m *member, g Goodbye) {
	r.toClient(m, g)
	reason, action := g.Reason, g.Action
	if action == Reconnect && m.watch == nil {
		r.expect(m.Identity)
	}
	if m.conn != 0 {
		r.out = append(r.out, CloseClient{Conn: m.conn})
	}
	r.remove(m, reason)
}

// remove ends m's stay. Afterwards nothing refers to it.
func (r *Room) remove(m *member, reason Reason) {
	r.endForwards(m, reason)
	r.bidFarewell(m)
	r.notifyLeft(m, reason)
	r.keepStanding(m, reason)
	r.state.Members = slices.DeleteFunc(r.state.Members, func(o *member) bool { return o == m })
	r.changed = r.changed || m.watch == nil
	if m.phase != waiting {
		r.close(m.Node, m.Session)
	}
	r.dropNext(m)
	delete(r.state.Plan.Homes, m.ID)
	if m.resuming != 0 {
		r.turnAway(m.resuming)
	}
	delete(r.speakers, m.ID)
	r.unfocus(m.ID)
	for _, v := range r.state.Members {
		r.forgo(v, m, m.Tracks...)
		v.Grants = slices.DeleteFunc(v.Grants, func(g Grant) bool { return g.Participant == m.ID })
	}
	if len(m.Tracks) > 0 {
		r.castAll()
	}
	r.retire()
	r.needPlan()
	if m.phase == present {
		m.Version++
		gone := m.view()
		gone.State, gone.Reason, gone.Tracks = Disconnected, reason, nil
		for _, v := range r.viewers(m) {
			r.tell(v, gone)
		}
	}
	r.succeed()
}

// sessionChanged follows the transport of m's session.
func (r *Room) sessionChanged(m *member, c SessionChanged) {
	switch {
	case c.Closed:
		r.sessionEnded(m, MediaFailure)
	case !c.Connected:
		m.down = true
	default:
		m.down = false
		if m.move != nil {
			m.move.connected = true
			r.arrived(m)
		}
		if m.State != Active {
			m.State = Active
			r.announce(m)
			r.notifyJoined(m)
		}
	}
}

// dropped starts the grace time of a participant whose connection has ended.
func (r *Room) dropped(c Dropped) {
	m := r.byID(c.Participant)
	if m == nil {
		return
	}
	switch {
	case m.resuming == c.Conn:
		m.resuming = 0
		if m.conn == 0 && m.graceUntil.IsZero() {
			m.graceUntil = r.now.Add(r.config.Grace)
		}
	case m.conn != c.Conn:
	case m.phase != present || m.watch != nil:
		r.remove(m, SignalClosed)
	default:
		m.conn = 0
		m.graceUntil = r.now.Add(r.config.Grace)
	}
}
