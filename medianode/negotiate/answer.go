package negotiate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/drtc-network/drtc"
)

// Answer answers an offer of the client: the first, a later one, or an ICE
// restart. Tracks that wait take the sections that are free; a track whose
// section the client took away waits again. On error nothing has changed.
func (t *Transport) Answer(offer string) (Agreement, error) {
	if t.cfg.Role != Answerer {
		return Agreement{}, fmt.Errorf("negotiate: answer: %w: this transport makes the offers", ErrRole)
	}
	d, err := parse(offer)
	if err != nil {
		return Agreement{}, fmt.Errorf("negotiate: offer: %w", err)
	}
	next := &Transport{cfg: t.cfg, session: t.session, state: t.state.clone()}
	if err := next.answer(d); err != nil {
		return Agreement{}, fmt.Errorf("negotiate: offer: %w", err)
	}
	next.version++
	agreement := next.agreement(d)
	agreement.Restarted = t.negotiated && t.remote != next.remote
	agreement.SDP = next.writeAnswer(d)
	next.negotiated = true
	next.place() // what became free is for the tracks that wait, in the next negotiation
	t.state = next.state
	return agreement, nil
}

func (t *Transport) answer(d *description) error {
	if err := t.align(d); err != nil {
		return err
	}
	data := false
	for i := range t.lines {
		t.lines[i].evaluate(t.cfg, &data)
	}
	tag, err := t.tag(d)
	if err != nil {
		return err
	}
	if err := t.secure(tag, true); err != nil {
		return err
	}
	if t.negotiated && t.remote != tag.ice {
		if err := t.renewICE(); err != nil {
			return err
		}
	}
	t.remote = tag.ice
	t.forsake(t.negotiated)
	t.displace()
	t.forsake(false)
	t.place()
	taken := make(map[uint8]string)
	for i := range t.lines {
		l := &t.lines[i]
		l.show(t.on(l.mid))
		l.extend(d.allowMixed, taken)
	}
	t.grant()
	return nil
}

// align matches the sections of an offer with those agreed before.
func (t *Transport) align(d *description) error {
	if len(d.sections) < len(t.lines) {
		return fmt.Errorf("%w: %d sections, there were %d: switch a section off with port 0 instead of leaving it out", ErrMidChanged, len(d.sections), len(t.lines))
	}
	for i, s := range d.sections {
		if i == len(t.lines) {
			t.lines = append(t.lines, line{mid: s.mid, kind: s.kind})
		}
		l := &t.lines[i]
		if s.mid == "" { // off, see readSection
			l.mid = ""
		}
		if l.mid != s.mid || l.kind != s.kind {
			if l.refusal == "" { // only a section that is off may be used anew
				return s.errorf(ErrMidChanged, "was %s with mid %.32q: keep the order of the sections", l.kind, l.mid)
			}
			*l = line{mid: s.mid, kind: s.kind}
		}
		l.peer = s
	}
	return nil
}

// evaluate decides whether to use a section, and with which codecs.
func (l *line) evaluate(cfg Config, data *bool) {
	s := &l.peer
	l.refusal, l.codecs = "", nil
	switch {
	case s.off():
		l.refusal = "the peer switched it off"
	case !s.bundled:
		l.refusal = "its mid is not in the BUNDLE group"
	case s.kind == Audio || s.kind == Video:
		if !strings.HasSuffix(s.proto, "RTP/SAVPF") {
			l.refusal = "the transport is " + s.proto + ", want UDP/TLS/RTP/SAVPF"
		} else if l.codecs = s.codecs(cfg.Codecs); len(l.codecs) == 0 {
			l.refusal = noCodec + strings.Join(cfg.Codecs, ", ")
		}
	case s.kind == application:
		if !strings.HasSuffix(s.proto, "DTLS/SCTP") || !slices.Contains(s.formats, "webrtc-datachannel") {
			l.refusal = "want UDP/DTLS/SCTP webrtc-datachannel"
		} else if *data {
			l.refusal = "a second data section"
		}
		*data = *data || l.refusal == ""
	default:
		l.refusal = "media of no known kind"
	}
}

// noCodec begins the refusal of a section whose codecs the node does not know.
const noCodec = "no codec in common: want one of "

// tag finds the section whose transport lines speak for the BUNDLE group: the
// first in the group that both sides use (RFC 9143 section 7.3).
func (t *Transport) tag(d *description) (*section, error) {
	if len(d.sections) > 0 && len(d.bundle) == 0 {
		return nil, fmt.Errorf("%w: add a=group:BUNDLE with the mids of all sections", ErrNoBundle)
	}
	var tag, other *section
	for _, mid := range d.bundle {
		l := t.line(mid)
		if tag == nil && l.refusal == "" {
			tag = &l.peer
		}
		if other == nil && l.peer.ice != (ICE{}) {
			other = &l.peer
		}
	}
	if tag == nil {
		for i := range t.lines {
			if l := &t.lines[i]; strings.HasPrefix(l.refusal, noCodec) {
				return nil, l.peer.errorf(ErrNoCodec, "want one of %s", strings.Join(t.cfg.Codecs, ", "))
			} else if !l.peer.off() {
				return nil, l.peer.errorf(ErrNoBundle, "no section can be used, this one because: %s", l.refusal)
			}
		}
		return nil, fmt.Errorf("%w: every section is switched off", ErrNoBundle)
	}
	if tag.ice == (ICE{}) && other != nil { // a bundle-only section may leave its transport lines out
		tag = other
	}
	if tag.kind != application && !tag.rtcpMux {
		return nil, tag.errorf(ErrNoRTCPMux, "add a=rtcp-mux: RTP and RTCP share the port")
	}
	return tag, nil
}

// secure takes over the peer's side of the transport and settles the DTLS role.
func (t *Transport) secure(tag *section, offer bool) error {
	if !tag.ice.valid() {
		return tag.errorf(ErrNoICE, "add a=ice-ufrag of 4 to 256 and a=ice-pwd of 22 to 256 characters")
	}
	if len(tag.prints) == 0 {
		return tag.errorf(ErrNoFingerprint, "add a=fingerprint with sha-256, sha-384 or sha-512")
	}
	if t.prints == nil {
		t.prints = tag.prints
	}
	for _, f := range tag.prints {
		if !slices.ContainsFunc(t.prints, f.equal) {
			return tag.errorf(ErrFingerprintChanged, "DTLS is set up once: open a new session for another certificate")
		}
	}
	role := t.role
	switch {
	case offer && tag.setup == "actpass":
		if role == 0 {
			role = t.prefers()
		}
	case tag.setup == "active":
		role = Passive
	case tag.setup == "passive":
		role = Active
	case offer:
		return tag.errorf(ErrSetup, "a=setup:%.16s: want actpass", tag.setup)
	default:
		return tag.errorf(ErrSetup, "a=setup:%.16s: want active or passive", tag.setup)
	}
	if t.role != 0 && role != t.role {
		return tag.errorf(ErrSetup, "a=setup:%s would turn the DTLS roles round: keep them, or offer actpass", tag.setup)
	}
	t.role = role
	return nil
}

// prefers is the DTLS role where the peer leaves the choice. One who comes from
// elsewhere takes its old path for usable until the first connectivity check here
// has passed: as the client it would send its hello there, and repeat it after
// 50, 100, 200 ms and so on. So the node begins, when the check has come.
func (t *Transport) prefers() DTLSRole {
	if t.moved {
		return Active
	}
	return Passive
}

// show notes what an answer says about a section: the track on it, or nil.
func (l *line) show(e *entry) {
	l.shown, l.active, l.publishing = "", false, false
	switch {
	case l.refusal != "" || l.kind == application:
	case e != nil:
		l.shown, l.active = e.ID, true
	case l.peer.direction.sends():
		l.publishing, l.published = true, true
	}
}

// extend settles the header extensions of a section.
func (l *line) extend(allowMixed bool, taken map[uint8]string) {
	l.extmaps, l.ids = nil, Extensions{}
	if l.refusal != "" || l.kind == application {
		return
	}
	l.extmaps, l.ids = answerExtensions(l.peer.extmaps, l.kind, l.publishing, taken)
	l.ids.Mixed = allowMixed || l.peer.allowMixed
	if l.ids.TransportCC == 0 {
		for i := range l.codecs {
			l.codecs[i].Feedback = slices.DeleteFunc(slices.Clone(l.codecs[i].Feedback), func(fb string) bool { return fb == "transport-cc" })
		}
	}
}

// writeAnswer writes the answer to d, with the BUNDLE group in its order.
func (t *Transport) writeAnswer(d *description) string {
	var bundle []string
	for _, mid := range d.bundle {
		if l := t.line(mid); l != nil && l.refusal == "" {
			bundle = append(bundle, mid)
		}
	}
	sections := make([]written, 0, len(t.lines))
	for i := range t.lines {
		l := &t.lines[i]
		s := written{mid: l.mid, kind: l.kind, proto: l.peer.proto}
		if l.refusal != "" {
			s.refused = l.peer.formats[0]
			sections = append(sections, s)
			continue
		}
		s.setup, s.codecs, s.extmaps, s.rtcpRsize = t.role.String(), l.codecs, l.extmaps, l.peer.rtcpRsize
		switch {
		case l.publishing:
			s.direction, s.codecs, s.rids = recvOnly, l.preferred(), l.rids()
		case l.shown != "":
			s.direction, s.track = sendOnly, &t.on(l.mid).Track
			send := l.send(s.track)
			s.codecs, s.rtx = first(l.codecs, send.Codec.PayloadType), send.RTXSSRC != 0
		}
		sections = append(sections, s)
	}
	return t.describe(sections, bundle, d.allowMixed)
}

// agreement lists what the lines show.
func (t *Transport) agreement(d *description) Agreement {
	a := Agreement{
		Local: t.local, Remote: t.remote, RemoteFingerprints: slices.Clone(t.prints), Role: t.role,
		Placed: make(map[string]drtc.TrackID), Candidates: d.candidates,
	}
	for i := range t.lines {
		l := &t.lines[i]
		if l.refusal != "" {
			if !l.peer.off() {
				a.Rejected = append(a.Rejected, Rejection{Mid: l.mid, Kind: l.kind, Reason: l.refusal})
			}
			continue
		}
		switch {
		case l.kind == application:
			a.Application = &SCTP{Mid: l.mid, Port: l.peer.sctpPort, MaxMessageSize: l.peer.maxMessage}
		case l.publishing || l.published:
			a.Receive = append(a.Receive, t.receive(l))
		}
		if e := t.on(l.mid); e != nil && e.ID == l.shown { // else unbound since the offer
			a.Send = append(a.Send, l.send(&e.Track))
			a.Placed[l.mid] = e.ID
		}
	}
	for _, e := range t.tracks {
		if e.refused != "" {
			a.Refused = append(a.Refused, Refusal{TrackID: e.ID, Reason: e.refused})
		}
	}
	return a
}

func (s *state) receive(l *line) Receive {
	r := Receive{Mid: l.mid, Kind: l.kind, CID: l.peer.cid, StreamID: l.peer.streamID,
		Codecs: l.preferred(), Extensions: l.ids, Active: l.publishing}
	if l.publishing {
		r.RIDs = l.rids()
		r.SSRCs = s.streams(l, r.RIDs)
	}
	return r
}

// rids are the simulcast layers that can be told apart.
func (l *line) rids() []string {
	if l.ids.RID == 0 {
		return nil
	}
	return l.peer.rids()
}

// preferred are the codecs of a section on which the peer publishes: its order,
// but what it wishes first, and RED, when it is enabled at all, before the Opus
// that it protects.
func (l *line) preferred() []Codec {
	preferred := l.wish
	if l.kind == Audio {
		preferred = RED
	}
	rank := func(c Codec) int {
		if strings.EqualFold(c.Mime, preferred) {
			return 0
		}
		return 1
	}
	list := slices.Clone(l.codecs)
	slices.SortStableFunc(list, func(a, b Codec) int { return rank(a) - rank(b) })
	return list
}

func (l *line) send(track *Track) Send {
	codec, _ := choose(l.codecs, track.Codec)
	s := Send{Mid: l.mid, Kind: l.kind, TrackID: track.ID, SSRC: track.SSRC, RTXSSRC: track.RTXSSRC,
		Codec: codec, Extensions: l.ids, Active: l.active}
	s.Extensions.RID, s.Extensions.RepairedRID = 0, 0 // one layer, named by its SSRC
	if s.RTXSSRC == 0 || s.Codec.RTXPayloadType == 0 {
		s.RTXSSRC, s.Codec.RTXPayloadType = 0, 0
	}
	return s
}
