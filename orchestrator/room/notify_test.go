package room

import (
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
)

// events lists what effects tell of, in short.
func events(effects []Effect) (list []string) {
	words := map[EventKind]string{
		EventRoomStarted: "started", EventRoomFinished: "finished", EventParticipantJoined: "joined",
		EventParticipantLeft: "left", EventParticipantAborted: "aborted",
		EventTrackPublished: "published", EventTrackUnpublished: "unpublished",
	}
	for _, e := range effects {
		if n, ok := e.(Notify); ok {
			text := words[n.Event.Kind]
			if n.Event.Participant.ID != "" {
				text += " " + string(n.Event.Participant.Identity)
			}
			if n.Event.Track.ID != "" {
				text += " " + n.Event.Track.CID
			}
			if n.Event.Deleted {
				text += " deleted"
			}
			list = append(list, text)
		}
	}
	return list
}

func TestNotify_tellsTheLifeOfARoom(t *testing.T) {
	s := newScenario()
	s.room.config.Notify = true
	for _, c := range []struct{ line, want string }{
		{"join ann", ""},
		{"assign 1", ""},
		{"open ann", "started"},
		{"connected ann", "joined ann"},
		{"down ann", ""},
		{"connected ann", ""},
		{"track ann v1", ""},
		{"live ann v1", "published ann v1"},
		{"live ann v1", ""},
		{"track ann a1 muted", ""},
		{"offer ann 1", ""},
		{"answer ann 1 send=a1", "published ann a1"},
		{"track ann a2", ""}, // of which nobody will have heard
		{"ended ann v1", "unpublished ann v1"},
		{"join bob", ""},
		{"open bob", ""},
		{"leave bob", "aborted bob"},
		{"join cid", ""},
		{"open cid err=full", ""},
		{"join eve watch=* a=1 offer", ""},
		{"open eve", ""},
		{"leave eve", ""},
		{"drop ann", ""},
		{"save", ""},
		{"resume ann", ""},
		{"inspected ann", ""},
		{"leave ann", "unpublished ann a1, left ann"},
		{"after 20s", "finished"},
	} {
		effects := s.line(t, c.line)
		if c.line == "save" {
			s.room.config.Notify = true // restored with the default
		}
		if got := strings.Join(events(effects), ", "); got != c.want {
			t.Errorf("%s: told %q, want %q", c.line, got, c.want)
		}
	}
}

func TestNotify_saysHowAParticipantWent(t *testing.T) {
	s := newScenario()
	s.room.config.Notify = true
	s.enter(t, "ann")
	effects, err := s.room.Administer(s.now, Close{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(events(effects), ", "); got != "left ann, finished deleted" {
		t.Errorf("told %q", got)
	}
	for _, e := range effects {
		if n, ok := e.(Notify); ok && n.Event.Kind == EventParticipantLeft {
			if p := n.Event.Participant; p.State != Disconnected || p.Reason != RoomDeleted {
				t.Errorf("told of %+v, want that ann is gone because the room was deleted", p)
			}
			if n.Event.At != s.now || n.Event.Room.Name != "r" {
				t.Errorf("told %+v", n.Event)
			}
		}
	}
}

func TestNotify_createdRoomsStartAtOnceAndOnce(t *testing.T) {
	s := newScenario()
	s.room.config.Notify = true
	for _, want := range []string{"started", ""} {
		effects, err := s.room.Administer(s.now, Create{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(events(effects), ", "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestNotify_nobodyWhoWantsNone(t *testing.T) {
	s := newScenario()
	for _, line := range []string{"join ann", "assign 1", "open ann", "connected ann", "leave ann", "after 20s"} {
		if got := events(s.line(t, line)); len(got) != 0 {
			t.Errorf("%s: told %q", line, got)
		}
	}
}

// ledger holds events to their order: a room starts before anything else in it
// and ends last, who left had joined, what was unpublished had been published,
// and nothing of a participant comes after it has gone.
type ledger struct {
	t interface {
		Helper()
		Fatalf(string, ...any)
	}
	started, finished bool
	joined, gone      map[drtc.ParticipantID]bool
	tracks            map[drtc.TrackID]bool
}

func newLedger(t interface {
	Helper()
	Fatalf(string, ...any)
}) *ledger {
	return &ledger{t: t, joined: map[drtc.ParticipantID]bool{}, gone: map[drtc.ParticipantID]bool{}, tracks: map[drtc.TrackID]bool{}}
}

func (l *ledger) check(effects []Effect) {
	l.t.Helper()
	for _, effect := range effects {
		n, ok := effect.(Notify)
		if !ok {
			continue
		}
		e, who := n.Event, n.Event.Participant.ID
		if l.started == (e.Kind == EventRoomStarted) || l.finished && e.Kind != EventRoomFinished || l.gone[who] {
			l.t.Fatalf("%+v is told out of order", e)
		}
		switch e.Kind {
		case EventRoomStarted:
			l.started = true
		case EventRoomFinished:
			l.finished = true
		case EventParticipantJoined:
			if l.joined[who] {
				l.t.Fatalf("%s is told to have joined twice", who)
			}
			l.joined[who] = true
		case EventParticipantLeft, EventParticipantAborted:
			if l.joined[who] != (e.Kind == EventParticipantLeft) {
				l.t.Fatalf("%s is told to have gone by %d, joined: %v", who, e.Kind, l.joined[who])
			}
			l.gone[who] = true
		case EventTrackPublished, EventTrackUnpublished:
			if l.tracks[e.Track.ID] != (e.Kind == EventTrackUnpublished) {
				l.t.Fatalf("%s is told of by %d, published: %v", e.Track.ID, e.Kind, l.tracks[e.Track.ID])
			}
			l.tracks[e.Track.ID] = e.Kind == EventTrackPublished
		}
	}
}
