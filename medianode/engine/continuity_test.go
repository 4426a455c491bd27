package engine_test

import (
	"math/rand/v2"
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
)

// A client that loses the first packets must not see its first one after a wrap:
// it would take the rollover counter for zero and open nothing from then on.
func TestSubscription_beginsFarFromTheWrap(t *testing.T) {
	n := newNetworkOf(t, engine.Config{NoReplay: true})
	random := rand.New(rand.NewPCG(3, 4))
	n.core = engine.New(engine.Config{NoReplay: true, Random: func() uint32 { return random.Uint32() | 0xfff0 }})
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	if len(viewer.rtp) == 0 {
		t.Fatal("the viewer was sent nothing")
	}
	if got := viewer.rtp[0].SequenceNumber; got >= 1<<15 {
		t.Errorf("the first sequence number is %d, want it below %d", got, 1<<15)
	}
}

// The packets of a frame that waited for each other keep the picture's numbers.
func TestForward_heldFramesKeepTheirPictureID(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	const first = 0x7ffe
	picture := func(id uint16, key bool) {
		for i, marker := range []bool{false, true} {
			p := cam.next(2, key && i == 0, marker)
			p.Payload = append([]byte{p.Payload[0] | 0x80, 0xc0, 0x80 | byte(id>>8), byte(id), byte(id)}, p.Payload[1:]...)
			cam.send(p)
		}
	}
	for i := range uint16(5) {
		picture((first+i)&0x7fff, i == 0)
	}
	if len(viewer.rtp) != 10 {
		t.Fatalf("the viewer was sent %d packets, want 10", len(viewer.rtp))
	}
	for i, p := range viewer.rtp {
		want := (first + uint16(i/2)) & 0x7fff
		if got := uint16(p.Payload[2]&0x7f)<<8 | uint16(p.Payload[3]); got != want || p.Payload[4] != byte(want) {
			t.Errorf("packet %d: picture id %d and TL0PICIDX %d, want %d and %d", i, got, p.Payload[4], want, byte(want))
		}
	}
}
