package control

import (
	"testing"
	"time"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

func feedOf(n int) *feed {
	f := newFeed(time.Unix(0, 0))
	for range n {
		f.append("run", "", &medianodev1.EventsResponse{})
	}
	return f
}

func TestFeed_replaysWhatAStreamMissed(t *testing.T) {
	f := feedOf(5)
	got, missed, _ := f.after(2)
	if missed || len(got) != 3 || got[0].Sequence != 3 || got[2].Sequence != 5 {
		t.Errorf("after 2 of 5: got %d events from %v, missed %v; want 3 to 5", len(got), got, missed)
	}
	if got, missed, _ := f.after(5); missed || len(got) != 0 {
		t.Errorf("after the last: got %d events, missed %v", len(got), missed)
	}
}

func TestFeed_saysWhenEventsAreGone(t *testing.T) {
	f := feedOf(maxEvents + 10)
	got, missed, _ := f.after(3)
	if !missed || len(got) != maxEvents || got[0].Sequence != 11 {
		t.Errorf("got %d events from %d, missed %v; want all %d that are kept and a warning", len(got), got[0].Sequence, missed, maxEvents)
	}
	if _, missed, _ := f.after(maxEvents + 11); !missed {
		t.Error("a number of another life was taken for one of ours")
	}
}

func TestFeed_wakesWhoWaits(t *testing.T) {
	f := feedOf(0)
	_, _, wake := f.after(0)
	f.append("run", "", &medianodev1.EventsResponse{})
	select {
	case <-wake:
	default:
		t.Error("an event woke nobody")
	}
}

func TestFeed_newerStreamTakesOver(t *testing.T) {
	f := feedOf(0)
	old := f.open(time.Unix(100, 0))
	newer := f.open(time.Unix(200, 0))
	select {
	case <-old:
	default:
		t.Error("the older stream was not told to end")
	}
	f.close(time.Unix(1, 0), old)
	if f.orphaned(time.Unix(1000, 0), time.Minute) {
		t.Error("the end of the older stream orphaned the newer one")
	}
	f.close(time.Unix(10, 0), newer)
	if f.orphaned(time.Unix(69, 0), time.Minute) || !f.orphaned(time.Unix(71, 0), time.Minute) {
		t.Error("want orphaned one minute after the last stream ended")
	}
}
