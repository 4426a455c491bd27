package transport

import (
	"sync"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of the inbox. Past the first, events that the next one replaces are
// dropped; past the second, all are. The end of a peer is never dropped: there
// is one per peer.
const (
	inboxPeriodic = 1 << 10
	inboxAll      = 1 << 14
)

// inboxPatience is how long a note that is worth no wake-up of its own waits for
// another one.
const inboxPatience = 500 * time.Millisecond

// inbox is the queue between the worker, which must not wait, and the Handler.
type inbox struct {
	handler Handler
	dropped prometheus.Counter
	ready   chan struct{} // holds one token while notes may be there
	late    *time.Timer   // of the notes that wait

	mu     sync.Mutex // guards what follows
	notes  []note
	timing bool // late runs
}

// note is an event, or the end of a peer when event is nil.
type note struct {
	event  engine.Event
	peer   engine.PeerID
	reason error
}

func newInbox(handler Handler, dropped prometheus.Counter) *inbox {
	i := &inbox{handler: handler, dropped: dropped, ready: make(chan struct{}, 1), late: time.NewTimer(inboxPatience)}
	i.late.Stop()
	return i
}

// event queues an event of the core. It never blocks.
func (i *inbox) event(event engine.Event) {
	switch event.(type) {
	case engine.PeerReport:
		i.put(note{event: event}, inboxPeriodic, true)
	case engine.Speakers:
		i.put(note{event: event}, inboxPeriodic, false)
	default:
		i.put(note{event: event}, inboxAll, false)
	}
}

// closed queues the end of a peer. It never blocks.
func (i *inbox) closed(peer engine.PeerID, reason error) {
	i.put(note{peer: peer, reason: reason}, 0, false)
}

// put queues a note. One that may wait does so for inboxPatience, unless they
// become many.
func (i *inbox) put(n note, limit int, mayWait bool) {
	i.mu.Lock()
	full := limit > 0 && len(i.notes) >= limit
	if !full {
		i.notes = append(i.notes, n)
	}
	waits := mayWait && len(i.notes) < inboxPeriodic/2
	if waits && !i.timing {
		i.timing = true
		i.late.Reset(inboxPatience)
	}
	i.mu.Unlock()
	if full {
		i.dropped.Inc()
		return
	}
	if waits {
		return
	}
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// run calls the handler until done is closed and the queue is empty.
func (i *inbox) run(done <-chan struct{}) {
	var batch []note
	for {
		ended := false
		select {
		case <-i.ready:
		case <-i.late.C:
		case <-done:
			ended = true
		}
		i.mu.Lock()
		batch, i.notes = i.notes, batch[:0]
		i.timing = false
		i.late.Stop()
		i.mu.Unlock()
		for k := range batch {
			if n := batch[k]; n.event != nil {
				i.handler.OnEvent(n.event)
			} else {
				i.handler.OnClosed(n.peer, n.reason)
			}
		}
		clear(batch)
		if ended && len(batch) == 0 {
			return
		}
	}
}
