package engine

import (
	"slices"
	"time"
)

// A relay peer may publish thousands of tracks of which nobody here looks at more
// than a few. Those that nobody looks at, and of which nothing comes, are asleep:
// timers pass them over.

// awake are the tracks of a peer for which there may be something to do.
func (p *peer) awake() []*track {
	if p.trunk != nil {
		return p.trunk.awake
	}
	return p.tracks
}

// wakeTrack has timers look at a track again.
func (c *Core) wakeTrack(t *track) {
	if t.asleep {
		t.asleep = false
		t.peer.trunk.awake = append(t.peer.trunk.awake, t)
	}
}

// enter takes a track among those of its peer.
func (p *peer) enter(t *track) {
	p.tracks = append(p.tracks, t)
	if t.asleep = false; p.trunk != nil {
		p.trunk.awake = append(p.trunk.awake, t)
	}
}

// leave takes a track out of those of its peer.
func (p *peer) leave(t *track) {
	is := func(o *track) bool { return o == t }
	p.tracks = slices.DeleteFunc(p.tracks, is)
	if p.trunk != nil && !t.asleep {
		p.trunk.awake = slices.DeleteFunc(p.trunk.awake, is)
	}
}

// putToSleep ends the watch over tracks for which there is nothing to do.
func (c *Core) putToSleep(now time.Time) {
	for _, p := range c.publishing() {
		if p.trunk != nil {
			p.trunk.awake = slices.DeleteFunc(p.trunk.awake, func(t *track) bool {
				t.asleep = t.quiet(now)
				return t.asleep
			})
		}
	}
}

// quiet reports that nobody looks at a track, nothing comes, and what came was
// reported.
func (t *track) quiet(now time.Time) bool {
	if t.demand != 0 || t.watched() {
		return false
	}
	return !slices.ContainsFunc(t.layers, func(l *layer) bool {
		return l.live && (t.cfg.Video || now.Sub(l.lastPacket) < 2*reportInterval)
	})
}
