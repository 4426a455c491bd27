package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
)

// A publisher may try another codec and go back within the second that a ring
// holds, and have sent nothing more of a layer meanwhile. Who was sent that layer
// is not sent it again under other numbers: it waits for the next key frame.
func TestForward_sendsNothingTwiceAfterACodecChange(t *testing.T) {
	for name, call := range map[string]func(*testing.T) (cam *camera, carry func(engine.PayloadType), sent func() []*rtp.Packet){
		"to a viewer": func(t *testing.T) (*camera, func(engine.PayloadType), func() []*rtp.Packet) {
			n, cam, viewer := watched(t)
			return cam, func(codec engine.PayloadType) {
				n.must(n.core.SetSend(n.now, viewer.id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: codec, Active: true}}))
			}, func() []*rtp.Packet { return viewer.rtp }
		},
		"to a seat": func(t *testing.T) (*camera, func(engine.PayloadType), func() []*rtp.Packet) {
			s := openStage(newNetwork(t))
			s.show("TR_1")
			s.cams["TR_1"].frame(true)
			return s.cams["TR_1"], func(codec engine.PayloadType) {
				s.must(s.core.SetSource(s.now, s.viewer.id, seat, "TR_1", 0, codec))
			}, func() []*rtp.Packet { return s.viewer.rtp }
		},
		"to another node": func(t *testing.T) (*camera, func(engine.PayloadType), func() []*rtp.Packet) {
			c := newChain(t, 2, engine.Config{})
			c.viewers[1].watch("TR_v", 640, 360)
			c.frames(10)
			c.cam.frame(true)
			track := c.tracks[0]
			return c.cam, func(codec engine.PayloadType) {
				track.codec = codec
				track.forward(2)
			}, func() []*rtp.Packet { return track.of(2) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			cam, carry, sent := call(t)
			before := len(sent())
			if before == 0 {
				t.Fatal("nothing was sent in the first codec")
			}
			cam.rtcp = nil
			carry(h264)
			cam.n.pass(20 * time.Millisecond)
			carry(vp8)
			cam.n.pass(600 * time.Millisecond)
			if all := sent(); len(all) > before {
				_, seq := source(all[before])
				t.Fatalf("%d packets were sent again, from packet %d of the publisher on", len(all)-before, seq)
			}
			if count[*rtcp.PictureLossIndication](cam.client) == 0 {
				t.Fatal("the publisher was not asked for a key frame")
			}
			cam.frame(true)
			if all := sent(); len(all) != before+2 || all[before].SequenceNumber != all[before-1].SequenceNumber+1 {
				t.Errorf("%d packets of the next key frame were sent, want 2, with numbers that go on", len(all)-before)
			}
		})
	}
}
