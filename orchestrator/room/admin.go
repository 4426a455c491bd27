package room

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// movableFrom is the first version of the client protocol whose clients know
// that they can be moved to another room.
const movableFrom = 16

// maxRevoked bounds the identities whose older tokens the room refuses.
const maxRevoked = 1000

// createdTimeout is how long a room that was made for participants to come waits
// for the first, unless its maker says otherwise.
const createdTimeout = 5 * time.Minute

// Why an order was not obeyed.
var (
	ErrNoParticipant = errors.New("room: no such participant in the room")
	ErrNoTrack       = errors.New("room: the participant publishes no such track")
	ErrLimit         = errors.New("room: too long")
	ErrOldClient     = errors.New("room: the participant's client can't be moved")
	ErrAway          = errors.New("room: the participant's connection is lost at the moment")
)

// Order is a command of the application's server, which has the right to it.
// Handle takes it as any command; Administer also says why it was not obeyed.
type Order interface {
	Command
	carryOut(r *Room) error
}

// Orders. Participants are named by identity, as servers know them.
type (
	// Create makes sure that the room waits for its participants, and changes
	// what Options names.
	Create struct{ Options }
	// SetRoomMetadata replaces the room's metadata.
	SetRoomMetadata struct{ Metadata string }
	// Close lets everybody go and ends the room.
	Close struct{}
	// Permit changes what a participant may do, and its face. A nil Permission and
	// empty strings leave things as they are; an attribute with an empty value is
	// deleted.
	Permit struct {
		Identity   drtc.Identity
		Permission *Permission
		Name       string
		Metadata   string
		Attributes map[string]string
	}
	// ForceMute mutes or unmutes a participant's track, and tells its client.
	ForceMute struct {
		Identity drtc.Identity
		Track    drtc.TrackID
		Muted    bool
	}
	// Expel lets a participant go for good, and those who watch by its identity.
	// It may come back with a token that is valid from TokensFrom on; the zero
	// time keeps out nobody.
	Expel struct {
		Identity   drtc.Identity
		TokensFrom time.Time
	}
	// SetSubscriptions subscribes a participant to tracks or ends that. Tracks
	// that are not in the room are passed over.
	SetSubscriptions struct {
		Identity drtc.Identity
		Tracks   []drtc.TrackID
		On       bool
	}
	// Send hands a packet to the data channels of the participants that To or IDs
	// name, or to all when both are empty. Those who are not there are passed over.
	Send struct {
		Packet   []byte // a data packet of the client protocol
		Reliable bool
		To       []drtc.Identity
		IDs      []drtc.ParticipantID
	}
	// MoveOut sends a participant to another room: its client joins there anew.
	MoveOut struct {
		Identity drtc.Identity
		To       Info
	}
	// Await says that somebody comes from another room by MoveOut.
	Await struct{ Identity drtc.Identity }
)

// Options of a room. Zero values leave things as they are.
type Options struct {
	EmptyTimeout     time.Duration // while nobody has come yet
	DepartureTimeout time.Duration // after the last one has gone
	MaxParticipants  uint32        // not more than Config.MaxParticipants
	Metadata         string
}

// terms are what the application said of the room.
type terms struct {
	EmptyTimeout     time.Duration               `json:"empty_timeout,omitempty"`
	DepartureTimeout time.Duration               `json:"departure_timeout,omitempty"`
	MaxParticipants  uint32                      `json:"max_participants,omitempty"`
	Started          bool                        `json:"started,omitempty"` // its start has been told
	Entered          bool                        `json:"entered,omitempty"` // somebody has been in it
	Revoked          map[drtc.Identity]time.Time `json:"revoked,omitempty"` // tokens count from then on
}

// Administer is Handle for an order: the error says why it was not obeyed, and is
// one of this package's.
func (r *Room) Administer(now time.Time, o Order) ([]Effect, error) {
	r.now = now
	err := o.carryOut(r)
	return r.drain(), err
}

// Participants lists who is in the room, the hidden too, spectators not.
func (r *Room) Participants() []Participant {
	var all []Participant
	for _, m := range r.state.Members {
		if m.inside() {
			all = append(all, m.view())
		}
	}
	return all
}

// Identities are those of everybody in the room or on the way into it, the hidden
// and spectators too; some come more than once.
func (r *Room) Identities() []drtc.Identity {
	var all []drtc.Identity
	for _, m := range r.state.Members {
		all = append(all, m.Identity)
	}
	return all
}

// Participant returns who is in the room by this identity.
func (r *Room) Participant(id drtc.Identity) (Participant, bool) {
	m := r.named(id)
	if m == nil {
		return Participant{}, false
	}
	return m.view(), true
}

// Track returns a track of the participant with this identity, announced or not.
func (r *Room) Track(id drtc.Identity, track drtc.TrackID) (Track, bool) {
	if m := r.named(id); m != nil {
		if t := m.track(track); t != nil {
			return t.view(), true
		}
	}
	return Track{}, false
}

// inside reports whether m is a participant whom the room knows of.
func (m *member) inside() bool { return m.watch == nil && m.phase != waiting && m.phase != opening }

// named is the participant with this identity.
func (r *Room) named(id drtc.Identity) *member {
	for _, m := range r.state.Members {
		if m.Identity == id && m.inside() {
			return m
		}
	}
	return nil
}

// capacity is how many participants the room takes.
func (r *Room) capacity() int {
	if n := int(r.state.Terms.MaxParticipants); n > 0 {
		return min(n, r.config.MaxParticipants)
	}
	return r.config.MaxParticipants
}

// Vacant reports whether the room takes one more participant.
func (r *Room) Vacant() bool {
	return len(r.state.Members)-r.spectators()-r.waitingInLobby()-r.guests() < r.capacity()
}

// emptyFor is how long the room lives without anybody in it.
func (r *Room) emptyFor() time.Duration {
	if r.state.Terms.Entered {
		return r.options().DepartureTimeout
	}
	return r.options().EmptyTimeout
}

// options are the room's in force.
func (r *Room) options() Options {
	t := r.state.Terms
	return Options{
		EmptyTimeout:     cmp.Or(t.EmptyTimeout, r.config.EmptyTimeout),
		DepartureTimeout: cmp.Or(t.DepartureTimeout, r.config.EmptyTimeout),
		MaxParticipants:  t.MaxParticipants,
	}
}

// entered notes that somebody is in the room.
func (r *Room) entered() {
	r.started()
	r.state.Terms.Entered = true
}

// revoked turns a Join away that comes with a token from before its holder was
// expelled.
func (r *Room) revoked(c Join) bool {
	from, ok := r.state.Terms.Revoked[c.Identity]
	if !ok || !c.TokenFrom.Before(from) {
		return false
	}
	r.out = append(r.out,
		ToClient{Conn: c.Conn, Message: Goodbye{Reason: ParticipantRemoved, Action: Disconnect, Text: "removed by the application"}},
		CloseClient{Conn: c.Conn})
	return true
}

func (c Create) carryOut(r *Room) error {
	if len(c.Metadata) > maxMetadata {
		return ErrLimit
	}
	t := &r.state.Terms
	if !t.Started {
		t.EmptyTimeout = createdTimeout
	}
	if c.EmptyTimeout > 0 {
		t.EmptyTimeout = c.EmptyTimeout
	}
	if c.DepartureTimeout > 0 {
		t.DepartureTimeout = c.DepartureTimeout
	}
	if c.MaxParticipants > 0 {
		t.MaxParticipants = c.MaxParticipants
	}
	changed := c.Metadata != "" && c.Metadata != r.state.Metadata
	if changed {
		r.state.Metadata = c.Metadata
	}
	if len(r.state.Members) == 0 {
		r.emptyAt = r.now.Add(r.emptyFor())
	}
	r.changed = true
	r.started()
	if changed {
		r.tellRoom()
	}
	return nil
}

func (c SetRoomMetadata) carryOut(r *Room) error {
	if len(c.Metadata) > maxMetadata {
		return ErrLimit
	}
	if c.Metadata != r.state.Metadata {
		r.state.Metadata, r.changed = c.Metadata, true
		r.tellRoom()
	}
	return nil
}

// tellRoom tells everybody what has become of the room.
func (r *Room) tellRoom() {
	r.said = r.count()
	for _, v := range r.state.Members {
		r.toClient(v, RoomChanged{Room: r.Info()})
	}
}

func (c Close) carryOut(r *Room) error {
	bye := Goodbye{Reason: RoomDeleted, Action: Disconnect, Text: "the room was deleted"}
	// All are told to go, and hear no more, before any of them is removed.
	for _, m := range r.members() {
		switch {
		case m.phase == waiting || m.phase == opening:
			r.refuse(m, bye.Text)
			continue
		case m.resuming != 0:
			r.out = append(r.out, ToClient{Conn: m.resuming, Message: bye}, CloseClient{Conn: m.resuming})
		case m.conn != 0:
			r.toClient(m, bye)
			r.out = append(r.out, CloseClient{Conn: m.conn})
		}
		m.conn, m.resuming = 0, 0
	}
	for _, m := range r.members() {
		r.remove(m, RoomDeleted)
	}
	r.end(true)
	return nil
}

func (c Expel) carryOut(r *Room) error {
	found := false
	for _, m := range r.members() {
		switch {
		case m.Identity != c.Identity:
			continue
		case m.phase == waiting || m.phase == opening:
			r.refuse(m, "removed by the application")
		default:
			if m.resuming != 0 {
				m.conn, m.resuming = m.resuming, 0
			}
			r.dismiss(m, ParticipantRemoved, Disconnect)
		}
		found = true
	}
	if !c.TokensFrom.IsZero() {
		r.revoke(c.Identity, c.TokensFrom)
	}
	if !found {
		return ErrNoParticipant
	}
	return nil
}

// revoke makes tokens of an identity count from a time on. When there are too
// many, those are forgotten that expire first.
func (r *Room) revoke(id drtc.Identity, from time.Time) {
	t := &r.state.Terms
	if t.Revoked == nil {
		t.Revoked = map[drtc.Identity]time.Time{}
	}
	if _, again := t.Revoked[id]; !again && len(t.Revoked) >= maxRevoked {
		var oldest drtc.Identity
		for other, at := range t.Revoked {
			if oldest == "" || at.Before(t.Revoked[oldest]) || at.Equal(t.Revoked[oldest]) && other < oldest {
				oldest = other
			}
		}
		delete(t.Revoked, oldest)
	}
	t.Revoked[id], r.changed = from, true
}

func (c ForceMute) carryOut(r *Room) error {
	m := r.named(c.Identity)
	if m == nil {
		return ErrNoParticipant
	}
	t := m.track(c.Track)
	if t == nil {
		return ErrNoTrack
	}
	if m.Guest != nil {
		r.silenced(m, t, c.Muted)
		return nil
	}
	if t.Muted == c.Muted {
		return nil
	}
	r.toClient(m, Muted{Track: c.Track, Muted: c.Muted})
	r.mute(m, Mute{Participant: m.ID, Track: c.Track, Muted: c.Muted})
	return nil
}

func (c SetSubscriptions) carryOut(r *Room) error {
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return ErrNoParticipant
	case m.Guest != nil:
		return ErrGuest
	}
	r.subscribe(m, Subscribe{Participant: m.ID, Tracks: c.Tracks, On: c.On})
	return nil
}

func (c Send) carryOut(r *Room) error {
	all := len(c.To) == 0 && len(c.IDs) == 0
	var order []drtc.NodeID
	sessions := map[drtc.NodeID][]drtc.SessionID{}
	for _, m := range r.state.Members {
		if !m.inside() || m.Node.IsZero() || m.Guest != nil || all && m.Lobby {
			continue
		}
		if !all && !slices.Contains(c.To, m.Identity) && !slices.Contains(c.IDs, m.ID) {
			continue
		}
		if _, known := sessions[m.Node]; !known {
			order = append(order, m.Node)
		}
		sessions[m.Node] = append(sessions[m.Node], m.Session)
	}
	for _, node := range order {
		send := SendPacket{Room: r.state.ID, Packet: c.Packet, Reliable: c.Reliable}
		if !all {
			send.Sessions = sessions[node]
		}
		// A lane of its own keeps the room's packets in order.
		r.out = append(r.out, ToNode{Node: node, Session: drtc.SessionID("packets:" + string(r.state.ID)), Command: send})
	}
	return nil
}

// MayMove says why a participant can't be moved to another room now; nil when it
// can.
func (r *Room) MayMove(id drtc.Identity) error {
	m := r.named(id)
	switch {
	case m == nil:
		return ErrNoParticipant
	case m.Guest != nil:
		return ErrGuest
	case m.Client.Version < movableFrom:
		return ErrOldClient
	case m.conn == 0 || m.phase != present:
		return ErrAway
	}
	return nil
}

func (c MoveOut) carryOut(r *Room) error {
	if err := r.MayMove(c.Identity); err != nil {
		return err
	}
	m := r.named(c.Identity)
	m.Version++
	r.toClient(m, Moved{Room: c.To, Self: m.view()})
	r.dismiss(m, Migration, Reconnect)
	delete(r.comebacks, c.Identity) // it comes back elsewhere
	return nil
}

func (c Await) carryOut(r *Room) error {
	r.expect(c.Identity)
	return nil
}

func (c Permit) carryOut(r *Room) error {
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return ErrNoParticipant
	case m.Guest != nil:
		return ErrGuest
	}
	if c.Permission == nil && c.Name == "" && c.Metadata == "" && len(c.Attributes) == 0 {
		return nil
	}
	text := SetMetadata{Name: c.Name, Metadata: c.Metadata, Attributes: unreserved(c.Attributes)}
	if failure, _ := m.checkLengths(text); failure != FailureNone {
		return ErrLimit
	}
	m.takeMetadata(text)
	if c.Permission != nil {
		r.permitted(m, *c.Permission)
	}
	r.announce(m)
	r.refreshToken(m)
	return r.reservedFrom(c.Identity, c.Attributes)
}

// permit changes what m may do, and ends what it may do no more.
func (r *Room) permit(m *member, p Permission) {
	before := m.Permission
	if p.Hidden && !before.Hidden {
		r.hide(m) // while the others may still hear of it
	}
	m.Permission = p
	m.Permission.Sources = slices.Clone(p.Sources)
	r.changed = true
	m.untold = !m.usable() || m.next != nil
	r.toNode(m, ChangePermission{Permission: m.Permission})
	for _, t := range slices.Clone(m.Tracks) {
		if !p.MayPublish(t.Source) {
			r.toNode(m, UnpublishTrack{Track: t.ID})
			r.trackEnded(m, TrackEnded{Session: m.Session, Track: t.ID})
		}
	}
	switch {
	case before.Subscribe && !p.Subscribe:
		r.stopAll(m, func(drtc.TrackID) bool { return true })
	case !before.Subscribe && p.Subscribe:
		r.reconcile(m)
	}
	if before.Hidden && !p.Hidden {
		r.show(m)
	}
}

// stopAll ends v's subscriptions to the tracks that match.
func (r *Room) stopAll(v *member, match func(drtc.TrackID) bool) {
	var stop []drtc.TrackID
	for id, s := range sortedSubscriptions(v) {
		if s.On && match(id) {
			s.On = false
			stop = append(stop, id)
		}
	}
	if len(stop) > 0 {
		r.changed = true
		r.toNode(v, UnsubscribeTracks{Tracks: stop})
	}
}

// hide makes the others believe that m has gone.
func (r *Room) hide(m *member) {
	m.Version++
	gone := m.view()
	gone.State, gone.Reason, gone.Tracks = Disconnected, UnknownReason, nil
	for _, v := range r.state.Members {
		if v == m {
			continue
		}
		r.stopAll(v, func(id drtc.TrackID) bool { return m.track(id) != nil })
		for _, t := range m.Tracks {
			delete(v.Subscriptions, t.ID)
		}
		delete(v.unseen, m.ID)
		r.tell(v, gone)
	}
	delete(r.speakers, m.ID)
	r.unfocus(m.ID)
	m.Permission.Hidden = true
	r.castAll()
}

// show makes m known, after which its tracks may be seen.
func (r *Room) show(m *member) {
	r.announce(m)
	for _, v := range r.state.Members {
		for _, t := range m.Tracks {
			r.reconcile(v, t.ID)
		}
	}
}

func (Create) command()           {}
func (SetRoomMetadata) command()  {}
func (Close) command()            {}
func (Permit) command()           {}
func (ForceMute) command()        {}
func (Expel) command()            {}
func (SetSubscriptions) command() {}
func (Send) command()             {}
func (MoveOut) command()          {}
func (Await) command()            {}

// What orders say to nodes and clients.
type (
	// ChangePermission changes what a session may do.
	ChangePermission struct{ Permission Permission }
	// UnpublishTrack ends a published track.
	UnpublishTrack struct{ Track drtc.TrackID }
	// SendPacket delivers a data packet to sessions of a room that are on the
	// node, or to all of them when Sessions is empty.
	SendPacket struct {
		Room     drtc.RoomID
		Sessions []drtc.SessionID
		Reliable bool
		Packet   []byte
	}
	// Muted tells a publisher that the server mutes or unmutes its track.
	Muted struct {
		Track drtc.TrackID
		Muted bool
	}
	// Moved tells a client that its participant belongs to another room from now
	// on. A Goodbye that bids it join anew follows.
	Moved struct {
		Room Info
		Self Participant
	}
)

func (ChangePermission) nodeCommand() {}
func (UnpublishTrack) nodeCommand()   {}
func (SendPacket) nodeCommand()       {}
func (Muted) message()                {}
func (Moved) message()                {}
