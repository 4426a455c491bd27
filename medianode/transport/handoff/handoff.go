// Package handoff passes things between two workers by reference: a bounded
// ring one way, and a short one back by which memory is used again.
//
// Contract: what was put is taken once, in order; a full lane takes nothing and
// says so, so that the sender can drop what it has; nobody ever waits.
//
// A Lane has one sender and one receiver at a time. They may be different
// goroutines over time if a lock orders them. Neither may touch what it has
// given away.
package handoff

import "sync/atomic"

// spares is how many things wait to be used again; more are left to the garbage
// collector, so that a lane gives back what a burst needed.
const spares = 4

// Lane is one direction between two workers. Use New.
type Lane[T any] struct {
	ahead ring[T]
	back  ring[T]
}

// New makes a lane for so many things, at least 1, rounded up to a power of two.
func New[T any](capacity int) *Lane[T] {
	return &Lane[T]{ahead: newRing[T](capacity), back: newRing[T](spares)}
}

// Put gives v to the receiver. It reports false if the lane is full; v is the
// sender's still. Sender only.
func (l *Lane[T]) Put(v *T) bool { return l.ahead.put(v) }

// Full reports whether Put would fail. Sender only.
func (l *Lane[T]) Full() bool { return l.ahead.full() }

// Take returns what was put first, or nil. Receiver only.
func (l *Lane[T]) Take() *T { return l.ahead.take() }

// Waiting reports whether there is something to take. A receiver that says that
// it sleeps and then finds nothing here may sleep, if senders put first and then
// ask whether it sleeps.
func (l *Lane[T]) Waiting() bool { return l.ahead.waiting() }

// Return gives back what was taken. Receiver only.
func (l *Lane[T]) Return(v *T) { l.back.put(v) }

// Spare returns something to use again as the receiver left it, or nil. Sender
// only.
func (l *Lane[T]) Spare() *T { return l.back.take() }

// ring is a queue with one goroutine at each end.
type ring[T any] struct {
	slots []*T // as many as a power of two
	// The ends lie in cache lines of their own: each belongs to one side.
	_     [56]byte
	first atomic.Uint64 // things taken so far: the receiver's
	_     [56]byte
	next  atomic.Uint64 // things put so far: the sender's
	_     [56]byte
}

func newRing[T any](capacity int) ring[T] {
	size := 1
	for size < capacity {
		size <<= 1
	}
	return ring[T]{slots: make([]*T, size)}
}

func (r *ring[T]) full() bool { return r.next.Load()-r.first.Load() == uint64(len(r.slots)) }

func (r *ring[T]) waiting() bool { return r.next.Load() != r.first.Load() }

func (r *ring[T]) put(v *T) bool {
	if r.full() {
		return false
	}
	next := r.next.Load()
	r.slots[next&uint64(len(r.slots)-1)] = v
	r.next.Store(next + 1)
	return true
}

func (r *ring[T]) take() *T {
	if !r.waiting() {
		return nil
	}
	first := r.first.Load()
	slot := &r.slots[first&uint64(len(r.slots)-1)]
	v := *slot
	*slot = nil
	r.first.Store(first + 1)
	return v
}
