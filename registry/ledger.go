package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// ledger joins the cores to the disk. It is the api.Backend.
//
// Every change goes into the batch that is open; one writer commits a batch,
// publishes it and wakes those who wait for it, while the next one fills. So
// many updates share one wait for the disk, and the disk sees them in order.
type ledger struct {
	config Config
	id     drtc.NodeID
	store  disk
	log    *slog.Logger
	meter  *meter

	nodes atomic.Pointer[index.Snapshot]

	mu       sync.Mutex // guards all below
	set      *record.Set
	alive    *liveness.Table
	streams  map[liveness.StreamID]*keepAlive
	lastID   liveness.StreamID
	open     *batch
	inflight *batch // being committed, or the last that was
	failure  error  // of the disk; nothing is accepted any more
	digest   string
	stale    bool // digest does not show the latest change

	wake chan struct{} // holds one: the open batch has something
}

// disk is what a ledger asks of registry/store.
type disk interface {
	All() ([]envelope.Envelope, error)
	Write(put []envelope.Envelope, remove []record.Key) error
}

type batch struct {
	put    []envelope.Envelope
	remove []record.Key
	done   chan struct{} // closed after commit and publication, or failure
	err    error         // set before done is closed
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (b *batch) empty() bool { return len(b.put) == 0 && len(b.remove) == 0 }

func newLedger(c Config, id drtc.NodeID, s disk, log *slog.Logger, metrics prometheus.Registerer) (*ledger, error) {
	set, err := record.New(c.rules())
	if err != nil {
		return nil, err
	}
	alive, err := liveness.New(c.liveness(), id)
	if err != nil {
		return nil, err
	}
	l := &ledger{
		config: c, id: id, store: s, log: log, set: set, alive: alive,
		streams: map[liveness.StreamID]*keepAlive{}, open: newBatch(), inflight: newBatch(),
		wake: make(chan struct{}, 1), stale: true,
	}
	close(l.inflight.done)
	l.nodes.Store(new(index.Snapshot).With(nil))
	if l.meter, err = newMeter(metrics, l); err != nil {
		return nil, err
	}
	return l, l.load(time.Now())
}

// load fills the Set and the answers from the disk and drops from the disk what
// has ended since.
func (l *ledger) load(now time.Time) error {
	all, err := l.store.All()
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	var changes []index.Change
	for _, e := range all {
		if _, err := l.set.Restore(now, e); err != nil {
			l.open.remove = append(l.open.remove, record.KeyOf(&e))
			continue
		}
		changes = append(changes, l.change(now, record.KeyOf(&e)))
	}
	l.nodes.Store(l.nodes.Load().With(changes))
	if err := l.store.Write(nil, l.open.remove); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	l.open = newBatch()
	l.refreshDigest()
	return nil
}

// Submit implements api.Backend.
func (l *ledger) Submit(ctx context.Context, e envelope.Envelope) (api.Receipt, error) {
	receipt, wait, err := l.apply(time.Now(), e)
	if wait != nil {
		select {
		case <-wait.done:
			err = errors.Join(err, wait.err)
		case <-ctx.Done():
			return api.Receipt{}, ctx.Err()
		}
	}
	if err != nil {
		return api.Receipt{}, err
	}
	return receipt, nil
}

// apply joins e and returns the batch to wait for.
func (l *ledger) apply(now time.Time, e envelope.Envelope) (receipt api.Receipt, wait *batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return api.Receipt{}, nil, l.failure
	}
	outcome, err := l.set.Apply(now, e)
	l.meter.submitted(outcome, err)
	switch outcome {
	case record.Stored:
		l.open.put = append(l.open.put, e)
		l.rouse()
		if err == nil && l.alive.Renewed(e.Subject, e.IssuedAt) {
			l.log.Info("node is back", slog.String("node", e.Subject.String()))
		}
		return api.Receipt{Accepted: true}, l.open, err
	case record.Known: // perhaps not on disk yet
		if wait = l.inflight; !l.open.empty() {
			wait = l.open
		}
		return api.Receipt{Accepted: true}, wait, err
	case record.Stale:
		held, _ := l.set.Get(record.KeyOf(&e))
		return api.Receipt{Held: held}, nil, nil
	default:
		return api.Receipt{}, nil, err
	}
}

// rouse tells the writer that the open batch has something. It needs mu.
func (l *ledger) rouse() {
	l.stale = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write commits batches until stop is closed and the last is on disk, or the
// disk fails.
func (l *ledger) write(stop <-chan struct{}) error {
	for last := false; !last; {
		select {
		case <-l.wake:
		case <-stop:
			last = true
		}
		l.mu.Lock()
		b := l.open
		l.open, l.inflight = newBatch(), b
		l.mu.Unlock()
		if err := l.commit(b); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) commit(b *batch) error {
	defer close(b.done)
	if b.empty() {
		return nil
	}
	start := time.Now()
	err := l.store.Write(b.put, b.remove)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		b.err = fmt.Errorf("registry: %w", err)
		l.failure = b.err
		l.open.err = b.err // nobody will commit it
		close(l.open.done)
		return b.err
	}
	l.meter.commit.Observe(time.Since(start).Seconds())
	now := time.Now()
	changes := make([]index.Change, 0, len(b.put))
	for i := range b.put {
		changes = append(changes, l.change(now, record.KeyOf(&b.put[i])))
	}
	l.publish(changes)
	return nil
}

// change is what the answers are to say about a record. It needs mu.
func (l *ledger) change(now time.Time, key record.Key) index.Change {
	c := index.Change{ID: key.Subject}
	e, live := l.set.Live(now, key)
	if !live {
		l.forget(key.Subject)
		return c
	}
	payload, err := wire.Node(e.Body)
	if err != nil { // written under older rules
		l.log.Warn("record not shown", slog.String("node", key.Subject.String()), slog.Any("error", err))
		return c
	}
	c.Entry = index.NewEntry(payload, &e)
	c.Entry.Down = l.alive.State(key.Subject) == liveness.Down
	return c
}

// publish needs mu, so that Snapshots follow one another.
func (l *ledger) publish(changes []index.Change) {
	if len(changes) > 0 {
		l.nodes.Store(l.nodes.Load().With(changes))
	}
}

// expireLoop takes out what has ended and forgets what is past mattering.
func (l *ledger) expireLoop(ctx context.Context) {
	ticker := time.NewTicker(l.config.ExpireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			l.expire(now)
		}
	}
}

func (l *ledger) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var changes []index.Change
	for _, id := range l.nodes.Load().IDs() {
		if _, live := l.set.Live(now, nodeKey(id)); !live {
			changes = append(changes, l.change(now, nodeKey(id)))
		}
	}
	l.publish(changes)
	if gone := l.set.Expire(now); len(gone) > 0 {
		l.open.remove = append(l.open.remove, gone...)
		l.rouse()
	}
	if l.stale {
		l.refreshDigest()
	}
}

// refreshDigest needs mu.
func (l *ledger) refreshDigest() {
	d := l.set.Root()
	l.digest, l.stale = hex.EncodeToString(d[:]), false
}

func nodeKey(id drtc.NodeID) record.Key {
	return record.Key{Kind: record.KindNode, Subject: id, Issuer: id}
}

// Held implements api.Backend.
func (l *ledger) Held(id drtc.NodeID) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Get(nodeKey(id))
}

// Nodes implements api.Backend.
func (l *ledger) Nodes() *index.Snapshot { return l.nodes.Load() }

// Health implements api.Backend.
func (l *ledger) Health() api.Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := api.Health{
		Registry: l.id, Network: l.config.Network, Version: drtc.Version,
		Records: l.set.Len(), Nodes: l.nodes.Load().Len(), Digest: l.digest,
	}
	if l.failure != nil {
		h.Problem = "the records cannot be written: " + l.failure.Error()
	}
	return h
}
