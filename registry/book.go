package registry

import (
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// book is what the Registries say about themselves, out of their records: where
// they are and whom they admit.
type book struct {
	log    *slog.Logger
	ledger *ledger.Ledger

	mu         sync.Mutex // guards all below
	registries map[drtc.NodeID]listing
	admissions map[drtc.NodeID]envelope.Envelope
}

// listing is one Registry.
type listing struct {
	wire.Registry
	until time.Time // when its record stops being shown
}

func newBook(l *ledger.Ledger, log *slog.Logger) *book {
	return &book{log: log, ledger: l, registries: map[drtc.NodeID]listing{}, admissions: map[drtc.NodeID]envelope.Envelope{}}
}

// changed reads the records of the keys again. It reports whether a Registry
// came, went or moved.
func (b *book) changed(now time.Time, keys []record.Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	moved := false
	for _, k := range keys {
		e, live := b.ledger.Live(now, k)
		switch {
		case k.Kind == record.KindAdmission && live:
			b.admissions[k.Issuer] = e
		case k.Kind == record.KindAdmission:
			delete(b.admissions, k.Issuer)
		case k.Kind == record.KindRegistry && live:
			body, err := wire.ParseRegistry(e.Body)
			if err != nil { // written under other rules
				b.log.Warn("record of a registry not read", slog.String("registry", k.Subject.String()), slog.Any("error", err))
				continue
			}
			old, known := b.registries[k.Subject]
			b.registries[k.Subject] = listing{body, b.ledger.LiveUntil(&e)}
			moved = moved || !known || !reflect.DeepEqual(old.Registry, body)
		case k.Kind == record.KindRegistry:
			_, known := b.registries[k.Subject]
			delete(b.registries, k.Subject)
			moved = moved || known
		}
	}
	return moved
}

// expire takes out whose record has ended. It reports whether one had.
func (b *book) expire(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	moved := false
	for id, l := range b.registries {
		if !now.Before(l.until) {
			delete(b.registries, id)
			moved = true
		}
	}
	for id, e := range b.admissions {
		if !now.Before(b.ledger.LiveUntil(&e)) {
			delete(b.admissions, id)
		}
	}
	return moved
}

// all lists the Registries in order of their ids.
func (b *book) all() []wire.Registry {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]wire.Registry, 0, len(b.registries))
	for _, l := range b.registries {
		all = append(all, l.Registry)
	}
	slices.SortFunc(all, func(x, y wire.Registry) int { return slices.Compare(x.ID[:], y.ID[:]) })
	return all
}

// ids lists the Registries in order.
func (b *book) ids() []drtc.NodeID {
	var ids []drtc.NodeID
	for _, r := range b.all() {
		ids = append(ids, r.ID)
	}
	return ids
}

// find returns a Registry.
func (b *book) find(id drtc.NodeID) (wire.Registry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.registries[id]
	return l.Registry, ok
}

// agreed returns the reading of the admission list that the most Registries
// signed, and their records.
func (b *book) agreed() (body []byte, attestations []envelope.Envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	readings := map[string][]envelope.Envelope{}
	for _, e := range b.admissions {
		readings[string(e.Body)] = append(readings[string(e.Body)], e)
	}
	for text, by := range readings {
		switch {
		case len(by) < len(attestations), len(by) == len(attestations) && text < string(body):
		default:
			body, attestations = []byte(text), by
		}
	}
	slices.SortFunc(attestations, func(x, y envelope.Envelope) int { return slices.Compare(x.Issuer[:], y.Issuer[:]) })
	return body, attestations
}
