package room

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventKind says what an application's server is told of.
type EventKind uint8

// Kinds of events.
const (
	EventRoomStarted EventKind = iota + 1
	EventRoomFinished
	EventParticipantJoined  // its media connection is up for the first time
	EventParticipantLeft    // after it had joined
	EventParticipantAborted // it went before it had joined
	EventTrackPublished     // others may know the track
	EventTrackUnpublished
)

// Event is something that an application's server may want to know. Those of one
// room are in order; a track's are between its participant's.
type Event struct {
	Kind        EventKind
	At          time.Time
	Room        Info
	Participant Participant // not of a room's events
	Track       Track       // of a track's events
	Deleted     bool        // the room was finished by Close
}

// Notify is the effect that carries an Event. There is none without
// Config.Notify.
type Notify struct{ Event Event }

func (Notify) effect() {}

func (r *Room) notify(e Event) {
	if !r.config.Notify {
		return
	}
	e.At, e.Room = r.now, r.Info()
	r.out = append(r.out, Notify{Event: e})
}

// started tells once that there is a room.
func (r *Room) started() {
	if !r.state.Terms.Started {
		r.state.Terms.Started, r.changed = true, true
		r.notify(Event{Kind: EventRoomStarted})
	}
}

// end ends the room.
func (r *Room) end(deleted bool) {
	if r.state.Terms.Started {
		r.notify(Event{Kind: EventRoomFinished, Deleted: deleted})
	}
	r.out = append(r.out, Ended{})
}

// notifyJoined tells that m's media connection is up for the first time.
func (r *Room) notifyJoined(m *member) {
	if m.watch == nil {
		r.notify(Event{Kind: EventParticipantJoined, Participant: m.view()})
	}
}

// notifyLeft tells that m is about to go, and its tracks.
func (r *Room) notifyLeft(m *member, reason Reason) {
	if !m.inside() || !r.config.Notify {
		return
	}
	for _, t := range m.Tracks {
		r.notifyUnpublished(m, t)
	}
	e := Event{Kind: EventParticipantLeft, Participant: m.view()}
	if m.State != Active {
		e.Kind = EventParticipantAborted
	}
	e.Participant.State, e.Participant.Reason, e.Participant.Tracks = Disconnected, reason, nil
	r.notify(e)
}

// notifyPublished tells that others may know t from now on.
func (r *Room) notifyPublished(m *member, t *publication) {
	r.notify(Event{Kind: EventTrackPublished, Participant: m.view(), Track: t.view()})
}

// notifyUnpublished tells that t ends, if anybody knew of it.
func (r *Room) notifyUnpublished(m *member, t *publication) {
	if t.Announced {
		r.notify(Event{Kind: EventTrackUnpublished, Participant: m.view(), Track: t.view()})
	}
}

// ReadInfo returns the public face of a room from its Snapshot.
func ReadInfo(config Config, snapshot []byte) (Info, error) {
	r := &Room{config: config}
	if err := json.Unmarshal(snapshot, &r.state); err != nil {
		return Info{}, fmt.Errorf("room: reading a state: %w", err)
	}
	for _, m := range r.state.Members {
		m.phase = present
	}
	return r.Info(), nil
}
