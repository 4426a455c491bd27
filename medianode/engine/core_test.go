package engine_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
)

func TestCore_answersAuthenticatedChecksOnly(t *testing.T) {
	n := newNetwork(t)
	c := n.open(1)
	n.datagram(c.addr, stun.AppendBindingRequest(nil, [12]byte{9}, ufrag(1)+":peer", "wrong password, wrong password", stun.RequestOptions{}))
	if len(c.replies) != 1 || c.replies[0].ErrorCode != stun.CodeUnauthenticated {
		t.Fatalf("wrong password: got %d replies, want one 401", len(c.replies))
	}
	if a := n.core.Address(1); a.IsValid() {
		t.Errorf("wrong password set the address to %s", a)
	}
	if _, ok := last[engine.PeerReachable](n); ok {
		t.Error("wrong password made the peer reachable")
	}
	c.check(true)
	if got := c.replies[1]; got.Type != stun.BindingSuccess || got.Mapped != c.addr {
		t.Errorf("right password: got type %x mapped %s, want success and %s", got.Type, got.Mapped, c.addr)
	}
	if e, ok := last[engine.PeerReachable](n); !ok || e.Addr != c.addr {
		t.Errorf("got %v, want PeerReachable at %s", e, c.addr)
	}
}

func TestCore_limitsUnauthenticatedSTUN(t *testing.T) {
	n := newNetwork(t)
	c := n.open(1)
	flood := stun.AppendBindingRequest(nil, [12]byte{9}, "nobody:peer", pwd, stun.RequestOptions{})
	for range 5000 {
		n.datagram(c.addr, flood)
	}
	got := n.core.Counters()
	if got.STUNLimited < 4000 {
		t.Errorf("got %d of 5000 limited, want most", got.STUNLimited)
	}
	if c.raw != 0 {
		t.Errorf("an unknown ufrag was answered %d times, want silence", c.raw)
	}
}

func TestCore_sendsNothingBeforeTheFirstCheck(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.open(2)
	n.must(n.core.Protect(n.now, 2, newKeys(2), &n.batch))
	viewer.watch("TR_v", 640, 360)
	for range 5 {
		cam.frame(true)
	}
	if viewer.raw != 0 {
		t.Errorf("got %d datagrams before a valid check, want 0", viewer.raw)
	}
	viewer.check(true)
	cam.frame(true)
	if len(viewer.rtp) == 0 {
		t.Error("got no media after the check")
	}
}

func TestCore_forwardsFromTheFirstKeyFrameOn(t *testing.T) {
	n := newNetworkOf(t, engine.Config{NoReplay: true})
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	viewer := n.join(2)
	ssrc := viewer.watch("TR_v", 640, 360)
	n.pass(20 * time.Millisecond)
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("the publisher was not asked for a key frame")
	}
	cam.frame(false)
	if len(viewer.rtp) != 0 {
		t.Fatalf("got %d packets before a key frame, want 0", len(viewer.rtp))
	}
	cam.frame(true)
	cam.frame(false)
	if len(viewer.rtp) != 4 {
		t.Fatalf("got %d packets, want 4", len(viewer.rtp))
	}
	for i, p := range viewer.rtp {
		if p.SSRC != ssrc || p.PayloadType != vp8.Number {
			t.Errorf("packet %d: got ssrc %d type %d, want %d and %d", i, p.SSRC, p.PayloadType, ssrc, vp8.Number)
		}
		if i > 0 && p.SequenceNumber != viewer.rtp[i-1].SequenceNumber+1 {
			t.Errorf("packet %d: sequence %d after %d", i, p.SequenceNumber, viewer.rtp[i-1].SequenceNumber)
		}
		if p.Marker != (i%2 == 1) {
			t.Errorf("packet %d: got marker %v", i, p.Marker)
		}
		if got := p.GetExtension(5); len(got) != 2 {
			t.Errorf("packet %d: got transport-wide number %v, want 2 bytes", i, got)
		}
	}
	if e, ok := last[engine.SubscriptionActive](n); !ok || e.Peer != 2 || e.Track != "TR_v" {
		t.Errorf("got %v, want SubscriptionActive", e)
	}
	if e, ok := last[engine.TrackLive](n); !ok || e.Mime != "video/VP8" || len(e.Layers) != 3 {
		t.Errorf("got %+v, want TrackLive with three layers", e)
	}
}

func TestCore_layerFollowsTheViewersSize(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 150, 80)
	run := func(frames int) {
		for range frames {
			cam.frame(true)
		}
	}
	run(3)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360}))
	run(3)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 300, Height: 170}))
	run(3)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 640, Height: 360, MaxLayer: 1}))
	run(3)
	if got, want := viewer.layers(), []byte{0, 2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("layers: got %v, want %v", got, want)
	}
	for i, p := range viewer.rtp[1:] {
		before := viewer.rtp[i]
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("packet %d: sequence %d after %d: a switch must leave no hole", i+1, p.SequenceNumber, before.SequenceNumber)
		}
		if step := int32(p.Timestamp - before.Timestamp); step < 0 || step > 90000/2 {
			t.Errorf("packet %d: timestamp moved by %d ticks", i+1, step)
		}
	}
}

func TestCore_switchesDownWhenThePublisherStopsALayer(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	for range 3 {
		cam.frame(true)
	}
	cam.off[2] = true
	for range 60 {
		cam.frame(true)
	}
	if got, want := viewer.layers(), []byte{2, 1}; !slices.Equal(got, want) {
		t.Errorf("layers: got %v, want %v", got, want)
	}
	cam.off[2] = false
	for range 5 {
		cam.frame(true)
	}
	if got, want := viewer.layers(), []byte{2, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("layers after it came back: got %v, want %v", got, want)
	}
}

func TestCore_demandRisesAtOnceAndFallsLater(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	n.pass(20 * time.Millisecond)
	want := func(when string, layers ...int) {
		t.Helper()
		if e, _ := last[engine.LayerDemand](n); !slices.Equal(e.Layers, layers) {
			t.Errorf("%s: got %v, want %v", when, e.Layers, layers)
		}
	}
	want("viewer of the highest", 0, 2)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Width: 320, Height: 180}))
	n.pass(20 * time.Millisecond)
	want("just after it shrank", 0, 1, 2)
	n.pass(3 * time.Second)
	want("later", 0, 1)
	n.must(n.core.SetSettings(n.now, 2, "TR_v", engine.Settings{Disabled: true}))
	n.pass(3 * time.Second)
	want("nobody looks")
}

func TestCore_retransmitsFromTheRing(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	ssrc := viewer.watch("TR_v", 640, 360)
	for range 4 {
		cam.frame(true)
	}
	lost := viewer.rtp[3]
	viewer.rtp = nil
	nack := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}}
	for range 6 {
		viewer.control(nack)
		n.pass(200 * time.Millisecond)
	}
	if len(viewer.rtp) != 3 {
		t.Fatalf("got %d retransmissions of one packet, want 3 at most and at least", len(viewer.rtp))
	}
	for i, p := range viewer.rtp {
		original := uint16(p.Payload[0])<<8 | uint16(p.Payload[1])
		if p.PayloadType != vp8.RTXNumber || p.SSRC == ssrc || original != lost.SequenceNumber {
			t.Errorf("retransmission %d: got type %d ssrc %d for %d, want %d, another ssrc, %d", i, p.PayloadType, p.SSRC, original, vp8.RTXNumber, lost.SequenceNumber)
		}
		if !slices.Equal(p.Payload[2:], lost.Payload) || p.Timestamp != lost.Timestamp {
			t.Errorf("retransmission %d differs from what was lost", i)
		}
		if i > 0 && p.SequenceNumber != viewer.rtp[i-1].SequenceNumber+1 {
			t.Errorf("retransmission %d: sequence %d", i, p.SequenceNumber)
		}
	}
}

func TestCore_asksForAnUpstreamGapAtOnceThenForAKeyFrame(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	pub.rtcp = nil
	cam.packet(2, false, false, false) // lost
	cam.packet(2, false, true, true)
	if got := count[*rtcp.TransportLayerNack](pub); got != 1 {
		t.Fatalf("right after the gap: got %d NACKs, want 1", got)
	}
	if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
		t.Fatalf("right after the gap: got %d key frame requests, want 0", got)
	}
	n.pass(2 * time.Second)
	if got := count[*rtcp.TransportLayerNack](pub); got != 3 {
		t.Errorf("got %d NACKs, want 3", got)
	}
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("nothing came: want a key frame request")
	}
}

func TestCore_followsNewestMediaToANewAddress(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	old := pub.addr

	// A copy of an old packet from elsewhere moves nothing.
	stolen := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SequenceNumber: 180, SSRC: 1002}, Payload: []byte{0x10, 1, 2, 0, 0}}
	raw, _ := stolen.Marshal()
	sealed, _ := pub.keys.SealRTP(nil, raw)
	thief := netip.MustParseAddrPort("10.9.9.9:99")
	n.datagram(thief, sealed)
	if got := n.core.Address(1); got != old {
		t.Fatalf("an old packet moved the peer to %s", got)
	}
	// Nor does a forged newest one.
	n.datagram(thief, append(raw[:len(raw):len(raw)], 0, 0, 0, 9))
	if got := n.core.Address(1); got != old {
		t.Fatalf("a forged packet moved the peer to %s", got)
	}

	pub.addr = netip.MustParseAddrPort("10.0.0.1:6000") // the NAT gave another port
	cam.frame(false)
	if got := n.core.Address(1); got != pub.addr {
		t.Errorf("publisher: got %s, want %s", got, pub.addr)
	}
	before := len(viewer.rtp)
	viewer.addr = netip.MustParseAddrPort("10.0.0.2:6000")
	n.pass(40 * time.Millisecond)
	viewer.control(&rtcp.ReceiverReport{SSRC: 1})
	if got := n.core.Address(2); got != viewer.addr {
		t.Errorf("subscriber: got %s, want %s", got, viewer.addr)
	}
	cam.frame(true)
	if len(viewer.rtp) == before {
		t.Error("no media at the new address")
	}
}

func TestCore_holdsMediaAtAnAddressThatNoCheckConfirms(t *testing.T) {
	n, cam, viewer := watched(t)
	viewer.addr = netip.MustParseAddrPort("10.0.0.2:6000")
	n.pass(40 * time.Millisecond)
	viewer.control(&rtcp.ReceiverReport{SSRC: 1})
	for range 200 {
		cam.frame(true)
		viewer.control(&rtcp.ReceiverReport{SSRC: 1})
	}
	got := len(viewer.rtp)
	for range 30 {
		cam.frame(true)
		viewer.control(&rtcp.ReceiverReport{SSRC: 1})
	}
	if len(viewer.rtp) != got {
		t.Errorf("media still flows %s after the move without a check", 230*33*time.Millisecond)
	}
	viewer.check(true)
	cam.frame(true)
	if len(viewer.rtp) == got {
		t.Error("no media after the check confirmed the address")
	}
}

func TestCore_endsConsentWithoutChecks(t *testing.T) {
	n, cam, viewer := watched(t)
	states := map[engine.State]time.Duration{}
	start := n.now
	for n.now.Sub(start) < 40*time.Second {
		cam.frame(true)
		if e, ok := last[engine.PeerState](n); ok && e.Peer == 2 {
			if _, seen := states[e.State]; !seen {
				states[e.State] = n.now.Sub(start)
			}
		}
		if n.now.Sub(start)%time.Second < 33*time.Millisecond {
			cam.check(true)
		}
	}
	if got := states[engine.StateDisconnected]; got < 7*time.Second || got > 9*time.Second {
		t.Errorf("disconnected after %s, want about 8 s", got)
	}
	if got := states[engine.StateFailed]; got < 29*time.Second || got > 31*time.Second {
		t.Errorf("failed after %s, want about 30 s (RFC 7675)", got)
	}
	before := len(viewer.rtp)
	cam.frame(true)
	if len(viewer.rtp) != before {
		t.Error("media was sent without consent")
	}
}

func TestCore_ICERestartKeepsMedia(t *testing.T) {
	n, cam, viewer := watched(t)
	n.must(n.core.RestartICE(n.now, 2, engine.ICE{Ufrag: "fresh", Pwd: "freshfreshfreshfreshfresh"}, engine.ICE{}))
	viewer.check(true) // the old credentials are still good
	if got := viewer.replies[len(viewer.replies)-1]; got.Type != stun.BindingSuccess {
		t.Fatalf("old credentials before the first new check: got type %x", got.Type)
	}
	viewer.addr = netip.MustParseAddrPort("10.0.7.7:7000")
	n.datagram(viewer.addr, stun.AppendBindingRequest(nil, [12]byte{99}, "fresh:peer", "freshfreshfreshfreshfresh", stun.RequestOptions{Controlling: true}))
	if got := n.core.Address(2); got != viewer.addr {
		t.Errorf("got address %s, want %s", got, viewer.addr)
	}
	before := len(viewer.rtp)
	cam.frame(false)
	if len(viewer.rtp) != before+2 {
		t.Errorf("got %d packets of the next frame, want 2 without a new key frame", len(viewer.rtp)-before)
	}
	replies := len(viewer.replies)
	viewer.check(true)
	if len(viewer.replies) != replies {
		t.Error("the old credentials were answered after the restart")
	}
}

func TestCore_muteStopsAndUnmuteResumesWithAKeyFrame(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	n.must(n.core.MuteTrack(n.now, "TR_v", true))
	before := len(viewer.rtp)
	cam.frame(true)
	if len(viewer.rtp) != before {
		t.Error("a muted track was forwarded")
	}
	pub.rtcp = nil
	n.must(n.core.MuteTrack(n.now, "TR_v", false))
	n.pass(20 * time.Millisecond)
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("no key frame was asked for")
	}
	cam.frame(false)
	cam.frame(true)
	if got := len(viewer.rtp) - before; got != 2 {
		t.Fatalf("got %d packets, want the 2 of the key frame", got)
	}
	if a, b := viewer.rtp[before-1].SequenceNumber, viewer.rtp[before].SequenceNumber; b != a+1 {
		t.Errorf("sequence went from %d to %d over the mute, want no hole", a, b)
	}
}

func TestCore_audioAndSpeakers(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	pub.camera("TR_v")
	n.must(n.core.Publish(n.now, 1, engine.TrackConfig{ID: "TR_a", Mid: "a"}))
	viewer := n.join(2)
	n.must(n.core.Subscribe(n.now, 2, engine.SubscribeConfig{Track: "TR_a", SSRC: 5000, RTX: 5001}))
	n.must(n.core.SetSend(n.now, 2, []engine.SendSection{{Track: "TR_a", Mid: "1", Codec: opus, Extensions: engine.ExtensionIDs{AudioLevel: 6}, Active: true}}))
	for i := range 30 {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: opus.Number, SequenceNumber: uint16(i), Timestamp: uint32(i * 960), SSRC: 77}, Payload: []byte{1, 2, 0}}
		n.must(p.SetExtension(extLevel, []byte{0x80 | 20}))
		n.must(p.SetExtension(extMid, []byte("a")))
		pub.send(p)
		n.pass(20 * time.Millisecond)
	}
	if len(viewer.rtp) != 30 {
		t.Errorf("got %d audio packets, want all 30", len(viewer.rtp))
	}
	if got := viewer.rtp[0].GetExtension(6); len(got) != 1 || got[0]&0x7f != 20 {
		t.Errorf("audio level: got %v, want 20", got)
	}
	e, ok := last[engine.Speakers](n)
	if !ok || len(e.Speakers) != 1 || e.Speakers[0].Track != "TR_a" {
		t.Fatalf("speakers: got %+v", e)
	}
	n.pass(2 * time.Second)
	if e, _ = last[engine.Speakers](n); len(e.Speakers) != 0 {
		t.Errorf("speakers after silence: got %+v", e)
	}
}

func TestCore_sendsReportsAndTransportFeedback(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	ssrc := viewer.watch("TR_v", 640, 360)
	for range 90 {
		cam.frame(true)
	}
	if got := count[*rtcp.TransportLayerCC](pub); got < 30 {
		t.Errorf("got %d transport feedbacks in 3 s, want about 60", got)
	}
	if got := count[*rtcp.ReceiverReport](pub); got < 2 {
		t.Errorf("got %d receiver reports in 3 s", got)
	}
	var report *rtcp.SenderReport
	for _, p := range viewer.rtcp {
		if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == ssrc {
			report = r
		}
	}
	if report == nil {
		t.Fatal("got no sender report")
	}
	// The viewer reports back: a round trip and paid bytes.
	n.pass(50 * time.Millisecond)
	viewer.control(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{
		SSRC: ssrc, LastSequenceNumber: uint32(viewer.rtp[len(viewer.rtp)-1].SequenceNumber), LastSenderReport: uint32(report.NTPTime >> 16),
	}}})
	f, _ := n.core.Figures(2)
	if f.RoundTrip <= 0 || f.RoundTrip > 2*time.Second {
		t.Errorf("round trip: got %s", f.RoundTrip)
	}
	var want uint64
	for _, p := range viewer.rtp {
		want += uint64(p.MarshalSize())
	}
	if f.ClientBytes != want || f.SentBytes != want {
		t.Errorf("got %d bytes paid of %d sent, want %d, the sizes of what arrived", f.ClientBytes, f.SentBytes, want)
	}
}

func TestCore_strangersInOtherRoomsSeeNothing(t *testing.T) {
	n := newNetwork(t)
	n.join(1).camera("TR_v")
	n.must(n.core.AddPeer(n.now, engine.PeerConfig{ID: 5, Room: "elsewhere", Local: engine.ICE{Ufrag: "five", Pwd: pwd}}))
	if err := n.core.Subscribe(n.now, 5, engine.SubscribeConfig{Track: "TR_v", SSRC: 1, RTX: 2}); !errors.Is(err, engine.ErrOtherRoom) {
		t.Error("a peer of another room subscribed")
	}
}

func TestCore_removedPeerLeavesNothing(t *testing.T) {
	n, _, _ := watched(t)
	n.core.RemovePeer(n.now, 1)
	n.core.RemovePeer(n.now, 2)
	n.pass(time.Second)
	if !n.core.NextTimeout().IsZero() {
		t.Error("timers go on without peers")
	}
	n.join(1).camera("TR_v") // every name is free again
}

// Between Subscribe and the client's next answer a key frame would come in
// vain, and the throttle would then hold back the one that is needed.
func TestCore_asksForTheFirstKeyFrameWhenItCanBeForwarded(t *testing.T) {
	n := newNetworkOf(t, engine.Config{NoReplay: true})
	pub := n.join(1)
	cam := pub.camera("TR_v")
	cam.frame(true)
	n.join(2)
	n.must(n.core.Subscribe(n.now, 2, engine.SubscribeConfig{Track: "TR_v", SSRC: 5000, RTX: 5001}))
	n.pass(50 * time.Millisecond)
	if got := count[*rtcp.PictureLossIndication](pub); got != 0 {
		t.Errorf("before the section is negotiated: got %d key frame requests, want 0", got)
	}
	n.must(n.core.SetSend(n.now, 2, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: vp8, Active: true}}))
	n.pass(20 * time.Millisecond)
	if got := count[*rtcp.PictureLossIndication](pub); got != 1 {
		t.Errorf("after it: got %d key frame requests, want 1", got)
	}
}

// Every new encoder has new SSRCs; those of the old ones make room.
func TestCore_publishingAgainAndAgainKeepsWorking(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	for i := range 60 {
		cam.ssrc = uint32(10_000 * (i + 1))
		if i%2 == 0 { // a new track on the section, else a new encoder of the same track
			n.must(n.core.Unpublish(n.now, "TR_v"))
			n.must(n.core.Publish(n.now, 1, engine.TrackConfig{ID: "TR_v", Mid: "v", Video: true}))
		}
		cam.frame(true)
		viewer.watch("TR_v", 640, 360)
		before := len(viewer.rtp)
		cam.frame(true)
		if len(viewer.rtp) == before {
			t.Fatalf("publication %d: nothing is forwarded", i+1)
		}
	}
}

// A browser reports with several SSRCs, each with an index of its own: the rare
// one must move the address though the frequent one has counted further.
func TestCore_followsEachSenderOfRTCPByItsOwnIndex(t *testing.T) {
	n := newNetwork(t)
	pub := n.join(1)
	cam := pub.camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	for range 50 {
		viewer.control(&rtcp.TransportLayerCC{Header: rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 4}, SenderSSRC: 1})
	}
	viewer.addr = netip.MustParseAddrPort("10.0.0.2:6000")
	n.pass(time.Second)
	pub.rtcp = nil
	viewer.control(&rtcp.ReceiverReport{SSRC: 77})
	if got := n.core.Address(2); got != viewer.addr {
		t.Fatalf("got %s, want %s", got, viewer.addr)
	}
	cam.frame(false)
	n.pass(20 * time.Millisecond)
	if count[*rtcp.PictureLossIndication](pub) == 0 {
		t.Error("what went to the old address is lost: want a key frame request")
	}
}
