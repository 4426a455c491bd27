package engine_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

func TestMirror_mute(t *testing.T) {
	x, cam, viewer := across(t)
	cam.n.must(cam.n.core.MuteTrack(x.now, "TR_v", true))
	x.settle()
	before := len(viewer.rtp)
	for range 5 {
		cam.frame(true)
	}
	if got := len(viewer.rtp) - before; got != 0 {
		t.Errorf("got %d packets of a muted track, want 0", got)
	}
	x.pass(time.Second)
	cam.frame(false)
	cam.rtcp = nil
	cam.n.must(cam.n.core.MuteTrack(x.now, "TR_v", false))
	x.pass(20 * time.Millisecond)
	if got := count[*rtcp.PictureLossIndication](cam.client); got != 1 {
		t.Errorf("got %d key frame requests after the mute, want 1", got)
	}
	cam.frame(false)
	if got := len(viewer.rtp) - before; got != 0 {
		t.Errorf("got %d packets before a key frame, want 0", got)
	}
	cam.frame(true)
	if got := len(viewer.rtp) - before; got != 2 {
		t.Errorf("got %d packets, want the 2 of the key frame", got)
	}
	viewer.rtp = viewer.rtp[before-2:]
	if a, b := viewer.rtp[1], viewer.rtp[2]; b.SequenceNumber != a.SequenceNumber+1 || int32(b.Timestamp-a.Timestamp) < 90000 {
		t.Errorf("after the mute: %v follows %v", b, a)
	}
}

func TestMirror_showsNewViewersWhatItsRingHolds(t *testing.T) {
	x := newNodeOf(t, 2, engine.Config{})
	cam := x.cores[0].join(1).camera("TR_v")
	cam.frame(true)
	x.cores[1].join(2).watch("TR_v", 640, 360)
	x.pass(50 * time.Millisecond)
	cam.frame(true)
	for range 5 {
		cam.frame(false)
	}
	cam.rtcp = nil
	late := x.cores[1].join(3)
	late.watch("TR_v", 640, 360)
	x.pass(100 * time.Millisecond)
	if len(late.rtp) != 12 {
		t.Errorf("got %d packets, want the 12 since the key frame", len(late.rtp))
	}
	follow(t, late.rtp)
	if got := count[*rtcp.PictureLossIndication](cam.client); got != 0 {
		t.Errorf("the publisher was asked for %d key frames, want none", got)
	}
}

func TestMirror_allowedLayersAndSizesFollow(t *testing.T) {
	x, cam, viewer := across(t)
	cam.n.must(cam.n.core.SetPublisherLayers(x.now, "TR_v", []int{0, 1}))
	x.settle()
	for range 4 {
		cam.frame(true)
	}
	cam.n.must(cam.n.core.SetPublisherLayers(x.now, "TR_v", nil))
	cam.n.must(cam.n.core.Publish(x.now, 1, engine.TrackConfig{ID: "TR_v", Mid: "v", Video: true, Layers: []engine.LayerSize{
		{RID: "q", Width: 640, Height: 360}, {RID: "h", Width: 1280, Height: 720}, {RID: "f", Width: 1920, Height: 1080},
	}}))
	x.settle()
	for range 4 {
		cam.frame(true)
	}
	if got, want := viewer.layers(), []byte{2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("layers: got %v, want %v", got, want)
	}
}

func TestMirror_endsWithTheTrack(t *testing.T) {
	for name, end := range map[string]func(x *node, n *network) error{
		"unpublished": func(x *node, n *network) error { return n.core.Unpublish(x.now, "TR_v") },
		"peer gone":   func(x *node, n *network) error { n.core.RemovePeer(x.now, 1); return nil },
	} {
		x, cam, viewer := across(t)
		cam.n.must(end(x, cam.n))
		x.settle()
		core := viewer.n.core
		if err := core.Unsubscribe(x.now, viewer.id, "TR_v"); !errors.Is(err, engine.ErrSubscription) {
			t.Errorf("%s: got %v, want the subscription ended", name, err)
		}
		// Who subscribes before the track is published again gets it then.
		if name == "peer gone" {
			cam.client = cam.n.join(1)
		}
		viewer.watch("TR_v", 640, 360)
		x.settle()
		before := len(viewer.rtp)
		cam.client.camera("TR_v")
		for range 3 {
			cam.frame(true)
		}
		if got := len(viewer.rtp) - before; got < 4 {
			t.Errorf("%s: got %d packets of the new track, want those of 2 frames at least", name, got)
		}
	}
}

func TestMirror_ofATrackThatIsPublishedLater(t *testing.T) {
	x := newNode(t, 2)
	viewer := x.cores[1].join(2)
	viewer.watch("TR_v", 640, 360)
	x.pass(50 * time.Millisecond)
	cam := x.cores[0].join(1).camera("TR_v")
	near := x.cores[0].join(3)
	near.watch("TR_v", 640, 360)
	x.settle()
	cam.frame(true)
	cam.frame(false)
	if len(viewer.rtp) != len(near.rtp) {
		t.Errorf("got %d packets, want %d as in the home core: the first key frame must not be missed", len(viewer.rtp), len(near.rtp))
	}
	if e, ok := last[engine.LayerDemand](cam.n); !ok || !slices.Equal(e.Layers, []int{0, 2}) {
		t.Errorf("got demand %v, want 0 and 2", e.Layers)
	}
}

func TestMirror_wishForATrackThatNeverComesIsForgotten(t *testing.T) {
	x := newNode(t, 2)
	viewer := x.cores[1].join(2)
	viewer.watch("TR_v", 640, 360)
	x.settle()
	viewer.n.must(viewer.n.core.Unsubscribe(x.now, 2, "TR_v"))
	x.settle()
	cam := x.cores[0].join(1).camera("TR_v")
	for range 3 {
		cam.frame(true)
	}
	if got := cam.n.core.Counters().HandedOver; got != 0 {
		t.Errorf("got %d packets handed over, want 0", got)
	}
}

func TestMirror_otherRoomIsRefused(t *testing.T) {
	x := newNode(t, 2)
	cam := x.cores[0].join(1).camera("TR_v")
	cam.frame(true)
	stranger := x.cores[1].joinRoom(2, "elsewhere")
	member := x.cores[1].join(3)
	stranger.watch("TR_v", 640, 360)
	member.watch("TR_v", 640, 360)
	x.settle()
	for range 3 {
		cam.frame(true)
	}
	if len(stranger.rtp) != 0 {
		t.Errorf("somebody in another room got %d packets", len(stranger.rtp))
	}
	if len(member.rtp) != 6 {
		t.Errorf("somebody in the same room got %d packets, want 6", len(member.rtp))
	}
	if err := stranger.n.core.Unsubscribe(x.now, 2, "TR_v"); !errors.Is(err, engine.ErrSubscription) {
		t.Errorf("got %v, want the subscription refused", err)
	}
}

// joinRoom is join for another room.
func (n *network) joinRoom(id engine.PeerID, room drtc.RoomID) *client {
	n.room, room = room, n.room
	defer func() { n.room = room }()
	return n.join(id)
}

func TestMirror_subscribeNamesNoCore(t *testing.T) {
	x := newNode(t, 2)
	x.cores[1].join(2)
	err := x.cores[1].core.Subscribe(x.now, 2, engine.SubscribeConfig{Track: "TR_v", SSRC: 1, RTX: 2, Home: engine.MaxCores})
	if !errors.Is(err, engine.ErrCore) {
		t.Errorf("got %v, want ErrCore", err)
	}
	err = x.cores[1].core.Subscribe(x.now, 2, engine.SubscribeConfig{Track: "TR_v", SSRC: 1, RTX: 2, Home: 1})
	if !errors.Is(err, engine.ErrTrack) {
		t.Errorf("got %v, want ErrTrack: its own tracks a core knows", err)
	}
}

func TestMirror_followsATrackToAnotherCore(t *testing.T) {
	x := newNode(t, 3)
	cam := x.cores[0].join(1).camera("TR_v")
	viewer := x.cores[2].join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	x.settle()
	cam.frame(true)
	// The publisher comes anew, into the second core, and is told of before its
	// old session is closed.
	again := x.cores[1].join(3).camera("TR_v")
	again.frame(true)
	core := viewer.n.core
	viewer.n.must(core.Subscribe(x.now, 2, engine.SubscribeConfig{Track: "TR_v", Home: 1, Settings: engine.Settings{Width: 640, Height: 360}}))
	x.settle()
	cam.n.core.RemovePeer(x.now, 1)
	x.settle()
	again.frame(true)
	again.frame(false)
	if len(viewer.rtp) != 6 {
		t.Fatalf("got %d packets, want 2 of the old home and 4 of the new", len(viewer.rtp))
	}
	follow(t, viewer.rtp)
	// And into the viewer's own.
	third := x.cores[2].join(4).camera("TR_v")
	third.frame(true)
	viewer.n.must(core.Subscribe(x.now, 2, engine.SubscribeConfig{Track: "TR_v", Home: 2, Settings: engine.Settings{Width: 640, Height: 360}}))
	x.settle()
	third.frame(true)
	if len(viewer.rtp) != 8 {
		t.Fatalf("got %d packets, want 2 more of the third home", len(viewer.rtp))
	}
	follow(t, viewer.rtp)
	again.frame(true)
	if got := again.n.core.Counters().HandedOver; got != 4 {
		t.Errorf("the second core handed %d packets over, want 4: nobody looks there any more", got)
	}
}
