package devchain

import (
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/eth"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// meter holds the chain's metrics.
type meter struct {
	registry *prometheus.Registry
	seal     prometheus.Histogram
	sync     prometheus.Histogram
	failures prometheus.Counter
	requests prometheus.Counter
}

func newMeter(e *eth.Ethereum) *meter {
	buckets := prometheus.ExponentialBuckets(0.0005, 2, 13) // up to 2 s
	m := &meter{
		registry: prometheus.NewRegistry(),
		seal:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "drtc_chain_seal_seconds", Help: "How long it took to make a block.", Buckets: buckets}),
		sync:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "drtc_chain_sync_seconds", Help: "How long it took to sync a block to disk.", Buckets: buckets}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "drtc_chain_seal_failures_total", Help: "Blocks that could not be made."}),
		requests: prometheus.NewCounter(prometheus.CounterOpts{Name: "drtc_chain_requests_total", Help: "HTTP requests of JSON-RPC."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(m.seal, m.sync, m.failures, m.requests,
		gauge("drtc_chain_head_block", "Number of the newest block.", func() float64 {
			return float64(e.BlockChain().CurrentBlock().Number.Uint64())
		}),
		gauge("drtc_chain_head_timestamp_seconds", "Time of the newest block, Unix.", func() float64 {
			return float64(e.BlockChain().CurrentBlock().Time)
		}),
		gauge("drtc_chain_waiting_transactions", "Transactions that the next block may take.", func() float64 {
			waiting, _ := e.TxPool().Stats()
			return float64(waiting)
		}),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *meter) sealed(took time.Duration, made bool) {
	m.seal.Observe(took.Seconds())
	if !made {
		m.failures.Inc()
	}
}

func (m *meter) synced(took time.Duration) { m.sync.Observe(took.Seconds()) }

func (m *meter) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.requests.Inc()
		next.ServeHTTP(w, r)
	})
}

func (m *meter) page() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
