package transport

import "fmt"

// MaxRelayMessage is the largest data channel message to and from a relay peer,
// bytes: one of a client in the wrapper that says whose it is.
const MaxRelayMessage = MaxMessage + 256

// bounds are the limits of one peer.
type bounds struct {
	message int // bytes
	// receive is what SCTP holds of messages that nobody takes yet, bytes.
	receive uint32
	inbound int // SCTP packets that may wait for the association
	// inFlight is how much of a channel's queue is given to SCTP at a time, bytes.
	inFlight uint64
	// lossy is how much may wait on a lossy channel before the oldest message
	// goes, bytes.
	lossy                     int
	queueBytes, queueMessages int
	rate, messages            int // taken from the peer, per second
	streams                   int // SSRCs in one direction
}

// boundsOf are those of a peer by its kind, the transport's configuration and
// its own. Another node sends what all the clients behind it do, over round
// trips of up to 250 ms.
func boundsOf(t Config, cfg PeerConfig) (bounds, error) {
	b := bounds{
		message: MaxMessage, receive: receiveBuffer, inbound: inboundPackets, inFlight: sctpBuffered, lossy: lossyBytes,
		queueBytes: t.SendQueueBytes, queueMessages: t.SendQueueMessages, rate: t.DataRate, messages: t.DataMessages,
		streams: maxStreams,
	}
	if cfg.Relay {
		b.message, b.receive, b.inbound, b.inFlight, b.lossy = MaxRelayMessage, 16*receiveBuffer, 16*inboundPackets, 16*sctpBuffered, 16*lossyBytes
		b.streams = maxRelayStreams
	}
	for _, o := range []struct {
		field     string
		to        *int
		value, lo int
	}{
		{"SendQueueBytes", &b.queueBytes, cfg.SendQueueBytes, b.message},
		{"SendQueueMessages", &b.queueMessages, cfg.SendQueueMessages, 1},
		{"DataRate", &b.rate, cfg.DataRate, b.message},
		{"DataMessages", &b.messages, cfg.DataMessages, 1},
	} {
		if o.value != 0 {
			*o.to = o.value
		}
		if *o.to < o.lo {
			if o.value != 0 {
				return bounds{}, fmt.Errorf("transport: PeerConfig.%s: want at least %d, got %d", o.field, o.lo, o.value)
			}
			*o.to = o.lo
		}
	}
	return b, nil
}
