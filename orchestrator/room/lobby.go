package room

import (
	"errors"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Waiting is the value of AttributeLobby while a participant waits to be let in.
const Waiting = "waiting"

// What a server may set AttributeLobby to by Permit.
const (
	lobbyAccepted = "accepted"
	lobbyDenied   = "denied"
)

// maxLobby bounds those who wait in the lobby of one room. They take no place in
// it.
const maxLobby = 100

// KindIngress is the Client.Kind of those who publish by WHIP.
const KindIngress = 1

// Why an order about the lobby was not obeyed.
var (
	ErrNotWaiting = errors.New("room: the participant does not wait in the lobby")
	ErrFull       = errors.New("room: the room is full")
)

// Orders about the lobby. A waiting participant is in the room, with a session
// of its own, but may do nothing, hears of nobody and is known to hosts alone.
type (
	// Accept lets one in who waits: what its token allows comes into force.
	Accept struct{ Identity drtc.Identity }
	// Deny turns one away who waits. Tokens count from TokensFrom on, as with
	// Expel.
	Deny struct {
		Identity   drtc.Identity
		TokensFrom time.Time
	}
)

func (Accept) command() {}
func (Deny) command()   {}

// Lobby lists who waits, the longest first.
func (r *Room) Lobby() []Participant {
	var all []Participant
	for _, m := range r.state.Members {
		if m.Lobby && m.inside() {
			all = append(all, m.view())
		}
	}
	return all
}

// waitingInLobby counts those who wait.
func (r *Room) waitingInLobby() int {
	n := 0
	for _, m := range r.state.Members {
		if m.Lobby {
			n++
		}
	}
	return n
}

// atNode is what m's node is told that m may do: one who may do nothing, and is
// not hidden, gets no data packets there either.
func (m *member) atNode() Permission {
	if m.Lobby {
		return Permission{}
	}
	return m.Permission
}

// crowded says why somebody can't wait in the lobby; empty when it can.
func (r *Room) crowded(c Join) string {
	switch {
	case !c.Lobby:
		return ""
	case c.Watch != nil || c.Client.Kind == KindIngress:
		return "the room has a lobby, in which WHIP and WHEP clients can't wait"
	case r.waitingInLobby() >= maxLobby:
		return "the lobby is full"
	}
	return ""
}

// letIn lets m in: it is told of those who are in the room, and they of it.
func (r *Room) letIn(m *member) {
	m.Lobby, r.changed = false, true
	m.JoinedAt = r.now // for who has been inside longest
	var others []Participant
	for _, o := range r.state.Members {
		if o != m && o.phase == present && r.hears(m, o) {
			others = append(others, o.view())
		}
	}
	if !m.calm() && len(others) > 0 {
		r.toClient(m, Update{Participants: others})
	} else {
		for _, o := range others {
			r.tell(m, o)
		}
	}
	p := r.allowed(m)
	r.permit(m, p)
	if p.Hidden { // the hosts hear no more of it
		r.announce(m)
		r.vanish(m, slices.DeleteFunc(r.members(), func(o *member) bool { return !o.host() }))
	}
	if len(r.speakers) > 0 && p.Subscribe {
		r.toClient(m, Speakers{Speakers: r.speaking()})
	}
	r.refreshToken(m)
}

// meetWaiting tells one who has become host who waits, and one who was host that
// they are gone.
func (r *Room) meetWaiting(m *member, was bool) {
	if m.host() == was {
		return
	}
	for _, o := range r.state.Members {
		switch {
		case !o.Lobby || o.phase != present || o == m:
		case was:
			r.vanish(o, []*member{m})
		default:
			r.tell(m, o.view())
		}
	}
}

// vanish has some believe that m has gone.
func (r *Room) vanish(m *member, viewers []*member) {
	m.Version++
	gone := m.view()
	gone.State, gone.Reason, gone.Tracks = Disconnected, UnknownReason, nil
	for _, v := range viewers {
		if v != m {
			delete(v.unseen, m.ID)
			r.tell(v, gone)
		}
	}
}

func (c Accept) carryOut(r *Room) error {
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return ErrNoParticipant
	case !m.Lobby:
		return ErrNotWaiting
	case !r.Vacant():
		return ErrFull
	}
	r.letIn(m)
	return nil
}

func (c Deny) carryOut(r *Room) error {
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return ErrNoParticipant
	case !m.Lobby:
		return ErrNotWaiting
	}
	return Expel(c).carryOut(r)
}

// permitted takes a server's word on what a participant may do, which counts
// more than its role; in the lobby it counts from when it is let in.
func (r *Room) permitted(m *member, p Permission) {
	p.Sources = slices.Clone(p.Sources)
	m.Granted, r.changed = &p, true
	if !m.Lobby {
		r.permit(m, p)
	}
}

// reservedFrom carries out what a server says of a participant by attributes
// that are the room's own.
func (r *Room) reservedFrom(id drtc.Identity, attributes map[string]string) error {
	if role := attributes[AttributeRole]; role != "" {
		if err := (SetRole{Identity: id, Role: role}).carryOut(r); err != nil {
			return err
		}
	}
	switch attributes[AttributeLobby] {
	case lobbyAccepted:
		return Accept{Identity: id}.carryOut(r)
	case lobbyDenied:
		return Deny{Identity: id}.carryOut(r)
	}
	return nil
}
