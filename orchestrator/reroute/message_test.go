package reroute_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/orchestrator/reroute"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

// listener takes messages for member b and answers with what they say.
func listener(t *testing.T, key []byte) (b *reroute.Handler, to tenure.Owner, seen chan *http.Request) {
	t.Helper()
	seen = make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		message, err := b.Receive(r)
		r.Body = io.NopCloser(bytes.NewReader(body))
		seen <- r
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = w.Write(append([]byte("heard "), message...))
	}))
	t.Cleanup(server.Close)
	return handler(t, "b", key, time.Now), tenure.Owner{Member: "b", URL: server.URL}, seen
}

func handler(t *testing.T, self string, key []byte, now func() time.Time) *reroute.Handler {
	t.Helper()
	h, err := reroute.New(reroute.Config{
		Self: self, Secret: key, Next: http.NotFoundHandler(), Now: now,
		Room:  func(*http.Request) (tenure.Key, bool) { return "", false },
		Owner: func(context.Context, tenure.Key) (tenure.Owner, error) { return tenure.Owner{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestMessage_reachesAnotherMember(t *testing.T) {
	b, to, _ := listener(t, secret)
	_ = b
	got, err := handler(t, "a", secret, time.Now).Send(t.Context(), to, "/order", []byte("this"))
	if err != nil || string(got) != "heard this" {
		t.Errorf("got %q and %v, want that it was heard", got, err)
	}
}

func TestMessage_ofNobodyIsRefused(t *testing.T) {
	b, to, seen := listener(t, secret)
	for what, h := range map[string]*reroute.Handler{
		"another secret": handler(t, "a", bytes.Repeat([]byte("x"), 32), time.Now),
		"an old one":     handler(t, "a", secret, func() time.Time { return time.Now().Add(-time.Minute) }),
	} {
		if _, err := h.Send(t.Context(), to, "/order", []byte("this")); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: got %v, want 403", what, err)
		}
		<-seen
	}
	if _, err := handler(t, "a", secret, time.Now).Send(t.Context(), tenure.Owner{Member: "c", URL: to.URL}, "/order", []byte("this")); err == nil {
		t.Error("a message for c was taken by b")
	}
	<-seen
	if _, err := handler(t, "a", secret, time.Now).Send(t.Context(), tenure.Owner{Member: "b", URL: "nowhere"}, "/order", nil); err == nil {
		t.Error("a message went to a member without an address")
	}
	// What is true of one message is not of another.
	if _, err := handler(t, "a", secret, time.Now).Send(t.Context(), to, "/order", []byte("this")); err != nil {
		t.Fatal(err)
	}
	good := <-seen
	for what, change := range map[string]func(*http.Request){
		"another body":   func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("that")) },
		"another path":   func(r *http.Request) { r.URL.Path = "/other" },
		"another method": func(r *http.Request) { r.Method = http.MethodPut },
		"no header":      func(r *http.Request) { r.Header.Del("X-Drtc-Message") },
		"two headers":    func(r *http.Request) { r.Header.Add("X-Drtc-Message", "x") },
		"garbage":        func(r *http.Request) { r.Header.Set("X-Drtc-Message", "b;1;2;%") },
		"no code":        func(r *http.Request) { r.Header.Set("X-Drtc-Message", "b") },
		"too long":       func(r *http.Request) { r.Header.Set("X-Drtc-Message", strings.Repeat("b", 600)) },
	} {
		r := good.Clone(t.Context())
		r.Body = io.NopCloser(strings.NewReader("this"))
		if _, err := b.Receive(r); err != nil {
			t.Fatalf("before %s: %v", what, err)
		}
		r.Body = io.NopCloser(strings.NewReader("this"))
		change(r)
		if _, err := b.Receive(r); !errors.Is(err, reroute.ErrMessage) {
			t.Errorf("%s: got %v, want ErrMessage", what, err)
		}
	}
}
