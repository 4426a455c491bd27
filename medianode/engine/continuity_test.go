package engine_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

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

// A key frame whose first packet was lost begins with the repair: nobody asks for
// another one, because it has come.
func TestForward_beginsWithARepairedKeyFrame(t *testing.T) {
	n := newNetworkOf(t, engine.Config{NoReplay: true})
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(false)
	viewer.watch("TR_v", 640, 360)
	lost := cam.next(2, true, false)
	cam.packet(2, false, true, true)
	cam.packet(2, false, false, true)
	if len(viewer.rtp) != 0 {
		t.Fatalf("without the key frame's first packet the viewer was sent %d packets", len(viewer.rtp))
	}
	repair := lost.Clone()
	repair.SSRC, repair.SequenceNumber, repair.PayloadType = 1502, 1, vp8.RTXNumber
	repair.Payload = append(binary.BigEndian.AppendUint16(nil, lost.SequenceNumber), lost.Payload...)
	cam.send(repair)
	n.pass(5 * time.Millisecond)
	if len(viewer.rtp) != 3 || !slices.Equal(viewer.rtp[0].Payload, lost.Payload) {
		t.Fatalf("the viewer was sent %v, want the key frame from its first packet on", viewer.rtp)
	}
}

var h264 = engine.PayloadType{Number: 102, RTXNumber: 103, Mime: "video/H264", ClockRate: 90000}

// h264Camera is a camera whose highest layer a viewer is to see, in H.264.
func h264Camera(t *testing.T) (*camera, *client) {
	n := newNetworkOf(t, engine.Config{NoReplay: true})
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	n.must(n.core.SetReceive(n.now, 1, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8, h264}, Extensions: ids, RIDs: []string{"q", "h", "f"}, Active: true},
	}))
	viewer.watch("TR_v", 640, 360)
	cam.carryH264(viewer)
	return cam, viewer
}

// carryH264 has a viewer agree on H.264.
func (c *camera) carryH264(viewer *client) {
	c.n.must(c.n.core.SetSend(c.n.now, viewer.id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: h264, Active: true}}))
}

// slice makes the next packet of the highest layer, a NAL unit of a type.
func (c *camera) slice(kind byte, marker bool) *rtp.Packet {
	p := c.next(2, false, marker)
	p.PayloadType, p.Payload[0] = h264.Number, kind
	return p
}

const nonIDR, idr, parameterSet = 0x41, 0x65, 0x67

// An H.264 key frame begins with its parameter set, even if a slice of it comes
// first.
func TestForward_h264BeginsWithTheParameterSet(t *testing.T) {
	cam, viewer := h264Camera(t)
	cam.send(cam.slice(nonIDR, true))
	cam.n.pass(33 * time.Millisecond)
	head := cam.slice(parameterSet, false)
	cam.send(cam.slice(idr, false))
	cam.send(cam.slice(idr, true))
	cam.n.pass(5 * time.Millisecond)
	if len(viewer.rtp) != 0 {
		t.Fatalf("the viewer was sent %v before the parameter set", viewer.rtp)
	}
	cam.send(head)
	cam.n.pass(5 * time.Millisecond)
	if len(viewer.rtp) != 3 || viewer.rtp[0].Payload[0] != parameterSet {
		t.Fatalf("the viewer was sent %v, want the parameter set and two slices", viewer.rtp)
	}
}

// Parameter sets may be in the description alone: then the first slice after
// another frame is a beginning.
func TestForward_h264BeginsWithASlice(t *testing.T) {
	cam, viewer := h264Camera(t)
	cam.send(cam.slice(nonIDR, true))
	cam.n.pass(33 * time.Millisecond)
	cam.send(cam.slice(idr, true))
	if len(viewer.rtp) != 1 {
		t.Fatalf("the viewer was sent %v, want the slice", viewer.rtp)
	}
}

// A publisher that goes on in another codec is forwarded again as soon as the
// viewer has agreed on it, with numbers that go on.
func TestForward_goesOnInAnotherCodec(t *testing.T) {
	n, cam, viewer := watched(t)
	n.must(n.core.SetReceive(n.now, 1, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8, h264}, Extensions: ids, RIDs: []string{"q", "h", "f"}, Active: true},
	}))
	late := cam.next(2, false, true)
	cam.send(cam.slice(parameterSet, true))
	cam.send(late)
	cam.carryH264(viewer)
	viewer.rtp = viewer.rtp[len(viewer.rtp)-1:]
	n.pass(33 * time.Millisecond)
	cam.send(cam.slice(nonIDR, true))
	if len(viewer.rtp) != 3 {
		t.Fatalf("the viewer was sent %d packets of H.264, want the two that there are", len(viewer.rtp)-1)
	}
	for i, p := range viewer.rtp[1:] {
		if want := viewer.rtp[i].SequenceNumber + 1; p.SequenceNumber != want || p.PayloadType != h264.Number {
			t.Errorf("got number %d of payload type %d, want %d of %d", p.SequenceNumber, p.PayloadType, want, h264.Number)
		}
	}
}
