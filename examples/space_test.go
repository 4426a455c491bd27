package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/examples/stage/stagetest"
)

// A listener raises a hand, speaks, and no camera gets in.
func TestSpace(t *testing.T) {
	s := stagetest.Start(t, program, space())
	ann := s.Join("ann", "s", "host")
	if why := ann.Publish(true); !strings.Contains(why, "audio only") {
		t.Errorf("a camera was answered by %q, want that the room is for audio only", why)
	}
	if why := ann.Publish(false); why != "" {
		t.Errorf("the host's microphone was refused: %s", why)
	}
	bob := s.Join("bob", "s", "")
	if got := bob.Self.GetAttributes()["drtc.role"]; got != "viewer" || bob.Self.GetPermission().GetCanPublish() || !bob.Self.GetPermission().GetCanSubscribe() {
		t.Errorf("a guest has the role %q and may %v, want that it listens", got, bob.Self.GetPermission())
	}
	if why := bob.Publish(false); !strings.Contains(why, "role") {
		t.Errorf("a listener's microphone was answered by %q", why)
	}
	if status := ann.Moderate("role", map[string]any{"identity": "bob", "role": "speaker"}); status != http.StatusOK {
		t.Fatalf("letting bob speak: got %d", status)
	}
	if p := bob.Hears("bob", "drtc.role", "speaker"); !p.GetPermission().GetCanPublish() {
		t.Errorf("bob may %v, want that he may publish", p.GetPermission())
	}
	if why := bob.Publish(false); why != "" {
		t.Errorf("the speaker's microphone was refused: %s", why)
	}
	if why := bob.Publish(true); !strings.Contains(why, "audio only") {
		t.Errorf("the speaker's camera was answered by %q", why)
	}
}
