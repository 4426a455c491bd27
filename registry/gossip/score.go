package gossip

import (
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Scores decide whom gossipsub prefers; the budgets decide who is cut off. A
// bonded peer that uses little of its budget has bondedScore, one that has used
// it up is at the gossip threshold; two invalid messages are below the graylist.
const (
	scoreEvery    = time.Second
	bondedScore   = 10
	unbondedScore = -1000
	fullScore     = -60 // added for a budget used up
	crowdScore    = -5  // times the square of the peers too many at one address
	crowd         = 2   // peers that one address may have
	crowdKnown    = 8   // known Registries below which addresses say nothing

	gossipThreshold   = -50
	publishThreshold  = -100
	graylistThreshold = -200
)

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold: gossipThreshold, PublishThreshold: publishThreshold, GraylistThreshold: graylistThreshold,
		OpportunisticGraftThreshold: 1,
	}
}

func (n *Network) scoreParams() *pubsub.PeerScoreParams {
	topic := &pubsub.TopicScoreParams{
		SkipAtomicValidation: true,
		TopicWeight:          1,
		TimeInMeshQuantum:    time.Second,
		// P2: who is often first.
		FirstMessageDeliveriesWeight: 0.1, FirstMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Minute), FirstMessageDeliveriesCap: 50,
		// P4: who sends what no honest Registry passes on.
		InvalidMessageDeliveriesWeight: -100, InvalidMessageDeliveriesDecay: pubsub.ScoreParameterDecay(10 * time.Minute),
	}
	params := &pubsub.PeerScoreParams{
		Topics:           map[string]*pubsub.TopicScoreParams{},
		TopicScoreCap:    20,
		AppSpecificScore: n.peers.appScore, AppSpecificWeight: 1,
		BehaviourPenaltyWeight: -10, BehaviourPenaltyThreshold: 6, BehaviourPenaltyDecay: pubsub.ScoreParameterDecay(10 * time.Minute),
		DecayInterval: scoreEvery, DecayToZero: 0.01, RetainScore: n.config.BanFor,
	}
	for _, name := range topics() {
		params.Topics["/drtc/"+n.config.Name+"/v1/"+name] = topic
	}
	return params
}

// tracer hears of what gossipsub drops and of what it sends.
type tracer struct{ n *Network }

// RejectMessage implements pubsub.RawTracer.
func (t tracer) RejectMessage(m *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull || reason == pubsub.RejectValidationThrottled {
		t.n.dropped(dropValidation, count(m.GetData()))
	}
}

// DropRPC implements pubsub.RawTracer.
func (t tracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	for _, m := range rpc.GetPublish() {
		t.n.dropped(dropOutbound, count(m.GetData()))
	}
}

// SendRPC implements pubsub.RawTracer.
func (t tracer) SendRPC(rpc *pubsub.RPC, p peer.ID) {
	for _, m := range rpc.GetPublish() {
		t.n.peers.of(p).recordsOut.Add(uint64(count(m.GetData())))
	}
}

// The rest of pubsub.RawTracer is of no interest.

func (tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (tracer) OnClosedOutboundStream(peer.ID)           {}
func (tracer) Join(string)                              {}
func (tracer) Leave(string)                             {}
func (tracer) Graft(peer.ID, string)                    {}
func (tracer) Prune(peer.ID, string)                    {}
func (tracer) ValidateMessage(*pubsub.Message)          {}
func (tracer) DeliverMessage(*pubsub.Message)           {}
func (tracer) DuplicateMessage(*pubsub.Message)         {}
func (tracer) ThrottlePeer(peer.ID)                     {}
func (tracer) RecvRPC(*pubsub.RPC)                      {}
func (tracer) UndeliverableMessage(*pubsub.Message)     {}
