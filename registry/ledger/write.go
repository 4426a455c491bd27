package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc/registry/record"
)

// Run commits until stop is closed and the last batch is on disk, or the disk
// fails. Whoever calls Submit or Take must have ended when stop is closed.
func (l *Ledger) Run(stop <-chan struct{}) error {
	expire := time.NewTicker(l.config.ExpireEvery)
	defer expire.Stop()
	for {
		last := false
		select {
		case <-l.wake:
			last = l.gather(stop)
		case now := <-expire.C:
			l.expire(now)
			continue
		case <-stop:
			last = true
		}
		if err := l.commit(l.next()); err != nil || last {
			return err
		}
	}
}

// gather waits for company until somebody is in a hurry. It reports that stop
// was closed.
func (l *Ledger) gather(stop <-chan struct{}) bool {
	if l.config.Gather == 0 {
		return false
	}
	timer := time.NewTimer(l.config.Gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.hurry:
	case <-stop:
		return true
	}
	return false
}

// next takes the open batch for writing.
func (l *Ledger) next() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	select { // what was urgent about this batch is done with it
	case <-l.hurry:
	default:
	}
	b := l.open
	l.open, l.inflight = newBatch(), b
	// What was forgotten and has come again since stays.
	b.remove = slices.DeleteFunc(b.remove, func(k record.Key) bool {
		_, held := l.set.Get(k)
		return held
	})
	return b
}

func (l *Ledger) commit(b *batch) error {
	defer close(b.done)
	if b.empty() {
		return nil
	}
	start := time.Now()
	if err := l.disk.Write(b.put, b.remove, b.awaited); err != nil {
		b.err = fmt.Errorf("ledger: %w", err)
		l.fail(b.err)
		return b.err
	}
	l.meter.commit.Observe(time.Since(start).Seconds())
	if len(b.put)+len(b.remove) > 0 {
		keys := make([]record.Key, 0, len(b.put)+len(b.remove))
		for i := range b.put {
			keys = append(keys, record.KeyOf(&b.put[i]))
		}
		l.observer.Changed(time.Now(), append(keys, b.remove...))
	}
	if len(b.ours) > 0 {
		l.observer.Submitted(b.ours)
	}
	if len(b.caught) > 0 {
		l.observer.Caught(b.caught)
	}
	return nil
}

// fail ends everything: what waits in the open batch will not be written.
func (l *Ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
	l.open.err = err
	close(l.open.done)
}

func (l *Ledger) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gone := l.set.Expire(now); len(gone) > 0 {
		l.open.remove = append(l.open.remove, gone...)
		l.rouse()
	}
}
