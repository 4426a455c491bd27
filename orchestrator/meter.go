package orchestrator

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// meter counts what an Orchestrator does.
type meter struct {
	registry      *prometheus.Registry
	connections   *prometheus.CounterVec
	whips         *prometheus.CounterVec
	plans         *prometheus.CounterVec
	refusals      prometheus.Counter
	exhausted     prometheus.Counter
	reroutes      *prometheus.CounterVec
	webhooks      *prometheus.CounterVec
	relayDelay    prometheus.Histogram
	relayLoss     prometheus.Histogram
	calls         *prometheus.HistogramVec
	callFailures  *prometheus.CounterVec
	lost          prometheus.Counter
	decisions     *prometheus.CounterVec
	moderations   *prometheus.CounterVec
	balances      *prometheus.CounterVec
	storeFailures prometheus.Counter
}

func newMeter(o *Orchestrator) (*meter, error) {
	m := &meter{
		registry: prometheus.NewRegistry(),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_connections_total", Help: "Client connection requests, by outcome.",
		}, []string{"outcome"}),
		whips: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_whip_requests_total", Help: "Requests to open a WHIP or WHEP session, by protocol and HTTP status.",
		}, []string{"protocol", "status"}),
		plans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_plans_total", Help: "Plans of rooms, by strategy.",
		}, []string{"strategy"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_webhook_events_total", Help: "Events for the servers of applications, by what became of them.",
		}, []string{"outcome"}),
		relayDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drtc_orchestrator_relay_round_trip_seconds", Help: "Round trips of relay links, as their ends report them.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 10),
		}),
		relayLoss: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "drtc_orchestrator_relay_loss_ratio", Help: "Loss on relay links before retransmission, as their ends report it.",
			Buckets: []float64{0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5},
		}),
		reroutes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_reroutes_total", Help: "Requests about rooms, by whether they were sent to another member.",
		}, []string{"outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_policy_decisions_total", Help: "Joins and events that policies decided on, by application and outcome.",
		}, []string{"application", "outcome"}),
		moderations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_moderations_total", Help: "Requests of hosts, by action and HTTP status.",
		}, []string{"action", "status"}),
		balances: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_gate_balances_total", Help: "Balances read of those who come into rooms with a gate, or are in them, by outcome.",
		}, []string{"outcome"}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drtc_orchestrator_allocations_refused_total", Help: "Participants for whom there was no node.",
		}),
		exhausted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drtc_orchestrator_joins_exhausted_total", Help: "Joins that were refused since a budget or an application's credits are used up.",
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drtc_orchestrator_node_call_seconds", Help: "Time of calls to media nodes, by command.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 11),
		}, []string{"command"}),
		callFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drtc_orchestrator_node_call_failures_total", Help: "Failed calls to media nodes, by command.",
		}, []string{"command"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drtc_orchestrator_nodes_lost_total", Help: "Times that a media node was found dead.",
		}),
		storeFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drtc_orchestrator_store_failures_total", Help: "Room states that could not be saved.",
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{
		m.connections, m.whips, m.plans, m.refusals, m.exhausted, m.decisions, m.moderations, m.balances, m.reroutes, m.webhooks, m.relayDelay, m.relayLoss, m.calls, m.callFailures, m.lost, m.storeFailures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("drtc_orchestrator_rooms", "Rooms open now.", func() float64 { rooms, _ := o.counts(); return float64(rooms) }),
		gauge("drtc_orchestrator_nodes_up", "Media nodes connected now.", func() float64 { _, up := o.counts(); return float64(up) }),
		gauge("drtc_orchestrator_sockets", "Client connections now.", func() float64 { return float64(o.signal.Sockets()) }),
		gauge("drtc_orchestrator_whip_sessions", "WHIP and WHEP sessions now.", func() float64 { return float64(o.whip.Sessions()) }),
		gauge("drtc_orchestrator_sessions", "Sessions on media nodes now.", func() float64 { return float64(o.routes.count()) }),
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("orchestrator: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *meter) whip(protocol string, status int) {
	m.whips.WithLabelValues(protocol, strconv.Itoa(status)).Inc()
}

// relay takes the figures of one end of a relay link.
func (m *meter) relay(f room.RelayFigures) {
	if f.RoundTrip > 0 {
		m.relayDelay.Observe(f.RoundTrip.Seconds())
	}
	m.relayLoss.Observe(f.LossSent)
}

func (m *meter) connection(outcome string) { m.connections.WithLabelValues(outcome).Inc() }

func (m *meter) call(command string, ok bool, took time.Duration) {
	m.calls.WithLabelValues(command).Observe(took.Seconds())
	if !ok {
		m.callFailures.WithLabelValues(command).Inc()
	}
}
