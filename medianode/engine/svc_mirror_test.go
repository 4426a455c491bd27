package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// A viewer in another core gets its layers of a scalable stream, and what it wants
// counts at the publisher.
func TestMirror_eachViewerGetsItsLayers(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		for _, describes := range []bool{false, true} {
			x := newNode(t, 2)
			cam := x.cores[0].join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 2})
			cam.describes = describes
			near, far, other := x.cores[0].join(2), x.cores[1].join(3), x.cores[1].join(4)
			near.look(codec, small)
			far.look(codec, medium)
			other.look(codec, engine.Settings{MaxLayer: 1, MaxTemporal: 1})
			x.settle()
			cam.picture(true)
			pictures := func(n int) {
				cam.pictures(n)
				for _, c := range []*client{cam.client, near, far, other} {
					c.check(true)
				}
			}
			pictures(100)
			for _, c := range []*client{near, far, other} {
				c.rtp = nil
			}
			pictures(4)
			for i, want := range []string{"01 . | 00 . | 01 . | 00 .", "01 11 . | 00 10 . | 01 11 . | 00 10 .", "00 . | 00 ."} {
				c := []*client{near, far, other}[i]
				if got := layersOf(c.seen()); got != want {
					t.Errorf("%s, described %v, viewer %d: got %s, want %s", codec.Mime, describes, c.id, got, want)
				}
				follow(t, c.rtp)
			}
			for _, step := range []struct {
				settings engine.Settings
				want     []int
			}{{large, []int{0, 1, 2}}, {small, []int{0}}, {medium, []int{0, 1}}} {
				far.resize(step.settings)
				pictures(100)
				if e, _ := last[engine.LayerDemand](x.cores[0]); !slices.Equal(e.Layers, step.want) {
					t.Errorf("%s: got demand %v for %+v in another core, want %v", codec.Mime, e.Layers, step.settings, step.want)
				}
			}
			other.resize(engine.Settings{Disabled: true})
			far.resize(large)
			x.cores[0].must(x.cores[0].core.SetPublisherLayers(x.now, "TR_v", []int{0, 1}))
			pictures(100)
			far.rtp = nil
			pictures(2)
			if got, want := layersOf(far.seen()), "01 11 . | 00 10 ."; got != want && got != "00 10 . | 01 11 ." {
				t.Errorf("%s: the publisher allows two: got %s, want %s", codec.Mime, got, want)
			}
		}
	}
}

// replace lets a camera begin anew with another SSRC, the first time with numbers
// that are behind, as 15 and 16 bits can tell, those of before.
func (c *scalable) replace() {
	if c.ssrc == 1000 {
		c.stream.Skip(40000, 20000)
	}
	c.ssrc, c.seq = c.ssrc+10, c.seq+3000
	c.section()
	c.picture(true)
}

// What a viewer in another core is shown of a scalable stream is as whole as what
// a viewer in the home core is, and once all is quiet it is the same.
func TestMirror_showsWhatTheHomeShowsOfAScalableStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := newNodeOf(t, 2, engine.Config{NoReplay: rapid.Bool().Draw(rt, "no replay")})
		longest := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 20 * time.Millisecond}).Draw(rt, "delay")
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(rt, "delays")))
		x.delay = func() time.Duration { return time.Duration(random.Int64N(int64(longest) + 1)) }
		codec, mode := rapid.SampledFrom([]engine.PayloadType{av1, vp9}).Draw(rt, "codec"), anyMode(rt)
		cam := x.cores[0].join(1).scalable(codec, mode)
		cam.describes = rapid.Bool().Draw(rt, "describes")
		near, far := x.cores[0].join(2), x.cores[1].join(3)
		s := &scene{rt: rt, n: x.cores[0], cam: cam, viewers: []*client{near, far}}
		size := anySettings.Draw(rt, "first settings")
		each := func(do func(*client)) {
			for _, v := range s.viewers {
				do(v)
			}
			x.cores[0].flush()
			x.cores[1].flush()
		}
		each(func(v *client) { v.look(codec, size) })
		s.picture()
		muted, full := false, false
		for range rapid.IntRange(1, 60).Draw(rt, "commands") {
			s.alive()
			switch rapid.SampledFrom([]string{
				"pictures", "pictures", "pictures", "size", "off", "mute", "replace", "full", "PLI", "again", "pause",
			}).Draw(rt, "command") {
			case "pictures":
				for range rapid.IntRange(1, 20).Draw(rt, "pictures") {
					s.picture()
				}
			case "size":
				size = anySettings.Draw(rt, "settings")
				each(func(v *client) { v.resize(size) })
			case "off":
				size.Disabled = !size.Disabled
				each(func(v *client) { v.resize(size) })
			case "mute":
				muted = !muted
				s.n.must(s.n.core.MuteTrack(x.now, "TR_v", muted))
			case "replace":
				cam.replace()
			case "full":
				if full = !full; full {
					x.slots = 0
				} else {
					x.slots = 64
				}
			case "PLI":
				each(func(v *client) { v.control(&rtcp.PictureLossIndication{MediaSSRC: 5000 + 2*uint32(v.id)}) })
			case "again": // as new viewers
				size.Disabled = false
				each(func(v *client) {
					v.n.must(v.n.core.Unsubscribe(x.now, v.id, "TR_v"))
					s.receiver().check(v.seen(), 0)
					v.rtp = nil
					v.look(codec, size)
				})
			case "pause":
				x.pass(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			}
		}
		// All is quiet.
		s.alive()
		x.slots, size.Disabled = 64, false
		s.n.must(s.n.core.MuteTrack(x.now, "TR_v", false))
		each(func(v *client) { v.resize(size) })
		cam.pictures(110)
		x.pass(20 * time.Millisecond)
		each(func(v *client) { s.receiver().check(v.seen(), 0) })
		if len(near.rtp) < 20 || len(far.rtp) < 20 {
			rt.Fatalf("got %d packets in the home core and %d in the other", len(near.rtp), len(far.rtp))
		}
		a, b := near.seen(), far.seen()
		a, b = a[len(a)-20:], b[len(b)-20:]
		for i := range a {
			if a[i].number != b[i].number || a[i].part != b[i].part || a[i].Marker != b[i].Marker {
				rt.Fatalf("in the end: got %s, want %s", layersOf(b), layersOf(a))
			}
		}
		top := highestWanted(mode, size)
		if highest := slices.MaxFunc(b, func(p, q seen) int { return p.s - q.s }).s; highest != top {
			rt.Fatalf("in the end: got layer %d of %+v, want %d", highest, size, top)
		}
		want := []int{0, 1, 2}[:top+1]
		if e, _ := last[engine.LayerDemand](s.n); fmt.Sprint(e.Layers) != fmt.Sprint(want) {
			rt.Fatalf("in the end: got demand %v, want %v", e.Layers, want)
		}
	})
}
