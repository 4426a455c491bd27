package room

import (
	"cmp"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Config of a room.
type Config struct {
	// Grace is how long a participant stays after its connection was lost.
	Grace time.Duration
	// EmptyTimeout is how long an empty room lives.
	EmptyTimeout time.Duration
	// ReportInterval is the time between connection quality reports.
	ReportInterval time.Duration
	// TokenRefresh is the time between new tokens.
	TokenRefresh time.Duration
	// MaxParticipants and MaxTracks (of one participant) bound the room, and
	// MaxSpectators those who only watch.
	MaxParticipants, MaxTracks, MaxSpectators int
	// Notify says that somebody wants the room's events (effect Notify).
	Notify bool
}

// DefaultConfig returns the values used in production.
func DefaultConfig() Config {
	return Config{
		Grace:           20 * time.Second,
		EmptyTimeout:    20 * time.Second,
		ReportInterval:  5 * time.Second,
		TokenRefresh:    4 * time.Minute,
		MaxParticipants: 200,
		MaxTracks:       32,
		MaxSpectators:   1000,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Grace", c.Grace}, {"EmptyTimeout", c.EmptyTimeout},
		{"ReportInterval", c.ReportInterval}, {"TokenRefresh", c.TokenRefresh},
	} {
		if d.value < 100*time.Millisecond || d.value > 24*time.Hour {
			return fmt.Errorf("room: config: %s: want 100ms to 24h, got %v", d.name, d.value)
		}
	}
	if c.MaxParticipants < 1 {
		return fmt.Errorf("room: config: MaxParticipants: want at least 1, got %d", c.MaxParticipants)
	}
	if c.MaxSpectators < 0 {
		return fmt.Errorf("room: config: MaxSpectators: want at least 0, got %d", c.MaxSpectators)
	}
	if c.MaxTracks < 1 {
		return fmt.Errorf("room: config: MaxTracks: want at least 1, got %d", c.MaxTracks)
	}
	return nil
}

// Room is the state machine of one room.
type Room struct {
	config Config
	state  state

	// What follows is not worth saving.
	now        time.Time
	out        []Effect
	changed    bool
	planning   bool      // a plan was asked for
	planAt     time.Time // when it is asked for
	knownAt    time.Time // until then a restored room waits for news of its nodes
	nodes      map[drtc.NodeID]*node
	cascade    *cascade.Cascade
	hops       []hop
	failing    []plan.Link // pairs that could not be linked when a plan was last asked for
	reroutedAt time.Time   // when a plan was last asked for because of links, or will be
	retired    []retired
	comebacks  map[drtc.Identity]time.Time // who is to join anew, until when
	reportAt   time.Time
	emptyAt    time.Time
	speakers   map[drtc.ParticipantID]Speaker
	said       counts               // last sent in a RoomChanged
	focus      []drtc.ParticipantID // who was the active speaker, the present one first
	rival      drtc.ParticipantID   // who is louder, and when it takes the place
	rivalAt    time.Time
}

// state is what outlives the process.
type state struct {
	ID       drtc.RoomID `json:"id"`
	Name     string      `json:"name"`
	Metadata string      `json:"metadata,omitempty"`
	Created  time.Time   `json:"created"`
	// Application pays for the links between nodes.
	Application string        `json:"application,omitempty"`
	Members     []*member     `json:"members,omitempty"`
	Plan        plan.Plan     `json:"plan"`
	Cascade     cascade.State `json:"cascade"`
	Terms       terms         `json:"terms,omitzero"`
	Nodes       []savedNode   `json:"nodes,omitempty"`
	// Rules are those of the policy, Stage is that of its plans in force.
	Rules  Rules                    `json:"rules,omitzero"`
	Stage  int                      `json:"stage,omitempty"`
	Absent map[drtc.Identity]absent `json:"absent,omitempty"`
	// Turned are guests that have gone for good, until nobody speaks of them.
	Turned map[drtc.ParticipantID]time.Time `json:"turned,omitempty"`
}

type counts struct{ participants, publishers uint32 }

// New makes an empty room. id is new.
func New(config Config, id drtc.RoomID, name string, now time.Time) *Room {
	return &Room{
		config:   config,
		state:    state{ID: id, Name: name, Created: now},
		emptyAt:  now.Add(config.EmptyTimeout),
		speakers: map[drtc.ParticipantID]Speaker{},
		nodes:    map[drtc.NodeID]*node{},
		cascade:  cascade.New(string(id)),
	}
}

// ID returns the room's id.
func (r *Room) ID() drtc.RoomID { return r.state.ID }

// Name returns the name by which clients ask for the room.
func (r *Room) Name() string { return r.state.Name }

// Handle applies one command and returns what follows from it.
func (r *Room) Handle(now time.Time, c Command) []Effect {
	r.now = now
	r.apply(c)
	return r.drain()
}

// drain hands over the effects, and notes when the room fell empty: then it is
// free to come up on other nodes.
func (r *Room) drain() []Effect {
	if len(r.state.Members) > 0 {
		r.emptyAt = time.Time{}
		r.switchOver()
		r.watchFailing()
	} else if r.emptyAt.IsZero() {
		r.emptyAt = r.now.Add(r.emptyFor())
		r.state.Plan, r.planning, r.planAt, r.knownAt = plan.Plan{}, false, time.Time{}, time.Time{}
		r.cascade.CloseAll(r.now)
		r.retire()
	}
	r.orders()
	r.tellForwards()
	out := r.out
	r.out = nil
	return out
}

func (r *Room) apply(c Command) {
	switch c := c.(type) {
	case Join:
		r.join(c)
	case Planned:
		r.planned(c)
	case Resume:
		r.resume(c)
	case Dropped:
		r.dropped(c)
	case NodeLost:
		r.nodeLost(c)
	case NodeSynced:
		r.nodeSynced(c)
	case NodeDraining:
		r.nodeDraining(c)
	case SpeakerLevels:
		r.speakerLevels(c)
	case SessionOpened:
		r.sessionOpened(c)
	case RelayPrepared, RelayOpened, RoutesSet, Claimed, RelayChanged, RelayReported, TrackAvailable:
		r.relay(c)
	case Leave, Dismiss, Offer, Trickle, SyncState, AddTrack, Mute, Subscribe, SetTrack, SetPermission, SetMetadata, SetFeatures:
		r.request(c)
	case Order:
		_ = c.carryOut(r) // Administer tells
	default:
		r.report(c)
	}
}

// request applies what a participant asks for.
func (r *Room) request(c Command) {
	switch c := c.(type) {
	case Leave:
		r.with(c.Participant, func(m *member) { r.dismiss(m, ClientInitiated, Disconnect) })
	case Dismiss:
		r.with(c.Participant, func(m *member) {
			if c.Action == DoResume {
				r.sessionEnded(m, c.Reason)
				return
			}
			r.dismiss(m, c.Reason, c.Action)
		})
	case Offer:
		r.with(c.Participant, func(m *member) { r.offer(m, c) })
	case Trickle:
		r.with(c.Participant, func(m *member) { r.toNode(m, SendCandidates{Candidates: c.Candidates}) })
	case SyncState:
		r.with(c.Participant, func(m *member) { r.syncState(m, c) })
	case AddTrack:
		r.with(c.Participant, func(m *member) { r.addTrack(m, c) })
	case Mute:
		r.with(c.Participant, func(m *member) { r.mute(m, c) })
	case Subscribe:
		r.with(c.Participant, func(m *member) { r.subscribe(m, c) })
	case SetTrack:
		r.with(c.Participant, func(m *member) { r.setTrack(m, c) })
	case SetPermission:
		r.with(c.Participant, func(m *member) { r.setPermission(m, c) })
	case SetMetadata:
		r.with(c.Participant, func(m *member) { r.setMetadata(m, c) })
	case SetFeatures:
		r.with(c.Participant, func(m *member) { r.setFeatures(m, c) })
	}
}

// report applies what a node says of a session.
func (r *Room) report(c Command) {
	switch c := c.(type) {
	case Offered:
		r.of(c.Session, func(m *member) { r.offered(m, c) })
	case Subscribed:
		r.of(c.Session, func(m *member) { r.subscribed(m, c) })
	case Unsubscribed:
		r.of(c.Session, func(m *member) {
			if c.Negotiate {
				r.needSections(m, 0, 0)
			}
		})
	case SourcesSet:
		r.of(c.Session, func(m *member) { r.sourcesSet(m, c) })
	case Inspected:
		r.of(c.Session, func(m *member) { r.inspected(m, c) })
	case SessionChanged:
		r.of(c.Session, func(m *member) { r.sessionChanged(m, c) })
	case TrackLive:
		r.of(c.Session, func(m *member) { r.trackLive(m, c) })
	case TrackEnded:
		r.of(c.Session, func(m *member) {
			if t := m.track(c.Track); m.Guest != nil && t != nil {
				r.aliasEnded(m, t)
				return
			}
			r.trackEnded(m, c)
		})
	case Aliased:
		r.of(c.Session, func(m *member) { r.aliased(m, c) })
	case NegotiationNeeded:
		r.of(c.Session, func(m *member) { r.negotiationNeeded(m, c) })
	case LayerDemand:
		r.of(c.Session, func(m *member) { r.layerDemand(m, c) })
	case SubscriptionActive:
		r.of(c.Session, func(m *member) { r.subscriptionActive(m, c) })
	case SessionReport:
		r.of(c.Session, func(m *member) { m.figures, m.reportedAt = c.Figures, r.now })
	}
}

// NextTimeout returns when HandleTimeout is due, or the zero time.
func (r *Room) NextTimeout() time.Time {
	next := r.cascade.NextTimeout()
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	sooner(r.emptyAt)
	sooner(r.planAt)
	sooner(r.knownAt)
	sooner(r.reportAt)
	sooner(r.rivalAt)
	for _, m := range r.state.Members {
		sooner(m.graceUntil)
		sooner(m.refreshAt)
		sooner(m.retryAt)
		sooner(m.calmUntil)
		sooner(m.settleAt)
		if m.move != nil {
			sooner(m.move.until)
			sooner(m.move.heldUntil)
		}
		if m.next != nil && m.next.opened {
			sooner(m.next.until)
		}
		if m.Guest != nil {
			sooner(m.Guest.until)
		}
		for _, f := range m.Forwards {
			sooner(cmp.Or(f.next, r.now))
		}
	}
	for _, a := range r.state.Absent {
		sooner(a.Until)
	}
	for _, old := range r.retired {
		sooner(old.until)
	}
	for _, n := range r.nodes {
		sooner(n.claimAt)
	}
	return next
}

// HandleTimeout does what is due at now.
func (r *Room) HandleTimeout(now time.Time) []Effect {
	r.now = now
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	for _, m := range r.members() {
		if m.Guest != nil && due(m.Guest.until) {
			m.Guest.over = true
			r.remove(m, SignalClosed)
			continue
		}
		if due(m.graceUntil) {
			r.remove(m, SignalClosed)
			continue
		}
		if m.move != nil && due(m.move.until) {
			r.dismiss(m, Migration, Reconnect)
			continue
		}
		if m.move != nil && due(m.move.heldUntil) {
			r.release(m)
		}
		if due(m.settleAt) {
			r.settle(m)
		}
		if due(m.refreshAt) {
			m.refreshAt = now.Add(r.config.TokenRefresh)
			r.refreshToken(m)
		}
		if due(m.calmUntil) {
			r.calmOver(m)
		}
		if due(m.retryAt) {
			r.retry(m)
		}
	}
	if due(r.knownAt) {
		r.giveUpUnheard()
	}
	if due(r.planAt) {
		r.planAt = time.Time{}
		r.needPlan()
	}
	r.absentees()
	r.retire()
	for _, id := range r.nodeIDs(func(n *node) bool { return due(n.claimAt) }) {
		r.claim(id)
	}
	r.cascade.HandleTimeout(now)
	if due(r.rivalAt) {
		r.refocus()
	}
	if due(r.reportAt) {
		r.reportQualities()
	}
	if due(r.emptyAt) {
		r.end(false)
	}
	return r.drain()
}

// Info returns the public face of the room.
func (r *Room) Info() Info {
	n := r.count()
	return Info{
		ID: r.state.ID, Name: r.state.Name, Metadata: r.state.Metadata, Created: r.state.Created,
		Participants: n.participants, Publishers: n.publishers,
		Options: r.options(),
	}
}

func (r *Room) count() (n counts) {
	for _, m := range r.state.Members {
		if m.phase != present || m.Permission.Hidden {
			continue
		}
		n.participants++
		if m.publishing() {
			n.publishers++
		}
	}
	return n
}

// Session is what the owner may know of one participant.
type Session struct {
	Participant drtc.ParticipantID
	Session     drtc.SessionID
	Node        drtc.NodeID
	Figures     Figures
	APIKey      string // by whose token it came
	Unreported  bool   // the room wants no SessionReport of it
}

// unreported reports whether nobody hears of m's quality.
func (m *member) unreported() bool { return m.watch != nil || m.Guest != nil }

// Find returns the session of the participant with this identity.
func (r *Room) Find(id drtc.Identity) (Session, bool) {
	for _, m := range r.state.Members {
		if m.Identity == id && m.phase == present && m.watch == nil {
			return Session{Participant: m.ID, Session: m.Session, Node: m.Node, Figures: m.figures}, true
		}
	}
	return Session{}, false
}

// Sessions lists the sessions that exist or are being made, for the owner's
// routing of events.
func (r *Room) Sessions() []Session {
	var all []Session
	for _, m := range r.state.Members {
		if m.phase != waiting && !m.Node.IsZero() {
			all = append(all, Session{
				Participant: m.ID, Session: m.Session, Node: m.Node, Figures: m.figures, APIKey: m.APIKey, Unreported: m.unreported(),
			})
		}
		if m.next != nil {
			all = append(all, Session{Participant: m.ID, Session: m.next.session, Node: m.next.node, APIKey: m.APIKey})
		}
	}
	for _, old := range r.retired {
		all = append(all, Session{Participant: old.member, Session: old.session, Node: old.node})
	}
	return all
}

// toClient sends m a message. A spectator hears of nothing but its answers and
// its end.
func (r *Room) toClient(m *member, msg Message) {
	if m.watch != nil {
		switch msg.(type) {
		case Answer, Goodbye:
		default:
			return
		}
	}
	if m.conn != 0 && m.phase == present {
		r.out = append(r.out, ToClient{Conn: m.conn, Message: msg})
	}
}

// toNode sends a command about m's session. There is none for a lost node, and
// while m moves nothing but what makes the session: the rest is told when it is
// restored.
func (r *Room) toNode(m *member, c NodeCommand) {
	if m.Node.IsZero() || r.lost(m.Node) {
		return
	}
	if _, offer := c.(SendOffer); !offer && !m.usable() {
		return
	}
	r.out = append(r.out, ToNode{Node: m.Node, Session: m.Session, Command: c})
}
