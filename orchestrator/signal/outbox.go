package signal

import (
	"sync"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// outgoing is a message for the client: of the room, or of our own.
type outgoing struct {
	message  room.Message
	response *livekit.SignalResponse
}

// outbox is the queue between a room and a socket. Rooms put without waiting;
// one that is full is closed, and its client cut off.
type outbox struct {
	limit  int
	signal chan struct{} // holds a token when there is news

	mu       sync.Mutex // guards what follows
	queue    []outgoing
	closed   bool
	overflow bool
	refused  string
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, signal: make(chan struct{}, 1)}
}

// Send implements Outlet.
func (o *outbox) Send(m room.Message) { o.put(outgoing{message: m}) }

func (o *outbox) put(m outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if len(o.queue) >= o.limit {
		o.closed, o.overflow, o.queue = true, true, nil
	} else {
		o.queue = append(o.queue, m)
	}
	o.wake()
}

// Close implements Outlet.
func (o *outbox) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake()
}

// Refuse implements Outlet.
func (o *outbox) Refuse(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.refused = true, reason
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// take returns the next message, or ok false when there is none now; closed
// says that none will come, and why.
func (o *outbox) take() (m outgoing, ok bool, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return outgoing{}, false, o.closed
	}
	m, o.queue = o.queue[0], o.queue[1:]
	return m, true, false
}

// end says why the outbox is closed.
func (o *outbox) end() (overflow bool, refused string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.overflow, o.refused
}

// isClosed reports whether nothing more can be put.
func (o *outbox) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}
