package room

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// A participant can be forwarded: its tracks are shown in other rooms too. Its own
// room tells each of those all that there is to know, when it changes and as a sign
// of life, and the other room makes a guest of it (guest.go). Rooms may be written
// by different processes, so what is told can come late, twice, or not at all:
//
//	Forward ─▶ own room ──Host──▶ other room, with the guest
//	              ▲─────EndForward────┘  removed there, or not taken
//
// A forward ends with the participant's stay, with its removal from the other
// room, and when it is hidden.

const (
	// forwardEvery is how often another room is told without news, and guestFor how
	// long a guest stays there without: longer than a member may take to another
	// node.
	forwardEvery = 10 * time.Second
	guestFor     = 45 * time.Second
	// maxForwards bounds the rooms to which one participant is forwarded.
	maxForwards = 16
)

// Why a participant can't be forwarded.
var (
	ErrGuest    = errors.New("room: the participant is forwarded from another room")
	ErrForwards = errors.New("room: the participant is forwarded to as many rooms as possible")
	ErrUnseen   = errors.New("room: the participant is hidden, or waits in the lobby")
	ErrIdentity = errors.New("room: another participant has this identity")
	ErrExpelled = errors.New("room: the participant was removed from the room")
)

// Orders about forwarding.
type (
	// Forward shows a participant in another room. As and Session are new, and
	// chosen by the owner: as whom it is there. If it is forwarded there already,
	// nothing changes.
	Forward struct {
		Identity drtc.Identity
		To       string // name of the room
		As       drtc.ParticipantID
		Session  drtc.SessionID
	}
	// EndForward says that the other room has no such guest any more.
	EndForward struct{ Guest drtc.ParticipantID }
)

func (Forward) command()    {}
func (EndForward) command() {}

// ToRoom gives an order to another room of the application: a Host, or an
// EndForward for the answer. One that does not get there is not repeated; of
// those for one guest the last one counts.
type ToRoom struct {
	Room  string // its name
	Order Order
}

func (ToRoom) effect() {}

// Guest is what a room tells another one of a participant that it forwards there:
// all of it, each time. What has a higher Serial is newer.
type Guest struct {
	ID      drtc.ParticipantID `json:"id"`      // as whom it is there
	Session drtc.SessionID     `json:"session"` // of the first session there
	From    string             `json:"from"`    // name of its own room
	Serial  uint64             `json:"serial"`
	Gone    bool               `json:"gone,omitempty"` // with Reason
	Reason  Reason             `json:"reason,omitempty"`

	Identity    drtc.Identity     `json:"identity"`
	Name        string            `json:"name,omitempty"`
	Metadata    string            `json:"metadata,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Client      Client            `json:"client"`
	Application string            `json:"application,omitempty"`
	// Home is where it publishes; zero while it is on the way between nodes, when
	// what was said before counts.
	Home   Home    `json:"home"`
	Tracks []Shown `json:"tracks,omitempty"`
}

// Home is a session on a node.
type Home struct {
	Node    drtc.NodeID    `json:"node"`
	Session drtc.SessionID `json:"session,omitempty"`
}

// Shown is a track of a participant that is forwarded.
type Shown struct {
	Track
	Away bool `json:"away,omitempty"` // not on Home yet
}

// forward is one other room in which a member is shown.
type forward struct {
	To      string             `json:"to"`
	As      drtc.ParticipantID `json:"as"`
	Session drtc.SessionID     `json:"session"`
	Serial  uint64             `json:"serial"`

	told Guest // last, but for Serial
	next time.Time
}

// Forwarding is what the other room would be told first if the Forward were
// carried out; the error says why it would not be.
func (r *Room) Forwarding(c Forward) (Guest, error) {
	m, err := r.forwardable(c)
	if err != nil {
		return Guest{}, err
	}
	f := m.forwardTo(c.To)
	if f == nil {
		f = &forward{To: c.To, As: c.As, Session: c.Session}
	}
	g := r.guest(m, f)
	g.Serial = f.Serial
	return g, nil
}

func (r *Room) forwardable(c Forward) (*member, error) {
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return nil, ErrNoParticipant
	case m.Guest != nil:
		return nil, ErrGuest
	case m.Permission.Hidden || m.Lobby:
		return nil, ErrUnseen
	case len(m.Forwards) >= maxForwards && m.forwardTo(c.To) == nil:
		return nil, ErrForwards
	}
	return m, nil
}

func (m *member) forwardTo(room string) *forward {
	for _, f := range m.Forwards {
		if f.To == room {
			return f
		}
	}
	return nil
}

func (c Forward) carryOut(r *Room) error {
	m, err := r.forwardable(c)
	if err == nil && m.forwardTo(c.To) == nil {
		m.Forwards = append(m.Forwards, &forward{To: c.To, As: c.As, Session: c.Session})
		r.changed = true
	}
	return err
}

func (c EndForward) carryOut(r *Room) error {
	for _, m := range r.state.Members {
		m.Forwards = slices.DeleteFunc(m.Forwards, func(f *forward) bool {
			r.changed = r.changed || f.As == c.Guest
			return f.As == c.Guest
		})
	}
	return nil
}

// guest is what f's room is to know of m.
func (r *Room) guest(m *member, f *forward) Guest {
	v := m.view()
	g := Guest{
		ID: f.As, Session: f.Session, From: r.state.Name, Application: m.Application,
		Identity: v.Identity, Name: v.Name, Metadata: v.Metadata, Attributes: unreserved(m.Attributes),
		Client: Client{Kind: m.Client.Kind, KindDetails: slices.Clone(m.Client.KindDetails)},
	}
	if m.move == nil {
		g.Home = Home{Node: m.Node, Session: m.Session}
	}
	for _, t := range m.Tracks {
		if t.Announced {
			shown := Shown{Track: t.view(), Away: t.Away || !t.Matched}
			shown.MID, shown.CID, shown.Version = "", "", 0
			g.Tracks = append(g.Tracks, shown)
		}
	}
	return g
}

// tellForwards tells the other rooms what is news of those who are forwarded
// there.
func (r *Room) tellForwards() {
	for _, m := range r.state.Members {
		if len(m.Forwards) == 0 {
			continue
		}
		if m.Permission.Hidden || m.Lobby {
			r.endForwards(m, UnknownReason)
			continue
		}
		for _, f := range m.Forwards {
			g := r.guest(m, f)
			news := !reflect.DeepEqual(g, f.told)
			if !news && r.now.Before(f.next) {
				continue
			}
			f.told, f.next = g, r.now.Add(forwardEvery)
			if news {
				f.Serial++
				r.changed = true
			}
			g.Serial = f.Serial
			r.out = append(r.out, ToRoom{Room: f.To, Order: Host{Guest: g}})
		}
	}
}

// endForwards tells the other rooms that m is not shown there any more.
func (r *Room) endForwards(m *member, reason Reason) {
	for _, f := range m.Forwards {
		r.out = append(r.out, ToRoom{Room: f.To, Order: Host{Guest: Guest{
			ID: f.As, From: r.state.Name, Serial: f.Serial + 1, Identity: m.Identity, Gone: true, Reason: reason,
		}}})
	}
	if len(m.Forwards) > 0 {
		m.Forwards, r.changed = nil, true
	}
}
