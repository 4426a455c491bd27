package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/clock"
)

// The publisher's clock crosses the hops: a viewer behind two of them goes from a
// layer to another whose encoder is faster, and the timestamps follow the capture
// and not the arrival, from the first packet on.
func TestRelay_clocksCrossHops(t *testing.T) {
	c := newChain(t, 3, engine.Config{NoReplay: true}) // which squeezes what is old
	viewer := c.viewers[2]
	const late = 50 * time.Millisecond  // of the lowest layer
	captured := map[[3]byte]time.Time{} // by layer and number
	frame := func() {
		key := len(c.cam.rtcp) > 0 && c.cam.asked()
		var slow []*rtp.Packet
		for l := range 3 {
			for _, marker := range []bool{false, true} {
				p := c.cam.next(l, key && !marker, marker)
				captured[[3]byte(p.Payload[2:])] = c.now
				if l == 0 {
					slow = append(slow, p)
				} else {
					c.cam.send(p)
				}
			}
			c.cam.control(&rtcp.SenderReport{
				SSRC: c.cam.ssrc + uint32(l), NTPTime: clock.NTP(c.now), RTPTime: uint32(c.now.UnixMilli()*90) + uint32(l)*777,
			})
		}
		c.pass(late)
		for _, p := range slow {
			c.cam.send(p)
		}
		c.pass(50 * time.Millisecond)
	}
	viewer.watch("TR_v", 160, 90)
	for range 90 {
		frame()
	}
	for range 3 {
		for _, width := range []uint32{640, 160} {
			c.must(viewer.n.core.SetSettings(c.now, viewer.id, "TR_v", engine.Settings{Width: width, Height: width * 9 / 16}))
			for range 20 {
				frame()
			}
		}
	}
	viewer.rtp = viewer.rtp[10:]
	switches := 0
	for i, p := range viewer.rtp[1:] {
		before := viewer.rtp[i]
		if p.Payload[2] == before.Payload[2] {
			continue
		}
		switches++
		passed := captured[[3]byte(p.Payload[2:])].Sub(captured[[3]byte(before.Payload[2:])])
		got, want := int32(p.Timestamp-before.Timestamp), max(int32(passed.Milliseconds()*90), 3000)
		if off := got - want; off < -180 || off > 180 {
			t.Errorf("switch from layer %d to %d: the timestamp went on by %d ticks, want %d", before.Payload[2], p.Payload[2], got, want)
		}
	}
	if switches != 6 {
		t.Errorf("%d switches, want 6", switches)
	}
}
