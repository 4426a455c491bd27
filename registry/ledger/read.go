package ledger

import (
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// Get returns what is held under key, shown or not.
func (l *Ledger) Get(key record.Key) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Get(key)
}

// GetAll is Get of several keys at one instant. What is not held is the zero
// Envelope.
func (l *Ledger) GetAll(keys []record.Key) []envelope.Envelope {
	all := make([]envelope.Envelope, len(keys))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, k := range keys {
		all[i], _ = l.set.Get(k)
	}
	return all
}

// Live returns what is held under key if it is shown at now.
func (l *Ledger) Live(now time.Time, key record.Key) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Live(now, key)
}

// Select returns what is held under the keys that keep says, marks included, in
// order of the keys.
func (l *Ledger) Select(keep func(record.Key) bool) []envelope.Envelope {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Select(keep)
}

// LiveUntil is when e stops being shown.
func (l *Ledger) LiveUntil(e *envelope.Envelope) time.Time { return l.set.LiveUntil(e) }

// Len counts what is held, marks included.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Len()
}

// Failure is the error of the disk after which nothing is accepted, or nil.
func (l *Ledger) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Root, Group, Leaf, Items and Lookup are the summary by which two Registries
// find out in what they differ: reconcile.Source.

// Root is equal for equal Ledgers and no others.
func (l *Ledger) Root() [32]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Root()
}

// Group is one of record.Groups parts of Root.
func (l *Ledger) Group(g int) [32]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Group(g)
}

// Leaf is one of record.Leaves parts.
func (l *Ledger) Leaf(i int) [32]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Leaf(i)
}

// Items lists a leaf.
func (l *Ledger) Items(leaf int) []record.Item {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Items(leaf)
}

// Lookup returns a record of a leaf.
func (l *Ledger) Lookup(id record.ItemID) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Lookup(id)
}
