package engine_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
)

// isKey says that a packet of the simulated camera begins a key frame.
func isKey(p *rtp.Packet) bool { return p.Payload[0]&0x10 != 0 && p.Payload[1]&1 == 0 }

// source is the layer and number with which the camera sent a packet.
func source(p *rtp.Packet) (layer int, seq uint16) {
	return int(p.Payload[2]), binary.LittleEndian.Uint16(p.Payload[3:])
}

// unbroken fails if packets have a hole or step back in number, source or time.
func unbroken(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i := range packets[1:] {
		a, b := packets[i], packets[i+1]
		_, from := source(a)
		_, to := source(b)
		if b.SequenceNumber != a.SequenceNumber+1 || to != from+1 || int32(b.Timestamp-a.Timestamp) < 0 {
			t.Fatalf("packet %d: number %d, source %d, time %d after %d, %d, %d", i+1,
				b.SequenceNumber, to, b.Timestamp, a.SequenceNumber, from, a.Timestamp)
		}
	}
}

func TestReplay_aNewViewerSeesThePictureAtOnce(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	for range 6 {
		cam.frame(false)
	}
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	n.pass(0)
	if len(viewer.rtp) != 14 || !isKey(viewer.rtp[0]) {
		t.Fatalf("got %d packets at once, want the 14 since the key frame", len(viewer.rtp))
	}
	for range 3 {
		cam.frame(false)
	}
	if len(viewer.rtp) != 20 {
		t.Errorf("got %d packets, want those of three live frames too", len(viewer.rtp))
	}
	unbroken(t, viewer.rtp)
	if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
		t.Errorf("the publisher was asked for %d key frames, want none", got)
	}
	// What is old leaves in the time of one frame, what is live as it is made.
	if d := viewer.rtp[12].Timestamp - viewer.rtp[0].Timestamp; d > 3000 {
		t.Errorf("the replay takes %d ticks, want one frame", d)
	}
	if d := viewer.rtp[19].Timestamp - viewer.rtp[12].Timestamp; d != 3*33*90 {
		t.Errorf("three live frames take %d ticks, want %d", d, 3*33*90)
	}
}

func TestReplay_isPacedUntilItHasCaughtUp(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.packet(2, true, false, true)
	for range 99 {
		cam.packet(2, false, false, true)
	}
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	n.pass(0)
	for i, want := range []int{16, 32, 48, 64, 80, 96, 106, 107} {
		if len(viewer.rtp) != want {
			t.Fatalf("after %d ms: got %d packets, want %d", 10*i, len(viewer.rtp), want)
		}
		cam.packet(2, false, false, true) // live in the meantime
		n.pass(10 * time.Millisecond)
	}
	unbroken(t, viewer.rtp)
}

func TestReplay_onlyOfWhatIsWholeAndPublic(t *testing.T) {
	for name, spoil := range map[string]func(*network, *camera){
		"a packet is missing": func(_ *network, cam *camera) {
			cam.packet(2, false, true, false)
			cam.packet(2, false, true, true)
		},
		"the key frame is too old": func(_ *network, cam *camera) {
			for range 31 {
				cam.frame(false)
			}
		},
		"it was sent while muted": func(n *network, cam *camera) {
			n.must(n.core.MuteTrack(n.now, "TR_v", true))
			cam.frame(true)
			n.must(n.core.MuteTrack(n.now, "TR_v", false))
		},
		"too much was sent": func(n *network, cam *camera) {
			for range 260 {
				p := cam.next(2, false, false)
				p.Payload = append(p.Payload, make([]byte, 1100)...)
				cam.send(p)
			}
		},
	} {
		n := newNetwork(t)
		pub := n.join(1)
		cam := pub.camera("TR_v")
		cam.frame(true)
		spoil(n, cam)
		viewer := n.join(2)
		pub.rtcp = nil
		viewer.watch("TR_v", 640, 360)
		n.pass(20 * time.Millisecond)
		if len(viewer.rtp) != 0 {
			t.Errorf("%s: got %d packets, want none", name, len(viewer.rtp))
		}
		if count[*rtcp.PictureLossIndication](pub) == 0 {
			t.Errorf("%s: no key frame was asked for", name)
		}
	}
}

// A key frame that comes so late that what followed it has left the ring is no
// beginning: the viewer would wait for numbers that can't be sent any more.
func TestReplay_goesNotOverWhatIsTooOld(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.off = [3]bool{false, true, true}
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	late := cam.next(0, true, false)
	cam.packet(0, false, true, true)
	cam.frame(false)
	n.pass(1100 * time.Millisecond)
	cam.frame(false)
	cam.send(late)
	n.pass(10 * time.Millisecond)
	cam.frame(false)
	if got := len(viewer.rtp); got > 1 {
		t.Errorf("got %d packets, want none behind the first of the key frame", got)
	}
	cam.frame(true)
	cam.frame(false)
	if got := len(viewer.rtp); got < 4 {
		t.Errorf("got %d packets, want the 4 from the next key frame on", got)
	}
	for i, p := range viewer.rtp {
		if want := viewer.rtp[0].SequenceNumber + uint16(i); p.SequenceNumber != want {
			t.Errorf("packet %d: got number %d, want %d", i, p.SequenceNumber, want)
		}
	}
}

func TestReplay_paddingIsNoHole(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.frame(true)
	p := cam.next(2, false, false)
	p.Payload, p.Padding, p.PaddingSize = nil, true, 100
	cam.send(p)
	cam.frame(false)
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	n.pass(0)
	if len(viewer.rtp) != 4 {
		t.Fatalf("got %d packets, want the 4 with a payload", len(viewer.rtp))
	}
	for i, p := range viewer.rtp {
		if want := viewer.rtp[0].SequenceNumber + uint16(i); p.SequenceNumber != want {
			t.Errorf("packet %d: got number %d, want %d: padding leaves no hole", i, p.SequenceNumber, want)
		}
	}
}

func TestReplay_ofTheLayerThatAViewerSwitchesTo(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 150, 80)
	n.pass(0)
	for range 4 {
		cam.frame(false)
	}
	before := len(viewer.rtp)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360}))
	n.pass(0)
	cam.frame(false)
	after := viewer.rtp[before:]
	if len(after) != 12 || !isKey(after[0]) || after[0].Payload[2] != 2 {
		t.Fatalf("got %d packets, want the 12 of the highest layer since its key frame", len(after))
	}
	unbroken(t, after)
	last := viewer.rtp[before-1]
	if after[0].SequenceNumber != last.SequenceNumber+1 || int32(after[0].Timestamp-last.Timestamp) <= 0 {
		t.Errorf("number %d, time %d after %d, %d", after[0].SequenceNumber, after[0].Timestamp, last.SequenceNumber, last.Timestamp)
	}
	if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
		t.Errorf("the publisher was asked for %d key frames, want none", got)
	}
	// Back to what was seen before: nothing is shown twice.
	before = len(viewer.rtp)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 150, Height: 80}))
	n.pass(20 * time.Millisecond)
	if len(viewer.rtp) != before {
		t.Errorf("got %d packets of a layer that the viewer has seen", len(viewer.rtp)-before)
	}
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("no key frame was asked for")
	}
}

// What left before the client had the answer went to nobody: it asks, and gets
// the same again without the publisher.
func TestReplay_againForAViewerThatMissedIt(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	cam.frame(false)
	viewer := n.join(2)
	viewer.watch("TR_v", 640, 360)
	n.pass(0)
	pli := &rtcp.PictureLossIndication{MediaSSRC: 5000}
	viewer.control(pli)
	n.pass(0)
	if len(viewer.rtp) != 4 {
		t.Fatalf("asked while the replay is on its way: got %d packets, want its 4", len(viewer.rtp))
	}
	for i, want := range []int{8, 12} {
		n.pass(200 * time.Millisecond)
		viewer.control(pli)
		n.pass(0)
		if len(viewer.rtp) != want {
			t.Fatalf("request %d: got %d packets, want %d", i, len(viewer.rtp), want)
		}
	}
	for i, p := range viewer.rtp[1:] {
		if p.SequenceNumber != viewer.rtp[i].SequenceNumber+1 || int32(p.Timestamp-viewer.rtp[i].Timestamp) < 0 {
			t.Errorf("packet %d: number %d after %d", i+1, p.SequenceNumber, viewer.rtp[i].SequenceNumber)
		}
	}
	if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
		t.Errorf("the publisher was asked for %d key frames, want none so far", got)
	}
	n.pass(200 * time.Millisecond)
	viewer.control(pli)
	n.pass(20 * time.Millisecond)
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("the fourth request did not reach the publisher")
	}
}

// The first settings of a viewer may mean that what was sent before them is
// lost. They cost the publisher nothing if the ring holds it.
func TestReplay_answersTheFirstSettings(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{50 * time.Millisecond, 2}, {300 * time.Millisecond, 4}} {
		n := newNetwork(t)
		pub := n.join(1)
		cam := pub.camera("TR_v")
		viewer := n.join(2)
		cam.frame(false)
		viewer.watch("TR_v", 640, 360)
		cam.frame(true) // what it was asked for
		pub.rtcp = nil
		n.pass(c.after - 33*time.Millisecond)
		n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360}))
		n.pass(20 * time.Millisecond)
		if len(viewer.rtp) != c.want {
			t.Errorf("settings after %s: got %d packets, want %d", c.after, len(viewer.rtp), c.want)
		}
		if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
			t.Errorf("settings after %s: the publisher was asked for %d key frames more", c.after, got)
		}
	}
}

func TestReplay_manyJoinsAskForFewKeyFrames(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	asked, answer, first := 0, time.Time{}, n.now
	for i := range 200 { // 10 s, 20 joins a second
		viewer := n.join(engine.PeerID(2 + i))
		viewer.watch("TR_v", 640, 360)
		for range 3 {
			key := !answer.IsZero() && !n.now.Before(answer)
			if key {
				answer = time.Time{}
			}
			for l := range 3 {
				cam.packet(l, key, false, true)
				cam.packet(l, false, true, true)
			}
			n.pass(16667 * time.Microsecond)
			if got := count[*rtcp.PictureLossIndication](pub); got > asked {
				asked, answer = got, n.now.Add(100*time.Millisecond)
			}
		}
		if n.now.Sub(first)%time.Second < 50*time.Millisecond {
			cam.check(true)
		}
	}
	for _, c := range n.peers[1:200] {
		if len(c.rtp) == 0 {
			t.Fatalf("viewer %d sees nothing", c.id)
		}
	}
	if asked > 11 {
		t.Errorf("200 joins in 10 s asked for %d key frames, want one a second", asked)
	}
	if asked == 0 {
		t.Error("nobody asked: the test measures nothing")
	}
}

// gate is a pacer that lets video leave when it is open.
type gate struct{ open bool }

func (g *gate) Take(_ time.Time, class pacing.Class, _ int) bool {
	return g.open || class != pacing.Video
}
func (g *gate) Next(now time.Time, _ pacing.Class) time.Time { return now.Add(time.Millisecond) }

func TestPacer_whatMayNotLeaveWaitsInTheRing(t *testing.T) {
	g := &gate{open: true}
	n := newNetworkOf(t, engine.Config{NewPacer: func() pacing.Pacer { return g }})
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	before := len(viewer.rtp)
	g.open = false
	for range 5 {
		cam.frame(false)
	}
	if len(viewer.rtp) != before {
		t.Fatalf("%d packets left, want none", len(viewer.rtp)-before)
	}
	g.open = true
	n.pass(10 * time.Millisecond)
	if got := len(viewer.rtp) - before; got != 10 {
		t.Fatalf("%d packets left after it opened, want the 10 that waited", got)
	}
	cam.frame(false)
	unbroken(t, viewer.rtp)
	for i, p := range viewer.rtp[1:] {
		a, b := binary.BigEndian.Uint16(viewer.rtp[i].GetExtension(5)), binary.BigEndian.Uint16(p.GetExtension(5))
		if b != a+1 {
			t.Errorf("packet %d: transport-wide number %d after %d", i+1, b, a)
		}
	}
	// What waits for too long is given up for a key frame.
	g.open = false
	pub.rtcp = nil
	for range 60 {
		cam.frame(false)
	}
	g.open = true
	before = len(viewer.rtp)
	cam.frame(false)
	if len(viewer.rtp) != before {
		t.Errorf("%d packets left without a key frame", len(viewer.rtp)-before)
	}
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("no key frame was asked for")
	}
	cam.frame(true)
	if got := len(viewer.rtp) - before; got != 2 {
		t.Errorf("got %d packets of the key frame, want 2", got)
	}
}

// history is a random course of a call between a camera and one viewer.
type history struct {
	*rapid.T
	n       *network
	cam     *camera
	viewer  *client
	lost    map[string]bool // "layer seq" of packets that did not come in time
	padding map[string]bool
	late    []*rtp.Packet
}

func name(layer int, seq uint16) string { return fmt.Sprint(layer, " ", seq) }

// send sends, loses or delays a packet.
func (h *history) send(l int, p *rtp.Packet, seq uint16) {
	switch rapid.IntRange(0, 19).Draw(h.T, "fate") {
	case 0:
		h.lost[name(l, seq)] = true
	case 1:
		h.lost[name(l, seq)] = true
		h.late = append(h.late, p)
	default:
		h.cam.send(p)
	}
}

func (h *history) frame(key bool) {
	for l := range 3 {
		if h.cam.off[l] {
			continue
		}
		packets := rapid.IntRange(1, 12).Draw(h.T, "packets")
		for i := range packets {
			seq := h.cam.seq[l]
			h.send(l, h.cam.next(l, key && i == 0, i == packets-1), seq)
			if rapid.IntRange(0, 29).Draw(h.T, "padding") == 0 {
				h.padding[name(l, h.cam.seq[l])] = true
				p := h.cam.next(l, false, false)
				p.Payload, p.Padding, p.PaddingSize = nil, true, 9
				h.cam.send(p)
			}
		}
	}
}

func (h *history) step() {
	switch rapid.IntRange(0, 19).Draw(h.T, "step") {
	case 0:
		h.n.must(h.n.core.SetSettings(h.n.now, 2, "TR_v", engine.Settings{
			Width: rapid.SampledFrom([]uint32{160, 320, 640}).Draw(h.T, "width"), Height: 90,
			Disabled: rapid.IntRange(0, 3).Draw(h.T, "disabled") == 0,
		}))
	case 1:
		h.n.must(h.n.core.MuteTrack(h.n.now, "TR_v", rapid.Bool().Draw(h.T, "muted")))
	case 2:
		l := rapid.IntRange(1, 2).Draw(h.T, "layer")
		h.cam.off[l] = !h.cam.off[l]
	case 3:
		for _, p := range h.late {
			h.cam.send(p)
		}
		h.late = nil
	case 4:
		n := h.n
		n.must(n.core.SetSend(n.now, 2, nil))
		n.pass(time.Duration(rapid.IntRange(0, 50).Draw(h.T, "held")) * time.Millisecond)
		n.must(n.core.SetSend(n.now, 2, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: vp8, Extensions: engine.ExtensionIDs{TransportCC: 5}, Active: true}}))
	case 5, 6:
		h.frame(true)
	default:
		h.frame(false)
	}
	h.n.pass(time.Duration(rapid.IntRange(0, 40).Draw(h.T, "ms")) * time.Millisecond)
}

// decodable fails unless the viewer was sent each packet once, in runs of one
// layer that begin with a key frame and miss nothing that reached the node.
func (h *history) decodable() {
	seen := map[string]bool{}
	bySeq := map[int]*rtp.Packet{}
	first, last := 0, 0
	for i, p := range h.viewer.rtp {
		if p.SSRC != 5000 {
			continue
		}
		l, seq := source(p)
		if seen[name(l, seq)] {
			h.Fatalf("packet %d of layer %d was sent twice", seq, l)
		}
		seen[name(l, seq)] = true
		at := int(p.SequenceNumber)
		if i == 0 {
			first, last = at, at
		}
		at = last + int(int16(p.SequenceNumber-uint16(last)))
		if bySeq[at] != nil {
			h.Fatalf("number %d was sent twice", at)
		}
		bySeq[at] = p
		last = max(last, at)
	}
	var before *rtp.Packet
	behind := 0 // numbers without a packet since before
	for at := first; at <= last; at++ {
		p := bySeq[at]
		if p == nil {
			behind++
			continue
		}
		if before == nil || !h.follows(before, p, behind, seen) {
			if !isKey(p) || behind > 0 && before == nil {
				l, seq := source(p)
				h.Fatalf("number %d: packet %d of layer %d does not follow what was sent before and is no key frame", at, seq, l)
			}
		}
		if before != nil && int32(p.Timestamp-before.Timestamp) < 0 {
			h.Fatalf("number %d: timestamp %d after %d", at, p.Timestamp, before.Timestamp)
		}
		before, behind = p, 0
	}
}

// follows reports whether b comes after a in its layer, with holes in the
// numbers as sent exactly where packets did not come in time. Padding that
// overtook the packet with which the viewer began is a hole too.
func (h *history) follows(a, b *rtp.Packet, holes int, seen map[string]bool) bool {
	la, from := source(a)
	lb, to := source(b)
	if la != lb || int16(to-from) <= 0 {
		return false
	}
	padding := 0
	for seq := from + 1; seq != to; seq++ {
		if h.padding[name(la, seq)] {
			padding++
			continue
		}
		if seen[name(la, seq)] {
			return false
		}
		holes--
		if !h.lost[name(la, seq)] {
			return false
		}
	}
	return holes >= 0 && holes <= padding
}

func TestReplay_anyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetwork(t)
		h := &history{T: rt, n: n, lost: map[string]bool{}, padding: map[string]bool{}}
		h.cam = n.join(1).camera("TR_v")
		for range rapid.IntRange(0, 40).Draw(rt, "before") {
			h.stepBefore()
		}
		h.viewer = n.join(2)
		h.viewer.watch("TR_v", 640, 360)
		// The first settings would have everything sent again.
		n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360}))
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			h.step()
			if rapid.IntRange(0, 9).Draw(rt, "check") == 0 {
				h.cam.check(true)
				h.viewer.check(true)
			}
		}
		h.decodable()
		// In the end the viewer is live.
		n.must(n.core.MuteTrack(n.now, "TR_v", false))
		n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360}))
		h.cam.check(true)
		h.viewer.check(true)
		h.cam.off = [3]bool{}
		for range 4 {
			h.cam.frame(true)
		}
		for range 40 { // whatever the backlog, it ends
			h.cam.frame(false)
		}
		h.cam.frame(true)
		h.decodable()
		before := len(h.viewer.rtp)
		h.cam.packet(2, false, true, true)
		n.pass(10 * time.Millisecond)
		if len(h.viewer.rtp) != before+1 {
			rt.Fatalf("got %d packets for one live packet", len(h.viewer.rtp)-before)
		}
	})
}

// stepBefore is a step before the viewer came.
func (h *history) stepBefore() {
	h.frame(rapid.IntRange(0, 9).Draw(h.T, "key") == 0)
	h.n.pass(time.Duration(rapid.IntRange(0, 40).Draw(h.T, "ms")) * time.Millisecond)
}
