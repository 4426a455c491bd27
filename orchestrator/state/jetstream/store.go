package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/drtc-network/drtc/orchestrator/state"
)

const (
	// callLimit bounds a call whose context has no deadline.
	callLimit = 5 * time.Second
	// The header of a deletion.
	operation, deleted = "KV-Operation", "DEL"
	// errorMaxBytes is JetStream's code for a stream that is full.
	errorMaxBytes = 10077
)

// Store implements state.Store. Close it once.
type Store struct {
	log      *slog.Logger
	subjects string // prefix of all
	name     string // of the stream
	url      string // where others connect, or empty
	conn     *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	watches  nats.JetStreamContext
	closers  *closers
	done     chan struct{} // closed by Close
	once     sync.Once

	mu   sync.Mutex // guards what follows
	away time.Time  // since when there is no connection; zero while there is
	gaps int        // how often a connection was away for too long
}

// URL is where other members connect to an embedded store with Listen; empty
// without it.
func (s *Store) URL() string { return s.url }

// Close ends all Streams, and with Embedded the server. Calls fail from now on
// with state.ErrClosed.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = s.closers.close()
	})
	return err
}

// begin is what every call begins with.
func (s *Store) begin(ctx context.Context) error {
	select {
	case <-s.done:
		return state.ErrClosed
	default:
		return ctx.Err()
	}
}

// Get implements state.KV.
func (s *Store) Get(ctx context.Context, key string) (state.Entry, error) {
	err := errors.Join(s.begin(ctx), state.CheckKey(key))
	if err != nil {
		return state.Entry{}, fmt.Errorf("jetstream: get: %w", err)
	}
	e, live, err := s.last(ctx, key)
	if err == nil && !live {
		err = state.ErrNotFound
	}
	if err != nil {
		return state.Entry{}, fmt.Errorf("jetstream: get %s: %w", key, err)
	}
	return e, nil
}

// last returns what the stream has last of a key: a value, a deletion, or
// nothing (revision 0).
func (s *Store) last(ctx context.Context, key string) (e state.Entry, live bool, err error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, s.subjects+key)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return state.Entry{}, false, nil
	case err != nil:
		return state.Entry{}, false, s.reason(err)
	}
	return state.Entry{Key: key, Value: m.Data, Revision: m.Sequence}, m.Header.Get(operation) == "", nil
}

// Create implements state.KV.
func (s *Store) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := s.check(ctx, key, value); err != nil {
		return 0, fmt.Errorf("jetstream: create: %w", err)
	}
	var last uint64
	for {
		revision, err := s.publish(ctx, key, value, last, false)
		if !errors.Is(err, state.ErrConflict) {
			if err != nil {
				return 0, fmt.Errorf("jetstream: create %s: %w", key, err)
			}
			return revision, nil
		}
		// There is a value, or a deletion that is still told.
		e, live, err := s.last(ctx, key)
		if err == nil && live {
			err = state.ErrExists
		}
		if err != nil {
			return 0, fmt.Errorf("jetstream: create %s: %w", key, err)
		}
		last = e.Revision
	}
}

// Update implements state.KV.
func (s *Store) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	if err := s.check(ctx, key, value); err != nil {
		return 0, fmt.Errorf("jetstream: update: %w", err)
	}
	revision, err := s.replace(ctx, key, value, last, false)
	if err != nil {
		return 0, fmt.Errorf("jetstream: update %s at revision %d: %w", key, last, err)
	}
	return revision, nil
}

// Delete implements state.KV.
func (s *Store) Delete(ctx context.Context, key string, last uint64) error {
	if err := s.check(ctx, key, nil); err != nil {
		return fmt.Errorf("jetstream: delete: %w", err)
	}
	if _, err := s.replace(ctx, key, nil, last, true); err != nil {
		return fmt.Errorf("jetstream: delete %s at revision %d: %w", key, last, err)
	}
	return nil
}

// replace publishes over the live value at revision last. That a deletion has
// this revision is a conflict too: who names it has not had it from us.
func (s *Store) replace(ctx context.Context, key string, value []byte, last uint64, remove bool) (uint64, error) {
	if last == 0 {
		return 0, state.ErrConflict
	}
	return s.publish(ctx, key, value, last, remove)
}

func (s *Store) check(ctx context.Context, key string, value []byte) error {
	return errors.Join(s.begin(ctx), state.CheckKey(key), state.CheckValue(value))
}

// publish writes one message if the last of the key is at revision last; 0 is
// none.
func (s *Store) publish(ctx context.Context, key string, value []byte, last uint64, remove bool) (uint64, error) {
	m := &nats.Msg{Subject: s.subjects + key, Data: value, Header: nats.Header{}}
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(last)}
	if remove {
		m.Header.Set(operation, deleted)
		options = append(options, jetstream.WithMsgTTL(deletedFor))
	}
	ack, err := s.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, s.reason(err)
	}
	return ack.Sequence, nil
}

// reason makes an error of the library one of package state.
func (s *Store) reason(err error) error {
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused):
		switch refused.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return state.ErrConflict
		case errorMaxBytes:
			return fmt.Errorf("%w: %s", state.ErrFull, refused.Description)
		}
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
		return state.ErrClosed
	}
	return err
}

// List implements state.KV. A watch gives most of it in one stream; what was
// written or moved meanwhile is asked for one by one, of the server that has the
// last word.
func (s *Store) List(ctx context.Context, prefix string) ([]state.Entry, error) {
	w, err := s.watch(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("jetstream: list: %w", err)
	}
	defer w.Close()
	found := map[string]state.Entry{}
	var last uint64
	take := func(event state.Event) {
		last = event.Entry.Revision
		if event.Kind == state.Put {
			found[event.Entry.Key] = event.Entry
		} else {
			delete(found, event.Entry.Key)
		}
	}
	for !w.emptied {
		event, ok, err := w.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("jetstream: list of %q: %w", prefix, err)
		}
		if ok {
			take(event)
		}
	}
	for {
		m, err := s.stream.GetMsg(ctx, last+1, jetstream.WithGetMsgSubject(s.subjects+prefix+">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("jetstream: list of %q: %w", prefix, s.reason(err))
		}
		take(s.event(m.Subject, m.Header, m.Data, m.Sequence))
	}
	entries := slices.Collect(maps.Values(found))
	slices.SortFunc(entries, func(a, b state.Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, nil
}

// event is what a message of the stream tells.
func (s *Store) event(subject string, header nats.Header, value []byte, revision uint64) state.Event {
	e := state.Entry{Key: strings.TrimPrefix(subject, s.subjects), Value: value, Revision: revision}
	if header.Get(operation) != "" {
		e.Value = nil
		return state.Event{Kind: state.Deleted, Entry: e}
	}
	return state.Event{Kind: state.Put, Entry: e}
}

// Size is how many bytes the store takes on disk, and how many at most.
func (s *Store) Size(ctx context.Context) (bytes, most int64, err error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("jetstream: size: %w", s.reason(err))
	}
	return int64(min(info.State.Bytes, 1<<62)), info.Config.MaxBytes, nil
}
