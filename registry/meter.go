package registry

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
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
	collectors = append(collectors, bondingGauges(gauge, r.bonding)...)
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

// bondingGauges tell how the list of who may take part is.
func bondingGauges(gauge func(string, string, prometheus.Labels, func() float64) prometheus.Collector, b bonding.Source) []prometheus.Collector {
	gauges := []prometheus.Collector{
		gauge("drtc_registry_bonding_read_only", "1 while the list of who may take part may be old and nobody new is let in.", nil,
			func() float64 {
				if b.Status().Problem != "" {
					return 1
				}
				return 0
			}),
		gauge("drtc_registry_bonding_serial", "Serial of the list of who may take part.", nil, func() float64 { return float64(b.List().Serial) }),
		gauge("drtc_registry_bonding_checked_timestamp_seconds", "When the list was last known to be current, Unix time, 0 for not since the start.", nil,
			func() float64 {
				if at := b.Status().CheckedAt; !at.IsZero() {
					return float64(at.UnixMilli()) / 1000
				}
				return 0
			}),
		gauge("drtc_registry_bonding_block", "Settled block at which the list was last known to hold, 0 without a chain.", nil,
			func() float64 { return float64(b.Status().Block) }),
	}
	for role, of := range map[record.Role]func(*bonding.List) []drtc.NodeID{
		record.RoleNode:         func(l *bonding.List) []drtc.NodeID { return l.Nodes },
		record.RoleRegistry:     func(l *bonding.List) []drtc.NodeID { return l.Registries },
		record.RoleOrchestrator: func(l *bonding.List) []drtc.NodeID { return l.Orchestrators },
	} {
		gauges = append(gauges, gauge("drtc_registry_bonded", "Ids in the list, by role.", prometheus.Labels{"role": string(role)},
			func() float64 { return float64(len(of(b.List()))) }))
	}
	return gauges
}
