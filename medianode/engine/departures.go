package engine

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/twcc"
)

// depart notes that the packet that was sealed last leaves now under the number
// that header gave it; size is that of its RTP header and payload.
func (c *Core) depart(now time.Time, s *subscription, size int) {
	if s.section.Extensions.TransportCC != 0 {
		s.peer.departures.Sent(now, s.peer.transportSeq, size)
	}
}

// receiveTransportFeedback matches a subscriber's feedback with what was sent to
// it. What the report says is summed for the peer's figures; a congestion
// controller takes the same report, which is good until the next one is read.
func (c *Core) receiveTransportFeedback(now time.Time, p *peer, raw []byte) {
	statuses, err := twcc.ReadFeedback(raw)
	if err != nil {
		c.counters.Malformed++
		return
	}
	p.departures.Match(now, statuses, &c.report)
	p.delivery.Add(&c.report)
}

// observeLoss closes an interval of the peer's figures. Transport feedback tells
// of every packet, reports of receivers only of each stream's fraction, so they
// decide where there is no or too little feedback.
func (p *peer) observeLoss(now time.Time) {
	p.lacked.close(&p.uplinkLoss)
	p.acked.close(&p.downlinkLoss)
	q := p.delivery.Close(now)
	p.downlinkRate = q.Rate
	if q.Known {
		p.downlinkLoss = q.Loss
	}
}
