package memory_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
	"github.com/drtc-network/drtc/orchestrator/state/statetest"
)

func open(t testing.TB, c memory.Config) *memory.Store {
	t.Helper()
	s, err := memory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	statetest.Conformance(t, func(t *testing.T) state.Store { return open(t, memory.Config{}) })
}

// A few deleted keys are kept at most, so that many paths of the suite end in
// ErrLagging; what is read before that must hold all the same.
func TestConformance_ofDeletionsAlmostAtOnceForgotten(t *testing.T) {
	statetest.Conformance(t, func(t *testing.T) state.Store { return open(t, memory.Config{MaxDeleted: 20}) })
}

func TestStore_isFullAtMaxBytes(t *testing.T) {
	ctx := t.Context()
	s := open(t, memory.Config{MaxBytes: 10})
	first, err := s.Create(ctx, "a", []byte("1234"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Create(ctx, "b", []byte("1234"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, "c", nil); !errors.Is(err, state.ErrFull) {
		t.Errorf("an eleventh byte: got %v, want ErrFull", err)
	}
	if _, err := s.Update(ctx, "a", []byte("12345"), first); !errors.Is(err, state.ErrFull) {
		t.Errorf("a longer value: got %v, want ErrFull", err)
	}
	if first, err = s.Update(ctx, "a", []byte("123"), first); err != nil {
		t.Errorf("a shorter value: %v", err)
	}
	if _, err := s.Create(ctx, "c", nil); err != nil {
		t.Errorf("in the byte that became free: %v", err)
	}
	if err := s.Delete(ctx, "b", second); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, "a", []byte("12345678"), first); err != nil {
		t.Errorf("in the bytes of a deleted key: %v", err)
	}
}

func TestStream_slowReaderGetsTheLastValueOnly(t *testing.T) {
	ctx := t.Context()
	s := open(t, memory.Config{})
	w, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	revision, err := s.Create(ctx, "k", nil)
	for i := 0; i < 1000 && err == nil; i++ {
		revision, err = s.Update(ctx, "k", []byte(fmt.Sprint(i)), revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 2 {
		event, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(event.Entry.Value))
	}
	if got[0] != "" || got[1] != "999" {
		t.Errorf("got %q, want Current and 999", got)
	}
}

func TestStream_deletionsAreKeptForSlowReadersUpToALimit(t *testing.T) {
	ctx := t.Context()
	s := open(t, memory.Config{MaxDeleted: 3})
	cycle := func(n int) {
		t.Helper()
		for i := range n {
			key := fmt.Sprint("k", i)
			revision, err := s.Create(ctx, key, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(ctx, key, revision); err != nil {
				t.Fatal(err)
			}
		}
	}
	watch := func() state.Stream {
		t.Helper()
		w, err := s.Watch(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	cycle(100) // nobody watches: nobody misses anything
	three, four := watch(), watch()
	defer three.Close()
	defer four.Close()
	cycle(3)
	for want := range 4 {
		event, err := three.Next(ctx)
		if err != nil || (want > 0 && event.Kind != state.Deleted) {
			t.Errorf("event %d of three deletions: got %+v, %v", want, event, err)
		}
	}
	revision, err := s.Create(ctx, "fourth", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "fourth", revision); err != nil {
		t.Fatal(err)
	}
	if _, err := four.Next(ctx); !errors.Is(err, state.ErrLagging) {
		t.Errorf("after a fourth deletion: got %v, want ErrLagging", err)
	}
	if event, err := three.Next(ctx); err != nil || event.Entry.Key != "fourth" {
		t.Errorf("the reader who kept up: got %+v, %v", event, err)
	}
	late := watch()
	defer late.Close()
	if event, err := late.Next(ctx); err != nil || event.Kind != state.Current {
		t.Errorf("a new watch: got %+v, %v", event, err)
	}
}

// A key that has a value again is no deletion to keep.
func TestStream_recreatedKeysAreNotCountedAsDeleted(t *testing.T) {
	ctx := t.Context()
	s := open(t, memory.Config{MaxDeleted: 1})
	w, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 10 {
		key := fmt.Sprint("k", i)
		revision, err := s.Create(ctx, key, nil)
		if err == nil {
			err = s.Delete(ctx, key, revision)
		}
		if err == nil {
			_, err = s.Create(ctx, key, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 11 { // Current and ten values
		if event, err := w.Next(ctx); err != nil || (i > 0 && event.Kind != state.Put) {
			t.Errorf("event %d: got %+v, %v", i, event, err)
		}
	}
}

// A stream that is read slowly must not keep what was overwritten or deleted.
func TestStream_slowReaderHoldsLittleMemory(t *testing.T) {
	ctx := t.Context()
	s := open(t, memory.Config{})
	unread, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	const keys, size = 1000, 50 << 10 // 50 MB
	revisions := make([]uint64, keys)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	value := make([]byte, size)
	for i := range revisions {
		if revisions[i], err = s.Create(ctx, fmt.Sprint("k", i), value); err == nil {
			revisions[i], err = s.Update(ctx, fmt.Sprint("k", i), value, revisions[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	begun, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	if _, err := begun.Next(ctx); err != nil {
		t.Fatal(err)
	}
	for i, revision := range revisions {
		if err := s.Delete(ctx, fmt.Sprint("k", i), revision); err != nil {
			t.Fatal(err)
		}
	}
	if more := heap() - before; more > 8<<20 {
		t.Errorf("the heap grew by %d bytes, want less than 8 MiB", more)
	}
	runtime.KeepAlive(s)
}

func TestConfig_namesTheField(t *testing.T) {
	for field, c := range map[string]memory.Config{
		"MaxBytes":   {MaxBytes: -1},
		"MaxDeleted": {MaxDeleted: -1},
	} {
		if _, err := memory.New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want an error that names %s", err, field)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	ctx := b.Context()
	s := open(b, memory.Config{})
	var revision uint64
	for i := range 10_000 {
		var err error
		if revision, err = s.Create(ctx, fmt.Sprint("k", i), []byte("value")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if revision, err = s.Update(ctx, "k9999", []byte("value"), revision); err != nil {
			b.Fatal(err)
		}
	}
}
