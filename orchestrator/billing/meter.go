package billing

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type meter struct {
	delivered, disputes, failures prometheus.Counter
}

func newMeter(to prometheus.Registerer) (*meter, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drtc_orchestrator_" + name, Help: help})
	}
	m := &meter{
		delivered: counter("receipts_total", "Receipts that media nodes took."),
		disputes:  counter("receipt_disputes_total", "Claims of media nodes that were not signed in full."),
		failures:  counter("billing_store_failures_total", "Times that receipts or usage could not be stored."),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.delivered, m.disputes, m.failures} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("billing: metrics: %w", err)
		}
	}
	return m, nil
}
