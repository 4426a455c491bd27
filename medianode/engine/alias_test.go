package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// annex is the room to which tracks of the room "room" are forwarded.
const annex = drtc.RoomID("annex")

// forwarded is a node of two cores whose client 1 has a camera in the first and
// is seen in another room as well.
func forwarded(t testing.TB, cfg engine.Config) (*node, *camera) {
	x := newNodeOf(t, 2, cfg)
	cam := x.cores[0].join(1).camera("TR_v")
	cam.n.must(cam.n.core.Alias(x.now, "TR_v", engine.AliasConfig{ID: "TR_alias", Room: annex, Session: "guest"}))
	cam.frame(true)
	return x, cam
}

// homes names the cores where a viewer may be, as seen from the publisher.
var homes = map[string]int{"in the publisher's core": 0, "in another core": 1}

func TestAlias_showsATrackInAnotherRoom(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{NoReplay: true})
			inside, outside := x.cores[core].join(2), x.cores[core].joinRoom(3, annex)
			inside.watch("TR_v", 640, 360)
			outside.watch("TR_alias", 640, 360)
			x.settle()
			cam.frame(true)
			cam.frame(false)
			for _, c := range []*client{inside, outside} {
				if len(c.rtp) != 4 {
					t.Fatalf("client %d was sent %d packets, want 4", c.id, len(c.rtp))
				}
				follow(t, c.rtp)
			}
			if e, ok := last[engine.SubscriptionActive](x.cores[core]); !ok || e.Peer != 3 || e.Track != "TR_alias" {
				t.Errorf("got %+v, want the subscription told by the name that its room knows", e)
			}
		})
	}
}

func TestAlias_isSeenByNoOtherName(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{NoReplay: true})
			for i, wrong := range []struct {
				room  drtc.RoomID
				track drtc.TrackID
			}{{"room", "TR_alias"}, {annex, "TR_v"}, {"third", "TR_alias"}} {
				c := x.cores[core].joinRoom(engine.PeerID(10+i), wrong.room)
				err := c.n.core.Subscribe(x.now, c.id, engine.SubscribeConfig{Track: wrong.track, SSRC: 1, RTX: 2})
				if core == 0 && !errors.Is(err, engine.ErrOtherRoom) {
					t.Errorf("%s in room %s: got %v, want ErrOtherRoom", wrong.track, wrong.room, err)
				}
				_ = c.n.core.SetSend(x.now, c.id, []engine.SendSection{{Track: wrong.track, Mid: "0", Codec: vp8, Active: true}})
			}
			x.settle()
			cam.frame(true)
			for _, c := range x.cores[core].peers {
				if len(c.rtp) > 0 {
					t.Errorf("client %d was sent %d packets", c.id, len(c.rtp))
				}
			}
		})
	}
}

func TestAlias_keyFramesAreAskedOfThePublisher(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{NoReplay: true})
			x.pass(time.Second)
			cam.frame(false)
			cam.rtcp = nil
			outside := x.cores[core].joinRoom(3, annex)
			ssrc := outside.watch("TR_alias", 640, 360)
			x.pass(20 * time.Millisecond)
			if n := count[*rtcp.PictureLossIndication](cam.client); n != 1 {
				t.Fatalf("the publisher was asked for %d key frames when somebody came, want 1", n)
			}
			cam.frame(true)
			cam.rtcp = nil
			x.pass(3 * time.Second)
			cam.frame(false)
			outside.control(&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
			x.pass(20 * time.Millisecond)
			if n := count[*rtcp.PictureLossIndication](cam.client); n == 0 {
				t.Error("the publisher was not asked though a viewer in the other room did")
			}
		})
	}
}

func TestAlias_muteOfTheSourceIsForAll(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{})
			outside := x.cores[core].joinRoom(3, annex)
			outside.watch("TR_alias", 640, 360)
			x.settle()
			cam.frame(true)
			cam.n.must(cam.n.core.MuteTrack(x.now, "TR_v", true))
			x.settle()
			outside.rtp = nil
			cam.frame(true)
			if len(outside.rtp) > 0 {
				t.Errorf("a muted track's viewer in the other room was sent %d packets", len(outside.rtp))
			}
			cam.n.must(cam.n.core.MuteTrack(x.now, "TR_v", false))
			x.settle()
			cam.frame(true)
			if len(outside.rtp) != 2 {
				t.Errorf("unmuted, it was sent %d packets, want 2", len(outside.rtp))
			}
		})
	}
}

func TestAlias_itsOwnMuteIsForItsRoom(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{})
			inside, outside := x.cores[core].join(2), x.cores[core].joinRoom(3, annex)
			inside.watch("TR_v", 640, 360)
			outside.watch("TR_alias", 640, 360)
			x.settle()
			cam.frame(true)
			cam.n.must(cam.n.core.MuteTrack(x.now, "TR_alias", true))
			x.settle()
			inside.rtp, outside.rtp = nil, nil
			cam.frame(true)
			late := x.cores[core].joinRoom(4, annex)
			late.watch("TR_alias", 640, 360)
			x.settle()
			cam.frame(false)
			if len(inside.rtp) != 4 || len(outside.rtp)+len(late.rtp) > 0 {
				t.Fatalf("sent %d packets inside, %d and %d outside, want 4 and none", len(inside.rtp), len(outside.rtp), len(late.rtp))
			}
			// What was held back is not shown later: they begin with a new picture.
			cam.n.must(cam.n.core.MuteTrack(x.now, "TR_alias", false))
			x.settle()
			cam.frame(false)
			if len(outside.rtp)+len(late.rtp) > 0 {
				t.Fatalf("unmuted, they were sent %d and %d packets of before", len(outside.rtp), len(late.rtp))
			}
			cam.frame(true)
			if len(outside.rtp) != 2 || len(late.rtp) != 2 {
				t.Errorf("with the next key frame, they were sent %d and %d packets, want 2", len(outside.rtp), len(late.rtp))
			}
		})
	}
}

func TestAlias_endsAloneOrWithItsSource(t *testing.T) {
	for name, core := range homes {
		t.Run(name, func(t *testing.T) {
			x, cam := forwarded(t, engine.Config{NoReplay: true})
			inside, outside := x.cores[core].join(2), x.cores[core].joinRoom(3, annex)
			inside.watch("TR_v", 640, 360)
			outside.watch("TR_alias", 640, 360)
			x.settle()
			cam.n.must(cam.n.core.Unpublish(x.now, "TR_alias"))
			x.settle()
			cam.frame(true)
			if len(inside.rtp) != 2 || len(outside.rtp) != 0 {
				t.Fatalf("sent %d packets inside and %d outside, want 2 and none", len(inside.rtp), len(outside.rtp))
			}
			if err := outside.n.core.Unsubscribe(x.now, 3, "TR_alias"); !errors.Is(err, engine.ErrSubscription) {
				t.Errorf("its subscription: got %v, want that it has ended", err)
			}
			cam.n.must(cam.n.core.Alias(x.now, "TR_v", engine.AliasConfig{ID: "TR_alias", Room: annex}))
			outside.watch("TR_alias", 640, 360)
			x.settle()
			cam.n.must(cam.n.core.Unpublish(x.now, "TR_v"))
			x.settle()
			if err := outside.n.core.Unsubscribe(x.now, 3, "TR_alias"); !errors.Is(err, engine.ErrSubscription) {
				t.Errorf("when its source has ended: got %v, want that it has too", err)
			}
			again := x.cores[0].join(9).camera("TR_alias")
			again.frame(true) // the name is free
		})
	}
}

func TestAlias_refuses(t *testing.T) {
	x, cam := forwarded(t, engine.Config{})
	core := cam.n.core
	second := x.cores[0].join(2)
	second.camera("TR_w")
	for _, c := range []struct {
		what  string
		track drtc.TrackID
		cfg   engine.AliasConfig
		want  error
	}{
		{"no such track", "TR_none", engine.AliasConfig{ID: "TR_x", Room: annex}, engine.ErrTrack},
		{"an alias of an alias", "TR_alias", engine.AliasConfig{ID: "TR_x", Room: "third"}, engine.ErrTrack},
		{"its own room", "TR_v", engine.AliasConfig{ID: "TR_x", Room: "room"}, engine.ErrOtherRoom},
		{"a second name in a room", "TR_v", engine.AliasConfig{ID: "TR_x", Room: annex}, engine.ErrTrackExists},
		{"the name of a track", "TR_v", engine.AliasConfig{ID: "TR_w", Room: "third"}, engine.ErrTrackExists},
		{"the name of another's alias", "TR_w", engine.AliasConfig{ID: "TR_alias", Room: annex}, engine.ErrTrackExists},
		{"the same again", "TR_v", engine.AliasConfig{ID: "TR_alias", Room: annex}, nil},
	} {
		if err := core.Alias(x.now, c.track, c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	if err := core.Publish(x.now, 2, engine.TrackConfig{ID: "TR_alias", Mid: "v", Video: true}); !errors.Is(err, engine.ErrTrackExists) {
		t.Errorf("a track by the name of an alias: got %v, want ErrTrackExists", err)
	}
}

// Who speaks is told in each room, by the session that stands there for the
// speaker, and not where the track is muted.
func TestAlias_speaksInBothRooms(t *testing.T) {
	n := newNetwork(t)
	mic := n.join(1)
	n.must(n.core.SetReceive(n.now, 1, []engine.ReceiveSection{{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: ids, Active: true}}))
	n.must(n.core.Publish(n.now, 1, engine.TrackConfig{ID: "TR_a", Mid: "a"}))
	n.must(n.core.Alias(n.now, "TR_a", engine.AliasConfig{ID: "TR_b", Room: annex, Session: "guest"}))
	say := func(from uint16) {
		for i := range uint16(100) {
			p := &rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: opus.Number, SequenceNumber: from + i, Timestamp: uint32(from+i) * 960, SSRC: 77,
			}, Payload: []byte{1, 2, 0}}
			n.must(p.SetExtension(extLevel, []byte{0x80 | 20}))
			n.must(p.SetExtension(extMid, []byte("a")))
			mic.send(p)
			n.pass(20 * time.Millisecond)
		}
	}
	heard := func() map[drtc.RoomID]string {
		who := map[drtc.RoomID]string{}
		for _, e := range n.events {
			if s, ok := e.(engine.Speakers); ok {
				delete(who, s.Room)
				for _, sp := range s.Speakers {
					who[s.Room] = fmt.Sprintf("%s %s", sp.Session, sp.Track)
				}
			}
		}
		return who
	}
	say(0)
	if got, want := fmt.Sprint(heard()), fmt.Sprint(map[drtc.RoomID]string{"room": ufrag(1) + " TR_a", annex: "guest TR_b"}); got != want {
		t.Errorf("who speaks: got %s, want %s", got, want)
	}
	n.must(n.core.MuteTrack(n.now, "TR_b", true))
	say(200)
	if got, want := fmt.Sprint(heard()), fmt.Sprint(map[drtc.RoomID]string{"room": ufrag(1) + " TR_a"}); got != want {
		t.Errorf("with the alias muted: got %s, want %s", got, want)
	}
}

// What the publisher is asked to send is what viewers want in all rooms together,
// whoever of them comes, changes the size of the picture and goes.
func TestAlias_demandIsTheUnion(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x, cam := forwarded(t, engine.Config{NoReplay: true})
		cam.n.must(cam.n.core.Alias(x.now, "TR_v", engine.AliasConfig{ID: "TR_third", Room: "third"}))
		names := map[drtc.RoomID]drtc.TrackID{"room": "TR_v", annex: "TR_alias", "third": "TR_third"}
		type viewer struct {
			*client
			track drtc.TrackID
		}
		watching := map[viewer]uint32{} // what width
		var all []viewer
		for i := range 6 {
			room := []drtc.RoomID{"room", annex, "third"}[i%3]
			all = append(all, viewer{x.cores[i%2].joinRoom(engine.PeerID(2+i), room), names[room]})
		}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			v := rapid.SampledFrom(all).Draw(r, "viewer")
			width := rapid.SampledFrom([]uint32{0, 100, 320, 640}).Draw(r, "width")
			switch _, in := watching[v]; {
			case width == 0 && in:
				v.n.must(v.n.core.Unsubscribe(x.now, v.id, v.track))
				delete(watching, v)
			case width == 0:
			case in:
				v.n.must(v.n.core.SetSettings(x.now, v.id, v.track, engine.Settings{Width: width, Height: width * 9 / 16}))
				watching[v] = width
			default:
				v.watch(v.track, width, width*9/16)
				watching[v] = width
			}
			cam.frame(true)
			for range 75 { // longer than a demand is held
				cam.frame(false)
			}
			var want []int
			for _, width := range watching {
				want = append(want, wanted(engine.Settings{Width: width})...)
			}
			slices.Sort(want)
			want = slices.Compact(want)
			if e, told := last[engine.LayerDemand](cam.n); (told || len(want) > 0) && (!slices.Equal(e.Layers, want) || e.Track != "TR_v" && told) {
				r.Fatalf("%d viewers: got demand %v of %s, want %v of TR_v", len(watching), e.Layers, e.Track, want)
			}
		}
	})
}
