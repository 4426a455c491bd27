package engine_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
)

var av1 = engine.PayloadType{Number: 45, RTXNumber: 46, Mime: "video/AV1", ClockRate: 90000}

const extDependency = 9

// structure stands for the template structure that key frames carry: longer
// than an element of the one-byte form.
var structure = bytes.Repeat([]byte{0xa5}, 60)

// svc is a camera that sends AV1 in one stream, with dependency descriptors.
type svc struct {
	*client
	ssrc  uint32
	seq   uint16
	frame uint16
}

func (c *client) svc() *svc {
	n := c.n
	n.must(n.core.SetReceive(n.now, c.id, []engine.ReceiveSection{{
		Mid: "v", Codecs: []engine.PayloadType{av1}, Active: true,
		Extensions: engine.ExtensionIDs{Mid: extMid, DependencyDescriptor: extDependency, Mixed: true},
	}}))
	n.must(n.core.Publish(n.now, c.id, engine.TrackConfig{ID: "TR_v", Mid: "v", Video: true}))
	return &svc{client: c, ssrc: 1000, seq: 65534, frame: 65533}
}

// picture sends one frame of one packet.
func (c *svc) picture(key bool) {
	c.send(c.next(key))
	c.n.pass(33 * time.Millisecond)
}

func (c *svc) next(key bool) *rtp.Packet {
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: av1.Number, SequenceNumber: c.seq, SSRC: c.ssrc, Marker: true,
			Timestamp: uint32(c.n.now.UnixMilli() * 90),
		},
		Payload: []byte{0x10, 0x30, 0}, // W=1, a frame OBU
	}
	descriptor := binary.BigEndian.AppendUint16([]byte{0xc1}, c.frame)
	p.ExtensionProfile = rtp.ExtensionProfileOneByte
	if key {
		p.Payload = []byte{0x18, 0x08, 0} // N, a sequence header OBU
		descriptor = append(descriptor, structure...)
		p.Extension, p.ExtensionProfile = true, rtp.ExtensionProfileTwoByte
	}
	c.n.must(p.SetExtension(extMid, []byte("v")))
	c.n.must(p.SetExtension(extDependency, descriptor))
	c.seq++
	c.frame++
	return p
}

// watchAV1 subscribes with the extensions given.
func (c *client) watchAV1(ids engine.ExtensionIDs) {
	n := c.n
	n.must(n.core.Subscribe(n.now, c.id, engine.SubscribeConfig{Track: "TR_v", SSRC: 5000, RTX: 5001}))
	n.must(n.core.SetSend(n.now, c.id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: av1, Extensions: ids, Active: true}}))
}

var mixed = engine.ExtensionIDs{TransportCC: 5, DependencyDescriptor: 7, Mixed: true}

// descriptors checks that every packet has a descriptor, that numbers go on
// without a gap, and that key frames have their structure.
func descriptors(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i, p := range packets {
		d := p.GetExtension(7)
		if len(d) < 3 {
			t.Fatalf("packet %d: got descriptor %x, want one", i, d)
		}
		if key := p.Payload[0]&0x08 != 0; key != bytes.HasSuffix(d, structure) {
			t.Errorf("packet %d, key frame %v: got descriptor %x", i, key, d)
		}
		if len(p.GetExtension(5)) != 2 {
			t.Errorf("packet %d: no transport-wide number beside the descriptor", i)
		}
		number := binary.BigEndian.Uint16(d[1:])
		if first := binary.BigEndian.Uint16(packets[0].GetExtension(7)[1:]); number != first+uint16(i) {
			t.Errorf("packet %d: got frame number %d, want %d", i, number, first+uint16(i))
		}
	}
}

func TestCore_forwardsDependencyDescriptors(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).svc()
	viewer := n.join(2)
	viewer.watchAV1(mixed)
	for i := range 12 {
		cam.picture(i%4 == 0)
	}
	if len(viewer.rtp) != 12 {
		t.Fatalf("got %d packets, want 12", len(viewer.rtp))
	}
	descriptors(t, viewer.rtp)
}

func TestCore_dependencyDescriptorsGoOnAfterANewSource(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).svc()
	viewer := n.join(2)
	viewer.watchAV1(mixed)
	cam.picture(true)
	cam.picture(false)
	cam.ssrc, cam.seq, cam.frame = 1001, 7, 100 // the browser made a new encoder, which begins where it likes
	cam.picture(true)
	cam.picture(false)
	if len(viewer.rtp) != 4 {
		t.Fatalf("got %d packets, want 4", len(viewer.rtp))
	}
	descriptors(t, viewer.rtp)
}

func TestCore_repeatsDependencyDescriptors(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).svc()
	viewer := n.join(2)
	viewer.watchAV1(mixed)
	cam.picture(true)
	cam.picture(false)
	for _, lost := range viewer.rtp[:2] {
		before := len(viewer.rtp)
		viewer.control(&rtcp.TransportLayerNack{MediaSSRC: 5000, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}})
		if len(viewer.rtp) != before+1 {
			t.Fatalf("packet %d was not sent again", lost.SequenceNumber)
		}
		again := viewer.rtp[before]
		if got, want := again.GetExtension(7), lost.GetExtension(7); !bytes.Equal(got, want) {
			t.Errorf("sent again with descriptor %x, want %x", got, want)
		}
		if !bytes.Equal(again.Payload[2:], lost.Payload) {
			t.Errorf("sent again with payload %x, want %x", again.Payload[2:], lost.Payload)
		}
	}
}

func TestCore_forwardingDescriptorsAllocatesNothing(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).svc()
	viewer := n.join(2)
	viewer.watchAV1(mixed)
	for range 100 {
		cam.picture(true)
	}
	n.must(n.core.Protect(n.now, 1, &constantKeys{tag: 1}, &n.batch))
	n.must(n.core.Protect(n.now, 2, &constantKeys{tag: 2}, &n.batch))
	raw, err := cam.next(true).Marshal()
	n.must(err)
	sealed := append(raw, 0, 0, 0, 1)
	before := n.core.Counters().Forwarded
	got := testing.AllocsPerRun(500, func() {
		binary.BigEndian.PutUint16(sealed[2:], cam.seq)
		cam.seq++
		n.core.HandleDatagram(n.now, cam.addr, sealed, &n.batch)
		n.batch.Reset()
	})
	if forwarded := n.core.Counters().Forwarded - before; forwarded < 500 {
		t.Fatalf("forwarded %d packets, want 500: the test measures nothing", forwarded)
	}
	if got > 0.05 { // the ring's arena may still double once
		t.Errorf("got %.2f allocations per packet, want 0", got)
	}
}

func TestCore_noDependencyDescriptorsWithoutTheLongForm(t *testing.T) {
	for name, ids := range map[string]engine.ExtensionIDs{
		"one-byte form only": {TransportCC: 5, DependencyDescriptor: 7},
		"not negotiated":     {TransportCC: 5, Mixed: true},
	} {
		n := newNetwork(t)
		cam := n.join(1).svc()
		viewer := n.join(2)
		viewer.watchAV1(ids)
		cam.picture(true)
		cam.picture(false)
		if len(viewer.rtp) != 2 {
			t.Fatalf("%s: got %d packets, want 2", name, len(viewer.rtp))
		}
		for i, p := range viewer.rtp {
			if d := p.GetExtension(7); d != nil {
				t.Errorf("%s: packet %d has descriptor %x: one without structures makes a browser drop the frames", name, i, d)
			}
		}
	}
}
