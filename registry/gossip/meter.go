package gossip

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"
)

// Where records are dropped before anybody has judged them.
const (
	dropQueue      = "queue"      // of records to be sent here
	dropPace       = "pace"       // more than the others' budgets allow
	dropRelay      = "relay"      // of others, likewise; this Registry has them
	dropPublish    = "publish"    // gossipsub refused
	dropOutbound   = "outbound"   // queue to one peer
	dropValidation = "validation" // queue of messages to be judged
)

// meter counts what happens in the network.
type meter struct {
	messages, records, drops, sessions, syncBytes, syncRecords, bans, refused, probes *prometheus.CounterVec
}

func newMeter(r prometheus.Registerer, n *Network) (*meter, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drtc_registry_gossip_" + name, Help: help}, labels)
	}
	m := &meter{
		messages:    counter("messages_total", "Messages, by topic and outcome.", "topic", "outcome"),
		records:     counter("records_total", "Records in messages and, as topic sync, in conversations, by outcome or reason of refusal.", "topic", "outcome"),
		drops:       counter("dropped_records_total", "Records dropped on the way, by where.", "where"),
		sessions:    counter("sync_sessions_total", "Conversations, by who opened them and outcome.", "direction", "outcome"),
		syncBytes:   counter("sync_bytes_total", "Bytes of conversations.", "direction"),
		syncRecords: counter("sync_records_total", "Records in conversations.", "direction"),
		bans:        counter("bans_total", "Peers cut off, by what they did too much of.", "reason"),
		refused:     counter("refused_connections_total", "Connections refused, by reason.", "reason"),
		probes:      counter("probes_total", "Questions about nodes, by who asked and outcome.", "direction", "outcome"),
	}
	connections := func(direction network.Direction, name string) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drtc_registry_gossip_connections", Help: "Connections, by who opened them.",
			ConstLabels: prometheus.Labels{"direction": name},
		}, func() float64 { return float64(n.connections(direction)) })
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drtc_registry_gossip_" + name, Help: help,
		}, func() float64 { return float64(value()) })
	}
	for _, c := range []prometheus.Collector{
		m.messages, m.records, m.drops, m.sessions, m.syncBytes, m.syncRecords, m.bans, m.refused, m.probes,
		connections(network.DirInbound, "in"), connections(network.DirOutbound, "out"),
		gauge("readers", "Peers connected that are not bonded.", n.readers),
		gauge("known_registries", "Bonded Registries whose addresses are known.", func() int { return n.contacts.known() }),
		gauge("queued_records", "Records waiting to be sent.", func() int { return len(n.queue) }),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("gossip: metrics: %w", err)
		}
	}
	return m, nil
}

func (n *Network) connections(direction network.Direction) int {
	count := 0
	for _, c := range n.host.Network().Conns() {
		if c.Stat().Direction == direction {
			count++
		}
	}
	return count
}

// dropped counts records that were lost on the way and has anti-entropy look
// soon.
func (n *Network) dropped(queue string, records int) {
	n.meter.drops.WithLabelValues(queue).Add(float64(records))
	n.hasten()
}
