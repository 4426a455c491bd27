package enrol

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

const nonceSize = 16

// stream is a node's keepalive with one Registry: one that it registered with,
// or one that probes it.
type stream struct {
	enrolment *Enrolment
	log       *slog.Logger
	client    registryv1connect.RegistryServiceClient
	registry  func() drtc.NodeID // for whom nonces are signed
	alive     func(bool)         // hears whether the stream is open and was asked
	unknown   func()             // hears that the Registry does not know the node
}

// hold keeps the stream open until ctx is done.
func (s *stream) hold(ctx context.Context) {
	retry := backoff{config: s.enrolment.config}
	for ctx.Err() == nil {
		asked, err := s.answerNonces(ctx)
		s.alive(false)
		if ctx.Err() != nil {
			return
		}
		if asked {
			retry.reset()
		}
		s.log.Debug("keepalive ended", slog.Any("error", err))
		if connect.CodeOf(err) == connect.CodeNotFound {
			s.unknown()
		}
		retry.wait(ctx)
	}
}

// answerNonces serves one stream. asked reports that it brought a nonce.
func (s *stream) answerNonces(ctx context.Context) (asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := s.client.KeepAlive(ctx)
	defer func() { err = errors.Join(err, stream.CloseRequest(), stream.CloseResponse()) }()
	// A stream without nonces is given up, whatever keeps it silent.
	silence := time.AfterFunc(s.enrolment.config.Silence, cancel)
	defer silence.Stop()

	self := s.enrolment.key.ID()
	hello := &registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: self[:]}}}
	if err := stream.Send(hello); err != nil {
		return false, fmt.Errorf("enrol: keepalive: %w", err)
	}
	for {
		ask, err := stream.Receive()
		if err != nil {
			return asked, fmt.Errorf("enrol: keepalive: %w", err)
		}
		silence.Reset(s.enrolment.config.Silence)
		pong, err := s.pong(ask)
		if err != nil {
			return asked, err
		}
		if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Pong{Pong: pong}}); err != nil {
			return asked, fmt.Errorf("enrol: keepalive: %w", err)
		}
		if !asked {
			asked = true
			s.alive(true)
		}
	}
}

// pong signs a nonce for the Registry that the node expects here, and for no
// other (spec REG-13).
func (s *stream) pong(ask *registryv1.KeepAliveResponse) (*registryv1.Pong, error) {
	if len(ask.GetNonce()) != nonceSize {
		return nil, fmt.Errorf("enrol: keepalive: want a nonce of %d bytes, got %d", nonceSize, len(ask.GetNonce()))
	}
	registry := s.registry()
	if len(ask.GetRegistry()) != len(registry) || drtc.NodeID(ask.GetRegistry()) != registry {
		return nil, fmt.Errorf("enrol: keepalive: the Registry was %s and says now %x", registry, ask.GetRegistry())
	}
	sig := s.enrolment.key.SignMessage([]byte("drtc keepalive\n" + registry.String() + "\n" + hex.EncodeToString(ask.GetNonce())))
	return &registryv1.Pong{Nonce: ask.GetNonce(), Signature: sig[:]}, nil
}
