package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// Config of a Ledger. Start from DefaultConfig.
type Config struct {
	Rules record.Rules
	// Gather is how long records from other Registries wait for company before
	// they are committed.
	Gather time.Duration
	// ExpireEvery is the time between looks for marks to forget.
	ExpireEvery time.Duration
	// MaxOpen is how many records may wait for the disk before Take does.
	MaxOpen int
}

// DefaultConfig returns the usual times with the given rules.
func DefaultConfig(rules record.Rules) Config {
	return Config{Rules: rules, Gather: 50 * time.Millisecond, ExpireEvery: time.Second, MaxOpen: 8192}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Gather < 0:
		return fmt.Errorf("ledger: Gather must not be negative, is %s", c.Gather)
	case c.ExpireEvery <= 0:
		return fmt.Errorf("ledger: ExpireEvery must be above 0, is %s", c.ExpireEvery)
	case c.MaxOpen < 1:
		return fmt.Errorf("ledger: MaxOpen must be at least 1, is %d", c.MaxOpen)
	}
	return c.Rules.Validate()
}

// Disk is where records are kept.
type Disk interface {
	// Each reads every record and calls back from several goroutines at once. An
	// error of the callback ends it.
	Each(func(envelope.Envelope) error) error
	// Write puts and removes in one batch and, with sync, waits for the disk.
	Write(put []envelope.Envelope, remove []record.Key, sync bool) error
}

// Observer follows a Ledger. Its methods are called by one goroutine at a time
// and without a lock held.
type Observer interface {
	// Changed names the records that were committed or forgotten, after the
	// disk has them and before those who wait for it wake.
	Changed(now time.Time, keys []record.Key)
	// Submitted has the records that did not come from another Registry, after
	// Changed and before those who wait wake.
	Submitted([]envelope.Envelope)
	// Caught is told of issuers that signed two records of one version.
	Caught([]record.Equivocation)
}

// Ledger is the records of one Registry. Make one with Open, then call Run.
type Ledger struct {
	config   Config
	disk     Disk
	observer Observer
	meter    *meter

	mu       sync.Mutex // guards all below
	set      *record.Set
	open     *batch
	inflight *batch // being committed, or the last that was
	failure  error  // of the disk; nothing is accepted any more

	wake  chan struct{} // holds one: the open batch has something
	hurry chan struct{} // holds one: somebody waits for the open batch
}

type batch struct {
	put     []envelope.Envelope
	remove  []record.Key
	ours    []envelope.Envelope // of put, what others are to hear
	caught  []record.Equivocation
	awaited bool
	done    chan struct{} // closed after commit and Changed, or failure
	err     error         // set before done is closed
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (b *batch) empty() bool { return len(b.put) == 0 && len(b.remove) == 0 && len(b.caught) == 0 }

// Open fills a Ledger from the disk and drops from the disk what has ended
// since. The Observer hears only of what comes later.
func Open(now time.Time, c Config, d Disk, o Observer, metrics prometheus.Registerer) (*Ledger, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	set, err := record.New(c.Rules)
	if err != nil {
		return nil, err
	}
	m, err := newMeter(metrics)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		config: c, disk: d, observer: o, meter: m, set: set, open: newBatch(), inflight: newBatch(),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	close(l.inflight.done)
	var past []record.Key
	err = d.Each(func(e envelope.Envelope) error {
		hash := e.Hash() // what costs most is done outside of the lock
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, err := set.Restore(now, e, hash); err != nil {
			past = append(past, record.KeyOf(&e))
		}
		return nil
	})
	if err == nil && len(past) > 0 {
		err = d.Write(nil, past, false)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return l, nil
}

// Submit joins a record that was made for this Registry and waits until it is
// on disk. With outcome Stale, held is the newer record that stands in the way.
// The errors are those of registry/record and envelope, of the kind's rule and
// of the disk.
func (l *Ledger) Submit(ctx context.Context, e envelope.Envelope) (o record.Outcome, held envelope.Envelope, err error) {
	o, wait, err := l.join(time.Now(), e, record.Submitted)
	if o == record.Stale {
		held, _ = l.Get(record.KeyOf(&e))
	}
	if wait != nil {
		select {
		case <-wait.done:
			err = errors.Join(err, wait.err)
		case <-ctx.Done():
			return o, held, ctx.Err()
		}
	}
	return o, held, err
}

// join brings in one record. wait is the batch that it goes to disk with, if
// the caller has to wait for one.
func (l *Ledger) join(now time.Time, e envelope.Envelope, p record.Path) (o record.Outcome, wait *batch, err error) {
	l.mu.Lock()
	failure := l.failure
	if failure == nil {
		o, err = l.set.Judge(now, &e, p)
	}
	l.mu.Unlock()
	if failure != nil {
		return record.Refused, nil, failure
	}
	if o == record.Stored {
		if bad := l.set.Genuine(&e); bad != nil {
			l.meter.count(p, record.Refused, bad)
			return record.Refused, nil, bad
		}
		o, wait, err = l.merge(now, e, p)
	} else if o == record.Known && p == record.Submitted {
		wait = l.pending()
	}
	l.meter.count(p, o, err)
	return o, wait, err
}

// merge joins a record that was found genuine.
func (l *Ledger) merge(now time.Time, e envelope.Envelope, p record.Path) (o record.Outcome, wait *batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return record.Refused, nil, l.failure
	}
	o, err = l.set.Merge(now, e, p)
	l.open.caught = append(l.open.caught, l.set.Equivocations()...)
	switch o {
	case record.Stored:
		l.open.put = append(l.open.put, e)
		if p == record.Submitted {
			l.open.ours = append(l.open.ours, e)
			l.await()
			wait = l.open
		}
		l.rouse()
	case record.Known: // somebody else was quicker
		if p == record.Submitted {
			wait = l.unwritten()
		}
	}
	return o, wait, err
}

// pending is the batch that has not been written yet, which may hold what is
// known already.
func (l *Ledger) pending() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unwritten()
}

// unwritten needs mu.
func (l *Ledger) unwritten() *batch {
	if l.open.empty() {
		return l.inflight
	}
	l.await()
	return l.open
}

// await has the open batch written at once. It needs mu.
func (l *Ledger) await() {
	if !l.open.awaited {
		l.open.awaited = true
		signal(l.hurry)
	}
}

// rouse tells the writer that the open batch has something. It needs mu.
func (l *Ledger) rouse() { signal(l.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
