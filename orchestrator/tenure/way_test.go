package tenure_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// way is a connection to a store that may be cut, slow, or lose answers.
type way struct {
	state.Store
	mu      sync.Mutex
	random  *rand.Rand
	cut     chan struct{} // not nil while nothing passes; closed when it does again
	loss    float64       // of answers
	streams []state.Stream
	held    string // key whose updates are stored, and answered never
}

var errLost = errors.New("the connection was lost")

// pass waits like a paused process or fails like a cut connection.
func (w *way) pass(ctx context.Context) error {
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut == nil {
		return nil
	}
	select {
	case <-cut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *way) answer(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loss > 0 && w.random.Float64() < w.loss {
		return errLost
	}
	return err
}

func (w *way) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case cut && w.cut == nil:
		w.cut = make(chan struct{})
	case !cut && w.cut != nil:
		close(w.cut)
		w.cut = nil
	}
}

// hold keeps back the answers to a key's updates.
func (w *way) hold(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = key
}

// breakStreams ends the watches, as a lost connection does.
func (w *way) breakStreams() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		s.Close()
	}
	w.streams = nil
}

func (w *way) Get(ctx context.Context, key string) (state.Entry, error) {
	if err := w.pass(ctx); err != nil {
		return state.Entry{}, err
	}
	e, err := w.Store.Get(ctx, key)
	return e, w.answer(err)
}

func (w *way) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := w.pass(ctx); err != nil {
		return 0, err
	}
	r, err := w.Store.Create(ctx, key, value)
	return r, w.answer(err)
}

func (w *way) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	if err := w.pass(ctx); err != nil {
		return 0, err
	}
	r, err := w.Store.Update(ctx, key, value, last)
	w.mu.Lock()
	held := w.held == key
	w.mu.Unlock()
	if held {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return r, w.answer(err)
}

func (w *way) Delete(ctx context.Context, key string, last uint64) error {
	if err := w.pass(ctx); err != nil {
		return err
	}
	return w.answer(w.Store.Delete(ctx, key, last))
}

func (w *way) Watch(ctx context.Context, prefix string) (state.Stream, error) {
	if err := w.pass(ctx); err != nil {
		return nil, err
	}
	s, err := w.Store.Watch(ctx, prefix)
	if err == nil {
		w.mu.Lock()
		w.streams = append(w.streams, s)
		w.mu.Unlock()
		s = held{s, w}
	}
	return s, err
}

// held is a stream that waits while the way is cut.
type held struct {
	state.Stream
	way *way
}

func (h held) Next(ctx context.Context) (state.Event, error) {
	e, err := h.Stream.Next(ctx)
	if e := h.way.pass(ctx); e != nil {
		return state.Event{}, e
	}
	return e, err
}
