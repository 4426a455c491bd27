package deadline

import "time"

// Entry is the deadline of one owner. It belongs to one Queue and must not be
// copied while it is set.
type Entry[T any] struct {
	Owner T

	at     time.Time
	serial uint64
	index  int // in the heap, from one; 0 while it is not set
}

// IsSet reports whether there is a deadline.
func (e *Entry[T]) IsSet() bool { return e.index > 0 }

// At is the deadline, if it is set.
func (e *Entry[T]) At() time.Time { return e.at }

// before reports whether e is due before o.
func (e *Entry[T]) before(o *Entry[T]) bool {
	if e.at.Equal(o.at) {
		return e.serial < o.serial
	}
	return e.at.Before(o.at)
}

// Queue orders entries by their deadlines. The zero value is empty.
type Queue[T any] struct {
	heap   []*Entry[T]
	serial uint64
}

// Set sets or moves a deadline.
func (q *Queue[T]) Set(e *Entry[T], at time.Time) {
	q.serial++
	e.at, e.serial = at, q.serial
	if e.index == 0 {
		q.heap = append(q.heap, e)
		e.index = len(q.heap)
	}
	q.down(e)
	q.up(e)
}

// Stop takes a deadline away, if it is set.
func (q *Queue[T]) Stop(e *Entry[T]) {
	if e.index == 0 {
		return
	}
	last := q.heap[len(q.heap)-1]
	q.place(last, e.index)
	q.heap[len(q.heap)-1] = nil
	q.heap = q.heap[:len(q.heap)-1]
	e.index = 0
	if last != e {
		q.down(last)
		q.up(last)
	}
}

// Next is the earliest deadline, zero if there is none.
func (q *Queue[T]) Next() time.Time {
	if len(q.heap) == 0 {
		return time.Time{}
	}
	return q.heap[0].at
}

// Pop takes the earliest deadline away if it has come, and returns its owner.
func (q *Queue[T]) Pop(now time.Time) (owner T, ok bool) {
	if len(q.heap) == 0 || q.heap[0].at.After(now) {
		return owner, false
	}
	e := q.heap[0]
	q.Stop(e)
	return e.Owner, true
}

// place puts an entry where the heap's index, from one, is.
func (q *Queue[T]) place(e *Entry[T], index int) {
	q.heap[index-1] = e
	e.index = index
}

func (q *Queue[T]) up(e *Entry[T]) {
	for e.index > 1 {
		parent := q.heap[e.index/2-1]
		if !e.before(parent) {
			return
		}
		at := parent.index
		q.place(parent, e.index)
		q.place(e, at)
	}
}

func (q *Queue[T]) down(e *Entry[T]) {
	for 2*e.index <= len(q.heap) {
		child := q.heap[2*e.index-1]
		if right := 2*e.index + 1; right <= len(q.heap) && q.heap[right-1].before(child) {
			child = q.heap[right-1]
		}
		if !child.before(e) {
			return
		}
		at := child.index
		q.place(child, e.index)
		q.place(e, at)
	}
}
