package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/state"
)

// storeTimeout bounds one write.
const storeTimeout = 5 * time.Second

// record is what the store holds of a room.
type record struct {
	Application string          `json:"application"`
	Room        json.RawMessage `json:"room"`
}

// saver writes the latest state of one room to the store, so that the room need
// not wait for it. States that are overtaken before they are written are skipped.
type saver struct {
	o        *Orchestrator
	name     signal.RoomName
	key      string
	signal   chan struct{} // holds a token when there is news
	revision uint64        // of the last write; 0 is none. Of the goroutine of run.

	mu     sync.Mutex // guards what follows
	latest []byte
	gone   bool
}

func roomKey(id drtc.RoomID) string { return "rooms." + string(id) }

func newSaver(o *Orchestrator, name signal.RoomName, id drtc.RoomID, revision uint64) *saver {
	return &saver{o: o, name: name, key: roomKey(id), signal: make(chan struct{}, 1), revision: revision}
}

// put hands over a state.
func (s *saver) put(snapshot []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = snapshot
	s.wake()
}

// remove deletes what is stored.
func (s *saver) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.gone = nil, true
	s.wake()
}

func (s *saver) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run writes until the room has ended and its last state is written.
func (s *saver) run(ended <-chan struct{}) {
	for {
		select {
		case <-s.signal:
			s.flush()
		case <-ended:
			s.flush()
			return
		}
	}
}

func (s *saver) flush() {
	s.mu.Lock()
	latest, gone := s.latest, s.gone
	s.latest = nil
	s.mu.Unlock()
	if latest == nil && !gone {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	var err error
	if gone {
		err = s.delete(ctx)
	} else {
		err = s.write(ctx, latest)
	}
	if err != nil {
		s.o.meter.storeFailures.Inc()
		s.o.log.Error("room was not saved", slog.String("key", s.key), slog.Any("error", err))
	}
}

func (s *saver) write(ctx context.Context, snapshot []byte) error {
	value, err := json.Marshal(record{Application: s.name.Application, Room: snapshot})
	if err != nil {
		return err
	}
	if s.revision == 0 {
		s.revision, err = s.o.store.Create(ctx, s.key, value)
		return err
	}
	revision, err := s.o.store.Update(ctx, s.key, value, s.revision)
	if errors.Is(err, state.ErrConflict) {
		// A write whose answer was lost: this process alone writes the key.
		entry, getErr := s.o.store.Get(ctx, s.key)
		if getErr != nil {
			return errors.Join(err, getErr)
		}
		revision, err = s.o.store.Update(ctx, s.key, value, entry.Revision)
	}
	if err == nil {
		s.revision = revision
	}
	return err
}

func (s *saver) delete(ctx context.Context) error {
	if s.revision == 0 {
		return nil
	}
	revision := s.revision
	s.revision = 0
	return s.o.store.Delete(ctx, s.key, revision)
}

// restore brings back the rooms of an earlier run. Their participants have the
// grace time to resume.
func (o *Orchestrator) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	entries, err := o.store.List(ctx, "rooms.")
	if err != nil {
		return fmt.Errorf("orchestrator: listing rooms: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var faults []error
	for _, e := range entries {
		var saved record
		if err := json.Unmarshal(e.Value, &saved); err != nil {
			faults = append(faults, fmt.Errorf("orchestrator: %s: %w", e.Key, err))
			continue
		}
		r, err := room.Restore(o.config.room(), saved.Room, o.now())
		if err != nil {
			faults = append(faults, fmt.Errorf("orchestrator: %s: %w", e.Key, err))
			continue
		}
		a := newActor(o, signal.RoomName{Application: saved.Application, Name: r.Name()}, r, e.Revision)
		for _, s := range r.Sessions() {
			o.routes.add(s.Session, s.Node, a)
		}
		o.start(a)
	}
	return errors.Join(faults...)
}
