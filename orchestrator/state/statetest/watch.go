package statetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/orchestrator/state"
)

func watchGivesWhatIsThenWhatChanges(t *testing.T, s state.Store) {
	ctx := t.Context()
	a := must[uint64](t)(s.Create(ctx, "rooms.a", []byte("1")))
	b := must[uint64](t)(s.Create(ctx, "rooms.b", []byte("1")))
	gone := must[uint64](t)(s.Create(ctx, "rooms.gone", nil))
	wantError(t, "delete", s.Delete(ctx, "rooms.gone", gone), nil)
	a = must[uint64](t)(s.Update(ctx, "rooms.a", []byte("2"), a))
	w := must[state.Stream](t)(s.Watch(ctx, "rooms."))
	defer w.Close()
	next := func(kind state.Kind, key, value string, revision uint64) {
		t.Helper()
		event := must[state.Event](t)(w.Next(ctx))
		if event.Kind != kind {
			t.Fatalf("got kind %d of %s, want kind %d of %s=%s at %d", event.Kind, text(event.Entry), kind, key, value, revision)
		}
		wantEntry(t, event.Entry, key, value, revision)
	}
	next(state.Put, "rooms.b", "1", b)
	next(state.Put, "rooms.a", "2", a)
	next(state.Current, "", "", 0)
	b = must[uint64](t)(s.Update(ctx, "rooms.b", []byte("2"), b))
	next(state.Put, "rooms.b", "2", b)
	wantError(t, "delete", s.Delete(ctx, "rooms.a", a), nil)
	event := must[state.Event](t)(w.Next(ctx))
	if event.Kind != state.Deleted || event.Entry.Key != "rooms.a" || event.Entry.Value != nil || event.Entry.Revision <= b {
		t.Errorf("got kind %d of %s, want the deletion of rooms.a after %d", event.Kind, text(event.Entry), b)
	}
	a = must[uint64](t)(s.Create(ctx, "rooms.a", []byte("3")))
	next(state.Put, "rooms.a", "3", a)
}

func watchOfNothingIsCurrentAtOnce(t *testing.T, s state.Store) {
	w := must[state.Stream](t)(s.Watch(t.Context(), "rooms."))
	defer w.Close()
	if event := must[state.Event](t)(w.Next(t.Context())); event.Kind != state.Current {
		t.Errorf("got kind %d of %s, want Current", event.Kind, text(event.Entry))
	}
}

func watchSeesItsPrefixOnly(t *testing.T, s state.Store) {
	ctx := t.Context()
	keys := []string{"rooms", "rooms.a", "roomsy.a", "rooms.a.b", "nodes.a"}
	for _, key := range keys[:3] {
		must[uint64](t)(s.Create(ctx, key, nil))
	}
	w := must[state.Stream](t)(s.Watch(ctx, "rooms."))
	defer w.Close()
	for _, key := range keys[3:] {
		must[uint64](t)(s.Create(ctx, key, nil))
	}
	for _, key := range keys {
		e := must[state.Entry](t)(s.Get(ctx, key))
		wantError(t, "delete", s.Delete(ctx, key, e.Revision), nil)
	}
	must[uint64](t)(s.Create(ctx, "rooms.end", nil))
	for {
		event := must[state.Event](t)(w.Next(ctx))
		switch event.Entry.Key {
		case "rooms.end":
			return
		case "rooms.a", "rooms.a.b":
		default:
			if event.Kind != state.Current {
				t.Errorf("the watch of rooms. gives kind %d of %s", event.Kind, text(event.Entry))
			}
		}
	}
}

func watchWaitsAndEnds(t *testing.T, s state.Store) {
	ctx := t.Context()
	w := must[state.Stream](t)(s.Watch(ctx, ""))
	must[state.Event](t)(w.Next(ctx)) // Current
	type answer struct {
		event state.Event
		err   error
	}
	answers := make(chan answer)
	ask := func(ctx context.Context) {
		go func() {
			event, err := w.Next(ctx)
			answers <- answer{event, err}
		}()
	}
	ask(ctx)
	revision := must[uint64](t)(s.Create(ctx, "k", []byte("1")))
	got := <-answers
	wantError(t, "a next that waits for a write", got.err, nil)
	wantEntry(t, got.event.Entry, "k", "1", revision)

	done, cancel := context.WithCancel(ctx)
	ask(done)
	cancel()
	wantError(t, "a next whose context ends", (<-answers).err, context.Canceled)

	ask(ctx)
	w.Close()
	wantError(t, "a next when the stream is closed", (<-answers).err, state.ErrClosed)
	_, err := w.Next(ctx)
	wantError(t, "a next after that", err, state.ErrClosed)
	w.Close()

	// Closing one leaves the others.
	one, other := must[state.Stream](t)(s.Watch(ctx, "")), must[state.Stream](t)(s.Watch(ctx, ""))
	defer other.Close()
	one.Close()
	wantEntry(t, must[state.Event](t)(other.Next(ctx)).Entry, "k", "1", revision)
}

// replica is what a reader of a Stream knows.
type replica struct {
	values  map[string]string
	last    uint64
	current bool
}

// take holds an event against the contract and applies it.
func (r *replica) take(t failer, event state.Event) {
	t.Helper()
	switch {
	case event.Kind == state.Current && r.current:
		t.Fatalf("Current comes twice")
	case event.Kind == state.Current:
		r.current = true
		return
	case event.Entry.Revision <= r.last:
		t.Fatalf("%s comes after revision %d", text(event.Entry), r.last)
	case event.Kind == state.Deleted && !r.current:
		t.Fatalf("the deletion of %s comes before Current", text(event.Entry))
	}
	r.last = event.Entry.Revision
	if event.Kind == state.Deleted {
		delete(r.values, event.Entry.Key)
	} else {
		r.values[event.Entry.Key] = string(event.Entry.Value)
	}
}

// failer is testing.T or rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// readUntil applies events up to the revision. It reports false if the stream
// admits that it missed something.
func (r *replica) readUntil(ctx context.Context, t failer, w state.Stream, revision uint64) bool {
	t.Helper()
	for !r.current || r.last < revision {
		event, err := w.Next(ctx)
		if errors.Is(err, state.ErrLagging) {
			return false
		}
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		r.take(t, event)
	}
	return true
}

func watchSlowReaderIsNeverWrong(t *testing.T, s state.Store) {
	ctx := t.Context()
	w := must[state.Stream](t)(s.Watch(ctx, ""))
	defer w.Close()
	want := map[string]string{}
	revisions := map[string]uint64{}
	for i := range 20_000 {
		key, value := fmt.Sprint("k", i%7, ".", i%11), fmt.Sprint(i)
		last, exists := revisions[key]
		switch {
		case exists && i%3 == 0:
			wantError(t, "delete", s.Delete(ctx, key, last), nil)
			delete(want, key)
			delete(revisions, key)
		case exists:
			revisions[key] = must[uint64](t)(s.Update(ctx, key, []byte(value), last))
			want[key] = value
		default:
			revisions[key] = must[uint64](t)(s.Create(ctx, key, []byte(value)))
			want[key] = value
		}
	}
	end := must[uint64](t)(s.Create(ctx, "end", nil))
	want["end"] = ""
	r := replica{values: map[string]string{}}
	if r.readUntil(ctx, t, w, end) && !maps.Equal(r.values, want) {
		t.Errorf("the reader ends with %v, want %v", r.values, want)
	}
}

func watchSlowReaderStopsNobody(t *testing.T, s state.Store) {
	ctx := t.Context()
	slow, quick := must[state.Stream](t)(s.Watch(ctx, "")), must[state.Stream](t)(s.Watch(ctx, ""))
	defer slow.Close()
	defer quick.Close()
	r := replica{values: map[string]string{}}
	for i := range 20_000 {
		revision := must[uint64](t)(s.Create(ctx, fmt.Sprint("k", i), nil))
		if !r.readUntil(ctx, t, quick, revision) {
			t.Fatal("a reader that reads each event is told that it fell behind")
		}
		wantError(t, "delete", s.Delete(ctx, fmt.Sprint("k", i), revision), nil)
		for len(r.values) > 0 {
			r.take(t, must[state.Event](t)(quick.Next(ctx)))
		}
	}
}

func watchDuringWritesMissesNothing(t *testing.T, s state.Store) {
	ctx := t.Context()
	const writers, each = 4, 200
	var readers, writing sync.WaitGroup
	for range writers {
		readers.Go(func() {
			w, err := s.Watch(ctx, "rooms.")
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			values := map[string]string{}
			var last uint64
			for len(values) < writers || !allEqual(values, fmt.Sprint(each)) {
				event, err := w.Next(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if event.Kind == state.Current {
					continue
				}
				if event.Entry.Revision <= last {
					t.Errorf("%s comes after revision %d", text(event.Entry), last)
				}
				last = event.Entry.Revision
				values[event.Entry.Key] = string(event.Entry.Value)
			}
		})
	}
	for writer := range writers {
		writing.Go(func() {
			key := fmt.Sprint("rooms.", writer)
			revision, err := s.Create(ctx, key, []byte("0"))
			for i := 1; i <= each && err == nil; i++ {
				revision, err = s.Update(ctx, key, []byte(fmt.Sprint(i)), revision)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	readers.Wait()
}

func allEqual(values map[string]string, want string) bool {
	for _, v := range values {
		if v != want {
			return false
		}
	}
	return true
}

// behavesAsAMap puts random writes to the store and to a map, and reads streams
// at random moments.
func behavesAsAMap(t *testing.T, empty func(t *testing.T) state.Store) {
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		s := empty(t)
		model := map[string]state.Entry{}
		var last uint64
		type reader struct {
			stream state.Stream
			replica
		}
		var readers []*reader
		defer func() {
			for _, r := range readers {
				r.stream.Close()
			}
		}()
		key := rapid.SampledFrom([]string{"a", "b.x", "b.y", "b.x.z"})
		put := func(k, value string, revision uint64) {
			if revision <= last {
				rt.Fatalf("revision %d after %d", revision, last)
			}
			last = revision
			model[k] = state.Entry{Key: k, Value: []byte(value), Revision: revision}
		}
		answer := func(doing string, err, want error) bool {
			if !errors.Is(err, want) {
				rt.Fatalf("%s: got %v, want %v", doing, err, want)
			}
			return err == nil
		}
		// named is the key's revision, or now and then another.
		named := func(rt *rapid.T, k string) (uint64, error) {
			e, exists := model[k]
			if !exists || rapid.IntRange(0, 3).Draw(rt, "wrong") == 0 {
				return e.Revision + 1, state.ErrConflict
			}
			return e.Revision, nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				k, value := key.Draw(rt, "key"), rapid.StringN(0, 3, -1).Draw(rt, "value")
				var want error
				if _, exists := model[k]; exists {
					want = state.ErrExists
				}
				revision, err := s.Create(ctx, k, []byte(value))
				if answer("create "+k, err, want) {
					put(k, value, revision)
				}
			},
			"update": func(rt *rapid.T) {
				k, value := key.Draw(rt, "key"), rapid.StringN(0, 3, -1).Draw(rt, "value")
				at, want := named(rt, k)
				revision, err := s.Update(ctx, k, []byte(value), at)
				if answer("update "+k, err, want) {
					put(k, value, revision)
				}
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				at, want := named(rt, k)
				if answer("delete "+k, s.Delete(ctx, k, at), want) {
					delete(model, k)
				}
			},
			"watch": func(rt *rapid.T) {
				if len(readers) < 3 {
					w, err := s.Watch(ctx, "")
					answer("watch", err, nil)
					readers = append(readers, &reader{w, replica{values: map[string]string{}}})
				}
			},
			"read": func(rt *rapid.T) {
				if len(readers) == 0 {
					return
				}
				// All that happened shows in a last key, which is then removed again.
				r := rapid.SampledFrom(readers).Draw(rt, "reader")
				revision, err := s.Create(ctx, "end", nil)
				answer("create end", err, nil)
				if !r.readUntil(ctx, rt, r.stream, revision) {
					rt.Fatalf("a few deletions are too many")
				}
				want := map[string]string{"end": ""}
				for k, e := range model {
					want[k] = string(e.Value)
				}
				if !maps.Equal(r.values, want) {
					rt.Fatalf("a reader knows %v, want %v", r.values, want)
				}
				last = revision
				answer("delete end", s.Delete(ctx, "end", revision), nil)
			},
			"": func(rt *rapid.T) {
				entries, err := s.List(ctx, "")
				answer("list", err, nil)
				if len(entries) != len(model) {
					rt.Fatalf("list has %d entries, want %d", len(entries), len(model))
				}
				for _, e := range entries {
					if text(e) != text(model[e.Key]) {
						rt.Fatalf("list has %s, want %s", text(e), text(model[e.Key]))
					}
				}
			},
		})
	})
}
