package discovery

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
)

// meter counts what the Registries say.
type meter struct {
	polls    *prometheus.CounterVec
	watches  *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMeter(r prometheus.Registerer, d *Discovery) (*meter, error) {
	m := &meter{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_discovery_polls_total", Help: "Questions to Registries, by outcome.",
		}, []string{"registry", "outcome"}),
		watches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_discovery_watches_total", Help: "Watch streams of Registries that have ended, by whether they had told everything.",
		}, []string{"registry", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_discovery_refusals_total", Help: "Records that a Registry gave and that were not believed, by reason.",
		}, []string{"registry", "reason"}),
	}
	nodes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drtc_discovery_nodes", Help: "Media Nodes known.",
	}, func() float64 { return float64(len(d.Snapshot())) })
	registries := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drtc_discovery_registries", Help: "Registries whose word counts, learned ones too.",
	}, func() float64 { return float64(len(d.Registries())) })
	for _, c := range []prometheus.Collector{m.polls, m.watches, m.refusals, nodes, registries} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("discovery: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meter) polled(registry string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	m.polls.WithLabelValues(registry, outcome).Inc()
}

func (m *meter) watched(registry string, complete bool) {
	outcome := "incomplete"
	if complete {
		outcome = "complete"
	}
	m.watches.WithLabelValues(registry, outcome).Inc()
}

func (m *meter) refused(registry string, err error) {
	m.refusals.WithLabelValues(registry, reason(err)).Inc()
}

func reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{
		{envelope.ErrSignature, "signature"}, {envelope.ErrMalformed, "malformed"}, {envelope.ErrField, "field"},
		{errAnother, "another"}, {errForeign, "foreign"}, {errSize, "size"}, {errFuture, "future"}, {errExpired, "expired"}, {errBody, "body"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "full"
}
