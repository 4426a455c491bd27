package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/codec"
)

// mirror is what a track of another core has beside the rest of a track. It
// lives as long as it has subscriptions, or until its home says that the track
// has ended.
type mirror struct {
	core   *Core
	home   CoreID
	handle uint32
	room   drtc.RoomID
	known  bool // the state of the track has come
	told   interestMessage
	asked  [maxLayers]asked
	mutes  uint32 // as last told by the home
	// touched says that the home may have to be told something.
	touched bool
}

// allLayers has a bit for each layer that a track can have.
const allLayers = 1<<maxLayers - 1

// asked is what was said to the home since the last key frame of a layer.
type asked struct {
	want keyFrameWant
	at   time.Time // zero until the next tick
}

type keyFrameWant uint8

const (
	noKeyFrame keyFrameWant = iota
	someKeyFrame
	urgentKeyFrame
)

// mirrorName tells mirrors apart. Peers of a room that must not see a track
// have a mirror of their own, which the home refuses.
type mirrorName struct {
	track drtc.TrackID
	home  CoreID
	room  drtc.RoomID
}

// mirrors are all mirrors of a core.
type mirrors struct {
	byName   map[mirrorName]*track
	byHandle map[uint32]*track
	order    []*track // as they were made: timers are repeatable
	touched  []*track
	last     uint32 // handle
}

// findTrack returns what a peer subscribes to in a room: a track of this core, or
// the mirror of one that another publishes.
func (c *Core) findTrack(room drtc.RoomID, id drtc.TrackID, home CoreID) (*track, error) {
	if home >= MaxCores {
		return nil, fmt.Errorf("%w: %d", ErrCore, home)
	}
	if home != c.cfg.Self {
		return c.mirrorOf(mirrorName{id, home, room}), nil
	}
	t, of := c.named(id)
	switch {
	case t == nil:
		return nil, fmt.Errorf("%w: %s", ErrTrack, id)
	case of != room:
		return nil, ErrOtherRoom
	}
	c.wakeTrack(t)
	return t, nil
}

// mirrorOf finds a mirror, or makes one and asks its home.
func (c *Core) mirrorOf(name mirrorName) *track {
	if t := c.mirrors.byName[name]; t != nil {
		return t
	}
	c.mirrors.last++
	m := &mirror{core: c, home: name.home, handle: c.mirrors.last, room: name.room}
	m.told.handle = m.handle
	t := &track{cfg: TrackConfig{ID: name.track}, mirror: m}
	c.mirrors.byName[name] = t
	c.mirrors.byHandle[m.handle] = t
	c.mirrors.order = append(c.mirrors.order, t)
	c.parcel(m.home).tell(wantMessage{handle: m.handle, track: name.track, room: name.room})
	return t
}

// releaseMirror forgets a mirror without subscriptions and tells its home.
func (c *Core) releaseMirror(t *track) {
	if t.mirror == nil || len(t.subscriptions) > 0 || c.mirrors.byHandle[t.mirror.handle] != t {
		return
	}
	c.forgetMirror(t)
	c.parcel(t.mirror.home).tell(releaseMessage{t.mirror.handle})
}

func (c *Core) forgetMirror(t *track) {
	delete(c.mirrors.byName, mirrorName{t.cfg.ID, t.mirror.home, t.mirror.room})
	delete(c.mirrors.byHandle, t.mirror.handle)
	c.mirrors.order = slices.DeleteFunc(c.mirrors.order, func(o *track) bool { return o == t })
}

// mirrored returns the mirror of a handle, nil if it was released.
func (c *Core) mirrored(from CoreID, handle uint32) *track {
	if t := c.mirrors.byHandle[handle]; t != nil && t.mirror.home == from {
		return t
	}
	return nil
}

func (c *Core) mirroredLayer(from CoreID, handle uint32, index uint8) *layer {
	if t := c.mirrored(from, handle); t != nil && int(index) < len(t.layers) {
		return t.layers[index]
	}
	return nil
}

// mirrorTrack takes the state of a track. The layers never change: a track that
// is published anew ends first.
func (c *Core) mirrorTrack(now time.Time, from CoreID, m trackMessage) {
	t := c.mirrored(from, m.handle)
	if t == nil {
		return
	}
	first := !t.mirror.known
	if first {
		t.mirror.known, t.cfg.Video = true, m.video
		for i, size := range m.layers[:min(len(m.layers), maxLayers)] {
			l := &layer{track: t, index: i, rid: size.RID}
			l.renew(c.cfg)
			t.layers = append(t.layers, l)
		}
	}
	t.sizes = m.sizes
	for i, l := range t.layers[:min(len(t.layers), len(m.layers))] {
		l.size = m.layers[i]
	}
	if t.allowed = m.allowed; t.muted != m.muted || t.mirror.mutes != m.mutes {
		t.mirror.mutes, t.mirror.asked = m.mutes, [maxLayers]asked{}
		for _, l := range t.layers { // what was not handed over
			l.withheld = l.ring.Highest()
		}
		c.mute(now, t, true) // it was, even if all is over by now
		c.mute(now, t, m.muted)
	}
	for _, s := range t.subscriptions {
		if first {
			s.begin(now)
		} else {
			s.choose(now)
		}
	}
}

// mirrorLayer takes the state of a layer.
func (c *Core) mirrorLayer(now time.Time, from CoreID, m layerMessage) {
	l := c.mirroredLayer(from, m.handle, m.layer)
	if l == nil {
		return
	}
	t := l.track
	if m.incarnation != l.remote {
		l.remote = m.incarnation
		l.renew(c.cfg)
		t.mirror.asked[l.index] = asked{}
		for _, s := range t.subscriptions {
			if s.current == l {
				s.pause()
			}
			if s.current == l || s.target == l {
				s.askKeyFrame(now, l)
			}
		}
	}
	l.live, t.mime, t.clockRate = m.live, m.mime, m.clockRate
	for _, s := range t.subscriptions {
		s.choose(now)
	}
}

func (c *Core) mirrorClock(from CoreID, m clockMessage) {
	l := c.mirroredLayer(from, m.handle, m.layer)
	if l == nil {
		return
	}
	c.setClock(l, m.clock)
}

// mirrorGap begins anew where packets were left out: video goes on with the
// next key frame, as if nothing were missing, so that nobody asks for what is
// not in the ring. A listener does better with a hole.
func (c *Core) mirrorGap(now time.Time, from CoreID, m gapMessage) {
	l := c.mirroredLayer(from, m.handle, m.layer)
	if l == nil || !l.track.cfg.Video {
		return
	}
	l.track.mirror.asked[l.index] = asked{} // the answer may have been among them
	l.withheld = l.ring.Highest()           // nothing that comes follows what is there
	for _, s := range l.track.subscriptions {
		switch l {
		case s.current:
			s.pause()
			s.askKeyFrame(now, s.target)
		case s.target:
			if s.backlog.layer == l { // a replay that has not begun
				s.catchUp()
			}
			s.askKeyFrame(now, l)
		}
	}
}

// mirrorEnded ends the subscriptions, as the end of a track of this core does.
func (c *Core) mirrorEnded(now time.Time, from CoreID, m endedMessage) {
	t := c.mirrored(from, m.handle)
	if t == nil {
		return
	}
	c.forgetMirror(t)
	for _, s := range slices.Clone(t.subscriptions) {
		c.endSubscription(now, s, t)
	}
}

// receiveMirrored takes packets of one frame of a layer.
func (c *Core) receiveMirrored(now time.Time, from CoreID, p *Parcel, records []record, batch *Batch) {
	l := c.mirroredLayer(from, records[0].handle, records[0].layer)
	if l == nil {
		return
	}
	for i := range records {
		k := p.packet(&records[i])
		if !l.encodedAs(&k) {
			continue
		}
		if k.codec == codec.VP8 {
			d, err := codec.ParseVP8(k.payload)
			if err != nil {
				continue
			}
			k.vp8 = d
		}
		if k.key {
			l.key.Satisfied(now)
			l.track.mirror.asked[l.index] = asked{}
		}
		l.ring.Put(now, k.seq, ringPacket(k))
		c.frame = append(c.frame, k)
	}
	c.counters.Mirrored += uint64(len(records))
	if !l.track.muted {
		c.distribute(now, l, c.frame, batch)
	}
	clear(c.frame)
	c.frame = c.frame[:0]
}

// touch notes that the home of a mirror may have to be told something. It does
// nothing for a track of this core.
func (t *track) touch() {
	if m := t.mirror; m != nil && !m.touched {
		m.touched = true
		m.core.mirrors.touched = append(m.core.mirrors.touched, t)
	}
}

// flushMirrors tells the homes at once what has risen since.
func (c *Core) flushMirrors() {
	for _, t := range c.mirrors.touched {
		t.mirror.touched = false
		if c.mirrors.byHandle[t.mirror.handle] == t {
			c.tellInterest(t, true)
			c.tellKeyFrames(t)
		}
	}
	clear(c.mirrors.touched)
	c.mirrors.touched = c.mirrors.touched[:0]
}

// serveMirrors tells the homes what has fallen since, and asks again for what
// did not come.
func (c *Core) serveMirrors(now time.Time) {
	for _, t := range c.mirrors.order {
		c.tellInterest(t, false)
		for i := range t.mirror.asked {
			a := &t.mirror.asked[i]
			switch {
			case a.want == noKeyFrame:
			case a.at.IsZero():
				a.at = now
			case now.Sub(a.at) >= c.cfg.KeyFrameInterval:
				*a = asked{}
			}
		}
		c.tellKeyFrames(t)
	}
}

// tellInterest tells the home what is needed of it. A rise tells only what is
// needed more: what is not needed now may be again in a moment. Nobody waits for
// a key frame of the other layers.
func (c *Core) tellInterest(t *track, rise bool) {
	m := t.interest()
	for i, l := range t.layers {
		if m.media&(1<<i) == 0 {
			l.key.Satisfied(time.Time{})
			t.mirror.asked[i] = asked{}
		}
	}
	if rise && t.mirror.told.known {
		m.media |= t.mirror.told.media
	}
	if m != t.mirror.told {
		t.mirror.told = m
		c.parcel(t.mirror.home).tell(m)
	}
}

// tellKeyFrames asks for what viewers wait for, once, and once more if one of
// them sees nothing at all.
func (c *Core) tellKeyFrames(t *track) {
	for i, l := range t.layers {
		want := noKeyFrame
		switch {
		case l.key.Urgent():
			want = urgentKeyFrame
		case l.key.Wanted():
			want = someKeyFrame
		}
		if a := &t.mirror.asked[i]; want > a.want && !t.muted {
			*a = asked{want: want}
			c.parcel(t.mirror.home).tell(keyFrameMessage{t.mirror.handle, uint8(i), want == urgentKeyFrame})
		}
	}
}

// interest is what the subscribers of a mirror need of its home.
func (t *track) interest() interestMessage {
	m := interestMessage{handle: t.mirror.handle, known: t.mirror.known}
	for _, s := range t.subscriptions {
		if s.settings.Disabled || s.shedding.paused {
			continue
		}
		if s.track != t { // a seat that leaves it
			if s.current != nil {
				m.demand |= t.demanded(s)
				m.media |= 1 << s.current.index
			}
			continue
		}
		if !m.known || !t.cfg.Video {
			m.media |= allLayers
			if m.known {
				m.demand |= t.demanded(s)
			}
			continue
		}
		if l := s.wanted(); l != nil {
			m.demand |= t.demanded(s)
			m.media |= s.receives(l)
		}
	}
	return m
}

// receives is the set of layers of which a viewer may need the next packet: the
// wanted, the one that it sees, and the one to which it switches. As long as
// none of them comes it is all: the first key frame decides.
func (s *subscription) receives(wanted *layer) uint8 {
	if s.relay != nil {
		return 1 << wanted.index
	}
	if s.target == nil || !s.target.live {
		return allLayers
	}
	bits := uint8(1)<<wanted.index | 1<<s.target.index
	if s.current != nil && !s.waiting {
		bits |= 1 << s.current.index
	}
	return bits
}
