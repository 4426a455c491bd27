package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
)

// memory is a disk that can break.
type memory struct {
	mu      sync.Mutex // guards all below
	records map[record.Key]envelope.Envelope
	broken  error
}

func (m *memory) All() ([]envelope.Envelope, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []envelope.Envelope
	for _, e := range m.records {
		all = append(all, e)
	}
	return all, nil
}

func (m *memory) Write(put []envelope.Envelope, remove []record.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	for _, e := range put {
		m.records[record.KeyOf(&e)] = e
	}
	for _, k := range remove {
		delete(m.records, k)
	}
	return nil
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

func (m *memory) breakNow(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func testNode(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testRecord(t *testing.T, k *identity.Key, seq uint64, flags envelope.Flags) envelope.Envelope {
	t.Helper()
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: k.ID(), Seq: seq, IssuedAt: time.Now(), TTL: 300 * time.Second, Flags: flags,
	}
	if flags == 0 {
		var err error
		if e.Body, err = proto.Marshal(&registryv1.NodeBody{NodeId: k.ID().String(), PubKey: k.Public().Hex(), Url: "http://127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

// runLedger runs a ledger with its loops, to the end of a bubble of virtual time.
func runLedger(t *testing.T, disk *memory) *ledger {
	t.Helper()
	c := DefaultConfig()
	c.Network, c.Dir = "devnet", "unused"
	l, err := newLedger(c, drtc.NodeID{1}, disk, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop, ended := make(chan struct{}), make(chan error, 1)
	go l.expireLoop(ctx)
	go l.keepAliveLoop(ctx)
	go func() { ended <- l.write(stop) }()
	t.Cleanup(func() {
		cancel()
		close(stop)
		if err := <-ended; !errors.Is(err, disk.broken) {
			t.Errorf("the writer ended with %v, want %v", err, disk.broken)
		}
	})
	return l
}

func newMemory() *memory { return &memory{records: map[record.Key]envelope.Envelope{}} }

func submit(t *testing.T, l *ledger, e envelope.Envelope) {
	t.Helper()
	if a, err := l.Submit(t.Context(), e); err != nil || !a.Accepted {
		t.Fatalf("submit: got %+v, %v, want accepted", a, err)
	}
}

func shown(l *ledger, k *identity.Key) bool { _, ok := l.Nodes().Get(k.ID()); return ok }

// With the network's times a record is shown for 330 s and stands in the way
// for 990 s, on disk too.
func TestLedger_lifeOfARecord(t *testing.T) {
	disk := newMemory()
	synctest.Test(t, func(t *testing.T) {
		l := runLedger(t, disk)
		k := testNode(t)
		submit(t, l, testRecord(t, k, 1, 0))
		time.Sleep(329 * time.Second)
		synctest.Wait()
		if !shown(l, k) {
			t.Error("not shown within its grace")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if shown(l, k) {
			t.Error("shown after its grace")
		}
		if _, held := l.Held(k.ID()); !held || disk.len() != 1 {
			t.Error("no mark is held after its grace")
		}
		time.Sleep(660 * time.Second)
		synctest.Wait()
		if _, held := l.Held(k.ID()); held || disk.len() != 0 {
			t.Errorf("after 992 s: held %v, on disk %d, want nothing", held, disk.len())
		}
	})
}

// The promise in real terms: a node that answers with the network's times stays,
// and one that dies is out within 10 s.
func TestLedger_silentNodeIsOutWithin10s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := runLedger(t, newMemory())
		k := testNode(t)
		submit(t, l, testRecord(t, k, 1, 0))
		stream, err := l.OpenKeepAlive(k.ID())
		if err != nil {
			t.Fatal(err)
		}
		for alive := time.Now().Add(time.Minute); time.Now().Before(alive); {
			nonce := <-stream.Nonces()
			if err := stream.Pong(nonce[:], k.SignMessage(liveness.Message(l.id, nonce))); err != nil {
				t.Fatal(err)
			}
			if !shown(l, k) {
				t.Fatal("a node that answers is not shown")
			}
		}
		died := time.Now()
		for range stream.Nonces() { // asked, and silent, until the Registry gives up
		}
		synctest.Wait()
		if took := time.Since(died); took > 10*time.Second || shown(l, k) {
			t.Errorf("shown %v after %s of silence, want out within 10s", shown(l, k), took)
		}
		stream.Close()
	})
}

func TestLedger_leavingEndsTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := runLedger(t, newMemory())
		k := testNode(t)
		submit(t, l, testRecord(t, k, 1, 0))
		stream, err := l.OpenKeepAlive(k.ID())
		if err != nil {
			t.Fatal(err)
		}
		<-stream.Nonces()
		submit(t, l, testRecord(t, k, 2, envelope.Tombstone))
		if _, open := <-stream.Nonces(); open {
			t.Error("the stream goes on")
		}
		stream.Close()
		if shown(l, k) || l.alive.Streams() != 0 {
			t.Errorf("shown %v, streams %d, want out and none", shown(l, k), l.alive.Streams())
		}
	})
}

// When the disk fails nothing is acknowledged, and the Registry says so.
func TestLedger_brokenDisk(t *testing.T) {
	disk := newMemory()
	synctest.Test(t, func(t *testing.T) {
		l := runLedger(t, disk)
		k := testNode(t)
		first := testRecord(t, k, 1, 0)
		submit(t, l, first)
		noSpace := errors.New("no space left")
		disk.breakNow(noSpace)
		second := testRecord(t, k, 2, 0)
		for range 2 { // the second time it is known, and still not on disk
			if a, err := l.Submit(t.Context(), second); !errors.Is(err, noSpace) {
				t.Errorf("got %+v, %v, want the disk's error", a, err)
			}
		}
		if h := l.Health(); !strings.Contains(h.Problem, "no space left") {
			t.Errorf("health: got %+v, want the problem", h)
		}
		if e, _ := l.Nodes().Get(k.ID()); e == nil || e.Version != first.Version() {
			t.Errorf("shown: got %+v, want what is on disk", e)
		}
	})
}

func TestNewLedger_dropsWhatIsPast(t *testing.T) {
	disk := newMemory()
	k, old := testNode(t), testNode(t)
	good, past := testRecord(t, k, 1, 0), testRecord(t, old, 1, 0)
	past.IssuedAt = time.Now().Add(-time.Hour)
	if err := errors.Join(past.Sign(old), disk.Write([]envelope.Envelope{good, past}, nil)); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Network = "devnet"
	l, err := newLedger(c, drtc.NodeID{1}, disk, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if ids := l.Nodes().IDs(); !slices.Equal(ids, []drtc.NodeID{k.ID()}) || disk.len() != 1 {
		t.Errorf("shown %v, on disk %d, want the living node alone", ids, disk.len())
	}
}
