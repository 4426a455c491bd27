package room

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// phase of a member on its way into the room.
type phase uint8

const (
	waiting phase = iota // for a node
	opening              // for its session on the node
	present
)

// member is one participant. What has a JSON name is saved.
type member struct {
	ID            drtc.ParticipantID             `json:"id"`
	Session       drtc.SessionID                 `json:"session"`
	Node          drtc.NodeID                    `json:"node"`
	Identity      drtc.Identity                  `json:"identity"`
	Name          string                         `json:"name,omitempty"`
	Metadata      string                         `json:"metadata,omitempty"`
	Attributes    map[string]string              `json:"attributes,omitempty"`
	Permission    Permission                     `json:"permission"`
	Client        Client                         `json:"client"`
	AutoSubscribe bool                           `json:"auto_subscribe,omitempty"`
	Application   string                         `json:"application,omitempty"`
	APIKey        string                         `json:"api_key,omitempty"`
	State         State                          `json:"state"`
	Version       uint32                         `json:"version"`
	JoinedAt      time.Time                      `json:"joined_at"`
	Tracks        []*publication                 `json:"tracks,omitempty"`
	Subscriptions map[drtc.TrackID]*subscription `json:"subscriptions,omitempty"`
	Closed        bool                           `json:"closed,omitempty"` // only Grants may subscribe
	Grants        []Grant                        `json:"grants,omitempty"`
	Answered      bool                           `json:"answered,omitempty"` // an offer has been answered
	Place         *drtc.Place                    `json:"place,omitempty"`
	// What the client's transport is, for another node to take it up: which
	// track it receives on which section, and its data channels.
	MIDs     map[string]drtc.TrackID `json:"mids,omitempty"`
	Channels []Channel               `json:"channels,omitempty"`
	Moves    uint32                  `json:"moves,omitempty"`  // sessions that it had besides the first
	Moving   bool                    `json:"moving,omitempty"` // as it was saved
	Guest    *guest                  `json:"guest,omitempty"`  // nil for one with a client
	// Forwards are the other rooms in which it is shown.
	Forwards []*forward `json:"forwards,omitempty"`
	standing

	phase    phase
	conn     Conn          // 0 while the connection is lost
	resuming Conn          // asked to resume, the node's word is awaited
	doubtful bool          // restored: what its node was told last may not have come there
	exclude  []drtc.NodeID // nodes that did not take it
	move     *move         // while it is on its way to another node
	next     *next         // session that is prepared for such a way
	settleAt time.Time     // some time after it
	untold   bool          // the node where it goes has another permission of it
	first    []AddTrack    // announced with the Join
	watch    *spectator    // nil for a participant
	departed []Participant

	negotiation negotiation
	graceUntil  time.Time
	refreshAt   time.Time
	retryAt     time.Time
	calmUntil   time.Time                   // see calm
	unseen      map[drtc.ParticipantID]bool // who changed in that time

	figures    Figures
	reportedAt time.Time
	down       bool // the node sees no packets of it
	quality    Connection
	greeted    bool // has had everybody's quality
}

// publication is a track and its way to the public.
type publication struct {
	Track
	Matched   bool `json:"matched,omitempty"`   // a section of the SDP carries it
	Live      bool `json:"live,omitempty"`      // media has arrived
	Announced bool `json:"announced,omitempty"` // others know it
	Heard     bool `json:"heard,omitempty"`     // its publisher knows of a subscriber
	Whole     bool `json:"whole,omitempty"`     // one stream holds all its layers (SVC)
	// Streams are those that its publisher has sent so far, and As its id in the
	// publisher's SDP, for another node to know them.
	Streams    []Layer `json:"streams,omitempty"`
	As         string  `json:"as,omitempty"`
	Away       bool    `json:"away,omitempty"` // not on its publisher's node yet since that moved
	offeredAs  bool    // muted, when its section was last offered to the node
	demandSent bool
	demand     [3]bool
	later      *[3]bool // demand that is told when its publisher's move has settled
	// Of a guest's: its id in its own room, whether it is muted there, and here
	// alone.
	Of         drtc.TrackID `json:"of,omitempty"`
	MutedThere bool         `json:"muted_there,omitempty"`
	Silenced   bool         `json:"silenced,omitempty"`
	absent     bool         // from the guest's home, for now
	aliased    bool         // its node has been asked for it
}

// subscription is what a viewer asked of a track and what it has.
type subscription struct {
	Wish     *bool     `json:"wish,omitempty"` // the viewer's own word, nil for its default
	Settings *Settings `json:"settings,omitempty"`
	Told     int8      `json:"told,omitempty"` // +1: it may see the track, -1: it may not
	On       bool      `json:"on,omitempty"`   // the node has been told to forward it
	refused  bool      // by the node, until the track changes or the viewer asks again
	doubted  bool      // refused once, while the track should be there
	// On, and the node has not the track any more: told again when it has.
	lapsed bool
	// Of a viewer that moves: On before, and asked to be restored.
	held, promised bool
}

func (r *Room) byID(id drtc.ParticipantID) *member {
	for _, m := range r.state.Members {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (r *Room) bySession(id drtc.SessionID) *member {
	for _, m := range r.state.Members {
		if m.Session == id {
			return m
		}
	}
	return nil
}

// with calls do with a participant that is in the room.
func (r *Room) with(id drtc.ParticipantID, do func(*member)) {
	if m := r.byID(id); m != nil && m.phase == present {
		do(m)
	}
}

// of is with, by session.
func (r *Room) of(id drtc.SessionID, do func(*member)) {
	if m := r.bySession(id); m != nil && m.phase == present {
		do(m)
	}
}

// members returns a copy of the list, for loops that remove.
func (r *Room) members() []*member { return slices.Clone(r.state.Members) }

// viewers lists those whom m's doings concern: itself and, unless it is hidden,
// everybody in the room.
func (r *Room) viewers(m *member) []*member {
	var all []*member
	for _, v := range r.state.Members {
		if v.phase == present && r.hears(v, m) {
			all = append(all, v)
		}
	}
	return all
}

// track finds a track and its publisher.
func (r *Room) track(id drtc.TrackID) (*member, *publication) {
	for _, m := range r.state.Members {
		if t := m.track(id); t != nil {
			return m, t
		}
	}
	return nil, nil
}

func (m *member) track(id drtc.TrackID) *publication {
	for _, t := range m.Tracks {
		if t.ID == id {
			return t
		}
	}
	return nil
}

func (m *member) publishing() bool {
	return slices.ContainsFunc(m.Tracks, func(t *publication) bool { return t.Announced })
}

// view is m's public face: a copy.
func (m *member) view() Participant {
	p := Participant{
		ID: m.ID, Identity: m.Identity, State: m.State, Name: m.Name, Metadata: m.Metadata,
		Attributes: m.face(), Permission: m.Permission, JoinedAt: m.JoinedAt,
		Version: m.Version, Publishing: m.publishing(), Client: m.Client,
	}
	for _, t := range m.Tracks {
		if t.Announced {
			p.Tracks = append(p.Tracks, t.view())
		}
	}
	return p
}

// view is the track's public face: a copy.
func (t *publication) view() Track {
	v := t.Track
	v.Layers = slices.Clone(t.Layers)
	v.AudioFeatures = slices.Clone(t.AudioFeatures)
	return v
}

// announce tells everybody concerned that m has changed.
func (r *Room) announce(m *member) {
	m.Version++
	r.changed = true
	for _, v := range r.viewers(m) {
		if v == m {
			r.toClient(v, Update{Participants: []Participant{m.view()}})
			continue
		}
		r.tell(v, m.view())
	}
}
