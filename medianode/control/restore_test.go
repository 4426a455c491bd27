package control

import (
	"testing"

	"github.com/drtc-network/drtc"
)

// What is waited for is forgotten with whoever waits.
func TestAwait_endsWithTheSession(t *testing.T) {
	s := newService(t)
	one, two := s.addSession(t, drtc.NodeID{1}, "SE_1"), s.addSession(t, drtc.NodeID{1}, "SE_2")
	for _, e := range []*session{one, two} {
		e.wanted = map[drtc.TrackID]*want{"TR_1": {id: "TR_1", kept: true}}
		if s.await(e, "TR_1") {
			t.Fatal("a track that nobody publishes is here")
		}
	}
	s.end(one, "gone")
	if len(s.awaited["TR_1"]) != 1 {
		t.Errorf("%d wait, want the one that is there", len(s.awaited["TR_1"]))
	}
	s.end(two, "gone")
	if len(s.awaited) != 0 {
		t.Errorf("%v is awaited by nobody", s.awaited)
	}
}

// A track id is its Orchestrator's: the same one in another room is another.
func TestAwait_isOfARoom(t *testing.T) {
	s := newService(t)
	viewer, publisher := s.addSession(t, drtc.NodeID{1}, "SE_1"), s.addSession(t, drtc.NodeID{2}, "SE_2")
	s.await(viewer, "TR_1")
	publisher.published = map[drtc.TrackID]*publication{"TR_1": {id: "TR_1"}}
	s.claim(publisher)
	if s.await(viewer, "TR_1") {
		t.Error("here before the engine has it")
	}
	s.arrived("TR_1")
	if s.await(viewer, "TR_1") || len(s.awaited["TR_1"]) != 1 {
		t.Errorf("a track of another room has arrived: %v wait", s.awaited["TR_1"])
	}
}
