package medianode

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/drtc-network/drtc/medianode/admit"
	"github.com/drtc-network/drtc/medianode/control"
)

// observability serves /metrics and /healthz, and profiles where they are wanted.
func (n *Node) observability() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", n.health)
	if n.cfg.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// health answers 503 with the reason while the node takes no commands or no new
// sessions.
func (n *Node) health(w http.ResponseWriter, _ *http.Request) {
	var admission admit.Status
	if n.gate != nil {
		admission = n.gate.Status()
	}
	switch {
	case n.service.Draining():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case admission.Err != nil:
		http.Error(w, admission.Err.Error(), http.StatusServiceUnavailable)
	case admission.Expired:
		fmt.Fprintf(w, "ok\nthe list of who may command this node, serial %d, expired at %s and counts until %s\n", admission.Serial,
			admission.ExpiresAt.UTC().Format(time.RFC3339), admission.ExpiresAt.Add(n.cfg.Admission.Grace).UTC().Format(time.RFC3339))
	default:
		fmt.Fprintln(w, "ok")
	}
}

// registerLoad shows how full the node is; packets are the transport's to show.
func (n *Node) registerLoad() {
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"sessions_count", "Sessions on the node.", func() float64 { return float64(n.service.Sessions()) }},
		{"sessions_limit_count", "Sessions that the node admits.", func() float64 { return float64(n.service.Capacity()) }},
		{"shed_ratio", "Share of the video left out since the node can't keep up, 0 to 1.", func() float64 { return n.service.Shedding().Ratio }},
		{"shed_subscriptions", "Subscriptions without video or on a lower layer for that reason.", func() float64 { return float64(n.service.Shedding().Subscriptions) }},
		{"egress_bits_per_second", "Sealed media and control packets sent in the last second.", func() float64 { return float64(n.load.Load()) }},
	} {
		n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "drtc_medianode_" + g.name, Help: g.help}, g.value))
	}
	n.registry.MustRegister(n.usage)
}

// admissionRefusals returns what counts the sessions that are not admitted.
func (n *Node) admissionRefusals() func(reason string) {
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "drtc_medianode_admission_refusals_total", Help: "Sessions that were not admitted, by reason.",
	}, []string{"reason"})
	n.registry.MustRegister(refusals)
	for _, reason := range []string{control.RefusedDraining, control.RefusedSessions, control.RefusedEgress, control.RefusedOverload, control.RefusedReceipts} {
		refusals.WithLabelValues(reason)
	}
	return func(reason string) { refusals.WithLabelValues(reason).Inc() }
}

// registerRelays shows what the node does with other nodes.
func (n *Node) registerRelays() {
	type counts = control.RelayCounts
	value := func(of func(counts) int64) func() float64 {
		return func() float64 { return float64(of(n.service.RelayCounts())) }
	}
	for name, g := range map[string]struct {
		help string
		of   func(counts) int64
	}{
		"trunks_count": {"Other nodes that this one is connected to.", func(c counts) int64 { return c.Trunks }},
		"links_count":  {"Relay links.", func(c counts) int64 { return c.Links }},
		"tracks_count": {"Tracks that come from other nodes.", func(c counts) int64 { return c.Tracks }},
		"layers_count": {"Layers that are sent to other nodes.", func(c counts) int64 { return c.Layers }},
	} {
		n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "drtc_medianode_relay_" + name, Help: g.help}, value(g.of)))
	}
	for name, g := range map[string]struct {
		help string
		of   func(counts) int64
	}{
		"control_sent_total":     {"Messages of the relay protocol sent.", func(c counts) int64 { return c.ControlSent }},
		"control_received_total": {"Messages of the relay protocol received.", func(c counts) int64 { return c.ControlReceived }},
		"packets_sent_total":     {"Data packets of clients sent to other nodes.", func(c counts) int64 { return c.PacketsSent }},
		"packets_received_total": {"Data packets of clients taken from other nodes.", func(c counts) int64 { return c.PacketsReceived }},
		"packets_dropped_total":  {"Data packets that came twice or astray, or found no room.", func(c counts) int64 { return c.PacketsDropped }},
		"violations_total":       {"Connections to other nodes that ended since those broke the protocol.", func(c counts) int64 { return c.Violations }},
	} {
		n.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "drtc_medianode_relay_" + name, Help: g.help}, value(g.of)))
	}
}
