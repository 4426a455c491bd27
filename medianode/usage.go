package medianode

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/medianode/control"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/till"
	"github.com/drtc-network/drtc/receipt"
)

// maxApplications is how many applications have byte counters of their own.
const maxApplications = 256

// usage shows the paid bytes of each application (design decision 12) and hands
// them to who keeps the accounts. Use newUsage.
type usage struct {
	client, relay *prometheus.Desc
	till          *till.Till // nil where no receipts are asked for

	mu     sync.Mutex // guards ledger
	ledger *meter.Ledger
}

func newUsage() *usage {
	counter := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("drtc_medianode_"+name, help, []string{"application"}, nil)
	}
	return &usage{
		client: counter("client_bytes_total", "Media header and payload bytes sent to clients for the first time and acknowledged, and data channel bytes, by application."),
		relay:  counter("relay_bytes_total", "The same sent to other Media Nodes, by application."),
		ledger: meter.NewLedger(maxApplications),
	}
}

// add takes what sessions of a payer counted.
func (u *usage) add(label string, counted meter.Counters) {
	payer, known := control.ReadPayer(label)
	if known && u.till != nil {
		u.till.Count(payer.Orchestrator, payer.Account, receipt.Counters{Client: counted.Client, Relay: counted.Relay})
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ledger.Add(payer.Application, counted)
}

// Describe implements prometheus.Collector.
func (u *usage) Describe(to chan<- *prometheus.Desc) {
	to <- u.client
	to <- u.relay
}

// Collect implements prometheus.Collector.
func (u *usage) Collect(to chan<- prometheus.Metric) {
	u.mu.Lock()
	lines := u.ledger.Lines()
	u.mu.Unlock()
	for _, l := range lines {
		to <- prometheus.MustNewConstMetric(u.client, prometheus.CounterValue, float64(l.Counters.Client), l.Application)
		to <- prometheus.MustNewConstMetric(u.relay, prometheus.CounterValue, float64(l.Counters.Relay), l.Application)
	}
}
