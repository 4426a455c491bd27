package room

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
)

const (
	// resumeWithin is how long one who moves to another node may take to resume,
	// and then to be connected, before it must join anew.
	resumeWithin = 8 * time.Second
	// moveWithin bounds a move with all its attempts.
	moveWithin = 30 * time.Second
	// settleWithin is how long after a move the publisher is not told that
	// layers are unwanted: viewers come back one by one.
	settleWithin = 3 * time.Second
	// holdOffer is how long after a client's new candidates the answer reaches it,
	// where its old session goes on: see hold.
	holdOffer = 110 * time.Millisecond
)

// move is a member's way to another node while it stays in the room. From its
// begin on the new session is the one that counts.
//
//	begin ─▶ told (Goodbye) ─▶ back (Resume) ─▶ offer with Restore ─▶ answered ─▶ connected
//	      └▶ the session opens at any time in between
//
// One whose first offer was never answered has nothing to restore and is not
// told: its offer goes to the new node.
type move struct {
	opened    bool // the new node has the session
	told      bool // the client was told to resume, or there was no need
	back      bool // the client has resumed, or was never away
	answered  bool // the new node has answered an offer
	connected bool
	held      bool        // the first offer has waited, or does
	heldUntil time.Time   // zero if no offer waits
	attempts  int         // at nodes
	from      drtc.NodeID // where it was
	began     time.Time
	until     time.Time
}

// usable reports whether m's session takes commands about tracks.
func (m *member) usable() bool { return m.move == nil || m.move.answered }

// resumable reports whether m can go on with another session.
func (m *member) resumable() bool { return m.watch == nil && (m.Client.Resumes || !m.Answered) }

// nextSession gives m the id of a session that it never had before.
func (m *member) nextSession() drtc.SessionID {
	m.Moves++
	base, _, _ := strings.Cut(string(m.Session), ".")
	return drtc.SessionID(base + "." + strconv.FormatUint(uint64(m.Moves), 10))
}

// startMove takes m off its session, which is gone or about to be, and sends it
// to another node: to the one that was prepared for it, to the standby of its
// node, or to the one that the next plan names. Nobody else hears of it. With
// keep the old session goes on until the client is connected to the new node.
func (r *Room) startMove(m *member, keep bool) {
	from, resuming := m.Node, m.resuming
	m.move, m.resuming = &move{from: from, began: r.now, until: r.now.Add(resumeWithin)}, 0
	r.leaveNode(m)
	if keep {
		r.retired = append(r.retired, retired{node: from, session: m.Session, member: m.ID, until: r.now.Add(retireWithin)})
	} else {
		r.close(from, m.Session)
	}
	if next := m.next; next != nil {
		m.next = nil
		m.Node, m.Session = next.node, next.session
		m.move.opened, m.move.attempts = next.opened, 1
	} else {
		m.Node, m.Session = drtc.NodeID{}, m.nextSession()
	}
	switch {
	case !m.Answered:
		m.move.told, m.move.back = true, true
		if resuming != 0 {
			r.welcomeBack(m, resuming)
		}
	case resuming != 0:
		r.welcomeBack(m, resuming)
	case m.conn != 0:
		m.move.told = true
		r.toClient(m, Goodbye{Reason: Migration, Action: DoResume})
		r.out = append(r.out, CloseClient{Conn: m.conn})
		m.conn = 0
	default: // away already: the grace time that it has goes on
		m.move.until = time.Time{}
	}
	r.changed = true
	if m.Node.IsZero() {
		r.moveTo(m, r.standbyOf(from))
	}
	r.moveOn(m)
	r.needPlan()
}

// leaveNode forgets what m's session had, and keeps what it takes to have it
// again elsewhere.
func (r *Room) leaveNode(m *member) {
	n := &m.negotiation
	if n.next == nil && n.inFlight != nil && !n.stale {
		n.next = n.inFlight
	}
	*n = negotiation{next: n.next}
	if m.Answered {
		n.next = nil // the client makes another one when it resumes
	}
	for _, s := range m.Subscriptions {
		s.held, s.On, s.lapsed = s.held || s.On, false, false
	}
	for _, t := range m.Tracks {
		t.Matched, t.Away = false, true
		r.lapse(m.Node, t.ID)
	}
	if s, speaks := r.speakers[m.ID]; speaks {
		delete(r.speakers, m.ID)
		s.Level, s.Active = 0, false
		for _, v := range r.state.Members {
			if v.Permission.Subscribe && v != m {
				r.toClient(v, Speakers{Speakers: []Speaker{s}})
			}
		}
	}
	m.down, m.reportedAt, m.retryAt = false, r.now, time.Time{}
	r.castAll()
}

// standbyOf is where the members of a node go when it dies, or zero.
func (r *Room) standbyOf(id drtc.NodeID) drtc.NodeID {
	to := r.state.Plan.Standby[id]
	if r.lost(to) || r.draining(to) {
		return drtc.NodeID{}
	}
	return to
}

// moveTo opens m's new session on a node, unless it has one or must wait for its
// client.
func (r *Room) moveTo(m *member, home drtc.NodeID) {
	switch {
	case !m.Node.IsZero() || !m.move.told:
		return
	case home.IsZero() || slices.Contains(m.exclude, home):
		r.planWithin(planRetry)
		return
	}
	m.Node, m.move.opened = home, false
	m.move.attempts++
	r.changed = true
	r.open(m.Node, m.Session, m)
}

// open asks a node for a session.
func (r *Room) open(at drtc.NodeID, session drtc.SessionID, m *member) {
	r.out = append(r.out, ToNode{Node: at, Session: session, Command: OpenSession{
		Room: r.state.ID, Participant: m.ID, Identity: m.Identity,
		Permission: m.atNode(), Application: m.Application, APIKey: m.APIKey, Guest: m.Guest != nil,
		Unreported: m.unreported(),
	}})
}

// close ends a session; on a lost node also when it is back.
func (r *Room) close(at drtc.NodeID, session drtc.SessionID) {
	if at.IsZero() {
		return
	}
	if n := r.nodes[at]; n != nil && n.lost && len(n.ghosts) < maxGhosts {
		n.ghosts = append(n.ghosts, session)
	}
	r.out = append(r.out, ToNode{Node: at, Session: session, Command: CloseSession{}})
}

// moveOpened goes on when the new node has made the session, or not.
func (r *Room) moveOpened(m *member, c SessionOpened) {
	if c.Err != "" {
		r.elsewhere(m, true)
		return
	}
	m.move.opened = true
	r.moveOn(m)
}

// moveOn hands over the offer that waits for the session. One who has nothing
// to restore has moved then.
func (r *Room) moveOn(m *member) {
	if !m.move.opened || !m.move.back {
		return
	}
	if !m.Answered {
		m.move = nil
		r.tellNode(m)
		for _, s := range m.Subscriptions {
			s.held = false
		}
		r.reconcile(m)
	}
	if m.negotiation.inFlight == nil {
		r.firstOffer(m)
	}
}

// hold reports whether the offer of one who moves must wait. With the answer the
// client leaves its old path, which goes on until then. Chromium looks for
// checks to send every 250 ms only, as long as it has sent three from everywhere,
// then every 48 ms. So the answer is to come when it has begun to send them from
// its new candidates, and not after the third.
func (r *Room) hold(m *member) bool {
	if m.move == nil || m.move.answered || !m.Answered || !r.keeps(m) {
		return false
	}
	if !m.move.held {
		m.move.held = true
		if wait := holdOffer - m.figures.RoundTrip; wait > 0 {
			m.move.heldUntil = r.now.Add(wait)
		}
	}
	return !m.move.heldUntil.IsZero()
}

// release hands the offer on that has waited.
func (r *Room) release(m *member) {
	m.move.heldUntil = time.Time{}
	r.moveOn(m)
}

// elsewhere tries another session for one who moves, on another node if so. An
// offer that the client waits for goes there.
func (r *Room) elsewhere(m *member, exclude bool) {
	r.close(m.Node, m.Session)
	if exclude {
		m.exclude = append(m.exclude, m.Node)
	}
	if m.move.attempts >= maxAttempts {
		r.dismiss(m, Migration, Reconnect)
		return
	}
	n := &m.negotiation
	if n.next == nil && n.inFlight != nil && !n.stale {
		n.next = n.inFlight
	}
	*n = negotiation{next: n.next}
	m.Node, m.Session = drtc.NodeID{}, m.nextSession()
	m.move.opened = false
	r.needPlan()
}

// moveLost is for one whose new node is lost while it moves there.
func (r *Room) moveLost(m *member) {
	if m.move.answered { // the client has gone there
		before := m.move
		r.startMove(m, false)
		m.move.began, m.move.attempts = before.began, max(m.move.attempts, before.attempts)
		return
	}
	r.elsewhere(m, true)
}

// welcomeBack lets in one who resumes while it moves: there is no session to ask
// about.
func (r *Room) welcomeBack(m *member, conn Conn) {
	for _, old := range []Conn{m.conn, m.resuming} {
		if old != 0 && old != conn {
			r.out = append(r.out, CloseClient{Conn: old})
		}
	}
	m.conn, m.resuming, m.graceUntil = conn, 0, time.Time{}
	m.move.told, m.move.back = true, true
	m.move.until = r.now.Add(resumeWithin)
	if last := m.move.began.Add(moveWithin); m.move.until.After(last) {
		m.move.until = last
	}
	m.negotiation.renew()
	r.toClient(m, WelcomeBack{Node: m.Node})
	r.refreshToken(m)
	r.catchUp(m)
	if m.Node.IsZero() {
		r.moveTo(m, r.standbyOf(m.move.from))
		r.needPlan()
	}
}

// syncState takes what a client says of its transport when it resumes.
func (r *Room) syncState(m *member, c SyncState) {
	if len(c.Channels) > 0 {
		m.Channels = c.Channels[:min(len(c.Channels), maxChannels)]
	}
}

// maxChannels bounds the data channels of a client.
const maxChannels = 16

// restoration is what m's client had, and may still have.
func (r *Room) restoration(m *member) *Restoration {
	if !m.Answered {
		return nil
	}
	for _, s := range m.Subscriptions {
		s.promised = false
	}
	back := &Restoration{Channels: slices.Clone(m.Channels)}
	for _, mid := range sortedMIDs(m.MIDs) {
		id := m.MIDs[mid]
		publisher, t := r.track(id)
		s := m.Subscriptions[id]
		if t == nil || s == nil || !s.held || !r.entitled(m, publisher, t, s) {
			continue
		}
		s.promised = true
		back.Tracks = append(back.Tracks, RestoredTrack{
			MID: mid, Track: id, Stream: streamFor(m, publisher, t), Kind: t.Kind, MIME: t.MIME,
		})
	}
	for _, t := range m.Tracks {
		for _, l := range t.Streams {
			if t.MID != "" && l.SSRC != 0 {
				back.Sources = append(back.Sources, RestoredSource{MID: t.MID, RID: l.RID, SSRC: l.SSRC, Repair: l.Repair})
			}
		}
	}
	return back
}

func sortedMIDs(mids map[string]drtc.TrackID) []string {
	var all []string
	for mid := range mids {
		all = append(all, mid)
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return all
}

// restored goes on when the new node has answered. What it has promised is
// subscribed at once, though the tracks may not be there yet: else the next
// negotiation would end the promise.
func (r *Room) restored(m *member) {
	if m.move == nil || m.move.answered {
		return
	}
	m.move.answered = true
	r.tellNode(m)
	var start []Subscription
	for id, s := range sortedSubscriptions(m) {
		publisher, t := r.track(id)
		if s.On = s.promised; s.On {
			s.lapsed = !r.has(m, publisher, t)
			start = append(start, Subscription{Track: id, Stream: streamFor(m, publisher, t), Settings: s.Settings})
		}
		s.held, s.promised = false, false
	}
	if len(start) > 0 {
		r.toNode(m, SubscribeTracks{Subscriptions: start})
	}
}

// arrived ends a move when the client is connected to the new node.
func (r *Room) arrived(m *member) {
	if m.move == nil || !m.move.answered || !m.move.connected {
		return
	}
	m.move, m.exclude = nil, nil
	m.settleAt = r.now.Add(settleWithin)
	r.changed = true
	r.retire()
	r.needPlan()
}
