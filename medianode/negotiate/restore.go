package negotiate

import (
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
)

// Source is an RTP stream that the peer sends on a section: known from before,
// where neither its description nor its packets tell it any more. Browsers stop
// naming section and layer in packets once a receiver has reported on a stream.
type Source struct {
	Mid  string
	RID  string // simulcast layer; empty when there is one stream on the section
	SSRC uint32
	RTX  uint32 // 0 when unknown
}

// maxRestored bounds the sources of Restore.
const maxRestored = 64

// Restore tells an answering transport, before its first answer, what the peer
// sends since its life elsewhere. Agreements list these streams in
// Receive.SSRCs as long as the section has no others. Where the offer leaves the
// choice, the node is then the DTLS client. Errors wrap ErrPlace and change
// nothing.
func (t *Transport) Restore(sources []Source) error {
	bad := func(i int, format string, args ...any) error {
		return fmt.Errorf("negotiate: restore: %w: sources[%d]: %s", ErrPlace, i, fmt.Sprintf(format, args...))
	}
	switch {
	case t.cfg.Role != Answerer || t.negotiated:
		return fmt.Errorf("negotiate: restore: %w: only before the first answer", ErrPlace)
	case len(sources) > maxRestored:
		return fmt.Errorf("negotiate: restore: %w: %d sources, at most %d", ErrPlace, len(sources), maxRestored)
	}
	seen := make(map[uint32]bool)
	for i, s := range sources {
		switch {
		case !isToken(s.Mid, 32):
			return bad(i, "Mid: want 1 to 32 token characters")
		case s.RID != "" && !isRID(s.RID):
			return bad(i, "RID: want 1 to 16 letters, digits, - or _")
		case s.SSRC == 0 || seen[s.SSRC] || s.RTX != 0 && (seen[s.RTX] || s.RTX == s.SSRC):
			return bad(i, "SSRC and RTX: want numbers that no other stream has, SSRC not 0")
		}
		seen[s.SSRC] = true
		if s.RTX != 0 {
			seen[s.RTX] = true
		}
	}
	t.moved, t.restored = true, slices.Clone(sources)
	return nil
}

// Place promises a track on a mid before the first answer: when a session moves
// here from another node, the client's sections keep their tracks. The answer
// shows it there as if it were here. Bind with the same streams takes the
// promise up; the second negotiation drops a track of which that has not
// happened, and the first one drops a track whose section the client does not
// offer to receive on. Errors wrap ErrPlace or ErrTrack.
func (t *Transport) Place(mid string, track Track) error {
	switch {
	case t.cfg.Role != Answerer || t.negotiated:
		return fmt.Errorf("negotiate: place %.64q: %w: only before the first answer", track.ID, ErrPlace)
	case !isToken(mid, 32) || t.on(mid) != nil:
		return fmt.Errorf("negotiate: place %.64q: %w: mid %.32q is malformed or taken", track.ID, ErrPlace, mid)
	}
	if err := t.checkTrack(track); err != nil {
		return fmt.Errorf("negotiate: place %.64q: %w", track.ID, err)
	}
	t.tracks = append(t.tracks, entry{Track: track, mid: mid, promised: true})
	return nil
}

// Promised reports whether a track has a section by Place alone.
func (t *Transport) Promised(id drtc.TrackID) bool {
	e := t.track(id)
	return e != nil && e.promised
}

// redeem takes a promise up for a track with the same streams. A section can't
// be given another codec than it has: without one in common the track waits.
func (t *Transport) redeem(e *entry, track Track) {
	e.promised = false
	if track.Codec.Mime == "" {
		return
	}
	e.Codec = track.Codec
	if l := t.line(e.mid); l != nil && t.negotiated && !l.fits(&e.Track) {
		e.mid = ""
		t.assign(e)
	}
}

// forsake drops the promises that nobody has taken up, or those alone that have
// no section.
func (s *state) forsake(all bool) {
	s.tracks = slices.DeleteFunc(s.tracks, func(e entry) bool { return e.promised && (all || e.mid == "") })
}

// streams are what the peer sends on a section: as it told, else as is known
// from before. With layers, the streams are in their order.
func (s *state) streams(l *line, rids []string) []SourceGroup {
	told := l.peer.sources()
	if len(rids) == 0 {
		for _, r := range s.restored {
			if r.Mid != l.mid || r.RID != "" {
				continue
			}
			i := slices.IndexFunc(told, func(g SourceGroup) bool { return g.SSRC == r.SSRC })
			switch {
			case i < 0:
				told = append(told, SourceGroup{SSRC: r.SSRC, RTX: r.RTX})
			case told[i].RTX == 0:
				told[i].RTX = r.RTX
			}
		}
		return told
	}
	if len(told) > 0 {
		return told
	}
	known := make([]SourceGroup, len(rids))
	found := false
	for i, rid := range rids {
		for _, r := range s.restored {
			if r.Mid == l.mid && r.RID == rid {
				known[i], found = SourceGroup{SSRC: r.SSRC, RTX: r.RTX}, true
			}
		}
	}
	if !found {
		return nil
	}
	return known
}
