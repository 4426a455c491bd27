package room

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// fakeClient is a client as far as a room sees one. It fails the test when it
// hears of something that did not happen.
type fakeClient struct {
	n         *network
	name      string
	resumes   bool
	watches   bool
	tracks    []string // ids, in the order of its sections
	announced map[string]bool
	id        drtc.ParticipantID
	joins     int
	conn      Conn
	offers    uint32
	answered  bool
	gone      bool // for good
	deaf      bool // does not come back when told to
	silent    bool // was told to, and did not
	away      bool // told to resume or cut off, and not back yet
	mids      map[string]drtc.TrackID
	seen      map[drtc.ParticipantID]Participant
	dismissed int // how often it was told to join anew
	ended     int // sessions that a node closed: viewers there may lose the section
}

func (n *network) join(name string, home byte, resumes bool, tracks ...string) *fakeClient {
	c := &fakeClient{n: n, name: name, resumes: resumes, tracks: tracks}
	n.people[name] = c
	c.join(home)
	return c
}

func (c *fakeClient) join(home byte) {
	c.joins++
	c.id = drtc.ParticipantID(fmt.Sprintf("PA_%s%d", c.name, c.joins))
	c.seen, c.mids, c.announced = map[drtc.ParticipantID]Participant{}, map[string]drtc.TrackID{}, map[string]bool{}
	c.offers, c.answered, c.away, c.silent = 0, false, false, false
	c.connect()
	j := Join{
		Conn: c.conn, Participant: c.id, Session: drtc.SessionID(fmt.Sprintf("SE_%s%d", c.name, c.joins)),
		Identity: drtc.Identity(c.name), AutoSubscribe: true, Client: Client{Resumes: c.resumes},
		Permission: Permission{Publish: true, Subscribe: true, PublishData: true},
		Place:      &drtc.Place{Lat: float64(home)}, // read by network.plan
	}
	if c.watches {
		j.Watch = &Watch{Audio: 1, Video: 1}
		c.offers, j.Offer = 1, &Offer{ID: 1, SDP: "sdp"}
	}
	c.n.tell(j)
}

func (c *fakeClient) connect() {
	c.n.last++
	c.conn = c.n.last
	c.n.conns[c.conn] = c
}

func (n *network) byParticipant(id drtc.ParticipantID) *fakeClient {
	for _, c := range n.people {
		if strings.TrimRight(strings.TrimPrefix(string(id), "PA_"), "0123456789") == c.name {
			return c
		}
	}
	n.fail("nobody is %s", id)
	return nil
}

func (c *fakeClient) ssrc(section int) uint32 {
	return uint32(c.name[0])<<16 | uint32(c.joins)<<8 | uint32(section)
}

// say sends a command if the connection still stands then.
func (c *fakeClient) say(command Command) {
	conn, lane := c.conn, fmt.Sprint("from ", c.conn)
	at := later(c.n.now.Add(c.n.delay()), c.n.lanes[lane])
	c.n.lanes[lane] = at
	c.n.at(at, func() {
		if c.conn == conn {
			c.n.tell(command)
		}
	})
}

func (c *fakeClient) offer() {
	c.offers++
	c.say(Offer{Participant: c.id, ID: c.offers, SDP: "sdp"})
}

func (c *fakeClient) hear(conn Conn, m Message) {
	if conn != c.conn || c.gone {
		return
	}
	switch m := m.(type) {
	case Welcome:
		for _, p := range m.Others {
			c.seen[p.ID] = p
		}
		c.announceTracks()
		c.offer()
	case WelcomeBack:
		c.away = false
		for _, id := range c.tracks { // what did not come through is announced again
			if _, t := c.n.room.track(drtc.TrackID(id)); t == nil {
				delete(c.announced, id)
			}
		}
		c.announceTracks()
		c.say(SyncState{Participant: c.id, Channels: c.channels()})
		c.offer()
	case Update:
		for _, p := range m.Participants {
			c.update(p)
		}
	case Answer:
		c.answer(m)
	case NeedSections:
		c.offer()
	case SubscriptionFailed:
		c.n.fail("%s was told that %s can't be had: %s", c.name, m.Track, m.Reason)
	case TrackUnpublished:
		c.n.fail("%s was told that its %s is gone", c.name, m.Track)
	case Goodbye:
		c.goodbye(m)
	}
}

func (c *fakeClient) announceTracks() {
	for _, id := range c.tracks {
		if !c.announced[id] {
			c.announced[id] = true
			c.say(AddTrack{Participant: c.id, Track: Track{ID: drtc.TrackID(id), CID: id, Kind: Video, Layers: []Layer{{}}}})
		}
	}
}

func (c *fakeClient) channels() []Channel { return []Channel{{Label: "_reliable", ID: 2}} }

func (c *fakeClient) goodbye(m Goodbye) {
	switch {
	case m.Action == DoResume && !c.resumes:
		c.n.fail("%s was told to resume and can't", c.name)
	case m.Action == DoResume:
		c.conn, c.away = 0, true
		if c.silent = c.deaf; c.silent {
			return
		}
		c.n.in(10*c.n.delay(), c.resume)
	case m.Action == Reconnect:
		c.conn = 0
		c.n.in(10*c.n.delay(), func() {
			if !c.gone && c.conn == 0 {
				c.join(0)
			}
		})
	default:
		c.n.fail("%s was told to go for good: %+v", c.name, m)
	}
}

func (c *fakeClient) resume() {
	if c.gone {
		return
	}
	c.connect()
	c.n.tell(Resume{Conn: c.conn, Participant: c.id, Identity: drtc.Identity(c.name)})
}

// cut ends the client's connection, which it makes again.
func (c *fakeClient) cut() {
	if c.conn == 0 || c.gone || c.watches {
		return
	}
	old := c.conn
	c.conn, c.away = 0, true
	c.n.tell(Dropped{Conn: old, Participant: c.id})
	c.n.in(10*c.n.delay(), func() {
		if c.conn == 0 {
			c.resume()
		}
	})
}

func (c *fakeClient) leave() {
	if c.gone || c.conn == 0 {
		return
	}
	c.gone = true
	c.n.tell(Leave{Participant: c.id})
}

func (c *fakeClient) closed(conn Conn) {
	if c.conn == conn {
		c.conn = 0
	}
}

func (c *fakeClient) refused(conn Conn) {
	if c.conn == conn && !c.gone {
		c.conn = 0
		c.n.in(time.Second, func() {
			if !c.gone && c.conn == 0 {
				c.join(0)
			}
		})
	}
}

// update takes what is told of somebody: nobody goes, and no track of anybody,
// unless it did.
func (c *fakeClient) update(p Participant) {
	if p.ID == c.id {
		return
	}
	other := c.n.byParticipant(p.ID)
	before, known := c.seen[p.ID]
	if known && p.Version < before.Version { // a resume repeats what is known
		c.n.fail("%s sees %s at version %d after %d", c.name, p.ID, p.Version, before.Version)
	}
	if p.State == Disconnected {
		if other.resumes && other.id == p.ID && !other.gone && other.dismissed == 0 && !other.deaf {
			c.n.fail("%s is told that %s went, who did not", c.name, p.ID)
		}
		delete(c.seen, p.ID)
		return
	}
	for _, t := range before.Tracks {
		if !slices.ContainsFunc(p.Tracks, func(o Track) bool { return o.ID == t.ID }) {
			c.n.fail("%s is told that %s of %s went, which did not", c.name, t.ID, p.ID)
		}
	}
	c.seen[p.ID] = p
}

// answer takes an answer: what it receives stays on its sections, and its
// transport connects to the node that answered.
func (c *fakeClient) answer(m Answer) {
	if m.ID != c.offers {
		return // of an offer that it gave up
	}
	for mid, id := range c.mids {
		owner := c.n.byParticipant(drtc.ParticipantID("PA_" + strings.TrimLeft(string(id), "TR_")[:3]))
		if m.MIDs[mid] != id && !owner.gone && owner.resumes && owner.dismissed+owner.ended == 0 && !owner.deaf && c.dismissed == 0 {
			c.n.fail("%s lost %s on section %s", c.name, id, mid)
		}
	}
	c.mids, c.answered = maps.Clone(m.MIDs), true
	var node byte
	var session string
	_, _ = fmt.Sscanf(m.SDP, "from %d for %s", &node, &session)
	c.n.in(5*c.n.delay(), func() {
		if !c.gone {
			c.n.nodes[drtc.NodeID{node}].connectClient(drtc.SessionID(session))
		}
	})
}

// checkRestore looks at what a new node learns of a client that has a transport.
func (c *fakeClient) checkRestore(r *Restoration) {
	if !c.answered {
		return
	}
	if r == nil {
		c.n.fail("the new node of %s is told nothing of its transport", c.name)
		return
	}
	if !slices.Equal(r.Channels, c.channels()) {
		c.n.fail("%s is restored with the channels %v", c.name, r.Channels)
	}
	for _, source := range r.Sources {
		var section int
		_, _ = fmt.Sscan(source.MID, &section)
		if source.SSRC != c.ssrc(section) || source.Repair != 9 {
			c.n.fail("%s is restored with the source %+v", c.name, source)
		}
	}
	for mid, id := range c.mids {
		owner := c.n.byParticipant(drtc.ParticipantID("PA_" + strings.TrimLeft(string(id), "TR_")[:3]))
		i := slices.IndexFunc(r.Tracks, func(t RestoredTrack) bool { return t.MID == mid && t.Track == id })
		if i < 0 && !owner.gone && owner.resumes && owner.dismissed+owner.ended == 0 && !owner.deaf {
			c.n.fail("%s is restored without %s on section %s", c.name, id, mid)
		}
	}
}

// plan is what the owner answers: members stay, the others get the wanted or
// the emptiest node; the nodes are linked in the network's shape.
func (n *network) plan() plan.Plan {
	in := n.room.Shape()
	fit := func(id drtc.NodeID) bool {
		return !slices.Contains(in.Lost, id) && !slices.Contains(in.Draining, id) && !n.nodes[id].draining && n.nodes[id].lostAt.IsZero()
	}
	count, used := map[drtc.NodeID]int{}, map[drtc.NodeID]bool{}
	for _, m := range in.Members {
		if !m.Home.IsZero() {
			count[m.Home]++
			used[m.Home] = true // a node that is left has routes until it is
		}
	}
	p := plan.Plan{Homes: map[drtc.ParticipantID]drtc.NodeID{}, Standby: map[drtc.NodeID]drtc.NodeID{}, Refused: map[drtc.ParticipantID]error{}}
	emptiest := func(not ...drtc.NodeID) (best drtc.NodeID) {
		for _, id := range n.ids() {
			if fit(id) && !slices.Contains(not, id) && (best.IsZero() || count[id] < count[best]) {
				best = id
			}
		}
		return best
	}
	for _, m := range in.Members {
		home := m.Home
		if !m.Pin.IsZero() {
			home = m.Pin
		}
		if home.IsZero() && m.Place != nil && m.Place.Lat > 0 {
			if wish := (drtc.NodeID{byte(m.Place.Lat)}); fit(wish) && !slices.Contains(m.Exclude, wish) {
				home = wish
			}
		}
		if home.IsZero() || !fit(home) {
			home = cmp.Or(emptiest(m.Exclude...), home)
		}
		if home.IsZero() {
			continue
		}
		count[home]++
		p.Homes[m.ID], used[home] = home, true
	}
	homes := slices.SortedFunc(maps.Keys(used), compareNodes)
	for _, home := range homes {
		if s := emptiest(home); !s.IsZero() {
			p.Standby[home], used[s] = s, true
		}
	}
	n.bad = nil
	for _, c := range in.Costs {
		if c.Loss == 1 {
			n.bad = append(n.bad, plan.Link{A: c.A, B: c.B})
		}
	}
	n.links(&p, slices.SortedFunc(maps.Keys(used), compareNodes), homes)
	return p
}

// links joins nodes, in a mesh but for those that can't be linked, and routes every origin
// along the shortest ways.
func (n *network) links(p *plan.Plan, nodes, origins []drtc.NodeID) {
	for i, a := range nodes {
		for j, b := range nodes[i+1:] {
			if n.shape == "mesh" && slices.Contains(n.bad, plan.Link{A: a, B: b}) {
				continue // the other shapes have no way round
			}
			if n.shape == "mesh" || n.shape == "star" && i == 0 || n.shape == "chain" && j == 0 {
				p.Links = append(p.Links, plan.Link{A: a, B: b})
			}
		}
	}
	for _, origin := range origins {
		seen := []drtc.NodeID{origin}
		for i := 0; i < len(seen); i++ {
			for _, l := range p.Links {
				for _, way := range [][2]drtc.NodeID{{l.A, l.B}, {l.B, l.A}} {
					if way[0] == seen[i] && !slices.Contains(seen, way[1]) {
						seen = append(seen, way[1])
						p.Routes = append(p.Routes, plan.Route{Origin: origin, Node: way[1], Via: way[0]})
					}
				}
			}
		}
	}
}

// nodeText is nodeCommand with the commands of links.
func nodeText(c NodeCommand) string {
	switch c := c.(type) {
	case PrepareRelay:
		return fmt.Sprintf("prepare %s to %d", c.Link, c.Peer[0])
	case OpenRelay:
		return fmt.Sprintf("open %s to %d", c.Link, c.Peer[0])
	case CloseRelay:
		return fmt.Sprintf("close %s", c.Link)
	case SetRelayRoutes:
		text := "routes"
		for _, r := range c.Routes {
			text += fmt.Sprintf(" %d:%s", r.Origin[0], r.Link)
		}
		return text
	case ClaimRoom:
		return "claim"
	case SendOffer:
		text := nodeCommand(c)
		if c.Restore != nil {
			text += " restore"
			for _, t := range c.Restore.Tracks {
				text += fmt.Sprintf(" %s:%s", t.MID, t.Track)
			}
			for _, s := range c.Restore.Sources {
				text += fmt.Sprintf(" %s=%x/%x", s.MID, s.SSRC, s.Repair)
			}
			for _, ch := range c.Restore.Channels {
				text += fmt.Sprintf(" %s:%d", ch.Label, ch.ID)
			}
		}
		return text
	}
	return nodeCommand(c)
}

// eventText is one line for what a node reports.
func eventText(c Command) string {
	up := func(connected, closed bool) string {
		switch {
		case closed:
			return "closed"
		case connected:
			return "connected"
		}
		return "silent"
	}
	switch c := c.(type) {
	case SessionChanged:
		return fmt.Sprintf("%s is %s", c.Session, up(c.Connected, c.Closed))
	case RelayChanged:
		return fmt.Sprintf("%s is %s", strings.ReplaceAll(string(c.Link), "RM_1-", "#"), up(c.Connected, c.Closed))
	case TrackLive:
		return fmt.Sprintf("%s of %s is live", c.Track, c.Session)
	case TrackAvailable:
		if c.Available {
			return fmt.Sprintf("%s of node %d is here", c.Track, c.Origin[0])
		}
		return fmt.Sprintf("%s of node %d is not here any more", c.Track, c.Origin[0])
	}
	return fmt.Sprintf("%+v", c)
}
