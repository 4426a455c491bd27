package control

import (
	"cmp"
	"slices"
	"strings"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
)

// speaking holds what each core of the node last said of the rooms in which
// somebody speaks: a room's participants may be in several.
type speaking map[drtc.RoomID]map[engine.CoreID][]engine.Speaker

// note takes what one core says and returns all who speak in the room, loudest
// first.
func (s speaking) note(e engine.Speakers) (all []engine.Speaker) {
	cores := s[e.Room]
	if len(e.Speakers) > 0 {
		if cores == nil {
			cores = map[engine.CoreID][]engine.Speaker{}
			s[e.Room] = cores
		}
		cores[e.Core] = e.Speakers
	} else if delete(cores, e.Core); len(cores) == 0 {
		delete(s, e.Room)
	}
	for _, list := range cores {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b engine.Speaker) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.Track, b.Track))
	})
	return all
}

func (s *Service) onSpeakers(v engine.Speakers) {
	s.mu.Lock()
	var owner drtc.NodeID
	var list []engine.Speaker
	known := false
	for e := range s.rooms[v.Room] { // any of them: a room has one owner
		owner, list, known = e.owner, s.speaking.note(v), true
		break
	}
	s.mu.Unlock()
	if !known {
		return
	}
	_, room, _ := strings.Cut(string(v.Room), "/")
	m := &medianodev1.SpeakerLevels{Room: room}
	seen := map[drtc.SessionID]bool{}
	for _, sp := range list { // a session's loudest track speaks for it
		if !seen[sp.Session] {
			seen[sp.Session] = true
			m.Speakers = append(m.Speakers, &medianodev1.SpeakerLevel{Session: string(sp.Session), Level: float32(sp.Level), Active: true})
		}
	}
	s.announce(owner, v.Room, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SpeakerLevels{SpeakerLevels: m}})
}
