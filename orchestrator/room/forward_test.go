package room

import (
	"errors"
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

// twoRooms has ann with a camera in room one, and bea in room two, where ann is
// forwarded.
func twoRooms(t *testing.T) (w *town, ann, bea *member) {
	w = newTown(t.Fatalf, "one", "two")
	ann, bea = w.join("one", "ann"), w.join("two", "bea")
	w.publish("one", ann, "cam")
	if err := w.forward("one", "ann", "two"); err != nil {
		t.Fatal(err)
	}
	return w, ann, bea
}

func TestForward_showsAParticipantInAnotherRoom(t *testing.T) {
	w, ann, bea := twoRooms(t)
	p, there := w.sees(bea, "ann")
	if !there || p.ID == ann.ID || p.Name != "ANN" || !slices.Equal(p.Client.KindDetails, []int32{1}) || p.State != Active {
		t.Fatalf("bea sees %+v, want ann by another id and marked as forwarded", p)
	}
	if len(p.Tracks) != 1 || p.Tracks[0].ID == "TR_cam" || p.Tracks[0].Source != Camera || !strings.HasPrefix(string(p.Tracks[0].ID), "TR_") {
		t.Fatalf("bea sees the tracks %+v, want the camera by another id", p.Tracks)
	}
	want := fmt.Sprintf("1 %s {Subscriptions:[{Track:%s Stream:%s|camera Settings:<nil>}]}", bea.Session, p.Tracks[0].ID, p.ID)
	if got := ordered[SubscribeTracks](w); !slices.Contains(got, want) {
		t.Errorf("subscriptions: got %v, want %q", got, want)
	}
	if _, there := w.sees(ann, "bea"); there {
		t.Error("ann hears of bea, who is in another room")
	}
	// Doing it again changes nothing.
	w.sent = nil
	if err := w.forward("one", "ann", "two"); err != nil {
		t.Fatal(err)
	}
	if again, _ := w.sees(bea, "ann"); again.ID != p.ID || len(w.rooms["two"].state.Members) != 2 || len(w.sent) > 0 {
		t.Errorf("forwarded twice: bea sees %+v, nodes were told %v", again, w.sent)
	}
}

func TestForward_followsItsParticipant(t *testing.T) {
	w, ann, bea := twoRooms(t)
	check := func(when, want string) {
		t.Helper()
		w.deliver()
		p, there := w.sees(bea, "ann")
		var tracks []string
		for _, tr := range p.Tracks {
			tracks = append(tracks, fmt.Sprint(tr.Source, tr.Muted))
		}
		if got := fmt.Sprint(there, " ", p.Name, p.Metadata, p.Attributes, tracks); got != want {
			t.Errorf("%s: bea sees %q, want %q", when, got, want)
		}
	}
	check("at first", "true ANNmap[] [1 false]")
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam", Muted: true})
	check("muted", "true ANNmap[] [1 true]")
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam"})
	check("unmuted", "true ANNmap[] [1 false]")
	ann.Permission.UpdateMetadata = true
	w.tell("one", SetMetadata{Participant: ann.ID, Name: "Ann", Metadata: "m", Attributes: map[string]string{"a": "b"}})
	check("renamed", "true Annmmap[a:b] [1 false]")
	w.tell("one", AddTrack{Participant: ann.ID, Track: Track{ID: "TR_scr", CID: "scr", Kind: Video, Source: ScreenShare}})
	check("announced and not live", "true Annmmap[a:b] [1 false]")
	w.lives("one", ann, "TR_scr")
	check("with a screen", "true Annmmap[a:b] [1 false 3 false]")
	w.sent = nil
	w.tell("one", TrackEnded{Session: ann.Session, Track: "TR_cam"})
	check("without the camera", "true Annmmap[a:b] [3 false]")
	if got := ordered[UnpublishTrack](w); len(got) != 1 || !strings.HasPrefix(got[0], "1 SE_guest1 ") {
		t.Errorf("the guest's node was told %v, want that the camera ends", got)
	}
	w.tell("one", Leave{Participant: ann.ID})
	w.deliver()
	if p, there := w.sees(bea, "ann"); there || p.Reason != ClientInitiated || len(w.rooms["two"].state.Members) != 1 {
		t.Errorf("ann has left, and bea sees %+v", p)
	}
	if _, still := w.live["SE_guest1"]; still {
		t.Error("the guest's session is still there")
	}
}

func TestForward_endsWhenTheGuestIsRemoved(t *testing.T) {
	w, ann, bea := twoRooms(t)
	if err := w.order("two", Expel{Identity: "ann"}); err != nil {
		t.Fatal(err)
	}
	if _, there := w.sees(bea, "ann"); there || len(ann.Forwards) > 0 {
		t.Fatalf("ann was removed from two, and is still forwarded to %v", ann.Forwards)
	}
	if w.rooms["one"].named("ann") == nil {
		t.Error("ann has gone from her own room")
	}
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam", Muted: true})
	w.pass(time.Minute, true)
	if _, there := w.sees(bea, "ann"); there {
		t.Error("she came back by herself")
	}
	if err := w.forward("one", "ann", "two"); err != nil {
		t.Fatal(err)
	}
	if _, there := w.sees(bea, "ann"); !there {
		t.Error("forwarded anew, she is not seen")
	}
}

// Who joins with an identity that a guest has is the one who stays.
func TestForward_aJoinTakesThePlaceOfAGuest(t *testing.T) {
	w, ann, bea := twoRooms(t)
	guest, _ := w.sees(bea, "ann")
	joined := w.join("two", "ann")
	w.deliver()
	if p, there := w.sees(bea, "ann"); !there || p.ID != joined.ID || p.ID == guest.ID {
		t.Errorf("bea sees %+v, want the ann who joined", p)
	}
	if len(ann.Forwards) > 0 {
		t.Error("the other ann is still forwarded")
	}
	err := w.forward("one", "ann", "two")
	if !errors.Is(err, ErrIdentity) || len(ann.Forwards) > 0 {
		t.Errorf("forwarding where the identity is taken: got %v, want ErrIdentity", err)
	}
}

func TestForward_refusals(t *testing.T) {
	w, ann, _ := twoRooms(t)
	w.rooms["three"] = New(DefaultConfig(), "RM_three", "three", w.now)
	hidden := w.join("one", "hidden")
	hidden.Permission.Hidden = true
	busy := w.join("one", "busy")
	for i := range maxForwards {
		busy.Forwards = append(busy.Forwards, &forward{To: fmt.Sprint(i), next: w.now.Add(time.Hour)})
	}
	for _, c := range []struct {
		room, name string
		want       error
	}{
		{"one", "nobody", ErrNoParticipant}, {"two", "ann", ErrGuest}, {"one", "hidden", ErrUnseen}, {"one", "busy", ErrForwards},
	} {
		if err := w.forward(c.room, c.name, "three"); !errors.Is(err, c.want) {
			t.Errorf("%s of %s: got %v, want %v", c.name, c.room, err, c.want)
		}
	}
	if n := len(w.rooms["three"].state.Members); n > 0 {
		t.Errorf("%d guests are in the other room all the same", n)
	}
	for name, o := range map[string]Order{
		"permissions": Permit{Identity: "ann", Name: "x"}, "subscriptions": SetSubscriptions{Identity: "ann", Tracks: []drtc.TrackID{"TR_x"}, On: true},
		"a move": MoveOut{Identity: "ann"}, "a role": SetRole{Identity: "ann", Role: "host"}, "host": Appoint{Identity: "ann"},
	} {
		if err := w.order("two", o); !errors.Is(err, ErrGuest) {
			t.Errorf("%s of a guest: got %v, want ErrGuest", name, err)
		}
	}
	// One who is hidden later is not shown any more.
	p := ann.Permission
	p.Hidden = true
	if err := w.order("one", Permit{Identity: "ann", Permission: &p}); err != nil {
		t.Fatal(err)
	}
	if w.rooms["two"].named("ann") != nil {
		t.Error("ann is hidden, and a guest in the other room")
	}
}

func TestForward_bothWays(t *testing.T) {
	w, ann, bea := twoRooms(t)
	w.publish("two", bea, "cam2")
	if err := w.forward("two", "bea", "one"); err != nil {
		t.Fatal(err)
	}
	a, _ := w.sees(bea, "ann")
	b, there := w.sees(ann, "bea")
	if !there || len(a.Tracks) != 1 || len(b.Tracks) != 1 {
		t.Errorf("ann sees %+v, bea %+v", b, a)
	}
	w.pass(3*time.Minute, true)
	if len(w.rooms["one"].state.Members) != 2 || len(w.rooms["two"].state.Members) != 2 {
		t.Error("they did not stay")
	}
}

// Mutes by a host of the other room are for that room, and end when the
// participant unmutes itself.
func TestForward_muteInTheOtherRoom(t *testing.T) {
	w, ann, bea := twoRooms(t)
	muted := func(want bool) {
		t.Helper()
		w.deliver()
		if p, _ := w.sees(bea, "ann"); len(p.Tracks) != 1 || p.Tracks[0].Muted != want {
			t.Errorf("bea sees the tracks %+v, want muted %v", p.Tracks, want)
		}
	}
	p, _ := w.sees(bea, "ann")
	if err := w.order("two", ForceMute{Identity: "ann", Track: p.Tracks[0].ID, Muted: true}); err != nil {
		t.Fatal(err)
	}
	muted(true)
	if ann.Tracks[0].Muted {
		t.Error("ann is muted in her own room")
	}
	want := fmt.Sprintf("1 SE_guest1 {Track:%s Muted:true}", p.Tracks[0].ID)
	if got := ordered[MuteTrack](w); !slices.Equal(got, []string{want}) {
		t.Errorf("nodes were told %v, want %q", got, want)
	}
	w.tell("one", SetFeatures{Participant: ann.ID, Track: "TR_cam", Width: 64, Height: 48})
	muted(true)
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam", Muted: true})
	muted(true)
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam"})
	muted(false)
}

// A guest follows its participant to another node.
func TestForward_goesWithItsParticipant(t *testing.T) {
	w, ann, bea := twoRooms(t)
	guest := w.rooms["two"].named("ann")
	track := guest.Tracks[0].ID
	w.homes[ann.ID], w.homes[bea.ID] = drtc.NodeID{2}, drtc.NodeID{3}
	for name := range w.rooms { // the nodes are lost to both
		w.tell(name, NodeLost{Node: drtc.NodeID{1}})
	}
	w.deliver()
	ann = w.rooms["one"].named("ann")
	if ann.Node != (drtc.NodeID{2}) {
		t.Fatalf("ann is on %v", ann.Node)
	}
	w.sent = nil
	w.tell("one", SessionChanged{Session: ann.Session, Connected: true})
	w.lives("one", ann, "TR_cam")
	if guest.Node != (drtc.NodeID{2}) || guest.Tracks[0].ID != track || guest.Tracks[0].Away {
		t.Errorf("the guest is on %v with %+v, want its track by its old id on node 2", guest.Node, guest.Tracks[0])
	}
	want := fmt.Sprintf("2 %s {Track:%s Source:TR_cam Session:%s Muted:false}", guest.Session, track, ann.Session)
	if got := ordered[AliasTrack](w); !slices.Contains(got, want) {
		t.Errorf("nodes were told %v, want %q", got, want)
	}
	if p, there := w.sees(bea, "ann"); !there || len(p.Tracks) != 1 {
		t.Errorf("bea sees %+v", p)
	}
}

// A node that has lost a guest's session or tracks is asked again.
func TestForward_isRepairedAtTheNode(t *testing.T) {
	w, _, _ := twoRooms(t)
	guest := w.rooms["two"].named("ann")
	track := guest.Tracks[0].ID
	w.tell("two", TrackEnded{Session: guest.Session, Track: track})
	if !guest.Tracks[0].Away {
		t.Error("the track has ended on its node, and counts as there")
	}
	w.pass(2*time.Second, true)
	if guest.Tracks[0].Away {
		t.Error("the track was not asked for again")
	}
	before := guest.Session
	w.tell("two", SessionChanged{Session: guest.Session, Closed: true})
	w.pass(2*time.Second, true)
	if guest.Session == before || guest.Tracks[0].Away {
		t.Errorf("its session has ended: got session %s, track away %v, want another with the track", guest.Session, guest.Tracks[0].Away)
	}
}

// A guest of whom nothing is heard goes; the sign of life keeps it.
func TestForward_isALease(t *testing.T) {
	w, ann, bea := twoRooms(t)
	w.pass(3*time.Minute, true)
	if _, there := w.sees(bea, "ann"); !there {
		t.Fatal("the guest went though its room is there")
	}
	delete(w.rooms, "one") // with its process
	w.pass(guestFor-forwardEvery-time.Second, true)
	if _, there := w.sees(bea, "ann"); !there {
		t.Error("the guest went at once")
	}
	w.pass(forwardEvery+2*time.Second, true)
	if _, there := w.sees(bea, "ann"); there {
		t.Error("the guest is still there")
	}
	_ = ann
}

// What comes late changes nothing.
func TestForward_oldNewsAreNone(t *testing.T) {
	w, ann, bea := twoRooms(t)
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam", Muted: true})
	old := w.mail[0]
	w.deliver()
	w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam"})
	w.deliver()
	w.tell("two", old.Order)
	if p, _ := w.sees(bea, "ann"); p.Tracks[0].Muted {
		t.Error("an old message has muted the track")
	}
	w.tell("one", Leave{Participant: ann.ID})
	w.deliver()
	w.tell("two", old.Order)
	if _, there := w.sees(bea, "ann"); there {
		t.Error("an old message has brought the guest back")
	}
}

func TestForward_survivesARestart(t *testing.T) {
	for _, which := range [][]string{{"one"}, {"two"}, {"one", "two"}} {
		t.Run(strings.Join(which, " and "), func(t *testing.T) {
			w, ann, _ := twoRooms(t)
			track := w.rooms["two"].named("ann").Tracks[0].ID
			for _, name := range which {
				w.restart(name)
			}
			w.pass(3*time.Second, true)
			ann = w.rooms["one"].named("ann")
			w.tell("one", Mute{Participant: ann.ID, Track: "TR_cam", Muted: true})
			w.deliver()
			guest := w.rooms["two"].named("ann")
			if guest == nil || len(guest.Tracks) != 1 || guest.Tracks[0].ID != track || !guest.Tracks[0].Muted || guest.Tracks[0].Away {
				t.Fatalf("after it: got the guest %+v, want the one of before, muted", guest)
			}
		})
	}
}

func TestForward_guestsTakeNoPlace(t *testing.T) {
	w, _, _ := twoRooms(t)
	w.tell("two", Create{Options{MaxParticipants: 2}})
	if !w.rooms["two"].Vacant() {
		t.Error("a room for two with one and a guest is full")
	}
	if info := w.rooms["two"].Info(); info.Participants != 2 || info.Publishers != 1 {
		t.Errorf("the room counts %d participants and %d publishers, want 2 and 1", info.Participants, info.Publishers)
	}
	w.join("two", "cid")
	if w.rooms["two"].Vacant() {
		t.Error("a room for two with two and a guest is not full")
	}
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
