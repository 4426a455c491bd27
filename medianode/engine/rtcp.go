package engine

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	// feedbackInterval is how often a publisher learns when its packets came;
	// browsers estimate well with 50 to 100 ms.
	feedbackInterval = 50 * time.Millisecond
	// reportInterval is how often sender and receiver reports leave.
	reportInterval = time.Second
	// maxRTCP bounds one compound packet before it is sealed, bytes.
	maxRTCP = 1200
)

// receiveRTCP takes one authentic compound packet.
func (c *Core) receiveRTCP(now time.Time, p *peer, plain []byte, batch *Batch) {
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		c.counters.Malformed++
		return
	}
	for _, k := range packets {
		switch k := k.(type) {
		case *rtcp.SenderReport:
			c.receiveSenderReport(now, p, k)
			c.receiveReceptions(now, p, k.Reports)
		case *rtcp.ReceiverReport:
			c.receiveReceptions(now, p, k.Reports)
		case *rtcp.TransportLayerNack:
			if s := p.bySSRC[k.MediaSSRC]; s != nil && k.MediaSSRC == s.ssrc {
				c.receiveNACK(now, s, k.Nacks, batch)
			}
		case *rtcp.PictureLossIndication:
			c.receiveKeyFrameRequest(now, p, k.MediaSSRC, batch)
		case *rtcp.FullIntraRequest:
			for _, f := range k.FIR {
				c.receiveKeyFrameRequest(now, p, f.SSRC, batch)
			}
		}
	}
}

func (c *Core) receiveSenderReport(now time.Time, p *peer, r *rtcp.SenderReport) {
	src := p.sources[r.SSRC]
	if src == nil || src.layer == nil || src.rtx {
		return
	}
	l := src.layer
	l.reception.HandleSenderReport(now, r)
	c.setClock(l, l.reception.Clock())
}

func (c *Core) receiveReceptions(now time.Time, p *peer, reports []rtcp.ReceptionReport) {
	for _, r := range reports {
		s := p.bySSRC[r.SSRC]
		if s == nil || s.sender == nil || r.SSRC != s.ssrc {
			continue
		}
		q := s.sender.HandleReception(now, r)
		if q.RTT > 0 {
			p.observeRoundTrip(q.RTT)
		}
		p.acked.weighted += q.FractionLost
		p.acked.reports++
		if q.Highest > 0 {
			s.bytes.Acknowledged(q.Highest, q.Lost)
		}
	}
}

// observeRoundTrip smooths as TCP does (RFC 6298 section 2).
func (p *peer) observeRoundTrip(v time.Duration) {
	if p.roundTrip == 0 {
		p.roundTrip = v
		return
	}
	p.roundTrip += (v - p.roundTrip) / 8
}

// maxNACKs bounds the packets asked for in one message.
const maxNACKs = 256

func (c *Core) receiveNACK(now time.Time, s *subscription, pairs []rtcp.NackPair, batch *Batch) {
	n := 0
	for _, pair := range pairs {
		pair.Range(func(seq uint16) bool {
			c.retransmit(now, s, seq, batch)
			n++
			return n < maxNACKs
		})
		if n >= maxNACKs {
			return
		}
	}
}

func (c *Core) receiveKeyFrameRequest(now time.Time, p *peer, ssrc uint32, batch *Batch) {
	s := p.bySSRC[ssrc]
	if s == nil || !s.track.cfg.Video {
		return
	}
	l := s.current
	if l == nil {
		l = s.target
	}
	if l == nil {
		return
	}
	s.askKeyFrame(now, l)
	c.requestKeyFrame(now, l, batch)
}

// requestKeyFrame asks the publisher for a key frame of a layer if one is
// wanted, its packets arrive, and the throttle lets it.
func (c *Core) requestKeyFrame(now time.Time, l *layer, batch *Batch) {
	p := l.track.peer
	if l.track.mirror != nil { // flushMirrors asks its home
		return
	}
	if !l.live || l.ssrc == 0 || !p.sendable() || !l.key.Due(now) {
		return
	}
	c.counters.KeyFrameRequests++
	c.sendRTCP(p, batch, &rtcp.PictureLossIndication{SenderSSRC: p.reporter, MediaSSRC: l.ssrc})
}

func (c *Core) flushKeyFrameRequests(now time.Time, batch *Batch) {
	for _, p := range c.order {
		for _, t := range p.tracks {
			if !t.cfg.Video || t.muted {
				continue
			}
			for _, l := range t.layers {
				c.requestKeyFrame(now, l, batch)
			}
		}
	}
}

// serveLoss sends the NACKs that are due for what the peer publishes.
func (c *Core) serveLoss(now time.Time, p *peer, batch *Batch) {
	for _, t := range p.tracks {
		for _, l := range t.layers {
			if at := l.loss.NextTimeout(); !at.IsZero() && !at.After(now) {
				c.requestLost(now, l, batch)
			}
		}
	}
}

func (c *Core) requestLost(now time.Time, l *layer, batch *Batch) {
	p := l.track.peer
	var giveUp bool
	c.lost, giveUp = l.loss.Due(now, p.roundTrip, c.lost[:0])
	if l.track.cfg.Video && len(c.lost) > 0 && p.sendable() {
		c.sendRTCP(p, batch, &rtcp.TransportLayerNack{
			SenderSSRC: p.reporter, MediaSSRC: l.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(c.lost),
		})
	}
	if giveUp && l.track.cfg.Video && l.track.watched() {
		l.key.Ask(now)
		c.requestKeyFrame(now, l, batch)
	}
}

// serveReports sends transport feedback, sender and receiver reports, and
// emits the peer's figures, each when it is due.
func (c *Core) serveReports(now time.Time, p *peer, batch *Batch) {
	if p.feedback != nil && !now.Before(p.nextFeedback) {
		p.nextFeedback = now.Add(feedbackInterval)
		if p.feedback.Pending() > 0 && p.sendable() {
			c.sendFeedback(p, batch)
		}
	}
	if !now.Before(p.nextReport) {
		p.nextReport = now.Add(reportInterval)
		if p.sendable() {
			c.sendReports(now, p, batch)
		}
	}
	if !now.Before(p.nextFigures) {
		p.nextFigures = now.Add(c.cfg.ReportInterval)
		if p.acked.reports > 0 {
			p.downlinkLoss = p.acked.weighted / float64(p.acked.reports)
			p.acked = lossWindow{}
		}
		c.emit(PeerReport{Peer: p.cfg.ID, Figures: c.figures(p)})
	}
}

func (c *Core) sendReports(now time.Time, p *peer, batch *Batch) {
	var receptions []rtcp.ReceptionReport
	var lost float64
	for _, t := range p.tracks {
		for _, l := range t.layers {
			if l.ssrc == 0 || !l.live {
				continue
			}
			r := l.reception.Report(now)
			lost += float64(r.FractionLost) / 256
			receptions = append(receptions, r)
		}
	}
	if len(receptions) > 0 {
		p.uplinkLoss = lost / float64(len(receptions))
	}
	name := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: p.reporter, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "drtc"}},
	}}}
	for first := true; first || len(receptions) > 0; first = false {
		n := min(len(receptions), 31)
		c.sendRTCP(p, batch, &rtcp.ReceiverReport{SSRC: p.reporter, Reports: receptions[:n]}, name)
		receptions = receptions[n:]
	}
	var compound []rtcp.Packet
	size := 0
	for _, s := range p.subscriptions {
		if s.sender == nil || !s.ready {
			continue
		}
		r, ok := s.sender.SenderReport(now)
		if !ok {
			continue
		}
		if size += r.MarshalSize(); size > maxRTCP {
			c.sendRTCP(p, batch, compound...)
			compound, size = nil, r.MarshalSize()
		}
		compound = append(compound, &r)
	}
	if len(compound) > 0 {
		c.sendRTCP(p, batch, compound...)
	}
}

func (c *Core) sendRTCP(p *peer, batch *Batch, packets ...rtcp.Packet) {
	raw, err := rtcp.Marshal(packets)
	if err != nil || len(raw)+sealRoom > MaxDatagram {
		c.counters.SealFailures++
		return
	}
	c.sendRawRTCP(p, raw, batch)
}

func (c *Core) sendFeedback(p *peer, batch *Batch) {
	for p.feedback.Pending() > 0 {
		c.sendRawRTCP(p, p.feedback.Feedback(c.out[:0], p.reporter, p.mediaSSRC), batch)
	}
}

func (c *Core) sendRawRTCP(p *peer, raw []byte, batch *Batch) {
	sealed, err := p.keys.SealRTCP(batch.slot(), raw)
	if err != nil {
		c.counters.SealFailures++
		return
	}
	c.counters.SentBytes += uint64(len(sealed))
	batch.add(p.addr, sealed, 0)
}
