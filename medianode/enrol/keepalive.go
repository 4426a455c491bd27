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
)

const nonceSize = 16

// keepAlive holds a stream to the Registry open until ctx is done.
func (m *member) keepAlive(ctx context.Context) {
	retry := backoff{config: m.enrolment.config}
	for ctx.Err() == nil {
		asked, err := m.answerNonces(ctx)
		m.setKeepAlive(false)
		if ctx.Err() != nil {
			return
		}
		if asked {
			retry.reset()
		}
		m.log.Debug("keepalive ended", slog.Any("error", err))
		if connect.CodeOf(err) == connect.CodeNotFound {
			select {
			case m.unknown <- struct{}{}:
			default:
			}
		}
		retry.wait(ctx)
	}
}

func (m *member) setKeepAlive(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.KeepAlive = on
}

// answerNonces serves one stream. asked reports that it brought a nonce.
func (m *member) answerNonces(ctx context.Context) (asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := m.client.KeepAlive(ctx)
	defer func() { err = errors.Join(err, stream.CloseRequest(), stream.CloseResponse()) }()
	// A stream without nonces is given up, whatever keeps it silent.
	silence := time.AfterFunc(m.enrolment.config.Silence, cancel)
	defer silence.Stop()

	self := m.enrolment.key.ID()
	hello := &registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Hello{Hello: &registryv1.Hello{Node: self[:]}}}
	if err := stream.Send(hello); err != nil {
		return false, fmt.Errorf("enrol: keepalive: %w", err)
	}
	for {
		ask, err := stream.Receive()
		if err != nil {
			return asked, fmt.Errorf("enrol: keepalive: %w", err)
		}
		silence.Reset(m.enrolment.config.Silence)
		pong, err := m.pong(ask)
		if err != nil {
			return asked, err
		}
		if err := stream.Send(&registryv1.KeepAliveRequest{Message: &registryv1.KeepAliveRequest_Pong{Pong: pong}}); err != nil {
			return asked, fmt.Errorf("enrol: keepalive: %w", err)
		}
		if !asked {
			asked = true
			m.setKeepAlive(true)
		}
	}
}

// pong signs a nonce for the Registry that the node registered with, and for no
// other (spec REG-13).
func (m *member) pong(ask *registryv1.KeepAliveResponse) (*registryv1.Pong, error) {
	if len(ask.GetNonce()) != nonceSize {
		return nil, fmt.Errorf("enrol: keepalive: want a nonce of %d bytes, got %d", nonceSize, len(ask.GetNonce()))
	}
	registry := m.current().ID
	if len(ask.GetRegistry()) != len(registry) || drtc.NodeID(ask.GetRegistry()) != registry {
		return nil, fmt.Errorf("enrol: keepalive: the Registry was %s and says now %x", registry, ask.GetRegistry())
	}
	sig := m.enrolment.key.SignMessage([]byte("drtc keepalive\n" + registry.String() + "\n" + hex.EncodeToString(ask.GetNonce())))
	return &registryv1.Pong{Nonce: ask.GetNonce(), Signature: sig[:]}, nil
}
