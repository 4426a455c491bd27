package room

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// fakeNode is a Media Node as far as a room sees one.
type fakeNode struct {
	n        *network
	id       drtc.NodeID
	life     int
	down     bool
	frozen   bool
	draining bool
	frozenAt time.Time
	lostAt   time.Time
	late     []ToNode
	sessions map[drtc.SessionID]*fakeSession
	links    map[cascade.LinkID]*fakeEnd
	routes   map[drtc.NodeID]cascade.LinkID
	tracks   map[drtc.TrackID]drtc.NodeID // of others, with their origins
	opened   int
	ended    int
	events   time.Time // when the last event is heard
}

type fakeEnd struct {
	peer      drtc.NodeID
	open      bool
	connected bool
}

// fakeSession is one client's session.
type fakeSession struct {
	client    *fakeClient
	of        drtc.ParticipantID
	offers    int
	connected bool
	tracks    map[drtc.TrackID]bool // published and live
	mids      map[string]drtc.TrackID
	subs      map[drtc.TrackID]bool
	kept      map[drtc.TrackID]bool // of another node, or promised to one who came from there
	waiting   []drtc.TrackID        // subscribed, without a section
}

func newFakeNode(n *network, id drtc.NodeID) *fakeNode {
	return &fakeNode{
		n: n, id: id, sessions: map[drtc.SessionID]*fakeSession{}, links: map[cascade.LinkID]*fakeEnd{},
		routes: map[drtc.NodeID]cascade.LinkID{}, tracks: map[drtc.TrackID]drtc.NodeID{},
	}
}

// emit reports an event, in order.
func (f *fakeNode) emit(c Command) {
	life := f.life
	f.n.note("node %d says %s", f.id[0], eventText(c))
	f.events = later(f.n.now.Add(f.n.delay()), f.events)
	f.n.at(f.events, func() {
		if now := f.n.nodes[f.id]; now.life == life && !now.down && now.lostAt.IsZero() {
			f.n.tell(c)
		}
	})
}

func (f *fakeNode) carryOut(e ToNode) Command {
	if f.n.nodes[f.id] != f {
		return unanswered(e)
	}
	s := f.sessions[e.Session]
	switch c := e.Command.(type) {
	case OpenSession:
		if s == nil {
			f.opened++
			f.sessions[e.Session] = &fakeSession{
				client: f.n.byParticipant(c.Participant), of: c.Participant, tracks: map[drtc.TrackID]bool{},
				mids: map[string]drtc.TrackID{}, subs: map[drtc.TrackID]bool{}, kept: map[drtc.TrackID]bool{},
			}
		}
		return SessionOpened{Node: f.id, Session: e.Session}
	case CloseSession:
		if s != nil {
			if !f.draining {
				s.client.ended++
			}
			f.end(e.Session)
		}
		return nil
	case InspectSession:
		return Inspected{Session: e.Session, Found: s != nil}
	case PrepareRelay:
		return RelayPrepared{Node: f.id, Link: c.Link, Description: []byte(f.id.String() + string(c.Link))}
	case OpenRelay:
		if want := c.Peer.String() + string(c.Link); string(c.Description) != want {
			f.n.fail("node %d opens %s with the description %q, want %q", f.id[0], c.Link, c.Description, want)
		}
		f.links[c.Link] = &fakeEnd{peer: c.Peer, open: true}
		f.n.connect(c.Link, f.id, c.Peer)
		return RelayOpened{Node: f.id, Link: c.Link, Version: 2}
	case CloseRelay:
		f.n.closeLink(f, c.Link)
		return nil
	case SetRelayRoutes:
		clear(f.routes)
		for _, r := range c.Routes {
			f.routes[r.Origin] = r.Link
		}
		f.n.settleTracks()
		return RoutesSet{Node: f.id}
	case ClaimRoom:
		return Claimed{
			Node: f.id, Sessions: slices.Sorted(maps.Keys(f.sessions)), Links: slices.Sorted(maps.Keys(f.links)),
			Tracks: slices.Sorted(maps.Keys(f.tracks)),
		}
	}
	if s == nil {
		return unanswered(e)
	}
	return f.media(s, e)
}

// media carries out commands about tracks.
func (f *fakeNode) media(s *fakeSession, e ToNode) Command {
	switch c := e.Command.(type) {
	case SendOffer:
		return f.offer(s, e.Session, c)
	case SubscribeTracks:
		r := Subscribed{Session: e.Session, Refused: map[drtc.TrackID]string{}}
		for _, sub := range c.Subscriptions {
			r.Tracks = append(r.Tracks, sub.Track)
			if !f.has(sub.Track) && !slices.Contains(slices.Collect(maps.Values(s.mids)), sub.Track) {
				r.Refused[sub.Track] = "no such track"
				continue
			}
			s.subs[sub.Track] = true
			if _, remote := f.tracks[sub.Track]; remote {
				s.kept[sub.Track] = true
			}
			if !slices.Contains(slices.Collect(maps.Values(s.mids)), sub.Track) && !slices.Contains(s.waiting, sub.Track) {
				s.waiting = append(s.waiting, sub.Track)
			}
		}
		r.Negotiate = len(s.waiting) > 0
		return r
	case UnsubscribeTracks:
		for _, id := range c.Tracks {
			delete(s.subs, id)
			delete(s.kept, id)
			maps.DeleteFunc(s.mids, func(_ string, t drtc.TrackID) bool { return t == id })
			s.waiting = slices.DeleteFunc(s.waiting, func(t drtc.TrackID) bool { return t == id })
		}
		return Unsubscribed{Session: e.Session, Negotiate: true}
	}
	return nil
}

// has reports whether a track can be subscribed to on this node.
func (f *fakeNode) has(id drtc.TrackID) bool {
	if _, there := f.tracks[id]; there {
		return true
	}
	for _, s := range f.sessions {
		if s.tracks[id] {
			return true
		}
	}
	return false
}

func (f *fakeNode) offer(s *fakeSession, session drtc.SessionID, c SendOffer) Command {
	r := Offered{Session: session, ID: c.ID, SDP: fmt.Sprintf("from %d for %s", f.id[0], session), MIDs: map[string]drtc.TrackID{}}
	s.offers++
	if s.offers == 1 {
		if m := f.n.room.bySession(session); m != nil && m.ID == s.client.id && s.client.id == s.of { // still waited for
			s.client.checkRestore(c.Restore)
		}
		if c.Restore != nil {
			for _, t := range c.Restore.Tracks {
				s.mids[t.MID], s.kept[t.Track] = t.Track, true
			}
		}
	} else { // what was promised and nobody has subscribed to is over
		maps.DeleteFunc(s.mids, func(_ string, t drtc.TrackID) bool { return !s.subs[t] })
	}
	for _, id := range s.waiting {
		for mid := 10; ; mid++ {
			if key := fmt.Sprint(mid); s.mids[key] == "" {
				s.mids[key] = id
				break
			}
		}
	}
	s.waiting = nil
	maps.Copy(r.MIDs, s.mids)
	for _, p := range c.Publications {
		if i := slices.Index(s.client.tracks, string(p.Track)); i >= 0 {
			r.Published = append(r.Published, Section{MID: fmt.Sprint(i), CID: p.CID, Kind: p.Kind, Track: p.Track, MIME: "x/y"})
		}
	}
	return r
}

// end ends a session, and what others here have of its tracks.
func (f *fakeNode) end(id drtc.SessionID) {
	s := f.sessions[id]
	f.ended++
	delete(f.sessions, id)
	for track := range s.tracks {
		for _, v := range f.sessions {
			if v.subs[track] {
				delete(v.subs, track)
				delete(v.kept, track)
				maps.DeleteFunc(v.mids, func(_ string, t drtc.TrackID) bool { return t == track })
			}
		}
	}
	f.n.settleTracks()
}

// connectClient is called when the client's transport is up on this node.
func (f *fakeNode) connectClient(session drtc.SessionID) {
	s := f.sessions[session]
	if s == nil || f.down || f.frozen {
		return
	}
	s.connected = true
	f.emit(SessionChanged{Session: session, Connected: true})
	for i, id := range s.client.tracks {
		if s.client.announced[id] && !s.tracks[drtc.TrackID(id)] {
			s.tracks[drtc.TrackID(id)] = true
			f.emit(TrackLive{Session: session, Track: drtc.TrackID(id), MID: fmt.Sprint(i), MIME: "x/y", Layers: []Layer{{SSRC: s.client.ssrc(i), Repair: 9}}})
		}
	}
	f.n.settleTracks()
}

// connect brings a link up when both ends are open.
func (n *network) connect(link cascade.LinkID, a, b drtc.NodeID) {
	n.in(n.delay(), func() {
		ends := []*fakeEnd{n.nodes[a].links[link], n.nodes[b].links[link]}
		if ends[0] == nil || ends[1] == nil || ends[0].connected && ends[1].connected || !n.alive(a) || !n.alive(b) ||
			n.cuts[plan.Link{A: a, B: b}] || n.cuts[plan.Link{A: b, B: a}] {
			return
		}
		for i, id := range []drtc.NodeID{a, b} {
			ends[i].connected = true
			n.nodes[id].emit(RelayChanged{Node: id, Link: link, Connected: true, Version: 2})
		}
		n.settleTracks()
	})
}

func (n *network) alive(id drtc.NodeID) bool { return !n.nodes[id].down && !n.nodes[id].frozen }

func (n *network) closeLink(f *fakeNode, link cascade.LinkID) {
	e := f.links[link]
	if e == nil {
		return
	}
	delete(f.links, link)
	n.settleTracks()
	if n.alive(e.peer) && n.nodes[e.peer].links[link] != nil {
		n.in(n.delay(), func() {
			if peer := n.nodes[e.peer]; peer.links[link] != nil && n.alive(e.peer) {
				delete(peer.links, link)
				peer.emit(RelayChanged{Node: e.peer, Link: link, Closed: true, Reason: "closed by the other end"})
				n.settleTracks()
			}
		})
	}
}

// settleTracks works out which tracks are on which nodes, and reports changes.
func (n *network) settleTracks() {
	for _, id := range n.ids() {
		f := n.nodes[id]
		if f.down || f.frozen {
			continue
		}
		now := map[drtc.TrackID]drtc.NodeID{}
		for _, origin := range n.ids() {
			if n.reaches(f, origin, nil) {
				for _, s := range n.nodes[origin].sessions {
					for track := range s.tracks {
						if s.connected && !f.local(track) {
							now[track] = origin
						}
					}
				}
			}
		}
		for _, track := range slices.Sorted(maps.Keys(f.tracks)) {
			if _, still := now[track]; !still {
				f.emit(TrackAvailable{Node: id, Track: track, Origin: f.tracks[track]})
			}
		}
		for _, track := range slices.Sorted(maps.Keys(now)) {
			if before, was := f.tracks[track]; !was || before != now[track] {
				f.emit(TrackAvailable{Node: id, Track: track, Origin: now[track], Available: true})
			}
		}
		f.tracks = now
	}
}

func (f *fakeNode) local(track drtc.TrackID) bool {
	for _, s := range f.sessions {
		if s.tracks[track] {
			return true
		}
	}
	return false
}

// reaches reports whether a node gets the tracks of another one's clients.
func (n *network) reaches(f *fakeNode, origin drtc.NodeID, path []drtc.NodeID) bool {
	link, ok := f.routes[origin]
	end := f.links[link]
	if !ok || end == nil || !end.connected || slices.Contains(path, f.id) || !n.alive(end.peer) {
		return false
	}
	peer := n.nodes[end.peer]
	if peer.links[link] == nil {
		return false
	}
	return end.peer == origin || n.reaches(peer, origin, append(path, f.id))
}

func (n *network) ids() []drtc.NodeID { return slices.SortedFunc(maps.Keys(n.nodes), compareNodes) }
