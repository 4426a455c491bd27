package engine_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
)

// A client that leaves for another node checks this one from its new candidates
// too: they get no answer, its old path does.
func TestLeave_newCandidatesGetNoAnswer(t *testing.T) {
	n := newNetwork(t)
	c := n.openAs(engine.PeerConfig{ID: 1, Room: n.room, Remote: engine.ICE{Ufrag: "peer", Pwd: pwd}})
	c.check(true)
	n.must(n.core.Protect(n.now, 1, newKeys(1), &n.batch))
	old := c.addr
	answered := func(from, username string) bool {
		before := len(c.replies)
		c.addr = netip.MustParseAddrPort(from)
		n.datagram(c.addr, stun.AppendBindingRequest(nil, [12]byte{byte(before), 7}, username, pwd, stun.RequestOptions{Controlling: true, Priority: 1}))
		return len(c.replies) > before
	}
	for _, step := range []struct {
		leaves     bool
		from, user string
		want       bool
	}{
		{false, "10.0.9.1:1", ufrag(1) + ":anew", true},
		{true, "10.0.9.2:1", ufrag(1) + ":anew", false},
		{true, "10.0.9.3:1", ufrag(1) + ":peer", true}, // a path of the old generation may change
		{true, old.String(), ufrag(1) + ":peer", true},
		{false, "10.0.9.2:1", ufrag(1) + ":anew", true}, // it stays
	} {
		n.must(n.core.Leave(1, step.leaves))
		if got := answered(step.from, step.user); got != step.want {
			t.Errorf("leaves %v, check from %s as %s: answered %v, want %v", step.leaves, step.from, step.user, got, step.want)
		}
	}
	if err := n.core.Leave(2, true); err == nil {
		t.Error("an unknown peer leaves without an error")
	}
}

// What a client will be shown when it has connected is asked for before, and not
// again.
func TestSeat_asksAheadForWhoIsAboutToConnect(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	for range 40 { // until that is too old to be replayed
		cam.frame(false)
	}
	asked := func() int { return count[*rtcp.PictureLossIndication](pub) }
	viewer := n.open(2)
	n.must(n.core.OpenSeat(n.now, 2, engine.SeatConfig{ID: seat, Video: true, SSRC: seatSSRC, RTX: seatRTX}))
	n.must(n.core.SetSend(n.now, 2, []engine.SendSection{{Track: seat, Mid: "0", Codec: vp8, Active: true}}))
	n.must(n.core.SetSource(n.now, 2, seat, "TR_v", 0, vp8))
	n.pass(50 * time.Millisecond)
	if asked() != 1 {
		t.Fatalf("before the client is connected: asked for %d key frames, want 1", asked())
	}
	cam.frame(true)
	cam.frame(false)
	viewer.check(true)
	n.must(n.core.Protect(n.now, 2, newKeys(2), &n.batch))
	n.flush()
	n.pass(10 * time.Millisecond)
	if len(viewer.rtp) != 4 || !isKey(viewer.rtp[0]) || asked() != 1 {
		t.Errorf("connected: got %d packets at once and %d requests, want the 4 since the key frame that was asked for", len(viewer.rtp), asked())
	}
}

// A publisher that comes from another node is asked for key frames when it has
// connected, before the first of its packets: of what is wanted here.
func TestProtect_asksAPublisherForWhatIsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		width uint32 // of the viewer's picture; 0 for nobody there
		ssrcs []engine.SourceGroup
		want  []uint32
	}{
		"two layers wanted, of three":  {320, []engine.SourceGroup{{SSRC: 10}, {SSRC: 11}, {SSRC: 12}}, []uint32{10, 11}},
		"a layer of unknown SSRC":      {320, []engine.SourceGroup{{}, {SSRC: 11}}, []uint32{11}},
		"a client that tells no SSRCs": {320, nil, nil},
		"nobody watches":               {0, []engine.SourceGroup{{SSRC: 10}}, nil},
	} {
		n := newNetwork(t)
		pub := n.open(1)
		n.must(n.core.SetReceive(n.now, 1, []engine.ReceiveSection{
			{Mid: "v", Codecs: []engine.PayloadType{vp8}, Extensions: ids, RIDs: []string{"q", "h", "f"}, SSRCs: c.ssrcs, Active: true},
		}))
		n.must(n.core.Publish(n.now, 1, engine.TrackConfig{ID: "TR_v", Mid: "v", Video: true, Layers: []engine.LayerSize{
			{RID: "q", Width: 160, Height: 90}, {RID: "h", Width: 320, Height: 180}, {RID: "f", Width: 640, Height: 360},
		}}))
		if c.width > 0 {
			n.join(2).watch("TR_v", c.width, c.width*9/16)
		}
		pub.check(true)
		n.must(n.core.Protect(n.now, 1, newKeys(1), &n.batch))
		n.flush()
		var got []uint32
		for _, p := range pub.rtcp {
			if pli, is := p.(*rtcp.PictureLossIndication); is {
				got = append(got, pli.MediaSSRC)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: asked for key frames of %v, want %v", name, got, c.want)
		}
	}
}

// A publisher may ignore a request that comes too soon after another: it is
// repeated quickly for those who see nothing.
func TestTrack_whoseSourceChangesIsAskedUntilItAnswers(t *testing.T) {
	_, cam, viewer := watched(t)
	cam.ssrc = 5000
	before := count[*rtcp.PictureLossIndication](cam.client)
	for range 14 {
		cam.frame(false)
	}
	if got := count[*rtcp.PictureLossIndication](cam.client) - before; got < 3*3 { // of each layer
		t.Errorf("asked for %d key frames in half a second, want the three layers' three times", got)
	}
	shown := len(viewer.rtp)
	cam.frame(true)
	if len(viewer.rtp) == shown {
		t.Error("the viewer does not see the key frame")
	}
}
