package room

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// detailForwarded is the kind detail of a participant that is forwarded. The
// number is that of the client protocol.
const detailForwarded = 1

// guest makes a member one that is forwarded from another room. It has no client:
// its session on its participant's node publishes that one's tracks under other
// ids. To everybody else it is a participant like any.
type guest struct {
	From   string `json:"from"` // name of its own room
	Home   Home   `json:"home"` // of its participant; zero while nobody knows
	Serial uint64 `json:"serial"`

	until  time.Time // when it goes if nothing more is heard
	opened bool      // its session is there
	over   bool      // its own room needs not be told that it goes
}

// Host says what there is to know of a guest: it comes, changes, or goes.
type Host struct{ Guest Guest }

func (Host) command() {}

// AliasTrack has a guest's session publish a track of another session on its node.
// It is answered by Aliased.
type AliasTrack struct {
	Track   drtc.TrackID
	Source  drtc.TrackID
	Session drtc.SessionID // that publishes Source
	Muted   bool
}

func (AliasTrack) nodeCommand() {}

// Aliased is the result of AliasTrack.
type Aliased struct {
	Session drtc.SessionID
	Track   drtc.TrackID
	Err     string // empty when it worked
}

func (Aliased) command() {}

// carryOut takes what the guest's own room says. A guest that is not taken is
// told back.
func (c Host) carryOut(r *Room) error {
	g, m := c.Guest, r.byID(c.Guest.ID)
	turned := r.now.Before(r.state.Turned[g.ID])
	switch {
	case g.Gone:
		r.turn(g.ID) // what was said before may come yet
		if m != nil && m.Guest != nil {
			m.Guest.over = true
			r.remove(m, g.Reason)
		}
		return nil
	case m != nil && m.Guest != nil:
		if g.Serial >= m.Guest.Serial {
			r.attend(m, g)
		}
		return nil
	}
	var err error
	switch {
	case turned:
		err = ErrExpelled
	case m != nil || slices.ContainsFunc(r.state.Members, func(o *member) bool { return o.Identity == g.Identity && o.watch == nil }):
		err = ErrIdentity
	case r.guests() >= r.config.MaxParticipants:
		err = ErrFull
	}
	if err != nil {
		r.sendBack(g.ID, g.From)
		return err
	}
	r.attend(r.receive(g), g)
	return nil
}

// receive lets a guest in.
func (r *Room) receive(g Guest) *member {
	r.state.Application = cmp.Or(r.state.Application, g.Application)
	m := &member{
		ID: g.ID, Session: g.Session, Identity: g.Identity, Name: g.Name, Metadata: g.Metadata, Attributes: g.Attributes,
		Client: g.Client, Application: g.Application, Permission: Permission{Publish: true},
		Subscriptions: map[drtc.TrackID]*subscription{}, State: Active, JoinedAt: r.now, phase: present,
		Guest: &guest{From: g.From},
	}
	if !slices.Contains(m.Client.KindDetails, detailForwarded) {
		m.Client.KindDetails = append(slices.Clone(m.Client.KindDetails), detailForwarded)
	}
	r.state.Members = append(r.state.Members, m)
	if r.reportAt.IsZero() {
		r.reportAt = r.now.Add(r.config.ReportInterval)
	}
	r.entered()
	r.announce(m)
	r.notifyJoined(m)
	return m
}

// attend brings a guest to what is said of it.
func (r *Room) attend(m *member, g Guest) {
	m.Guest.Serial, m.Guest.until = g.Serial, r.now.Add(guestFor)
	news := m.Name != g.Name || m.Metadata != g.Metadata || !maps.Equal(m.Attributes, g.Attributes)
	m.Name, m.Metadata, m.Attributes = g.Name, g.Metadata, g.Attributes
	for _, t := range slices.Clone(m.Tracks) {
		if !slices.ContainsFunc(g.Tracks, func(s Shown) bool { return s.ID == t.Of }) {
			if t.aliased {
				r.toNode(m, UnpublishTrack{Track: t.ID})
			}
			r.trackEnded(m, TrackEnded{Session: m.Session, Track: t.ID})
		}
	}
	for _, s := range g.Tracks {
		if s.Kind == Video && r.state.Rules.AudioOnly {
			continue
		}
		news = r.showTrack(m, s) || news
	}
	if news {
		r.announce(m)
	}
	if home := g.Home; !home.Node.IsZero() && home != m.Guest.Home && !r.lost(home.Node) {
		r.rehost(m, home)
	}
	r.alias(m)
}

// showTrack brings a guest's track to what is said of it, and reports whether
// others are to be told.
func (r *Room) showTrack(m *member, s Shown) (news bool) {
	i := slices.IndexFunc(m.Tracks, func(t *publication) bool { return t.Of == s.ID })
	if i < 0 {
		t := &publication{Track: s.Track, Of: s.ID, Matched: true, Away: true, absent: s.Away, MutedThere: s.Muted}
		t.ID = aliasOf(m.ID, s.ID)
		t.Announced = t.Muted // there may be no media of it to wait for
		m.Tracks = append(m.Tracks, t)
		if r.changed = true; len(m.Tracks) == 1 {
			r.needPlan() // its node is an origin now
		}
		if t.Announced {
			r.notifyPublished(m, t)
		}
		return t.Announced
	}
	t := m.Tracks[i]
	if t.MutedThere && !s.Muted && t.Silenced { // it has unmuted itself
		t.Silenced = false
		r.toNode(m, MuteTrack{Track: t.ID})
	}
	now := s.Track
	now.ID, now.Version, now.Muted, now.MIME = t.ID, t.Version, s.Muted || t.Silenced, cmp.Or(t.MIME, s.MIME)
	t.MutedThere, t.absent = s.Muted, s.Away
	if reflect.DeepEqual(now, t.Track) {
		return false
	}
	now.Version++
	t.Track, r.changed = now, true
	return t.Announced
}

// aliasOf is the id of a guest's track: the same after a restart, and another one
// when the participant is forwarded anew.
func aliasOf(guest drtc.ParticipantID, track drtc.TrackID) drtc.TrackID {
	sum := sha256.Sum256([]byte(string(guest) + "\n" + string(track)))
	return drtc.TrackID(drtc.TrackPrefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
}

// rehost has a guest publish where its participant is now.
func (r *Room) rehost(m *member, home Home) {
	moved := m.Node != home.Node
	m.Guest.Home, r.changed = home, true
	r.withdraw(m)
	if !moved && m.Guest.opened {
		return // its session stays
	}
	if !m.Node.IsZero() {
		r.close(m.Node, m.Session)
		m.Session = m.nextSession()
	}
	m.Node, m.Guest.opened = home.Node, false
	r.open(m.Node, m.Session, m)
	r.needPlan()
}

// withdraw notes that a guest's node has none of its tracks.
func (r *Room) withdraw(m *member) {
	for _, t := range m.Tracks {
		if t.aliased, t.Away = false, true; !m.Node.IsZero() {
			r.lapse(m.Node, t.ID)
		}
	}
	r.castAll()
}

// guestOpened goes on when a guest's session is there, or not.
func (r *Room) guestOpened(m *member, c SessionOpened) {
	if c.Err != "" {
		r.reopen(m)
		return
	}
	m.Guest.opened = true
	r.alias(m)
}

// reopen gives a guest another session, in a while.
func (r *Room) reopen(m *member) {
	r.withdraw(m)
	r.close(m.Node, m.Session) // it may exist if only the answer was lost
	m.Session, m.Guest.opened, r.changed = m.nextSession(), false, true
	m.retryAt = r.now.Add(retryDelay)
}

// retryGuest does again what a guest's node has not done.
func (r *Room) retryGuest(m *member) {
	switch {
	case m.Node.IsZero() || r.lost(m.Node):
	case m.Guest.opened:
		r.alias(m)
	default:
		r.open(m.Node, m.Session, m)
	}
}

// alias asks a guest's node for the tracks that it has not been asked for.
func (r *Room) alias(m *member) {
	if !m.Guest.opened {
		return
	}
	for _, t := range m.Tracks {
		if !t.aliased && !t.absent {
			t.aliased = true
			r.toNode(m, AliasTrack{Track: t.ID, Source: t.Of, Session: m.Guest.Home.Session, Muted: t.Silenced})
		}
	}
}

// aliased takes the node's word on a guest's track. One that is not there may come
// yet, and so may the news that it has ended.
func (r *Room) aliased(m *member, c Aliased) {
	if t := m.track(c.Track); t != nil && m.Guest != nil && c.Err != "" {
		r.aliasEnded(m, t)
	}
}

// aliasEnded notes that a node has not got a guest's track. Whether it has ended
// is its own room's to say.
func (r *Room) aliasEnded(m *member, t *publication) {
	t.aliased, t.Away = false, true
	r.lapse(m.Node, t.ID)
	r.castAll()
	m.retryAt = r.now.Add(retryDelay)
}

// guestLost is for a guest whose node is lost: it waits for the news where its
// participant has gone.
func (r *Room) guestLost(m *member) {
	r.withdraw(m)
	r.close(m.Node, m.Session)
	m.Session, m.Node, r.changed = m.nextSession(), drtc.NodeID{}, true
	m.Guest.Home, m.Guest.opened, m.retryAt = Home{}, false, time.Time{}
	delete(r.speakers, m.ID)
}

// silenced mutes a guest's track in this room alone.
func (r *Room) silenced(m *member, t *publication, muted bool) {
	if t.Silenced == muted {
		return
	}
	before := t.Muted
	t.Silenced, t.Muted, r.changed = muted, muted || t.MutedThere, true
	r.toNode(m, MuteTrack{Track: t.ID, Muted: muted})
	if t.Muted != before {
		t.Version++
		if t.Announced {
			r.announce(m)
		}
	}
}

// guests counts those who are forwarded here.
func (r *Room) guests() int {
	n := 0
	for _, m := range r.state.Members {
		if m.Guest != nil {
			n++
		}
	}
	return n
}

// bidFarewell tells a guest's own room that it has gone from here.
func (r *Room) bidFarewell(m *member) {
	if m.Guest == nil || m.Guest.over {
		return
	}
	r.turn(m.ID)
	r.sendBack(m.ID, m.Guest.From)
}

func (r *Room) sendBack(id drtc.ParticipantID, to string) {
	r.out = append(r.out, ToRoom{Room: to, Order: EndForward{Guest: id}})
}

// maxTurned bounds the guests of whom it is remembered that they have gone.
const maxTurned = 1000

// turn remembers that a guest has gone for good, for as long as its own room may
// not know, or what that said before may be under way.
func (r *Room) turn(id drtc.ParticipantID) {
	maps.DeleteFunc(r.state.Turned, func(_ drtc.ParticipantID, until time.Time) bool { return !r.now.Before(until) })
	if r.state.Turned == nil {
		r.state.Turned = map[drtc.ParticipantID]time.Time{}
	}
	if len(r.state.Turned) < maxTurned {
		r.state.Turned[id], r.changed = r.now.Add(2*guestFor), true
	}
}
