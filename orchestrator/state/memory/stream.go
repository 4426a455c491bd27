package memory

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// chunk is how many events a stream takes at once.
const chunk = 64

// stream implements state.Stream.
type stream struct {
	store  *Store
	prefix string
	closed chan struct{}
	once   sync.Once

	// Of the reader alone.
	pending []state.Event // taken and not given yet

	// Guarded by store.mu.
	began   uint64 // the revision at which the watch began
	current bool   // the Current event was taken
	cursor  uint64 // the revision up to which events were taken
}

// Watch implements state.Watcher.
func (s *Store) Watch(ctx context.Context, prefix string) (state.Stream, error) {
	if err := checkPrefix(ctx, prefix); err != nil {
		return nil, fmt.Errorf("memory: watch: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &stream{store: s, prefix: prefix, closed: make(chan struct{}), began: s.revision}
	s.streams[w] = struct{}{}
	return w, nil
}

// Next implements state.Stream.
func (w *stream) Next(ctx context.Context) (state.Event, error) {
	for {
		select {
		case <-w.closed:
			return state.Event{}, fmt.Errorf("memory: watch of %q: %w", w.prefix, state.ErrClosed)
		default:
		}
		if err := ctx.Err(); err != nil {
			return state.Event{}, fmt.Errorf("memory: watch of %q: %w", w.prefix, err)
		}
		if len(w.pending) > 0 {
			event := w.pending[0]
			w.pending[0] = state.Event{} // let go of the value
			w.pending = w.pending[1:]
			event.Entry = clone(event.Entry)
			return event, nil
		}
		changed, err := w.take()
		if err != nil {
			return state.Event{}, fmt.Errorf("memory: watch of %q: %w", w.prefix, err)
		}
		if len(w.pending) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-w.closed:
		}
	}
}

// take fills pending with the oldest events that are new, if any. The channel
// is closed when there are more.
func (w *stream) take() (changed <-chan struct{}, err error) {
	s := w.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > w.heard() {
		return nil, state.ErrLagging
	}
	var events []state.Event
	end := s.revision
	if w.current {
		events = s.live.between(w.cursor, math.MaxUint64, w.prefix, state.Put, nil)
		events = s.deleted.between(w.cursor, math.MaxUint64, w.prefix, state.Deleted, events)
	} else {
		end = w.began
		events = s.live.between(w.cursor, end, w.prefix, state.Put, nil)
	}
	sortByRevision(events)
	switch {
	case len(events) > chunk:
		events = slices.Clone(events[:chunk])
		w.cursor = events[chunk-1].Entry.Revision
	case w.current:
		w.cursor = end
	default:
		w.cursor, w.current = end, true
		events = append(events, state.Event{Kind: state.Current})
	}
	w.pending = events
	return s.changed, nil
}

// heard is the revision up to which no deletion is news to the stream. The
// store's mutex is held.
func (w *stream) heard() uint64 { return max(w.began, w.cursor) }

// Close implements state.Stream.
func (w *stream) Close() {
	w.once.Do(func() {
		close(w.closed)
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		delete(w.store.streams, w)
		w.store.forget()
	})
}
