package engine

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/rewrite"
	"github.com/drtc-network/drtc/medianode/engine/svc"
)

// carriage is up to which spatial layer a scalable stream goes to another node.
// A viewer follows one decode target; a node has viewers of each, and where the
// layers build on each other in key frames alone, a higher target has no part of
// a lower. So all that is below the highest goes.
type carriage struct {
	begun  bool
	newest uint32 // timestamp of the newest picture
	// limit is the highest layer from the timestamp at on, before that of earlier
	// pictures.
	limit, before uint8
	at            uint32
}

// turn follows what is wanted: down with a new picture, up with a key frame. It
// reports whether it waits for one.
func (g *carriage) turn(timestamp uint32, key bool, want uint8) (waits bool) {
	ahead := int32(timestamp - g.newest)
	switch {
	case !g.begun:
		*g = carriage{begun: true, newest: timestamp, limit: want, before: want, at: timestamp}
	case key && ahead >= 0 && want != g.limit, ahead > 0 && want < g.limit:
		g.limit, g.before, g.at = want, g.limit, timestamp
	}
	if ahead > 0 {
		g.newest = timestamp
	}
	return want > g.limit
}

// of is the highest layer that goes of a picture.
func (g *carriage) of(timestamp uint32) uint8 {
	if int32(timestamp-g.at) < 0 {
		return g.before
	}
	return g.limit
}

// carries is selects for a relay layer.
func (c *Core) carries(now time.Time, s *subscription, k *packet, src *rewrite.Source, f *svc.Frame, batch *Batch) bool {
	st := f.Structure
	if st == nil || st.SpatialLayers == 0 {
		return true
	}
	g := &s.relay.carriage
	want := min(s.wantedLayers(f).Spatial, uint8(st.SpatialLayers-1))
	if g.turn(k.timestamp, k.key, want) {
		s.askKeyFrame(now, s.current)
	}
	limit := g.of(k.timestamp)
	if f.Spatial > limit {
		if !s.stream.Drop(*src) {
			c.fill(now, s, src, batch)
		}
		return false
	}
	src.Marker = src.Marker || f.Last && f.Spatial == limit
	if mask := carriedTargets(st, limit) & f.Active; mask != f.Active && (f.SaysActive || k.timestamp == g.at) {
		k.active = dependency.Mask(mask, st.Targets)
	}
	return true
}

// carriedTargets are the decode targets of a structure up to a spatial layer.
func carriedTargets(st *dependency.Structure, limit uint8) (mask uint32) {
	for target := range st.Targets {
		if st.Spatial[target] <= limit {
			mask |= 1 << target
		}
	}
	return mask
}
