package room

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

func (r *Room) addTrack(m *member, c AddTrack) {
	fail := func(f Failure, text string) {
		r.toClient(m, RequestDone{Failure: f, Text: text, Of: c})
	}
	if text := r.barred(m, c.Track); text != "" {
		fail(FailureNotAllowed, text)
		return
	}
	for _, t := range m.Tracks {
		if t.CID == c.Track.CID && !t.Matched {
			r.toClient(m, TrackPublished{CID: t.CID, Track: t.view()}) // asked again
			return
		}
	}
	if len(m.Tracks) >= r.config.MaxTracks {
		fail(FailureLimit, "too many tracks")
		return
	}
	t := &publication{Track: c.Track}
	t.Layers = slices.Clone(c.Track.Layers)
	if t.Stream == "" {
		t.Stream = streamOf(t.Source, t.ID)
	}
	m.Tracks = append(m.Tracks, t)
	r.changed = true
	if len(m.Tracks) == 1 {
		r.needPlan() // its node is an origin now
	}
	r.toClient(m, TrackPublished{CID: t.CID, Track: t.view()})
}

// streamOf groups tracks that must stay in step.
func streamOf(s Source, id drtc.TrackID) string {
	switch s {
	case Camera, Microphone:
		return "camera"
	case ScreenShare, ScreenShareAudio:
		return "screen"
	}
	return string(id)
}

// matchSections notes which tracks the client's sections carry.
func (r *Room) matchSections(m *member, published []Section) {
	for _, s := range published {
		t := m.track(s.Track)
		if t == nil {
			continue
		}
		if !t.Matched || t.MID != s.MID {
			r.changed = true
		}
		if !t.Matched && t.Muted != t.offeredAs {
			r.toNode(m, MuteTrack{Track: t.ID, Muted: t.Muted})
		}
		t.Matched, t.MID, t.As = true, s.MID, s.CID
		if t.MIME == "" || !t.Live {
			t.MIME = s.MIME
		}
	}
}

// announceMuted announces tracks that are published muted: there may be no media
// of theirs to wait for.
func (r *Room) announceMuted(m *member, published []Section) {
	news := false
	for _, s := range published {
		if t := m.track(s.Track); t != nil && t.Muted && !t.Announced {
			t.Announced, news = true, true
			r.notifyPublished(m, t)
		}
	}
	if news {
		r.announce(m)
	}
}

// trackLive announces a track when its media has arrived, and hands it to those
// who may see it.
func (r *Room) trackLive(m *member, c TrackLive) {
	t := m.track(c.Track)
	if t == nil {
		return
	}
	news := !t.Announced || t.MIME != c.MIME || t.MID != c.MID
	first := !t.Announced
	t.Matched, t.Live, t.Announced = true, true, true
	if t.Away {
		t.Away = false
		r.lapse(m.Node, t.ID)
	}
	t.MIME, t.MID = c.MIME, c.MID
	t.Whole = len(t.Layers) > 1 && len(c.Layers) == 1 && c.Layers[0].RID == ""
	for _, l := range c.Layers {
		t.Streams = slices.DeleteFunc(t.Streams, func(o Layer) bool { return o.RID == l.RID })
		t.Streams = append(t.Streams, l)
		for i := range t.Layers {
			if t.Layers[i].RID == l.RID || len(t.Layers) == 1 {
				t.Layers[i].SSRC, t.Layers[i].Repair = l.SSRC, l.Repair
			}
		}
	}
	r.changed = true
	if news {
		t.Version++
		r.announce(m)
	}
	if first {
		r.notifyPublished(m, t)
	}
	for _, v := range r.state.Members {
		if s := v.Subscriptions[t.ID]; s != nil {
			s.refused = false
		}
		r.reconcile(v, t.ID)
	}
}

// trackEnded forgets a track.
func (r *Room) trackEnded(m *member, c TrackEnded) {
	t := m.track(c.Track)
	if t == nil {
		return
	}
	r.notifyUnpublished(m, t)
	m.Tracks = slices.DeleteFunc(m.Tracks, func(o *publication) bool { return o == t })
	for _, v := range r.state.Members {
		r.forgo(v, m, t)
	}
	r.castAll()
	r.changed = true
	if len(m.Tracks) == 0 {
		r.needPlan()
	}
	if t.Announced {
		r.announce(m)
	}
	r.toClient(m, TrackUnpublished{Track: t.ID})
}

func (r *Room) mute(m *member, c Mute) {
	t := m.track(c.Track)
	if t == nil || t.Muted == c.Muted {
		return
	}
	t.Muted = c.Muted
	t.Version++
	r.changed = true
	if t.Matched {
		r.toNode(m, MuteTrack{Track: t.ID, Muted: c.Muted})
	}
	if t.Announced {
		r.announce(m)
	}
}

func (r *Room) setFeatures(m *member, c SetFeatures) {
	t := m.track(c.Track)
	if t == nil {
		return
	}
	if t.Kind == Audio {
		t.AudioFeatures = slices.Clone(c.AudioFeatures)
	} else if c.Width > 0 && c.Height > 0 {
		t.Width, t.Height = c.Width, c.Height
	}
	t.Version++
	r.changed = true
	if t.Announced {
		r.announce(m)
	}
}

// layerDemand tells the publisher which qualities anybody wants.
func (r *Room) layerDemand(m *member, c LayerDemand) {
	t := m.track(c.Track)
	if t == nil || t.Kind != Video {
		return
	}
	var want [3]bool
	for _, index := range c.Layers {
		switch {
		case len(t.Layers) <= 1 || t.Whole:
			want = [3]bool{true, true, true} // one stream, whatever it is called
		case int(index) < len(t.Layers):
			want[min(int(t.Layers[index].Quality), 2)] = true
		default:
			want[2] = true
		}
	}
	r.tellDemand(m, t, want)
}

// tellDemand tells m which qualities of t are wanted. Soon after a move only
// more of them: the viewers come back one by one.
func (r *Room) tellDemand(m *member, t *publication, want [3]bool) {
	t.later = nil
	if t.demandSent && (m.move != nil || !m.settleAt.IsZero()) {
		later := want
		t.later = &later
		for i := range want {
			want[i] = want[i] || t.demand[i]
		}
	}
	if t.demandSent && t.demand == want {
		return
	}
	t.demandSent, t.demand = true, want
	r.toClient(m, Qualities{Track: t.ID, MIME: t.MIME, Enabled: want})
}

// settle tells m what has not been told since it moved.
func (r *Room) settle(m *member) {
	m.settleAt = time.Time{}
	for _, t := range m.Tracks {
		if t.later != nil {
			r.tellDemand(m, t, *t.later)
		}
	}
}

// subscriptionActive tells the publisher that somebody receives its track.
func (r *Room) subscriptionActive(_ *member, c SubscriptionActive) {
	publisher, t := r.track(c.Track)
	if t == nil || t.Heard {
		return
	}
	t.Heard = true
	r.changed = true
	r.toClient(publisher, TrackSubscribed{Track: t.ID})
}
