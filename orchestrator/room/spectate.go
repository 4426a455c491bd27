package room

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/drtc-network/drtc"
)

// maxSeats bounds the seats of each kind that one spectator gets.
const maxSeats = 4

// focusHold is how long somebody must be louder than the active speaker, who
// goes on speaking, to take the place.
const focusHold = time.Second

// spectator is the watching side of a member that watches.
type spectator struct {
	Watch
	seats []seat
}

// seat is a section of a spectator, whose source changes.
type seat struct {
	Seat
	nth int // of its kind

	asked   drtc.TrackID // what the node was told to show
	mime    string       // of asked
	shows   drtc.TrackID // what the node has confirmed
	refused drtc.TrackID // what the node can't show here
}

func newSpectator(w Watch) *spectator {
	s := &spectator{Watch: w}
	for nth := range maxSeats {
		stream := "main"
		if nth > 0 {
			stream = "screen"
		}
		if nth > 1 {
			stream += "-" + strconv.Itoa(nth)
		}
		if nth < w.Audio {
			s.seats = append(s.seats, seat{Seat: Seat{ID: drtc.TrackID("audio-" + strconv.Itoa(nth)), Kind: Audio, Stream: stream}, nth: nth})
		}
		if nth < w.Video {
			s.seats = append(s.seats, seat{Seat: Seat{ID: drtc.TrackID("video-" + strconv.Itoa(nth)), Kind: Video, Stream: stream}, nth: nth})
		}
	}
	return s
}

// lapse forgets that seats show a track.
func (s *spectator) lapse(id drtc.TrackID) {
	for i := range s.seats {
		if st := &s.seats[i]; st.asked == id {
			st.asked, st.shows = "", ""
		}
	}
}

func (s *spectator) offered() []Seat {
	if s == nil {
		return nil
	}
	var all []Seat
	for _, st := range s.seats {
		all = append(all, st.Seat)
	}
	return all
}

// spectators counts those who watch.
func (r *Room) spectators() int {
	n := 0
	for _, m := range r.state.Members {
		if m.watch != nil {
			n++
		}
	}
	return n
}

// castAll makes every spectator's seats show what they should.
func (r *Room) castAll() {
	for _, v := range r.state.Members {
		if v.watch != nil {
			r.cast(v)
		}
	}
}

// cast tells v's node which seats show something else now.
func (r *Room) cast(v *member) {
	if v.phase != present || !v.Answered {
		return
	}
	tracks := map[Kind][]*publication{Audio: r.castOf(v, Audio), Video: r.castOf(v, Video)}
	var changes []Showing
	for i := range v.watch.seats {
		st := &v.watch.seats[i]
		var want drtc.TrackID
		mime := ""
		if list := tracks[st.Kind]; st.nth < len(list) {
			want, mime = list[st.nth].ID, list[st.nth].MIME
		}
		if want == st.asked && mime == st.mime || want == st.refused && want != "" && mime == st.mime {
			continue
		}
		_, old := r.track(st.asked)
		st.asked, st.mime, st.refused = want, mime, ""
		if want == "" && old == nil { // ended, which the node knows
			st.shows = ""
			continue
		}
		changes = append(changes, Showing{Seat: st.ID, Track: want})
	}
	if len(changes) > 0 {
		r.toNode(v, SetSources{Seats: changes})
	}
}

// castOf lists what v's seats of a kind show, in order: the camera or the
// microphone of the one it watches first, then what screens are shared.
func (r *Room) castOf(v *member, kind Kind) []*publication {
	var list []*publication
	if v.watch.Identity != "" {
		if m := r.byIdentity(v.watch.Identity); m != nil {
			list = r.visible(v, m, kind)
		}
	} else {
		for _, m := range r.byFocus() {
			if of := r.visible(v, m, kind); len(of) > 0 && of[0].rank() < screenRank {
				list = append(list, of[0])
				break
			}
		}
		for _, m := range r.state.Members {
			for _, t := range r.visible(v, m, kind) {
				if t.rank() == screenRank {
					list = append(list, t)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *publication) int { return cmp.Compare(a.rank(), b.rank()) })
	return list
}

// screenRank is the rank of what is shared from a screen.
const screenRank = 2

// rank orders the tracks of one participant by what a spectator wants first.
func (t *publication) rank() int {
	switch t.Source {
	case Camera, Microphone:
		return 0
	case ScreenShare, ScreenShareAudio:
		return screenRank
	}
	return 1
}

// visible lists m's live tracks of a kind that v may see.
func (r *Room) visible(v, m *member, kind Kind) []*publication {
	if m.phase != present || m.Permission.Hidden {
		return nil
	}
	var list []*publication
	for _, t := range m.Tracks {
		if t.Kind == kind && r.has(v, m, t) && m.allows(v, t) {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *publication) int { return cmp.Compare(a.rank(), b.rank()) })
	return list
}

func (r *Room) byIdentity(id drtc.Identity) *member {
	for _, m := range r.state.Members {
		if m.Identity == id && m.watch == nil && m.phase == present {
			return m
		}
	}
	return nil
}

// byFocus lists the participants in the order in which they were the active
// speaker, the present one first; then those who never were.
func (r *Room) byFocus() []*member {
	var list []*member
	for _, id := range r.focus {
		if m := r.byID(id); m != nil {
			list = append(list, m)
		}
	}
	for _, m := range r.state.Members {
		if m.watch == nil && !slices.Contains(r.focus, m.ID) {
			list = append(list, m)
		}
	}
	return list
}

// refocus decides who is the active speaker: the loudest, but not at once when
// the one before goes on speaking, so that two who talk at the same time do not
// alternate. When nobody speaks the last one stays.
func (r *Room) refocus() {
	speaking := r.speaking()
	if len(speaking) == 0 {
		r.rivalAt = time.Time{}
		return
	}
	loudest := speaking[0].Participant
	if len(r.focus) > 0 && r.focus[0] == loudest {
		r.rivalAt = time.Time{}
		return
	}
	_, goesOn := r.speakers[first(r.focus)]
	if r.rival != loudest || r.rivalAt.IsZero() {
		r.rival, r.rivalAt = loudest, r.now.Add(focusHold)
	}
	if goesOn && r.now.Before(r.rivalAt) {
		return
	}
	r.rivalAt = time.Time{}
	r.unfocus(loudest)
	r.focus = append([]drtc.ParticipantID{loudest}, r.focus...)
	r.castAll()
}

func first(ids []drtc.ParticipantID) drtc.ParticipantID {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// unfocus forgets when somebody spoke.
func (r *Room) unfocus(id drtc.ParticipantID) {
	r.focus = slices.DeleteFunc(r.focus, func(o drtc.ParticipantID) bool { return o == id })
}

// sourcesSet takes the node's word on seats.
func (r *Room) sourcesSet(v *member, c SourcesSet) {
	if v.watch == nil {
		return
	}
	for _, source := range c.Seats {
		i := slices.IndexFunc(v.watch.seats, func(st seat) bool { return st.ID == source.Seat })
		if i < 0 {
			continue
		}
		st := &v.watch.seats[i]
		_, refused := c.Refused[source.Seat]
		switch {
		case c.Err != "":
			if st.asked == source.Track {
				st.asked, st.mime = st.shows, ""
			}
			v.retryAt = r.now.Add(retryDelay)
		case refused:
			if st.asked == source.Track {
				st.asked, st.refused = st.shows, source.Track
			}
		default:
			st.shows = source.Track
		}
	}
}
