package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// ledger joins the cores to the disk. It is all of the api.Backend.
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

	board api.Board

	mu       sync.Mutex // guards all below
	set      *record.Set
	alive    *liveness.Table
	streams  map[liveness.StreamID]*keepAlive
	lastID   liveness.StreamID
	open     *batch
	inflight *batch // being committed, or the last that was
	failure  error  // of the disk; nothing is accepted any more
	digest   [32]byte
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
	l.board.Publish(new(index.Snapshot).With(changes), l.set.Root(), now)
	if err := l.store.Write(nil, l.open.remove); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	l.open = newBatch()
	l.refreshDigest()
	return nil
}

// Submit implements api.Records.
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
	c.Entry.State = map[liveness.State]index.State{liveness.Up: index.Up, liveness.Down: index.Down}[l.alive.State(key.Subject)]
	return c
}

// publish needs mu, so that Snapshots follow one another.
func (l *ledger) publish(changes []index.Change) {
	if len(changes) > 0 {
		l.board.Publish(l.Nodes().With(changes), l.digest, time.Now())
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
	for _, id := range l.Nodes().IDs() {
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
	l.digest, l.stale = l.set.Root(), false
	l.board.Publish(l.Nodes(), l.digest, time.Now())
}

func nodeKey(id drtc.NodeID) record.Key {
	return record.Key{Kind: record.KindNode, Subject: id, Issuer: id}
}

// Held implements api.Records.
func (l *ledger) Held(id drtc.NodeID) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Get(nodeKey(id))
}

// About implements api.Records: nodes alone are spoken of, by themselves.
func (l *ledger) About(kind string, subject drtc.NodeID) []envelope.Envelope {
	if e, ok := l.Held(subject); ok && kind == record.KindNode {
		return []envelope.Envelope{e}
	}
	return nil
}

// MinGeneration implements api.Records: nothing is revoked.
func (l *ledger) MinGeneration(drtc.NodeID) uint64 { return 0 }

// Admission implements api.Records: nobody attests yet.
func (l *ledger) Admission() ([]byte, []envelope.Envelope) { return nil, nil }

// Nodes returns what is shown.
func (l *ledger) Nodes() *index.Snapshot { return l.board.View().Nodes }

// View implements api.Nodes.
func (l *ledger) View() api.View { return l.board.View() }

// Probers implements api.Nodes: every Registry watches over its own.
func (l *ledger) Probers(drtc.NodeID) []api.Prober { return nil }

// Peers implements api.Peering: this Registry is alone.
func (l *ledger) Peers() ([]string, []api.Peer) { return nil, nil }

// backend is the ledger as the API sees it.
func (l *ledger) backend() api.Backend {
	return api.Backend{Registry: l.id, Network: l.config.Network, Records: l, Nodes: l, Peering: l, Health: l.Health}
}

// Health reports how the Registry is.
func (l *ledger) Health() api.Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := api.Health{Version: drtc.Version, Records: l.set.Len()}
	if l.failure != nil {
		h.Problem = "the records cannot be written: " + l.failure.Error()
	}
	return h
}
