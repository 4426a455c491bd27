package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/orchestrator/nodes"
)

// fence answers with what it was sent, and refuses claims.
type fence struct {
	medianodev1connect.UnimplementedControlServiceHandler
}

func said(h http.Header) string {
	return fmt.Sprintf("%q %q", h.Values("X-Drtc-Member"), h.Values("X-Drtc-Term"))
}

func (fence) CreateSession(_ context.Context, r *connect.Request[medianodev1.CreateSessionRequest]) (*connect.Response[medianodev1.CreateSessionResponse], error) {
	return connect.NewResponse(&medianodev1.CreateSessionResponse{Addresses: []string{said(r.Header())}}), nil
}

func (fence) Events(_ context.Context, r *connect.Request[medianodev1.EventsRequest], s *connect.ServerStream[medianodev1.EventsResponse]) error {
	return s.Send(&medianodev1.EventsResponse{Instance: said(r.Header())})
}

func (fence) ClaimRoom(context.Context, *connect.Request[medianodev1.ClaimRoomRequest]) (*connect.Response[medianodev1.ClaimRoomResponse], error) {
	err := connect.NewError(connect.CodeFailedPrecondition, errors.New("term: 3 is over"))
	err.Meta().Set("X-Drtc-Term", "9")
	return nil, err
}

func TestAs_sendsMemberAndTerm(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(medianodev1connect.NewControlServiceHandler(fence{}))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, c := range []struct {
		member string
		term   uint64
		want   string
	}{
		{"east-1", 18446744073709551615, `["east-1"] ["18446744073709551615"]`},
		{"east-1", 0, `["east-1"] []`},
		{"", 0, `[] []`},
	} {
		client := medianodev1connect.NewControlServiceClient(server.Client(), server.URL, connect.WithGRPC(), connect.WithInterceptors(nodes.As(c.member)))
		ctx := nodes.WithTerm(t.Context(), c.term)
		resp, err := client.CreateSession(ctx, connect.NewRequest(&medianodev1.CreateSessionRequest{}))
		if err != nil || resp.Msg.Addresses[0] != c.want {
			t.Errorf("%+v: a call said %v, %v", c, resp, err)
		}
		stream, err := client.Events(ctx, connect.NewRequest(&medianodev1.EventsRequest{}))
		if err != nil || !stream.Receive() || stream.Msg().Instance != c.want {
			t.Errorf("%+v: a stream said %v, %v", c, stream.Msg(), err)
		}
		_, err = client.ClaimRoom(ctx, connect.NewRequest(&medianodev1.ClaimRoomRequest{}))
		if term, ok := nodes.Fenced(fmt.Errorf("wrapped: %w", err)); term != 9 || !ok {
			t.Errorf("%+v: fenced by %d, %t of %v, want 9", c, term, ok, err)
		}
	}
}

func TestFenced_othersAreNot(t *testing.T) {
	other := connect.NewError(connect.CodeUnavailable, errors.New("away"))
	other.Meta().Set("X-Drtc-Term", "9")
	for _, err := range []error{nil, errors.New("x"), other, connect.NewError(connect.CodeFailedPrecondition, errors.New("no codec"))} {
		if term, ok := nodes.Fenced(err); ok {
			t.Errorf("%v: fenced by %d", err, term)
		}
	}
}
