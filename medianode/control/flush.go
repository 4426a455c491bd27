package control

import (
	"context"
	"net/http"
)

// gathering is a response whose flushing can be put off, so that messages that
// are there at once leave in one write. It belongs to the goroutine that serves
// the call.
type gathering struct {
	http.ResponseWriter
	flusher http.Flusher
	held    bool
}

type gatheringKey struct{}

// gather gives streams a response that hold can put off.
func gather(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, ok := w.(http.Flusher); ok {
			g := &gathering{ResponseWriter: w, flusher: f}
			w, r = g, r.WithContext(context.WithValue(r.Context(), gatheringKey{}, g))
		}
		next.ServeHTTP(w, r)
	})
}

// Flush implements http.Flusher.
func (g *gathering) Flush() {
	if !g.held {
		g.flusher.Flush()
	}
}

// Unwrap serves http.ResponseController.
func (g *gathering) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// hold puts off the flushing of the call's response until release.
func hold(ctx context.Context) (release func()) {
	g, ok := ctx.Value(gatheringKey{}).(*gathering)
	if !ok {
		return func() {}
	}
	g.held = true
	return func() {
		g.held = false
		g.Flush()
	}
}
