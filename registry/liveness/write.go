package liveness

import (
	"slices"
	"time"
)

// writePages writes what is due and finds when the next page is.
func (p *Prober) writePages(now time.Time, work *Work) {
	p.pages = now.Add(p.config.Refresh)
	for _, l := range p.tree.sorted() {
		if !l.write() {
			if !l.issued.IsZero() {
				l.issued = time.Time{}
				work.Tombstones = append(work.Tombstones, l.subject)
			}
			continue
		}
		at := l.refresh
		if l.dirty || l.issued.IsZero() {
			at = now
		}
		if ready := l.full.Add(-time.Duration(p.config.RateBurst-1) * p.config.RateEvery); at.Before(ready) {
			at = ready
		}
		if !now.Before(at) {
			at = p.write(now, l, work)
		}
		if at.Before(p.pages) {
			p.pages = at
		}
	}
	for subject := range p.tree.gone {
		work.Tombstones = append(work.Tombstones, subject)
	}
	clear(p.tree.gone)
	slices.SortFunc(work.Tombstones, compareIDs)
}

// write writes one page and returns when it is due again.
func (p *Prober) write(now time.Time, l *leaf, work *Work) time.Time {
	body := PageBody{Subject: l.subject, Life: p.config.Life}
	for _, w := range l.nodes[:min(len(l.nodes), MaxSightings)] {
		if s, ok := p.sighting(w); ok {
			if s.AnsweredAt.After(now) {
				s.AnsweredAt = now.UTC().Truncate(time.Millisecond)
			}
			body.Sightings = append(body.Sightings, s)
		}
	}
	work.Pages = append(work.Pages, body)
	if l.full.Before(now) {
		l.full = now
	}
	l.full = l.full.Add(p.config.RateEvery)
	l.issued, l.dirty = now, false
	l.refresh = now.Add(time.Duration((0.8 + 0.2*p.random.Float64()) * float64(p.config.Refresh)))
	return l.refresh
}

// sighting is what is written about w. Nothing is: a vote that is withheld, a
// node that has not answered yet, and, from a prober that distrusts itself, one
// that does not answer now.
func (p *Prober) sighting(w *watched) (s Sighting, ok bool) {
	s = Sighting{Node: w.id}
	if !w.answered.IsZero() {
		s.AnsweredAt = w.answered.UTC().Truncate(time.Millisecond)
	}
	switch {
	case w.cast:
		s.Down = true
		return s, true
	case w.vote != none, w.answered.IsZero(), p.distrust && w.missed:
		return s, false
	}
	s.RTTMin, s.RTTMedian = w.roundTrips()
	return s, true
}

// roundTrips are the minimum and the lower median of the last dials.
func (w *watched) roundTrips() (least, median time.Duration) {
	n := min(w.count, maxRTTs)
	if n == 0 {
		return 0, 0
	}
	rtts := w.rtts
	slices.Sort(rtts[:n])
	return time.Duration(rtts[0]) * time.Microsecond, time.Duration(rtts[(n-1)/2]) * time.Microsecond
}
