package transport_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

var sizes = []engine.LayerSize{
	{RID: "q", Width: 160, Height: 90}, {RID: "h", Width: 320, Height: 180}, {RID: "f", Width: 640, Height: 360},
}

// chain is three nodes in a row. The first has a publisher of a simulcast camera
// and a microphone; the second has two cores, of which one takes from the first
// node and the other, by a mirror, gives to the third. Viewers are on all.
type chain struct {
	*world
	publisher *browser
	layers    [3]*encoder
	voice     *encoder
	hops      []*hop
	viewers   []*browser
	codecs    []map[drtc.TrackID]engine.PayloadType // by node
	muted     bool
}

func newRelayChain(t reporter, seed uint64, net conditions, cfg engine.Config, packets int) *chain {
	c := &chain{world: newWorld(t, seed, net, cfg, 1, 2, 1)}
	for range 3 {
		c.codecs = append(c.codecs, map[drtc.TrackID]engine.PayloadType{camera: vp8, mic: opus})
	}
	c.publisher = c.join(0, gcm)
	c.must(c.cores[0].SetReceive(c.now, c.publisher.id, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8, h264}, Extensions: extensions, RIDs: []string{"q", "h", "f"}, Active: true},
		{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: extensions, Active: true},
	}))
	for l := range sizes {
		c.layers[l] = c.publisher.encode(encoder{
			track: 1, layer: uint8(l), mid: "v", rid: sizes[l].RID, codec: vp8, delta: max(packets*(l+1)/5, 1), large: packets * (l + 1),
		})
	}
	c.voice = c.publisher.encode(encoder{track: 2, mid: "a", codec: opus, delta: 1})
	c.must(c.cores[0].Publish(c.now, c.publisher.id, engine.TrackConfig{ID: camera, Mid: "v", Video: true, Layers: sizes}))
	c.must(c.cores[0].Publish(c.now, c.publisher.id, engine.TrackConfig{ID: mic, Mid: "a"}))
	c.hops = []*hop{c.link(c.cores[0], c.cores[1], 0), c.link(c.cores[2], c.cores[3], 1)}
	for _, h := range c.hops {
		h.publish(camera, 0, vp8, sizes)
		h.publish(mic, 0, repairedOpus, nil)
	}
	c.heard = func(core *seatOfCore, e engine.Event) {
		for _, h := range c.hops {
			h.told(core, e)
		}
		if live, is := e.(engine.TrackLive); is {
			c.agreeOn(core.node, live)
		}
	}
	c.every(frameInterval, func() {
		for _, e := range c.layers {
			e.next()
		}
	})
	c.every(20*time.Millisecond, c.voice.next)
	return c
}

// watch has a browser in a core subscribe to both tracks.
func (c *chain) watch(core int, width uint32) *browser {
	b := c.join(core, gcm)
	c.viewers = append(c.viewers, b)
	for _, track := range []drtc.TrackID{camera, mic} {
		v := b.view(track, track == camera, c.codecs[b.core.node][track])
		v.settings = engine.Settings{Width: width, Height: width * 9 / 16}
		c.must(b.core.Subscribe(c.now, b.id, engine.SubscribeConfig{Track: track, SSRC: v.ssrc, RTX: v.rtx, Settings: v.settings}))
		c.flush(b.core)
		c.agree(b)
	}
	return b
}

// agree negotiates the sections of a viewer.
func (c *chain) agree(b *browser) {
	var sections []engine.SendSection
	for i, v := range b.views {
		v.codec = c.codecs[b.core.node][v.track]
		if !v.ready {
			v.ready, v.agreed = true, c.now
		}
		sections = append(sections, engine.SendSection{
			Track: v.track, Mid: fmt.Sprint(i), Codec: v.codec, Active: true,
			Extensions: engine.ExtensionIDs{TransportCC: extensions.TransportCC},
		})
	}
	c.must(b.core.SetSend(c.now, b.id, sections))
	c.flush(b.core)
}

// agreeOn has the viewers of a node agree on the codec of a track.
func (c *chain) agreeOn(node int, live engine.TrackLive) {
	for _, codec := range []engine.PayloadType{vp8, h264} {
		if codec.Mime != live.Mime || c.codecs[node][live.Track] == codec {
			continue
		}
		c.codecs[node][live.Track] = codec
		c.after(50*time.Millisecond, func() {
			for _, b := range c.viewers {
				if b.core.node == node {
					c.agree(b)
				}
			}
		})
	}
}

func (c *chain) resize(b *browser, width uint32, disabled bool) {
	v := b.views[0]
	v.settings = engine.Settings{Width: width, Height: width * 9 / 16, Disabled: disabled}
	c.must(b.core.SetSettings(c.now, b.id, camera, v.settings))
	c.flush(b.core)
}

// sound holds the nodes to what must be true of all packets.
func (c *chain) sound() {
	c.t.Helper()
	failures, moves := uint64(0), 0
	for _, h := range c.hops {
		moves += h.up.moves
	}
	for _, k := range c.cores {
		n := k.Counters()
		failures += n.OpenFailures
		if n.SealFailures != 0 || n.Malformed != 0 || n.Unprotected != 0 || n.Unknown != 0 && moves == 0 {
			c.t.Fatalf("node %d core %d: %+v", k.node, k.id, n)
		}
	}
	for i, h := range c.hops { // each layer once
		for ssrc, all := range h.sent {
			seen := map[mark]bool{}
			for _, m := range all {
				if seen[m] {
					c.t.Fatalf("hop %d: %+v went twice on stream %d", i, m, ssrc)
				}
				seen[m] = true
			}
		}
	}
	if failures != c.duplicates {
		c.t.Fatalf("the nodes refused %d packets, want the %d duplicates", failures, c.duplicates)
	}
}

// Half a minute of a camera that is watched on three nodes over hops that lose
// packets, with changes of size, which change what crosses each hop.
func TestSimulation_chain(t *testing.T) {
	for _, test := range []struct {
		loss   float64
		recent int // of the 30 frames before the last half second
		freeze time.Duration
	}{
		{0, 30, 250 * time.Millisecond},
		{0.05, 28, time.Second},
		{0.15, 8, 6 * time.Second}, // four ways with 15 % each: it goes on
	} {
		t.Run(fmt.Sprintf("loss of %v %%", 100*test.loss), func(t *testing.T) {
			net := conditions{loss: test.loss, duplicate: 0.01, delay: 10 * time.Millisecond, jitter: 10 * time.Millisecond}
			c := newRelayChain(t, 1, net, engine.Config{}, 5)
			c.watch(0, 640)
			c.watch(2, 640)
			c.watch(3, 640)
			c.watch(3, 100)
			c.pass(20 * time.Second)
			c.resize(c.viewers[2], 320, false)
			c.pass(5 * time.Second)
			c.resize(c.viewers[2], 640, false)
			c.pass(5 * time.Second)
			c.sound()
			for _, b := range c.viewers {
				v := b.views[0]
				n := c.recent(v)
				t.Logf("browser %d on node %d: %d of the last 30 frames, longest freeze %v, %d PLI, %d asked for, %d sent again; audio %d",
					b.id, b.core.node, n, v.freeze.Round(time.Millisecond), v.requests, v.nacked, v.repaired, c.recent(b.views[1]))
				if n < test.recent {
					t.Errorf("browser %d: %d of the last 30 frames decoded, want %d", b.id, n, test.recent)
				}
				if v.freeze > test.freeze {
					t.Errorf("browser %d: nothing was shown for %v, want at most %v", b.id, v.freeze, test.freeze)
				}
			}
		})
	}
}

// recent counts the frames that decoded of the 30 that were encoded last but 15.
func (c *chain) recent(v *view) (n int) {
	e := c.layers[0]
	if v.track == mic {
		e = c.voice
	}
	for f := e.frame - 45; f < e.frame-15; f++ {
		if v.frames[f] {
			n++
		}
	}
	return n
}

// Numbers wrap at the publisher, on each hop and to the viewer, and all ciphers
// go on.
func TestSimulation_chainWraps(t *testing.T) {
	c := newRelayChain(t, 3, conditions{loss: 0.02, delay: 10 * time.Millisecond, jitter: 5 * time.Millisecond}, engine.Config{}, 60)
	b := c.watch(3, 640)
	c.pass(45 * time.Second)
	c.sound()
	for i, h := range c.hops {
		if n := len(h.sent[h.tracks[camera].ssrcs[2].SSRC]); n < 40_000 {
			t.Errorf("hop %d: %d packets of the highest layer, want enough to wrap", i, n)
		}
	}
	if v := b.views[0]; v.first>>16 == v.highest>>16 || c.now.Sub(v.lastDecode) > 500*time.Millisecond {
		t.Errorf("numbers %d to %d; nothing decoded for %v", v.first, v.highest, c.now.Sub(v.lastDecode))
	}
}

// Whatever the publisher, the viewers, the network and the trunks do (a thousand
// histories and more by -rapid.checks): every packet opens at the next node or
// viewer, no number is used twice on a hop, nothing comes twice as new; and once
// all is quiet, all viewers decode.
func TestSimulation_chainHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		net := conditions{
			loss:      rapid.SampledFrom([]float64{0, 0.05, 0.15}).Draw(r, "loss"),
			duplicate: rapid.SampledFrom([]float64{0, 0.02}).Draw(r, "duplicate"),
			delay:     10 * time.Millisecond,
			jitter:    rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond}).Draw(r, "jitter"),
		}
		c := newRelayChain(r, rapid.Uint64().Draw(r, "seed"), net, engine.Config{NoReplay: rapid.Bool().Draw(r, "no replay")}, 3)
		for _, core := range []int{0, 2, 3} {
			c.watch(core, 640)
		}
		for range rapid.IntRange(1, 12).Draw(r, "commands") {
			c.command(r)
			c.pass(time.Duration(rapid.IntRange(1, 900).Draw(r, "ms")) * time.Millisecond)
		}
		c.quiet()
		c.sound()
		for _, b := range c.viewers {
			for _, v := range b.views {
				if n := c.recent(v); n < 30 {
					r.Fatalf("browser %d on node %d, %s: in the end %d of 30 frames decoded: %+v", b.id, b.core.node, v.track, n, v.last)
				}
			}
		}
	})
}

// command does one thing to the chain.
func (c *chain) command(r *rapid.T) {
	b := c.viewers[rapid.IntRange(0, len(c.viewers)-1).Draw(r, "viewer")]
	v := b.views[0]
	h := c.hops[rapid.IntRange(0, 1).Draw(r, "hop")]
	switch rapid.SampledFrom([]string{
		"pass", "size", "off", "mute", "replace", "codec", "suspend", "layer", "padding", "PLI", "cut", "move", "again",
	}).Draw(r, "command") {
	case "size":
		c.resize(b, rapid.SampledFrom([]uint32{100, 320, 640}).Draw(r, "width"), false)
	case "off":
		c.resize(b, v.settings.Width, !v.settings.Disabled)
	case "mute":
		c.mute(!c.muted)
	case "replace":
		for _, e := range c.layers {
			e.replace()
		}
	case "codec":
		to := vp8
		if c.layers[0].codec == vp8 {
			to = h264
		}
		for _, e := range c.layers {
			e.codec, e.key = to, true
		}
	case "suspend":
		for _, v := range b.views {
			v.ready = false
		}
		c.must(b.core.SetSend(c.now, b.id, nil))
		c.flush(b.core)
		c.after(time.Duration(rapid.IntRange(1, 400).Draw(r, "for")*int(time.Millisecond)), func() { c.agree(b) })
	case "layer":
		e := c.layers[rapid.IntRange(0, 2).Draw(r, "layer")]
		e.off, e.key = !e.off, true
	case "padding":
		for _, e := range c.layers {
			e.padding()
		}
	case "PLI":
		v.asked = c.now
		v.sendRTCP(&rtcp.PictureLossIndication{SenderSSRC: b.ssrc, MediaSSRC: v.ssrc})
	case "cut":
		h.cut = true
		c.after(time.Duration(rapid.IntRange(10, 2500).Draw(r, "for")*int(time.Millisecond)), func() { h.cut = false })
	case "move":
		h.up.move()
	case "again": // with other SSRCs
		c.must(b.core.Unsubscribe(c.now, b.id, v.track))
		v.renew()
		c.must(b.core.Subscribe(c.now, b.id, engine.SubscribeConfig{Track: v.track, SSRC: v.ssrc, RTX: v.rtx, Settings: v.settings}))
		c.flush(b.core)
		c.agree(b)
	}
}

func (c *chain) mute(on bool) {
	c.muted = on
	c.must(c.cores[0].MuteTrack(c.now, camera, on))
	c.flush(c.cores[0])
}

// quiet ends all that disturbs, and lets all recover.
func (c *chain) quiet() {
	c.net.loss = 0
	c.mute(false)
	for _, e := range c.layers {
		e.off = false
	}
	for _, h := range c.hops {
		h.cut = false
	}
	for _, b := range c.viewers {
		c.resize(b, 640, false)
	}
	c.pass(5 * time.Second)
}
