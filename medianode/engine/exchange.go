package engine

import (
	"net/netip"
	"time"
)

// The cores of a node tell each other what they must know by parcels alone. A
// core that has subscribers of a track which is published in another, its home,
// keeps a mirror of it (mirror.go); the home keeps a link to each mirror
// (link.go).

// Outbound is what has collected for another core since the last TakeOutbound,
// nil or empty for nothing. Ask after every call into the core.
func (c *Core) Outbound(to CoreID) *Parcel {
	c.flushMirrors()
	if to >= MaxCores {
		return nil
	}
	return c.outbound[to]
}

// TakeOutbound returns what has collected for another core, nil for nothing,
// and goes on collecting in the parcel given, which must be empty.
func (c *Core) TakeOutbound(to CoreID, empty *Parcel) *Parcel {
	full := c.Outbound(to)
	if to < MaxCores {
		c.outbound[to] = empty
	}
	return full
}

// parcel is where to put what another core must know.
func (c *Core) parcel(to CoreID) *Parcel {
	if c.outbound[to] == nil {
		c.outbound[to] = &Parcel{}
	}
	return c.outbound[to]
}

// HandleParcel takes what another core collected for this one, and keeps
// nothing of its memory. Parcels of one core must come in the order in which they
// were taken, each once.
func (c *Core) HandleParcel(now time.Time, from CoreID, p *Parcel, batch *Batch) {
	if p == nil || from >= MaxCores {
		return
	}
	for i := 0; i < len(p.records); {
		r := &p.records[i]
		switch r.kind {
		case recordMedia:
			frame := p.frame(i)
			c.receiveMirrored(now, from, p, frame, batch)
			i += len(frame)
			continue
		case recordSkip:
			if l := c.mirroredLayer(from, r.handle, r.layer); l != nil {
				c.skip(now, l, packet{seq: r.seq, timestamp: r.timestamp})
			}
		case recordMessage:
			c.receiveMessage(now, from, p.messages[r.at], batch)
		}
		i++
	}
}

func (c *Core) receiveMessage(now time.Time, from CoreID, m message, batch *Batch) {
	switch m := m.(type) {
	case trackMessage:
		c.mirrorTrack(now, from, m)
	case layerMessage:
		c.mirrorLayer(now, from, m)
	case clockMessage:
		c.mirrorClock(from, m)
	case gapMessage:
		c.mirrorGap(now, from, m)
	case endedMessage:
		c.mirrorEnded(now, from, m)
	case wantMessage:
		c.openLink(from, m)
	case releaseMessage:
		c.closeLink(from, m)
	case interestMessage:
		c.linkInterest(now, from, m)
	case keyFrameMessage:
		c.linkKeyFrame(now, from, m, batch)
	}
}

// Knows reports whether a peer of this core sent something authentic from the
// address, and was not forgotten there since.
func (c *Core) Knows(from netip.AddrPort) bool { return c.byAddr[from] != nil }
