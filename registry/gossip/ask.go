package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// ErrUnreachable is returned by AskProbe for a Registry that is not known or
// does not answer in time.
var ErrUnreachable = errors.New("gossip: the Registry cannot be asked")

// The answers to "does this node answer you?", one byte.
const (
	probeDead    = 0
	probeAnswers = 1
	probeUnknown = 2 // the Registry cannot tell
)

func (n *Network) probeProtocol() protocol.ID {
	return protocol.ID("/drtc/" + n.config.Name + "/probe/1")
}

// OnProbe sets who answers other Registries that ask whether a node answers
// here. Without one every answer is that this Registry cannot tell. ctx ends
// with Config.ProbeTimeout.
func (n *Network) OnProbe(answer func(ctx context.Context, from, node drtc.NodeID) (bool, error)) {
	n.onProbe.Store(&answer)
}

// AskProbe asks a Registry whether a node answers it. The error wraps
// ErrUnreachable unless the Registry said that it cannot tell.
func (n *Network) AskProbe(ctx context.Context, registry, node drtc.NodeID) (answers bool, err error) {
	answer, err := n.askProbe(ctx, registry, node)
	outcome := "unreachable"
	switch {
	case err != nil:
	case answer == probeAnswers:
		answers, outcome = true, "answers"
	case answer == probeDead:
		outcome = "dead"
	default:
		outcome, err = "unknown", fmt.Errorf("gossip: Registry %s cannot tell whether %s answers", registry, node)
	}
	n.meter.probes.WithLabelValues("out", outcome).Inc()
	return answers, err
}

func (n *Network) askProbe(ctx context.Context, registry, node drtc.NodeID) (byte, error) {
	p, ok := n.contacts.peerOf(registry)
	if !ok {
		return 0, fmt.Errorf("%w: %s is not known", ErrUnreachable, registry)
	}
	ctx, cancel := context.WithTimeout(ctx, n.config.ProbeTimeout)
	defer cancel()
	n.contacts.remember(n.host.Peerstore(), p)
	stream, err := n.host.NewStream(ctx, p, n.probeProtocol())
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrUnreachable, registry, err)
	}
	defer finish(stream)
	stop := context.AfterFunc(ctx, func() { abort(stream) })
	defer stop()
	var answer [1]byte
	_, err = stream.Write(node[:])
	if err == nil {
		_, err = io.ReadFull(stream, answer[:])
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrUnreachable, registry, err)
	}
	return answer[0], nil
}

// probe is the handler of questions that others ask.
func (n *Network) probe(stream network.Stream) {
	if !n.enter() {
		abort(stream)
		return
	}
	defer n.serving.Done()
	outcome, err := n.answerProbe(stream)
	n.meter.probes.WithLabelValues("in", outcome).Inc()
	if err != nil {
		abort(stream)
		return
	}
	finish(stream)
}

func (n *Network) answerProbe(stream network.Stream) (outcome string, err error) {
	now, state := time.Now(), n.peers.of(stream.Conn().RemotePeer())
	if !n.bonding.Bonded(record.RoleRegistry, state.id) || !state.account.probe(now, &n.config.Budget) {
		n.blame(state)
		return "refused", ErrUnreachable
	}
	deadline(stream, now.Add(n.config.ProbeTimeout))
	ctx, cancel := context.WithTimeout(n.running, n.config.ProbeTimeout)
	defer cancel()
	var node drtc.NodeID
	if _, err := io.ReadFull(stream, node[:]); err != nil {
		return "broken", err
	}
	outcome, answer := "unknown", byte(probeUnknown)
	if ask := n.onProbe.Load(); ask != nil {
		switch answers, err := (*ask)(ctx, state.id, node); {
		case err != nil:
		case answers:
			outcome, answer = "answers", probeAnswers
		default:
			outcome, answer = "dead", probeDead
		}
	}
	_, err = stream.Write([]byte{answer})
	return outcome, err
}
