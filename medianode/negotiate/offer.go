package negotiate

import (
	"fmt"

	"github.com/drtc-network/drtc"
)

// Offer describes a data section and every track bound so far. One offer may
// be open at a time: bindings made after it wait for the next (see Stale).
func (t *Transport) Offer() (string, error) {
	switch {
	case t.cfg.Role != Offerer:
		return "", fmt.Errorf("negotiate: offer: %w: this transport answers", ErrRole)
	case t.pending:
		return "", fmt.Errorf("negotiate: offer: %w: accept its answer or withdraw it first", ErrPending)
	}
	if t.restart {
		if err := t.renewICE(); err != nil {
			return "", err
		}
		t.restart = false
	}
	t.pending, t.offered = true, make([]drtc.TrackID, len(t.lines))
	t.version++
	var bundle []string
	sections := make([]written, 0, len(t.lines))
	for i := range t.lines {
		l := &t.lines[i]
		s := written{mid: l.mid, kind: l.kind, proto: "UDP/TLS/RTP/SAVPF", setup: "actpass", rtcpRsize: true}
		if l.kind == application {
			s.proto = "UDP/DTLS/SCTP"
		}
		if l.refusal != "" {
			s.refused = "0"
			if l.kind == application {
				s.refused = "webrtc-datachannel"
			}
			sections = append(sections, s)
			continue
		}
		bundle = append(bundle, l.mid)
		s.codecs, s.extmaps = offeredCodecs(l.kind, t.cfg.Codecs), offeredExtensions(l.kind)
		if e := t.on(l.mid); e != nil {
			t.offered[i] = e.ID
			chosen, _ := choose(s.codecs, e.Codec)
			s.codecs = first(s.codecs, chosen.PayloadType)
			s.track, s.direction, s.rtx = &e.Track, sendOnly, e.RTXSSRC != 0 && chosen.RTXPayloadType != 0
		}
		sections = append(sections, s)
	}
	return t.describe(sections, bundle, true), nil
}

// Withdraw forgets an open offer that will not be answered, after the peer lost
// it or refused it. Its sections keep their order, in case the peer knows them.
func (t *Transport) Withdraw() { t.pending = false }

// RestartICE makes the next Offer carry new credentials.
func (t *Transport) RestartICE() error {
	if t.cfg.Role != Offerer {
		return fmt.Errorf("negotiate: restart ICE: %w: the client restarts with its offer", ErrRole)
	}
	t.restart = true
	return nil
}

// Accept takes the answer to the open offer. On error nothing has changed and
// the offer is still open.
func (t *Transport) Accept(answer string) (Agreement, error) {
	switch {
	case t.cfg.Role != Offerer:
		return Agreement{}, fmt.Errorf("negotiate: accept: %w: this transport answers", ErrRole)
	case !t.pending:
		return Agreement{}, fmt.Errorf("negotiate: accept: %w", ErrNoOffer)
	}
	d, err := parse(answer)
	if err != nil {
		return Agreement{}, fmt.Errorf("negotiate: answer: %w", err)
	}
	next := &Transport{cfg: t.cfg, session: t.session, state: t.state.clone()}
	if err := next.accept(d); err != nil {
		return Agreement{}, fmt.Errorf("negotiate: answer: %w", err)
	}
	agreement := next.agreement(d)
	agreement.Restarted = t.negotiated && t.remote != next.remote
	next.pending, next.negotiated = false, true
	t.state = next.state
	return agreement, nil
}

func (t *Transport) accept(d *description) error {
	if len(d.sections) != len(t.offered) {
		return fmt.Errorf("%w: %d sections answered, %d offered", ErrMidChanged, len(d.sections), len(t.offered))
	}
	data := false
	for i, s := range d.sections {
		l := &t.lines[i]
		if s.kind != l.kind || s.mid != l.mid && !(s.off() && s.mid == "") {
			return s.errorf(ErrMidChanged, "offered as %s with mid %.32q", l.kind, l.mid)
		}
		l.peer = s
		if l.refusal == "" {
			l.evaluate(t.cfg, &data)
		}
	}
	tag, err := t.tag(d)
	if err != nil {
		return err
	}
	if err := t.secure(tag, false); err != nil {
		return err
	}
	t.remote = tag.ice
	for i := range t.offered {
		t.conclude(&t.lines[i], t.offered[i], d.allowMixed)
	}
	return nil
}

// conclude takes over the answer for one section and the track offered on it,
// which may have been unbound since.
func (t *Transport) conclude(l *line, offered drtc.TrackID, allowMixed bool) {
	l.shown, l.active = "", false
	if l.refusal == "" {
		l.shown, l.active = offered, offered != "" && l.peer.direction.receives()
	}
	l.ids = Extensions{Mixed: allowMixed || l.peer.allowMixed}
	for _, ours := range offeredExtensions(l.kind) {
		for _, x := range l.peer.extmaps {
			if x.id == ours.id && x.uri == ours.uri && x.direction.receives() {
				*l.ids.slot(x.uri) = x.id
			}
		}
	}
	e := t.on(l.mid)
	if e == nil || e.ID != offered {
		return
	}
	_, known := choose(l.codecs, e.Codec)
	switch {
	case l.refusal != "":
		e.mid, e.refused = "", "the peer refused its section"
	case !known: // the next offer takes it off the section
		e.mid, e.refused = "", "the peer's answer has no "+e.Codec.describe()
	}
}
