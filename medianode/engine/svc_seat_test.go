package engine_test

import (
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// A seat that goes from one scalable stream to another begins anew with the
// layers of the new one, and shows the old one by its own sizes until then.
func TestSeat_goesOnFromOneScalableStreamToAnother(t *testing.T) {
	for _, codec := range []engine.PayloadType{av1, vp9} {
		n := newNetworkOf(t, engine.Config{NoReplay: true})
		tall := n.join(1).scalableTrack("TR_1", 1000, codec, svctest.Mode{Spatial: 3, Temporal: 1})
		low := n.join(2).scalableTrack("TR_2", 2000, codec, svctest.Mode{Spatial: 1, Temporal: 2})
		v := n.join(3)
		n.must(n.core.OpenSeat(n.now, 3, engine.SeatConfig{ID: seat, Video: true, SSRC: 5006, RTX: 5007}))
		n.must(n.core.SetSend(n.now, 3, []engine.SendSection{{Track: seat, Mid: "0", Codec: codec, Extensions: mixed, Active: true}}))
		n.must(n.core.SetSettings(n.now, 3, seat, engine.Settings{MaxLayer: 2}))
		show := func(track drtc.TrackID) {
			n.must(n.core.SetSource(n.now, 3, seat, track, 0, codec))
			n.pass(20 * time.Millisecond)
		}
		expect := func(what, want string) {
			t.Helper()
			if got := layersOf(v.seen()); got != want {
				t.Errorf("%s: %s: got %s, want %s", codec.Mime, what, got, want)
			}
		}
		show("TR_1")
		tall.picture(true)
		tall.pictures(2)
		expect("the first source", "00 10 . | 00 10 . | 00 10 .")
		show("TR_2")
		v.rtp = nil
		tall.pictures(100) // much longer than the publisher's demand is held
		for _, c := range n.peers {
			c.check(true)
		}
		v.rtp = nil
		tall.pictures(2)
		expect("before the second begins", "00 10 . | 00 10 .")
		if got := demanded(n, "TR_1"); len(got) != 2 {
			t.Errorf("%s: the demand of the first is %v before the second begins", codec.Mime, got)
		}
		low.picture(true)
		low.pictures(2)
		tall.pictures(2)
		expect("the second source", "00 10 . | 00 10 . | 00 . | 01 . | 00 .")
		v.rtp = nil
		show("TR_1")
		tall.picture(true)
		tall.pictures(1)
		expect("the first again", "00 10 . | 00 10 .")
		follow(t, v.rtp)
	}
}

// demanded are the layers in demand of a track.
func demanded(n *network, track drtc.TrackID) (layers []int) {
	for _, e := range n.events {
		if d, ok := e.(engine.LayerDemand); ok && d.Track == track {
			layers = d.Layers
		}
	}
	return layers
}
