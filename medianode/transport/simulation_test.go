package transport_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

const (
	camera = drtc.TrackID("TR_camera")
	mic    = drtc.TrackID("TR_mic")
	screen = drtc.TrackID("TR_screen")
	seatID = drtc.TrackID("video-0")
)

// call is a room with a publisher of a simulcast camera and a microphone in one
// core, one of a screen in the other, and viewers in both.
type call struct {
	*world
	publisher, presenter *browser
	layers               [3]*encoder
	voice, shared        *encoder
	viewers              []*browser
	homes                map[drtc.TrackID]engine.CoreID
	codecs               map[drtc.TrackID]engine.PayloadType
	seats                map[*view]drtc.TrackID // what each seat shows
	muted                bool
}

const (
	gcm  = srtp.ProtectionProfileAeadAes128Gcm
	sha1 = srtp.ProtectionProfileAes128CmHmacSha1_80
)

// newCall is one whose highest layer has as many packets in a frame.
func newCall(t reporter, seed uint64, net conditions, cfg engine.Config, packets int) *call {
	c := &call{
		world: newWorld(t, seed, net, cfg, 2), seats: map[*view]drtc.TrackID{},
		homes:  map[drtc.TrackID]engine.CoreID{camera: 0, mic: 0, screen: 1},
		codecs: map[drtc.TrackID]engine.PayloadType{camera: vp8, mic: opus, screen: h264},
	}
	c.live = c.agreeOn
	c.publisher, c.presenter = c.join(0, gcm), c.join(1, sha1)
	c.receive()
	for l, rid := range []string{"q", "h", "f"} {
		c.layers[l] = c.publisher.encode(encoder{
			track: 1, layer: uint8(l), mid: "v", rid: rid, codec: vp8, delta: max(packets*(l+1)/5, 1), large: packets * (l + 1),
		})
	}
	c.layers[2].delta = packets
	c.voice = c.publisher.encode(encoder{track: 2, mid: "a", codec: opus, delta: 1})
	c.shared = c.presenter.encode(encoder{track: 3, mid: "v", codec: h264, delta: 3, large: 12})
	c.must(c.cores[0].Publish(c.now, c.publisher.id, engine.TrackConfig{ID: camera, Mid: "v", Video: true, Layers: []engine.LayerSize{
		{RID: "q", Width: 160, Height: 90}, {RID: "h", Width: 320, Height: 180}, {RID: "f", Width: 640, Height: 360},
	}}))
	c.must(c.cores[0].Publish(c.now, c.publisher.id, engine.TrackConfig{ID: mic, Mid: "a"}))
	c.must(c.cores[1].Publish(c.now, c.presenter.id, engine.TrackConfig{ID: screen, Mid: "v", Video: true}))
	// They watch each other, so that the node knows its round trip to them.
	c.see(c.publisher, screen, 640)
	c.see(c.presenter, mic, 0)
	c.every(frameInterval, func() {
		for _, e := range c.layers {
			e.next()
		}
		c.shared.next()
	})
	c.every(20*time.Millisecond, c.voice.next)
	return c
}

// receive negotiates the publishers' sections.
func (c *call) receive() {
	c.must(c.cores[0].SetReceive(c.now, c.publisher.id, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8, h264}, Extensions: extensions, RIDs: []string{"q", "h", "f"}, Active: true},
		{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: extensions, Active: true},
	}))
	c.must(c.cores[1].SetReceive(c.now, c.presenter.id, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8, h264}, Extensions: extensions, Active: true},
	}))
}

// watch has a browser in a core subscribe to all tracks.
func (c *call) watch(core int, profile srtp.ProtectionProfile, width uint32) *browser {
	b := c.join(core, profile)
	c.viewers = append(c.viewers, b)
	for _, track := range []drtc.TrackID{camera, mic, screen} {
		c.see(b, track, width)
	}
	return b
}

// see has a browser subscribe to a track.
func (c *call) see(b *browser, track drtc.TrackID, width uint32) {
	v := b.view(track, track != mic, c.codecs[track])
	v.settings = engine.Settings{Width: width, Height: width * 9 / 16}
	c.subscribe(v)
	c.agree(b)
}

// sit gives a viewer a seat.
func (c *call) sit(b *browser) {
	v := b.view(seatID, true, vp8)
	c.must(b.core.OpenSeat(c.now, b.id, engine.SeatConfig{ID: seatID, Video: true, SSRC: v.ssrc, RTX: v.rtx}))
	c.agree(b)
	c.show(v, camera)
}

// show sets what a seat shows.
func (c *call) show(v *view, track drtc.TrackID) {
	c.seats[v], v.codec = track, c.codecs[track]
	c.must(v.core.SetSource(c.now, v.id, seatID, track, c.homes[track], v.codec))
	c.flush(v.core)
}

func (c *call) subscribe(v *view) {
	c.must(v.core.Subscribe(c.now, v.id, engine.SubscribeConfig{
		Track: v.track, Home: c.homes[v.track], SSRC: v.ssrc, RTX: v.rtx, Settings: v.settings,
	}))
	c.flush(v.core)
}

// agree negotiates the sections of a viewer.
func (c *call) agree(b *browser) {
	var sections []engine.SendSection
	for i, v := range b.views {
		if v.track != seatID { // a seat goes on in the format of its source
			v.codec = c.codecs[v.track]
		}
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

// agreeOn has all viewers agree on the codec that a track has from now on.
func (c *call) agreeOn(live engine.TrackLive) {
	codec := vp8
	switch live.Mime {
	case h264.Mime:
		codec = h264
	case opus.Mime:
		codec = opus
	}
	if codec == c.codecs[live.Track] {
		return
	}
	c.codecs[live.Track] = codec
	c.after(50*time.Millisecond, func() {
		for _, b := range c.viewers {
			c.agree(b)
			for _, v := range b.views {
				if c.seats[v] == live.Track {
					c.show(v, live.Track)
				}
			}
		}
	})
}

// sound holds the node to what must be true of all packets.
func (c *call) sound() {
	c.t.Helper()
	failures := uint64(0)
	for _, k := range c.cores {
		n := k.Counters()
		failures += n.OpenFailures
		if n.SealFailures != 0 || n.Malformed != 0 || n.Unprotected != 0 {
			c.t.Fatalf("core %d: %+v", k.id, n)
		}
	}
	if failures != c.duplicates {
		c.t.Fatalf("the node refused %d packets, want the %d duplicates", failures, c.duplicates)
	}
}

// share is how many of the video frames decoded that were encoded since the first that was decoded, up to
// half a second ago.
func (c *call) share(v *view) float64 {
	now := c.shared.frame
	first, last, n := now, now-15, 0
	for f := range v.frames {
		first = min(first, f)
	}
	for f := range v.frames {
		if f <= last {
			n++
		}
	}
	return float64(n) / float64(last-first+1)
}

// suspend has the node hold all that it sends to a viewer, as a description does
// that makes its sections inactive.
func (c *call) suspend(b *browser) {
	for _, v := range b.views {
		v.ready = false
	}
	c.must(b.core.SetSend(c.now, b.id, nil))
	c.flush(b.core)
}

// figures are what a viewer of a call saw of a track.
type figures struct {
	share           float64 // of the frames that decoded
	freeze          time.Duration
	keyFrames       int // requests for key frames
	asked, repaired int // packets
}

// watched lists the figures of all viewers' video.
func (c *call) watched() (all []figures) {
	for _, b := range c.viewers {
		for _, v := range b.views {
			if v.video {
				f := figures{c.share(v), v.freeze, v.requests, v.nacked, v.repaired}
				c.t.Logf("browser %d, %s: %.2f %% of the frames, longest freeze %v, %d PLI, %d packets asked for, %d sent again",
					b.id, v.track, 100*f.share, f.freeze.Round(time.Millisecond), f.keyFrames, f.asked, f.repaired)
				all = append(all, f)
			}
		}
	}
	return all
}

// A minute in which one viewer in each core looks at the highest layer, then at
// the lowest and back again.
func TestSimulation_aMinute(t *testing.T) {
	for _, test := range []struct {
		loss, share float64
		freeze      time.Duration
	}{
		{0, 1, 100 * time.Millisecond},
		{0.05, 0.97, 500 * time.Millisecond},
		{0.15, 0.6, 5 * time.Second}, // far from watchable, but it goes on
	} {
		t.Run(fmt.Sprintf("loss of %v %%", 100*test.loss), func(t *testing.T) {
			net := conditions{loss: test.loss, duplicate: 0.01, delay: 10 * time.Millisecond, jitter: 30 * time.Millisecond}
			c := newCall(t, 1, net, engine.Config{}, 5)
			c.watch(0, gcm, 640)
			c.watch(1, sha1, 640)
			c.pass(40 * time.Second)
			for _, width := range []uint32{100, 640} {
				if test.loss > 0 { // a switch leaves behind what was overtaken
					c.resize(width)
				}
				c.pass(10 * time.Second)
			}
			c.sound()
			for _, f := range c.watched() {
				if f.share < test.share {
					t.Errorf("%.4f of the frames decoded, want %v", f.share, test.share)
				}
				if f.freeze > test.freeze {
					t.Errorf("nothing was shown for %v, want at most %v", f.freeze, test.freeze)
				}
			}
		})
	}
}

// resize has all viewers look at the camera in another size.
func (c *call) resize(width uint32) {
	for _, b := range c.viewers {
		v := b.views[0]
		v.settings.Width, v.settings.Height = width, width*9/16
		c.set(v)
	}
}

// The numbers that the node gives wrap too, and both ciphers go on.
func TestSimulation_numbersWrap(t *testing.T) {
	net := conditions{loss: 0.05, duplicate: 0.01, delay: 10 * time.Millisecond, jitter: 30 * time.Millisecond}
	c := newCall(t, 1, net, engine.Config{}, 40)
	c.watch(0, gcm, 640)
	c.watch(1, sha1, 640)
	c.pass(30 * time.Second)
	c.sound()
	c.watched()
	for _, b := range c.viewers {
		v := b.views[0]
		if v.first>>16 == v.highest>>16 {
			t.Errorf("browser %d: numbers %d to %d, want them to wrap", b.id, v.first, v.highest)
		}
		if d := c.now.Sub(v.lastDecode); d > 500*time.Millisecond {
			t.Errorf("browser %d: nothing decoded for %v after the wrap", b.id, d)
		}
	}
}

// Whatever the publishers, the viewers and the network do (a thousand histories and
// more by -rapid.checks): every packet of the
// node opens at the other side, nothing comes twice as new, no frame seems to
// build on one that it does not build on; and once all is quiet, all decode.
func TestSimulation_longHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		net := conditions{
			loss:      rapid.SampledFrom([]float64{0, 0.05, 0.15}).Draw(r, "loss"),
			duplicate: rapid.SampledFrom([]float64{0, 0.02}).Draw(r, "duplicate"),
			delay:     10 * time.Millisecond,
			jitter:    rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond}).Draw(r, "jitter"),
		}
		c := newCall(r, rapid.Uint64().Draw(r, "seed"), net, engine.Config{NoReplay: rapid.Bool().Draw(r, "no replay")}, 3)
		c.watch(0, gcm, 640)
		c.sit(c.watch(1, sha1, 320))
		for range rapid.IntRange(1, 12).Draw(r, "commands") {
			c.command(r)
			c.pass(time.Duration(rapid.IntRange(1, 600).Draw(r, "ms")) * time.Millisecond)
		}
		c.quiet()
		c.sound()
		for _, b := range c.viewers {
			for _, v := range b.views {
				if n := c.recent(v); n < 30 {
					r.Fatalf("browser %d, %s: in the end %d of 30 frames decoded: %+v", b.id, v.track, n, v.last)
				}
			}
		}
	})
}

// command does one thing to the call.
func (c *call) command(r *rapid.T) {
	b := c.viewers[rapid.IntRange(0, 1).Draw(r, "viewer")]
	v := b.views[rapid.IntRange(0, 2).Draw(r, "track")]
	switch rapid.SampledFrom([]string{
		"pass", "size", "off", "mute", "replace", "codec", "agree", "suspend", "layer", "padding", "again", "seat", "PLI",
	}).Draw(r, "command") {
	case "size":
		v.settings.Width = rapid.SampledFrom([]uint32{100, 320, 640}).Draw(r, "width")
		v.settings.Height, v.settings.Disabled = v.settings.Width*9/16, false
		c.set(v)
	case "off":
		v.settings.Disabled = !v.settings.Disabled
		c.set(v)
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
	case "agree":
		c.receive()
		c.agree(b)
	case "suspend":
		c.suspend(b)
		c.after(time.Duration(rapid.IntRange(1, 400).Draw(r, "for")*int(time.Millisecond)), func() { c.agree(b) })
	case "layer":
		e := c.layers[rapid.IntRange(0, 2).Draw(r, "layer")]
		e.off, e.key = !e.off, true
	case "padding":
		for _, e := range c.layers {
			e.padding()
		}
	case "again": // with other SSRCs
		c.must(b.core.Unsubscribe(c.now, b.id, v.track))
		v.renew()
		c.subscribe(v)
		c.agree(b)
	case "seat":
		for v := range c.seats {
			c.show(v, rapid.SampledFrom([]drtc.TrackID{camera, screen}).Draw(r, "source"))
		}
	case "PLI":
		v.asked = c.now
		v.sendRTCP(&rtcp.PictureLossIndication{SenderSSRC: b.ssrc, MediaSSRC: v.ssrc})
	}
}

func (c *call) set(v *view) {
	c.must(v.core.SetSettings(c.now, v.id, v.track, v.settings))
	c.flush(v.core)
}

func (c *call) mute(on bool) {
	c.muted = on
	c.must(c.cores[0].MuteTrack(c.now, camera, on))
	c.flush(c.cores[0])
}

// quiet ends all that disturbs, and lets all views recover.
func (c *call) quiet() {
	c.net.loss = 0
	c.mute(false)
	for _, e := range c.layers {
		e.off = false
	}
	for _, b := range c.viewers {
		for _, v := range b.views[:3] {
			v.settings.Disabled = false
			c.set(v)
		}
	}
	c.pass(3 * time.Second)
}

// recent counts the frames that decoded of the 30 that were encoded last but 15.
func (c *call) recent(v *view) (n int) {
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
