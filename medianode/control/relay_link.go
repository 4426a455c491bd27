package control

import (
	"errors"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/relay"
)

// relayLink is this node's end of a link.
type relayLink struct {
	key         linkKey
	room        *relayRoom
	trunk       *trunk
	name        relay.Name
	next        relay.Instance // under which it is opened again if the other end closes it; zero for none
	description []byte         // with which it was opened
	payer       Payer
	audioLimit  int
	up          bool // open at both ends
	told        medianodev1.RelayState_State
	reported    time.Time
}

func (l *relayLink) id() relay.Link { return relay.Link(l.key.link) }

// audioGroup names the audio of a link among all on its trunk.
func (l *relayLink) audioGroup() string { return string(l.room.id) + "/" + l.key.link }

func (l *relayLink) stateEvent(state medianodev1.RelayState_State, reason string) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_RelayState{RelayState: &medianodev1.RelayState{
		Link: l.key.link, Room: l.room.name, State: state, Reason: reason, Version: uint32(l.trunk.core.Version()),
	}}}
}

// relayRoom is a room of which other nodes have a part.
type relayRoom struct {
	id       drtc.RoomID
	owner    drtc.NodeID
	name     string // the owner's
	exchange *relay.Exchange
	links    map[relay.Link]*relayLink
}

// roomOf returns a room, which begins with the tracks that the node has of it.
func (r *relays) roomOf(owner drtc.NodeID, name string) *relayRoom {
	id := scoped(owner, name)
	if m := r.rooms[id]; m != nil {
		return m
	}
	m := &relayRoom{id: id, owner: owner, name: name, links: map[relay.Link]*relayLink{}}
	m.exchange = relay.New(relay.Config{Self: r.self, First: random64(), Sources: m})
	r.rooms[id] = m
	r.busy.Add(1) // from now on changes are posted
	s := r.service
	s.mu.Lock()
	s.shared[id] = owner
	s.feedFor(owner, id) // which says since when its Orchestrator stays away
	var tracks []drtc.TrackID
	for t, entry := range s.tracks {
		if entry.room == id {
			tracks = append(tracks, t)
		}
	}
	s.mu.Unlock()
	for _, t := range tracks {
		r.refresh(id, t, false)
	}
	return m
}

func (r *relays) forgetRoom(id drtc.RoomID) {
	if r.rooms[id] != nil {
		delete(r.rooms, id)
		r.busy.Add(-1)
		r.service.mu.Lock()
		delete(r.service.shared, id)
		r.service.mu.Unlock()
	}
}

// Take implements relay.Sources. Those of a trunk are so few that a new number
// being that of another is not to be expected.
func (m *relayRoom) Take(id relay.Link, video bool) (ssrc, rtx uint32) {
	k := m.links[id].trunk
	if free := k.spare[video]; len(free) > 0 {
		pair := free[len(free)-1]
		k.spare[video] = free[:len(free)-1]
		return pair[0], pair[1]
	}
	if ssrc = freshNumber(); video {
		rtx = freshNumber()
	}
	return ssrc, rtx
}

// Give implements relay.Sources.
func (m *relayRoom) Give(id relay.Link, ssrc, rtx uint32) {
	k := m.links[id].trunk
	k.spare[rtx != 0] = append(k.spare[rtx != 0], [2]uint32{ssrc, rtx})
}

func freshNumber() uint32 {
	for {
		if v := uint32(random64()); v != 0 {
			return v
		}
	}
}

// refresh tells a room's Exchange what the index has of a track.
func (r *relays) refresh(room drtc.RoomID, id drtc.TrackID, ended bool) {
	m := r.rooms[room]
	if m == nil {
		return
	}
	s := r.service
	s.mu.Lock()
	t := s.tracks[id]
	local := t != nil && t.session != nil && t.room == room && !t.pending
	pending := t != nil && t.pending
	var a relay.Announcement
	if local {
		a = t.announcement()
	}
	s.mu.Unlock()
	switch {
	case local && len(a.Codecs) > 0:
		m.exchange.SetLocal(id, a)
	case !pending:
		m.exchange.RemoveLocal(id, ended)
	}
	r.act(m)
}

// openLink opens this node's end of a link on a trunk.
func (r *relays) openLink(l *relayLink) error {
	message, up, err := l.trunk.core.Open(l.name, l.room.name)
	if err != nil {
		return err
	}
	l.trunk.links[l.name] = l
	r.control(l.trunk, message)
	if up {
		r.linkUp(l)
	}
	return nil
}

// linkUp is called when both ends are open.
func (r *relays) linkUp(l *relayLink) {
	l.up = true
	l.room.exchange.LinkUp(l.id(), l.trunk.end.peer, l.trunk.core.Version())
	r.limitAudio(l)
	r.act(l.room)
	r.tellState(l)
}

func (r *relays) limitAudio(l *relayLink) {
	k := l.trunk.id
	_ = r.service.command(k, func(now time.Time, c *engine.Core) error {
		return c.SetAudioLimit(now, k, l.audioGroup(), l.audioLimit)
	}) // or the trunk ends
}

// linkDown is called when the other end has closed its own: so does this one,
// unless it was told to open the link again.
func (r *relays) linkDown(l *relayLink, reason string) {
	if l.next == (relay.Instance{}) {
		r.closeLink(l, "closed by the other node: "+reason)
		return
	}
	r.reopen(l)
}

// reopen begins the link anew under its next instance.
func (r *relays) reopen(l *relayLink) {
	r.control(l.trunk, l.trunk.core.Close(l.name, "opened again"))
	delete(l.trunk.links, l.name)
	l.room.exchange.LinkDown(l.id())
	r.act(l.room)
	l.name.Instance, l.next, l.up = l.next, relay.Instance{}, false
	if err := r.openLink(l); err != nil {
		r.fail(l.trunk, err)
	}
}

// closeLink ends this node's end of a link and says so to the other and to the
// Orchestrator.
func (r *relays) closeLink(l *relayLink, reason string) {
	if r.links[l.key] != l {
		return
	}
	last := r.last(l)
	delete(r.links, l.key)
	delete(r.prepared, l.key)
	l.room.exchange.LinkDown(l.id())
	r.act(l.room)
	k := l.trunk.id
	_ = r.service.command(k, func(now time.Time, c *engine.Core) error { // or the trunk has ended
		return errors.Join(c.EndRelay(now, k, l.room.id), c.SetAudioLimit(now, k, l.audioGroup(), 0))
	})
	r.control(l.trunk, l.trunk.core.Close(l.name, reason))
	delete(l.room.links, l.id())
	delete(l.trunk.links, l.name)
	if len(l.trunk.links) == 0 {
		l.trunk.idle = time.Now()
	}
	r.dropReport(l)
	closed := l.stateEvent(medianodev1.RelayState_STATE_CLOSED, reason)
	closed.GetRelayState().Figures = last
	r.service.announce(l.key.owner, l.room.id, closed)
}
