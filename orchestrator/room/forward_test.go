package room

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
)

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
	w, _, bea := twoRooms(t)
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
			w, _, _ := twoRooms(t)
			track := w.rooms["two"].named("ann").Tracks[0].ID
			for _, name := range which {
				w.restart(name)
			}
			w.pass(3*time.Second, true)
			ann := w.rooms["one"].named("ann")
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
