package room

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Roles with a meaning. Applications may use words of their own besides.
const (
	RoleHost    = "host"    // may moderate, and hears of those in the lobby
	RoleSpeaker = "speaker" // what a host is after it handed over
	RoleViewer  = "viewer"
)

// Attributes of participants that are the server's: what clients say of them
// does not count. The one in a token is its maker's word on the role.
const (
	AttributeRole  = "drtc.role"
	AttributeLobby = "drtc.lobby" // Waiting, or absent
)

// maxRole bounds the word for a role, in bytes.
const maxRole = 64

// Why a host's order was not obeyed.
var (
	ErrNotHost = errors.New("room: only a host of the room may do that")
	ErrRole    = errors.New("room: a role is one word of 1 to 64 bytes")
)

// Rules of a room, from its application's policy. The zero Rules are those of a
// room without one.
type Rules struct {
	Succession Succession `json:"succession,omitzero"`
	// Limits are the most that participants of a role may do; a role that is not
	// named has none.
	Limits map[string]Permission `json:"limits,omitempty"`
	// AudioOnly refuses video, and places members by nodes' audio capacity.
	AudioOnly bool `json:"audio_only,omitempty"`
	// NeedMbps is what a node is expected to send for one member, 0 for the
	// owner's figure.
	NeedMbps float64 `json:"need_mbps,omitempty"`
	// Plans say how the room spreads over nodes, by its audience; empty is the
	// owner's policy.
	Plans []Stage `json:"plans,omitempty"`
}

// Succession says who becomes host of a room that has none.
type Succession struct {
	// On makes the one host who has been in the room longest.
	On bool `json:"on,omitempty"`
	// Roles limits it to participants of these roles, those of the first before
	// the others. Empty is everybody.
	Roles []string `json:"roles,omitempty"`
}

// Stage is a policy for a room of a size.
type Stage struct {
	Members int         `json:"members"` // from so many on, spectators counted
	Policy  plan.Policy `json:"policy"`
}

// Orders about roles.
type (
	// Moderate gives an order on behalf of a participant, who must be host.
	Moderate struct {
		By    drtc.Identity
		Order Order
	}
	// Appoint makes a participant host, in place of another who is, or besides
	// those who are when InPlaceOf is empty.
	Appoint struct{ Identity, InPlaceOf drtc.Identity }
	// SetRole gives a participant a role.
	SetRole struct {
		Identity drtc.Identity
		Role     string
	}
	// Silence mutes the tracks of a participant: its microphone's, or those of
	// the sources that are named.
	Silence struct {
		Identity drtc.Identity
		Sources  []Source
	}
)

func (Moderate) command() {}
func (Appoint) command()  {}
func (SetRole) command()  {}
func (Silence) command()  {}

// standing is what a member is in the room, apart from its media.
type standing struct {
	Role   string `json:"role,omitempty"`
	Given  string `json:"given,omitempty"`  // role with which it came
	Acting bool   `json:"acting,omitempty"` // host for want of another
	Lobby  bool   `json:"lobby,omitempty"`  // waits to be let in
	// Granted is what the token or the application's server allows, where
	// Permission is less by the role or the lobby.
	Granted *Permission `json:"granted,omitempty"`
}

// absent is the standing of one who was told to join anew.
type absent struct {
	standing
	Until time.Time `json:"until"`
}

func (m *member) host() bool { return m.Role == RoleHost && !m.Lobby }

// mayHost reports whether m is somebody who can lead a room.
func (m *member) mayHost() bool {
	p := m.granted()
	return m.watch == nil && m.Guest == nil && !p.Hidden && !p.Recorder && !p.Agent && m.Client.Kind == 0
}

// granted is what m may do but for its role and the lobby.
func (m *member) granted() Permission {
	if m.Granted != nil {
		return *m.Granted
	}
	return m.Permission
}

// seat gives one who joins its role, and its place inside or in the lobby. One
// who comes back has those that it had.
func (r *Room) seat(m *member, c Join) {
	if c.Rules != nil {
		r.state.Rules, r.changed = *c.Rules, true
	}
	m.Attributes = unreserved(c.Attributes)
	if m.watch != nil {
		return
	}
	m.Role, m.Given, m.Lobby = c.Role, c.Role, c.Lobby
	if was, ok := r.before(m); ok {
		m.Role, m.Acting, m.Lobby = was.Role, was.Acting, was.Lobby && c.Lobby
	}
	if r.leaderless(m) && (!m.Lobby || r.Vacant()) {
		m.Role, m.Acting, m.Lobby = RoleHost, true, false
	}
	delete(r.state.Absent, m.Identity)
	if _, limited := r.state.Rules.Limits[m.Role]; limited || m.Lobby {
		p := c.Permission
		m.Granted = &p
		m.Permission = r.allowed(m)
	}
}

// leaderless reports whether m becomes host because there is none.
func (r *Room) leaderless(m *member) bool {
	return m.Role != RoleHost && r.state.Rules.Succession.On && !r.hosted() && m.mayHost() && r.rank(m) >= 0
}

// before is the standing that one of m's identity has, or had when it was told
// to join anew.
func (r *Room) before(m *member) (standing, bool) {
	if a, ok := r.state.Absent[m.Identity]; ok && r.now.Before(a.Until) {
		return a.standing, true
	}
	if old := r.byIdentity(m.Identity); old != nil && old.Guest == nil {
		return old.standing, true
	}
	return standing{}, false
}

// keepStanding remembers what m is, if it is expected to join anew.
func (r *Room) keepStanding(m *member, reason Reason) {
	expected := r.now.Before(r.comebacks[m.Identity]) || reason == DuplicateIdentity
	switch reason {
	case ClientInitiated, ParticipantRemoved, RoomDeleted:
		expected = false
	}
	if !expected || m.watch != nil || m.Guest != nil {
		return
	}
	if slices.ContainsFunc(r.state.Members, func(o *member) bool { return o != m && o.Identity == m.Identity && o.watch == nil }) {
		return // which has it already
	}
	if r.state.Absent == nil {
		r.state.Absent = map[drtc.Identity]absent{}
	}
	if len(r.state.Absent) < r.config.MaxParticipants {
		r.state.Absent[m.Identity] = absent{standing: m.standing, Until: r.now.Add(comebackWithin)}
	}
}

// absentees forgets those who did not come back, who may have been host.
func (r *Room) absentees() {
	n := len(r.state.Absent)
	maps.DeleteFunc(r.state.Absent, func(_ drtc.Identity, a absent) bool { return !r.now.Before(a.Until) })
	if len(r.state.Absent) != n {
		r.changed = true
		r.succeed()
	}
}

// allowed is what m may do as what it is.
func (r *Room) allowed(m *member) Permission {
	if m.Lobby {
		return Permission{Hidden: true}
	}
	limit, ok := r.state.Rules.Limits[m.Role]
	if !ok {
		return m.granted()
	}
	return m.granted().Within(limit)
}

// Within is what both permissions allow. What p says of who its holder is stays.
func (p Permission) Within(limit Permission) Permission {
	p.Subscribe = p.Subscribe && limit.Subscribe
	p.PublishData = p.PublishData && limit.PublishData
	p.UpdateMetadata = p.UpdateMetadata && limit.UpdateMetadata
	p.SubscribeMetrics = p.SubscribeMetrics && limit.SubscribeMetrics
	p.Publish = p.Publish && limit.Publish
	switch {
	case !p.Publish:
		p.Sources = nil
	case len(p.Sources) == 0:
		p.Sources = slices.Clone(limit.Sources)
	case len(limit.Sources) > 0:
		p.Sources = slices.DeleteFunc(slices.Clone(p.Sources), func(s Source) bool { return !limit.MayPublish(s) })
		p.Publish = len(p.Sources) > 0 // else none named would mean all
	}
	return p
}

// hears reports whether v may know of m.
func (r *Room) hears(v, m *member) bool {
	return v == m || !v.Lobby && (!m.Permission.Hidden || m.Lobby && v.host())
}

// hosted reports whether the room has a host, or one that is on its way back.
func (r *Room) hosted() bool {
	for _, a := range r.state.Absent {
		if a.Role == RoleHost && !a.Lobby && r.now.Before(a.Until) {
			return true
		}
	}
	return slices.ContainsFunc(r.state.Members, (*member).host)
}

// rank is m's place among those who may become host: its role's in the rules,
// or -1.
func (r *Room) rank(m *member) int {
	roles := r.state.Rules.Succession.Roles
	if len(roles) == 0 {
		return 0
	}
	return slices.Index(roles, m.Given)
}

// succeed finds a host for a room that has none: of the first role, who has been
// inside longest; those whose connection is lost and those who wait in the lobby
// only when there is nobody else.
func (r *Room) succeed() {
	if !r.state.Rules.Succession.On || len(r.state.Members) == 0 || r.hosted() {
		return
	}
	away := func(m *member) int {
		switch {
		case m.Lobby:
			return 2
		case m.conn == 0:
			return 1
		}
		return 0
	}
	heirs := slices.DeleteFunc(r.members(), func(m *member) bool {
		gone := m.conn == 0 && m.graceUntil.IsZero() && m.move == nil
		return m.phase != present || gone || !m.mayHost() || r.rank(m) < 0
	})
	if len(heirs) == 0 {
		return
	}
	heir := slices.MinFunc(heirs, func(a, b *member) int {
		return cmp.Or(away(a)-away(b), r.rank(a)-r.rank(b), a.JoinedAt.Compare(b.JoinedAt))
	})
	if heir.Lobby {
		r.letIn(heir)
	}
	r.setRole(heir, RoleHost)
	heir.Acting = true
}

// stepBack ends what others are for want of a host, when m has come as one.
func (r *Room) stepBack(m *member) {
	if !m.host() || m.Acting {
		return
	}
	for _, o := range r.members() {
		if o != m && o.host() && o.Acting {
			r.setRole(o, o.afterHost())
		}
	}
}

// afterHost is the role of one who was host.
func (m *member) afterHost() string {
	if m.Given == RoleHost {
		return RoleSpeaker
	}
	return m.Given
}

// setRole makes m what it was not, with what it may do by that, and tells.
func (r *Room) setRole(m *member, role string) {
	if m.Role == role {
		m.Acting = false
		return
	}
	was := m.host()
	m.Role, m.Acting, r.changed = role, false, true
	g := m.granted()
	m.Granted = &g
	p := r.allowed(m)
	if m.phase != present { // nobody knows of it
		m.Permission = p
		r.toNode(m, ChangePermission{Permission: p})
		return
	}
	r.meetWaiting(m, was)
	if !p.equal(m.Permission) {
		r.permit(m, p)
	}
	r.announce(m)
	r.refreshToken(m)
}

func (p Permission) equal(q Permission) bool {
	return p.Subscribe == q.Subscribe && p.Publish == q.Publish && p.PublishData == q.PublishData &&
		p.UpdateMetadata == q.UpdateMetadata && p.Hidden == q.Hidden && p.Recorder == q.Recorder &&
		p.Agent == q.Agent && p.SubscribeMetrics == q.SubscribeMetrics && slices.Equal(p.Sources, q.Sources)
}

// tellNode tells the node to which m has moved what m may do, if that has changed
// since its session was opened.
func (r *Room) tellNode(m *member) {
	if m.untold {
		m.untold = false
		r.toNode(m, ChangePermission{Permission: m.atNode()})
	}
}

// face is what others see of m's attributes.
func (m *member) face() map[string]string {
	face := maps.Clone(m.Attributes)
	set := func(k, v string) {
		if v != "" {
			if face == nil {
				face = map[string]string{}
			}
			face[k] = v
		}
	}
	set(AttributeRole, m.Role)
	if m.Lobby {
		set(AttributeLobby, Waiting)
	}
	return face
}

// credentials is what m's next token says: with what it came, for what it has
// become since is the room's to remember.
func (m *member) credentials() (map[string]string, Permission) {
	attributes := maps.Clone(m.Attributes)
	if m.Given != "" {
		if attributes == nil {
			attributes = map[string]string{}
		}
		attributes[AttributeRole] = m.Given
	}
	return attributes, m.granted()
}

// Reserved reports whether an attribute is the server's.
func Reserved(attribute string) bool {
	return attribute == AttributeRole || attribute == AttributeLobby
}

// unreserved is a copy without the attributes that are the server's.
func unreserved(attributes map[string]string) map[string]string {
	own := maps.Clone(attributes)
	maps.DeleteFunc(own, func(k, _ string) bool { return Reserved(k) })
	return own
}

// barred says why m may not publish a track, in words; empty when it may.
func (r *Room) barred(m *member, t Track) string {
	switch {
	case m.Lobby:
		return "you are in the lobby: publish when a host has let you in"
	case r.state.Rules.AudioOnly && t.Kind == Video:
		return "this room is for audio only: publish no video"
	case m.Permission.MayPublish(t.Source):
		return ""
	case m.granted().MayPublish(t.Source):
		return "your role in this room does not allow publishing this source: ask a host for another one"
	}
	return "the token does not allow publishing this source"
}

// Policy returns how the room's application wants it to spread over nodes; false
// when it says nothing.
func (r *Room) Policy() (plan.Policy, bool) {
	stages := r.state.Rules.Plans
	if len(stages) == 0 {
		return plan.Policy{}, false
	}
	best := 0
	for i, s := range stages {
		from := s.Members
		if i == r.state.Stage {
			from = from * 4 / 5 // the one in force stays for a while when people go
		}
		if len(r.state.Members) >= from && s.Members >= stages[best].Members {
			best = i
		}
	}
	if r.state.Stage != best {
		r.state.Stage, r.changed = best, true
	}
	return stages[best].Policy, true
}

// Hosts lists who is host of the room, in the order in which they came.
func (r *Room) Hosts() []drtc.Identity {
	var hosts []drtc.Identity
	for _, m := range r.state.Members {
		if m.host() && m.inside() {
			hosts = append(hosts, m.Identity)
		}
	}
	return hosts
}

func (c Moderate) carryOut(r *Room) error {
	if m := r.named(c.By); m == nil || !m.host() {
		return ErrNotHost
	}
	return c.Order.carryOut(r)
}

func (c Appoint) carryOut(r *Room) error {
	m := r.named(c.Identity)
	switch {
	case m == nil || m.Lobby:
		return ErrNoParticipant
	case m.Guest != nil:
		return ErrGuest
	}
	r.setRole(m, RoleHost)
	if c.InPlaceOf == "" || c.InPlaceOf == c.Identity {
		return nil
	}
	if before := r.named(c.InPlaceOf); before != nil && before.host() {
		r.setRole(before, before.afterHost())
	}
	return nil
}

func (c SetRole) carryOut(r *Room) error {
	if len(c.Role) == 0 || len(c.Role) > maxRole {
		return ErrRole
	}
	m := r.named(c.Identity)
	switch {
	case m == nil:
		return ErrNoParticipant
	case m.Guest != nil:
		return ErrGuest
	}
	r.setRole(m, c.Role)
	r.succeed() // it may have been the host
	return nil
}

func (c Silence) carryOut(r *Room) error {
	m := r.named(c.Identity)
	if m == nil {
		return ErrNoParticipant
	}
	sources := c.Sources
	if len(sources) == 0 {
		sources = []Source{Microphone}
	}
	for _, t := range slices.Clone(m.Tracks) {
		if slices.Contains(sources, t.Source) {
			_ = ForceMute{Identity: c.Identity, Track: t.ID, Muted: true}.carryOut(r) // the track is there
		}
	}
	return nil
}
