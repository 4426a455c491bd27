package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// emptyCheck is how long the entries that exist may be silent before the server
// is asked whether there are more: some may be gone since it counted them.
const emptyCheck = 200 * time.Millisecond

// stream implements state.Stream over an ordered consumer. The server holds back
// what is not read, and what is overwritten meanwhile it never sends.
type stream struct {
	store  *Store
	prefix string
	sub    *nats.Subscription
	before uint64 // revisions up to this were there when the watch began
	gaps   int    // of the store when it began
	closed chan struct{}
	once   sync.Once

	// Of the reader alone.
	emptied bool         // what existed has been read
	current bool         // and was told
	held    *state.Event // that came with Current
	fresh   time.Time    // when nothing waited to be read
}

// Watch implements state.Watcher.
func (s *Store) Watch(ctx context.Context, prefix string) (state.Stream, error) {
	w, err := s.watch(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("jetstream: watch: %w", err)
	}
	return w, nil
}

func (s *Store) watch(ctx context.Context, prefix string) (*stream, error) {
	if err := errors.Join(s.begin(ctx), state.CheckPrefix(prefix)); err != nil {
		return nil, err
	}
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, s.reason(err)
	}
	s.mu.Lock()
	w := &stream{store: s, prefix: prefix, before: info.State.LastSeq, gaps: s.gaps, closed: make(chan struct{}), fresh: time.Now()}
	s.mu.Unlock()
	// The context of Subscribe outlives the call, so it is not ours.
	w.sub, err = s.watches.SubscribeSync(s.subjects+prefix+">", nats.BindStream(s.name),
		nats.OrderedConsumer(), nats.DeliverLastPerSubject(), nats.IdleHeartbeat(time.Second))
	if err != nil {
		return nil, s.reason(err)
	}
	if pending, err := w.sub.InitialConsumerPending(); err == nil && pending == 0 {
		w.emptied = true
	}
	return w, nil
}

// Next implements state.Stream.
func (w *stream) Next(ctx context.Context) (state.Event, error) {
	event, err := w.next(ctx)
	if err != nil {
		return state.Event{}, fmt.Errorf("jetstream: watch of %q: %w", w.prefix, err)
	}
	return event, nil
}

func (w *stream) next(ctx context.Context) (state.Event, error) {
	for {
		if held := w.held; held != nil {
			w.held = nil
			return *held, nil
		}
		if w.emptied && !w.current {
			w.current = true
			return state.Event{Kind: state.Current}, nil
		}
		event, ok, err := w.read(ctx)
		switch {
		case err != nil:
			return state.Event{}, err
		case !ok:
		case w.current:
			return event, nil
		case event.Entry.Revision > w.before:
			// New since the watch began: all that is older has been given.
			w.held, w.current, w.emptied = &event, true, true
			return state.Event{Kind: state.Current}, nil
		case event.Kind == state.Put:
			return event, nil
		}
	}
}

// read takes one message; ok is false if there was none yet. It finds out
// whether what existed has been read.
func (w *stream) read(ctx context.Context) (event state.Event, ok bool, err error) {
	if err := w.alive(ctx); err != nil {
		return event, false, err
	}
	if queued, _, err := w.sub.Pending(); err == nil && queued == 0 {
		w.fresh = time.Now()
	} else if time.Since(w.fresh) > deletedFor/2 {
		return event, false, state.ErrLagging // the server may hold back, and forget deletions
	}
	wait := ctx
	if !w.emptied {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, emptyCheck)
		defer cancel()
	}
	m, err := w.sub.NextMsgWithContext(wait)
	if err != nil {
		if e := w.alive(ctx); e != nil {
			return event, false, e
		}
		if wait != ctx && errors.Is(err, context.DeadlineExceeded) {
			w.ask()
			return event, false, nil
		}
		return event, false, w.store.reason(err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return event, false, fmt.Errorf("message of %s without its place: %w", m.Subject, err)
	}
	if meta.NumPending == 0 {
		w.emptied = true
	}
	return w.store.event(m.Subject, m.Header, m.Data, meta.Sequence.Stream), true, nil
}

// alive says why nothing can be read any more.
func (w *stream) alive(ctx context.Context) error {
	select {
	case <-w.closed:
		return state.ErrClosed
	case <-w.store.done:
		return state.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.store.mu.Lock()
	gaps := w.store.gaps
	w.store.mu.Unlock()
	if dropped, err := w.sub.Dropped(); gaps != w.gaps || err == nil && dropped > 0 {
		return state.ErrLagging
	}
	return nil
}

// ask finds out whether the server has more of what existed.
func (w *stream) ask() {
	queued, _, err := w.sub.Pending()
	if err != nil || queued > 0 {
		return
	}
	if info, err := w.sub.ConsumerInfo(); err == nil && info.NumPending == 0 {
		queued, _, err = w.sub.Pending()
		w.emptied = err == nil && queued == 0
	}
}

// Close implements state.Stream.
func (w *stream) Close() {
	w.once.Do(func() {
		close(w.closed)
		_ = w.sub.Unsubscribe() // fails if the connection is gone, and then there is nothing to do
	})
}
