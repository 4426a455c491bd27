package registry

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// meter counts what happens to records.
type meter struct {
	submissions *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	commit      prometheus.Histogram
}

func newMeter(r prometheus.Registerer, l *ledger) (*meter, error) {
	m := &meter{
		submissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_submissions_total", Help: "Records submitted, by outcome.",
		}, []string{"outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_refusals_total", Help: "Records refused, by reason.",
		}, []string{"reason"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drtc_registry_commit_seconds", Help: "Time to write one batch of records to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	records := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drtc_registry_records", Help: "Records held, tombstones and marks included.",
	}, func() float64 { return float64(l.Health().Records) })
	nodes := func(state string, count func(up, down int) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drtc_registry_nodes", Help: "Nodes with a live record, by what the keepalive says.",
			ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(count(l.Nodes().Count())) })
	}
	for _, c := range []prometheus.Collector{
		m.submissions, m.refusals, m.commit, records,
		nodes("shown", func(up, _ int) int { return up }), nodes("down", func(_, down int) int { return down }),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registry: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meter) submitted(o record.Outcome, err error) {
	m.submissions.WithLabelValues(o.String()).Inc()
	if err != nil {
		m.refusals.WithLabelValues(reason(err)).Inc()
	}
}

func reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{record.ErrKind, "kind"}, {record.ErrNetwork, "network"}, {record.ErrIssuer, "issuer"},
		{record.ErrSize, "size"}, {record.ErrTTL, "ttl"}, {record.ErrTombstone, "tombstone"},
		{record.ErrFuture, "future"}, {record.ErrExpired, "expired"}, {record.ErrRate, "rate"},
		{record.ErrFull, "full"}, {envelope.ErrSignature, "signature"}, {envelope.ErrField, "field"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "body"
}
