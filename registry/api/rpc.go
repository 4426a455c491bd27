package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// service is registryv1connect.RegistryServiceHandler.
type service struct {
	config   Config
	backend  Backend
	meter    *meter
	watchers *places
}

func (s *service) RegisterNode(ctx context.Context, r *connect.Request[registryv1.RegisterNodeRequest]) (*connect.Response[registryv1.RegisterNodeResponse], error) {
	e, err := nodeRecord("record", r.Msg.GetRecord(), false)
	if err != nil {
		return nil, err
	}
	accepted, held, err := s.join(ctx, e)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.RegisterNodeResponse{
		Registry: s.id(), Accepted: accepted, Held: held,
		MinGeneration: s.backend.Records.MinGeneration(e.Subject), Probers: s.probers(e.Subject),
	}), nil
}

func (s *service) RefreshNode(ctx context.Context, r *connect.Request[registryv1.RefreshNodeRequest]) (*connect.Response[registryv1.RefreshNodeResponse], error) {
	e, err := nodeRecord("record", r.Msg.GetRecord(), false)
	if err != nil {
		return nil, err
	}
	if _, known := s.backend.Records.Held(e.Subject); !known {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("subject: %s is not registered here: call RegisterNode", e.Subject))
	}
	accepted, held, err := s.join(ctx, e)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.RefreshNodeResponse{
		Registry: s.id(), Accepted: accepted, Held: held,
		MinGeneration: s.backend.Records.MinGeneration(e.Subject), Probers: s.probers(e.Subject),
	}), nil
}

func (s *service) DeregisterNode(ctx context.Context, r *connect.Request[registryv1.DeregisterNodeRequest]) (*connect.Response[registryv1.DeregisterNodeResponse], error) {
	e, err := nodeRecord("tombstone", r.Msg.GetTombstone(), true)
	if err != nil {
		return nil, err
	}
	accepted, held, err := s.submit(ctx, e)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.DeregisterNodeResponse{Registry: s.id(), Accepted: accepted, Held: held}), nil
}

// publishable are the kinds that Publish takes.
var publishable = []string{record.KindReceipt}

// Publish takes a record of a kind that has no call of its own.
func (s *service) Publish(ctx context.Context, r *connect.Request[registryv1.PublishRequest]) (*connect.Response[registryv1.PublishResponse], error) {
	e, err := wire.FromProto(r.Msg.GetRecord())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if !slices.Contains(publishable, e.Kind) {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("record.kind: want one of %v, got %q", publishable, e.Kind))
	}
	accepted, held, err := s.submit(ctx, e)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.PublishResponse{Registry: s.id(), Accepted: accepted, Held: held}), nil
}

// GetAdmission gives who takes part, for nodes to hold calls against.
func (s *service) GetAdmission(context.Context, *connect.Request[registryv1.GetAdmissionRequest]) (*connect.Response[registryv1.GetAdmissionResponse], error) {
	body, attestations := s.backend.Records.Admission()
	a := &registryv1.GetAdmissionResponse{Body: body}
	for _, e := range attestations {
		e.Body = nil // it is the same in all
		r, err := wire.ToProto(&e)
		if err != nil {
			return nil, connect.NewError(connect.CodeInternal, err)
		}
		a.Attestations = append(a.Attestations, r)
	}
	return connect.NewResponse(a), nil
}

func (s *service) id() string { return s.backend.Registry.String() }

func (s *service) probers(id drtc.NodeID) []*registryv1.Prober {
	var probers []*registryv1.Prober
	for _, p := range s.backend.Nodes.Probers(id) {
		probers = append(probers, &registryv1.Prober{Registry: p.ID.String(), Url: p.URL})
	}
	return probers
}

// nodeRecord reads a record of kind "node" that leaves or does not.
func nodeRecord(field string, r *registryv1.Record, leaves bool) (envelope.Envelope, error) {
	e, err := wire.FromProto(r)
	if err != nil {
		return e, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if e.Kind != record.KindNode {
		return e, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s.kind: want %q, got %q", field, record.KindNode, e.Kind))
	}
	if e.IsTombstone() != leaves {
		return e, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s.flags: bit 0 (tombstone) belongs to DeregisterNode and to no other call", field))
	}
	return e, nil
}

// join submits a record of a node that stays. A revoked generation is answered
// like a newer record in the way, since the answer has the lowest one that is
// taken.
func (s *service) join(ctx context.Context, e envelope.Envelope) (accepted bool, held *registryv1.Record, err error) {
	accepted, held, err = s.submit(ctx, e)
	if errors.Is(err, record.ErrRevoked) {
		return false, nil, nil
	}
	return accepted, held, err
}

func (s *service) submit(ctx context.Context, e envelope.Envelope) (accepted bool, held *registryv1.Record, err error) {
	receipt, err := s.backend.Records.Submit(ctx, e)
	if err != nil {
		return false, nil, connect.NewError(codeOf(err), err)
	}
	if receipt.Accepted {
		return true, nil, nil
	}
	held, err = wire.ToProto(&receipt.Held)
	return false, held, err
}

// codeOf gives each refusal its RPC code.
func codeOf(err error) connect.Code {
	if errors.Is(err, ErrReadOnly) { // whatever it would be otherwise
		return connect.CodeUnavailable
	}
	for code, causes := range map[connect.Code][]error{
		connect.CodeUnauthenticated:   {envelope.ErrSignature, liveness.ErrSignature, liveness.ErrNonce},
		connect.CodePermissionDenied:  {record.ErrIssuer, record.ErrBond, record.ErrRevoked},
		connect.CodeResourceExhausted: {record.ErrRate, record.ErrFull, record.ErrQuota, liveness.ErrBusy},
		connect.CodeNotFound:          {ErrUnknownNode},
		connect.CodeInvalidArgument: {envelope.ErrField, envelope.ErrMalformed, wire.ErrRecord, node.ErrPayload,
			record.ErrKind, record.ErrNetwork, record.ErrSize, record.ErrTTL, record.ErrTombstone},
		connect.CodeFailedPrecondition: {record.ErrFuture, record.ErrExpired},
		connect.CodeCanceled:           {context.Canceled},
		connect.CodeDeadlineExceeded:   {context.DeadlineExceeded},
	} {
		for _, cause := range causes {
			if errors.Is(err, cause) {
				return code
			}
		}
	}
	return connect.CodeUnavailable
}

// KeepAlive reads in the handler's goroutine and sends in another, which ends
// the reading by its deadline.
func (s *service) KeepAlive(ctx context.Context, stream *connect.BidiStream[registryv1.KeepAliveRequest, registryv1.KeepAliveResponse]) error {
	rc, ok := ctx.Value(controllerKey{}).(*http.ResponseController)
	if !ok {
		return connect.NewError(connect.CodeInternal, errors.New("keepalive without deadlines"))
	}
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	var id drtc.NodeID
	if len(hello.GetNode()) != len(id) {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("hello.node: want %d bytes in the first message, got %d", len(id), len(hello.GetNode())))
	}
	copy(id[:], hello.GetNode())
	ka, err := s.backend.Nodes.OpenKeepAlive(id)
	if err != nil {
		return connect.NewError(codeOf(err), err)
	}
	s.meter.streams.Inc()
	defer s.meter.streams.Dec()

	ctx, cancel := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { s.sendNonces(ctx, rc, ka, stream) })
	err = s.receivePongs(rc, ka, stream)
	cancel()
	ka.Close()
	sender.Wait()
	return err
}

func (s *service) sendNonces(ctx context.Context, rc *http.ResponseController, ka KeepAlive, stream *connect.BidiStream[registryv1.KeepAliveRequest, registryv1.KeepAliveResponse]) {
	registry := s.backend.Registry
	defer rc.SetReadDeadline(time.Now()) //nolint:errcheck // it worked before
	for {
		select {
		case <-ctx.Done():
			return
		case nonce, open := <-ka.Nonces():
			if !open {
				return
			}
			if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(s.config.Timeout)),
				stream.Send(&registryv1.KeepAliveResponse{Nonce: nonce[:], Registry: registry[:]})); err != nil {
				return
			}
		}
	}
}

// receivePongs ends with the stream, with the first wrong answer, or after too
// long a silence.
func (s *service) receivePongs(rc *http.ResponseController, ka KeepAlive, stream *connect.BidiStream[registryv1.KeepAliveRequest, registryv1.KeepAliveResponse]) error {
	for {
		if err := rc.SetReadDeadline(time.Now().Add(s.config.Silence)); err != nil {
			return connect.NewError(connect.CodeInternal, err)
		}
		m, err := stream.Receive()
		if err != nil {
			return err
		}
		pong := m.GetPong()
		var sig identity.Signature
		if len(pong.GetSignature()) != len(sig) {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("pong.signature: want %d bytes, got %d", len(sig), len(pong.GetSignature())))
		}
		copy(sig[:], pong.GetSignature())
		if err := ka.Pong(pong.GetNonce(), sig); err != nil {
			return connect.NewError(codeOf(err), err)
		}
	}
}
