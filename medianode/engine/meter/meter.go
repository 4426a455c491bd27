// Package meter counts the bytes that are paid for (whitepaper section 3.3;
// design decision 12): RTP header and payload bytes of packets sent for the
// first time, and user bytes of data channels.
//
// Contract: padding, retransmissions, probes, RTCP, STUN, DTLS, SRTP tags, UDP
// and IP do not count; of what was sent, that is paid which the receiver
// reported to have, and no byte twice. Without loss that is, to the byte,
// bytesReceived + headerBytesReceived of a browser's inbound-rtp statistics
// without its retransmissions and padding.
//
// A reception report names the highest sequence number received and how many
// packets before it are missing, not which. The share that arrived is applied
// to the bytes sent up to that number, so that a Stream is exact without loss
// and right on average with it: it is off by no more than what the lost packets
// differ in size from the others. Packets lost before the first that arrives are
// in no report; they count as arrived.
//
// A Meter is one session, a Ledger all applications of a node: what sessions
// counted is moved into it by Take.
//
// Sent and Acknowledged do not allocate. Not safe for concurrent use.
package meter

// Counters are cumulative bytes, of one session or of all of an application.
type Counters struct {
	// ClientSent and RelaySent are bytes sent to clients and to other nodes.
	ClientSent, RelaySent uint64
	// Client and Relay are the part of them that receivers acknowledged.
	Client, Relay uint64
}

// Add adds o to c.
func (c *Counters) Add(o Counters) {
	c.ClientSent += o.ClientSent
	c.RelaySent += o.RelaySent
	c.Client += o.Client
	c.Relay += o.Relay
}

// Receiver says who gets the bytes of a session.
type Receiver uint8

// A session's receiver is a client or another Media Node.
const (
	Client Receiver = iota
	Relay
)

// Meter counts for one session. Use New.
type Meter struct {
	to                 Receiver
	sent, acknowledged uint64
	taken              Counters
}

// New returns a Meter for a session with this kind of receiver.
func New(to Receiver) *Meter { return &Meter{to: to} }

// Data counts the user bytes of one data channel message once SCTP has taken
// it; SCTP acknowledges by itself.
func (m *Meter) Data(bytes int) {
	m.sent += uint64(bytes)
	m.acknowledged += uint64(bytes)
}

// Stream begins to count an outgoing SSRC of the session.
func (m *Meter) Stream() *Stream { return &Stream{meter: m} }

// Snapshot returns the counters so far.
func (m *Meter) Snapshot() Counters {
	if m.to == Relay {
		return Counters{RelaySent: m.sent, Relay: m.acknowledged}
	}
	return Counters{ClientSent: m.sent, Client: m.acknowledged}
}

// Take returns what was counted since the call before: every byte is in one of
// the results.
func (m *Meter) Take() Counters {
	now, before := m.Snapshot(), m.taken
	m.taken = now
	return Counters{
		ClientSent: now.ClientSent - before.ClientSent, RelaySent: now.RelaySent - before.RelaySent,
		Client: now.Client - before.Client, Relay: now.Relay - before.Relay,
	}
}
