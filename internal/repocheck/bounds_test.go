package repocheck

import (
	"testing"

	"github.com/drtc-network/drtc/medianode/relay"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Roles share no code, so what both hold as a number of their own is compared
// here: an Orchestrator plans no way that is longer than nodes pass a track on.
func TestBounds_plansFitNodes(t *testing.T) {
	if plan.MaxPath != relay.MaxPath {
		t.Errorf("plan.MaxPath is %d and relay.MaxPath %d, want the same", plan.MaxPath, relay.MaxPath)
	}
}
