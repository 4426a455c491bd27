package transport

import (
	"sync"

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

// inbox is the queue between the worker, which must not wait, and the Handler.
type inbox struct {
	handler Handler
	dropped prometheus.Counter
	ready   chan struct{} // holds one token while notes may be there

	mu    sync.Mutex // guards notes
	notes []note
}

// note is an event, or the end of a peer when event is nil.
type note struct {
	event  engine.Event
	peer   engine.PeerID
	reason error
}

func newInbox(handler Handler, dropped prometheus.Counter) *inbox {
	return &inbox{handler: handler, dropped: dropped, ready: make(chan struct{}, 1)}
}

// event queues an event of the core. It never blocks.
func (i *inbox) event(event engine.Event) {
	limit := inboxAll
	switch event.(type) {
	case engine.Speakers, engine.PeerReport:
		limit = inboxPeriodic
	}
	i.put(note{event: event}, limit)
}

// closed queues the end of a peer. It never blocks.
func (i *inbox) closed(peer engine.PeerID, reason error) {
	i.put(note{peer: peer, reason: reason}, 0)
}

func (i *inbox) put(n note, limit int) {
	i.mu.Lock()
	full := limit > 0 && len(i.notes) >= limit
	if !full {
		i.notes = append(i.notes, n)
	}
	i.mu.Unlock()
	if full {
		i.dropped.Inc()
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
		case <-done:
			ended = true
		}
		i.mu.Lock()
		batch, i.notes = i.notes, batch[:0]
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
