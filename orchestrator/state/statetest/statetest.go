// Package statetest is the suite that every implementation of state.Store must
// pass (whitepaper section 4.1).
//
// Contract: a Store that passes keeps the promises written at state.KV and
// state.Stream, one subtest for each, also under concurrent use (run it with
// -race). It waits for no clock: a call that must end and does not hangs until
// the test's own limit. Use it from an implementation's test:
//
//	statetest.Conformance(t, func(t *testing.T) state.Store { return open(t) })
//
// The function makes an empty Store each time and is called from the goroutine
// of the test that it is given; Stores of several subtests never live at once.
package statetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// Conformance runs the suite. empty makes a Store without any key.
func Conformance(t *testing.T, empty func(t *testing.T) state.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, state.Store)
	}{
		{"Create_thenGet", createThenGet},
		{"Create_refusesAnExistingKey", createRefusesAnExistingKey},
		{"Update_needsTheLastRevision", updateNeedsTheLastRevision},
		{"Delete_needsTheLastRevision", deleteNeedsTheLastRevision},
		{"Delete_thenCreateAnew", deleteThenCreateAnew},
		{"Revision_growsOverAllKeys", revisionGrowsOverAllKeys},
		{"List_isByPrefixAndInOrder", listIsByPrefixAndInOrder},
		{"Value_isCopied", valueIsCopied},
		{"Limits_areKept", limitsAreKept},
		{"Context_doneStopsACall", contextDoneStopsACall},
		{"Update_concurrentLosesNothing", updateConcurrentLosesNothing},
		{"Create_concurrentHasOneWinner", createConcurrentHasOneWinner},
		{"Delete_concurrentHasOneWinner", deleteConcurrentHasOneWinner},
		{"Watch_givesWhatIsThenWhatChanges", watchGivesWhatIsThenWhatChanges},
		{"Watch_ofNothingIsCurrentAtOnce", watchOfNothingIsCurrentAtOnce},
		{"Watch_seesItsPrefixOnly", watchSeesItsPrefixOnly},
		{"Watch_waitsAndEnds", watchWaitsAndEnds},
		{"Watch_slowReaderIsNeverWrong", watchSlowReaderIsNeverWrong},
		{"Watch_slowReaderStopsNobody", watchSlowReaderStopsNobody},
		{"Watch_duringWritesMissesNothing", watchDuringWritesMissesNothing},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, empty(t)) })
	}
	t.Run("Store_behavesAsAMap", func(t *testing.T) { behavesAsAMap(t, empty) })
}

// must is for calls that have no reason to fail.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantError(t testing.TB, doing string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", doing, err, want)
	}
}

func wantEntry(t testing.TB, got state.Entry, key, value string, revision uint64) {
	t.Helper()
	if got.Key != key || string(got.Value) != value || got.Revision != revision {
		t.Errorf("got %s, want %s=%s at %d", text(got), key, value, revision)
	}
}

func text(e state.Entry) string {
	return fmt.Sprintf("%s=%.40s at %d", e.Key, e.Value, e.Revision)
}

func createThenGet(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Get(ctx, "rooms.a")
	wantError(t, "get of a key without a value", err, state.ErrNotFound)
	revision := must[uint64](t)(s.Create(ctx, "rooms.a", []byte("one")))
	if revision == 0 {
		t.Error("the first revision is 0, want 1 or more")
	}
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "rooms.a")), "rooms.a", "one", revision)
	// The empty value is a value.
	revision = must[uint64](t)(s.Create(ctx, "rooms.b", nil))
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "rooms.b")), "rooms.b", "", revision)
	_, err = s.Get(ctx, "rooms")
	wantError(t, "get of a prefix of a key", err, state.ErrNotFound)
}

func createRefusesAnExistingKey(t *testing.T, s state.Store) {
	ctx := t.Context()
	first := must[uint64](t)(s.Create(ctx, "k", []byte("one")))
	_, err := s.Create(ctx, "k", []byte("two"))
	wantError(t, "create of an existing key", err, state.ErrExists)
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "one", first)
}

func updateNeedsTheLastRevision(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Update(ctx, "k", []byte("none"), 0)
	wantError(t, "update of a missing key at 0", err, state.ErrConflict)
	_, err = s.Update(ctx, "k", []byte("none"), 1)
	wantError(t, "update of a missing key at 1", err, state.ErrConflict)
	first := must[uint64](t)(s.Create(ctx, "k", []byte("one")))
	second := must[uint64](t)(s.Update(ctx, "k", []byte("two"), first))
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", second)
	for _, last := range []uint64{0, first, second + 1} {
		_, err := s.Update(ctx, "k", []byte("three"), last)
		wantError(t, fmt.Sprintf("update at %d instead of %d", last, second), err, state.ErrConflict)
	}
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", second)
	// The same value again is a write like any other.
	third := must[uint64](t)(s.Update(ctx, "k", []byte("two"), second))
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", third)
}

func deleteNeedsTheLastRevision(t *testing.T, s state.Store) {
	ctx := t.Context()
	wantError(t, "delete of a missing key", s.Delete(ctx, "k", 1), state.ErrConflict)
	first := must[uint64](t)(s.Create(ctx, "k", []byte("one")))
	second := must[uint64](t)(s.Update(ctx, "k", []byte("two"), first))
	for _, last := range []uint64{0, first, second + 1} {
		wantError(t, fmt.Sprintf("delete at %d instead of %d", last, second), s.Delete(ctx, "k", last), state.ErrConflict)
	}
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", second)
	wantError(t, "delete", s.Delete(ctx, "k", second), nil)
	_, err := s.Get(ctx, "k")
	wantError(t, "get of a deleted key", err, state.ErrNotFound)
	wantError(t, "second delete", s.Delete(ctx, "k", second), state.ErrConflict)
	_, err = s.Update(ctx, "k", []byte("three"), second)
	wantError(t, "update of a deleted key", err, state.ErrConflict)
}

func deleteThenCreateAnew(t *testing.T, s state.Store) {
	ctx := t.Context()
	first := must[uint64](t)(s.Create(ctx, "k", []byte("one")))
	wantError(t, "delete", s.Delete(ctx, "k", first), nil)
	second := must[uint64](t)(s.Create(ctx, "k", []byte("two")))
	if second <= first {
		t.Errorf("the new value has revision %d, want more than %d", second, first)
	}
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", second)
	wantError(t, "delete at the revision before", s.Delete(ctx, "k", first), state.ErrConflict)
}

func revisionGrowsOverAllKeys(t *testing.T, s state.Store) {
	ctx := t.Context()
	var last uint64
	for i := range 20 {
		key := fmt.Sprint("k", i%5)
		var revision uint64
		if e, err := s.Get(ctx, key); err == nil {
			revision = must[uint64](t)(s.Update(ctx, key, nil, e.Revision))
		} else {
			revision = must[uint64](t)(s.Create(ctx, key, nil))
		}
		if revision <= last {
			t.Fatalf("write %d has revision %d after %d", i, revision, last)
		}
		last = revision
	}
}

func listIsByPrefixAndInOrder(t *testing.T, s state.Store) {
	ctx := t.Context()
	keys := []string{"rooms.b.x", "rooms.a", "rooms", "roomsy.a", "rooms.b", "nodes.a", "rooms.c", "Rooms.a"}
	for _, key := range keys {
		must[uint64](t)(s.Create(ctx, key, []byte(key)))
	}
	gone := must[state.Entry](t)(s.Get(ctx, "rooms.c"))
	wantError(t, "delete", s.Delete(ctx, gone.Key, gone.Revision), nil)
	for prefix, want := range map[string][]string{
		"rooms.":   {"rooms.a", "rooms.b", "rooms.b.x"},
		"rooms.b.": {"rooms.b.x"},
		"rooms.a.": nil,
		"none.":    nil,
		"":         {"Rooms.a", "nodes.a", "rooms", "rooms.a", "rooms.b", "rooms.b.x", "roomsy.a"},
	} {
		var got []string
		for _, e := range must[[]state.Entry](t)(s.List(ctx, prefix)) {
			if string(e.Value) != e.Key || e.Revision == 0 {
				t.Errorf("list of %q: entry %s", prefix, text(e))
			}
			got = append(got, e.Key)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("list of %q: got %v, want %v", prefix, got, want)
		}
	}
}

func valueIsCopied(t *testing.T, s state.Store) {
	ctx := t.Context()
	w := must[state.Stream](t)(s.Watch(ctx, ""))
	defer w.Close()
	value := []byte("one")
	revision := must[uint64](t)(s.Create(ctx, "k", value))
	value[0] = 'X'
	must[state.Entry](t)(s.Get(ctx, "k")).Value[0] = 'X'
	must[[]state.Entry](t)(s.List(ctx, ""))[0].Value[0] = 'X'
	for range 2 { // Current and the value, in either order
		if event := must[state.Event](t)(w.Next(ctx)); event.Kind == state.Put {
			event.Entry.Value[0] = 'X'
		}
	}
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "one", revision)
	value = []byte("two")
	revision = must[uint64](t)(s.Update(ctx, "k", value, revision))
	value[0] = 'X'
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "two", revision)
}

func limitsAreKept(t *testing.T, s state.Store) {
	ctx := t.Context()
	longest := make([]byte, state.MaxKeySize)
	for i := range longest {
		longest[i] = 'k'
	}
	largest := make([]byte, state.MaxValueSize)
	revision := must[uint64](t)(s.Create(ctx, string(longest), largest))
	if got := must[state.Entry](t)(s.Get(ctx, string(longest))); len(got.Value) != len(largest) {
		t.Errorf("the largest value came back with %d bytes, want %d", len(got.Value), len(largest))
	}
	must[uint64](t)(s.Update(ctx, string(longest), largest, revision))
	_, err := s.Create(ctx, "k", append(largest, 0))
	wantError(t, "create of too large a value", err, state.ErrTooLarge)
	revision = must[uint64](t)(s.Create(ctx, "k", nil))
	_, err = s.Update(ctx, "k", append(largest, 0), revision)
	wantError(t, "update to too large a value", err, state.ErrTooLarge)
	wantEntry(t, must[state.Entry](t)(s.Get(ctx, "k")), "k", "", revision)
	for key, want := range map[string]error{
		string(longest) + "k": state.ErrTooLarge,
		"":                    state.ErrKey, "a..b": state.ErrKey, "a.": state.ErrKey, "a.*": state.ErrKey, "a b": state.ErrKey,
	} {
		_, err := s.Get(ctx, key)
		wantError(t, fmt.Sprintf("get of %.20q", key), err, want)
		_, err = s.Create(ctx, key, nil)
		wantError(t, fmt.Sprintf("create of %.20q", key), err, want)
		_, err = s.Update(ctx, key, nil, 1)
		wantError(t, fmt.Sprintf("update of %.20q", key), err, want)
		wantError(t, fmt.Sprintf("delete of %.20q", key), s.Delete(ctx, key, 1), want)
	}
	for _, prefix := range []string{"rooms", "..", "*."} {
		_, err := s.List(ctx, prefix)
		wantError(t, fmt.Sprintf("list of %q", prefix), err, state.ErrKey)
		_, err = s.Watch(ctx, prefix)
		wantError(t, fmt.Sprintf("watch of %q", prefix), err, state.ErrKey)
	}
}

func contextDoneStopsACall(t *testing.T, s state.Store) {
	revision := must[uint64](t)(s.Create(t.Context(), "k", []byte("one")))
	w := must[state.Stream](t)(s.Watch(t.Context(), ""))
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "k")
	wantError(t, "get", err, context.Canceled)
	_, err = s.Create(ctx, "new", nil)
	wantError(t, "create", err, context.Canceled)
	_, err = s.Update(ctx, "k", nil, revision)
	wantError(t, "update", err, context.Canceled)
	wantError(t, "delete", s.Delete(ctx, "k", revision), context.Canceled)
	_, err = s.List(ctx, "")
	wantError(t, "list", err, context.Canceled)
	_, err = s.Watch(ctx, "")
	wantError(t, "watch", err, context.Canceled)
	_, err = w.Next(ctx)
	wantError(t, "next", err, context.Canceled)
	// The stream is as it was.
	event := must[state.Event](t)(w.Next(t.Context()))
	wantEntry(t, event.Entry, "k", "one", revision)
}
