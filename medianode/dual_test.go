package medianode_test

import (
	"context"
	"testing"

	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode"
)

// publisher is a participant whose camera is live as track TR_cam.
func (o *orchestrator) publisher(events <-chan *medianodev1.EventsResponse) (*participant, *webrtc.RTPSender) {
	o.t.Helper()
	p := o.join("alice", everything())
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "s")
	if err != nil {
		o.t.Fatal(err)
	}
	sender, err := p.AddTrack(video)
	if err != nil {
		o.t.Fatal(err)
	}
	p.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO})
	stop := make(chan struct{})
	o.t.Cleanup(func() { close(stop) })
	go sendFrames(video, stop)
	until(o.t, events, (*medianodev1.EventsResponse).GetTrackLive)
	return p, sender
}

// Who stops a screen share takes the track off its section: viewers hear that
// the track ended.
func TestNode_sectionThatStopsPublishingEndsItsTrack(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := o.events(ctx)
	alice, sender := o.publisher(events)
	bob := o.join("bob", everything())
	subscribe := &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "PA_alice|camera"}}}
	call(o, o.Subscribe, subscribe)

	if err := alice.RemoveTrack(sender); err != nil {
		t.Fatal(err)
	}
	alice.negotiate()
	if e := until(t, events, (*medianodev1.EventsResponse).GetTrackEnded); e.Track != "TR_cam" || e.Session != alice.session {
		t.Errorf("got %v, want the end of TR_cam", e)
	}
	if r := call(o, o.Subscribe, subscribe); r.Refused["TR_cam"] == "" {
		t.Error("a track that has ended was subscribed to")
	}
}

// A newcomer is subscribed to what the room has before its client has offered
// anything: its first answer carries the tracks.
func TestNode_subscriptionsWaitForTheFirstOffer(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := o.events(ctx)
	o.publisher(events)

	bob := o.join("bob", everything())
	tracks := make(chan *webrtc.TrackRemote, 1)
	bob.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { tracks <- r })
	if _, err := bob.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	sub := call(o, o.Subscribe, &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "PA_alice|camera"}}})
	if len(sub.Refused) != 0 {
		t.Fatalf("subscribe before the offer: refused %v", sub.Refused)
	}
	if answer := bob.negotiate(); len(answer.MidToTrack) != 1 {
		t.Errorf("first answer: got tracks %v, want the one subscribed to", answer.MidToTrack)
	}
	remote := within(t, "remote track", tracks)
	for range 20 {
		if _, _, err := remote.ReadRTP(); err != nil {
			t.Fatal(err)
		}
	}
}

// A dual session: the client publishes on one transport, the node offers what
// it forwards, and the data channels, on another.
func TestNode_dualSessionIsOfferedItsTracks(t *testing.T) {
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) { testNode_dualSessionIsOfferedItsTracks(t, setup) })
	}
}

func testNode_dualSessionIsOfferedItsTracks(t *testing.T, setup func(*medianode.Config)) {
	n := startNode(t, setup)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := o.events(ctx)

	alice, _ := o.publisher(events)

	call(o, o.CreateSession, &medianodev1.CreateSessionRequest{
		Session: "SE_bob", Mode: medianodev1.Mode_MODE_DUAL, Room: "RM_1", Participant: "PA_bob", Identity: "bob", Permissions: everything(),
	})
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	bob, err := webrtc.NewAPI(webrtc.WithSettingEngine(se), defaultMedia(t)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bob.Close() })
	labels := make(chan string, 2)
	tracks := make(chan *webrtc.TrackRemote, 1)
	got := make(chan webrtc.DataChannelMessage, 1)
	bob.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { tracks <- r })
	bob.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnMessage(func(m webrtc.DataChannelMessage) { got <- m })
		labels <- d.Label()
	})
	answer := func() {
		t.Helper()
		offer := until(t, events, (*medianodev1.EventsResponse).GetSubscriberOffer)
		if err := bob.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.Sdp}); err != nil {
			t.Fatalf("the client refuses the offer: %v\n%s", err, offer.Sdp)
		}
		a, err := bob.CreateAnswer(nil)
		if err == nil {
			err = bob.SetLocalDescription(a)
		}
		if err != nil {
			t.Fatal(err)
		}
		call(o, o.Answer, &medianodev1.AnswerRequest{Session: "SE_bob", Sdp: a.SDP})
	}
	answer() // data channels alone
	seen := map[string]bool{within(t, "data channel", labels): true, within(t, "data channel", labels): true}
	if !seen["_reliable"] || !seen["_lossy"] {
		t.Errorf("got data channels %v", seen)
	}
	sub := call(o, o.Subscribe, &medianodev1.SubscribeRequest{Session: "SE_bob", Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "PA_alice|camera"}}})
	if len(sub.Refused) != 0 {
		t.Fatalf("subscribe: refused %v", sub.Refused)
	}
	answer()
	remote := within(t, "remote track", tracks)
	for range 20 {
		if _, _, err := remote.ReadRTP(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		within(t, "open data channel", alice.opened)
	}
	if err := alice.data["_reliable"].Send(dataPacket("to the dual one")); err != nil {
		t.Fatal(err)
	}
	if m := within(t, "data", got); senderOf(t, m.Data) != "alice" {
		t.Errorf("got sender %q", senderOf(t, m.Data))
	}
}
