package negotiate

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/drtc-network/drtc"
)

// maxTracks bounds the tracks of a transport, placed and waiting.
const maxTracks = 512

// Bind asks for a section for a track; the track appears in the next
// negotiation. An answering transport takes a section on which the client
// offered to receive, or keeps the track waiting; an offering one opens a
// section where none is free. Bind of a track that is bound already reports
// where it is, and takes up the promise of one that was placed. Errors wrap
// ErrTrack.
func (t *Transport) Bind(track Track) (Binding, error) {
	if e := t.track(track.ID); e != nil {
		if e.Kind != track.Kind || e.SSRC != track.SSRC || e.RTXSSRC != track.RTXSSRC {
			return Binding{}, fmt.Errorf("negotiate: bind %s: %w: bound with other streams, unbind it first", track.ID, ErrTrack)
		}
		if e.promised {
			t.redeem(e, track)
		}
		return e.binding(), nil
	}
	if err := t.checkTrack(track); err != nil {
		return Binding{}, fmt.Errorf("negotiate: bind %.64q: %w", track.ID, err)
	}
	t.tracks = append(t.tracks, entry{Track: track})
	e := &t.tracks[len(t.tracks)-1]
	if t.cfg.Role == Offerer {
		t.open(e)
	} else {
		t.assign(e)
	}
	return e.binding(), nil
}

// Format finds the format in which media of a codec goes out on the section of
// a bound track, false when the section has no such format. It is for tracks
// that were bound without a codec.
func (t *Transport) Format(id drtc.TrackID, media Codec) (Codec, bool) {
	e := t.track(id)
	if e == nil {
		return Codec{}, false
	}
	l := t.line(e.mid)
	if e.mid == "" || l == nil || l.shown != id {
		return Codec{}, false
	}
	out, ok := choose(l.codecs, media)
	if e.RTXSSRC == 0 {
		out.RTXPayloadType = 0
	}
	return out, ok
}

// Unbind forgets a track. Its section goes inactive in the next negotiation
// and is free after it. It reports whether the track was known.
func (t *Transport) Unbind(id drtc.TrackID) bool {
	i := slices.IndexFunc(t.tracks, func(e entry) bool { return e.ID == id })
	if i < 0 {
		return false
	}
	t.tracks = slices.Delete(t.tracks, i, i+1)
	return true
}

// Free is the number of sections of a kind that a new track can take at once.
func (t *Transport) Free(kind Kind) int {
	n := 0
	for i := range t.lines {
		l := &t.lines[i]
		if l.kind == kind && l.refusal == "" && l.shown == "" && t.on(l.mid) == nil && (t.cfg.Role == Offerer || l.willing()) {
			n++
		}
	}
	return n
}

// Pending counts the tracks that wait for sections which the client has not
// offered, by kind. Refused tracks do not wait.
func (t *Transport) Pending() map[Kind]int {
	n := make(map[Kind]int)
	for _, e := range t.tracks {
		if e.mid == "" && e.refused == "" {
			n[e.Kind]++
		}
	}
	return n
}

// Stale reports whether the bindings differ from what the peer was last told,
// so that a negotiation is due: the node offers, or asks the client to. While
// an offer is open it compares with the negotiation before.
func (t *Transport) Stale() bool {
	for i := range t.lines {
		var id drtc.TrackID
		if e := t.on(t.lines[i].mid); e != nil {
			id = e.ID
		}
		if id != t.lines[i].shown {
			return true
		}
	}
	return t.restart || t.cfg.Role == Offerer && !t.negotiated
}

func (t *Transport) checkTrack(track Track) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrTrack, fmt.Sprintf(format, args...))
	}
	spec, ok := specByMime(track.Codec.Mime)
	switch {
	case len(t.tracks) >= maxTracks:
		return bad("more than %d tracks", maxTracks)
	case !isName(string(track.ID)) || !isName(track.Stream):
		return bad("ID and Stream: want 1 to 64 printable characters without space")
	case track.Codec.Mime != "" && (!ok || spec.kind != track.Kind):
		return bad("Codec.Mime: no %s codec %.32q", track.Kind, track.Codec.Mime)
	case track.SSRC == 0 || track.SSRC == track.RTXSSRC:
		return bad("SSRC: want two different numbers, SSRC not 0")
	}
	for _, e := range t.tracks {
		if e.ID == track.ID {
			return bad("ID: placed already")
		}
		for _, v := range []uint32{track.SSRC, track.RTXSSRC} {
			if v != 0 && (v == e.SSRC || v == e.RTXSSRC) {
				return bad("SSRC %d is in use by track %s", v, e.ID)
			}
		}
	}
	return nil
}

// isName reports whether s may stand in a=msid.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (e *entry) binding() Binding {
	return Binding{Mid: e.mid, NeedsSection: e.mid == "" && e.refused == "", Refused: e.refused}
}

// willing reports whether the client offered to receive on the section and
// does not use it for media of its own.
func (l *line) willing() bool { return l.peer.direction.receives() && !l.peer.publishes() }

// fits reports whether a track may be on the section.
func (l *line) fits(track *Track) bool {
	if l.kind != track.Kind || l.refusal != "" || !l.willing() {
		return false
	}
	_, ok := choose(l.codecs, track.Codec)
	return ok
}

// assign gives a waiting track a free section of an answering transport, or
// notes why none will do.
func (s *state) assign(e *entry) {
	seen, suits := false, false
	for i := range s.lines {
		l := &s.lines[i]
		if l.kind != e.Kind || l.peer.off() || !l.willing() {
			continue
		}
		seen = true
		if !l.fits(&e.Track) {
			continue
		}
		suits = true
		if s.on(l.mid) == nil && (l.shown == "" || l.shown == e.ID) {
			e.mid, e.refused = l.mid, ""
			return
		}
	}
	e.mid, e.refused = "", ""
	if seen && !suits {
		e.refused = "the client's " + string(e.Kind) + " sections offer no codec " + e.Codec.describe()
	}
}

// open gives a track a section of an offering transport: a free one, or a new
// one at the end.
func (t *Transport) open(e *entry) {
	if _, ok := choose(offeredCodecs(e.Kind, t.cfg.Codecs), e.Codec); !ok {
		e.refused = "the node does not offer the codec " + e.Codec.describe()
		return
	}
	for i := range t.lines {
		l := &t.lines[i]
		if l.kind == e.Kind && l.refusal == "" && t.on(l.mid) == nil && (l.shown == "" || l.shown == e.ID) {
			e.mid = l.mid
			return
		}
	}
	if len(t.lines) >= MaxSections {
		e.refused = "the transport has " + strconv.Itoa(MaxSections) + " sections, all in use"
		return
	}
	e.mid = strconv.Itoa(len(t.lines))
	t.lines = append(t.lines, line{mid: e.mid, kind: e.Kind})
}

// displace takes tracks off the sections that do not suit them any more.
func (s *state) displace() {
	for i := range s.tracks {
		e := &s.tracks[i]
		if l := s.line(e.mid); e.mid != "" && (l == nil || !l.fits(&e.Track)) {
			e.mid = ""
		}
	}
}

// place gives the tracks that wait what is free, first come first served.
func (s *state) place() {
	for i := range s.tracks {
		if e := &s.tracks[i]; e.mid == "" {
			s.assign(e)
		}
	}
}
