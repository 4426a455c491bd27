package room

import (
	"time"

	"github.com/drtc-network/drtc"
)

const (
	// comebackWithin is how long somebody who was told to join anew is expected.
	comebackWithin = 30 * time.Second
	// calm is how long one who joined anew hears nothing new of others. A JS
	// client that does a full reconnect keeps its reconnect open for 2 s after
	// the join response, even though it is connected by then. In that rest of
	// time it hands no event to its application and forgets those that it held
	// back: the application would never learn of a track that appears then.
	calm = 2200 * time.Millisecond
)

// expect notes that somebody will join anew by a full reconnect.
func (r *Room) expect(id drtc.Identity) {
	if r.comebacks == nil {
		r.comebacks = map[drtc.Identity]time.Time{}
	}
	for other, until := range r.comebacks {
		if !r.now.Before(until) {
			delete(r.comebacks, other)
		}
	}
	if len(r.comebacks) < r.config.MaxParticipants {
		r.comebacks[id] = r.now.Add(comebackWithin)
	}
}

// calmDown starts the calm time of one who was expected. It has been told of
// everybody already.
func (r *Room) calmDown(m *member) {
	if r.now.Before(r.comebacks[m.Identity]) {
		m.calmUntil = r.now.Add(calm)
	}
	delete(r.comebacks, m.Identity)
}

func (m *member) calm() bool { return !m.calmUntil.IsZero() }

// calmOver tells m what it has not been told in its calm time.
func (r *Room) calmOver(m *member) {
	unseen := m.unseen
	m.calmUntil, m.unseen = time.Time{}, nil
	if m.conn == 0 {
		return // its resume catches up
	}
	news := m.departed
	m.departed = nil
	for _, o := range r.state.Members {
		if unseen[o.ID] && r.hears(m, o) { // it may have been hidden since
			news = append(news, o.view())
		}
	}
	if len(news) > 0 {
		r.toClient(m, Update{Participants: news})
	}
	r.reconcile(m)
}

// tell sends v what has become of somebody else, or keeps it for later.
func (r *Room) tell(v *member, p Participant) {
	switch {
	case v.phase != present || v.Lobby:
	case v.conn != 0 && !v.calm():
		r.toClient(v, Update{Participants: []Participant{p}})
	case p.State == Disconnected:
		if len(v.departed) < maxDeparted {
			v.departed = append(v.departed, p)
		}
	case v.calm():
		if v.unseen == nil {
			v.unseen = map[drtc.ParticipantID]bool{}
		}
		v.unseen[p.ID] = true
	}
}
