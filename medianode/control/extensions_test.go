package control

import (
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestExtensions_reachTheEngine(t *testing.T) {
	got := extensions(negotiate.Extensions{
		Mid: 1, RID: 2, RepairedRID: 3, AudioLevel: 4, TransportCC: 5, AbsSendTime: 6, DependencyDescriptor: 7, PlayoutDelay: 8, Mixed: true,
	})
	want := engine.ExtensionIDs{
		Mid: 1, RID: 2, RepairedRID: 3, AudioLevel: 4, TransportCC: 5, AbsSendTime: 6, DependencyDescriptor: 7, Mixed: true,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
