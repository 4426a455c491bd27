package room

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
)

// versionGap is added to versions on Restore: the last changes before the
// process ended may not have been saved, and versions must rise.
const versionGap = 1000

// Changed reports whether anything that Snapshot holds has changed since it was
// last called.
func (r *Room) Changed() bool { return r.changed }

// Snapshot returns what must outlive the process, as JSON.
func (r *Room) Snapshot() ([]byte, error) {
	saved := r.state
	saved.Members = nil
	for _, m := range r.state.Members {
		if m.phase == present && m.watch == nil {
			saved.Members = append(saved.Members, m)
		}
	}
	b, err := json.Marshal(saved)
	if err != nil {
		return nil, fmt.Errorf("room: writing the state of %s: %w", r.state.ID, err)
	}
	r.changed = false
	return b, nil
}

// Restore makes a room from a Snapshot. Its participants have lost their
// connections and the grace time to resume.
func Restore(config Config, snapshot []byte, now time.Time) (*Room, error) {
	r := &Room{config: config, speakers: map[drtc.ParticipantID]Speaker{}}
	if err := json.Unmarshal(snapshot, &r.state); err != nil {
		return nil, fmt.Errorf("room: reading a state: %w", err)
	}
	if r.state.ID == "" || r.state.Name == "" {
		return nil, fmt.Errorf("room: reading a state: id and name: want both, got %q and %q", r.state.ID, r.state.Name)
	}
	if len(r.state.Members) == 0 {
		r.emptyAt = now.Add(r.emptyFor())
	} else {
		r.reportAt = now.Add(config.ReportInterval)
	}
	for _, m := range r.state.Members {
		m.phase = present
		m.Version += versionGap
		m.graceUntil = now.Add(config.Grace)
		m.refreshAt = now.Add(config.TokenRefresh)
		if m.Subscriptions == nil {
			m.Subscriptions = map[drtc.TrackID]*subscription{}
		}
	}
	return r, nil
}
