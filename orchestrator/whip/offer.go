package whip

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// Bounds of an offer. The node checks the rest.
const (
	maxSections = 64
	maxMID      = 32
)

// section is what we must know of a media section.
type section struct {
	kind      string
	off       bool // port 0 without bundle-only
	mid       string
	cid       string // track id of a=msid
	sends     bool
	receives  bool
	simulcast []string
	ufrag     string
}

// offer is what we must know of an SDP offer.
type offer struct{ sections []section }

// readOffer reads untrusted text. The error names the line's fault.
func readOffer(text string) (offer, error) {
	if !strings.HasPrefix(text, "v=0") {
		return offer{}, fmt.Errorf("the body is not SDP: it must begin with v=0")
	}
	var o offer
	at := section{sends: true, receives: true} // of the session
	session := at
	bundleOnly := false
	finish := func() {
		if len(o.sections) > 0 {
			at.off = at.off && !bundleOnly
			o.sections[len(o.sections)-1] = at
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if media, ok := strings.CutPrefix(line, "m="); ok {
			finish()
			if len(o.sections) == maxSections {
				return offer{}, fmt.Errorf("the offer has more than %d media sections", maxSections)
			}
			fields := strings.Fields(media)
			if len(fields) < 4 {
				return offer{}, fmt.Errorf("m=%.40s: want a kind, a port, a transport and formats", media)
			}
			if len(o.sections) == 0 {
				session = at
			}
			at = section{kind: fields[0], off: fields[1] == "0", sends: session.sends, receives: session.receives, ufrag: session.ufrag}
			bundleOnly = false
			o.sections = append(o.sections, at)
			continue
		}
		if line == "a=bundle-only" {
			bundleOnly = true
		}
		at.read(line)
	}
	finish()
	if len(o.sections) == 0 {
		return offer{}, fmt.Errorf("the offer has no media section: add a track or a transceiver first")
	}
	return o, nil
}

// read takes an attribute.
func (s *section) read(line string) {
	key, value, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":")
	switch key {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		s.sends = key == "sendrecv" || key == "sendonly"
		s.receives = key == "sendrecv" || key == "recvonly"
	case "mid":
		s.mid = value[:min(len(value), maxMID+1)]
	case "ice-ufrag":
		s.ufrag = value
	case "msid":
		if _, track, _ := strings.Cut(value, " "); s.cid == "" && len(value) <= 256 {
			s.cid = strings.TrimSpace(track)
		}
	case "simulcast":
		fields := strings.Fields(value)
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] != "send" || s.simulcast != nil {
				continue
			}
			for stream := range strings.SplitSeq(fields[i+1], ";") {
				rid, _, _ := strings.Cut(stream, ",")
				if len(s.simulcast) < maxLayers {
					s.simulcast = append(s.simulcast, strings.TrimPrefix(rid, "~"))
				}
			}
		}
	}
}

// maxLayers is how many simulcast layers of a track are announced.
const maxLayers = 3

// ufrag is the user name of the offer's ICE session.
func (o offer) ufrag() string {
	for _, s := range o.sections {
		if s.ufrag != "" && !s.off {
			return s.ufrag
		}
	}
	return ""
}

func (o offer) mids() []string {
	var mids []string
	for _, s := range o.sections {
		mids = append(mids, s.mid)
	}
	return mids
}

// media says whether a section can carry a track.
func (s section) media() bool { return !s.off && (s.kind == "audio" || s.kind == "video") }

// sources are what the first and the second section of a kind publish.
func sources(kind string) []room.Source {
	if kind == "video" {
		return []room.Source{room.Camera, room.ScreenShare}
	}
	return []room.Source{room.Microphone, room.ScreenShareAudio}
}

// tracks lists what the offer publishes, without ids.
func (o offer) tracks() ([]room.Track, error) {
	var tracks []room.Track
	count := map[string]int{}
	seen := map[string]bool{}
	for i, s := range o.sections {
		switch {
		case !s.media():
			continue
		case !s.sends && s.receives:
			return nil, refuse(http.StatusBadRequest, "section %d (%s) only receives: a WHIP offer must be sendonly, use /whep to play", i, s.kind)
		case !s.sends:
			continue
		}
		of := sources(s.kind)
		if count[s.kind] == len(of) {
			return nil, refuse(http.StatusUnprocessableEntity, "the offer publishes more than %d %s tracks: open another session for the rest", len(of), s.kind)
		}
		t := room.Track{Kind: room.Audio, Source: of[count[s.kind]], CID: s.cid}
		if s.kind == "video" {
			t.Kind = room.Video
		}
		if t.CID == "" || seen[s.kind+t.CID] {
			t.CID = "section " + s.mid
		}
		seen[s.kind+t.CID] = true
		count[s.kind]++
		if len(s.simulcast) > 1 && t.Kind == room.Video {
			for q, rid := range s.simulcast {
				t.Layers = append(t.Layers, room.Layer{Quality: uint8(q), RID: rid}) //nolint:gosec // 0 to 2
			}
		}
		tracks = append(tracks, t)
	}
	if len(tracks) == 0 {
		return nil, refuse(http.StatusBadRequest, "the offer publishes nothing: add an audio or a video track (a=sendonly)")
	}
	return tracks, nil
}

// watch counts the sections in which the offer wants to receive.
func (o offer) watch() (audio, video int, err error) {
	for i, s := range o.sections {
		switch {
		case !s.media():
		case s.sends && !s.receives:
			return 0, 0, refuse(http.StatusBadRequest, "section %d (%s) only sends: a WHEP offer must be recvonly, use /whip to publish", i, s.kind)
		case !s.receives:
		case s.kind == "audio":
			audio++
		default:
			video++
		}
	}
	if audio+video == 0 {
		return 0, 0, refuse(http.StatusBadRequest, "the offer receives nothing: add an audio or a video transceiver (a=recvonly)")
	}
	return audio, video, nil
}
