package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc/envelope"
)

// The test binary is also the process that writes and is killed.
const (
	writerMark = "store-writer"
	writerKeys = 40 // keys of a batch; all of a batch have the same seq
	writerSize = 30 // batches of different keys
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == writerMark {
		if err := writeForEver(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver prints the number of each batch that waited for the disk, when
// that is done. Batch n puts writerKeys records with seq n and a fact, and every
// third does not wait. The numbers are so wide that a pipe holds no more than 8:
// the process cannot run far ahead of who reads them.
func writeForEver(dir string) error {
	s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	n, err := lastBatch(s)
	if err != nil {
		return err
	}
	for {
		n++
		noWait := n%3 == 0
		if err := s.Commit(Batch{Put: numbered(n), Facts: []Fact{{"last", strconv.AppendUint(nil, n, 10)}}, NoWait: noWait}); err != nil {
			return err
		}
		if !noWait {
			fmt.Printf("%08191d\n", n)
		}
	}
}

// numbered is about 80 KB, none of which compresses.
func numbered(n uint64) []envelope.Envelope {
	var noise [2048]byte
	random := rand.NewChaCha8([32]byte{byte(n)})
	random.Read(noise[:])
	put := make([]envelope.Envelope, writerKeys)
	for i := range put {
		put[i] = testRecord(byte(i), n)
		put[i].Subject[0], put[i].Body = byte(n%writerSize), noise[i:]
	}
	return put
}

func lastBatch(s *Store) (uint64, error) {
	text, ok, err := s.Fact("last")
	if err != nil || !ok {
		return 0, err
	}
	return strconv.ParseUint(string(text), 10, 64)
}

// checkPrefix requires that the directory opens at exactly what the batches 1 to
// n left, for some n, and returns it.
func checkPrefix(t *testing.T, dir string) (n uint64, rewound bool) {
	t.Helper()
	s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("reopening: %v", err)
	}
	defer s.Close()
	n, err = lastBatch(s)
	if err != nil {
		t.Fatal(err)
	}
	all, err := allOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := int(min(n, writerSize)) * writerKeys; len(all) != want {
		t.Errorf("%d records after batch %d, want %d", len(all), n, want)
	}
	for _, e := range all {
		if e.Seq > n || e.Seq+writerSize <= n || e.Seq%writerSize != uint64(e.Subject[0]) {
			t.Fatalf("a record of batch %d is of batch %d; the state is that of batch %d", e.Subject[0], e.Seq, n)
		}
	}
	return n, s.Rewound()
}

// writer is a running writeForEver.
type writer struct {
	cmd   *exec.Cmd
	acked *bufio.Scanner
}

func startWriter(t *testing.T, dir string) *writer {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{cmd: exec.Command(program, writerMark, dir)}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.acked = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // of one that a failed test left
		_ = w.cmd.Wait()
	})
	return w
}

// next returns the next acknowledged batch, 0 at the end.
func (w *writer) next(t *testing.T) uint64 {
	t.Helper()
	if !w.acked.Scan() {
		return 0
	}
	n, err := strconv.ParseUint(w.acked.Text(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *writer) skip(t *testing.T, batches int) (last uint64) {
	t.Helper()
	for range batches {
		if last = w.next(t); last == 0 {
			t.Fatal("the writer ended by itself")
		}
	}
	return last
}

// kill is kill -9. It returns the last batch that was acknowledged, not below
// last.
func (w *writer) kill(t *testing.T, last uint64) uint64 {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for n := w.next(t); n != 0; n = w.next(t) {
		last = n
	}
	var exit *exec.ExitError
	if err := w.cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended with %v, want killed", err)
	}
	return last
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestStore_killedProcessLosesNothingAcknowledged kills a real process 20 times
// at random moments, each time over what the last one left.
func TestStore_killedProcessLosesNothingAcknowledged(t *testing.T) {
	random := seeded(t)
	dir := filepath.Join(t.TempDir(), "records")
	for range 20 {
		w := startWriter(t, dir)
		acked := w.kill(t, w.skip(t, 1+random.IntN(120)))
		n, rewound := checkPrefix(t, dir)
		if n < acked || rewound {
			t.Fatalf("reopened at batch %d, rewound %v; acknowledged was %d", n, rewound, acked)
		}
	}
}

// copyFiles copies a directory as cp does: one listing, then file by file. What
// is gone meanwhile is left out.
func copyFiles(t *testing.T, from string) (to string) {
	t.Helper()
	to = t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		b, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, entry.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// What is rewritten does not stay on disk: 50 MB of updates of 2.4 MB of records.
func TestStore_rewritesLeaveLittleOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	for n := range uint64(600) {
		if err := s.Commit(Batch{Put: numbered(n + 1), NoWait: true}); err != nil {
			t.Fatal(err)
		}
		if size := diskBytes(t, dir); size > 22<<20 {
			t.Fatalf("%d bytes on disk after %d batches", size, n)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if size := diskBytes(t, dir); size > 8<<20 {
		t.Errorf("%d bytes on disk after the end", size)
	}
}

// TestStore_copyOfAStoppedProcessOpens copies the directory while the writer is
// held in the middle of whatever it was doing.
func TestStore_copyOfAStoppedProcessOpens(t *testing.T) {
	random := seeded(t)
	dir := filepath.Join(t.TempDir(), "records")
	w := startWriter(t, dir)
	for range 10 {
		acked := w.skip(t, 1+random.IntN(60))
		if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		waitStopped(t, w.cmd.Process.Pid)
		to := copyFiles(t, dir)
		if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if n, rewound := checkPrefix(t, to); n < acked || rewound {
			t.Fatalf("the copy opens at batch %d, rewound %v; acknowledged was %d", n, rewound, acked)
		}
	}
	w.kill(t, 0)
}

// waitStopped waits until every thread stands still.
func waitStopped(t *testing.T, pid int) {
	t.Helper()
	for stopped := false; !stopped; {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(stats) == 0 {
			t.Fatalf("threads of %d: %v", pid, err)
		}
		stopped = true
		for _, name := range stats {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			state := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
			stopped = stopped && state == "T"
		}
	}
}

// TestStore_copyOfARunningProcessOpensAtAnEarlierInstant copies file by file
// while the writer writes as fast as it can. The copy opens, no earlier than
// the instant at which it began.
func TestStore_copyOfARunningProcessOpensAtAnEarlierInstant(t *testing.T) {
	random := seeded(t)
	dir := filepath.Join(t.TempDir(), "records")
	w := startWriter(t, dir)
	rewinds := 0
	for range 40 {
		acked := w.skip(t, 1+random.IntN(40))
		to := copyFiles(t, dir)
		n, rewound := checkPrefix(t, to)
		if n < acked {
			t.Fatalf("the copy opens at batch %d, rewound %v; when it began %d was acknowledged", n, rewound, acked)
		}
		if rewound {
			rewinds++
		}
		if m, again := checkPrefix(t, to); m != n || again {
			t.Fatalf("opened again, it is at batch %d, rewound %v; it was at %d", m, again, n)
		}
	}
	t.Logf("%d copies of 40 were in disorder", rewinds)
	w.kill(t, 0)
}
