package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// once holds a hop to this: no packet of a layer went over it twice, and none
// is missing between the first and the last.
func (t *onHop) once(tb testing.TB) {
	tb.Helper()
	for l := range t.ssrcs {
		seen := map[[3]byte]bool{}
		for i, p := range t.of(l) {
			id := [3]byte(p.Payload[len(p.Payload)-3:])
			if seen[id] || int(id[0]) != l {
				tb.Errorf("layer %d: packet %d of layer %d went over the hop again (%v)", l, i, id[0], seen[id])
			}
			seen[id] = true
		}
		if all := t.of(l); len(all) > 0 {
			if span := all[len(all)-1].SequenceNumber - all[0].SequenceNumber + 1; int(span) != len(all) {
				tb.Errorf("layer %d: %d packets have %d numbers", l, len(all), span)
			}
		}
	}
}

// lastDemand is what the publisher of a camera was told last.
func lastDemand(n *network, track drtc.TrackID) ([]int, bool) {
	for _, e := range slices.Backward(n.events) {
		if d, is := e.(engine.LayerDemand); is && d.Track == track {
			return d.Layers, true
		}
	}
	return nil, false
}

// shows reports which layer a viewer was sent since its packets were last
// forgotten, and that nothing is missing in between.
func (c *client) shows(want byte) {
	c.n.t.Helper()
	if len(c.rtp) == 0 {
		c.n.t.Errorf("peer %d got nothing, want layer %d", c.id, want)
		return
	}
	if got := c.layers(); got[len(got)-1] != want {
		c.n.t.Errorf("peer %d got layers %v, want %d in the end", c.id, got, want)
	}
	for i, p := range c.rtp[1:] {
		if p.SequenceNumber != c.rtp[i].SequenceNumber+1 {
			c.n.t.Errorf("peer %d: number %d follows %d", c.id, p.SequenceNumber, c.rtp[i].SequenceNumber)
		}
	}
}

// Nobody looks: nothing but checks and reports is on a trunk. Somebody does, two
// nodes away: the layers of need cross each hop once, and what nobody wants any
// more is on none within a second and not encoded within four.
func TestRelay_carriesWhatIsWanted(t *testing.T) {
	c := newChain(t, 3, engine.Config{})
	c.frames(60)
	for _, h := range c.hops {
		if len(h.rtp) > 0 {
			t.Fatalf("%d packets crossed a hop though nobody looks", len(h.rtp))
		}
	}
	if d, told := lastDemand(c.nodes[0], "TR_v"); told {
		t.Errorf("the publisher was told of a demand for %v", d)
	}
	far := c.viewers[2]
	far.watch("TR_v", 640, 360)
	c.frames(60)
	far.shows(2)
	for i, track := range c.tracks {
		if n := track.counts(); n[1] != 0 || n[2] < 100 {
			t.Errorf("hop %d: %v packets of each layer, want none of the middle one and most of the highest", i, n)
		}
		track.once(t)
	}
	if d, _ := lastDemand(c.nodes[0], "TR_v"); !slices.Equal(d, []int{0, 2}) {
		t.Errorf("the publisher was told of a demand for %v, want the highest layer and the lowest", d)
	}
	c.must(c.nodes[2].core.Unsubscribe(c.now, far.id, "TR_v"))
	c.frames(36) // 1.2 s: two hops hold it for half a second each
	c.hops[0].rtp, c.hops[1].rtp = nil, nil
	c.frames(90)
	for i, h := range c.hops {
		if len(h.rtp) > 0 {
			t.Errorf("hop %d: %d packets after the last viewer went", i, len(h.rtp))
		}
	}
	if d, _ := lastDemand(c.nodes[0], "TR_v"); len(d) != 0 {
		t.Errorf("the publisher was told of a demand for %v, want none", d)
	}
}

// Viewers on all nodes with different needs: each layer is once on each hop that
// has viewers behind it for it, and each viewer gets its own.
func TestRelay_unitesTheNeedsBehindAHop(t *testing.T) {
	c := newChain(t, 3, engine.Config{})
	mobile := c.nodes[2].join(20)
	second := c.nodes[2].join(21)
	c.viewers[0].watch("TR_v", 640, 360)
	c.viewers[1].watch("TR_v", 320, 180)
	c.viewers[2].watch("TR_v", 640, 360)
	second.watch("TR_v", 640, 360)
	mobile.watch("TR_v", 160, 90)
	c.frames(60)
	for viewer, layer := range map[*client]byte{c.viewers[0]: 2, c.viewers[1]: 1, c.viewers[2]: 2, second: 2, mobile: 0} {
		viewer.shows(layer)
	}
	first, last := c.tracks[0].counts(), c.tracks[1].counts()
	if slices.Min(first) < 90 {
		t.Errorf("the first hop carried %v packets, want all layers", first)
	}
	if last[0] < 90 || last[1] != 0 || last[2] < 90 {
		t.Errorf("the last hop carried %v packets, want the lowest and the highest", last)
	}
	// They change places.
	for viewer, width := range map[*client]uint32{c.viewers[2]: 160, second: 320, mobile: 320} {
		c.must(viewer.n.core.SetSettings(c.now, viewer.id, "TR_v", engine.Settings{Width: width, Height: width * 9 / 16}))
	}
	c.frames(60)
	c.viewers[2].shows(0)
	second.shows(1)
	mobile.shows(1)
	c.hops[0].rtp, c.hops[1].rtp = nil, nil
	c.frames(30)
	if n := c.tracks[1].counts(); n[2] != 0 || n[1] != 60 || n[0] != 60 {
		t.Errorf("the last hop carried %v packets of 30 frames, want 60 of each of the lower two", n)
	}
	for _, track := range c.tracks {
		track.once(t)
	}
}

// A publisher behind two hops may do all that it may do close by.
func TestRelay_followsThePublisher(t *testing.T) {
	start := func(t *testing.T) (*chain, *client) {
		c := newChain(t, 3, engine.Config{})
		c.viewers[2].watch("TR_v", 640, 360)
		c.frames(40)
		return c, c.viewers[2]
	}
	goesOn := func(c *chain, viewer *client) {
		t.Helper()
		viewer.rtp = nil
		c.frames(40)
		viewer.shows(2)
		if len(viewer.rtp) < 60 {
			t.Errorf("%d packets of 40 frames came", len(viewer.rtp))
		}
		if d := viewer.rtp[len(viewer.rtp)-1].Timestamp - viewer.rtp[0].Timestamp; d > 40*33*90+9000 {
			t.Errorf("the timestamps of 40 frames go over %d ticks", d)
		}
	}
	t.Run("another encoder", func(t *testing.T) {
		c, viewer := start(t)
		c.cam.ssrc += 10
		for l := range c.cam.seq {
			c.cam.seq[l] += 7000
		}
		c.frames(1)
		goesOn(c, viewer)
	})
	t.Run("mute", func(t *testing.T) {
		c, viewer := start(t)
		c.must(c.nodes[0].core.MuteTrack(c.now, "TR_v", true))
		c.frames(5)
		viewer.rtp = nil
		c.frames(60)
		if len(viewer.rtp) > 0 {
			t.Errorf("%d packets came while muted", len(viewer.rtp))
		}
		c.must(c.nodes[0].core.MuteTrack(c.now, "TR_v", false))
		c.frames(3)
		goesOn(c, viewer)
	})
	t.Run("a layer stops", func(t *testing.T) {
		c, viewer := start(t)
		c.cam.off[2] = true
		c.frames(60)
		viewer.rtp = nil
		c.frames(10)
		viewer.shows(0) // the fallback that is wanted all the time
		c.cam.off[2] = false
		c.frames(20)
		goesOn(c, viewer)
	})
	t.Run("unpublished", func(t *testing.T) {
		c, viewer := start(t)
		c.must(c.nodes[0].core.Unpublish(c.now, "TR_v"))
		for l := range c.tracks[0].sent {
			delete(c.tracks[0].sent, l)
		}
		c.must(c.nodes[1].core.RemoveReceive(c.now, c.hops[0].downPeer, "TR_v"))
		for l := range c.tracks[1].sent {
			delete(c.tracks[1].sent, l)
		}
		viewer.rtp = nil
		c.frames(10)
		if len(viewer.rtp) > 0 {
			t.Errorf("%d packets came of a track that is gone", len(viewer.rtp))
		}
	})
}

// Viewers on another node who all ask for a key frame at once make one request
// on each hop, and one to the publisher.
func TestRelay_coalescesKeyFrameRequests(t *testing.T) {
	c := newChain(t, 3, engine.Config{})
	var crowd []*client
	for i := range 10 {
		v := c.nodes[2].join(engine.PeerID(30 + i))
		v.watch("TR_v", 640, 360)
		crowd = append(crowd, v)
	}
	c.frames(90)
	c.cam.rtcp = nil
	for _, v := range crowd {
		v.rtp = nil
		v.control(&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 5000})
	}
	c.pass(300 * time.Millisecond)
	if n := count[*rtcp.PictureLossIndication](c.cam.client); n != 1 {
		t.Errorf("the publisher was asked for %d key frames, want 1", n)
	}
	c.frames(3)
	for _, v := range crowd {
		v.shows(2)
	}
}

// What a hop lost is asked for and sent again on that hop alone.
func TestRelay_repairsHopByHop(t *testing.T) {
	c := newChain(t, 3, engine.Config{})
	far := c.viewers[2]
	far.watch("TR_v", 640, 360)
	c.frames(60)
	before := [3]engine.Counters{}
	for i, n := range c.nodes {
		before[i] = n.core.Counters()
	}
	far.rtp, c.cam.rtcp = nil, nil
	c.hops[1].cut = true
	c.cam.packet(2, false, false, true)
	c.pass(trunkDelay + 5*time.Millisecond)
	c.hops[1].cut = false
	c.cam.packet(2, false, true, true)
	c.pass(200 * time.Millisecond)
	c.frames(5)
	if got := c.nodes[1].core.Counters().Retransmitted - before[1].Retransmitted; got != 1 {
		t.Errorf("the node before the hop sent %d packets again, want 1", got)
	}
	if got := c.nodes[0].core.Counters().NACKed - before[0].NACKed; got != 0 {
		t.Errorf("the home was asked for %d packets, want none", got)
	}
	if n := count[*rtcp.TransportLayerNack](c.cam.client); n != 0 {
		t.Errorf("the publisher was asked %d times, want never", n)
	}
	seqs := map[uint16]bool{}
	for _, p := range far.rtp {
		seqs[p.SequenceNumber] = true
	}
	if len(seqs) != 12 {
		t.Errorf("the viewer got %d packets, want 12", len(seqs))
	}
}

// A layer that stops and comes again goes on with the numbers of its SSRC: the
// cipher's nonce is never used twice, and the other end sees no new stream.
func TestRelay_numbersGoOn(t *testing.T) {
	c := newChain(t, 2, engine.Config{})
	v := c.viewers[1]
	v.watch("TR_v", 640, 360)
	c.frames(30)
	for range 4 {
		c.must(c.nodes[1].core.SetSettings(c.now, v.id, "TR_v", engine.Settings{Width: 160, Height: 90}))
		c.frames(40)
		c.must(c.nodes[1].core.SetSettings(c.now, v.id, "TR_v", engine.Settings{Width: 640, Height: 360}))
		c.frames(30)
	}
	c.tracks[0].once(t)
	v.shows(2)
	h, track := c.hops[0], c.tracks[0]
	layer := func(cfg engine.RelayConfig) error {
		cfg.Room, cfg.Codec, cfg.Layer = "room", vp8, 1
		if cfg.Track == "" {
			cfg.Track = "TR_v"
		}
		return c.nodes[0].core.RelayLayer(c.now, h.upPeer, cfg)
	}
	used := track.ssrcs[2]
	for name, test := range map[string]struct {
		cfg  engine.RelayConfig
		want error
	}{
		"SSRC in use":        {engine.RelayConfig{SSRC: used.SSRC, RTX: used.RTX}, engine.ErrSSRC},
		"RTX as SSRC":        {engine.RelayConfig{SSRC: used.RTX, RTX: 9}, engine.ErrSSRC},
		"none":               {engine.RelayConfig{SSRC: 0, RTX: 9}, engine.ErrSSRC},
		"no RTX":             {engine.RelayConfig{SSRC: 9}, engine.ErrSSRC},
		"one for both":       {engine.RelayConfig{SSRC: 9, RTX: 9}, engine.ErrSSRC},
		"track of nobody":    {engine.RelayConfig{SSRC: 9, RTX: 10, Track: "TR_x"}, engine.ErrTrack},
		"core that is wrong": {engine.RelayConfig{SSRC: 9, RTX: 10, Home: engine.MaxCores}, engine.ErrCore},
	} {
		if err := layer(test.cfg); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if err := c.nodes[0].core.RelayLayer(c.now, h.upPeer, engine.RelayConfig{Track: "TR_v", Layer: 3, Room: "room", Codec: vp8, SSRC: 9, RTX: 10}); !errors.Is(err, engine.ErrLayer) {
		t.Errorf("a layer that there is not: got %v", err)
	}
	if err := c.nodes[0].core.RelayLayer(c.now, h.upPeer, engine.RelayConfig{Track: "TR_v", Layer: 1, Room: "other", Codec: vp8, SSRC: 9, RTX: 10}); !errors.Is(err, engine.ErrOtherRoom) {
		t.Errorf("a track of another room: got %v", err)
	}
	back := engine.RelayConfig{Track: "TR_v", Room: "room", Codec: vp8, SSRC: 9, RTX: 10}
	if err := c.nodes[1].core.RelayLayer(c.now, h.downPeer, back); !errors.Is(err, engine.ErrTrack) {
		t.Errorf("back to where it comes from: got %v", err)
	}
	if err := c.nodes[0].core.RelayLayer(c.now, c.viewers[0].id, engine.RelayConfig{Track: "TR_v", Layer: 1, Room: "room", Codec: vp8, SSRC: 9, RTX: 10}); !errors.Is(err, engine.ErrRelay) {
		t.Errorf("to a client: got %v", err)
	}
}

// Bytes are counted for each application and room; what is on the way when a
// layer stops is paid too.
func TestRelay_countsByApplicationAndRoom(t *testing.T) {
	c := newChain(t, 2, engine.Config{})
	v, h := c.viewers[1], c.hops[0]
	v.watch("TR_v", 640, 360)
	c.frames(60)
	c.must(c.nodes[1].core.Unsubscribe(c.now, v.id, "TR_v"))
	c.frames(90)
	var sent uint64
	for _, p := range h.rtp {
		sent += uint64(p.MarshalSize() - int(p.PaddingSize))
	}
	f, ok := c.nodes[0].core.RelayFigures(h.upPeer, "room")
	if !ok || f.SentBytes != sent || f.AcknowledgedBytes != sent || f.Layers != 0 || !f.Connected {
		t.Errorf("sent: got %+v, want %d bytes and all of them acknowledged", f, sent)
	}
	if f.RoundTrip < 2*trunkDelay-time.Millisecond || f.RoundTrip > 2*trunkDelay+5*time.Millisecond {
		t.Errorf("the round trip is %v, want about %v", f.RoundTrip, 2*trunkDelay)
	}
	if f, _ := c.nodes[1].core.RelayFigures(h.downPeer, "room"); f.ReceivedBytes != sent {
		t.Errorf("received: got %d bytes, want %d", f.ReceivedBytes, sent)
	}
	c.nodes[0].core.CountRelayData(h.upPeer, "room", "another", 500)
	c.nodes[0].core.CountData(h.upPeer, 1000) // of nobody
	taken := map[string]meter.Counters{}
	take := func() {
		c.nodes[0].core.TakeUsage(func(application string, counted meter.Counters) {
			sum := taken[application]
			sum.Add(counted)
			taken[application] = sum
		})
	}
	take()
	if got, want := taken["app"], (meter.Counters{RelaySent: sent, Relay: sent}); got != want {
		t.Errorf("the application has %+v, want %+v", got, want)
	}
	if got := taken["another"]; got.Relay != 500 {
		t.Errorf("data of another application: got %+v, want 500 bytes", got)
	}
	total, _ := c.nodes[0].core.Usage(h.upPeer)
	v.watch("TR_v", 640, 360)
	c.frames(60)
	c.must(c.nodes[0].core.EndRelay(c.now, h.upPeer, "room"))
	if _, known := c.nodes[0].core.RelayFigures(h.upPeer, "room"); known {
		t.Error("a room that has ended still has figures")
	}
	before := taken["app"].RelaySent
	take()
	if taken["app"].RelaySent <= before || total.RelaySent != before+500 {
		t.Errorf("what was sent before the room ended is lost: %d bytes, then %d (all %+v)", before, taken["app"].RelaySent, total)
	}
	c.nodes[0].core.RemovePeer(c.now, h.upPeer)
	take()
	if taken["app"].Client != 0 || taken[""].Client != 0 {
		t.Errorf("bytes of a trunk count as a client's: %+v", taken)
	}
}

// A track that another way leads to goes over to it with its viewers.
func TestRelay_changesTheWay(t *testing.T) {
	m := newMesh(t, 3, engine.Config{})
	cam := m.nodes[0].join(1).camera("TR_v")
	viewer := m.nodes[2].join(3)
	first := m.link(m.nodes[0], m.nodes[2])
	a := first.camera()
	b := m.link(m.nodes[0], m.nodes[1])
	b.camera()
	second := m.link(m.nodes[1], m.nodes[2])
	c := &chain{mesh: m, cam: cam}
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	c.frames(40)
	viewer.shows(2)
	first.cut = true
	a.want(nil)
	delete(first.tracks, "TR_v")
	second.camera() // publishes it anew
	c.frames(40)
	viewer.shows(2)
	if n := len(second.tracks["TR_v"].of(2)); n == 0 {
		t.Error("nothing came the other way")
	}
	// Its publisher comes here itself.
	delete(second.tracks, "TR_v")
	delete(b.tracks, "TR_v")
	home := m.nodes[2].join(9).camera("TR_v")
	home.ssrc = 3000
	c.cam = home
	viewer.rtp = nil
	c.frames(20)
	viewer.shows(2)
	// A node can't take a client's track away.
	err := m.nodes[2].core.Publish(m.now, first.downPeer, engine.TrackConfig{ID: "TR_v", Mid: "TR_v", Video: true, Room: "room", Layers: cameraSizes})
	if !errors.Is(err, engine.ErrTrackExists) {
		t.Errorf("a relay peer published a client's track: %v", err)
	}
}

// Streams that hold all sizes: a hop carries the layers that somebody behind it
// wants, and no hole remains of the others.
func TestRelay_scalableStreams(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		for _, key := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s KEY %v", codec.Mime, key), func(t *testing.T) {
				mode := svctest.Mode{Spatial: 3, Temporal: 2, Key: key}
				m := newMesh(t, 3, engine.Config{NoReplay: true})
				cam := m.nodes[0].join(1).scalable(codec, mode)
				cam.describes = codec == av1
				var sizes []engine.LayerSize
				for i := range mode.Spatial {
					w, h := mode.Size(i)
					sizes = append(sizes, engine.LayerSize{RID: string("qhf"[i]), Width: uint32(w), Height: uint32(h)})
				}
				var tracks []*onHop
				for i := range 2 {
					h := m.link(m.nodes[i], m.nodes[i+1])
					tracks = append(tracks, h.carry(engine.TrackConfig{ID: "TR_v", Video: true, Layers: sizes}, codec, 1))
				}
				near, far, mobile := m.nodes[1].join(2), m.nodes[2].join(3), m.nodes[2].join(4)
				cam.picture(true)
				near.look(codec, large)
				far.look(codec, medium)
				mobile.look(codec, small)
				cam.pictures(30)
				for _, track := range tracks {
					track.h.rtp = nil
				}
				near.rtp, far.rtp, mobile.rtp = nil, nil, nil
				cam.picture(true)
				cam.pictures(2)
				m.pass(100 * time.Millisecond)
				want := map[*client]string{near: "00 10 20 . | 01 11 21 . | 00 10 20 .", far: "00 10 . | 01 11 . | 00 10 .", mobile: "00 . | 01 . | 00 ."}
				if key {
					want = map[*client]string{near: "00 10 20 . | 21 . | 20 .", far: "00 10 . | 11 . | 10 .", mobile: "00 . | 01 . | 00 ."}
				}
				for v, w := range want {
					got := v.seen()
					if layersOf(got) != w {
						t.Errorf("viewer %d: got %s, want %s", v.id, layersOf(got), w)
					}
					follow(t, v.rtp)
				}
				cam.pictures(60) // long enough to ask for nothing by itself
				far.resize(large)
				cam.pictures(60)
				far.rtp = nil
				cam.pictures(2)
				m.pass(100 * time.Millisecond)
				if got, want := layersOf(far.seen()), want[near]; len(got) == 0 || !strings.Contains(got, "20 .") && !strings.Contains(got, "21 .") {
					t.Errorf("after it grew: got %s, want all layers as in %s", got, want)
				}
				far.resize(medium)
				cam.pictures(90)
				tracks[0].h.rtp, tracks[1].h.rtp = nil, nil
				cam.pictures(2)
				m.pass(100 * time.Millisecond)
				spatial := func(track *onHop) (top byte) {
					for _, p := range track.of(0) {
						top = max(top, p.Payload[len(p.Payload)-3])
					}
					return top
				}
				if a, b := spatial(tracks[0]), spatial(tracks[1]); a != 2 || b != 1 {
					t.Errorf("the hops carried spatial layers up to %d and %d, want 2 and 1", a, b)
				}
			})
		}
	}
}
