package main

import (
	_ "embed"

	"github.com/drtc-network/drtc/examples/stage"
)

//go:embed meeting/drtc.toml
var meetingPolicy string

// meeting is a video meeting with a host and a lobby: the first one in
// leads, others wait to be let in, and the lead passes on when the host leaves.
func meeting() stage.Example {
	return stage.Example{
		Name: "meeting", Title: "A meeting with a host and a lobby", Policy: meetingPolicy, Roles: []string{"", "staff"},
		About: "The first one is host. Join with a second name, then accept it here as the first.",
	}
}
