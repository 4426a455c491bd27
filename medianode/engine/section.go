package engine

import (
	"fmt"
	"slices"
	"time"
)

// A relay peer publishes each track on a section of its own, of which all SSRCs
// are known before anything arrives. There may be thousands, so that sections
// are found by name, sources by SSRC, and neither by going through a list.

// AddReceive adds one section to those on which a relay peer publishes, or
// replaces the one with its mid. It costs the same however many there are; else
// it is like SetReceive. Each layer needs its SSRC.
func (c *Core) AddReceive(now time.Time, id PeerID, section ReceiveSection) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	s := p.section(section.Mid)
	if s == nil {
		return c.newSection(now, p, section)
	}
	before := s.ReceiveSection
	s.ReceiveSection = section
	if s.track == nil {
		return nil
	}
	if err := c.describe(now, p, s); err != nil {
		s.ReceiveSection = before
		return err
	}
	return nil
}

// setSections is SetReceive for a relay peer.
func (c *Core) setSections(now time.Time, p *peer, sections []ReceiveSection) error {
	listed := make(map[string]bool, len(sections))
	for _, rs := range sections {
		listed[rs.Mid] = true
		if err := c.AddReceive(now, p.cfg.ID, rs); err != nil {
			return err
		}
	}
	p.sections = slices.DeleteFunc(p.sections, func(s *section) bool {
		switch {
		case listed[s.Mid]:
			return false
		case s.track != nil:
			s.Active = false
			return false
		}
		delete(p.trunk.sections, s.Mid)
		return true
	})
	return nil
}

func (c *Core) newSection(now time.Time, p *peer, rs ReceiveSection) error {
	if len(p.sections) >= maxRelaySources {
		return fmt.Errorf("%w: %d sections are the most", ErrSection, maxRelaySources)
	}
	s := &section{ReceiveSection: rs}
	p.sections = append(p.sections, s)
	p.trunk.sections[rs.Mid] = s
	p.extend(now, rs.Extensions)
	return nil
}

// RemoveReceive removes a section of a relay peer and ends its track. Removing
// one that is not there does nothing.
func (c *Core) RemoveReceive(now time.Time, id PeerID, mid string) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	s := p.trunk.sections[mid]
	if s == nil {
		return nil
	}
	if s.track != nil {
		c.removeTrack(now, s.track)
	}
	delete(p.trunk.sections, mid)
	p.sections = slices.DeleteFunc(p.sections, func(o *section) bool { return o == s })
	return nil
}

// described returns the sources that the description of a relay peer's section
// names. It fails with ErrSSRC if one is another section's, or they are too many.
func (p *peer) described(s *section) (map[uint32]source, error) {
	named := map[uint32]source{}
	added := 0
	for i, g := range s.SSRCs {
		rid := ""
		if i < len(s.RIDs) {
			rid = s.RIDs[i]
		}
		for _, n := range []struct {
			ssrc uint32
			rtx  bool
		}{{g.SSRC, false}, {g.RTX, true}} {
			if n.ssrc == 0 && n.rtx {
				continue
			}
			other := p.sources[n.ssrc]
			if _, twice := named[n.ssrc]; twice || n.ssrc == 0 || other != nil && other.section != s {
				return nil, fmt.Errorf("%w: %d of section %q", ErrSSRC, n.ssrc, s.Mid)
			}
			named[n.ssrc] = source{section: s, rtx: n.rtx, rid: rid}
			if other == nil {
				added++
			}
		}
	}
	if len(p.sources)+added > maxRelaySources {
		return nil, fmt.Errorf("%w: %d streams are the most", ErrSSRC, maxRelaySources)
	}
	return named, nil
}

// describe makes the sources of a section with a track those that its
// description names.
func (c *Core) describe(now time.Time, p *peer, s *section) error {
	named, err := p.described(s)
	if err != nil {
		return err
	}
	for _, ssrc := range slices.Clone(s.sources) {
		if n, still := named[ssrc]; !still || n.rtx != p.sources[ssrc].rtx || n.rid != p.sources[ssrc].rid {
			c.forgetSource(p, ssrc)
		}
	}
	for _, g := range s.SSRCs {
		for _, ssrc := range []uint32{g.SSRC, g.RTX} {
			if n, is := named[ssrc]; is && p.sources[ssrc] == nil {
				c.addSource(p, ssrc, &n)
			}
			if src := p.sources[ssrc]; src != nil {
				c.attach(now, s.track, ssrc, src)
			}
		}
	}
	return nil
}

// addSource enters a source under its SSRC.
func (c *Core) addSource(p *peer, ssrc uint32, s *source) {
	p.sources[ssrc] = s
	s.section.sources = append(s.section.sources, ssrc)
	if c.bySSRC[ssrc] == nil {
		c.bySSRC[ssrc] = p
	}
	if p.mediaSSRC == 0 {
		p.mediaSSRC = ssrc
	}
}

// forgetSources forgets all of a section.
func (c *Core) forgetSources(p *peer, s *section) {
	for len(s.sources) > 0 {
		c.forgetSource(p, s.sources[0])
	}
}
