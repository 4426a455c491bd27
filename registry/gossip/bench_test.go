package gossip_test

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// BenchmarkUpdates is 10,000 nodes that renew their records once a minute: 170
// single updates a second into 5 Registries in turn. An operation is an update;
// run with -benchtime=1700x for 10 seconds.
func BenchmarkUpdates(b *testing.B) {
	const perSecond = 170
	all := mesh(b, quick(), 5)
	var mu sync.Mutex
	began, missing := map[drtc.NodeID]time.Time{}, map[drtc.NodeID]int{}
	var latencies []time.Duration
	done := make(chan struct{})
	// Until each has heard each by gossip, the topics are being joined.
	for _, from := range all {
		for _, to := range all {
			heard := func() float64 { return to.counter("records_total", "topic", "node", "outcome", "stored") }
			for before := heard(); from != to && heard() == before; {
				e := signed(b, newKey(b), 1)
				from.submit(e)
				eventually(b, 10*time.Second, "it is held", func() bool { return to.ledger.holds(e) })
			}
		}
	}
	updates := make([]envelope.Envelope, b.N)
	for i := range updates {
		updates[i] = signed(b, newKey(b), 1)
		missing[updates[i].Subject] = len(all) - 1
	}
	for _, r := range all {
		r.ledger.mu.Lock()
		r.ledger.stored = func(e envelope.Envelope) {
			mu.Lock()
			defer mu.Unlock()
			if missing[e.Subject]--; missing[e.Subject] == 0 {
				latencies = append(latencies, time.Since(began[e.Subject]))
			}
			if missing[e.Subject] == 0 && len(latencies) == b.N {
				close(done)
			}
		}
		r.ledger.mu.Unlock()
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	before := cpu(b)
	b.ResetTimer()
	for i, e := range updates {
		<-tick.C
		mu.Lock()
		began[e.Subject] = time.Now()
		mu.Unlock()
		all[i%len(all)].submit(e)
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		b.Fatalf("%d of %d updates reached all", len(latencies), b.N)
	}
	b.StopTimer()
	spent := cpu(b) - before
	slices.Sort(latencies)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(latencies[len(latencies)/2]), "p50-ms")
	b.ReportMetric(ms(latencies[len(latencies)*99/100]), "p99-ms")
	b.ReportMetric(ms(spent)/float64(b.N*len(all)), "cpu-ms/update-node")
}

// cpu is the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
