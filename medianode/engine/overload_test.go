package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
)

// crowd is a camera of three layers, of which each has twice the packets of the
// one below, a microphone, and viewers behind a machine that can send so many
// packets for each frame.
type crowd struct {
	*network
	cam      *camera
	viewers  []*client
	capacity float64
	backlog  float64
	audioSeq uint16
	checked  int64
}

func newCrowd(t testing.TB, viewers int) *crowd {
	n := newNetwork(t)
	c := &crowd{network: n, cam: n.join(1).camera("TR_v"), capacity: 1e6}
	n.must(n.core.Publish(n.now, 1, engine.TrackConfig{ID: "TR_a", Mid: "a"}))
	for i := range viewers {
		c.viewers = append(c.viewers, n.join(engine.PeerID(2+i)))
	}
	c.frames(2)
	for _, v := range c.viewers {
		v.watch("TR_v", 640, 360)
		n.must(n.core.Subscribe(n.now, v.id, engine.SubscribeConfig{Track: "TR_a", SSRC: 6000, RTX: 6001}))
		n.must(n.core.SetSend(n.now, v.id, []engine.SendSection{
			{Track: "TR_v", Mid: "0", Codec: vp8, Active: true}, {Track: "TR_a", Mid: "1", Codec: opus, Active: true},
		}))
	}
	c.frames(90)
	return c
}

// alive lets every client check its connection, about once a second.
func (c *crowd) alive() {
	if second := c.now.Unix(); second != c.checked {
		c.checked = second
		for _, p := range c.peers {
			p.check(true)
		}
	}
}

// frames sends a frame on every layer and an audio packet so often, each frame a
// key frame, and lets the machine keep up or not.
func (c *crowd) frames(count int) {
	for range count {
		before := c.sent()
		for l := range 3 {
			for i := range 2 << l {
				c.cam.packet(l, i == 0, i == 2<<l-1, true)
			}
		}
		c.audioSeq++
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: opus.Number, SequenceNumber: c.audioSeq, SSRC: 77}, Payload: []byte{1, 2, 0}}
		c.must(p.SetExtension(extMid, []byte("a")))
		c.cam.send(p)
		c.pass(33 * time.Millisecond)
		c.alive()
		c.backlog = max(c.backlog+float64(c.sent()-before)-c.capacity, 0)
		c.core.ObserveLag(c.now, time.Duration(c.backlog/c.capacity*float64(33*time.Millisecond)))
	}
}

func (c *crowd) sent() (n int) {
	for _, v := range c.viewers {
		n += len(v.rtp)
	}
	return n
}

// share is what each viewer gets: of the audio packets of the next frames, and
// of those of video the highest layer that comes, 0 for none.
func (c *crowd) share(frames int) (audio []int, layers []int) {
	for _, v := range c.viewers {
		v.rtp = nil
	}
	c.frames(frames)
	for _, v := range c.viewers {
		a, highest := 0, 0
		for _, p := range v.rtp {
			if p.SSRC == 6000 {
				a++
			} else {
				highest = max(highest, int(p.Payload[2])+1)
			}
		}
		audio, layers = append(audio, a), append(layers, highest)
	}
	return audio, layers
}

func TestCore_overloadTakesVideoByPriorityAndNeverAudio(t *testing.T) {
	c := newCrowd(t, 6)
	for i, priority := range []uint32{5, 1, 1, 9, 0, 5} {
		c.must(c.core.SetSettings(c.now, c.viewers[i].id, "TR_v", engine.Settings{Width: 640, Height: 360, Priority: priority}))
	}
	c.frames(5)
	if audio, layers := c.share(30); slices.Min(audio) < 30 || slices.Min(layers) < 3 {
		t.Fatalf("without overload: got %v of 30 audio packets and layers %v, want all", audio, layers)
	}
	c.capacity = 30 // of 6 viewers times 9 packets
	c.frames(600)
	e, _ := last[engine.Overload](c.network)
	if e.Ratio < 0.3 || e.Ratio > 0.95 || e.Paused+e.Lowered == 0 {
		t.Errorf("got %+v, want about half of the video left out", e)
	}
	audio, layers := c.share(15)
	if slices.Min(audio) < 15 {
		t.Errorf("got %v of 15 audio packets, want all", audio)
	}
	if layers[3] != 3 {
		t.Errorf("the viewer with the highest priority gets layer %d, want the highest", layers[3])
	}
	order := []int{3, 0, 5, 1, 2, 4} // by priority, then by who came first
	for i := range order[1:] {
		if layers[order[i]] < layers[order[i+1]] {
			t.Errorf("layers %v: viewer %d has less than viewer %d, want the order %v", layers, order[i], order[i+1], order)
		}
	}
	c.capacity = 1e6
	c.frames(10 * 30)
	if e, _ := last[engine.Overload](c.network); e != (engine.Overload{}) {
		t.Errorf("10 s after the overload: got %+v, want none", e)
	}
	if audio, layers := c.share(30); slices.Min(audio) < 30 || slices.Min(layers) < 3 {
		t.Errorf("after it: got %v of 30 audio packets and layers %v, want all", audio, layers)
	}
}

// A viewer goes down in layers before any of its priority is paused.
func TestCore_overloadLowersBeforeItPauses(t *testing.T) {
	c := newCrowd(t, 8)
	c.capacity = 50 // 8 audio packets, and 42 where 64 are wanted and 16 are the least
	c.frames(600)
	for range 10 {
		if _, layers := c.share(9); slices.Min(layers) == 0 {
			t.Errorf("layers %v: somebody gets nothing, want everybody something", layers)
		}
	}
	e, _ := last[engine.Overload](c.network)
	if e.Lowered == 0 || e.Paused > 0 {
		t.Errorf("got %+v, want some on lower layers and none paused", e)
	}
}

// One that was paused begins again with a key frame, without a hole, and asks
// for nothing in the meantime.
func TestCore_overloadResumesWithAKeyFrame(t *testing.T) {
	c := newCrowd(t, 1)
	v := c.viewers[0]
	lag := 100 * time.Millisecond
	for range 30 {
		lag += 200 * time.Millisecond
		c.cam.packet(2, false, true, true)
		c.pass(200 * time.Millisecond)
		c.alive()
		c.core.ObserveLag(c.now, lag)
	}
	if e, _ := last[engine.Overload](c.network); e.Ratio != 1 || e.Paused != 1 {
		t.Fatalf("got %+v, want all paused", e)
	}
	highest := v.rtp[len(v.rtp)-1].SequenceNumber
	v.rtp = nil
	c.cam.rtcp = nil
	for range 20 {
		c.cam.packet(2, false, true, true)
		v.control(&rtcp.PictureLossIndication{MediaSSRC: 5000})
		c.pass(20 * time.Millisecond)
	}
	if len(v.rtp) != 0 || count[*rtcp.PictureLossIndication](c.cam.client) != 0 {
		t.Errorf("while paused: got %d packets and %d key frame requests, want none", len(v.rtp), count[*rtcp.PictureLossIndication](c.cam.client))
	}
	for range 400 {
		c.core.ObserveLag(c.now, 0)
		c.cam.packet(2, false, true, true)
		c.pass(25 * time.Millisecond)
		c.alive()
	}
	if len(v.rtp) != 0 || count[*rtcp.PictureLossIndication](c.cam.client) == 0 {
		t.Fatalf("resumed: got %d packets before a key frame and %d requests for one", len(v.rtp), count[*rtcp.PictureLossIndication](c.cam.client))
	}
	c.cam.packet(2, true, false, true)
	c.pass(2 * time.Millisecond)
	if len(v.rtp) != 1 || v.rtp[0].SequenceNumber != highest+1 {
		t.Errorf("got %d packets, want the key frame right behind %d", len(v.rtp), highest)
	}
}

// The demand of the viewers is not what they get: a publisher that stopped a
// layer for an overload would have to start it again after.
func TestCore_overloadLeavesTheDemand(t *testing.T) {
	c := newCrowd(t, 4)
	before, _ := last[engine.LayerDemand](c.network)
	c.capacity = 12
	c.frames(400)
	if e, _ := last[engine.Overload](c.network); e.Ratio == 0 {
		t.Fatal("no overload")
	}
	if after, _ := last[engine.LayerDemand](c.network); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got %v, want %v as before", after, before)
	}
}

func TestCore_marksVideoAsTheFirstToDrop(t *testing.T) {
	c := newCrowd(t, 1)
	seen := map[bool]int{}
	c.batch.Send = func([]engine.Datagram) {}
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: opus.Number, SequenceNumber: 5000, SSRC: 77}, Payload: []byte{1, 2, 0}}
	for _, video := range []bool{false, true} {
		if video {
			p = &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SequenceNumber: c.cam.seq[2], SSRC: 1002, Timestamp: uint32(c.now.UnixMilli() * 90), Marker: true}, Payload: []byte{0x10, 1, 2, 0, 0}}
		}
		raw, _ := p.Marshal()
		sealed, _ := c.cam.keys.SealRTP(nil, raw)
		c.core.HandleDatagram(c.now, c.cam.addr, sealed, &c.batch)
		for _, d := range c.batch.Datagrams() {
			seen[d.Video]++
			if d.Video != video {
				t.Errorf("got Video %v of a datagram of stream %d, want %v", d.Video, d.Stream, video)
			}
		}
		c.batch.Reset()
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("got %v, want datagrams of both kinds", seen)
	}
}
