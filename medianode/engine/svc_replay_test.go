package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// Who comes in the middle of a scalable stream is shown its layers of the
// pictures since the key picture, and nothing of the others.
func TestReplay_eachNewViewerGetsItsLayers(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		for _, describes := range []bool{false, true} {
			for _, key := range []bool{false, true} {
				n := newNetwork(t)
				cam := n.join(1).scalable(codec, svctest.Mode{Spatial: 3, Temporal: 2, Key: key})
				cam.describes = describes
				cam.picture(true)
				cam.picture(false)
				viewers := []*client{n.join(2), n.join(3), n.join(4)}
				for i, settings := range []engine.Settings{small, medium, large} {
					viewers[i].look(codec, settings)
				}
				n.pass(20 * time.Millisecond)
				cam.picture(false)
				want := []string{"00 . | 01 . | 00 .", "00 10 . | 01 11 . | 00 10 .", "00 10 20 . | 01 11 21 . | 00 10 20 ."}
				if key {
					want = []string{"00 . | 01 . | 00 .", "00 10 . | 11 . | 10 .", "00 10 20 . | 21 . | 20 ."}
				}
				for i, v := range viewers {
					got := v.seen()
					if layersOf(got) != want[i] {
						t.Errorf("%s, described %v, KEY %v, viewer %d: got %s, want %s", codec.Mime, describes, key, i, layersOf(got), want[i])
					}
					for j, p := range got {
						if p.SequenceNumber != got[0].SequenceNumber+uint16(j) {
							t.Errorf("%s: viewer %d: a hole before packet %d", codec.Mime, i, j)
						}
					}
				}
				if got := cam.keys + count[*rtcp.PictureLossIndication](cam.client); got != 0 {
					t.Errorf("%s: the publisher was asked for %d key pictures, want none", codec.Mime, got)
				}
			}
		}
	}
}

// What a viewer does not get is not counted against the pace at which it gets the
// rest.
func TestReplay_onlyWhatLeavesIsPaced(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).scalable(vp9, svctest.Mode{Spatial: 3, Temporal: 1, Key: true})
	for i := range 8 { // 48 packets, of which the lowest layer has 16
		for _, p := range cam.packets(i == 0, 3) {
			cam.send(p)
		}
		n.pass(time.Millisecond)
	}
	v, w := n.join(2), n.join(3)
	v.look(vp9, small)
	w.look(vp9, large)
	n.pass(0)
	if got := len(v.rtp); got != 16 {
		t.Errorf("got %d packets of the lowest layer at once, want all 16", got)
	}
	if got := len(w.rtp); got != 16 {
		t.Errorf("got %d packets of the highest layer at once, want the first 16", got)
	}
}

// scene is a random course of a call between a camera that sends all its sizes
// in one stream and its viewers.
type scene struct {
	rt       *rapid.T
	n        *network
	cam      *scalable
	viewers  []*client
	settings map[engine.PeerID]engine.Settings
	lossy    bool
	lost     map[int]bool // frames of which a packet did not come in time
	late     []*rtp.Packet
	gone     int
}

// picture sends the next picture; packets are lost or late if the scene is lossy.
func (s *scene) picture() {
	for i, p := range s.cam.packets(s.cam.wantsKey() || len(s.cam.frames) == 0, s.cam.stream.Spatial) {
		fate := 3
		if s.lossy && (len(s.cam.frames) > 1 || i > 0) {
			fate = rapid.IntRange(0, 39).Draw(s.rt, "fate")
		}
		if fate > 2 {
			s.cam.send(p)
			continue
		}
		s.gone++
		s.lost[truth(p)] = true
		if fate > 0 { // it is lost to a viewer who is away when it comes
			s.late = append(s.late, p)
		}
	}
	s.n.pass(time.Duration(rapid.IntRange(1, 40).Draw(s.rt, "ms")) * time.Millisecond)
}

func (s *scene) catchUp() {
	for _, p := range s.late {
		s.cam.send(p)
	}
	s.late = nil
}

func (s *scene) step() {
	n := s.n
	v := s.viewers[rapid.IntRange(0, len(s.viewers)-1).Draw(s.rt, "viewer")]
	switch rapid.IntRange(0, 15).Draw(s.rt, "step") {
	case 0:
		set := anySettings.Draw(s.rt, "settings")
		set.Disabled = rapid.IntRange(0, 3).Draw(s.rt, "disabled") == 0
		s.settings[v.id] = set
		v.resize(set)
	case 1:
		n.must(n.core.MuteTrack(n.now, "TR_v", rapid.Bool().Draw(s.rt, "muted")))
	case 2:
		s.catchUp()
	case 3: // the section is held for a while
		n.must(n.core.SetSend(n.now, v.id, nil))
		n.pass(time.Duration(rapid.IntRange(0, 50).Draw(s.rt, "held")) * time.Millisecond)
		n.must(n.core.SetSend(n.now, v.id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: s.cam.codec, Extensions: mixed, Active: true}}))
	case 4: // once it may be that the viewer missed its beginning
		v.control(&rtcp.PictureLossIndication{MediaSSRC: 5000 + 2*uint32(v.id)})
	case 5:
		n.pass(time.Duration(rapid.IntRange(1, 300).Draw(s.rt, "pause")) * time.Millisecond)
	default:
		s.picture()
	}
	if rapid.IntRange(0, 9).Draw(s.rt, "check") == 0 {
		s.alive()
	}
}

func (s *scene) alive() {
	s.cam.check(true)
	for _, v := range s.viewers {
		v.check(true)
	}
}

func (s *scene) receiver() receiver {
	return receiver{rt: s.rt, cam: s.cam, lost: s.lost, lossy: s.lossy, leaves: true}
}

var anySettings = rapid.Custom(func(t *rapid.T) engine.Settings {
	s := rapid.SampledFrom([]engine.Settings{small, medium, large, {}, {MaxLayer: 1}}).Draw(t, "settings")
	s.MaxTemporal = rapid.IntRange(0, 3).Draw(t, "temporal")
	return s
})

// highestWanted is the spatial layer that settings ask for.
func highestWanted(mode svctest.Mode, s engine.Settings) int {
	if s.MaxLayer == 1 {
		return 0
	}
	for layer := range mode.Spatial {
		if w, _ := mode.Size(layer); s.Width > 0 && uint32(w) >= s.Width {
			return layer
		}
	}
	return mode.Spatial - 1
}

func anyMode(rt *rapid.T) svctest.Mode {
	return svctest.Mode{
		Spatial: rapid.IntRange(1, 3).Draw(rt, "spatial"), Temporal: rapid.IntRange(1, 3).Draw(rt, "temporal"), Key: rapid.Bool().Draw(rt, "key"),
	}
}

// slow is a pacer that lets a random number of video packets leave in a
// millisecond.
type slow struct {
	draw  func() int
	until time.Time
	left  int
}

func (p *slow) Take(now time.Time, _ pacing.Class, _ int) bool {
	if !now.Before(p.until) {
		p.until, p.left = now.Add(time.Millisecond), p.draw()
	}
	p.left--
	return p.left >= 0
}

func (p *slow) Next(now time.Time, _ pacing.Class) time.Time {
	if now.Before(p.until) {
		return p.until
	}
	return now
}

// Whoever comes, leaves off, lags behind and begins again: each packet is sent
// once in a run, each run begins with a key picture, and all that a frame builds
// on was sent before it under the number by which it is called.
func TestReplay_anyScalableHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := engine.Config{}
		if rapid.Bool().Draw(rt, "paced") {
			cfg.NewPacer = func() pacing.Pacer {
				return &slow{draw: func() int { return rapid.IntRange(0, 8).Draw(rt, "leave") }}
			}
		}
		n := newNetworkOf(t, cfg)
		s := &scene{rt: rt, n: n, settings: map[engine.PeerID]engine.Settings{}, lost: map[int]bool{}}
		codec, mode := rapid.SampledFrom([]engine.PayloadType{av1, vp9}).Draw(rt, "codec"), anyMode(rt)
		s.cam = n.join(1).scalable(codec, mode)
		s.cam.describes = rapid.Bool().Draw(rt, "describes")
		s.lossy = rapid.Bool().Draw(rt, "lossy")
		for i := range rapid.IntRange(1, 3).Draw(rt, "viewers") {
			for range rapid.IntRange(0, 20).Draw(rt, "pictures before") {
				s.picture()
			}
			v := n.join(engine.PeerID(2 + i))
			s.viewers = append(s.viewers, v)
			s.settings[v.id] = anySettings.Draw(rt, "first settings")
			v.look(codec, s.settings[v.id])
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			s.step()
		}
		s.catchUp()
		for _, v := range s.viewers {
			s.receiver().check(v.seen(), s.gone)
		}
		// In the end each viewer gets what it wants, live.
		s.lossy = false
		n.must(n.core.MuteTrack(n.now, "TR_v", false))
		for _, v := range s.viewers {
			set := s.settings[v.id]
			set.Disabled = false
			v.resize(set)
		}
		for range 40 {
			s.picture()
			s.alive()
		}
		n.pass(50 * time.Millisecond)
		for _, v := range s.viewers {
			v.rtp = nil
		}
		const live = 4
		for range live {
			s.picture()
		}
		n.pass(50 * time.Millisecond)
		for _, v := range s.viewers {
			highest := 0
			for _, p := range v.seen() {
				highest = max(highest, p.s)
			}
			if want := highestWanted(mode, s.settings[v.id]); highest != want || len(v.rtp) == 0 {
				rt.Fatalf("viewer %d with %+v gets layer %d in %d packets, want %d", v.id, s.settings[v.id], highest, len(v.rtp), want)
			}
		}
	})
}
