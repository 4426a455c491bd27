package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/prometheus/client_golang/prometheus"
)

// recorder keeps what it is told.
type recorder struct {
	events []engine.Event
	closed []engine.PeerID
	order  []string
	at     map[time.Time]int // how much came when
}

func (r *recorder) OnEvent(e engine.Event) {
	if r.at != nil {
		r.at[time.Now()]++
	}
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

// 100 peers' reports in steady state wake the handler twice a second.
func TestInbox_reportsComeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := newMetrics(prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		r := recorder{at: map[time.Time]int{}}
		i := newInbox(&r, m.eventsDropped)
		done, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); i.run(done) }()
		for range 200 { // 10 s
			i.event(engine.PeerReport{})
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(inboxPatience)
		synctest.Wait()
		if len(r.events) != 200 || len(r.at) > 20 {
			t.Errorf("%d reports came in %d calls, want 200 in at most 20", len(r.events), len(r.at))
		}

		i.event(engine.PeerReport{})
		synctest.Wait()
		if len(r.events) != 200 {
			t.Error("a report woke the handler")
		}
		i.event(engine.SubscriptionActive{})
		synctest.Wait()
		if len(r.events) != 202 {
			t.Errorf("%d events came with one that is urgent, want 202", len(r.events))
		}
		for range inboxPeriodic / 2 {
			i.event(engine.PeerReport{})
		}
		synctest.Wait()
		if got, want := len(r.events), 202+inboxPeriodic/2; got != want {
			t.Errorf("%d events came when many reports waited, want %d", got, want)
		}
		i.event(engine.PeerReport{})
		close(done)
		<-ended
		if got, want := len(r.events), 203+inboxPeriodic/2; got != want {
			t.Errorf("%d events came by the end, want %d", got, want)
		}
	})
}
