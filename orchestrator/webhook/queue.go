package webhook

import (
	"sync"

	"github.com/drtc-network/drtc"
)

// queue holds the events that wait for one URL. A room whose event is under way
// is busy: its next one waits.
type queue struct {
	limit int
	news  chan struct{} // holds a token when a lane may find something

	mu      sync.Mutex // guards what follows
	waiting []item     // oldest first
	busy    map[drtc.RoomID]bool
}

// item is one event on its way.
type item struct {
	room  drtc.RoomID
	event string
	id    string
	body  []byte
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, news: make(chan struct{}, 1), busy: map[drtc.RoomID]bool{}}
}

// put appends an event. It reports whether the oldest one was dropped for it.
func (q *queue) put(i item) (dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.limit {
		q.waiting[0] = item{}
		q.waiting, dropped = q.waiting[1:], true
	}
	q.waiting = append(q.waiting, i)
	q.wake()
	return dropped
}

// take returns the oldest event of a room that is not busy, and makes that room
// busy until done.
func (q *queue) take() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n, i := range q.waiting {
		if q.busy[i.room] {
			continue
		}
		q.busy[i.room] = true
		copy(q.waiting[1:n+1], q.waiting[:n])
		q.waiting[0] = item{}
		q.waiting = q.waiting[1:]
		q.wake() // there may be work for another lane
		return i, true
	}
	return item{}, false
}

// done lets the room's next event go.
func (q *queue) done(i item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, i.room)
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// len returns how many events wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
