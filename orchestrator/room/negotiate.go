package room

import (
	"cmp"
	"strings"
)

// maxAsks is how often a client is asked for the same missing sections.
const maxAsks = 3

// negotiation is where a participant's offers and answers are. One offer is with
// the node at a time; of those that come meanwhile only the last one counts,
// because a client that offers again has given up its earlier offer.
type negotiation struct {
	inFlight *Offer
	next     *Offer
	retried  bool
	stale    bool // the offer in flight is of a connection that is gone
	// Sections that the client has been asked for since its last offer.
	asked                  bool
	askedAudio, askedVideo uint32
	asks                   int
	// The node asked for a new offer while one was in flight.
	pending bool
}

func (r *Room) offer(m *member, c Offer) {
	n := &m.negotiation
	if m.move != nil && !m.move.back {
		return // of the connection that it was told to leave
	}
	n.asked, n.askedAudio, n.askedVideo = false, 0, 0
	if n.inFlight != nil || m.move != nil && !m.move.opened || r.hold(m) {
		n.next = &c
		return
	}
	n.retried = false
	r.sendOffer(m, c)
}

func (r *Room) sendOffer(m *member, c Offer) {
	m.negotiation.inFlight = &c
	send := SendOffer{ID: c.ID, SDP: c.SDP, Seats: m.watch.offered()}
	if m.move != nil && !m.move.answered {
		send.Restore = r.restoration(m)
	}
	for _, t := range m.Tracks {
		if !t.Matched {
			v := t.view()
			t.offeredAs = t.Muted
			send.Publications = append(send.Publications, Publication{
				Track: t.ID, CID: cmp.Or(t.As, t.CID), Kind: t.Kind, Muted: t.Muted, Layers: v.Layers, MIME: t.MIME,
			})
		}
	}
	r.toNode(m, send)
}

// renew forgets what was between us and a connection that is gone. An offer that
// the node still has is waited for, because the node has one at a time.
func (n *negotiation) renew() {
	*n = negotiation{inFlight: n.inFlight, stale: n.inFlight != nil}
}

// offered takes the node's answer.
func (r *Room) offered(m *member, c Offered) {
	n := &m.negotiation
	if n.inFlight == nil || n.inFlight.ID != c.ID {
		return
	}
	sent, stale := *n.inFlight, n.stale
	n.inFlight, n.stale = nil, false
	switch {
	case stale: // nobody waits for the answer, but the node has matched its sections
		if c.Err == "" {
			r.restored(m)
			r.matchSections(m, c.Published)
			r.announceMuted(m, c.Published)
			r.arrived(m)
		}
	case c.Err != "" && m.move != nil && !m.move.answered:
		// A session is restored once: with a second offer the node would give up
		// what it has promised, if only the answer was lost.
		if n.next == nil {
			n.next = &sent
		}
		r.elsewhere(m, c.Invalid)
		return
	case c.Invalid:
		r.dismissFor(m, Goodbye{Reason: JoinFailure, Action: Disconnect, Text: c.Err, Unusable: c.Unusable})
		return
	case c.Err != "" && n.next == nil && n.retried && m.resumable() && len(m.exclude) < maxAttempts:
		n.next = &sent
		m.exclude = append(m.exclude, m.Node)
		r.startMove(m, true) // others there may still receive its tracks
		return
	case c.Err != "" && n.next == nil && n.retried:
		r.dismissFor(m, Goodbye{Reason: StateMismatch, Action: Reconnect, Text: c.Err})
		return
	case c.Err != "" && n.next == nil:
		n.retried = true
		r.sendOffer(m, sent)
		return
	case c.Err == "":
		r.answer(m, c)
	}
	if n.next != nil {
		next := *n.next
		n.next, n.retried = nil, false
		r.sendOffer(m, next)
		return
	}
	if !stale {
		r.afterAnswer(m, c)
	}
}

// answer hands the node's answer to the client.
func (r *Room) answer(m *member, c Offered) {
	if m.move == nil {
		m.exclude = nil
	}
	moved := m.move != nil && !m.move.answered
	r.restored(m)
	r.matchSections(m, c.Published)
	if m.conn != 0 && m.watch == nil {
		m.MIDs = c.MIDs
		r.changed = true
	}
	r.toClient(m, Answer{ID: c.ID, SDP: c.SDP, MIDs: c.MIDs})
	if !m.Answered || c.Restarted || moved {
		m.Answered = true
		r.sendCandidates(m, c.SDP)
	}
	r.announceMuted(m, c.Published)
	if m.watch != nil {
		r.cast(m)
		return
	}
	r.refusedTracks(m, c.Refused)
	r.reconcile(m)
	r.arrived(m)
}

// afterAnswer asks for sections that this answer could not give.
func (r *Room) afterAnswer(m *member, c Offered) {
	n := &m.negotiation
	pending := n.pending
	n.pending = false
	if c.MissingAudio == 0 && c.MissingVideo == 0 {
		n.asks = 0
		if pending {
			r.needSections(m, 0, 0)
		}
		return
	}
	if n.asks < maxAsks {
		n.asks++
		r.needSections(m, c.MissingAudio, c.MissingVideo)
	}
}

// needSections asks the client for an offer with so many more sections, unless
// it has been asked already. An offer that is with the node serves as well: it
// came there after the command whose result this is.
func (r *Room) needSections(m *member, audio, video uint32) {
	n := &m.negotiation
	if n.inFlight != nil || n.next != nil || !m.Answered {
		return
	}
	moreAudio, moreVideo := above(audio, n.askedAudio), above(video, n.askedVideo)
	if n.asked && moreAudio == 0 && moreVideo == 0 {
		return
	}
	n.asked = true
	n.askedAudio, n.askedVideo = n.askedAudio+moreAudio, n.askedVideo+moreVideo
	r.toClient(m, NeedSections{Audio: moreAudio, Video: moreVideo})
}

func above(want, have uint32) uint32 {
	if want > have {
		return want - have
	}
	return 0
}

// negotiationNeeded is needSections for an event, of which nobody knows whether
// it is older than the offer that is with the node.
func (r *Room) negotiationNeeded(m *member, c NegotiationNeeded) {
	if m.negotiation.inFlight != nil {
		m.negotiation.pending = true
	}
	r.needSections(m, c.MissingAudio, c.MissingVideo)
}

// sendCandidates repeats the candidates of an answer as single messages, which
// is what clients are used to.
func (r *Room) sendCandidates(m *member, sdp string) {
	var candidates []string
	for line := range strings.Lines(sdp) {
		if c, ok := strings.CutPrefix(strings.TrimSpace(line), "a=candidate:"); ok {
			candidates = append(candidates, "candidate:"+c)
		} else if len(candidates) > 0 && strings.HasPrefix(line, "m=") {
			break // bundled sections share the first one's
		}
	}
	for i, c := range candidates {
		r.toClient(m, NodeCandidate{Candidate: c, Final: i == len(candidates)-1})
	}
}
