package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// serveWHIP runs a server that handles requests by f.
func serveWHIP(t *testing.T, f http.HandlerFunc) *WHIP {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/api")
	if err != nil {
		t.Fatal(err)
	}
	return &WHIP{API: newTestAPI(t), Base: base, Room: "a room", HTTP: server.Client(), Sign: func(identity string, publishes bool) (string, error) {
		if publishes {
			return "", errors.New("a player asked for a publisher's token")
		}
		return "token-of-" + identity, nil
	}}
}

// answerer answers an offer as a server would.
func answerer(t *testing.T, sdp string) string {
	t.Helper()
	pc, err := newTestAPI(t).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Error(err)
		return ""
	}
	t.Cleanup(func() { _ = pc.Close() })
	answer, err := Answer(context.Background(), pc, sdp)
	if err != nil {
		t.Error(err)
	}
	return answer
}

func readBody(t *testing.T, r *http.Request) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestWHIP_playsWaitsForThePublisherAndEndsAtTheServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var requests []string
	whip := serveWHIP(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
		switch {
		case r.Method == http.MethodDelete:
		case len(requests) == 1:
			http.Error(w, "nobody of this name publishes", http.StatusNotFound)
		default:
			w.Header().Set("Location", "../sessions/7")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(answerer(t, readBody(t, r))))
		}
	})
	session, err := whip.Play(ctx, Subscriber{Name: "bob", Track: func(*webrtc.TrackRemote, *webrtc.RTPReceiver) {}}, "alice")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second does nothing
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
	const play = "POST /api/whep/a%20room/alice Bearer token-of-bob"
	want := []string{play, play, "DELETE /api/whep/sessions/7 Bearer token-of-bob"}
	if strings.Join(requests, "\n") != strings.Join(want, "\n") {
		t.Errorf("the server got\n%s\nwant\n%s", strings.Join(requests, "\n"), strings.Join(want, "\n"))
	}
}

func TestWHIP_saysWhyItWasRefused(t *testing.T) {
	whip := serveWHIP(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the token has expired\nand more", http.StatusUnauthorized)
	})
	_, err := whip.Play(context.Background(), Subscriber{Name: "bob"}, "alice")
	if err == nil || !strings.HasSuffix(err.Error(), "401 Unauthorized: the token has expired") {
		t.Errorf("got %v, want the status and the first line", err)
	}
	if errors.Is(err, errNotYet) {
		t.Error("a refusal is not tried again")
	}
}

func TestLoopbackInterfaces(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "192.0.2.1": false, "example.org": false} {
		if got := len(LoopbackInterfaces(host)) > 0; got != want {
			t.Errorf("%s: on loopback %v, want %v", host, got, want)
		}
	}
}
