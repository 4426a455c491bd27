package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine"
)

// A key frame may arrive beginning last. Who saw the rest of it and was then held
// for a moment can't begin with it any more, and has nothing on the screen from
// which to ask for another: the node does.
func TestForward_asksAgainWhenAKeyFrameBeginsTooLate(t *testing.T) {
	for name, call := range map[string]func(testing.TB) (*network, *camera, *client){
		"in the publisher's core": watched,
		"in another core": func(t testing.TB) (*network, *camera, *client) {
			x, cam, viewer := across(t)
			return x.cores[1], cam, viewer
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, cam, viewer := call(t)
			settle := func() { cam.n.pass(2 * time.Millisecond) }
			held := func(held bool) {
				viewer.n.must(viewer.n.core.SetSend(viewer.n.now, viewer.id, []engine.SendSection{
					{Track: "TR_v", Mid: "0", Codec: vp8, Active: !held},
				}))
				viewer.n.flush()
				settle()
			}
			cam.n.pass(600 * time.Millisecond) // no request of before is close
			first := cam.next(2, true, false)
			cam.packet(2, false, true, true)
			settle()
			held(true)
			held(false)
			cam.rtcp, viewer.rtp = nil, nil
			cam.send(first)
			settle()
			if len(viewer.rtp) > 0 {
				t.Fatalf("the viewer was sent %v under other numbers than before", viewer.rtp)
			}
			cam.n.pass(600 * time.Millisecond)
			if count[*rtcp.PictureLossIndication](cam.client) == 0 {
				t.Fatal("the publisher was not asked for another key frame")
			}
			cam.frame(true)
			settle()
			if len(viewer.rtp) != 2 {
				t.Errorf("the viewer was sent %d packets, want the 2 of the next key frame", len(viewer.rtp))
			}
		})
	}
}
