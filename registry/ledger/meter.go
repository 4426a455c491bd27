package ledger

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// meter counts what happens to records.
type meter struct {
	records  *prometheus.CounterVec
	refusals *prometheus.CounterVec
	commit   prometheus.Histogram
}

func newMeter(r prometheus.Registerer) (*meter, error) {
	m := &meter{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_submissions_total", Help: "Records offered, by the way they came and by outcome.",
		}, []string{"path", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_refusals_total", Help: "Records refused, by the way they came and by reason.",
		}, []string{"path", "reason"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drtc_registry_commit_seconds", Help: "Time to write one batch of records to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	for _, c := range []prometheus.Collector{m.records, m.refusals, m.commit} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("ledger: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meter) count(p record.Path, o record.Outcome, err error) {
	m.records.WithLabelValues(p.String(), o.String()).Inc()
	if err != nil {
		m.refusals.WithLabelValues(p.String(), Reason(err)).Inc()
	}
}

// Reason is a word for why a record was refused, for metrics.
func Reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{record.ErrKind, "kind"}, {record.ErrNetwork, "network"}, {record.ErrIssuer, "issuer"},
		{record.ErrBond, "bond"}, {record.ErrRevoked, "revoked"}, {record.ErrQuota, "quota"},
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
