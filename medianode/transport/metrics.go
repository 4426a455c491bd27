package transport

import (
	"sync/atomic"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the transport counts. Bytes are UDP payload bytes.
type metrics struct {
	packetsReceived   prometheus.Counter
	packetsSent       prometheus.Counter
	bytesReceived     prometheus.Counter
	bytesSent         prometheus.Counter
	sendErrors        prometheus.Counter
	sendDrops         prometheus.Counter
	egressMessages    prometheus.Counter
	egressSegments    prometheus.Counter
	messageSizes      *messageSizes
	fallbacks         prometheus.Counter
	receiveCalls      prometheus.Counter
	receiveMessages   prometheus.Counter
	receiveDrops      *prometheus.CounterVec
	peers             prometheus.Gauge
	handshakeSeconds  prometheus.Histogram
	handshakeFailures *prometheus.CounterVec
	eventsDropped     prometheus.Counter
	messagesReceived  prometheus.Counter
	messagesSent      prometheus.Counter
	messagesDropped   *prometheus.CounterVec
	forwardDelay      prometheus.Histogram
	strays            prometheus.Counter
	parcels           prometheus.Counter
	handoffDrops      prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drtc_medianode_" + name, Help: help})
	}
	reasons := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drtc_medianode_" + name, Help: help}, []string{"reason"})
	}
	m := &metrics{
		packetsReceived: counter("packets_received_total", "UDP datagrams received."),
		packetsSent:     counter("packets_sent_total", "UDP datagrams sent."),
		bytesReceived:   counter("received_bytes_total", "UDP payload bytes received."),
		bytesSent:       counter("sent_bytes_total", "UDP payload bytes sent."),
		sendErrors:      counter("send_errors_total", "UDP datagrams that the kernel refused."),
		sendDrops:       counter("egress_drops_total", "UDP datagrams dropped since the socket's send buffer was full."),
		egressMessages:  counter("egress_messages_total", "Messages that the kernel took to send, each of one or more segments."),
		egressSegments:  counter("egress_segments_total", "UDP datagrams that these messages were cut into."),
		fallbacks:       counter("segmentation_fallbacks_total", "Segmented messages that were refused and sent again as plain datagrams."),
		receiveCalls:    counter("receive_calls_total", "System calls that brought datagrams."),
		receiveMessages: counter("receive_messages_total", "UDP datagrams that these calls brought."),
		receiveDrops:    reasons("receive_drops_total", "Datagrams dropped before the core or before DTLS, by reason."),
		peers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drtc_medianode_peers", Help: "Peers that are open.",
		}),
		handshakeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "drtc_medianode_dtls_handshake_seconds",
			Help:    "Time from the first connectivity check to the SRTP keys.",
			Buckets: prometheus.ExponentialBuckets(0.004, 2, 12),
		}),
		handshakeFailures: reasons("dtls_handshake_failures_total", "DTLS handshakes that failed, by reason."),
		eventsDropped:     counter("events_dropped_total", "Events dropped since the handler is too slow."),
		messagesReceived:  counter("data_messages_received_total", "Data channel messages received."),
		messagesSent:      counter("data_messages_sent_total", "Data channel messages handed to SCTP."),
		messagesDropped:   reasons("data_messages_dropped_total", "Data channel messages not sent, by reason."),
		forwardDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "drtc_medianode_forward_delay_seconds",
			Help:    "Time of a media packet in the node: from the kernel's receive to the return of the call that sent its last copies.",
			Buckets: prometheus.ExponentialBuckets(0.000025, 2, 14),
		}),
		messageSizes: newMessageSizes(),
		parcels:      counter("handoff_parcels_total", "Parcels of media, and of what belongs to it, that one worker gave to another."),
		strays:       counter("handoff_datagrams_total", "Datagrams that came to another worker than their peer's and were handed over."),
		handoffDrops: counter("handoff_drops_total", "Packets dropped since another worker did not keep up."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.packetsReceived, m.packetsSent, m.bytesReceived, m.bytesSent, m.sendErrors, m.receiveDrops, m.peers,
		m.sendDrops, m.egressMessages, m.egressSegments, m.fallbacks, m.receiveCalls, m.receiveMessages,
		m.handshakeSeconds, m.handshakeFailures, m.eventsDropped, m.messagesReceived, m.messagesSent, m.messagesDropped,
		m.forwardDelay, m.strays, m.parcels, m.handoffDrops, m.messageSizes,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// count adds what became of a flush.
func (m *metrics) count(s mmsg.Sent) {
	m.packetsSent.Add(float64(s.Segments))
	m.bytesSent.Add(float64(s.Bytes))
	m.egressMessages.Add(float64(s.Messages))
	m.egressSegments.Add(float64(s.Segments))
	m.messageSizes.add(s)
	if s.Failed+s.Dropped+s.Fallbacks > 0 { // rare
		m.sendErrors.Add(float64(s.Failed))
		m.sendDrops.Add(float64(s.Dropped))
		m.fallbacks.Add(float64(s.Fallbacks))
	}
}

// messageSizes is the histogram of segments in a message: counts of a whole
// flush are added at once, where prometheus.Histogram would take each message.
type messageSizes struct {
	desc     *prometheus.Desc
	counts   [mmsg.SizeClasses]atomic.Uint64
	segments atomic.Uint64
}

func newMessageSizes() *messageSizes {
	return &messageSizes{desc: prometheus.NewDesc("drtc_medianode_egress_segments_per_message",
		"UDP datagrams that the kernel cut a message into, of media and control.", nil, nil)}
}

func (h *messageSizes) add(s mmsg.Sent) {
	for i, n := range s.Sizes {
		if n > 0 {
			h.counts[i].Add(uint64(n))
		}
	}
	h.segments.Add(uint64(s.Segments))
}

// Describe implements prometheus.Collector.
func (h *messageSizes) Describe(to chan<- *prometheus.Desc) { to <- h.desc }

// Collect implements prometheus.Collector.
func (h *messageSizes) Collect(to chan<- prometheus.Metric) {
	buckets := make(map[float64]uint64, len(h.counts))
	var messages uint64
	for i := range h.counts {
		messages += h.counts[i].Load()
		buckets[float64(uint(1)<<i)] = messages
	}
	to <- prometheus.MustNewConstHistogram(h.desc, messages, float64(h.segments.Load()), buckets)
}

// registerEngine shows the counters of the cores. They are read when scraped.
func registerEngine(registerer prometheus.Registerer, sum func(func(engine.Counters) uint64) uint64) error {
	if registerer == nil {
		return nil
	}
	for _, c := range []struct {
		name, help string
		value      func(engine.Counters) uint64
	}{
		{"stun_requests_total", "STUN messages received.", func(c engine.Counters) uint64 { return c.STUNRequests }},
		{"stun_refused_total", "STUN messages without a valid integrity or user.", func(c engine.Counters) uint64 { return c.STUNRefused }},
		{"stun_limited_total", "STUN messages past the rate limit.", func(c engine.Counters) uint64 { return c.STUNLimited }},
		{"unknown_datagrams_total", "Datagrams of no known peer or source.", func(c engine.Counters) uint64 { return c.Unknown }},
		{"malformed_datagrams_total", "Datagrams that no protocol explains.", func(c engine.Counters) uint64 { return c.Malformed }},
		{"unprotected_datagrams_total", "SRTP and SRTCP before there were keys.", func(c engine.Counters) uint64 { return c.Unprotected }},
		{"srtp_open_failures_total", "SRTP and SRTCP that were forged, replayed or malformed.", func(c engine.Counters) uint64 { return c.OpenFailures }},
		{"srtp_seal_failures_total", "Packets that could not be protected.", func(c engine.Counters) uint64 { return c.SealFailures }},
		{"media_packets_received_total", "Media packets taken from publishers.", func(c engine.Counters) uint64 { return c.Received }},
		{"media_packets_forwarded_total", "Media packets sent to subscribers for the first time.", func(c engine.Counters) uint64 { return c.Forwarded }},
		{"media_packets_retransmitted_total", "Media packets sent to subscribers again.", func(c engine.Counters) uint64 { return c.Retransmitted }},
		{"media_packets_nacked_total", "Packets that subscribers asked for again.", func(c engine.Counters) uint64 { return c.NACKed }},
		{"media_packets_not_retransmittable_total", "Of those, packets that were not kept.", func(c engine.Counters) uint64 { return c.NotRetransmittable }},
		{"key_frame_requests_total", "Key frames asked of publishers.", func(c engine.Counters) uint64 { return c.KeyFrameRequests }},
		{"address_changes_total", "Peers followed to a new address.", func(c engine.Counters) uint64 { return c.AddressChanges }},
	} {
		if err := registerer.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: "drtc_medianode_" + c.name, Help: c.help},
			func() float64 { return float64(sum(c.value)) },
		)); err != nil {
			return err
		}
	}
	return nil
}
