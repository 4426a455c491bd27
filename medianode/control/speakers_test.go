package control

import (
	"fmt"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// A room's participants may be in several cores; whoever speaks in any of them
// does so until that core says otherwise.
func TestSpeaking_joinsTheCores(t *testing.T) {
	say := func(core engine.CoreID, tracks ...drtc.TrackID) engine.Speakers {
		e := engine.Speakers{Core: core, Room: "RM"}
		for i, track := range tracks {
			e.Speakers = append(e.Speakers, engine.Speaker{Track: track, Level: 0.9 - 0.3*float64(i) - 0.1*float64(core)})
		}
		return e
	}
	s := speaking{}
	for _, step := range []struct {
		event engine.Speakers
		want  string
	}{
		{say(0, "a", "b"), "[a b]"},
		{say(1, "c", "d"), "[a c b d]"},
		{say(0, "b"), "[b c d]"},
		{say(0), "[c d]"},
		{say(2), "[c d]"},
		{say(1), "[]"},
	} {
		got := []drtc.TrackID{}
		for _, sp := range s.note(step.event) {
			got = append(got, sp.Track)
		}
		if fmt.Sprint(got) != step.want {
			t.Errorf("after %+v: %v speak, want %v", step.event, got, step.want)
		}
	}
	if len(s) != 0 {
		t.Errorf("%d silent rooms are remembered, want 0", len(s))
	}
}
