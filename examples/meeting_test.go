package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/examples/stage/stagetest"
)

// A meeting from the first who comes to the second who leads.
func TestMeeting(t *testing.T) {
	s := stagetest.Start(t, program, meeting())
	if !strings.Contains(s.Page(), "<title>drtc example</title>") {
		t.Error("there is no page")
	}
	ann := s.Join("ann", "m", "")
	if got := ann.Self.GetAttributes()["drtc.role"]; got != "host" {
		t.Fatalf("the first one has the role %q, want host", got)
	}
	bob := s.Join("bob", "m", "")
	if bob.Self.GetAttributes()["drtc.lobby"] != "waiting" || len(bob.Others) != 0 {
		t.Fatalf("the second one is %v and sees %d, want that he waits alone", bob.Self.GetAttributes(), len(bob.Others))
	}
	ann.Hears("bob", "drtc.lobby", "waiting")
	if why := bob.Publish(false); !strings.Contains(why, "lobby") {
		t.Errorf("publishing from the lobby was answered by %q", why)
	}
	if status := bob.Moderate("accept", map[string]any{"identity": "bob"}); status != http.StatusForbidden {
		t.Errorf("bob lets himself in: got %d, want 403", status)
	}
	if status := ann.Moderate("accept", map[string]any{"identity": "bob"}); status != http.StatusOK {
		t.Fatalf("accepting: got %d", status)
	}
	bob.Hears("ann", "drtc.role", "host")
	bob.Hears("bob", "drtc.lobby", "")
	if why := bob.Publish(true); why != "" {
		t.Errorf("publishing was refused: %s", why)
	}
	cid := s.Join("cid", "m", "staff")
	if cid.Self.GetAttributes()["drtc.lobby"] != "" || len(cid.Others) != 2 {
		t.Errorf("one of the staff is %v and sees %d, want that it waits not", cid.Self.GetAttributes(), len(cid.Others))
	}
	var list struct{ Participants []any }
	if s.Ask(http.MethodGet, "/api/people?room=m", nil, &list); len(list.Participants) != 3 {
		t.Errorf("the page lists %d, want 3", len(list.Participants))
	}
	ann.Leave()
	bob.Hears("bob", "drtc.role", "host")
}
