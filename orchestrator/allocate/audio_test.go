package allocate_test

import (
	"testing"

	"github.com/drtc-network/drtc/orchestrator/allocate"
)

func TestAudioCapacity_isTheLeastOfWhatIsDeclared(t *testing.T) {
	for _, c := range []struct {
		cores       int
		mbps        float64
		maxSessions int
		want        int
	}{
		{0, 0, 0, 0},
		{1, 1000, 2000, 500},
		{8, 100, 2000, 600},
		{8, 1000, 300, 300},
		{0, 0, 300, 300},
		{2, 0, 0, 1000},
		{0, 0.1, 0, 0},
	} {
		if got := allocate.AudioCapacity(c.cores, c.mbps, c.maxSessions); got != c.want {
			t.Errorf("%d cores, %g Mbit/s, %d sessions: got %d audio sessions, want %d", c.cores, c.mbps, c.maxSessions, got, c.want)
		}
	}
}
