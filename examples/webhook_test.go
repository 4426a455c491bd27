package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/examples/stage/stagetest"
)

// What a server in another language says holds: who comes in, as what, and how.
func TestWebhook(t *testing.T) {
	s := stagetest.Start(t, program, webhook())
	if _, status := s.Enter("club", s.Token("mallory", "club", "")); status != http.StatusForbidden {
		t.Errorf("mallory got %d, want 403", status)
	}
	teacher := s.Join("teacher", "club", "")
	if got := teacher.Self.GetAttributes()["drtc.role"]; got != "host" {
		t.Errorf("the teacher has the role %q, want host", got)
	}
	ann := s.Join("ann", "club", "")
	if ann.Self.GetAttributes()["drtc.lobby"] != "waiting" {
		t.Errorf("ann is %v, want that she waits", ann.Self.GetAttributes())
	}
	if status := teacher.Moderate("accept", map[string]any{"identity": "ann"}); status != http.StatusOK {
		t.Errorf("the teacher accepts: got %d", status)
	}
	ann.Hears("ann", "drtc.lobby", "")
	bob := s.Join("bob", "quiet", "")
	if why := bob.Publish(true); !strings.Contains(why, "audio only") {
		t.Errorf("a camera in the quiet room was answered by %q", why)
	}
	// A role that the token names but the server does not is none.
	eve := s.Join("eve", "quiet", "host")
	if got := eve.Self.GetAttributes()["drtc.role"]; got != "" {
		t.Errorf("eve has the role %q, want none", got)
	}
}

// The server believes nobody who has not the secret.
func TestWebhook_unsignedQuestions(t *testing.T) {
	address, err := startNode(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for name, signature := range map[string]string{"none": "", "old": "t=1,v1=" + strings.Repeat("0", 64), "garbage": "x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"type":"admit"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Drtc-Signature", signature)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, resp.StatusCode)
		}
	}
}
