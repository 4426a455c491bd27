package room

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
)

// enter lets people into a room on one node.
func (s *scenario) enter(t *testing.T, names ...string) {
	for i, name := range names {
		s.line(t, "join "+name)
		if i == 0 && s.home.IsZero() {
			s.line(t, "assign 1")
		}
		s.line(t, "open "+name)
		s.line(t, "connected "+name)
	}
}

// order gives an order and returns its effects as lines.
func (s *scenario) order(t *testing.T, o Order) []string {
	t.Helper()
	effects, err := s.room.Administer(s.now, o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range effects {
		lines = append(lines, s.effect(e))
	}
	return lines
}

func TestAdminister_saysWhyNot(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann", "old")
	s.room.named("ann").Client.Version = movableFrom
	s.line(t, "track ann a1")
	long := strings.Repeat("x", maxMetadata+1)
	for _, c := range []struct {
		order Order
		want  error
	}{
		{Permit{Identity: "nobody", Name: "n"}, ErrNoParticipant},
		{Permit{Identity: "ann", Metadata: long}, ErrLimit},
		{Permit{Identity: "ann", Attributes: map[string]string{"k": long}}, ErrLimit},
		{ForceMute{Identity: "nobody"}, ErrNoParticipant},
		{ForceMute{Identity: "ann", Track: "TR_absent"}, ErrNoTrack},
		{Expel{Identity: "nobody"}, ErrNoParticipant},
		{SetSubscriptions{Identity: "nobody"}, ErrNoParticipant},
		{SetRoomMetadata{Metadata: long}, ErrLimit},
		{Create{Options{Metadata: long}}, ErrLimit},
		{MoveOut{Identity: "nobody"}, ErrNoParticipant},
		{MoveOut{Identity: "old"}, ErrOldClient},
		{ForceMute{Identity: "ann", Track: tr("a1"), Muted: true}, nil},
	} {
		if _, err := s.room.Administer(s.now, c.order); !errors.Is(err, c.want) {
			t.Errorf("%T: got %v, want %v", c.order, err, c.want)
		}
	}
	s.line(t, "drop ann")
	if _, err := s.room.Administer(s.now, MoveOut{Identity: "ann"}); !errors.Is(err, ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
}

// Handle takes orders too, for owners that need no reason.
func TestHandle_carriesOutOrders(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann")
	s.room.Handle(s.now, SetRoomMetadata{Metadata: "m"})
	s.room.Handle(s.now, Expel{Identity: "nobody"})
	if got := s.room.Info().Metadata; got != "m" {
		t.Errorf("metadata are %q, want m", got)
	}
}

func TestExpel_whoIsOnTheWay(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann")
	s.line(t, "join bob") // its session is being opened
	if got := s.order(t, Expel{Identity: "bob"}); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "refused: removed") }) {
		t.Errorf("got %q, want that bob is refused", got)
	}
	s.line(t, "drop ann")
	s.line(t, "resume ann") // the node's word is awaited
	got := s.order(t, Expel{Identity: "ann"})
	want := fmt.Sprintf("goodbye reason=%d action=%d", ParticipantRemoved, Disconnect)
	if !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, want) }) {
		t.Errorf("got %q, want %s for the connection that resumes", got, want)
	}
	if n := len(s.room.state.Members); n != 0 {
		t.Errorf("%d members are left, want none", n)
	}
}

func TestExpel_endsWhatIsWatchedByThatIdentity(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann")
	s.line(t, "join eve watch=* a=1 offer")
	s.line(t, "open eve")
	s.order(t, Expel{Identity: "eve"})
	if got := s.members(); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("%q are left, want ann", got)
	}
}

func TestExpel_rememberedRevocationsAreBounded(t *testing.T) {
	s := newScenario()
	for i := range maxRevoked + 10 {
		c := Expel{Identity: drtc.Identity(fmt.Sprintf("p%d", i)), TokensFrom: s.now.Add(time.Duration(i) * time.Second)}
		_, _ = s.room.Administer(s.now, c)
	}
	revoked := s.room.state.Terms.Revoked
	if _, oldest := revoked["p9"]; len(revoked) != maxRevoked || oldest {
		t.Errorf("%d are remembered (the oldest: %v), want %d", len(revoked), oldest, maxRevoked)
	}
	s.line(t, "save")
	if len(s.room.state.Terms.Revoked) != maxRevoked {
		t.Error("a restart forgets revocations")
	}
}

func TestClose_refusesThoseOnTheWayAndEnds(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann", "cid")
	s.line(t, "join bob")
	s.line(t, "drop cid")
	s.line(t, "resume cid")
	lines := s.order(t, Close{})
	text := strings.Join(lines, "\n")
	bye := fmt.Sprintf("goodbye reason=%d action=%d", RoomDeleted, Disconnect)
	for _, want := range []string{"ann#1 <- " + bye, "ann#1 closed", "cid#4 <- " + bye, "cid#4 closed", "bob#3 refused: the room was deleted"} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %s", text, want)
		}
	}
	if strings.Contains(text, "update") || lines[len(lines)-1] != "ended" {
		t.Errorf("got\n%s\nwant no updates, and the end last", text)
	}
}

func TestPermit_aSourceThatIsForbiddenEnds(t *testing.T) {
	s := newScenario()
	s.enter(t, "ann", "bob")
	for _, line := range []string{"track ann a1", "live ann a1", "track ann v1", "live ann v1"} {
		s.line(t, line)
	}
	p := Permission{Publish: true, Subscribe: true, Sources: []Source{Microphone}}
	text := strings.Join(s.order(t, Permit{Identity: "ann", Permission: &p}), "\n")
	if !strings.Contains(text, "UnpublishTrack{Track:TR_v1}") || strings.Contains(text, "UnpublishTrack{Track:TR_a1}") {
		t.Errorf("got\n%s\nwant the end of the camera alone", text)
	}
	p.Sources[0] = Camera // the caller's slice is not the room's
	if m := s.room.named("ann"); m.track(tr("a1")) == nil || m.track(tr("v1")) != nil || !m.Permission.MayPublish(Microphone) {
		t.Errorf("ann publishes %v with %+v", m.Tracks, m.Permission)
	}
	if got := s.line(t, "ended ann v1"); len(got) != 0 {
		t.Errorf("the node's own word changed something: %v", got)
	}
	if got := s.order(t, Permit{Identity: "ann"}); len(got) != 0 {
		t.Errorf("an order to change nothing did %q", got)
	}
}

// One who is told nothing new for a moment must not be told of somebody who was
// hidden in that moment.
func TestPermit_hiddenWhileSomebodyIsCalm(t *testing.T) {
	s := newScenario()
	s.enter(t, "bob")
	s.order(t, Await{Identity: "ann"})
	s.line(t, "join ann")
	s.line(t, "open ann")
	s.order(t, Permit{Identity: "bob", Name: "B"}) // kept for later
	s.order(t, Permit{Identity: "bob", Permission: &Permission{Hidden: true}})
	text := ""
	for _, e := range s.after(calm) {
		text += s.effect(e) + "\n"
	}
	if text != "ann#2 <- update [bob v4 gone reason=0]\n" {
		t.Errorf("ann is told\n%s\nwant that bob is gone and no more", text)
	}
}

func TestCreate_survivesARestart(t *testing.T) {
	s := newScenario()
	s.order(t, Create{Options{EmptyTimeout: time.Hour, DepartureTimeout: time.Minute, MaxParticipants: 1, Metadata: "m"}})
	if !s.room.Changed() {
		t.Error("there is nothing to save")
	}
	saved, err := s.room.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	info, err := ReadInfo(DefaultConfig(), saved)
	want := s.room.Info()
	info.Created, want.Created = info.Created.UTC(), want.Created.UTC()
	if err != nil || info != want {
		t.Errorf("got %+v and %v, want %+v", info, err, want)
	}
	s.line(t, "save")
	if got := s.room.NextTimeout().Sub(s.now); got != time.Hour {
		t.Errorf("the room ends in %v, want an hour", got)
	}
	s.enter(t, "ann")
	if got := s.line(t, "join bob"); len(got) != 1 || !strings.Contains(s.effect(got[0]), "full") {
		t.Errorf("got %v, want that the room is full", got)
	}
	if _, err := ReadInfo(DefaultConfig(), []byte("{")); err == nil {
		t.Error("garbage was read")
	}
}

// Whatever servers order while clients and nodes do what they do, the rules of
// the package hold, and nobody hears of those who are hidden at the moment.
func TestRoom_rulesHoldWhateverServersOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScenario()
		s.room.config.Notify = true
		w := &watcher{
			t: t, s: s, hidden: map[string]bool{}, shown: map[string]bool{}, watching: map[string]bool{},
			versions: map[Conn]map[drtc.ParticipantID]uint32{}, known: map[Conn]map[drtc.TrackID]bool{},
			greeted: map[Conn]bool{}, closed: map[Conn]bool{},
			on: map[drtc.SessionID]map[drtc.TrackID]bool{}, offers: map[drtc.SessionID]bool{},
			seats: map[string]drtc.TrackID{}, kinds: map[string]int{"room.Answer": 1, "room.Goodbye": 1},
		}
		told := newLedger(t)
		serial := 0
		do := func(effects []Effect, before []string) {
			w.check(effects)
			told.check(effects)
			for _, id := range before {
				if !slices.Contains(s.members(), id) {
					w.gone = append(w.gone, id)
				}
			}
			w.state()
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			before := s.members()
			pick := func(label string) string {
				return rapid.SampledFrom(append(slices.Clone(before), "nobody")).Draw(t, label)
			}
			who := pick("who")
			id := drtc.Identity(who)
			if m := s.room.byID(pa(who)); m != nil {
				id = m.Identity
			}
			track := rapid.SampledFrom([]string{"a1", "v1"}).Draw(t, "track")
			handle := func(verb string, args ...string) []Effect {
				return s.room.Handle(s.now, s.command(verb, who, split(args)))
			}
			var effects []Effect
			switch rapid.SampledFrom([]string{
				"join", "join", "join", "open", "track", "live", "live", "live", "live", "connected", "drop", "after",
				"subscribe", "permit", "permit", "permit", "mute", "expel", "set", "send", "move", "metadata", "close",
			}).Draw(t, "verb") {
			case "join":
				if len(before) > 4 {
					continue
				}
				serial++
				who = fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "name"), serial)
				args := []string{"as=" + who}
				if w.hidden[who] = rapid.IntRange(0, 4).Draw(t, "hidden") == 0; w.hidden[who] {
					args = append(args, "hidden")
				}
				name := strings.TrimRight(who, "0123456789")
				effects = s.room.Handle(s.now, s.command("join", name, split(args)))
				s.home, s.asked = nodeID("1"), true
				effects = s.plan(effects)
				if m := s.room.byID(pa(who)); m != nil {
					m.Client.Version = movableFrom
				}
				if rapid.IntRange(0, 4).Draw(t, "slow") > 0 {
					do(effects, before)
					before, effects = s.members(), handle("open")
				}
			case "open":
				effects = handle("open")
			case "track":
				effects = handle("track", track+who)
			case "live":
				effects = append(handle("track", track+who), handle("live", track+who)...)
			case "connected":
				effects = handle("connected")
			case "drop":
				effects = handle("drop")
			case "subscribe":
				effects = handle("subscribe", track+pick("whose"))
			case "after":
				effects = s.after(DefaultConfig().Grace / 3)
			case "permit":
				p := Permission{
					Publish: rapid.IntRange(0, 3).Draw(t, "publish") > 0, Subscribe: rapid.IntRange(0, 3).Draw(t, "subscribe") > 0,
					Hidden: rapid.IntRange(0, 2).Draw(t, "hide") == 0,
				}
				if rapid.Bool().Draw(t, "sources") {
					p.Sources = []Source{Camera}
				}
				m := s.room.named(id)
				if m == nil {
					continue
				}
				// It is hidden from the last word that it has gone on.
				was := strings.TrimPrefix(string(m.ID), "PA_")
				if !p.Hidden {
					w.hidden[was] = false
				}
				effects, _ = s.room.Administer(s.now, Permit{Identity: id, Permission: &p})
				do(slices.Clone(effects), before)
				w.hidden[was] = p.Hidden
				continue
			case "mute":
				effects, _ = s.room.Administer(s.now, ForceMute{Identity: id, Track: tr(track + who), Muted: rapid.Bool().Draw(t, "muted")})
			case "expel":
				effects, _ = s.room.Administer(s.now, Expel{Identity: id})
			case "set":
				effects, _ = s.room.Administer(s.now, SetSubscriptions{Identity: id, Tracks: []drtc.TrackID{tr(track + pick("whose"))}, On: rapid.Bool().Draw(t, "on")})
			case "send":
				effects, _ = s.room.Administer(s.now, Send{Packet: []byte("p"), To: []drtc.Identity{id}})
			case "move":
				effects, _ = s.room.Administer(s.now, MoveOut{Identity: id})
			case "metadata":
				effects, _ = s.room.Administer(s.now, Permit{Identity: id, Metadata: "m"})
			case "close":
				if rapid.IntRange(0, 9).Draw(t, "really") != 0 {
					continue
				}
				effects, _ = s.room.Administer(s.now, Close{})
				do(effects, before)
				return
			}
			do(effects, before)
		}
	})
}
