package nodes

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
)

// Headers of calls, as Media Nodes read them.
const (
	headerMember = "X-Drtc-Member"
	headerTerm   = "X-Drtc-Term"
)

type termKey struct{}

// WithTerm makes calls with this context come with the term that the member has
// for their room.
func WithTerm(ctx context.Context, term uint64) context.Context {
	return context.WithValue(ctx, termKey{}, term)
}

// Fenced reports whether a node refused a call since the room has another
// writer, and the term that the node knows.
func Fenced(err error) (term uint64, ok bool) {
	var refused *connect.Error
	if !errors.As(err, &refused) || refused.Code() != connect.CodeFailedPrecondition {
		return 0, false
	}
	term, err = strconv.ParseUint(refused.Meta().Get(headerTerm), 10, 64)
	return term, err == nil
}

// As is an interceptor that sends the name of the member and the term of the
// call's context. The empty name, of an Orchestrator that is alone, sends none.
type As string

// WrapUnary implements connect.Interceptor.
func (a As) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		a.mark(ctx, req.Header())
		return next(ctx, req)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (a As) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		a.mark(ctx, conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (As) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (a As) mark(ctx context.Context, h http.Header) {
	if a != "" {
		h.Set(headerMember, string(a))
	}
	if term, ok := ctx.Value(termKey{}).(uint64); ok && term > 0 {
		h.Set(headerTerm, strconv.FormatUint(term, 10))
	}
}
