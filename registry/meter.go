package registry

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/registry/liveness"
)

// newMeter registers the gauges of a Registry as a whole; its parts have their
// own.
func newMeter(metrics prometheus.Registerer, r *Registry) error {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	collectors := []prometheus.Collector{
		gauge("drtc_registry_records", "Records held, tombstones and marks included.", nil,
			func() float64 { return float64(r.ledger.Len()) }),
		gauge("drtc_registry_store_bytes", "Size of the records' files.", nil,
			func() float64 { return float64(r.store.DiskBytes()) }),
		gauge("drtc_registry_registries", "Registries with a live record, this one included.", nil,
			func() float64 { return float64(len(r.book.ids())) }),
		gauge("drtc_registry_probed_nodes", "Nodes that this Registry watches over.", nil,
			func() float64 { return float64(r.rounds.status().Watched) }),
		gauge("drtc_registry_probed_missing", "Of these, those that missed their last dial.", nil,
			func() float64 { return float64(r.rounds.status().Missing) }),
		gauge("drtc_registry_distrusts_itself", "1 while this Registry withholds its votes because its own line may be broken.", nil,
			func() float64 {
				if r.rounds.status().Withheld != "" {
					return 1
				}
				return 0
			}),
	}
	for _, s := range []liveness.State{liveness.Unknown, liveness.Up, liveness.Suspect, liveness.Down} {
		collectors = append(collectors, gauge("drtc_registry_nodes", "Nodes with a live record, by what their probers say.",
			prometheus.Labels{"state": s.String()}, func() float64 { return float64(r.rounds.tally()[s]) }))
	}
	for _, c := range collectors {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}
