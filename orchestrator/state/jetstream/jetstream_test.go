package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	library "github.com/nats-io/nats.go/jetstream"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/jetstream"
	"github.com/drtc-network/drtc/orchestrator/state/statetest"
)

func embedded(t testing.TB, c jetstream.EmbeddedConfig) *jetstream.Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := jetstream.Embedded(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *jetstream.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

func TestEmbedded_conforms(t *testing.T) {
	t.Parallel()
	statetest.Conformance(t, func(t *testing.T) state.Store {
		return embedded(t, jetstream.EmbeddedConfig{Unsynced: true}) // the same code but for the fsync
	})
}

const token = "a token of members"

// A second member over TCP keeps the same promises.
func TestConnect_conforms(t *testing.T) {
	t.Parallel()
	n := 0
	server := embedded(t, jetstream.EmbeddedConfig{Unsynced: true, Listen: "127.0.0.1:0", Token: token, MaxBytes: 16 << 30})
	statetest.Conformance(t, func(t *testing.T) state.Store {
		n++
		return connect(t, jetstream.ConnectConfig{
			URLs: []string{server.URL()}, Token: token, Bucket: fmt.Sprint("bucket-", n), MaxBytes: 8 << 20,
		})
	})
}

func connect(t testing.TB, c jetstream.ConnectConfig) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func put(t testing.TB, s state.KV, key, value string) uint64 {
	t.Helper()
	revision, err := s.Create(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func want(t testing.TB, s state.KV, key, value string) {
	t.Helper()
	if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != value {
		t.Errorf("%s: got %q, %v, want %q", key, e.Value, err, value)
	}
}

func TestEmbedded_keepsWhatItHasOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := embedded(t, jetstream.EmbeddedConfig{Dir: dir})
	first := put(t, s, "rooms.a", "1")
	last := put(t, s, "rooms.gone", "")
	if err := s.Delete(t.Context(), "rooms.gone", last); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = embedded(t, jetstream.EmbeddedConfig{Dir: dir})
	want(t, s, "rooms.a", "1")
	if _, err := s.Get(t.Context(), "rooms.gone"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a deleted key: got %v, want ErrNotFound", err)
	}
	if again := put(t, s, "rooms.gone", "2"); again <= first {
		t.Errorf("revision %d after %d", again, first)
	}
}

func TestEmbedded_hasOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := embedded(t, jetstream.EmbeddedConfig{Dir: dir})
	if _, err := jetstream.Embedded(t.Context(), jetstream.EmbeddedConfig{Dir: dir}); !errors.Is(err, jetstream.ErrInUse) {
		t.Fatalf("a second one: got %v, want ErrInUse", err)
	}
	put(t, s, "k", "1")
	other, err := jetstream.Join(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want(t, other, "k", "1")
	put(t, other, "l", "2")
	want(t, s, "l", "2")
	closeStore(t, other)
	want(t, s, "l", "2")
	closeStore(t, s)
	// Nobody has it now, so who joins opens it.
	other, err = jetstream.Join(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want(t, other, "l", "2")
	closeStore(t, other)
}

// The socket file is for this user alone, and its name may be as long as any.
func TestJoin_throughALongNameAndForThisUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	embedded(t, jetstream.EmbeddedConfig{Dir: dir})
	other, err := jetstream.Join(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, other)
	for name, mode := range map[string]os.FileMode{"": 0o700, "store.sock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: got %v, %v, want %v", name, info.Mode().Perm(), err, mode)
		}
	}
}

func TestConnect_needsTheToken(t *testing.T) {
	server := embedded(t, jetstream.EmbeddedConfig{Listen: "127.0.0.1:0", Token: token})
	_, err := jetstream.Connect(t.Context(), jetstream.ConnectConfig{URLs: []string{server.URL()}, Token: "something else here"})
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("got %v, want an authorization violation", err)
	}
}

func TestClose_endsEverything(t *testing.T) {
	s := embedded(t, jetstream.EmbeddedConfig{})
	w, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := w.Next(t.Context())
		ended <- err
	}()
	closeStore(t, s)
	if err := <-ended; !errors.Is(err, state.ErrClosed) {
		t.Errorf("a watch that waits: got %v, want ErrClosed", err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, state.ErrClosed) {
		t.Errorf("get: got %v, want ErrClosed", err)
	}
	if _, err := s.Create(t.Context(), "k", nil); !errors.Is(err, state.ErrClosed) {
		t.Errorf("create: got %v, want ErrClosed", err)
	}
	closeStore(t, s)
}

func TestEmbedded_isBounded(t *testing.T) {
	s := embedded(t, jetstream.EmbeddedConfig{MaxBytes: 8 << 20, Unsynced: true})
	value := make([]byte, 256<<10)
	var revisions []uint64
	var err error
	for i := 0; err == nil && i < 40; i++ {
		var revision uint64
		if revision, err = s.Create(t.Context(), fmt.Sprint("k", i), value); err == nil {
			revisions = append(revisions, revision)
		}
	}
	if !errors.Is(err, state.ErrFull) || len(revisions) < 30 {
		t.Fatalf("after %d values of 256 KiB: got %v, want ErrFull after 31", len(revisions), err)
	}
	if revisions[0], err = s.Update(t.Context(), "k0", value, revisions[0]); err != nil {
		t.Errorf("a value of the same size in a full store: %v", err)
	}
	if err := s.Delete(t.Context(), "k0", revisions[0]); err != nil {
		t.Errorf("a deletion in a full store: %v", err)
	}
	put(t, s, "new", "1")
	if bytes, most, err := s.Size(t.Context()); err != nil || most != 8<<20 || bytes > most || bytes < 7<<20 {
		t.Errorf("size: got %d of %d, %v", bytes, most, err)
	}
}

// What another program or a newer version wrote is left alone.
func TestConnect_refusesWhatIsNotItsOwn(t *testing.T) {
	server := embedded(t, jetstream.EmbeddedConfig{Listen: "127.0.0.1:0", Token: token, MaxBytes: 1 << 30})
	conn, err := nats.Connect(server.URL(), nats.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := library.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for says, metadata := range map[string]map[string]string{
		"is not an Orchestrator's":                        nil,
		"has schema 2 and this version knows 1: run a ne": {"drtc-orchestrator-schema": "2"},
		"has schema 0, which this version can't read":     {"drtc-orchestrator-schema": "0"},
		"which is no number":                              {"drtc-orchestrator-schema": "two"},
	} {
		_, err := js.CreateOrUpdateKeyValue(t.Context(), library.KeyValueConfig{Bucket: "foreign", Metadata: metadata, MaxBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		_, err = jetstream.Connect(t.Context(), jetstream.ConnectConfig{URLs: []string{server.URL()}, Token: token, Bucket: "foreign"})
		if !errors.Is(err, jetstream.ErrSchema) || !strings.Contains(err.Error(), says) {
			t.Errorf("metadata %v: got %v, want ErrSchema and %q", metadata, err, says)
		}
	}
}

func TestConfig_namesTheField(t *testing.T) {
	for field, c := range map[string]jetstream.EmbeddedConfig{
		"Dir":                 {},
		"MaxBytes":            {Dir: "d", MaxBytes: 1},
		"Token: want one":     {Dir: "d", Listen: "127.0.0.1:0"},
		"Token: want 16":      {Dir: "d", Token: "short"},
		"Listen: want an IP":  {Dir: "d", Listen: "localhost:1", Token: token},
		"Listen: want a loop": {Dir: "d", Listen: "0.0.0.0:1", Token: token},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: got %v, want it to name %s", c, err, field)
		}
	}
	urls := []string{"nats://127.0.0.1:1"}
	for field, c := range map[string]jetstream.ConnectConfig{
		"URLs":        {},
		"Bucket":      {URLs: urls, Bucket: "a.b"},
		"Replicas":    {URLs: urls, Replicas: 6},
		"MaxBytes":    {URLs: urls, MaxBytes: 1},
		"Credentials": {URLs: urls, Credentials: "f", Token: "t"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: got %v, want it to name %s", c, err, field)
		}
	}
}

// writerEnv makes this test binary the process that is killed.
const writerEnv = "DRTC_TEST_STORE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		fmt.Fprintln(os.Stderr, write(dir, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// write counts up in ten keys, makes and deletes others, and says each
// acknowledged write, until it is killed.
func write(dir string, out io.Writer) error {
	ctx := context.Background()
	s, err := jetstream.Embedded(ctx, jetstream.EmbeddedConfig{Dir: dir})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprint("rooms.k", i%10)
		e, err := s.Get(ctx, key)
		n, _ := strconv.Atoi(string(e.Value)) // 0 of a new key
		n++
		if errors.Is(err, state.ErrNotFound) {
			_, err = s.Create(ctx, key, []byte(strconv.Itoa(n)))
		} else if err == nil {
			_, err = s.Update(ctx, key, []byte(strconv.Itoa(n)), e.Revision)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, key, n)
		key = fmt.Sprint("rooms.gone", os.Getpid(), "-", i)
		revision, err := s.Create(ctx, key, nil)
		if err == nil {
			err = s.Delete(ctx, key, revision)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, key, gone)
	}
}

// gone is what the writer says of a key that it deleted.
const gone = -1

func TestEmbedded_losesNothingWhenItIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said := map[string]int{}
	for kill := range 20 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), writerEnv+"="+dir)
		var complaints strings.Builder
		child.Stderr = &complaints
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		heard := 0
		for lines.Scan() {
			key, number, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatalf("the writer said %q", lines.Text())
			}
			said[key] = n
			if heard++; heard == 40+17*kill {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		if heard < 40 {
			t.Fatalf("kill %d: the writer ended by itself: %s", kill, complaints.String())
		}
		s, err := jetstream.Embedded(t.Context(), jetstream.EmbeddedConfig{Dir: dir})
		if err != nil {
			t.Fatalf("kill %d: opening after it: %v", kill, err)
		}
		entries, err := s.List(t.Context(), "rooms.")
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int{}
		for _, e := range entries {
			found[e.Key], _ = strconv.Atoi(string(e.Value))
		}
		for key, n := range said {
			if got, ok := found[key]; ok != (n != gone) || got < n {
				t.Errorf("kill %d: %s is at %d (%t), %d was acknowledged", kill, key, got, ok, n)
			}
		}
		closeStore(t, s)
	}
}

// The server inside costs little. The numbers are in docs/benchmarks.md.
func TestEmbedded_startsQuicklyAndTakesLittleMemory(t *testing.T) {
	dir := t.TempDir()
	s := embedded(t, jetstream.EmbeddedConfig{Dir: dir, Unsynced: true})
	value := make([]byte, 4<<10)
	for i := range 5000 {
		put(t, s, fmt.Sprint("rooms.k", i), string(value))
	}
	closeStore(t, s)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, goroutines, began := heap(), runtime.NumGoroutine(), time.Now()
	s = embedded(t, jetstream.EmbeddedConfig{Dir: dir})
	took := time.Since(began)
	more := heap() - before
	t.Logf("with 5000 rooms of 4 KiB: open in %v, %d KiB of heap, %d goroutines", took, more>>10, runtime.NumGoroutine()-goroutines)
	if took > 2*time.Second || more > 16<<20 {
		t.Errorf("opened in %v with %d KiB of heap, want less than 2 s and 16 MiB", took, more>>10)
	}
	want(t, s, "rooms.k4999", string(value))
}

func BenchmarkUpdate(b *testing.B) {
	for name, unsynced := range map[string]bool{"synced": false, "unsynced": true} {
		b.Run(name, func(b *testing.B) {
			s := embedded(b, jetstream.EmbeddedConfig{Unsynced: unsynced})
			value := make([]byte, 4<<10) // a room of five
			revision := put(b, s, "rooms.k", "")
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if revision, err = s.Update(b.Context(), "rooms.k", value, revision); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := embedded(b, jetstream.EmbeddedConfig{Unsynced: true})
	put(b, s, "rooms.k", string(make([]byte, 4<<10)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "rooms.k"); err != nil {
			b.Fatal(err)
		}
	}
}

// A key that is overwritten again and again is in every list.
func TestList_missesNothingThatMoves(t *testing.T) {
	s := embedded(t, jetstream.EmbeddedConfig{Unsynced: true})
	const keys = 100
	for i := range keys {
		put(t, s, fmt.Sprint("rooms.k", i), "")
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			e, err := s.Get(t.Context(), fmt.Sprint("rooms.k", i%keys))
			if err == nil {
				_, err = s.Update(t.Context(), e.Key, nil, e.Revision)
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 50 {
		entries, err := s.List(t.Context(), "rooms.")
		if err != nil || len(entries) != keys {
			t.Fatalf("got %d entries, %v, want %d", len(entries), err, keys)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// The server goes and comes back: calls fail meanwhile, and a watch goes
// on where it was.
func TestConnect_reconnects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := jetstream.EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Token: token}
	server := embedded(t, c)
	c.Listen = strings.TrimPrefix(server.URL(), "nats://")
	s := connect(t, jetstream.ConnectConfig{URLs: []string{server.URL()}, Token: token})
	first := put(t, s, "rooms.a", "1")
	w, err := s.Watch(t.Context(), "rooms.")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	next := func(kind state.Kind, key string) {
		t.Helper()
		if e, err := w.Next(t.Context()); err != nil || e.Kind != kind || e.Entry.Key != key {
			t.Errorf("got %+v, %v, want kind %d of %q", e, err, kind, key)
		}
	}
	next(state.Put, "rooms.a")
	next(state.Current, "")
	closeStore(t, server)
	began := time.Now()
	if _, err := s.Create(t.Context(), "rooms.b", nil); err == nil || errors.Is(err, state.ErrClosed) || time.Since(began) > 6*time.Second {
		t.Errorf("without a server: got %v after %v, want an error soon", err, time.Since(began))
	}
	server = embedded(t, c)
	last := put(t, server, "rooms.c", "3")
	if err := server.Delete(t.Context(), "rooms.a", first); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := s.Get(t.Context(), "rooms.c")
		if err == nil {
			if e.Revision != last || string(e.Value) != "3" {
				t.Errorf("got %+v, want revision %d", e, last)
			}
			break
		}
	}
	next(state.Put, "rooms.c")
	next(state.Deleted, "rooms.a")
}
