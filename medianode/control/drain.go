package control

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// Drain implements the ControlService: the node's own key, and nobody else, stops
// the admission of sessions or resumes it. Heartbeats and the node's record say
// so, and Orchestrators move their clients away; the node itself ends no session.
// A restart takes the node back into service.
func (s *Service) Drain(ctx context.Context, req *connect.Request[medianodev1.DrainRequest]) (*connect.Response[medianodev1.DrainResponse], error) {
	c, ok := httpauth.Caller(ctx)
	switch {
	case !ok:
		return nil, errUnauthenticated()
	case c.ID != s.cfg.Self || c.Bare: // the bare form could be a copy of what the node sent a Registry
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("drain: only the node's own key may drain it"))
	}
	s.draining.Store(req.Msg.Drain)
	s.leave(req.Msg.Drain)
	return connect.NewResponse(&medianodev1.DrainResponse{Sessions: uint32(s.Sessions())}), nil
}

// leave tells the engine that all clients are on their way to other nodes, or
// not any more.
func (s *Service) leave(leaves bool) {
	for _, e := range s.all(func(*session) bool { return true }) {
		e.mu.Lock()
		for _, l := range []*leg{e.publisher, e.subscriber} {
			if l.open {
				_ = s.command(l.peer, func(_ time.Time, c *engine.Core) error { return c.Leave(l.peer, leaves) }) // or it has ended
			}
		}
		e.mu.Unlock()
	}
}

// Draining reports whether the node takes no new sessions.
func (s *Service) Draining() bool { return s.draining.Load() }

func errUnauthenticated() error {
	return connect.NewError(connect.CodeUnauthenticated, errors.New("call is not authenticated"))
}
