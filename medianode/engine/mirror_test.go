package engine_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/clock"
)

// across is a node of two cores: client 1 has a camera in the first, client 2
// watches its highest layer in the second.
func across(t testing.TB) (*node, *camera, *client) {
	x := newNode(t, 2)
	cam := x.cores[0].join(1).camera("TR_v")
	viewer := x.cores[1].join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	x.settle()
	cam.frame(true)
	return x, cam, viewer
}

// follow checks that packets have sequence numbers without a hole, timestamps
// that do not step back, and markers at the end of each frame.
func follow(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i, p := range packets[1:] {
		before := packets[i]
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("packet %d: sequence %d after %d", i+1, p.SequenceNumber, before.SequenceNumber)
		}
		if step := int32(p.Timestamp - before.Timestamp); step < 0 {
			t.Errorf("packet %d: timestamp moved by %d ticks", i+1, step)
		}
		if before.Marker != (p.Timestamp != before.Timestamp) {
			t.Errorf("packet %d: marker %v, though the next has timestamp %d after %d", i, before.Marker, p.Timestamp, before.Timestamp)
		}
	}
}

func TestMirror_forwardsVideo(t *testing.T) {
	x := newNode(t, 3)
	cam := x.cores[0].join(1).camera("TR_v")
	cam.frame(true)
	near, far, third := x.cores[0].join(2), x.cores[1].join(3), x.cores[2].join(4)
	for _, c := range []*client{near, far, third} {
		c.watch("TR_v", 640, 360)
	}
	x.settle()
	cam.frame(true)
	for range 10 {
		cam.frame(false)
	}
	if len(near.rtp) != 22 {
		t.Fatalf("the viewer in the home core got %d packets, want 22", len(near.rtp))
	}
	for name, c := range map[string]*client{"second core": far, "third core": third} {
		if len(c.rtp) != len(near.rtp) {
			t.Errorf("%s: got %d packets, want %d", name, len(c.rtp), len(near.rtp))
			continue
		}
		follow(t, c.rtp)
		for i, p := range c.rtp {
			if !slices.Equal(p.Payload, near.rtp[i].Payload) || p.Timestamp-c.rtp[0].Timestamp != near.rtp[i].Timestamp-near.rtp[0].Timestamp {
				t.Errorf("%s: packet %d is %v, want %v but for the offsets", name, i, p, near.rtp[i])
			}
		}
		if e, ok := last[engine.SubscriptionActive](c.n); !ok || e.Peer != c.id || e.Track != "TR_v" {
			t.Errorf("%s: got %v, want SubscriptionActive", name, e)
		}
	}
	if e, ok := last[engine.TrackLive](x.cores[1]); ok {
		t.Errorf("a core that only mirrors the track says %+v", e)
	}
}

// voice publishes a microphone on mid "a".
func (c *client) voice() *voice {
	n := c.n
	n.must(n.core.SetReceive(n.now, c.id, []engine.ReceiveSection{
		{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: ids, Active: true},
	}))
	n.must(n.core.Publish(n.now, c.id, engine.TrackConfig{ID: "TR_a", Mid: "a"}))
	return &voice{client: c, seq: 65530}
}

type voice struct {
	*client
	seq uint16
}

// talk sends 20 ms of sound of a level in -dBov.
func (v *voice) talk(level byte) {
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: opus.Number, SequenceNumber: v.seq, SSRC: 2000, Timestamp: uint32(v.n.now.UnixMilli() * 48),
		},
		Payload: []byte{0x78, byte(v.seq), 1, 2},
	}
	v.n.must(p.SetExtension(extMid, []byte("a")))
	v.n.must(p.SetExtension(extLevel, []byte{level | 0x80}))
	v.seq++
	v.send(p)
	v.n.pass(20 * time.Millisecond)
}

const extOwnLevel = 6

func (c *client) listen() {
	n := c.n
	n.must(n.core.Subscribe(n.now, c.id, engine.SubscribeConfig{Track: "TR_a", SSRC: 6000, RTX: 6001}))
	n.must(n.core.SetSend(n.now, c.id, []engine.SendSection{{
		Track: "TR_a", Mid: "0", Codec: opus, Extensions: engine.ExtensionIDs{AudioLevel: extOwnLevel}, Active: true,
	}}))
}

func TestMirror_forwardsAudioWithItsLevels(t *testing.T) {
	x := newNode(t, 2)
	mic := x.cores[0].join(1).voice()
	mic.talk(100)
	listener := x.cores[1].join(2)
	listener.listen()
	x.settle()
	for range 20 {
		mic.talk(10)
	}
	if len(listener.rtp) != 20 {
		t.Fatalf("got %d packets, want 20", len(listener.rtp))
	}
	for i, p := range listener.rtp {
		if got := p.GetExtension(extOwnLevel); !slices.Equal(got, []byte{10 | 0x80}) {
			t.Errorf("packet %d: got level %v", i, got)
		}
		if i > 0 && p.SequenceNumber != listener.rtp[i-1].SequenceNumber+1 {
			t.Errorf("packet %d: sequence %d", i, p.SequenceNumber)
		}
	}
	if e, ok := last[engine.Speakers](x.cores[0]); !ok || e.Core != 0 || len(e.Speakers) != 1 || e.Speakers[0].Track != "TR_a" {
		t.Errorf("the home says %+v, want one speaker", e)
	}
	if e, ok := last[engine.Speakers](x.cores[1]); ok {
		t.Errorf("the mirror's core says %+v: two cores must not name one speaker", e)
	}
}

func TestMirror_layerAndDemandFollowTheViewersSize(t *testing.T) {
	x, cam, viewer := across(t)
	run := func(settings engine.Settings) {
		viewer.n.must(viewer.n.core.SetSettings(x.now, viewer.id, "TR_v", settings))
		x.settle()
		for range 4 {
			cam.frame(true)
		}
	}
	demand := func(when string, want ...int) {
		t.Helper()
		if e, _ := last[engine.LayerDemand](cam.n); !slices.Equal(e.Layers, want) {
			t.Errorf("%s: got demand %v, want %v", when, e.Layers, want)
		}
	}
	demand("highest", 0, 2)
	run(engine.Settings{Width: 150, Height: 80})
	run(engine.Settings{Width: 300, Height: 170})
	demand("middle, and still held", 0, 1, 2)
	run(engine.Settings{Width: 640, Height: 360})
	for range 90 { // the hold is over
		cam.frame(false)
	}
	demand("highest again", 0, 2)
	run(engine.Settings{Width: 640, Height: 360, MaxLayer: 2})
	if got, want := viewer.layers(), []byte{2, 0, 1, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("layers: got %v, want %v", got, want)
	}
	follow(t, viewer.rtp)
	viewer.n.must(viewer.n.core.SetSettings(x.now, viewer.id, "TR_v", engine.Settings{Disabled: true}))
	x.pass(3 * time.Second)
	demand("nobody looks")
	if e, ok := last[engine.LayerDemand](viewer.n); ok {
		t.Errorf("the mirror's core says %+v", e)
	}
}

func TestMirror_demandIsThatOfAllCores(t *testing.T) {
	x := newNode(t, 3)
	cam := x.cores[0].join(1).camera("TR_v")
	cam.frame(true)
	x.cores[0].join(2).watch("TR_v", 100, 50)
	x.cores[1].join(3).watch("TR_v", 320, 180)
	x.cores[2].join(4).watch("TR_v", 640, 360)
	x.pass(20 * time.Millisecond)
	want := func(when string, layers ...int) {
		t.Helper()
		if e, _ := last[engine.LayerDemand](cam.n); !slices.Equal(e.Layers, layers) {
			t.Errorf("%s: got %v, want %v", when, e.Layers, layers)
		}
	}
	want("three sizes in three cores", 0, 1, 2)
	x.cores[1].must(x.cores[1].core.Unsubscribe(x.now, 3, "TR_v"))
	x.pass(3 * time.Second)
	want("the middle left", 0, 2)
	x.cores[2].core.RemovePeer(x.now, 4)
	x.pass(3 * time.Second)
	want("only the home is left", 0)
}

func TestMirror_handsOverWhatIsSeenOnly(t *testing.T) {
	x, cam, viewer := across(t)
	handed := func() uint64 {
		before := cam.n.core.Counters().HandedOver
		for range 10 {
			cam.frame(true)
		}
		return cam.n.core.Counters().HandedOver - before
	}
	x.pass(50 * time.Millisecond)
	if got := handed(); got != 20 {
		t.Errorf("one of three layers seen: got %d packets handed over in 10 frames, want 20", got)
	}
	viewer.n.must(viewer.n.core.SetSettings(x.now, viewer.id, "TR_v", engine.Settings{Disabled: true}))
	x.pass(50 * time.Millisecond)
	if got := handed(); got != 0 {
		t.Errorf("nobody looks: got %d packets handed over, want 0", got)
	}
	viewer.n.must(viewer.n.core.SetSettings(x.now, viewer.id, "TR_v", engine.Settings{Width: 640, Height: 360}))
	x.pass(50 * time.Millisecond)
	if got := handed(); got != 20 {
		t.Errorf("seen again: got %d packets, want 20", got)
	}
	viewer.n.core.RemovePeer(x.now, viewer.id)
	x.settle()
	if got := handed(); got != 0 {
		t.Errorf("the viewer left: got %d packets, want 0", got)
	}
	if !cam.n.core.Outbound(1).Empty() || !viewer.n.core.Outbound(0).Empty() {
		t.Error("the cores still have something to say to each other")
	}
}

func TestMirror_asksForAKeyFrameAtOnce(t *testing.T) {
	x, cam, viewer := across(t)
	for range 90 { // the viewer has long seen its first picture
		cam.frame(false)
	}
	cam.rtcp = nil
	viewer.control(&rtcp.PictureLossIndication{MediaSSRC: 5000})
	x.pass(300 * time.Microsecond) // there and nothing more: no tick
	if got := count[*rtcp.PictureLossIndication](cam.client); got != 1 {
		t.Fatalf("got %d requests, want 1", got)
	}
	for range 20 {
		viewer.control(&rtcp.PictureLossIndication{MediaSSRC: 5000})
		x.pass(20 * time.Millisecond)
	}
	if got := count[*rtcp.PictureLossIndication](cam.client); got != 1 {
		t.Errorf("got %d requests in 400 ms, want 1: they are coalesced in the home", got)
	}
	x.pass(time.Second)
	if got := count[*rtcp.PictureLossIndication](cam.client); got < 2 {
		t.Errorf("got %d requests, want them repeated until a key frame comes", got)
	}
	cam.frame(true)
	cam.rtcp = nil
	x.pass(2 * time.Second)
	if got := count[*rtcp.PictureLossIndication](cam.client); got != 0 {
		t.Errorf("got %d requests after the key frame, want 0", got)
	}
}

func TestMirror_switchesDownWhenThePublisherStopsALayer(t *testing.T) {
	_, cam, viewer := across(t)
	cam.off[2] = true
	for range 60 {
		cam.frame(true)
	}
	cam.off[2] = false
	for range 5 {
		cam.frame(true)
	}
	if got, want := viewer.layers(), []byte{2, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("layers: got %v, want %v", got, want)
	}
}

func TestMirror_newSourceOfThePublisher(t *testing.T) {
	x, cam, viewer := across(t)
	for range 30 {
		cam.frame(false)
	}
	before := len(viewer.rtp)
	cam.rtcp = nil
	cam.ssrc, cam.seq = 3000, [3]uint16{7, 8, 9}
	cam.frame(false)
	x.pass(20 * time.Millisecond)
	if got := len(viewer.rtp) - before; got != 0 {
		t.Errorf("got %d packets of a new source before its key frame, want 0", got)
	}
	if count[*rtcp.PictureLossIndication](cam.client) == 0 {
		t.Error("the new source was not asked for a key frame")
	}
	cam.frame(true)
	cam.frame(false)
	if got := len(viewer.rtp) - before; got != 4 {
		t.Errorf("got %d packets, want 4", got)
	}
	follow(t, viewer.rtp)
}

func TestMirror_answersNACKsFromItsOwnRing(t *testing.T) {
	x, cam, viewer := across(t)
	for range 4 {
		cam.frame(false)
	}
	lost := viewer.rtp[3]
	home := cam.n.core.Counters()
	viewer.rtp = nil
	viewer.control(&rtcp.TransportLayerNack{MediaSSRC: 5000, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}})
	if len(viewer.rtp) != 1 {
		t.Fatalf("got %d packets at once, want 1", len(viewer.rtp))
	}
	again := viewer.rtp[0]
	if again.PayloadType != vp8.RTXNumber || binary.BigEndian.Uint16(again.Payload) != lost.SequenceNumber || !slices.Equal(again.Payload[2:], lost.Payload) {
		t.Errorf("got %v, want %v again", again, lost)
	}
	x.settle()
	if got := cam.n.core.Counters(); got.NACKed != home.NACKed || got.Retransmitted != home.Retransmitted {
		t.Error("the home was bothered")
	}
}

func TestMirror_repairsGoOver(t *testing.T) {
	_, cam, viewer := across(t)
	cam.packet(2, false, false, true)
	missing := cam.seq[2]
	cam.packet(2, false, false, false) // lost on the way to the node
	cam.packet(2, false, true, true)
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: vp8.RTXNumber, SequenceNumber: 1, SSRC: 1502, Timestamp: uint32(cam.n.now.UnixMilli()*90) + 2*777,
	}, Payload: append(binary.BigEndian.AppendUint16(nil, missing), 0x10, 1, 2, 77)}
	cam.n.must(p.SetExtension(extMid, []byte("v")))
	cam.n.must(p.SetExtension(extRID, []byte("f")))
	cam.send(p)
	cam.n.pass(5 * time.Millisecond)
	sent := viewer.rtp[len(viewer.rtp)-4:]
	base := sent[0].SequenceNumber - 1 // the last packet before is in sent too
	if got, want := [3]uint16{sent[1].SequenceNumber, sent[2].SequenceNumber, sent[3].SequenceNumber}, [3]uint16{base + 2, base + 4, base + 3}; got != want {
		t.Errorf("got sequence numbers %v, want %v: the repair fills its hole", got, want)
	}
	if got := sent[3].Payload[3]; got != 77 {
		t.Errorf("got %v, want the repaired packet last", sent[3].Payload)
	}
}

func TestMirror_reportsTheSendersClock(t *testing.T) {
	x, cam, viewer := across(t)
	near := cam.n.join(3)
	near.watch("TR_v", 640, 360)
	cam.frame(true)
	sent := cam.n.now
	stamp := uint32(sent.UnixMilli()*90) + 2*777
	cam.control(&rtcp.SenderReport{SSRC: 1002, NTPTime: clock.NTP(sent.Add(time.Hour)), RTPTime: stamp})
	x.settle()
	cam.packet(2, false, true, true) // with the timestamp of the report, but for 1 ms
	x.pass(2 * time.Second)
	for name, c := range map[string]*client{"home": near, "mirror": viewer} {
		var report *rtcp.SenderReport
		for _, p := range c.rtcp {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == 5000 {
				report = r
			}
		}
		if report == nil {
			t.Fatalf("%s: no sender report", name)
		}
		p := c.rtp[len(c.rtp)-1]
		captured := clock.NTP(sent.Add(time.Hour + time.Millisecond))
		want := p.Timestamp + uint32(clock.Ticks(clock.Between(captured, report.NTPTime), 90000))
		if off := int32(report.RTPTime - want); max(off, -off) > 2 {
			t.Errorf("%s: a report says timestamp %d, want %d: %d ticks off the publisher's clock", name, report.RTPTime, want, off)
		}
	}
}

func TestMirror_dependencyDescriptorsGoOver(t *testing.T) {
	x := newNode(t, 2)
	cam := x.cores[0].join(1).svc()
	viewer := x.cores[1].join(2)
	viewer.watchAV1(mixed)
	x.settle()
	for i := range 12 {
		cam.picture(i%4 == 0)
	}
	if len(viewer.rtp) != 12 {
		t.Fatalf("got %d packets, want 12", len(viewer.rtp))
	}
	descriptors(t, viewer.rtp)
}

// handing is a packet of the camera on its way through both cores; what it
// returns sends the next.
func handing(t testing.TB) (far *engine.Core, next func()) {
	x, cam, viewer := across(t)
	for range 40 {
		cam.frame(true)
	}
	home, to := cam.n, viewer.n
	keys := &constantKeys{tag: 1}
	home.must(home.core.Protect(x.now, 1, keys, &home.batch))
	to.must(to.core.Protect(x.now, 2, &constantKeys{tag: 2}, &to.batch))
	x.settle()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SSRC: 1002, Marker: true}, Payload: make([]byte, 1100)}
	p.Payload[0] = 0x10
	raw, _ := p.Marshal()
	sealed := append(raw, 0, 0, 0, 1)
	seq, empty := cam.seq[2], &engine.Parcel{}
	next = func() {
		sealed[2], sealed[3] = byte(seq>>8), byte(seq)
		seq++
		home.core.HandleDatagram(x.now, cam.addr, sealed, &home.batch)
		full := home.core.TakeOutbound(1, empty)
		to.core.HandleParcel(x.now, 0, full, &to.batch)
		full.Reset()
		empty = full
		home.batch.Reset()
		to.batch.Reset()
	}
	for range 500 { // the rings grow
		next()
	}
	return to.core, next
}

func TestMirror_handingOverAllocatesNothing(t *testing.T) {
	far, next := handing(t)
	before := far.Counters()
	got := testing.AllocsPerRun(500, next)
	if n := far.Counters().Forwarded - before.Forwarded; n < 500 {
		t.Fatalf("forwarded %d packets, want 500: the test measures nothing", n)
	}
	if got > 0.05 {
		t.Errorf("got %.2f allocations per packet handed over, want 0", got)
	}
}

// BenchmarkMirror_handOver is one packet that is received in one core and
// forwarded to one subscriber in another, without ciphers.
func BenchmarkMirror_handOver(b *testing.B) {
	_, next := handing(b)
	b.ReportAllocs()
	for b.Loop() {
		next()
	}
}
