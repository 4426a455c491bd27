package control

import (
	"slices"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// reports are the newest figures of the sessions of one Orchestrator, and which
// of them no heartbeat has carried yet. They are not queued: what a session
// reports replaces what it reported before, so that they are never more than the
// sessions.
type reports struct {
	newest map[drtc.SessionID]*noted
	// Those that are not carried, the longest waiting first.
	waiting []drtc.SessionID
}

type noted struct {
	report  *medianodev1.SessionReport // never changed: a stream may be sending it
	carried bool
}

// note replaces the figures of a session.
func (r *reports) note(id drtc.SessionID, figures *medianodev1.SessionFigures) {
	n := r.newest[id]
	if n == nil {
		n = &noted{carried: true}
		r.newest[id] = n
	}
	n.report = &medianodev1.SessionReport{Session: string(id), Figures: figures}
	if n.carried {
		n.carried = false
		r.waiting = append(r.waiting, id)
	}
}

// next returns the most reports that a heartbeat may carry of those that wait.
func (r *reports) next() []*medianodev1.SessionReport {
	var out []*medianodev1.SessionReport
	for _, id := range r.waiting[:min(len(r.waiting), maxReports)] {
		out = append(out, r.newest[id].report)
	}
	return out
}

// sent tells that a heartbeat carried reports. A session that has reported since
// goes on waiting.
func (r *reports) sent(carried []*medianodev1.SessionReport) {
	for _, c := range carried {
		if n := r.newest[drtc.SessionID(c.Session)]; n != nil && n.report == c {
			n.carried = true
		}
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(id drtc.SessionID) bool { return r.newest[id].carried })
}

// again makes all wait: nobody knows what came through of a stream that ended.
func (r *reports) again() {
	for id, n := range r.newest {
		if n.carried {
			n.carried = false
			r.waiting = append(r.waiting, id)
		}
	}
}

// drop forgets a session and returns its last figures, nil if there are none.
func (r *reports) drop(id drtc.SessionID) *medianodev1.SessionFigures {
	n := r.newest[id]
	if n == nil {
		return nil
	}
	delete(r.newest, id)
	if !n.carried {
		r.waiting = slices.DeleteFunc(r.waiting, func(w drtc.SessionID) bool { return w == id })
	}
	return n.report.Figures
}
