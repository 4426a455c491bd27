package store

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/drtc-network/drtc/registry/record"
)

// TestStore_cutOffAtAnyOperationLeavesAPrefix cuts the power right before a
// random write, sync, rename or removal of a file, whoever makes it: the log, a
// flush, a compaction, the start. Data that was not synced is lost in part. What
// opens afterwards is what the first n batches left, with n at or after the last
// that was acknowledged as on disk.
func TestStore_cutOffAtAnyOperationLeavesAPrefix(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for i := range uint64(150) {
		cutOff(t, seed+i)
	}
}

// cut is a disk whose power fails once.
type cut struct {
	mem   *vfs.MemFS
	at    int64 // operation that is not made
	count atomic.Int64
	done  atomic.Bool   // the power has failed
	acked atomic.Uint64 // last batch that is on disk

	once   sync.Once
	random *rand.Rand
	left   *vfs.MemFS // what is on the disk afterwards
	want   uint64     // acked then
}

// MaybeError implements errorfs.Injector; it sees every operation.
func (c *cut) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && c.count.Add(1) == c.at {
		c.now()
	}
	return nil
}

func (c *cut) String() string { return "cut" }

func (c *cut) now() {
	c.once.Do(func() {
		c.want = c.acked.Load()
		c.left = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.random.IntN(101), RNG: c.random})
		c.done.Store(true)
	})
}

func cutOff(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	c := &cut{mem: vfs.NewCrashableMem(), at: 1 + random.Int64N(600), random: rand.New(rand.NewPCG(seed, 2))}
	disk := errorfs.Wrap(c.mem, c)
	small := tuning{memTable: 64 << 10, l0: 2, cache: 1 << 20, keep: int64(random.IntN(2)) << 17}
	state := map[string]uint64{}
	states := []map[string]uint64{maps.Clone(state)} // after each batch
	for n := uint64(1); n <= 60 && !c.done.Load(); {
		s, err := open(disk, "records", "devnet", small, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("seed %d: opening before batch %d: %v", seed, n, err)
		}
		for last := n + random.Uint64N(60); n <= last; n++ {
			b := randomBatch(random, n, state)
			states = append(states, maps.Clone(state))
			if err := s.Commit(b); err != nil {
				t.Fatalf("seed %d: batch %d: %v", seed, n, err)
			}
			if !b.NoWait {
				c.acked.Store(n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatalf("seed %d: closing: %v", seed, err)
		}
		c.acked.Store(n - 1)
	}
	c.now()
	n, got := readState(t, seed, c.left)
	if n < c.want || !maps.Equal(got, states[n]) {
		t.Fatalf("seed %d: cut at operation %d: state is that of batch %d, acknowledged was %d\ngot  %v\nwant %v",
			seed, c.at, n, c.want, got, states[n])
	}
}

// randomBatch changes state as the batch will change the store.
func randomBatch(random *rand.Rand, n uint64, state map[string]uint64) Batch {
	b := Batch{NoWait: random.IntN(3) == 0, Facts: []Fact{{"last", strconv.AppendUint(nil, n, 10)}}}
	for range 1 + random.IntN(4) {
		e := testRecord(byte(random.IntN(12)), n)
		key := record.KeyOf(&e)
		if random.IntN(4) == 0 {
			b.Remove = append(b.Remove, key)
			delete(state, fmt.Sprint(key))
			continue
		}
		e.Body = append(e.Body, make([]byte, random.IntN(4000))...)
		b.Put = append(b.Put, e)
		state[fmt.Sprint(key)] = n
	}
	for _, k := range b.Remove { // removals come after what is put
		delete(state, fmt.Sprint(k))
	}
	return b
}

func readState(t *testing.T, seed uint64, disk vfs.FS) (uint64, map[string]uint64) {
	t.Helper()
	s, err := open(disk, "records", "devnet", defaultTuning(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("seed %d: reopening after the cut: %v", seed, err)
	}
	defer s.Close()
	n, err := lastBatch(s)
	if err != nil {
		t.Fatal(err)
	}
	all, err := allOf(s)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]uint64{}
	for _, e := range all {
		state[fmt.Sprint(record.KeyOf(&e))] = e.Seq
	}
	if s.Rewound() {
		t.Errorf("seed %d: a cut directory needed to go back", seed)
	}
	return n, state
}
