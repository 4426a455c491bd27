// Package memory is a state.Store in the memory of one process, for the devnet,
// for tests and for an Orchestrator that may forget (whitepaper section 4.1).
//
// Contract: that of package state; what it holds is gone with the process. Its
// memory is bounded by Config: a Stream that is not read holds a few values, and
// of the keys deleted since a limited number.
//
// The live entries and the deleted ones that some Stream has yet to hear of are
// each kept in the order of revisions. A Stream remembers how far it has read
// and takes what is newer, a few entries at a time. Everything is safe for
// concurrent use, but a Stream has one reader.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// Config bounds a Store. A zero field takes its default.
type Config struct {
	// MaxBytes is how much keys and values may take together. Default 256 MiB.
	MaxBytes int
	// MaxDeleted is how many deleted keys are kept for slow Streams before the
	// slowest fail with state.ErrLagging. Default 4096.
	MaxDeleted int
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if c.MaxBytes < 0 {
		return fmt.Errorf("memory: MaxBytes: want more than 0, got %d", c.MaxBytes)
	}
	if c.MaxDeleted < 0 {
		return fmt.Errorf("memory: MaxDeleted: want more than 0, got %d", c.MaxDeleted)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	if c.MaxDeleted == 0 {
		c.MaxDeleted = 4096
	}
	return c
}

// Store implements state.Store.
type Store struct {
	config Config

	mu       sync.Mutex // guards what follows, and the positions of the streams
	revision uint64     // of the last write
	live     history
	deleted  history // without values
	lost     uint64  // the highest revision dropped from deleted unheard
	bytes    int     // of the live keys and values
	streams  map[*stream]struct{}
	changed  chan struct{} // closed by the next write
}

// New makes an empty Store, or returns the error of Config.Validate.
func New(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Store{
		config:  c.withDefaults(),
		live:    newHistory(),
		deleted: newHistory(),
		streams: map[*stream]struct{}{},
		changed: make(chan struct{}),
	}, nil
}

// Get implements state.KV.
func (s *Store) Get(ctx context.Context, key string) (state.Entry, error) {
	if err := check(ctx, key, nil); err != nil {
		return state.Entry{}, fmt.Errorf("memory: get: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live.get(key)
	if !ok {
		return state.Entry{}, fmt.Errorf("memory: get %s: %w", key, state.ErrNotFound)
	}
	return clone(e), nil
}

// Create implements state.KV.
func (s *Store) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := check(ctx, key, value); err != nil {
		return 0, fmt.Errorf("memory: create: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.live.get(key); ok {
		return 0, fmt.Errorf("memory: create %s: %w", key, state.ErrExists)
	}
	if s.bytes+len(key)+len(value) > s.config.MaxBytes {
		return 0, fmt.Errorf("memory: create %s: %w: at most %d bytes", key, state.ErrFull, s.config.MaxBytes)
	}
	s.bytes += len(key) + len(value)
	return s.put(key, value), nil
}

// Update implements state.KV.
func (s *Store) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	if err := check(ctx, key, value); err != nil {
		return 0, fmt.Errorf("memory: update: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live.get(key)
	if !ok || e.Revision != last {
		return 0, fmt.Errorf("memory: update %s at revision %d: %w", key, last, state.ErrConflict)
	}
	more := len(value) - len(e.Value)
	if more > 0 && s.bytes+more > s.config.MaxBytes {
		return 0, fmt.Errorf("memory: update %s: %w: at most %d bytes", key, state.ErrFull, s.config.MaxBytes)
	}
	s.bytes += more
	return s.put(key, value), nil
}

// Delete implements state.KV.
func (s *Store) Delete(ctx context.Context, key string, last uint64) error {
	if err := check(ctx, key, nil); err != nil {
		return fmt.Errorf("memory: delete: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live.get(key)
	if !ok || e.Revision != last {
		return fmt.Errorf("memory: delete %s at revision %d: %w", key, last, state.ErrConflict)
	}
	s.bytes -= len(key) + len(e.Value)
	s.live.remove(key)
	s.deleted.push(state.Entry{Key: key, Revision: s.next()})
	s.forget()
	return nil
}

// List implements state.KV.
func (s *Store) List(ctx context.Context, prefix string) ([]state.Entry, error) {
	if err := checkPrefix(ctx, prefix); err != nil {
		return nil, fmt.Errorf("memory: list: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []state.Entry
	for key := range s.live.byKey {
		if e, ok := s.live.get(key); ok && strings.HasPrefix(key, prefix) {
			found = append(found, clone(e))
		}
	}
	slices.SortFunc(found, func(a, b state.Entry) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

func check(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := state.CheckKey(key); err != nil {
		return err
	}
	return state.CheckValue(value)
}

func checkPrefix(ctx context.Context, prefix string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return state.CheckPrefix(prefix)
}

func clone(e state.Entry) state.Entry {
	e.Value = bytes.Clone(e.Value)
	return e
}

// put makes a value the newest. s.mu is held, as in all that follows.
func (s *Store) put(key string, value []byte) uint64 {
	e := state.Entry{Key: key, Value: append([]byte{}, value...), Revision: s.next()}
	s.deleted.remove(key)
	s.live.push(e)
	return e.Revision
}

// next gives the next revision and tells the streams.
func (s *Store) next() uint64 {
	s.revision++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.revision
}

// forget drops the deleted entries of which every stream has heard, and of the
// others the oldest if there are too many.
func (s *Store) forget() {
	heard := s.revision
	for w := range s.streams {
		heard = min(heard, w.heard())
	}
	for e, ok := s.deleted.oldest(); ok; e, ok = s.deleted.oldest() {
		if e.Revision > heard {
			if len(s.deleted.byKey) <= s.config.MaxDeleted {
				return
			}
			s.lost = e.Revision
		}
		s.deleted.remove(e.Key)
	}
}
