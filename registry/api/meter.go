package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/registry/status"
)

// meter counts what the API does.
type meter struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  prometheus.Gauge
	watchers prometheus.Gauge
}

func newMeter(r prometheus.Registerer) (*meter, error) {
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_registry_requests_total", Help: "Requests by path and HTTP status.",
		}, []string{"path", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drtc_registry_request_seconds", Help: "Time to answer, streams not counted.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"path"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drtc_registry_keepalive_streams", Help: "Open keepalive streams.",
		}),
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drtc_registry_watch_streams", Help: "Open Watch streams.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.streams, m.watchers} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("api: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meter) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, start := knownPath(r.URL.Path), time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		m.requests.WithLabelValues(path, strconv.Itoa(sw.status)).Inc()
		if path != registryv1connect.RegistryServiceKeepAliveProcedure && path != registryv1connect.RegistryServiceWatchProcedure {
			m.seconds.WithLabelValues(path).Observe(time.Since(start).Seconds())
		}
	})
}

// knownPath keeps strangers from making up label values.
func knownPath(path string) string {
	switch path {
	case "/getMediaNodes", "/listMediaNodes", "/nodeById", "/records", "/receipts", "/peers", "/healthz", "/openapi.json", "/metrics",
		registryv1connect.RegistryServiceRegisterNodeProcedure,
		registryv1connect.RegistryServiceRefreshNodeProcedure,
		registryv1connect.RegistryServiceDeregisterNodeProcedure,
		registryv1connect.RegistryServiceKeepAliveProcedure,
		registryv1connect.RegistryServiceWatchProcedure,
		registryv1connect.RegistryServicePublishProcedure, registryv1connect.RegistryServiceGetAdmissionProcedure:
		return path
	}
	if slices.Contains(status.Paths(), path) {
		return path
	}
	if path == "/" || path == "/status" || strings.HasPrefix(path, "/status/") || strings.HasPrefix(path, "/assets/") {
		return "/status"
	}
	return "other"
}

// statusWriter remembers the status. Unwrap lets http.ResponseController reach
// the connection.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which Connect asks for by type.
func (w *statusWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // the client has gone
}
