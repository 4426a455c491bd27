package transport

import (
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/prometheus/client_golang/prometheus"
)

// recorder keeps what it is told.
type recorder struct {
	events []engine.Event
	closed []engine.PeerID
	order  []string
}

func (r *recorder) OnEvent(e engine.Event) {
	r.events = append(r.events, e)
	r.order = append(r.order, "event")
}
func (r *recorder) OnData(engine.PeerID, string, []byte) {}
func (r *recorder) OnClosed(id engine.PeerID, _ error) {
	r.closed = append(r.closed, id)
	r.order = append(r.order, "closed")
}

func TestInbox_dropsWhatIsReplacedFirst(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	i := newInbox(&r, m.eventsDropped)
	i.event(engine.PeerMoved{Peer: 1})
	i.closed(1, ErrClosed)
	for range 2 * inboxAll {
		i.event(engine.PeerReport{Peer: 2})
	}
	for range 2 * inboxAll {
		i.event(engine.SubscriptionActive{Peer: 3})
	}
	i.closed(4, ErrClosed)
	done := make(chan struct{})
	close(done)
	i.run(done)
	counts := map[string]int{}
	for _, e := range r.events {
		switch e.(type) {
		case engine.PeerReport:
			counts["report"]++
		case engine.SubscriptionActive:
			counts["active"]++
		}
	}
	if want := inboxPeriodic - 2; counts["report"] != want {
		t.Errorf("%d reports delivered, want %d", counts["report"], want)
	}
	if want := inboxAll - inboxPeriodic; counts["active"] != want {
		t.Errorf("%d other events delivered, want %d", counts["active"], want)
	}
	if len(r.closed) != 2 || r.order[0] != "event" || r.order[1] != "closed" || r.order[len(r.order)-1] != "closed" {
		t.Errorf("closed peers %v, first %v; want both, in their order", r.closed, r.order[:2])
	}
	if want := float64(4*inboxAll - len(r.events) + 1); gathered(t, registry, "events_dropped_total") != want {
		t.Errorf("events dropped: %v, want %v", gathered(t, registry, "events_dropped_total"), want)
	}
}
