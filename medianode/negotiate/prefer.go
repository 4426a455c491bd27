package negotiate

import "slices"

// wish is the codec in which the peer wants to publish a track.
type wish struct{ cid, mime string }

// Prefer notes the MIME type in which the client wants to publish the track with
// the id cid of a=msid. Answers put it first in that track's section, because
// browsers send the first codec of an answer. It is kept as long as a section
// carries that id; one that no section carries in the next Answer is forgotten.
// An unknown type is no wish.
func (t *Transport) Prefer(cid, mime string) {
	if _, ok := specByMime(mime); !ok || cid == "" {
		return
	}
	t.wishes = slices.DeleteFunc(t.wishes, func(w wish) bool { return w.cid == cid })
	if len(t.wishes) < maxTracks {
		t.wishes = append(t.wishes, wish{cid: cid, mime: mime})
	}
}

// grant gives the wishes to the sections on which the peer publishes: by the
// track's id, else the only wish of a kind without a section goes to the only
// section without a wish (some browsers write other ids than they announce).
func (t *Transport) grant() {
	var kept, rest []wish
	var bare []*line
	for i := range t.lines {
		l := &t.lines[i]
		l.wish = ""
		if !l.publishing || l.peer.cid == "" {
			continue
		}
		if j := slices.IndexFunc(t.wishes, func(w wish) bool { return w.cid == l.peer.cid }); j >= 0 {
			l.wish = t.wishes[j].mime
			kept = append(kept, t.wishes[j])
		} else {
			bare = append(bare, l)
		}
	}
	for _, w := range t.wishes {
		if !slices.Contains(kept, w) {
			rest = append(rest, w)
		}
	}
	for _, kind := range []Kind{Audio, Video} {
		lines := slices.DeleteFunc(slices.Clone(bare), func(l *line) bool { return l.kind != kind })
		wishes := slices.DeleteFunc(slices.Clone(rest), func(w wish) bool { return kindOf(w.mime) != kind })
		if len(lines) == 1 && len(wishes) == 1 {
			lines[0].wish = wishes[0].mime
			kept = append(kept, wish{cid: lines[0].peer.cid, mime: wishes[0].mime})
		}
	}
	t.wishes = kept
}

func kindOf(mime string) Kind {
	s, _ := specByMime(mime)
	return s.kind
}
