package till

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/receipt"
)

type meter struct {
	receipts  *prometheus.CounterVec
	decisions *prometheus.CounterVec
	published *prometheus.CounterVec
}

func newMeter(to prometheus.Registerer) (*meter, error) {
	m := &meter{
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_medianode_receipts_total", Help: "Receipts that Orchestrators delivered, by what became of them.",
		}, []string{"outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_medianode_receipt_decisions_total", Help: "Changes of whether an Orchestrator is served, by the new decision.",
		}, []string{"decision"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_medianode_receipt_records_total", Help: "Records of receipts that were sent to Registries, by outcome.",
		}, []string{"outcome"}),
	}
	for _, c := range []prometheus.Collector{m.receipts, m.decisions, m.published} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("till: metrics: %w", err)
		}
	}
	return m, nil
}

// receipt counts what became of one.
func (m *meter) receipt(err error) {
	outcome := "refused"
	switch {
	case err == nil:
		outcome = "taken"
	case errors.Is(err, receipt.ErrContradiction):
		outcome = "contradiction"
	}
	m.receipts.WithLabelValues(outcome).Inc()
}
