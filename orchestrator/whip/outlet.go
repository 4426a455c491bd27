package whip

import (
	"context"
	"sync"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// outlet takes what a room has for one session. It keeps the newest answer and
// how the session ended; HTTP has no use for the rest.
type outlet struct {
	ended chan struct{} // closed when the room has let go
	news  chan struct{} // holds a token when there is an answer or a refusal

	mu      sync.Mutex // guards what follows
	answer  *room.Answer
	goodbye *room.Goodbye
	refused string
	closed  bool
}

func newOutlet() *outlet {
	return &outlet{ended: make(chan struct{}), news: make(chan struct{}, 1)}
}

// Send implements signal.Outlet.
func (o *outlet) Send(m room.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch m := m.(type) {
	case room.Answer:
		o.answer = &m
	case room.Goodbye:
		o.goodbye = &m
	default:
		return
	}
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// Close implements signal.Outlet.
func (o *outlet) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.ended)
	}
}

// Refuse implements signal.Outlet.
func (o *outlet) Refuse(reason string) {
	o.mu.Lock()
	o.refused = reason
	o.mu.Unlock()
	o.Close()
}

// await returns the answer to the offer with this id. Without one the error is a
// refusal, or that of ctx.
func (o *outlet) await(ctx context.Context, id uint32) (room.Answer, error) {
	for {
		if answer := o.take(id); answer != nil {
			return *answer, nil
		}
		select {
		case <-o.news:
		case <-o.ended:
			return room.Answer{}, o.end()
		case <-ctx.Done():
			return room.Answer{}, ctx.Err()
		}
	}
}

// take hands over the answer with this id, nil if there is none.
func (o *outlet) take(id uint32) *room.Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer := o.answer
	if answer == nil || answer.ID != id {
		return nil
	}
	o.answer = nil
	return answer
}

// end says why the room has let go.
func (o *outlet) end() *refusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.refused != "":
		return unavailable(fullRetry, "%s", o.refused)
	case o.goodbye == nil:
		return unavailable(busyRetry, "the room ended the session: try again")
	case o.goodbye.Reason == room.JoinFailure && o.goodbye.Text != "":
		return offerRefused(o.goodbye)
	case o.goodbye.Reason == room.DuplicateIdentity:
		return refuse(409, "the same identity joined again while this offer was answered: publish from one place only")
	}
	return unavailable(busyRetry, "the room ended the session: try again")
}
