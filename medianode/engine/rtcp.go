package engine

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine/compound"
)

const (
	// feedbackInterval is how often a publisher learns when its packets came;
	// browsers estimate well with 50 to 100 ms.
	feedbackInterval = 50 * time.Millisecond
	// reportInterval is how often sender and receiver reports leave.
	reportInterval = time.Second
	// firstFigures is when the first figures of a peer are worth telling: its
	// receiver reports have come by then.
	firstFigures = 2 * time.Second
	// maxRTCP bounds one compound packet before it is sealed, bytes.
	maxRTCP = 1200
)

// receiveRTCP takes one authentic compound packet.
func (c *Core) receiveRTCP(now time.Time, p *peer, plain []byte, batch *Batch) {
	r, err := compound.Read(plain)
	if err != nil {
		c.counters.Malformed++
		return
	}
	for k, ok := r.Next(); ok; k, ok = r.Next() {
		switch k.Kind {
		case compound.SenderReport:
			c.receiveSenderReport(now, p, k.Sender())
			c.receiveReceptions(now, p, k.Receptions())
		case compound.ReceiverReport:
			c.receiveReceptions(now, p, k.Receptions())
		case compound.TransportFeedback:
			c.receiveTransportFeedback(now, p, k.Bytes())
		case compound.NACK:
			if s := p.bySSRC[k.MediaSSRC()]; s != nil && k.MediaSSRC() == s.ssrc {
				c.receiveNACK(now, s, k.NACKs(), batch)
			}
		case compound.PictureLoss:
			c.receiveKeyFrameRequest(now, p, k.MediaSSRC(), batch)
		case compound.FullIntra:
			for i := range k.FullIntras().Len() {
				c.receiveKeyFrameRequest(now, p, k.FullIntras().At(i).SSRC, batch)
			}
		case compound.Malformed:
			c.counters.Malformed++
		}
	}
}

func (c *Core) receiveSenderReport(now time.Time, p *peer, r rtcp.SenderReport) {
	src := p.sources[r.SSRC]
	if src == nil || src.layer == nil || src.rtx {
		return
	}
	l := src.layer
	l.reception.HandleSenderReport(now, &r)
	c.setClock(l, l.reception.Clock())
}

func (c *Core) receiveReceptions(now time.Time, p *peer, reports compound.Receptions) {
	for i := range reports.Len() {
		r := reports.At(i)
		s := p.bySSRC[r.SSRC]
		if s == nil && p.trunk != nil { // one that has ended: what arrived of it is paid
			s = p.trunk.numbers[r.SSRC]
		}
		if s == nil || s.sender == nil || r.SSRC != s.ssrc {
			continue
		}
		q := s.sender.HandleReception(now, r)
		if q.RTT > 0 {
			p.observeRoundTrip(q.RTT)
		}
		p.acked.add(q.FractionLost)
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

func (c *Core) receiveNACK(now time.Time, s *subscription, pairs compound.NACKs, batch *Batch) {
	n := 0
	for i := range pairs.Len() {
		pair := pairs.At(i)
		for seq, more := pair.PacketID, uint32(pair.LostPackets)<<1|1; more != 0; seq, more = seq+1, more>>1 {
			if more&1 == 0 {
				continue
			}
			c.retransmit(now, s, seq, batch)
			if n++; n == maxNACKs {
				return
			}
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
	s.again(now, l)
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
	c.sendRTCP(p, compound.AppendPictureLoss(c.out[:0], p.reporter, l.ssrc), batch)
}

// resume asks a publisher that has just connected for key frames of the streams
// that are wanted and described. It may have sent them to another node until now,
// and its next frame is to be one with which viewers can begin here.
func (c *Core) resume(p *peer, batch *Batch) {
	for _, t := range p.tracks {
		if !t.cfg.Video || t.muted || p.cfg.Relay {
			continue
		}
		wanted := t.wanted()
		for i, l := range t.layers[:min(len(t.layers), len(t.section.SSRCs))] {
			if ssrc := t.section.SSRCs[i].SSRC; wanted&(1<<i) != 0 && ssrc != 0 && !l.live {
				c.counters.KeyFrameRequests++
				c.sendRTCP(p, compound.AppendPictureLoss(c.out[:0], p.reporter, ssrc), batch)
			}
		}
	}
}

func (c *Core) flushKeyFrameRequests(now time.Time, batch *Batch) {
	for _, p := range c.publishing() {
		for _, t := range p.awake() {
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
	for _, t := range p.awake() {
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
	if l.repairs() && len(c.lost) > 0 && p.sendable() {
		c.sendRTCP(p, compound.AppendNACK(c.out[:0], p.reporter, l.ssrc, c.lost), batch)
	}
	if giveUp && l.track.cfg.Video && l.track.watched() {
		l.key.Ask(now)
		c.requestKeyFrame(now, l, batch)
	}
}

// repairs reports whether what is missing of a layer is asked for: all video, and
// audio from another node, where losses would add up from hop to hop.
func (l *layer) repairs() bool {
	return l.track.cfg.Video || l.track.peer.cfg.Relay && l.repairSSRC != 0
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
		p.observeLoss(now)
		c.emit(PeerReport{Peer: p.cfg.ID, Figures: c.figures(p)})
	}
}

// canonicalName is that of the node in its source descriptions.
const canonicalName = "drtc"

func (c *Core) sendReports(now time.Time, p *peer, batch *Batch) {
	receptions := c.receptions[:0]
	var lost float64
	for _, t := range p.awake() {
		for _, l := range t.layers {
			if l.ssrc == 0 || !l.live {
				continue
			}
			r := l.reception.Report(now)
			lost += float64(r.FractionLost) / 256
			receptions = append(receptions, r)
		}
	}
	c.receptions = receptions
	if len(receptions) > 0 {
		p.lacked.add(lost / float64(len(receptions)))
	}
	for first := true; first || len(receptions) > 0; first = false {
		n := min(len(receptions), compound.MaxReports)
		raw := compound.AppendReceiverReport(c.out[:0], p.reporter, receptions[:n])
		c.sendRTCP(p, compound.AppendDescription(raw, p.reporter, canonicalName), batch)
		receptions = receptions[n:]
	}
	raw := c.out[:0]
	for _, s := range p.subscriptions {
		if s.sender == nil || !s.ready {
			continue
		}
		r, ok := s.sender.SenderReport(now)
		if !ok {
			continue
		}
		if len(raw)+compound.SenderReportSize > maxRTCP {
			c.sendRTCP(p, raw, batch)
			raw = raw[:0]
		}
		raw = compound.AppendSenderReport(raw, r)
	}
	if len(raw) > 0 {
		c.sendRTCP(p, raw, batch)
	}
}

func (c *Core) sendFeedback(p *peer, batch *Batch) {
	for p.feedback.Pending() > 0 {
		c.sendRTCP(p, p.feedback.Feedback(c.out[:0], p.reporter, p.mediaSSRC), batch)
	}
}

// sendRTCP seals a plain compound packet.
func (c *Core) sendRTCP(p *peer, raw []byte, batch *Batch) {
	sealed, err := p.keys.SealRTCP(batch.slot(), raw)
	if err != nil {
		c.counters.SealFailures++
		return
	}
	c.counters.SentBytes += uint64(len(sealed))
	batch.add(p.addr, sealed, 0)
}
