package room

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// town is rooms that tell each other of guests, over nodes that do at once what
// they are told. What rooms say to each other arrives when deliver is called.
type town struct {
	fail  func(string, ...any)
	now   time.Time
	rooms map[string]*Room
	homes map[drtc.ParticipantID]drtc.NodeID // of clients; node 1 for others
	heard map[Conn][]Message
	sent  []ToNode
	mail  []ToRoom
	live  map[drtc.SessionID]map[drtc.TrackID]bool // what sessions publish
	of    map[drtc.SessionID]string                // their rooms
	conn  Conn
	ids   int
}

func newTown(fail func(string, ...any), rooms ...string) *town {
	w := &town{
		fail: fail, now: time.Unix(1_000_000, 0), rooms: map[string]*Room{}, heard: map[Conn][]Message{},
		homes: map[drtc.ParticipantID]drtc.NodeID{}, live: map[drtc.SessionID]map[drtc.TrackID]bool{}, of: map[drtc.SessionID]string{},
	}
	for _, name := range rooms {
		w.rooms[name] = New(DefaultConfig(), drtc.RoomID("RM_"+name), name, w.now)
	}
	return w
}

func (w *town) tell(room string, c Command) { w.perform(room, w.rooms[room].Handle(w.now, c)) }

// order gives an order, and delivers what follows.
func (w *town) order(room string, o Order) error {
	effects, err := w.rooms[room].Administer(w.now, o)
	w.perform(room, effects)
	w.deliver()
	return err
}

func (w *town) perform(room string, effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case ToClient:
			w.heard[e.Conn] = append(w.heard[e.Conn], e.Message)
		case ToRoom:
			w.mail = append(w.mail, e)
		case Ended:
			delete(w.rooms, room)
		case NeedPlan:
			p := plan.Plan{Homes: map[drtc.ParticipantID]drtc.NodeID{}}
			for _, m := range w.rooms[room].Shape().Members {
				p.Homes[m.ID] = drtc.NodeID{1}
				if home, ok := w.homes[m.ID]; ok {
					p.Homes[m.ID] = home
				}
				if !m.Pin.IsZero() {
					p.Homes[m.ID] = m.Pin
				}
			}
			w.tell(room, Planned{Plan: p})
		case ToNode:
			w.sent = append(w.sent, e)
			w.node(room, e)
		}
	}
}

// node carries a command out.
func (w *town) node(room string, e ToNode) {
	switch c := e.Command.(type) {
	case OpenSession:
		w.live[e.Session], w.of[e.Session] = map[drtc.TrackID]bool{}, room
		w.tell(room, SessionOpened{Node: e.Node, Session: e.Session})
	case CloseSession:
		delete(w.live, e.Session)
	case AliasTrack:
		if !w.live[c.Session][c.Source] || w.live[e.Session] == nil {
			w.tell(room, Aliased{Session: e.Session, Track: c.Track, Err: "no such track"})
			return
		}
		w.live[e.Session][c.Track] = true
		w.tell(room, Aliased{Session: e.Session, Track: c.Track})
		w.tell(room, TrackLive{Session: e.Session, Track: c.Track, MIME: "video/VP8"})
	case UnpublishTrack:
		delete(w.live[e.Session], c.Track)
	}
}

// deliver brings the mail.
func (w *town) deliver() {
	for len(w.mail) > 0 {
		m := w.mail[0]
		w.mail = w.mail[1:]
		if w.rooms[m.Room] != nil {
			w.tell(m.Room, m.Order)
			continue
		}
		if h, ok := m.Order.(Host); ok && !h.Guest.Gone { // the owner says that the room has ended
			w.mail = append(w.mail, ToRoom{Room: h.Guest.From, Order: EndForward{Guest: h.Guest.ID}})
		}
	}
}

// pass lets time go by. Mail is brought if so.
func (w *town) pass(d time.Duration, mail bool) {
	for end := w.now.Add(d); ; {
		next, due := end, ""
		for _, name := range slices.Sorted(maps.Keys(w.rooms)) {
			if at := w.rooms[name].NextTimeout(); !at.IsZero() && at.Before(next) {
				next, due = at, name
			}
		}
		if w.now = later(w.now, next); due == "" {
			return
		}
		w.perform(due, w.rooms[due].HandleTimeout(w.now))
		if mail {
			w.deliver()
		}
	}
}

func (w *town) join(room, name string) *member {
	w.conn++
	w.open(room)
	id := drtc.ParticipantID(fmt.Sprintf("PA_%s_%s_%d", room, name, w.conn))
	w.tell(room, Join{
		Conn: w.conn, Participant: id, Session: drtc.SessionID("SE_" + string(id)), Identity: drtc.Identity(name), Application: "app",
		Name: strings.ToUpper(name), AutoSubscribe: true, Permission: Permission{Publish: true, Subscribe: true},
	})
	m := w.rooms[room].byID(id)
	w.tell(room, SessionChanged{Session: m.Session, Connected: true})
	return m
}

// restart ends the process that has a room and begins another one.
func (w *town) restart(room string) {
	saved, err := w.rooms[room].Snapshot()
	if err == nil {
		w.rooms[room], err = Restore(DefaultConfig(), saved, w.now)
	}
	if err != nil {
		w.fail("restart of %s: %v", room, err)
		return
	}
	for _, m := range w.rooms[room].state.Members {
		m.graceUntil = time.Time{} // its client is back
	}
	answer := Claimed{Node: drtc.NodeID{1}}
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		if w.of[id] == room {
			answer.Sessions = append(answer.Sessions, id)
		}
	}
	w.tell(room, answer)
}

// open makes a room that is not there.
func (w *town) open(room string) {
	if w.rooms[room] == nil {
		w.rooms[room] = New(DefaultConfig(), drtc.RoomID(fmt.Sprintf("RM_%s%d", room, w.conn)), room, w.now)
	}
}

// publish makes a camera of a client live.
func (w *town) publish(room string, m *member, track string) drtc.TrackID {
	id := drtc.TrackID("TR_" + track)
	w.tell(room, AddTrack{Participant: m.ID, Track: Track{ID: id, CID: track, Kind: Video, Source: Camera}})
	w.lives(room, m, id)
	return id
}

// lives has media of a client's track come to its node.
func (w *town) lives(room string, m *member, id drtc.TrackID) {
	w.live[m.Session][id] = true
	w.tell(room, TrackLive{Session: m.Session, Track: id, MID: "0", MIME: "video/VP8"})
	w.deliver()
}

// forward shows somebody in another room.
func (w *town) forward(from, name, to string) error {
	w.ids++
	o := Forward{
		Identity: drtc.Identity(name), To: to,
		As: drtc.ParticipantID(fmt.Sprintf("PA_guest%d", w.ids)), Session: drtc.SessionID(fmt.Sprintf("SE_guest%d", w.ids)),
	}
	first, err := w.rooms[from].Forwarding(o)
	if err == nil {
		err = w.order(to, Host{Guest: first})
	}
	if err == nil {
		err = w.order(from, o)
	}
	return err
}

// sees is what the client of a connection knows of somebody.
func (w *town) sees(m *member, name string) (found Participant, there bool) {
	take := func(p Participant) {
		if p.Identity == drtc.Identity(name) && (!there || p.ID != found.ID || p.Version > found.Version) {
			found, there = p, true
		}
	}
	for _, message := range w.heard[m.conn] {
		switch v := message.(type) {
		case Welcome:
			for _, p := range v.Others {
				take(p)
			}
		case Update:
			for _, p := range v.Participants {
				take(p)
			}
		}
	}
	return found, there && found.State != Disconnected
}

// ordered are the commands of one kind that nodes were given, with the nodes.
func ordered[C NodeCommand](w *town) (list []string) {
	for _, e := range w.sent {
		if _, ok := e.Command.(C); ok {
			list = append(list, fmt.Sprintf("%d %s %+v", e.Node[0], e.Session, e.Command))
		}
	}
	return list
}

// Whatever happens in the rooms, and to what they tell each other, in the end each
// shows those who are forwarded to it, with their tracks, and nobody else.
func TestForward_agreesInTheEnd(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newTown(r.Fatalf, "one", "two")
		names := []string{"ann", "bea", "cid"}
		tracks := 0
		for range rapid.IntRange(5, 40).Draw(r, "steps") {
			room := rapid.SampledFrom([]string{"one", "two"}).Draw(r, "room")
			other := map[string]string{"one": "two", "two": "one"}[room]
			name := rapid.SampledFrom(names).Draw(r, "who")
			w.open(room)
			w.open(other)
			m := w.rooms[room].named(drtc.Identity(name))
			if m != nil && m.Guest != nil && rapid.Bool().Draw(r, "expel") {
				effects, _ := w.rooms[room].Administer(w.now, Expel{Identity: m.Identity})
				w.perform(room, effects)
			}
			client := m != nil && m.Guest == nil
			switch rapid.IntRange(0, 8).Draw(r, "what") {
			case 0:
				if !client {
					w.join(room, name)
				}
			case 1, 2:
				o := Forward{Identity: drtc.Identity(name), To: other, As: drtc.ParticipantID(fmt.Sprint("PA_g", tracks)), Session: drtc.SessionID(fmt.Sprint("SE_g", tracks))}
				tracks++
				if first, err := w.rooms[room].Forwarding(o); err == nil {
					effects, err := w.rooms[other].Administer(w.now, Host{Guest: first})
					w.perform(other, effects)
					if err == nil {
						effects, _ := w.rooms[room].Administer(w.now, o)
						w.perform(room, effects)
					}
				}
			case 3:
				if client {
					tracks++
					id := drtc.TrackID(fmt.Sprint("TR_", tracks))
					w.tell(room, AddTrack{Participant: m.ID, Track: Track{ID: id, CID: string(id), Kind: Video}})
					w.live[m.Session][id] = true
					w.tell(room, TrackLive{Session: m.Session, Track: id, MIME: "video/VP8"})
				}
			case 4:
				if client && len(m.Tracks) > 0 {
					tr := m.Tracks[0]
					w.tell(room, Mute{Participant: m.ID, Track: tr.ID, Muted: !tr.Muted})
				}
			case 5:
				if client && len(m.Tracks) > 0 {
					id := m.Tracks[0].ID
					delete(w.live[m.Session], id)
					w.tell(room, TrackEnded{Session: m.Session, Track: id})
				}
			case 6:
				if client {
					w.tell(room, Leave{Participant: m.ID})
				}
			case 7: // the process ends and begins anew
				w.restart(room)
			case 8:
				w.pass(time.Duration(rapid.IntRange(0, 20).Draw(r, "seconds"))*time.Second, true)
			}
			w.open(room)
			// The post loses, repeats and mixes what was given to it.
			switch rapid.IntRange(0, 5).Draw(r, "post") {
			case 0:
				w.mail = nil
			case 1:
				w.mail = append(w.mail, w.mail...)
			case 2:
				slices.Reverse(w.mail)
			case 3:
				w.deliver()
			}
		}
		w.deliver()
		w.pass(3*time.Minute, true)
		w.open("one")
		w.open("two")
		for room, other := range map[string]string{"one": "two", "two": "one"} {
			var want, got []string
			for _, m := range w.rooms[room].state.Members {
				for _, f := range m.Forwards {
					text := fmt.Sprint(f.As, m.Identity)
					for _, t := range m.Tracks {
						text += fmt.Sprint(" ", aliasOf(f.As, t.ID), t.Muted)
					}
					want = append(want, text)
				}
			}
			for _, m := range w.rooms[other].state.Members {
				if m.Guest == nil {
					continue
				}
				text := fmt.Sprint(m.ID, m.Identity)
				for _, t := range m.Tracks {
					text += fmt.Sprint(" ", t.ID, t.Muted)
					if t.Away || !w.live[m.Session][t.ID] {
						r.Fatalf("%s of the guest %s is not on its node", t.ID, m.ID)
					}
				}
				got = append(got, text)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				r.Fatalf("room %s forwards %q to %s, which has %q", room, want, other, got)
			}
		}
		for id := range w.live {
			if !slices.ContainsFunc(append(w.rooms["one"].Sessions(), w.rooms["two"].Sessions()...), func(s Session) bool { return s.Session == id }) {
				r.Fatalf("session %s is left on a node", id)
			}
		}
	})
}
