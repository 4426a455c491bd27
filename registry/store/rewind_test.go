package store

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/drtc-network/drtc/envelope"
)

// flushed fills a directory with a few tables and logs that are long gone.
func flushed(t *testing.T) (dir string, want []envelope.Envelope) {
	t.Helper()
	dir = t.TempDir()
	s := openAt(t, dir)
	for node := range byte(5) {
		want = append(want, testRecord(node, 1))
		if err := errors.Join(write(s, want[node:], nil), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, want
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A table that is lost is damage: nothing in the directory tells what was in it,
// so no earlier instant is whole, and no other file is thrown away.
func TestOpen_lostTableIsDamageNotACopy(t *testing.T) {
	dir, _ := flushed(t)
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) < 2 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	_, err = Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "restore a back-up or start empty") {
		t.Errorf("got %v, want ErrCorrupt that says what to do", err)
	}
	if _, err := OpenReadOnly(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("reading only: got %v, want ErrCorrupt", err)
	}
	for _, n := range before {
		if after := names(t, dir); !slices.Contains(after, n) {
			t.Errorf("%s is gone, left are %v", n, after)
		}
	}
}

// Pebble does not miss a log; a state with a gap would not be of any instant.
func TestLogsFollow_noticesAGap(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	defer s.Close()
	for node := range byte(4) { // logs that are out of use stay while s is open
		if err := errors.Join(write(s, []envelope.Envelope{testRecord(node, 1)}, nil), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(s, []envelope.Envelope{testRecord(9, 1)}, nil); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) < 4 {
		t.Fatalf("logs: %v, %v", logs, err)
	}
	first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(logs[0]), ".log"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for missing, want := range map[int]bool{-1: true, 0: false, 1: false, len(logs) - 2: false, len(logs) - 1: true} {
		to := copyFiles(t, dir)
		if missing >= 0 {
			if err := os.Remove(filepath.Join(to, filepath.Base(logs[missing]))); err != nil {
				t.Fatal(err)
			}
		}
		if got := logsFollow(vfs.Default, to, first); got != want {
			t.Errorf("without log %d of %d: got %v, want %v", missing, len(logs), got, want)
		}
	}
}

// The marker moves when the manifest is begun anew. A copy that saw the old one
// in the listing and no longer found it has none.
func TestOpen_copyWithoutMarkerOpens(t *testing.T) {
	dir, want := flushed(t)
	markers, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
	if err != nil || len(markers) != 1 {
		t.Fatalf("markers: %v, %v", markers, err)
	}
	if err := os.Remove(markers[0]); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	s, err := OpenReadOnly(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	sameRecords(t, s, want...)
	if !s.Rewound() {
		t.Error("Rewound is false")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := names(t, dir); !slices.Equal(after, before) {
		t.Errorf("reading changed the directory from %v to %v", before, after)
	}
	s = openAt(t, dir)
	sameRecords(t, s, want...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenReadOnly_saysWhatIsNotThere(t *testing.T) {
	empty := t.TempDir()
	for name, dir := range map[string]string{"no directory": filepath.Join(empty, "none"), "empty": empty} {
		if _, err := OpenReadOnly(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want ErrAbsent that names the directory", name, err)
		}
	}
	if n := names(t, empty); len(n) != 0 {
		t.Errorf("reading left %v behind", n)
	}
	dir, _ := flushed(t)
	s := openAt(t, dir)
	if _, err := OpenReadOnly(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("open elsewhere: got %v, want ErrInUse that says what to do", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzOldestLog(f *testing.F) {
	f.Add([]byte{1, 3, 'a', 'b', 'c', 2, 7, 3, 9}) // comparer, oldest log, next number
	f.Add([]byte{2, 0x80, 1})
	f.Add([]byte{3, 9, 2, 7})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := oldestLog(b); n != 0 && len(b) < 2 {
			t.Errorf("read log %d from %x", n, b)
		}
	})
}
