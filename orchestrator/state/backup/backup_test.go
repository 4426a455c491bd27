package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/backup"
	"github.com/drtc-network/drtc/orchestrator/state/jetstream"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
)

var at = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func inMemory(t testing.TB) state.Store {
	t.Helper()
	s, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func onDisk(t testing.TB, dir string) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Embedded(t.Context(), jetstream.EmbeddedConfig{Dir: dir, Unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fill(t testing.TB, s state.KV, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := s.Create(t.Context(), key, []byte("of "+key)); err != nil {
			t.Fatal(err)
		}
	}
}

// written is a back-up of a store with three entries, without the members.
func written(t testing.TB) string {
	t.Helper()
	s := inMemory(t)
	fill(t, s, "rooms.a", "rooms.b", "tenures.a", "members.x")
	var file bytes.Buffer
	if n, err := backup.Write(t.Context(), s, &file, 1, at, "members."); n != 3 || err != nil {
		t.Fatalf("wrote %d, %v, want 3", n, err)
	}
	return file.String()
}

func TestRead_putsBackWhatWasWritten(t *testing.T) {
	s := inMemory(t)
	fill(t, s, "members.x") // of one who is there already
	if n, err := backup.Read(t.Context(), s, strings.NewReader(written(t)), 1); n != 3 || err != nil {
		t.Fatalf("read %d, %v, want 3", n, err)
	}
	for _, key := range []string{"rooms.a", "rooms.b", "tenures.a"} {
		if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != "of "+key {
			t.Errorf("%s: got %q, %v", key, e.Value, err)
		}
	}
}

func TestRead_refuses(t *testing.T) {
	file := written(t)
	for name, c := range map[string]struct {
		file string
		want error
		says string
	}{
		"nothing":            {"", backup.ErrFormat, "no first line"},
		"another file":       {"rooms\n", backup.ErrFormat, "does not say"},
		"a newer schema":     {strings.Replace(file, `"schema":1`, `"schema":2`, 1), backup.ErrFormat, "has schema 2 and this version reads 1"},
		"a cut file":         {file[:len(file)/2], backup.ErrDamaged, "ends after"},
		"a file without end": {file[:len(file)-1], backup.ErrDamaged, "ends after entry 3"},
		"a changed value":    {strings.Replace(file, "b2Yg", "b2Yh", 1), backup.ErrDamaged, "digest"},
		"a missing entry":    {strings.Join(append(strings.SplitAfter(file, "\n")[:1], strings.SplitAfter(file, "\n")[2:]...), ""), backup.ErrDamaged, "names 3 entries, there are 2"},
		"more after its end": {file + "x\n", backup.ErrDamaged, "goes on"},
		"a malformed key":    {strings.Replace(file, "rooms.a", "rooms.*", 1), backup.ErrDamaged, "entry 1"},
	} {
		s := inMemory(t)
		_, err := backup.Read(t.Context(), s, strings.NewReader(c.file), 1)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v and %q", name, err, c.want, c.says)
		}
		if left, err := s.List(t.Context(), ""); err != nil || len(left) > 0 {
			t.Errorf("%s: %d entries were put back, %v", name, len(left), err)
		}
	}
}

func TestRead_leavesAStoreWithSuchRoomsAlone(t *testing.T) {
	s := inMemory(t)
	fill(t, s, "rooms.b")
	_, err := backup.Read(t.Context(), s, strings.NewReader(written(t)), 1)
	if !errors.Is(err, backup.ErrNotEmpty) || !strings.Contains(err.Error(), "rooms.b") {
		t.Errorf("got %v, want ErrNotEmpty that names rooms.b", err)
	}
	if left, _ := s.List(t.Context(), ""); len(left) != 1 {
		t.Errorf("got %d entries, want the one that was there", len(left))
	}
}

// A back-up is taken through the socket file of a store that is being written,
// and put into a new directory that another process has open.
func TestWrite_whileOthersUseTheStore(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	s := onDisk(t, dir)
	const rooms = 200
	for i := range rooms {
		fill(t, s, fmt.Sprint("rooms.k", i))
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { // each room is there at every moment
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := fmt.Sprint("rooms.k", i%rooms)
			e, err := s.Get(t.Context(), key)
			if err == nil {
				_, err = s.Update(t.Context(), key, []byte("of "+key), e.Revision)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5 {
		joined, err := jetstream.Join(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if n, err := backup.Write(t.Context(), joined, &file, jetstream.Schema, at); n != rooms || err != nil {
			t.Errorf("wrote %d, %v, want %d", n, err, rooms)
		}
		if err := joined.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			break
		}
		if err := restored(t, other+fmt.Sprint(file.Len()), file.Bytes()); err != nil {
			t.Error(err)
			break
		}
		other = t.TempDir()
	}
	close(stop)
	group.Wait()
}

// restored puts a file into a directory that an Orchestrator has open.
func restored(t *testing.T, dir string, file []byte) error {
	running := onDisk(t, dir)
	fill(t, running, "members.me")
	joined, err := jetstream.Join(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
	if err != nil {
		return err
	}
	if _, err := backup.Read(t.Context(), joined, bytes.NewReader(file), jetstream.Schema); err != nil {
		return err
	}
	if e, err := running.Get(t.Context(), "rooms.k7"); err != nil || string(e.Value) != "of rooms.k7" {
		return fmt.Errorf("after it rooms.k7 is %q, %w", e.Value, err)
	}
	return joined.Close()
}

func FuzzRead(f *testing.F) {
	file := written(f)
	f.Add(file)
	f.Add(file[:len(file)-10])
	f.Add(`{"format":"drtc orchestrator backup","schema":1}` + "\n" + `{"entries":0,"sha256":""}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := inMemory(t)
		n, err := backup.Read(t.Context(), s, strings.NewReader(text), 1)
		left, listErr := s.List(t.Context(), "")
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err == nil && n != len(left) || err != nil && len(left) > 0 {
			t.Errorf("%q: %d read, %v, and %d in the store", text, n, err, len(left))
		}
	})
}
