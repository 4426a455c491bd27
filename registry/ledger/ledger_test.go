package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/record"
)

// memory is a disk that can break and that can be made to wait.
type memory struct {
	gate chan struct{} // nil: no waiting; else one write for each value

	mu      sync.Mutex // guards all below
	records map[record.Key]envelope.Envelope
	broken  error
	synced  []bool // of each write
}

func newMemory() *memory { return &memory{records: map[record.Key]envelope.Envelope{}} }

func (m *memory) Each(f func(envelope.Envelope) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.records {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Write(put []envelope.Envelope, remove []record.Key, sync bool) error {
	if m.gate != nil {
		<-m.gate
	}
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
	m.synced = append(m.synced, sync)
	return nil
}

func (m *memory) has(k record.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.records[k]
	return ok
}

func (m *memory) breakNow(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

// follower writes down what it is told.
type follower struct {
	mu        sync.Mutex // guards all below
	changed   []record.Key
	submitted []envelope.Envelope
	caught    []record.Equivocation
}

func (f *follower) Changed(_ time.Time, keys []record.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = append(f.changed, keys...)
}

func (f *follower) Submitted(all []envelope.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submitted = append(f.submitted, all...)
}

func (f *follower) Caught(c []record.Equivocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caught = append(f.caught, c...)
}

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *identity.Key, seq uint64, body string) envelope.Envelope {
	t.Helper()
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: k.ID(), Seq: seq, IssuedAt: time.Now(), TTL: 300 * time.Second, Body: []byte(body),
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

// run opens a ledger and runs it to the end of the test.
func run(t *testing.T, disk *memory, f *follower, change func(*ledger.Config)) *ledger.Ledger {
	t.Helper()
	rules := record.DefaultRules("devnet")
	rules.Kinds = []record.Kind{record.NodeKind(nil)}
	c := ledger.DefaultConfig(rules)
	if change != nil {
		change(&c)
	}
	l, err := ledger.Open(time.Now(), c, disk, f, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.Run(stop) }()
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; !errors.Is(err, disk.broken) {
			t.Errorf("the writer ended with %v, want %v", err, disk.broken)
		}
	})
	return l
}

func TestSubmit_returnsWhenOnDiskAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, f := newMemory(), &follower{}
		l := run(t, disk, f, nil)
		e := sign(t, newKey(t), 1, "")
		begun := time.Now()
		o, _, err := l.Submit(t.Context(), e)
		if o != record.Stored || err != nil {
			t.Fatalf("got %s, %v, want stored", o, err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("waited %s for company, want none: somebody waits", took)
		}
		key := record.KeyOf(&e)
		if !disk.has(key) || !slices.Equal(disk.synced, []bool{true}) {
			t.Errorf("on disk %v, synced %v, want there and synced", disk.has(key), disk.synced)
		}
		if !slices.Equal(f.changed, []record.Key{key}) {
			t.Errorf("told of %v, want of the record", f.changed)
		}
		synctest.Wait()
		if len(f.submitted) != 1 || f.submitted[0].Hash() != e.Hash() {
			t.Errorf("for others: %v, want the record", f.submitted)
		}
	})
}

func TestSubmit_aKnownRecordWaitsForItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		disk.gate = make(chan struct{})
		l := run(t, disk, &follower{}, nil)
		e := sign(t, newKey(t), 1, "")
		answers := make(chan record.Outcome, 2)
		submit := func() {
			o, _, err := l.Submit(t.Context(), e)
			if err != nil {
				t.Error(err)
			}
			answers <- o
		}
		go submit()
		synctest.Wait() // it is being written
		go submit()
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatal("acknowledged before it was on disk")
		}
		disk.gate <- struct{}{}
		if a, b := <-answers, <-answers; a == b {
			t.Errorf("got %s twice, want stored and known", a)
		}
	})
}

func TestSubmit_aStaleRecordShowsWhatStandsInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, newMemory(), &follower{}, nil)
		k := newKey(t)
		second := sign(t, k, 2, "")
		if _, _, err := l.Submit(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		o, held, err := l.Submit(t.Context(), sign(t, k, 1, ""))
		if o != record.Stale || err != nil || held.Hash() != second.Hash() {
			t.Errorf("got %s, %v, %v, want stale and the second record", o, held.Seq, err)
		}
	})
}

func TestSubmit_whoGivesUpIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		disk.gate = make(chan struct{})
		l := run(t, disk, &follower{}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := l.Submit(ctx, sign(t, newKey(t), 1, "")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		close(disk.gate)
	})
}

func TestTake_isMergedAtOnceAndOnDiskSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, f := newMemory(), &follower{}
		l := run(t, disk, f, nil)
		var all []envelope.Envelope
		for range 40 { // enough for several goroutines
			all = append(all, sign(t, newKey(t), 1, ""))
		}
		forged := sign(t, newKey(t), 1, "")
		forged.Seq = 2
		results := l.Take(time.Now(), append(slices.Clone(all), forged), record.Gossiped)
		for i := range all {
			if results[i].Outcome != record.Stored || results[i].Err != nil {
				t.Fatalf("record %d: got %s, %v, want stored", i, results[i].Outcome, results[i].Err)
			}
			if _, held := l.Get(record.KeyOf(&all[i])); !held {
				t.Fatalf("record %d is not held", i)
			}
		}
		if last := results[len(all)]; !errors.Is(last.Err, envelope.ErrSignature) {
			t.Errorf("the forged one: got %v, want ErrSignature", last.Err)
		}
		time.Sleep(51 * time.Millisecond)
		synctest.Wait()
		if !slices.Equal(disk.synced, []bool{false}) || len(f.changed) != len(all) || len(f.submitted) != 0 {
			t.Errorf("writes %v, told of %d, for others %d; want one write without waiting, all and none", disk.synced, len(f.changed), len(f.submitted))
		}
	})
}

func TestTake_waitsWhenTheDiskIsFarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemory()
		disk.gate = make(chan struct{})
		l := run(t, disk, &follower{}, func(c *ledger.Config) { c.MaxOpen = 2 })
		batch := func() []envelope.Envelope {
			return []envelope.Envelope{sign(t, newKey(t), 1, ""), sign(t, newKey(t), 1, "")}
		}
		l.Take(time.Now(), batch(), record.Synced)
		time.Sleep(time.Second) // it is being written
		l.Take(time.Now(), batch(), record.Synced)
		third := make(chan struct{})
		go func() {
			l.Take(time.Now(), batch(), record.Synced)
			close(third)
		}()
		synctest.Wait()
		select {
		case <-third:
			t.Error("a third batch did not wait")
		default:
		}
		close(disk.gate)
		<-third
	})
}

// When the disk fails nothing is acknowledged any more.
func TestSubmit_brokenDisk(t *testing.T) {
	disk := newMemory()
	synctest.Test(t, func(t *testing.T) {
		l := run(t, disk, &follower{}, nil)
		k := newKey(t)
		if _, _, err := l.Submit(t.Context(), sign(t, k, 1, "")); err != nil {
			t.Fatal(err)
		}
		noSpace := errors.New("no space left")
		disk.breakNow(noSpace)
		second := sign(t, k, 2, "")
		for range 2 { // the second time it is known, and still not on disk
			if _, _, err := l.Submit(t.Context(), second); !errors.Is(err, noSpace) {
				t.Errorf("got %v, want the disk's error", err)
			}
		}
		if r := l.Take(time.Now(), []envelope.Envelope{sign(t, newKey(t), 1, "")}, record.Gossiped); !errors.Is(r[0].Err, noSpace) {
			t.Errorf("from the network: got %v, want the disk's error", r[0].Err)
		}
		if err := l.Failure(); !errors.Is(err, noSpace) {
			t.Errorf("failure: got %v", err)
		}
	})
}

func TestRun_forgetsOnDiskToo(t *testing.T) {
	disk := newMemory()
	synctest.Test(t, func(t *testing.T) {
		l := run(t, disk, &follower{}, nil)
		e := sign(t, newKey(t), 1, "")
		if _, _, err := l.Submit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		key := record.KeyOf(&e)
		time.Sleep(900 * time.Second)
		if _, held := l.Get(key); !held || !disk.has(key) {
			t.Error("no mark is held after its life")
		}
		time.Sleep(102 * time.Second)
		synctest.Wait()
		if _, held := l.Get(key); held || disk.has(key) {
			t.Error("held for ever")
		}
	})
}

// The greater hash of two records of one version is held, and the issuer named.
func TestTake_catchesWhoSignsTwoOfOneVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{}
		l := run(t, newMemory(), f, nil)
		k := newKey(t)
		l.Take(time.Now(), []envelope.Envelope{sign(t, k, 7, "one"), sign(t, k, 7, "another")}, record.Gossiped)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(f.caught) != 1 || f.caught[0].Offender != k.ID() {
			t.Errorf("caught %v, want %s once", f.caught, k.ID())
		}
	})
}

func TestOpen_dropsWhatIsPast(t *testing.T) {
	disk := newMemory()
	good, past := sign(t, newKey(t), 1, ""), envelope.Envelope{}
	synctest.Test(t, func(t *testing.T) { past = sign(t, newKey(t), 1, "") }) // in the year 2000
	if err := disk.Write([]envelope.Envelope{good, past}, nil, true); err != nil {
		t.Fatal(err)
	}
	l := run(t, disk, &follower{}, nil)
	if l.Len() != 1 || disk.has(record.KeyOf(&past)) || !disk.has(record.KeyOf(&good)) {
		t.Errorf("holds %d, on disk the past one %v, want the living one alone", l.Len(), disk.has(record.KeyOf(&past)))
	}
}
