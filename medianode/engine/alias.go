package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/level"
)

// An alias is a second name of a track, for another room: whoever is in that room
// sees the same layers under that name, and knows nothing of the first. Viewers,
// relay layers and mirrors of all names hang on the one track, so what is wanted
// of its publisher is the union, and a key frame that one room asked for serves
// the others too.
//
//	publisher ──▶ track "a" of room 1 ─┬─▶ viewers in room 1
//	                                   └─▶ alias "b" of room 2 ──▶ viewers in room 2
//
// A name is all that is kept of it besides its own mute. What of a track's
// viewers is of which room follows from the viewers.
type alias struct {
	id      drtc.TrackID
	room    drtc.RoomID
	session drtc.SessionID
	track   *track
	muted   bool
	mutes   uint32
	// withheld is what withheld is of a layer, for viewers of this name.
	withheld [maxLayers]uint64
	level    *level.Track // nil before the first audio level
}

// AliasConfig gives a track a second name.
type AliasConfig struct {
	// ID is the name, and Room the room that knows the track by it. A track has
	// one name in a room.
	ID   drtc.TrackID
	Room drtc.RoomID
	// Session is named when it is said in Room who speaks.
	Session drtc.SessionID
	// Muted holds the track back in Room alone.
	Muted bool
}

// Alias gives a track that a client publishes in this core a name in another room,
// until Unpublish of either name. Doing it again sets the mute. MuteTrack of the
// alias mutes it in its room alone; of the track, in all.
//
// It fails with ErrTrack if there is no such track or it comes from a relay peer,
// ErrTrackExists if the name is taken or the track has another in the room, and
// ErrOtherRoom if Room is that of the track itself.
func (c *Core) Alias(now time.Time, id drtc.TrackID, cfg AliasConfig) error {
	t := c.tracks[id]
	switch {
	case t == nil || t.peer.cfg.Relay:
		return fmt.Errorf("%w: %s", ErrTrack, id)
	case t.room() == cfg.Room:
		return fmt.Errorf("%w: %s is the room of %s itself", ErrOtherRoom, cfg.Room, id)
	}
	if a := t.aliasIn(cfg.Room); a != nil && a.id == cfg.ID {
		c.muteAlias(now, a, cfg.Muted)
		return nil
	} else if a != nil || c.tracks[cfg.ID] != nil || c.aliases[cfg.ID] != nil {
		return fmt.Errorf("%w: %s", ErrTrackExists, cfg.ID)
	}
	a := &alias{id: cfg.ID, room: cfg.Room, session: cfg.Session, track: t, muted: cfg.Muted}
	for _, l := range t.layers {
		a.withheld[l.index] = l.withheld
	}
	t.aliases = append(t.aliases, a)
	c.aliases[a.id] = a
	c.room(a.room).peers++
	c.adopt(a.id)
	return nil
}

// aliasIn is the track's name in a room, nil in its own.
func (t *track) aliasIn(room drtc.RoomID) *alias {
	for _, a := range t.aliases {
		if a.room == room {
			return a
		}
	}
	return nil
}

// nameIn is the id by which a room knows the track.
func (t *track) nameIn(room drtc.RoomID) drtc.TrackID {
	if a := t.aliasIn(room); a != nil {
		return a.id
	}
	return t.cfg.ID
}

// hushed reports whether the track is muted for those in a room alone.
func (t *track) hushed(room drtc.RoomID) bool {
	a := t.aliasIn(room)
	return a != nil && a.muted
}

// room is that by whose names the subscription sees tracks.
func (s *subscription) room() drtc.RoomID {
	if s.relay != nil {
		return s.relay.account.name.room
	}
	return s.peer.cfg.Room
}

// withheldFrom is the number up to which a layer is not replayed to s.
func (l *layer) withheldFrom(s *subscription) uint64 {
	if len(l.track.aliases) > 0 {
		if a := l.track.aliasIn(s.room()); a != nil {
			return max(l.withheld, a.withheld[l.index])
		}
	}
	return l.withheld
}

// named finds the track of a name, and the room that knows it by that name.
func (c *Core) named(id drtc.TrackID) (*track, drtc.RoomID) {
	if a := c.aliases[id]; a != nil {
		return a.track, a.room
	}
	if t := c.tracks[id]; t != nil {
		return t, t.room()
	}
	return nil, ""
}

func (c *Core) muteAlias(now time.Time, a *alias, muted bool) {
	if a.muted == muted {
		return
	}
	t := a.track
	if a.muted = muted; muted {
		a.mutes++
		c.silenceAlias(a)
	} else {
		for _, l := range t.layers {
			a.withheld[l.index] = l.ring.Highest()
		}
	}
	for _, k := range t.links {
		if k.id == a.id {
			c.parcel(k.core).tell(trackState(k, t))
		}
	}
	for _, s := range t.subscriptions {
		switch {
		case s.room() != a.room:
		case muted:
			s.pause()
		default:
			s.begin(now)
		}
	}
}

func (c *Core) silenceAlias(a *alias) {
	c.room(a.room).speakers.Remove(a.id)
	a.level = nil
}

// removeAlias takes a name away, and the track from all who see it by that.
func (c *Core) removeAlias(now time.Time, a *alias) {
	t := a.track
	for _, s := range slices.Clone(t.subscriptions) {
		if s.room() == a.room {
			c.endSubscription(now, s, t)
		}
	}
	for _, k := range slices.Clone(t.links) {
		if k.id == a.id {
			c.endLink(k)
		}
	}
	c.forgetAlias(a)
}

func (c *Core) forgetAlias(a *alias) {
	c.silenceAlias(a)
	c.leaveRoom(a.room)
	delete(c.aliases, a.id)
	a.track.aliases = slices.DeleteFunc(a.track.aliases, func(o *alias) bool { return o == a })
}
