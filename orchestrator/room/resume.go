package room

import (
	"slices"
	"time"
)

// resume asks the node whether it still has the session. Until it has answered
// the client hears nothing: the first message of a resume is WelcomeBack or
// Goodbye, and what happened meanwhile is told at once after it.
func (r *Room) resume(c Resume) {
	m := r.byID(c.Participant)
	if m == nil || m.phase != present || m.Identity != c.Identity || m.watch != nil || m.Guest != nil {
		r.expect(c.Identity)
		r.turnAway(c.Conn)
		return
	}
	if m.move != nil {
		r.welcomeBack(m, c.Conn)
		return
	}
	for _, old := range []Conn{m.conn, m.resuming} {
		if old != 0 {
			r.out = append(r.out, CloseClient{Conn: old})
		}
	}
	m.conn, m.resuming = 0, c.Conn
	m.graceUntil = r.now.Add(r.config.Grace)
	r.toNode(m, InspectSession{})
}

// turnAway tells a connection to join anew.
func (r *Room) turnAway(conn Conn) {
	r.out = append(r.out,
		ToClient{Conn: conn, Message: Goodbye{Reason: StateMismatch, Action: Reconnect}},
		CloseClient{Conn: conn})
}

func (r *Room) inspected(m *member, c Inspected) {
	if m.resuming == 0 {
		return
	}
	if c.Err != "" { // the node is not lost, so its session goes on
		c.Found, c.Figures = true, m.figures
	}
	if !c.Found && m.resumable() {
		r.startMove(m, false)
		return
	}
	if !c.Found {
		r.expect(m.Identity)
		r.remove(m, StateMismatch) // turns the connection away
		return
	}
	m.conn, m.resuming = m.resuming, 0
	m.graceUntil = time.Time{}
	m.figures = c.Figures
	m.negotiation.renew()
	r.toClient(m, WelcomeBack{Node: m.Node, LastSequence: c.LastSequence})
	r.refreshToken(m)
	r.catchUp(m)
}

// catchUp tells m everything that it may have missed.
func (r *Room) catchUp(m *member) {
	m.Version++
	update := Update{Participants: append(slices.Clone(m.departed), m.view())}
	m.departed, m.unseen, m.calmUntil = nil, nil, time.Time{}
	for _, o := range r.state.Members {
		if o != m && o.phase == present && r.hears(m, o) {
			update.Participants = append(update.Participants, o.view())
		}
	}
	r.toClient(m, update)
	for id, s := range sortedSubscriptions(m) {
		if publisher, _ := r.track(id); publisher != nil && s.Told != 0 {
			r.toClient(m, MaySubscribe{Publisher: publisher.ID, Track: id, Allowed: s.Told > 0})
		}
	}
	for _, t := range m.Tracks {
		if t.demandSent {
			r.toClient(m, Qualities{Track: t.ID, MIME: t.MIME, Enabled: t.demand})
		}
	}
	if len(r.speakers) > 0 && !m.Lobby {
		r.toClient(m, Speakers{Speakers: r.speaking()})
	}
	r.toClient(m, RoomChanged{Room: r.Info()})
	m.greeted = false
	r.reconcile(m)
}
