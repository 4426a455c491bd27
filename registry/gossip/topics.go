package gossip

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/drtc-network/drtc/registry/record"
)

// The topics, by the last part of their names.
const (
	topicNode      = "node"
	topicLiveness  = "liveness"
	topicRegistry  = "registry"
	topicAdmission = "admission"
	topicEvidence  = "evidence"
	topicReceipt   = "receipt"
)

func topics() []string {
	return []string{topicNode, topicLiveness, topicRegistry, topicAdmission, topicEvidence, topicReceipt}
}

// topicOf is where records of a kind are told of.
func topicOf(kind string) (topic string, ok bool) {
	switch kind {
	case record.KindNode:
		return topicNode, true
	case record.KindLiveness:
		return topicLiveness, true
	case record.KindRegistry:
		return topicRegistry, true
	case record.KindAdmission:
		return topicAdmission, true
	case record.KindEquivocation:
		return topicEvidence, true
	case record.KindReceipt:
		return topicReceipt, true
	}
	return "", false
}

// The queues of pubsub, in messages. What finds one full is dropped.
const (
	validateQueue = 1024
	outboundQueue = 1024
)

// startTopics begins to gossip; it ends with ctx.
func (n *Network) startTopics(ctx context.Context) (map[string]*pubsub.Topic, error) {
	router, err := pubsub.NewGossipSub(ctx, n.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), // the records are signed
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithGossipSubParams(params()),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validateQueue),
		// Twice the size, so that a message that is too large is seen, and counted
		// against who sent it, and does not merely end the stream.
		pubsub.WithMaxMessageSize(2*MaxMessage),
		pubsub.WithPeerScore(n.scoreParams(), scoreThresholds()),
		pubsub.WithPeerScoreInspect(n.peers.scored, scoreEvery),
		pubsub.WithPeerFilter(func(p peer.ID, _ string) bool { return n.gater.bonded(p) }),
		pubsub.WithAppSpecificRpcInspector(n.inspect),
		pubsub.WithRawTracer(tracer{n}),
		pubsub.WithLogger(slog.New(demoted{n.log.Handler()}).With(slog.String("part", "pubsub"))),
	)
	if err != nil {
		return nil, fmt.Errorf("gossip: starting: %w", err)
	}
	joined := map[string]*pubsub.Topic{}
	for _, topic := range topics() {
		name := "/drtc/" + n.config.Name + "/v1/" + topic
		// Inline, so that messages wait in the queue above for a processor and are
		// not dropped when many come at once.
		if err := router.RegisterTopicValidator(name, n.validator(topic), pubsub.WithValidatorInline(true)); err != nil {
			return nil, fmt.Errorf("gossip: topic %s: %w", topic, err)
		}
		if joined[topic], err = router.Join(name); err != nil {
			return nil, fmt.Errorf("gossip: topic %s: %w", topic, err)
		}
		// What is delivered has been dealt with by the validator; relaying keeps
		// this host in the mesh.
		if _, err = joined[topic].Relay(); err != nil {
			return nil, fmt.Errorf("gossip: topic %s: %w", topic, err)
		}
	}
	return joined, nil
}

// params have every Registry send each message once to each other and nothing on
// account of messages that it receives. Offers of what others may have missed
// would be asked for when their queues are full, sent again and counted against
// whoever sends; anti-entropy does that better. What says that a message need not
// be sent goes out before the message is looked at, so that a flooder would have
// its victim flood the others.
func params() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.Dlazy, p.GossipFactor = 0, 0
	p.IDontWantMessageThreshold = 2*MaxMessage + 1
	return p
}

// messageID is the same for equal contents, whoever sends them.
func messageID(m *pb.Message) string {
	h := sha256.Sum256(m.GetData())
	return string(h[:20])
}
