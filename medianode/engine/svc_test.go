package engine_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

var vp9 = engine.PayloadType{Number: 98, RTXNumber: 99, Mime: "video/VP9", ClockRate: 90000}

// scalable is a camera that sends all its sizes in one stream.
type scalable struct {
	*client
	stream     *svctest.Stream
	codec      engine.PayloadType
	describes  bool // VP9 with dependency descriptors, as browsers send it
	ssrc       uint32
	seq, rtx   uint16
	keys       int // requests answered so far
	perFrame   int // packets of a frame
	frames     map[int]svctest.Frame
	pictureGap time.Duration
}

// scalable publishes TR_v.
func (c *client) scalable(codec engine.PayloadType, mode svctest.Mode) *scalable {
	return c.scalableTrack("TR_v", 1000, codec, mode)
}

// scalableTrack publishes 320x180, 640x360 and 1280x720, as many as the mode has.
func (c *client) scalableTrack(track drtc.TrackID, ssrc uint32, codec engine.PayloadType, mode svctest.Mode) *scalable {
	n := c.n
	cam := &scalable{
		client: c, stream: svctest.New(mode), codec: codec, ssrc: ssrc, seq: 65530, rtx: 7, perFrame: 2,
		frames: map[int]svctest.Frame{}, pictureGap: 33 * time.Millisecond,
	}
	cam.section()
	var sizes []engine.LayerSize
	for i := range mode.Spatial {
		w, h := mode.Size(i)
		sizes = append(sizes, engine.LayerSize{RID: string("qhf"[i]), Width: uint32(w), Height: uint32(h)})
	}
	n.must(n.core.Publish(n.now, c.id, engine.TrackConfig{ID: track, Mid: "v", Video: true, Layers: sizes}))
	return cam
}

// section tells the node of the present SSRC.
func (c *scalable) section() {
	c.n.must(c.n.core.SetReceive(c.n.now, c.id, []engine.ReceiveSection{{
		Mid: "v", Codecs: []engine.PayloadType{c.codec}, Active: true, SSRCs: []engine.SourceGroup{{SSRC: c.ssrc, RTX: c.ssrc + 1}},
		Extensions: engine.ExtensionIDs{Mid: extMid, DependencyDescriptor: extDependency, Mixed: true},
	}}))
}

// packets makes the packets of the next picture.
func (c *scalable) packets(key bool, active int) (out []*rtp.Packet) {
	frames := c.stream.Next(key, active)
	for i, f := range frames {
		c.frames[f.Number] = f
		for n := range c.perFrame {
			first, last := n == 0, n == c.perFrame-1
			p := &rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: c.codec.Number, SequenceNumber: c.seq, SSRC: c.ssrc, Marker: last && i == len(frames)-1,
				Timestamp: uint32(c.n.now.UnixMilli() * 90),
			}}
			c.seq++
			p.Extension, p.ExtensionProfile = true, rtp.ExtensionProfileTwoByte
			c.n.must(p.SetExtension(extMid, []byte("v")))
			if c.codec == av1 {
				p.Payload = []byte{0x10, 0x30}
			} else {
				p.Payload = f.VP9(first, last, true, active)
			}
			if c.codec == av1 || c.describes {
				mask := uint32(0)
				if active < f.Mode.Spatial {
					mask = 1<<(active*f.Mode.Temporal) - 1
				}
				c.n.must(p.SetExtension(extDependency, f.Descriptor(first, last, mask)))
			}
			p.Payload = append(p.Payload, byte(f.Number>>8), byte(f.Number), byte(f.S), byte(f.T), byte(n))
			out = append(out, p)
		}
	}
	return out
}

// picture sends the next picture: a key picture if the node asked for one.
func (c *scalable) picture(key bool) {
	for _, p := range c.packets(c.wantsKey() || key, c.stream.Spatial) {
		c.send(p)
	}
	c.n.pass(c.pictureGap)
}

func (c *scalable) wantsKey() bool {
	asked := count[*rtcp.PictureLossIndication](c.client)
	key := asked > c.keys
	c.keys = asked
	return key
}

func (c *scalable) pictures(n int) {
	for range n {
		c.picture(false)
	}
}

// repair sends a packet again (RFC 4588).
func (c *scalable) repair(p *rtp.Packet) {
	again := *p
	again.SSRC, again.PayloadType, again.SequenceNumber = c.ssrc+1, c.codec.RTXNumber, c.rtx
	again.Payload = append(binary.BigEndian.AppendUint16(nil, p.SequenceNumber), p.Payload...)
	c.rtx++
	c.send(&again)
}

// look subscribes to the track with a picture of a size.
func (c *client) look(codec engine.PayloadType, settings engine.Settings) {
	n := c.n
	ssrc := 5000 + 2*uint32(c.id)
	n.must(n.core.Subscribe(n.now, c.id, engine.SubscribeConfig{Track: "TR_v", SSRC: ssrc, RTX: ssrc + 1, Settings: settings}))
	n.must(n.core.SetSend(n.now, c.id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: codec, Extensions: mixed, Active: true}}))
}

func (c *client) resize(settings engine.Settings) {
	c.n.must(c.n.core.SetSettings(c.n.now, c.id, "TR_v", settings))
}

// seen is one packet as a viewer got it, with what its camera put into it.
type seen struct {
	*rtp.Packet
	number, s, t, part int
}

// seen returns what a viewer got, in the order of sequence numbers.
func (c *client) seen() (out []seen) {
	for _, p := range c.rtp {
		if p.SSRC != 5000+2*uint32(c.id) {
			continue
		}
		x := seen{Packet: p, number: -1}
		if n := len(p.Payload); n > 0 {
			x.number, x.s, x.t, x.part = truth(p), int(p.Payload[n-3]), int(p.Payload[n-2]), int(p.Payload[n-1])
		}
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b seen) int { return cmp.Compare(int16(a.SequenceNumber-b.SequenceNumber), 0) })
	return out
}

// truth is the number of the frame that a camera's packet is of.
func truth(p *rtp.Packet) int { return int(binary.BigEndian.Uint16(p.Payload[len(p.Payload)-5:])) }

// layersOf lists the layers of each picture that was seen, with a dot for the
// marker.
func layersOf(packets []seen) string {
	var b strings.Builder
	for i, p := range packets {
		if i > 0 && p.Timestamp != packets[i-1].Timestamp {
			b.WriteString("| ")
		}
		if p.part == 0 {
			fmt.Fprintf(&b, "%d%d ", p.s, p.t)
		}
		if p.Marker {
			b.WriteString(". ")
		}
	}
	return strings.TrimSpace(b.String())
}

var (
	small  = engine.Settings{Width: 320, Height: 180}
	medium = engine.Settings{Width: 640, Height: 360}
	large  = engine.Settings{Width: 1280, Height: 720}
)

func TestCore_eachViewerGetsItsLayers(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		for _, describes := range []bool{false, true} {
			for _, key := range []bool{false, true} {
				n := newNetwork(t)
				cam := n.join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 2, Key: key})
				cam.describes = describes
				viewers := []*client{n.join(2), n.join(3), n.join(4)}
				for i, settings := range []engine.Settings{small, medium, large} {
					viewers[i].look(codec, settings)
				}
				cam.picture(true)
				cam.pictures(2)
				want := []string{"00 . | 01 . | 00 .", "00 10 . | 01 11 . | 00 10 .", "00 10 20 . | 01 11 21 . | 00 10 20 ."}
				if key {
					want = []string{"00 . | 01 . | 00 .", "00 10 . | 11 . | 10 .", "00 10 20 . | 21 . | 20 ."}
				}
				for i, v := range viewers {
					got := v.seen()
					if layersOf(got) != want[i] {
						t.Errorf("%s, KEY %v, viewer %d: got %s, want %s", codec.Mime, key, i, layersOf(got), want[i])
					}
					for j, p := range got {
						if p.SequenceNumber != got[0].SequenceNumber+uint16(j) {
							t.Errorf("%s: viewer %d: a hole before packet %d", codec.Mime, i, j)
						}
						if d := p.GetExtension(7); codec == vp9 && d != nil {
							t.Errorf("VP9 with a dependency descriptor: %x", d)
						}
					}
				}
			}
		}
	}
}

func TestCore_scalableStreamFollowsTheSize(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		n := newNetwork(t)
		cam := n.join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 1, Key: true})
		v := n.join(2)
		v.look(codec, large)
		cam.picture(true)
		cam.pictures(20)
		step := func(what string, settings engine.Settings, want string) {
			t.Helper()
			v.resize(settings)
			cam.pictures(20) // the node asks for a key frame, the camera sends it
			v.rtp = nil
			before := cam.keys
			cam.pictures(2)
			if got := layersOf(v.seen()); got != want || cam.keys != before {
				t.Errorf("%s: %s: got %q and %d more requests, want %q and none", codec.Mime, what, got, cam.keys-before, want)
			}
		}
		step("small", small, "00 . | 00 .")
		step("large", large, "20 . | 20 .")
		step("medium, by layer", engine.Settings{MaxLayer: 2}, "10 . | 10 .")
		step("large again", large, "20 . | 20 .")
		n.must(n.core.SetPublisherLayers(n.now, "TR_v", []int{0, 1}))
		step("the publisher allows two", large, "10 . | 10 .")
		n.must(n.core.SetPublisherLayers(n.now, "TR_v", nil))
		step("a phone turned round", engine.Settings{Width: 180, Height: 320}, "00 . | 00 .")
		step("no size known", engine.Settings{}, "20 . | 20 .")
	}
}

func TestCore_fewerFramesOfAScalableStream(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).scalable(av1, svctest.Mode{Spatial: 1, Temporal: 3})
	v := n.join(2)
	v.look(av1, engine.Settings{MaxTemporal: 1})
	cam.picture(true)
	cam.pictures(8)
	if got, want := layersOf(v.seen()), "00 . | 00 . | 00 ."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCore_scalableDemandIsTheHighest(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).scalable(vp9, svctest.Mode{Spatial: 3, Temporal: 1})
	v, w := n.join(2), n.join(3)
	v.look(vp9, small)
	cam.picture(true)
	expect := func(what string, want ...int) {
		t.Helper()
		cam.pictures(100)
		if e, ok := last[engine.LayerDemand](n); !ok || !slices.Equal(e.Layers, want) {
			t.Errorf("%s: got demand %v, want %v", what, e.Layers, want)
		}
	}
	expect("small", 0)
	w.look(vp9, medium)
	expect("another, medium", 0, 1)
	v.resize(large)
	expect("large", 0, 1, 2)
	v.resize(engine.Settings{MaxLayer: 1})
	expect("the lowest beside medium", 0, 1)
	w.resize(engine.Settings{Disabled: true})
	v.resize(engine.Settings{Disabled: true})
	expect("nobody")
}

// What was rewritten for a viewer is sent again as it was sent.
func TestCore_repeatsScalablePacketsAsSent(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		n := newNetwork(t)
		cam := n.join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 2})
		v := n.join(2)
		v.look(codec, large)
		cam.picture(true)
		v.resize(small)
		cam.pictures(3)
		cam.ssrc, cam.seq = 1001+1, 5 // a new encoder: numbers of pictures and frames move
		cam.stream = svctest.New(svctest.Mode{Spatial: 3, Temporal: 2})
		cam.section()
		cam.picture(true)
		v.resize(medium)
		cam.pictures(20)
		v.resize(small) // the targets change in the middle of the stream
		cam.pictures(2)
		first := v.seen()
		first = first[len(first)-30:]
		var told int
		for _, p := range first {
			v.rtp = nil
			v.control(&rtcp.TransportLayerNack{MediaSSRC: p.SSRC, Nacks: []rtcp.NackPair{{PacketID: p.SequenceNumber}}})
			if len(v.rtp) != 1 {
				t.Fatalf("%s: packet %d was not sent again", codec.Mime, p.SequenceNumber)
			}
			again := v.rtp[0]
			if again.Marker != p.Marker || again.Timestamp != p.Timestamp || !bytes.Equal(again.Payload[2:], p.Payload) ||
				!bytes.Equal(again.GetExtension(7), p.GetExtension(7)) {
				t.Errorf("%s: sent again as %v, descriptor %x, want %v, %x", codec.Mime, again, again.GetExtension(7), p.Packet, p.GetExtension(7))
			}
			if d := p.GetExtension(7); len(d) > 3 && d[3]&0x40 != 0 {
				told++
			}
		}
		if codec == av1 && told == 0 {
			t.Error("no descriptor with decode targets among them: the test shows nothing")
		}
	}
}

// A packet of a layer that a viewer does not get leaves no hole, also if it came
// too late to be left out.
func TestCore_lateScalablePacketsLeaveNoHole(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).scalable(av1, svctest.Mode{Spatial: 2, Temporal: 1})
	v := n.join(2)
	v.look(av1, engine.Settings{MaxLayer: 1})
	cam.picture(true)
	packets := cam.packets(false, 2) // 0 and 1 of the lower layer, 2 and 3 of the upper
	for _, i := range []int{0, 2} {
		cam.send(packets[i])
	}
	cam.pictures(1)
	cam.repair(packets[3])
	cam.repair(packets[1])
	cam.pictures(1)
	got := v.seen()
	for i, p := range got {
		if p.SequenceNumber != got[0].SequenceNumber+uint16(i) {
			t.Fatalf("a hole before packet %d of %d", i, len(got))
		}
		if p.s != 0 {
			t.Errorf("packet %d is of the upper layer", i)
		}
	}
	empty := slices.IndexFunc(got, func(p seen) bool { return p.number < 0 })
	if empty < 0 || !got[empty].Padding || got[empty].Marker {
		t.Fatalf("got %s: want a packet of padding in place of the late one", layersOf(got))
	}
	v.rtp = nil
	v.control(&rtcp.TransportLayerNack{MediaSSRC: got[empty].SSRC, Nacks: []rtcp.NackPair{{PacketID: got[empty].SequenceNumber}}})
	if len(v.rtp) != 0 {
		t.Error("the padding was answered with what it stands for")
	}
}

func TestCore_selectingLayersAllocatesNothing(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		n := newNetwork(t)
		cam := n.join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 3})
		cam.perFrame = 1
		v := n.join(2)
		v.look(codec, medium)
		cam.picture(true)
		cam.pictures(60)
		n.must(n.core.Protect(n.now, 1, &constantKeys{tag: 1}, &n.batch))
		n.must(n.core.Protect(n.now, 2, &constantKeys{tag: 2}, &n.batch))
		n.flush()
		var sealed [][]byte
		for i := range 200 {
			for _, p := range cam.packets(i == 0, 3) {
				raw, err := p.Marshal()
				n.must(err)
				sealed = append(sealed, append(raw, 0, 0, 0, 1))
			}
			n.now = n.now.Add(time.Millisecond)
		}
		before, next := n.core.Counters().Forwarded, 0
		got := testing.AllocsPerRun(len(sealed)-1, func() {
			n.core.HandleDatagram(n.now, cam.addr, sealed[next], &n.batch)
			n.batch.Reset()
			next++
		})
		if forwarded := n.core.Counters().Forwarded - before; forwarded < 380 || forwarded > 410 {
			t.Fatalf("%s: forwarded %d packets, want two of three: the test measures nothing", codec.Mime, forwarded)
		}
		if got > 0.05 { // the ring's arena may still double once
			t.Errorf("%s: got %.2f allocations per packet, want 0", codec.Mime, got)
		}
	}
}
