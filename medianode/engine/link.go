package engine

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// link is the mirror of a track in another core, as the home sees it.
type link struct {
	core   CoreID
	handle uint32
	id     drtc.TrackID
	room   drtc.RoomID
	track  *track // nil until it is published
	media  uint8  // bit per layer that is handed over
	demand uint8  // bit per layer that the mirror's subscribers want
	known  bool   // demand has been told
	// withheld has a bit per layer of which packets were not handed over since
	// others were.
	withheld uint8
}

// linkName names a link: each core counts its own handles.
type linkName struct {
	core   CoreID
	handle uint32
}

// links are all links of a core.
type links struct {
	byName map[linkName]*link
	// waiting are for tracks that are not there yet.
	waiting map[drtc.TrackID][]*link
}

// openLink takes a mirror's wish for a track, now or when it is published.
func (c *Core) openLink(from CoreID, m wantMessage) {
	name := linkName{from, m.handle}
	if c.links.byName[name] != nil {
		return
	}
	k := &link{core: from, handle: m.handle, id: m.track, room: m.room}
	c.links.byName[name] = k
	if t, room := c.named(m.track); t != nil {
		c.join(k, t, room)
		return
	}
	c.links.waiting[m.track] = append(c.links.waiting[m.track], k)
}

// adopt joins the links that waited for a track of that name.
func (c *Core) adopt(id drtc.TrackID) {
	waiting := c.links.waiting[id]
	delete(c.links.waiting, id)
	t, room := c.named(id)
	for _, k := range waiting {
		c.join(k, t, room)
	}
}

// join tells a mirror all that it must know of a track, if it is for the room that
// knows it by that name.
func (c *Core) join(k *link, t *track, room drtc.RoomID) {
	if room != k.room {
		c.endLink(k)
		return
	}
	k.track = t
	c.wakeTrack(t)
	t.links = append(t.links, k)
	p := c.parcel(k.core)
	p.tell(trackState(k, t))
	for _, l := range t.layers {
		p.tell(l.state(k.handle))
		if !l.clock.IsZero() {
			p.tell(clockMessage{k.handle, uint8(l.index), l.clock})
		}
	}
}

// endLink tells a mirror that there is no such track for it.
func (c *Core) endLink(k *link) {
	c.parcel(k.core).tell(endedMessage{k.handle})
	c.forgetLink(k)
}

// endLinks does that to all mirrors of a track.
func (c *Core) endLinks(t *track) {
	for len(t.links) > 0 {
		c.endLink(t.links[0])
	}
}

func (c *Core) closeLink(from CoreID, m releaseMessage) {
	if k := c.links.byName[linkName{from, m.handle}]; k != nil {
		c.forgetLink(k)
	}
}

func (c *Core) forgetLink(k *link) {
	delete(c.links.byName, linkName{k.core, k.handle})
	isK := func(o *link) bool { return o == k }
	if k.track != nil {
		k.track.links = slices.DeleteFunc(k.track.links, isK)
		return
	}
	if waiting := slices.DeleteFunc(c.links.waiting[k.id], isK); len(waiting) > 0 {
		c.links.waiting[k.id] = waiting
	} else {
		delete(c.links.waiting, k.id)
	}
}

func (c *Core) linkInterest(now time.Time, from CoreID, m interestMessage) {
	k := c.links.byName[linkName{from, m.handle}]
	if k == nil {
		return
	}
	k.media, k.demand, k.known = m.media, m.demand, m.known
	if k.track != nil && (k.track.cfg.Video || k.track.peer.cfg.Relay) {
		c.updateDemand(now, k.track)
	}
}

// linkKeyFrame passes on who waits in a mirror: all who ask of this layer are
// coalesced here.
func (c *Core) linkKeyFrame(now time.Time, from CoreID, m keyFrameMessage, batch *Batch) {
	k := c.links.byName[linkName{from, m.handle}]
	if k == nil || k.track == nil || !k.track.cfg.Video || int(m.layer) >= len(k.track.layers) {
		return
	}
	l := k.track.layers[m.layer]
	if m.urgent {
		l.key.AskUrgent(now)
	} else {
		l.key.Ask(now)
	}
	if !k.track.muted {
		c.requestKeyFrame(now, l, batch)
	}
}

// tellTrack tells all mirrors the state of a track.
func (c *Core) tellTrack(t *track) {
	for _, k := range t.links {
		c.parcel(k.core).tell(trackState(k, t))
	}
}

// tellNews tells all mirrors that a layer lives again, with the frame that says
// so: its key frame, if it is one, must not seem to be still to come.
func (c *Core) tellNews(l *layer) {
	if l.news {
		c.tellLayer(l)
	}
}

// tellLayer tells all mirrors the state of a layer.
func (c *Core) tellLayer(l *layer) {
	l.news = false
	for _, k := range l.track.links {
		c.parcel(k.core).tell(l.state(k.handle))
	}
}

func (l *layer) state(handle uint32) layerMessage {
	return layerMessage{
		handle: handle, layer: uint8(l.index), incarnation: l.incarnation,
		live: l.live, mime: l.track.mime, clockRate: l.track.clockRate,
	}
}

// tellClock tells all mirrors what the publisher's clock says.
func (c *Core) tellClock(l *layer) {
	for _, k := range l.track.links {
		c.parcel(k.core).tell(clockMessage{k.handle, uint8(l.index), l.clock})
	}
}

// handOver copies packets of a layer for the cores in which somebody looks.
func (c *Core) handOver(l *layer, frame []packet) {
	c.tellNews(l)
	for _, k := range l.track.links {
		bit := uint8(1) << l.index
		if k.media&bit == 0 {
			k.withheld |= bit
			continue
		}
		p := c.parcel(k.core)
		if k.withheld&bit != 0 { // the mirror may go on with what it has
			k.withheld &^= bit
			p.tell(gapMessage{k.handle, uint8(l.index)})
		}
		for i := range frame {
			p.media(k.handle, l, &frame[i])
		}
		c.counters.HandedOver += uint64(len(frame))
	}
}

// handSkip tells the same cores of a packet that is left out of every stream.
func (c *Core) handSkip(l *layer, k *packet) {
	for _, to := range l.track.links {
		bit := uint8(1) << l.index
		if to.media&bit == 0 {
			to.withheld |= bit
			continue
		}
		c.parcel(to.core).skip(to.handle, l, k)
	}
}
