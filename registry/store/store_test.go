package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// testRecord is unsigned: the store does not look.
func testRecord(node byte, seq uint64) envelope.Envelope {
	id := drtc.NodeID{19: node + 1}
	return envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: id, Issuer: id, Seq: seq,
		IssuedAt: time.UnixMilli(1790000000000).UTC(), TTL: 300 * time.Second, Body: []byte{node},
	}
}

func openAt(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// allOf returns the records in order of their keys.
func allOf(s *Store) (all []envelope.Envelope, err error) {
	err = s.Each(context.Background(), 1, func(e envelope.Envelope) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

func write(s *Store, put []envelope.Envelope, remove []record.Key) error {
	return s.Commit(Batch{Put: put, Remove: remove})
}

func sameRecords(t *testing.T, s *Store, want ...envelope.Envelope) {
	t.Helper()
	got, err := allOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}
}

func TestStore_keepsTheLastWriteOfAKeyOverReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	s := openAt(t, dir)
	sameRecords(t, s)
	gone := testRecord(2, 1)
	for _, batch := range [][]envelope.Envelope{{testRecord(1, 1), gone}, {testRecord(1, 2), testRecord(3, 1)}} {
		if err := write(s, batch, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(s, nil, []record.Key{record.KeyOf(&gone)}); err != nil {
		t.Fatal(err)
	}
	sameRecords(t, s, testRecord(1, 2), testRecord(3, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir)
	sameRecords(t, s, testRecord(1, 2), testRecord(3, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_refusesAForeignDirectoryWithASentence(t *testing.T) {
	tests := map[string]struct {
		key, value string
		want       error
		says       string
	}{
		"later schema":    {schemaKey, "2", ErrSchema, "use the program that wrote them"},
		"nonsense schema": {schemaKey, "\x00\xff", ErrSchema, "use the program that wrote them"},
		"other network":   {networkKey, "main", ErrNetwork, "a directory of its own"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openAt(t, dir)
			if err := errors.Join(s.db.Set([]byte(tt.key), []byte(tt.value), pebble.Sync), s.Close()); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want %v that says %q and names the directory", err, tt.want, tt.says)
			}
		})
	}
}

func TestOpen_refusesASecondProcess(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	if _, err := Open(dir, "devnet", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("opened twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEach_refusesWhatCannotBeARecord(t *testing.T) {
	good := testRecord(1, 1)
	other := testRecord(2, 1)
	tests := map[string][]byte{
		"garbage":              []byte("garbage"),
		"nothing":              {},
		"half a record":        good.Bytes()[:40],
		"another key's record": other.Bytes(),
	}
	for name, value := range tests {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, t.TempDir())
			defer s.Close()
			if err := s.db.Set(keyBytes(record.KeyOf(&good)), value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if got, err := allOf(s); !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v, %v, want ErrCorrupt", got, err)
			}
		})
	}
}

// A flipped bit in a table on disk is found by its checksum, not served.
func TestStore_flippedBitOnDiskIsFound(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	var batch []envelope.Envelope
	for i := range byte(100) {
		batch = append(batch, testRecord(i, 1))
	}
	if err := errors.Join(write(s, batch, nil), s.db.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/4] ^= 0x10
		if err := os.WriteFile(table, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err == nil {
		_, err = allOf(s)
		s.Close()
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// The disk is cut off at random instants while writers run. Whatever was
// acknowledged before the cut is there afterwards, and of each batch all or
// nothing.
func TestStore_cutOffAtAnyInstantLosesNothingAcknowledged(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	s, err := open(fs, "records", "devnet", defaultTuning(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const writers, batches = 4, 50
	var acked [writers]atomic.Uint64
	var wg sync.WaitGroup
	for w := range byte(writers) {
		wg.Go(func() {
			for seq := uint64(1); seq <= batches; seq++ { // two keys, always of equal seq
				if err := write(s, []envelope.Envelope{testRecord(2*w, seq), testRecord(2*w+1, seq)}, nil); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				acked[w].Store(seq)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for cuts, running := 0, true; running || cuts < 3; cuts++ {
		select {
		case <-done:
			running = false
		default:
		}
		var before [writers]uint64
		for w := range before {
			before[w] = acked[w].Load()
		}
		checkCut(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(101), RNG: random}), before[:])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkCut(t *testing.T, fs vfs.FS, acked []uint64) {
	t.Helper()
	s, err := open(fs, "records", "devnet", defaultTuning(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("reopening after a cut: %v", err)
	}
	defer s.Close()
	all, err := allOf(s)
	if err != nil {
		t.Fatalf("reading after a cut: %v", err)
	}
	seqs := map[byte]uint64{}
	for _, e := range all {
		seqs[e.Body[0]] = e.Seq
	}
	for w, want := range acked {
		a, b := seqs[byte(2*w)], seqs[byte(2*w+1)]
		if a != b || a < want {
			t.Errorf("writer %d: found seq %d and %d, acknowledged was %d", w, a, b, want)
		}
	}
}

func TestKeyBytes_orderAndDistinct(t *testing.T) {
	a, b := drtc.NodeID{1}, drtc.NodeID{2}
	keys := []record.Key{
		{Kind: "node", Subject: a, Issuer: a}, {Kind: "node", Subject: a, Issuer: b},
		{Kind: "node", Subject: b, Issuer: a}, {Kind: "nodes", Subject: a, Issuer: a}, {Kind: "zz", Subject: a, Issuer: a},
	}
	for i, k := range keys {
		if kb := keyBytes(k); cmp.Compare(string(kb), recordPrefix) < 0 || cmp.Compare(string(kb), recordEnd) >= 0 {
			t.Errorf("%v lies outside the records", k)
		}
		if slices.ContainsFunc(keys[:i], func(o record.Key) bool { return bytes.Equal(keyBytes(o), keyBytes(k)) }) {
			t.Errorf("%v has the bytes of another key", k)
		}
	}
}
