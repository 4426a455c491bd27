package main

import (
	_ "embed"

	"github.com/drtc-network/drtc/examples/stage"
)

//go:embed space/drtc.toml
var spacePolicy string

// space is an audio space: a host, speakers and listeners, no video, and
// nodes that are chosen by how many voices they carry.
func space() stage.Example {
	return stage.Example{
		Name: "space", Title: "An audio space", Policy: spacePolicy, Roles: []string{"host", "speaker", "viewer"},
		About: "Viewers listen until the host lets them speak. The Orchestrator refuses cameras.",
	}
}
