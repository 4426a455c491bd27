package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// rehome makes a track that a relay peer publishes one of another peer: there is
// another way to its publisher, or that is here now. Who watches it goes on with
// the next key frame. The track must be of the same kind and have as many layers,
// and no client loses its own to another node.
func (c *Core) rehome(now time.Time, t *track, p *peer, s *section, cfg TrackConfig) error {
	rids := s.rids()
	before := t.peer
	if !before.cfg.Relay || cfg.Video != t.cfg.Video || len(rids) != len(t.layers) || p.roomOf(cfg) != t.room() {
		return fmt.Errorf("%w: %s", ErrTrackExists, cfg.ID)
	}
	if s.track != nil {
		c.removeTrack(now, s.track)
	}
	c.forgetSources(before, t.section)
	t.section.track = nil
	before.leave(t)
	t.peer, t.section, t.cfg, t.carried = p, s, cfg, p.carriedIn(t.room())
	s.track = t
	p.enter(t)
	c.republished = true
	t.reported = false // who publishes it now has not heard of any demand
	for i, l := range t.layers {
		l.rid, l.repairSSRC = rids[i], 0
		c.renewLayer(now, l, 0)
	}
	t.resize(cfg.Layers)
	c.tellTrack(t)
	c.mute(now, t, cfg.Muted)
	c.identified(now, t)
	if p.trunk != nil {
		return c.describe(now, p, s)
	}
	return nil
}

// identified attaches the sources that came before the name of their track.
func (c *Core) identified(now time.Time, t *track) {
	for _, ssrc := range slices.Clone(t.section.sources) {
		if src := t.peer.sources[ssrc]; src != nil {
			c.attach(now, t, ssrc, src)
		}
	}
}

// roomOf is the room of a track that the peer publishes.
func (p *peer) roomOf(cfg TrackConfig) drtc.RoomID {
	if cfg.Room != "" && p.trunk != nil {
		return cfg.Room
	}
	return p.cfg.Room
}

// room is the room that may see the track.
func (t *track) room() drtc.RoomID {
	if t.mirror != nil {
		return t.mirror.room
	}
	return t.peer.roomOf(t.cfg)
}

// carriedIn is where a relay peer counts what it sends of a room, nil for a
// client.
func (p *peer) carriedIn(room drtc.RoomID) *carried {
	if p.trunk == nil {
		return nil
	}
	return p.trunk.room(room)
}
