package engine

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/level"
)

// room is what the engine knows of a room: how many peers and aliases are in it,
// and who speaks.
type room struct {
	id       drtc.RoomID
	peers    int
	speakers *level.Speakers
	heard    bool // somebody speaks, by the last event
}

func (c *Core) room(id drtc.RoomID) *room {
	r := c.rooms[id]
	if r == nil {
		r = &room{id: id, speakers: level.New(level.Config{})}
		c.rooms[id] = r
	}
	return r
}

func (c *Core) leaveRoom(id drtc.RoomID) {
	r := c.room(id)
	if r.peers--; r.peers <= 0 {
		delete(c.rooms, id)
		if r.heard { // the room may go on in other cores
			c.emit(Speakers{Core: c.cfg.Self, Room: r.id})
		}
	}
}

// observe takes the audio level of one packet (RFC 6464).
func (c *Core) observe(now time.Time, t *track, v byte) {
	if t.peer.cfg.Hidden || t.cfg.Video || t.peer.cfg.Relay { // the home of a relayed one says who speaks
		return
	}
	if t.level == nil {
		t.level = c.room(t.peer.cfg.Room).speakers.Add(t.cfg.ID)
	}
	t.level.Observe(now, v&0x7f, v&0x80 != 0)
	for _, a := range t.aliases {
		if a.muted {
			continue
		}
		if a.level == nil {
			a.level = c.room(a.room).speakers.Add(a.id)
		}
		a.level.Observe(now, v&0x7f, v&0x80 != 0)
	}
}

// silence forgets the levels of a track that ended or was muted.
func (c *Core) silence(t *track) {
	if t.mirror != nil { // its home observes it
		return
	}
	c.room(t.peer.cfg.Room).speakers.Remove(t.cfg.ID)
	t.level = nil
	for _, a := range t.aliases {
		c.silenceAlias(a)
	}
}

func (c *Core) serveSpeakers(now time.Time) {
	for _, r := range c.rooms {
		list, changed := r.speakers.Speakers(now)
		if !changed {
			continue
		}
		e := Speakers{Core: c.cfg.Self, Room: r.id}
		for _, s := range list {
			if a := c.aliases[s.Track]; a != nil {
				e.Speakers = append(e.Speakers, Speaker{Session: a.session, Track: s.Track, Level: float64(s.Level)})
			} else if t := c.tracks[s.Track]; t != nil {
				e.Speakers = append(e.Speakers, Speaker{Session: t.peer.cfg.Session, Track: s.Track, Level: float64(s.Level)})
			}
		}
		r.heard = len(e.Speakers) > 0
		c.emit(e)
	}
}
