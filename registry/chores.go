package registry

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/wire"
)

// chores is what time alone brings: records end, Registries go silent, figures
// change.
func (r *Registry) chores(ctx context.Context) {
	ticker := time.NewTicker(r.config.ExpireEvery)
	defer ticker.Stop()
	for part := 0; ; part++ {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if r.book.expire(now) {
				r.moved(now)
			}
			for _, id := range r.directory.sweep(now, part) {
				r.rounds.node(now, id, false, false)
			}
			r.rounds.isolated(now, r.isolated(now))
		}
	}
}

// isolated reports whether this Registry and those that it hears are at most half
// of all: then the line that is broken may be its own, and what it sees of nodes is
// not the network's view.
func (r *Registry) isolated(now time.Time) bool {
	known, heard := 1, 1
	for _, id := range r.attesting() {
		if id != r.ID() {
			known++
			if now.Sub(r.rounds.heard(id)) < heardWithin {
				heard++
			}
		}
	}
	return known > 1 && 2*heard <= known
}

// heardWithin is how old the last page of another Registry may be before its
// silence counts; every one writes one in at most 25 s.
const heardWithin = 40 * time.Second

// attesting are the Registries that may watch over nodes: all that are known, but
// this one only if it does.
func (r *Registry) attesting() []drtc.NodeID {
	ids := r.book.ids()
	if !r.config.Probing {
		ids = slices.DeleteFunc(ids, func(id drtc.NodeID) bool { return id == r.ID() })
	}
	return ids
}

// moved is called when a Registry came, went or has another address.
func (r *Registry) moved(now time.Time) {
	all := r.book.all()
	contacts := make([]gossip.Contact, len(all))
	for i, l := range all {
		contacts[i] = gossip.Contact{ID: l.ID, Addrs: l.Addresses}
	}
	r.rounds.registries(now, r.attesting())
	r.gossip.Know(contacts)
}

// flushEvery is how long news from other Registries waits for company before it
// is in the answers; while they come in masses, as to a new Registry, the answers
// are made anew in at most one flushShare-th of the time.
const (
	flushEvery = 100 * time.Millisecond
	flushShare = 20
	flushMost  = time.Second
)

func (r *Registry) flushes(ctx context.Context) {
	timer := time.NewTimer(flushEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			r.directory.flush(now)
			timer.Reset(min(max(flushEvery, flushShare*time.Since(now)), flushMost))
		}
	}
}

// body is what this Registry says about itself.
func (r *Registry) body() ([]byte, error) {
	addresses := r.gossip.Addrs()
	self := wire.Registry{
		ID: r.ID(), URL: r.publicURL(), Addresses: addresses[:min(len(addresses), wire.MaxAddresses)],
		Version: drtc.Version, PubKey: r.key.Public().Hex(),
	}
	if r.config.Place != nil {
		self.Geolocation = r.config.Place.String()
	}
	return self.Body()
}

// admitted is the list of who takes part, as this Registry reads it; nil when
// everybody may, which nobody can attest, and when nobody may sign.
func (r *Registry) admitted() ([]byte, error) {
	list := r.bonding.List()
	signers := list.Signers
	if signers == nil {
		signers = list.Registries
	}
	if list.AnyRegistry || len(signers) == 0 {
		return nil, nil
	}
	return admission.Body{
		Serial: list.Serial, Registries: signers, Orchestrators: list.Orchestrators, AnyOrchestrator: list.AnyOrchestrator,
	}.Encode()
}

// ask has another Registry look at a node.
func (r *Registry) ask(ctx context.Context, registry, node drtc.NodeID) {
	if _, err := r.gossip.AskProbe(ctx, registry, node); err != nil && ctx.Err() == nil {
		r.log.Debug("registry not asked", slog.String("registry", registry.String()), slog.Any("error", err))
	}
}
