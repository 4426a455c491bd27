package engine

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/rtpheader"
)

// class of a datagram by its first byte (RFC 7983 section 7).
type class uint8

const (
	classUnknown class = iota
	classSTUN
	classDTLS
	classRTP
	classRTCP
)

func classify(b []byte) class {
	switch {
	case len(b) < 8:
		return classUnknown
	case b[0] <= 3:
		return classSTUN
	case b[0] >= 20 && b[0] <= 63:
		return classDTLS
	case b[0] >= 128 && b[0] <= 191:
		if b[1] >= 192 && b[1] <= 223 { // RFC 5761 section 4
			return classRTCP
		}
		return classRTP
	}
	return classUnknown
}

// HandleDatagram takes one datagram from the network. It never keeps b.
func (c *Core) HandleDatagram(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {
	if len(b) > MaxDatagram {
		c.counters.Malformed++
		return
	}
	switch classify(b) {
	case classSTUN:
		c.handleSTUN(now, from, b, batch)
	case classDTLS:
		if p := c.byAddr[from]; p != nil {
			c.emit(DTLSDatagram{Peer: p.cfg.ID, Payload: append([]byte(nil), b...)})
			return
		}
		c.counters.Unknown++
	case classRTP:
		c.handleSRTP(now, from, b, batch)
	case classRTCP:
		c.handleSRTCP(now, from, b, batch)
	default:
		c.counters.Malformed++
	}
}

// handleSRTP opens a media packet. One from an unknown address moves its peer
// there if it is authentic and the newest of its source.
func (c *Core) handleSRTP(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {
	h, err := rtpheader.Peek(b)
	if err != nil {
		c.counters.Malformed++
		return
	}
	p := c.byAddr[from]
	if p == nil {
		if p = c.bySSRC[h.SSRC]; p == nil {
			c.counters.Unknown++
			return
		}
		if !c.trial.Allow(now, from.Addr()) {
			c.counters.Unknown++
			return
		}
	}
	if p.keys == nil {
		c.counters.Unprotected++
		return
	}
	plain, err := p.keys.OpenRTP(c.plain[:0], b)
	if err != nil {
		c.counters.OpenFailures++
		return
	}
	if h, err = rtpheader.Parse(plain); err != nil {
		c.counters.Malformed++
		return
	}
	c.heard(now, p)
	s := c.sourceOf(now, p, &h, plain)
	if s == nil {
		c.counters.Unknown++
		return
	}
	highest := s.unwrap.Highest()
	seq := s.unwrap.Unwrap(h.SequenceNumber)
	if seq > highest && from != p.addr {
		c.moveByMedia(now, p, from)
	}
	c.counters.Received++
	c.receive(now, p, s, seq, &h, plain, batch)
}

// handleSRTCP opens a control packet. A receive-only browser shows a new
// address by its RTCP alone and reports with an SSRC that says nothing, so an
// unknown address costs one key trial per subscriber, rate limited: 400 packets
// a second at 0.4 us a trial are a tenth of a core with 500 subscribers.
func (c *Core) handleSRTCP(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {
	if p := c.byAddr[from]; p != nil {
		if p.keys == nil {
			c.counters.Unprotected++
			return
		}
		plain, index, err := p.keys.OpenRTCP(c.plain[:0], b)
		if err != nil {
			c.counters.OpenFailures++
			return
		}
		if p.newestRTCP(plain, index) && p.addr != from {
			c.moveByMedia(now, p, from)
		}
		c.heard(now, p)
		c.receiveRTCP(now, p, plain, batch)
		return
	}
	c.counters.Unknown++
	if p := c.bySSRC[binary.BigEndian.Uint32(b[4:8])]; p != nil && c.tryRTCP(now, p, from, b, batch) {
		return
	}
	if !c.trial.Allow(now, from.Addr()) {
		return
	}
	for _, p := range c.order {
		if len(p.subscriptions) > 0 && c.tryRTCP(now, p, from, b, batch) {
			return
		}
	}
}

func (c *Core) tryRTCP(now time.Time, p *peer, from netip.AddrPort, b []byte, batch *Batch) bool {
	if p.keys == nil {
		return false
	}
	plain, index, err := p.keys.OpenRTCP(c.plain[:0], b)
	if err != nil || !p.newestRTCP(plain, index) {
		return false
	}
	c.moveByMedia(now, p, from)
	c.heard(now, p)
	c.receiveRTCP(now, p, plain, batch)
	return true
}

// newestRTCP notes the SRTCP index of an authentic packet and reports whether it
// is the highest of its sender's so far. A sender past maxSources never is.
func (p *peer) newestRTCP(plain []byte, index uint32) bool {
	if len(plain) < 8 {
		return false
	}
	ssrc := binary.BigEndian.Uint32(plain[4:8])
	next, known := p.nextRTCP[ssrc]
	if index < next || !known && len(p.nextRTCP) >= maxSources {
		return false
	}
	p.nextRTCP[ssrc] = index + 1
	return true
}
