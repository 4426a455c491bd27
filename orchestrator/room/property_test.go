package room

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
)

// watcher checks the rules of the package comment on every effect of a run.
type watcher struct {
	t        *rapid.T
	s        *scenario
	hidden   map[string]bool // by id
	shown    map[string]bool // by id: who could be seen at some time
	watching map[string]bool // by id
	versions map[Conn]map[drtc.ParticipantID]uint32
	known    map[Conn]map[drtc.TrackID]bool // told to this connection
	greeted  map[Conn]bool
	closed   map[Conn]bool
	on       map[drtc.SessionID]map[drtc.TrackID]bool // what nodes forward
	offers   map[drtc.SessionID]bool                  // an offer is with the node
	seats    map[string]drtc.TrackID                  // what nodes show, by session and seat
	kinds    map[string]int                           // what spectators may hear
	gone     []string
}

func (w *watcher) check(effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case ToClient:
			w.message(e)
		case CloseClient:
			w.closed[e.Conn] = true
		case ToNode:
			w.nodeCommand(e)
		}
	}
	w.state()
}

func (w *watcher) message(e ToClient) {
	id := w.s.names[e.Conn]
	if w.closed[e.Conn] {
		w.t.Fatalf("%T for %s after its connection was closed", e.Message, id)
	}
	switch m := e.Message.(type) {
	case Welcome:
		w.people(e.Conn, append(slices.Clone(m.Others), m.Self))
		w.greeted[e.Conn] = true
	case WelcomeBack:
		w.greeted[e.Conn] = true
	case Goodbye:
		w.greeted[e.Conn] = true
	case Answer:
		if w.watching[id] {
			w.greeted[e.Conn] = true
		}
	case Update:
		w.people(e.Conn, m.Participants)
	case Speakers:
		for _, s := range m.Speakers {
			if other := strings.TrimPrefix(string(s.Participant), "PA_"); w.hidden[other] {
				w.t.Fatalf("%s hears the hidden %s", id, other)
			}
		}
	}
	if w.watching[id] && w.kinds[fmt.Sprintf("%T", e.Message)] == 0 {
		w.t.Fatalf("the spectator %s is sent a %T", id, e.Message)
	}
	if !w.greeted[e.Conn] {
		w.t.Fatalf("first message for %s is %T", id, e.Message)
	}
}

func (w *watcher) people(conn Conn, list []Participant) {
	id := w.s.names[conn]
	if w.versions[conn] == nil {
		w.versions[conn], w.known[conn] = map[drtc.ParticipantID]uint32{}, map[drtc.TrackID]bool{}
	}
	for _, p := range list {
		other := strings.TrimPrefix(string(p.ID), "PA_")
		// That one who could be seen has gone may be told late: to calm ones.
		w.shown[other] = w.shown[other] || !w.hidden[other]
		late := p.State == Disconnected && w.shown[other]
		if other != id && w.hidden[other] && !late {
			w.t.Fatalf("%s is told of the hidden %s", id, other)
		}
		if p.Version <= w.versions[conn][p.ID] {
			w.t.Fatalf("%s sees %s at version %d after %d", id, other, p.Version, w.versions[conn][p.ID])
		}
		w.versions[conn][p.ID] = p.Version
		if p.State != Disconnected && slices.Contains(w.gone, other) {
			w.t.Fatalf("%s is told of %s, which has left", id, other)
		}
		for _, t := range p.Tracks {
			w.known[conn][t.ID] = true
		}
	}
}

func (w *watcher) nodeCommand(e ToNode) {
	switch c := e.Command.(type) {
	case OpenSession:
		w.on[e.Session], w.offers[e.Session] = map[drtc.TrackID]bool{}, false
	case CloseSession:
		delete(w.on, e.Session)
	case SendOffer:
		if w.offers[e.Session] {
			w.t.Fatalf("a second offer for %s while one is with the node", e.Session)
		}
		w.offers[e.Session] = true
	case SubscribeTracks:
		for _, sub := range c.Subscriptions {
			if w.on[e.Session][sub.Track] {
				w.t.Fatalf("%s is subscribed to %s twice", e.Session, sub.Track)
			}
			w.on[e.Session][sub.Track] = true
			if m := w.s.room.bySession(e.Session); m != nil && m.conn != 0 && !w.known[m.conn][sub.Track] {
				w.t.Fatalf("%s is subscribed to %s, of which it has not heard", e.Session, sub.Track)
			}
		}
	case SetSources:
		for _, sh := range c.Seats {
			w.seats[string(e.Session)+string(sh.Seat)] = sh.Track
		}
	case UnsubscribeTracks:
		for _, t := range c.Tracks {
			delete(w.on[e.Session], t)
		}
	}
}

// state checks what must hold between two commands.
func (w *watcher) state() {
	r := w.s.room
	for _, v := range r.state.Members {
		for id := range w.on[v.Session] {
			publisher, t := r.track(id)
			switch {
			case t == nil:
				continue // the node has ended it by itself
			case !v.Permission.Subscribe, !publisher.allows(v, t), publisher.Permission.Hidden:
				w.t.Fatalf("%s is subscribed to %s against its permission", v.ID, id)
			}
		}
	}
	for _, v := range r.state.Members {
		if v.watch == nil {
			continue
		}
		for _, st := range v.watch.seats {
			id := w.seats[string(v.Session)+string(st.ID)]
			publisher, t := r.track(id)
			if t == nil {
				continue // the node has ended it by itself
			}
			if !publisher.allows(v, t) || publisher.Permission.Hidden || publisher.watch != nil || t.Kind != st.Kind {
				w.t.Fatalf("seat %s of %s shows %s, which it may not", st.ID, v.ID, id)
			}
			if v.watch.Identity != "" && publisher.Identity != v.watch.Identity {
				w.t.Fatalf("%s watches %s and sees %s", v.ID, v.watch.Identity, publisher.Identity)
			}
		}
	}
	saved, err := json.Marshal(r.state)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, id := range w.gone {
		if strings.Contains(string(saved), `"PA_`+id+`"`) || strings.Contains(string(saved), `"SE_`+id+`"`) {
			w.t.Fatalf("%s has left and is still in %s", id, saved)
		}
		if _, speaks := r.speakers[pa(id)]; speaks {
			w.t.Fatalf("%s has left and still speaks", id)
		}
	}
}

// Whatever happens in whatever order, the rules hold.
func TestRoom_rulesHoldForAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScenario()
		w := &watcher{
			t: t, s: s, hidden: map[string]bool{}, shown: map[string]bool{}, watching: map[string]bool{},
			versions: map[Conn]map[drtc.ParticipantID]uint32{}, known: map[Conn]map[drtc.TrackID]bool{},
			greeted: map[Conn]bool{}, closed: map[Conn]bool{},
			on: map[drtc.SessionID]map[drtc.TrackID]bool{}, offers: map[drtc.SessionID]bool{},
			seats: map[string]drtc.TrackID{}, kinds: map[string]int{"room.Answer": 1, "room.Goodbye": 1},
		}
		names := []string{"ann", "bob", "cid"}
		var ids []string // of everybody who ever joined
		serial := 0
		do := func(who, verb string, args ...string) {
			before := s.members()
			var effects []Effect
			switch verb {
			case "assign":
				s.home, s.asked = nodeID(args[0]), true
				effects = s.plan(nil)
			case "lost":
				if s.home == nodeID(args[0]) {
					s.home = drtc.NodeID{}
				}
				effects = s.handle(NodeLost{Node: nodeID(args[0])})
			case "after":
				effects = s.after(DefaultConfig().Grace / 3)
			case "speak":
				effects = s.handle(SpeakerLevels{Node: s.home, Speakers: []SessionLevel{{Session: se(who), Level: 0.5, Active: true}}})
			default:
				effects = s.handle(s.command(verb, who, split(args)))
			}
			w.check(effects)
			for _, id := range before {
				if !slices.Contains(s.members(), id) {
					w.gone = append(w.gone, id)
				}
			}
			w.state()
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			verb := rapid.SampledFrom([]string{
				"join", "join", "assign", "open", "open", "openfail", "track", "live", "live", "ended", "mute", "unmute",
				"subscribe", "unsubscribe", "permit", "permitall", "metadata", "connected", "down", "offer", "answer",
				"subscribed", "drop", "resume", "inspected", "inspected", "leave", "lost", "after", "speak", "settings", "closed",
				"sources", "speak", "open", "live", "track", "subscribe", "permit", "assign",
			}).Draw(t, "verb")
			if verb == "join" {
				serial++
				name := rapid.SampledFrom(names).Draw(t, "name")
				id := fmt.Sprintf("%s%d", name, serial)
				ids = append(ids, id)
				args := []string{"meta", "as=" + id}
				for _, flag := range []string{"hidden", "nosub", "manual", "offer"} {
					if rapid.IntRange(0, 5).Draw(t, flag) == 0 {
						args = append(args, flag)
					}
				}
				w.hidden[id] = slices.Contains(args, "hidden")
				if rapid.IntRange(0, 3).Draw(t, "watch") == 0 {
					w.hidden[id], w.watching[id] = true, true
					args = append(args, "offer", "a=1", "v=2", "watch="+rapid.SampledFrom(append(names, "*")).Draw(t, "watched"))
				}
				do(name, "join", args...)
				continue
			}
			if len(ids) == 0 {
				continue
			}
			// Mostly those who are there, sometimes those who are gone.
			pool := s.members()
			if len(pool) == 0 || rapid.IntRange(0, 9).Draw(t, "stale") == 9 {
				pool = ids
			}
			who := rapid.SampledFrom(pool).Draw(t, "who")
			cid := rapid.SampledFrom([]string{"a1", "v1"}).Draw(t, "track") + rapid.SampledFrom(pool).Draw(t, "of")
			switch verb {
			case "openfail":
				do(who, "open", "err=full")
			case "track":
				do(who, "track", cid[:2]+who)
			case "permitall":
				do(who, "permit", "all")
			case "permit":
				do(who, "permit", rapid.SampledFrom(names).Draw(t, "grant")+":all", "PA_"+rapid.SampledFrom(pool).Draw(t, "grantee")+":"+cid)
			case "metadata":
				do(who, "metadata", "meta=m")
			case "settings":
				do(who, "settings", cid, "10x10")
			case "offer", "answer":
				m := s.room.bySession(se(who))
				if verb == "answer" && (m == nil || m.negotiation.inFlight == nil) {
					continue
				}
				n := "1"
				if verb == "answer" {
					w.offers[se(who)] = false
					n = fmt.Sprint(m.negotiation.inFlight.ID)
				}
				do(who, verb, n, "send="+cid)
			case "resume":
				if id := strings.TrimRight(who, "0123456789"); !s.present(who) {
					continue
				} else if c := s.room.byID(pa(who)).conn; c != 0 {
					s.conns[who] = c
					do(id, "resume", "of="+who)
					s.rename(id, who)
				} else {
					do(id, "resume", "of="+who)
					s.rename(id, who)
				}
			case "live", "ended", "mute", "unmute":
				do(who, verb, cid[:2]+who)
			case "sources":
				m := s.room.bySession(se(who))
				if m == nil || m.watch == nil {
					continue
				}
				args := []string{string(m.watch.seats[0].ID) + ":" + cid}
				if rapid.Bool().Draw(t, "refused") {
					args = append(args, "refuse="+string(m.watch.seats[0].ID))
				}
				do(who, verb, args...)
			case "subscribed":
				do(who, verb, "negotiate", "a=1")
			case "assign", "lost":
				do(who, verb, rapid.SampledFrom([]string{"1", "2"}).Draw(t, "node"))
			default:
				do(who, verb, cid)
			}
		}
	})
}

// members lists the ids of all members.
func (s *scenario) members() (ids []string) {
	for _, m := range s.room.state.Members {
		ids = append(ids, strings.TrimPrefix(string(m.ID), "PA_"))
	}
	return ids
}

func (s *scenario) present(id string) bool {
	m := s.room.byID(pa(id))
	return m != nil && m.phase == present
}

// rename gives the latest connection of a name to the id that resumed with it.
func (s *scenario) rename(name, id string) {
	s.names[s.conns[name]], s.conns[id] = id, s.conns[name]
}

func TestConfig_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Grace":           func(c *Config) { c.Grace = 0 },
		"EmptyTimeout":    func(c *Config) { c.EmptyTimeout = -1 },
		"ReportInterval":  func(c *Config) { c.ReportInterval = 0 },
		"TokenRefresh":    func(c *Config) { c.TokenRefresh = 0 },
		"MaxParticipants": func(c *Config) { c.MaxParticipants = 0 },
		"MaxTracks":       func(c *Config) { c.MaxTracks = 0 },
		"MaxSpectators":   func(c *Config) { c.MaxSpectators = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want an error that names %s", err, field)
		}
	}
}

func TestRoom_boundsParticipantsAndTracks(t *testing.T) {
	c := DefaultConfig()
	c.MaxParticipants, c.MaxTracks = 1, 1
	s := newScenario()
	s.room = New(c, "RM_1", "r", s.now)
	for _, line := range []string{"join ann", "assign 1", "open ann", "track ann a1"} {
		s.line(t, line)
	}
	if got := s.line(t, "track ann a2"); len(got) != 1 || !strings.Contains(s.effect(got[0]), "too many tracks") {
		t.Errorf("a second track: got %v, want too many tracks", got)
	}
	if got := s.line(t, "join bob"); len(got) != 1 || !strings.Contains(s.effect(got[0]), "room is full") {
		t.Errorf("a second participant: got %v, want that the room is full", got)
	}
}

func TestRestore_refusesWhatIsNoState(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"id":"RM_1"}`} {
		if _, err := Restore(DefaultConfig(), []byte(text), newScenario().now); err == nil {
			t.Errorf("%q was restored, want an error", text)
		}
	}
}
