package netsim

import "time"

// anyLife lets an event reach whatever runs at its node when it comes.
const anyLife = -1

// event is something that happens at a time; seq keeps those of one time in the
// order in which they were asked for.
type event[M any] struct {
	at       time.Duration
	seq      uint64
	kind     Kind
	from, to int
	life     int // the life of the node at to that it is meant for, or anyLife
	tag      int
	message  M
	call     func()
}

func (e *event[M]) before(o *event[M]) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// queue is a binary heap, earliest first. container/heap would allocate for
// every event.
type queue[M any] struct{ events []event[M] }

func (q *queue[M]) push(e event[M]) {
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&q.events[parent]) {
			break
		}
		q.events[i] = q.events[parent]
		i = parent
	}
	q.events[i] = e
}

// pop takes the earliest event; the queue must not be empty.
func (q *queue[M]) pop() event[M] {
	first, end := q.events[0], len(q.events)-1
	last := q.events[end]
	q.events[end] = event[M]{} // let go of the message
	q.events = q.events[:end]
	if end == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= end {
			break
		}
		if child+1 < end && q.events[child+1].before(&q.events[child]) {
			child++
		}
		if !q.events[child].before(&last) {
			break
		}
		q.events[i] = q.events[child]
		i = child
	}
	q.events[i] = last
	return first
}
