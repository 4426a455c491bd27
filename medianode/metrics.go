package medianode

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/drtc-network/drtc/medianode/control"
)

// observability serves /metrics and /healthz, and profiles where they are wanted.
func (n *Node) observability() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if n.service.Draining() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	if n.cfg.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
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
	for _, reason := range []string{control.RefusedDraining, control.RefusedSessions, control.RefusedEgress, control.RefusedOverload} {
		refusals.WithLabelValues(reason)
	}
	return func(reason string) { refusals.WithLabelValues(reason).Inc() }
}
