package room

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// retryDelay is the time after which a subscription that a node did not take is
// asked for again.
const retryDelay = time.Second

func (r *Room) subscribe(m *member, c Subscribe) {
	on := c.On
	for _, id := range c.Tracks {
		if publisher, t := r.track(id); t == nil || publisher == m || publisher.Permission.Hidden {
			continue
		}
		s := m.subscription(id)
		s.Wish, s.refused = &on, false
	}
	r.changed = true
	r.reconcile(m, c.Tracks...)
}

func (r *Room) setTrack(m *member, c SetTrack) {
	var on []drtc.TrackID
	for _, id := range c.Tracks {
		if publisher, t := r.track(id); t == nil || publisher == m || publisher.Permission.Hidden {
			continue
		}
		s := m.subscription(id)
		settings := c.Settings
		s.Settings = &settings
		r.changed = true
		if s.On {
			on = append(on, id)
		}
	}
	if len(on) > 0 {
		r.toNode(m, ChangeSettings{Tracks: on, Settings: c.Settings})
	}
}

func (r *Room) setPermission(m *member, c SetPermission) {
	m.Closed = !c.All
	m.Grants = slices.DeleteFunc(slices.Clone(c.Grants), func(g Grant) bool {
		return g.Participant != "" && r.byID(g.Participant) == nil // of somebody who has left
	})
	r.changed = true
	for _, v := range r.state.Members {
		for _, t := range m.Tracks {
			r.reconcile(v, t.ID)
		}
	}
}

func (m *member) subscription(id drtc.TrackID) *subscription {
	s := m.Subscriptions[id]
	if s == nil {
		s = &subscription{}
		m.Subscriptions[id] = s
	}
	return s
}

func sortedSubscriptions(m *member) iter.Seq2[drtc.TrackID, *subscription] {
	return func(yield func(drtc.TrackID, *subscription) bool) {
		for _, id := range slices.Sorted(maps.Keys(m.Subscriptions)) {
			if !yield(id, m.Subscriptions[id]) {
				return
			}
		}
	}
}

// allows reports whether publisher lets v see t.
func (publisher *member) allows(v *member, t *publication) bool {
	if !publisher.Closed {
		return true
	}
	for _, g := range publisher.Grants {
		if g.Participant != v.ID && (g.Identity == "" || g.Identity != v.Identity) {
			continue
		}
		if g.All || slices.Contains(g.Tracks, t.ID) {
			return true
		}
	}
	return false
}

// reconcile makes what v's node forwards to it agree with what v wants and may
// see: of the given tracks, or of all in the room.
func (r *Room) reconcile(v *member, only ...drtc.TrackID) {
	if v.watch != nil {
		r.cast(v)
		return
	}
	if v.phase != present || !v.Permission.Subscribe || !v.usable() {
		return
	}
	var start []Subscription
	var stop []drtc.TrackID
	for _, publisher := range r.state.Members {
		if publisher == v || publisher.phase != present || publisher.Permission.Hidden {
			continue
		}
		for _, t := range publisher.Tracks {
			if !t.Announced || (len(only) > 0 && !slices.Contains(only, t.ID)) {
				continue
			}
			s := v.subscription(t.ID)
			if v.calm() && s.Told == 0 {
				continue // it does not know the track yet
			}
			r.tellPermission(v, publisher, t)
			entitled := r.entitled(v, publisher, t, s)
			switch {
			case entitled && (!s.On || s.lapsed) && (r.has(v, publisher, t) || s.On && v.doubtful) && !v.calm():
				s.On, s.lapsed = true, false
				start = append(start, Subscription{Track: t.ID, Stream: streamFor(v, publisher, t), Settings: s.Settings})
			case !entitled && s.On:
				s.On, s.lapsed = false, false
				stop = append(stop, t.ID)
			}
		}
	}
	if v.doubtful && len(only) == 0 {
		v.doubtful = false
		for _, mid := range sortedMIDs(v.MIDs) {
			if _, t := r.track(v.MIDs[mid]); t == nil {
				stop = append(stop, v.MIDs[mid])
			}
		}
	}
	if len(stop) > 0 {
		r.changed = true
		r.toNode(v, UnsubscribeTracks{Tracks: stop})
	}
	if len(start) > 0 {
		r.changed = true
		r.toNode(v, SubscribeTracks{Subscriptions: start})
	}
}

// entitled reports whether v wants t and may have it, wherever t is.
func (r *Room) entitled(v, publisher *member, t *publication, s *subscription) bool {
	wanted := v.AutoSubscribe
	if s.Wish != nil {
		wanted = *s.Wish
	}
	return wanted && s.Told > 0 && !s.refused && publisher.allows(v, t) && v.Permission.Subscribe && !publisher.Permission.Hidden
}

// forgo ends what v has of tracks of a publisher that are gone for good. A node
// ends the subscriptions to its own clients' tracks by itself; those of others,
// and those that it has promised to one who moved there, might come for all that
// it knows.
func (r *Room) forgo(v, publisher *member, tracks ...*publication) {
	var stop []drtc.TrackID
	for _, t := range tracks {
		if s := v.Subscriptions[t.ID]; s != nil && s.On && (s.lapsed || t.Away || v.Node != publisher.Node || v.Moves > 0) {
			stop = append(stop, t.ID)
		}
		delete(v.Subscriptions, t.ID)
	}
	if len(stop) > 0 && v != publisher {
		r.toNode(v, UnsubscribeTracks{Tracks: stop})
	}
}

// tellPermission tells v whether it may see t when that is news.
func (r *Room) tellPermission(v, publisher *member, t *publication) {
	s := v.subscription(t.ID)
	told := int8(-1)
	if publisher.allows(v, t) {
		told = 1
	}
	if s.Told == told {
		return
	}
	s.Told = told
	r.toClient(v, MaySubscribe{Publisher: publisher.ID, Track: t.ID, Allowed: told > 0})
}

// streamFor is the media stream id under which v sees t: the client finds the
// publisher in the part before the bar.
func streamFor(v, publisher *member, t *publication) string {
	stream := t.Stream
	if v.Client.StreamPerTrack {
		stream = string(t.ID)
	}
	return string(publisher.ID) + "|" + stream
}

func (r *Room) subscribed(m *member, c Subscribed) {
	if c.Err != "" {
		for _, id := range c.Tracks {
			if s := m.Subscriptions[id]; s != nil && s.On {
				s.lapsed = true
			}
		}
		m.retryAt = r.now.Add(retryDelay)
		return
	}
	certain := map[drtc.TrackID]string{}
	for _, id := range c.Tracks {
		reason, refused := c.Refused[id]
		s := m.Subscriptions[id]
		switch {
		case s == nil:
		case !refused:
			s.doubted = false
		case !r.doubt(m, id, s):
			certain[id] = reason
		}
	}
	r.refusedTracks(m, certain)
	if c.Negotiate || c.MissingAudio > 0 || c.MissingVideo > 0 {
		r.needSections(m, c.MissingAudio, c.MissingVideo)
	}
}

// refusedTracks tells m which tracks its node can't give it.
func (r *Room) refusedTracks(m *member, refused map[drtc.TrackID]string) {
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		s := m.Subscriptions[id]
		if s == nil || !s.On {
			continue
		}
		s.On, s.refused = false, true
		r.changed = true
		r.toClient(m, SubscriptionFailed{Track: id, Reason: refused[id]})
	}
}

// doubt reports whether a refusal need not be told: the track is not on m's node
// now, or may have gone just then, of which the news are on the way.
func (r *Room) doubt(m *member, id drtc.TrackID, s *subscription) bool {
	publisher, t := r.track(id)
	switch {
	case t == nil || !s.On || s.doubted:
		return false
	case r.has(m, publisher, t):
		s.doubted = true
		m.retryAt = r.now.Add(retryDelay)
	default:
		s.lapsed = true
	}
	return true
}

// retry asks m's node again for what it has not taken.
func (r *Room) retry(m *member) {
	m.retryAt = time.Time{}
	if m.Guest != nil {
		r.retryGuest(m)
		return
	}
	for _, s := range m.Subscriptions {
		s.lapsed = s.lapsed || s.On && s.doubted
	}
	r.reconcile(m)
}
