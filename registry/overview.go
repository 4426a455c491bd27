package registry

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/status"
)

// statusSource is the Registry as the status pages see it.
func (r *Registry) statusSource() status.Source {
	s := status.Source{
		Registry: r.ID(), Network: r.config.Network, Version: drtc.Version, Development: r.config.AllowPrivateTargets,
		Nodes: watchedNodes{r}, Registries: r.book.status, Pages: r.config.Pages,
	}
	if r.config.Chain != nil {
		s.Economy = r.config.Chain
	}
	return s
}

// watchedNodes implements status.Nodes.
type watchedNodes struct{ *Registry }

// Snapshot implements status.Nodes.
func (r watchedNodes) Snapshot() *index.Snapshot { return r.directory.board.View().Nodes }

// Standing implements status.Nodes.
func (r watchedNodes) Standing(id drtc.NodeID) status.Standing {
	verdict := r.rounds.standings(time.Now(), []drtc.NodeID{id})[0].verdict
	s := status.Standing{Since: verdict.Since}
	for _, v := range verdict.Votes {
		vote := status.Vote{
			Registry: v.Registry, Place: r.book.place(v.Registry), Absent: v.Absent, Down: v.Sighting.Down, AnsweredAt: v.Sighting.AnsweredAt.UTC(),
			RTTMinMs: v.Sighting.RTTMin.Seconds() * 1000, RTTMedianMs: v.Sighting.RTTMedian.Seconds() * 1000,
		}
		if v.Sighting.AnsweredAt.IsZero() {
			vote.AnsweredAt = time.Time{}
		}
		s.Votes = append(s.Votes, vote)
	}
	if e, ok := r.Snapshot().Lookup(id); ok {
		s.Place = r.directory.judge(e, verdict)
	}
	return s
}

// status lists the Registries with a live record.
func (b *book) status() []status.Registry {
	var all []status.Registry
	for _, one := range b.all() {
		all = append(all, status.Registry{ID: one.ID, URL: one.URL, Place: b.place(one.ID)})
	}
	return all
}

// place is where a Registry says it is; nil for nowhere.
func (b *book) place(id drtc.NodeID) *drtc.Place {
	known, ok := b.find(id)
	if !ok {
		return nil
	}
	at, err := drtc.ParsePlace(known.Geolocation)
	if err != nil {
		return nil
	}
	return &at
}
