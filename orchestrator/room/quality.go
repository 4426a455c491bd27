package room

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// staleAfter is the age of a session's figures from which on it counts as lost.
const staleAfter = 15 * time.Second

// reportQualities tells everybody whose connection has changed, and the room's
// new counts.
func (r *Room) reportQualities() {
	r.reportAt = time.Time{}
	if len(r.state.Members) > 0 {
		r.reportAt = r.now.Add(r.config.ReportInterval)
	}
	changed := map[drtc.ParticipantID]bool{}
	for _, m := range r.state.Members {
		if m.phase != present || m.reportedAt.IsZero() && !m.down {
			continue
		}
		if q := m.rate(r.now); q != m.quality {
			m.quality = q
			changed[m.ID] = true
		}
	}
	for _, v := range r.state.Members {
		var news []Connection
		for _, m := range r.state.Members {
			if m.quality.Participant == "" || !r.hears(v, m) {
				continue
			}
			if changed[m.ID] || !v.greeted {
				news = append(news, m.quality)
			}
		}
		if len(news) > 0 && v.phase == present && v.conn != 0 {
			v.greeted = true
			r.toClient(v, Connections{Connections: news})
		}
	}
	if n := r.count(); n != r.said {
		r.said = n
		for _, v := range r.state.Members {
			r.toClient(v, RoomChanged{Room: r.Info()})
		}
	}
}

// rate turns figures into what a person would say of the call. Both directions
// count, the worse one more: speech and video suffer visibly from about 2 % loss
// and 300 ms round trip, and badly from 8 % and 800 ms.
//
//	score = 5 - 15 * loss - 1.5 * (round trip in seconds), at least 1
//	excellent from 4.5, good from 3.5
func (m *member) rate(now time.Time) Connection {
	c := Connection{Participant: m.ID, Quality: Lost}
	if m.down || now.Sub(m.reportedAt) > staleAfter {
		return c
	}
	loss := max(m.figures.UplinkLoss, m.figures.DownlinkLoss)
	score := 5 - 15*loss - 1.5*m.figures.RoundTrip.Seconds()
	score = math.Round(max(1, score)*10) / 10 // coarse, so that noise is no news
	c.Score = float32(score)
	switch {
	case score >= 4.5:
		c.Quality = Excellent
	case score >= 3.5:
		c.Quality = Good
	default:
		c.Quality = Poor
	}
	return c
}

// speakerLevels tells everybody which speakers changed.
func (r *Room) speakerLevels(c SpeakerLevels) {
	now := map[drtc.ParticipantID]Speaker{}
	for id, s := range r.speakers {
		if m := r.byID(id); m != nil && m.Node != c.Node {
			now[id] = s // a node speaks for its own
		}
	}
	var news []Speaker
	for _, l := range c.Speakers {
		m := r.bySession(l.Session)
		if m == nil || m.phase != present || m.Permission.Hidden || !l.Active || m.Node != c.Node {
			continue
		}
		s := Speaker{Participant: m.ID, Level: l.Level, Active: true}
		now[m.ID] = s
		if r.speakers[m.ID] != s {
			news = append(news, s)
		}
	}
	var silent []Speaker
	for id := range r.speakers {
		if _, still := now[id]; !still {
			silent = append(silent, Speaker{Participant: id})
		}
	}
	slices.SortFunc(silent, func(a, b Speaker) int { return cmp.Compare(a.Participant, b.Participant) })
	news = append(news, silent...)
	r.speakers = now
	r.refocus()
	if len(news) == 0 {
		return
	}
	for _, v := range r.state.Members {
		if v.Permission.Subscribe {
			r.toClient(v, Speakers{Speakers: news})
		}
	}
}

// speaking lists who speaks now, loudest first.
func (r *Room) speaking() []Speaker {
	var all []Speaker
	for _, s := range r.speakers {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Speaker) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.Participant, b.Participant))
	})
	return all
}
