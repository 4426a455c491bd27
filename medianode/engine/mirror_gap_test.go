package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
)

func TestMirror_paddingLeavesNoHole(t *testing.T) {
	_, cam, viewer := across(t)
	for range 5 {
		cam.frame(false)
		cam.padding(2)
	}
	cam.frame(false)
	follow(t, viewer.rtp)
}

// Padding that does not reach the mirror is missing there like media.
func TestMirror_paddingIsMissedToo(t *testing.T) {
	for name, withhold := range map[string]func(x *node, cam *camera, first *client) *client{
		"no room": func(x *node, cam *camera, first *client) *client {
			x.slots = 0
			cam.padding(2)
			x.slots = 64
			return first
		},
		"nobody looks": func(x *node, cam *camera, first *client) *client {
			first.n.must(first.n.core.SetSettings(x.now, first.id, "TR_v", engine.Settings{Disabled: true}))
			x.pass(200 * time.Millisecond)
			cam.padding(2)
			second := x.cores[1].join(3) // is shown what is in the mirror
			second.watch("TR_v", 640, 360)
			x.settle()
			return second
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newNodeOf(t, 2, engine.Config{})
			cam, first := x.cores[0].join(1).camera("TR_v"), x.cores[1].join(2)
			first.watch("TR_v", 640, 360)
			x.settle()
			cam.frame(true)
			cam.frame(false)
			viewer := withhold(x, cam, first)
			if len(viewer.rtp) < 4 {
				t.Fatalf("got %d packets from before the padding, want 4 at least", len(viewer.rtp))
			}
			cam.frame(false)
			cam.frame(true)
			cam.frame(false)
			follow(t, viewer.rtp)
			if last := viewer.rtp[len(viewer.rtp)-1].Payload; last[2] != 2 || last[3] != byte(cam.seq[2]-1) {
				t.Errorf("in the end: got % x, want the last packet of the highest layer", last)
			}
		})
	}
}

// padding sends a packet without media on a layer.
func (c *camera) padding(l int) {
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: vp8.Number, SequenceNumber: c.seq[l], SSRC: c.ssrc + uint32(l), Padding: true, PaddingSize: 4,
		Timestamp: uint32(c.n.now.UnixMilli()*90) + uint32(l)*777,
	}}
	c.seq[l]++
	c.send(p)
}

func TestMirror_dropsMediaButNoStateWhenFull(t *testing.T) {
	x, cam, viewer := across(t)
	for range 20 {
		cam.frame(false)
	}
	x.slots = 0
	for range 3 {
		cam.frame(false)
	}
	cam.n.must(cam.n.core.SetPublisherLayers(x.now, "TR_v", []int{0, 1, 2}))
	if x.dropped == 0 {
		t.Fatal("nothing was dropped: the test measures nothing")
	}
	got := len(viewer.rtp)
	x.slots = 64
	cam.rtcp = nil
	x.pass(20 * time.Millisecond)
	if count[*rtcp.PictureLossIndication](cam.client) != 1 {
		t.Error("the publisher was not asked for the key frame with which all can go on")
	}
	cam.frame(false)
	if len(viewer.rtp) != got {
		t.Errorf("got %d packets that build on what was dropped, want 0", len(viewer.rtp)-got)
	}
	cam.frame(true)
	cam.frame(false)
	if len(viewer.rtp) != got+4 {
		t.Errorf("got %d packets from the key frame on, want 4", len(viewer.rtp)-got)
	}
	follow(t, viewer.rtp)
}

// What lies in the mirror before a gap is not followed by what comes after it:
// who is shown it would wait for numbers that nobody has.
func TestMirror_replaysNothingFromBeforeAGap(t *testing.T) {
	for name, look := range map[string]func(x *node, first *client) *client{
		"asked for again": func(x *node, first *client) *client {
			x.settle() // the gap comes
			first.control(&rtcp.PictureLossIndication{MediaSSRC: 5000})
			return first
		},
		"a new viewer": func(x *node, _ *client) *client {
			v := x.cores[1].join(3)
			x.settle()
			v.watch("TR_v", 640, 360)
			return v
		},
		"a replay that has not begun": func(x *node, _ *client) *client {
			v := x.cores[1].join(3)
			v.watch("TR_v", 640, 360)
			x.settle() // the gap comes first
			return v
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newNodeOf(t, 2, engine.Config{})
			x.delay = func() time.Duration { return 0 }
			cam, first := x.cores[0].join(1).camera("TR_v"), x.cores[1].join(2)
			first.watch("TR_v", 640, 360)
			x.settle()
			cam.frame(true)
			got := len(first.rtp)
			x.slots = 0
			cam.frame(false)
			x.slots = 64
			v := look(x, first)
			if v != first {
				got = 0
			}
			x.settle()
			if len(v.rtp) != got {
				t.Errorf("got %d packets from before the gap, want 0", len(v.rtp)-got)
			}
			cam.frame(false)
			cam.frame(true)
			cam.frame(false)
			if len(v.rtp) != got+4 {
				t.Errorf("got %d packets, want the 4 from the key frame on", len(v.rtp)-got)
			}
			follow(t, v.rtp)
		})
	}
}

func TestMirror_droppedAudioLeavesAHole(t *testing.T) {
	x := newNode(t, 2)
	mic := x.cores[0].join(1).voice()
	mic.talk(10)
	listener := x.cores[1].join(2)
	listener.listen()
	x.settle()
	mic.talk(10)
	x.slots = 0
	mic.talk(10)
	x.slots = 64
	mic.talk(10)
	if len(listener.rtp) != 2 || listener.rtp[1].SequenceNumber != listener.rtp[0].SequenceNumber+2 {
		t.Errorf("got %v, want two packets with a hole of one", listener.rtp)
	}
}
