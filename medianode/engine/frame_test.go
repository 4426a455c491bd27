package engine_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
)

// piece is one packet of a VP8 frame of one layer: 1 rid "f" of the camera.
func (c *camera) piece(timestamp uint32, size int, start, marker bool) {
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: vp8.Number, SequenceNumber: c.seq[2], SSRC: c.ssrc + 2, Marker: marker, Timestamp: timestamp,
		},
		Payload: make([]byte, size),
	}
	if start {
		p.Payload[0] = 0x10 // of a key frame
	}
	binary.BigEndian.PutUint16(p.Payload[2:], c.seq[2])
	c.n.must(p.SetExtension(extMid, []byte("v")))
	c.n.must(p.SetExtension(extRID, []byte("f")))
	c.seq[2]++
	c.send(p)
}

// The packets of a frame leave together: with the marker, with the next frame,
// or when the hold is over.
func TestCore_frameLeavesWhole(t *testing.T) {
	for name, end := range map[string]func(n *network, c *camera){
		"marker":         func(_ *network, c *camera) { c.piece(9000, 1100, false, true) },
		"next timestamp": func(_ *network, c *camera) { c.piece(12000, 1100, true, false) },
		"hold":           func(n *network, _ *camera) { n.pass(time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			n, cam, viewer := watched(t)
			sent := len(viewer.rtp)
			cam.piece(9000, 1100, true, false)
			cam.piece(9000, 1100, false, false)
			if got := len(viewer.rtp) - sent; got != 0 {
				t.Fatalf("%d packets left before the frame was whole", got)
			}
			end(n, cam)
			if got := len(viewer.rtp) - sent; got < 2 || got > 3 {
				t.Errorf("got %d packets, want the frame's 2 or 3", got)
			}
		})
	}
}

// A frame that never ends does not wait longer than the hold, and what waits is
// bounded.
func TestCore_frameHoldIsBounded(t *testing.T) {
	n, cam, viewer := watched(t)
	sent := len(viewer.rtp)
	for i := range 64 {
		cam.piece(9000, 100, i == 0, false)
	}
	if got := len(viewer.rtp) - sent; got != 64 {
		t.Errorf("%d of 64 packets left, want all: no message takes more", got)
	}
	cam.piece(9000, 100, false, false)
	if next := n.core.NextTimeout(); next.Sub(n.now) > time.Millisecond {
		t.Errorf("next timeout in %v, want the hold of 1 ms at most", next.Sub(n.now))
	}
}

// With no hold a frame leaves when what arrived together has been handled.
func TestCore_frameHoldOff(t *testing.T) {
	n := newNetwork(t)
	n.core = engine.New(engine.Config{Random: func() uint32 { return 7 }, FrameHold: -1})
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	sent := len(viewer.rtp)
	cam.piece(9000, 1100, true, false)
	if next := n.core.NextTimeout(); next.After(n.now) {
		t.Errorf("next timeout %v from now, want now", next.Sub(n.now))
	}
	n.pass(0)
	if got := len(viewer.rtp) - sent; got != 1 {
		t.Errorf("got %d packets, want 1", got)
	}
}

// What a muted or ended track holds does not leave.
func TestCore_heldFrameOfMutedTrackIsForgotten(t *testing.T) {
	n, cam, viewer := watched(t)
	sent := len(viewer.rtp)
	cam.piece(9000, 1100, true, false)
	n.must(n.core.MuteTrack(n.now, "TR_v", true))
	n.pass(5 * time.Millisecond)
	n.must(n.core.MuteTrack(n.now, "TR_v", false))
	cam.piece(12000, 1100, true, false)
	n.must(n.core.Unpublish(n.now, "TR_v"))
	n.pass(5 * time.Millisecond)
	if got := len(viewer.rtp) - sent; got != 0 {
		t.Errorf("%d packets left", got)
	}
}

// Whatever the sizes of a frame's packets, a subscriber gets each payload
// unchanged; those that can share a message are of one size, and no packet is
// padded by more than 16 bytes.
func TestCore_frameIsPaddedToEqualSize(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		_, cam, viewer := watched(t)
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1000, 1020), rapid.IntRange(10, 1100)), 1, 12).Draw(rt, "sizes")
		viewer.rtp = nil
		for i, size := range sizes {
			cam.piece(9000, size, i == 0, i == len(sizes)-1)
		}
		if len(viewer.rtp) != len(sizes) {
			rt.Fatalf("got %d packets, want %d", len(viewer.rtp), len(sizes))
		}
		for i, p := range viewer.rtp {
			if len(p.Payload) != sizes[i] {
				rt.Errorf("packet %d has %d bytes of payload, want %d", i, len(p.Payload), sizes[i])
			}
			if p.PaddingSize > 16 {
				rt.Errorf("packet %d has %d bytes of padding", i, p.PaddingSize)
			}
			if p.PaddingSize > 0 && i == len(sizes)-1 {
				rt.Errorf("the last packet is padded")
			}
		}
		for i := range len(sizes) - 2 { // in the middle of a frame of nearly equal packets
			if near := max(sizes[i], sizes[i+1]) - min(sizes[i], sizes[i+1]); len(sizes) == 3 && near <= 16 {
				a, b := viewer.rtp[i], viewer.rtp[i+1]
				if sizes[2] <= max(sizes[0], sizes[1]) && len(a.Payload)+int(a.PaddingSize) != len(b.Payload)+int(b.PaddingSize) {
					rt.Errorf("sizes %v: packets %d and %d differ in length", sizes, i, i+1)
				}
			}
		}
	})
}

// Padding is not paid for.
func TestCore_paddingIsNotMetered(t *testing.T) {
	n, cam, viewer := watched(t)
	before, _ := n.core.Usage(2)
	sent := len(viewer.rtp)
	cam.piece(9000, 1000, true, false)
	cam.piece(9000, 1001, false, false)
	cam.piece(9000, 1001, false, true)
	after, _ := n.core.Usage(2)
	var want uint64
	padded := 0
	for _, p := range viewer.rtp[sent:] {
		want += uint64(p.Header.MarshalSize() + len(p.Payload))
		padded += int(p.PaddingSize)
	}
	if got := after.ClientSent - before.ClientSent; got != want || padded != 1 {
		t.Errorf("%d bytes metered, want %d without the %d of padding (want 1)", got, want, padded)
	}
}

// However many subscribers a frame goes to, the batch stays small: it sends
// what it has before it goes on.
func TestBatch_sendsWhenItHasEnough(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.frame(true)
	const viewers = 60
	for id := engine.PeerID(2); id < 2+viewers; id++ {
		n.join(id).watch("TR_v", 640, 360)
	}
	cam.frame(true)
	largest, sent := 0, 0
	n.batch.Send = func(datagrams []engine.Datagram) {
		largest = max(largest, len(datagrams))
		sent += len(datagrams)
	}
	n.core.HandleDatagram(n.now, cam.addr, nil, &n.batch)
	for i := range 20 {
		cam.piece(9000, 100, i == 0, i == 19)
	}
	for _, c := range n.peers[1:] {
		sent += len(c.rtp)
		c.rtp = nil
	}
	if sent < 20*viewers || largest == 0 || largest > 256+20 {
		t.Errorf("%d packets left, %d at most at once, want %d in parts of about 256", sent, largest, 20*viewers)
	}
}
