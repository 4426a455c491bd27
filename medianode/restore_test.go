package medianode_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// arrive makes the first offer of a client that comes from another node.
func (p *participant) arrive(restore *medianodev1.Restore, change func(sdp string) string, announce ...*medianodev1.Publication) *medianodev1.OfferResponse {
	p.o.t.Helper()
	offer, err := p.CreateOffer(nil)
	if err == nil {
		err = p.SetLocalDescription(offer)
	}
	if err != nil {
		p.o.t.Fatal(err)
	}
	if change != nil {
		offer.SDP = change(offer.SDP)
	}
	r := call(p.o, p.o.Offer, &medianodev1.OfferRequest{Session: p.session, Sdp: offer.SDP, Publications: announce, Restore: restore})
	if err := p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.Sdp}); err != nil {
		p.o.t.Fatalf("the client refuses the answer: %v\n%s", err, r.Sdp)
	}
	return r
}

// watching is a client with sections to receive video on, one for each track.
func (o *orchestrator) watching(name string, sections int) *participant {
	o.t.Helper()
	p := o.join(name, everything())
	for range sections {
		if _, err := p.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			o.t.Fatal(err)
		}
	}
	return p
}

func (o *orchestrator) camera(mime string) (*participant, *webrtc.TrackLocalStaticRTP) {
	o.t.Helper()
	alice := o.join("alice", everything())
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}, "cam", "s")
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := alice.AddTrack(video); err != nil {
		o.t.Fatal(err)
	}
	return alice, video
}

func camera() *medianodev1.Publication {
	return &medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO}
}

func promise(mid, track string) *medianodev1.RestoredTrack {
	return &medianodev1.RestoredTrack{Mid: mid, Track: track, Stream: "PA_alice|camera", Kind: medianodev1.Kind_KIND_VIDEO, Mime: "video/VP8"}
}

func (o *orchestrator) subscribe(p *participant, track string) *medianodev1.SubscribeResponse {
	o.t.Helper()
	return call(o, o.Subscribe, &medianodev1.SubscribeRequest{
		Session: p.session, Subscriptions: []*medianodev1.Subscription{{Track: track, Stream: "PA_alice|camera"}},
	})
}

// Whichever comes first, the subscription or the track, it flows on the section
// that the client has, and nobody is asked for an offer.
func TestRestore_aPromisedTrackFlowsWithoutANegotiation(t *testing.T) {
	for name, early := range map[string]bool{"subscribed before it comes": true, "subscribed when it is there": false} {
		for setup, change := range setups {
			t.Run(name+", "+setup, func(t *testing.T) {
				o := newOrchestrator(t, startNode(t, change))
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				events := o.events(ctx)
				bob := o.watching("bob", 2)
				tracks := make(chan *webrtc.TrackRemote, 1)
				bob.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { tracks <- r })
				got := bob.arrive(&medianodev1.Restore{Tracks: []*medianodev1.RestoredTrack{promise("1", "TR_cam")}}, nil)
				if len(got.MidToTrack) != 1 || got.MidToTrack["1"] != "TR_cam" || !strings.Contains(got.Sdp, "a=msid:PA_alice|camera TR_cam") {
					t.Fatalf("mid to track: got %v, want TR_cam on mid 1, in\n%s", got.MidToTrack, got.Sdp)
				}
				subscribe := func() {
					if r := o.subscribe(bob, "TR_cam"); r.NegotiationNeeded || r.MissingVideo != 0 || len(r.Refused) != 0 {
						t.Errorf("subscribe: got %v, want nothing to do", r)
					}
				}
				if early {
					subscribe()
				}
				alice, video := o.camera(webrtc.MimeTypeVP8)
				alice.negotiate(camera())
				stop := make(chan struct{})
				defer close(stop)
				go sendFrames(video, stop)
				until(t, events, (*medianodev1.EventsResponse).GetTrackLive)
				if !early {
					subscribe()
				}
				remote := within(t, "remote track", tracks)
				if remote.ID() != "TR_cam" || remote.StreamID() != "PA_alice|camera" {
					t.Errorf("got track %q of stream %q", remote.ID(), remote.StreamID())
				}
				for range 30 {
					if _, _, err := remote.ReadRTP(); err != nil {
						t.Fatal(err)
					}
				}
				active := until(t, events, func(e *medianodev1.EventsResponse) *medianodev1.SubscriptionActive {
					if n := e.GetNegotiationNeeded(); n != nil {
						t.Errorf("negotiation needed: %v", n)
					}
					return e.GetSubscriptionActive()
				})
				if active.Session != bob.session || active.Track != "TR_cam" {
					t.Errorf("active: got %v", active)
				}
			})
		}
	}
}

func TestRestore_aTrackOfAnotherCodecNeedsANegotiation(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := o.events(ctx)
	bob := o.watching("bob", 1)
	onlyVP8 := func(sdp string) string { // the client's section was negotiated for VP8 alone
		return regexp.MustCompile(`(?m)^(m=video \d+ \S+).*\r\n`).ReplaceAllString(sdp, "$1 96 97\r\n")
	}
	bob.arrive(&medianodev1.Restore{Tracks: []*medianodev1.RestoredTrack{promise("0", "TR_cam")}}, onlyVP8)
	if r := o.subscribe(bob, "TR_cam"); r.NegotiationNeeded || len(r.Refused) != 0 {
		t.Fatalf("subscribe: got %v, want it remembered", r)
	}
	alice, _ := o.camera(webrtc.MimeTypeVP9)
	announced := camera()
	announced.Mime = "video/VP9"
	alice.negotiate(announced)
	needed := until(t, events, (*medianodev1.EventsResponse).GetNegotiationNeeded)
	if needed.Session != bob.session {
		t.Errorf("got %v, want one of bob", needed)
	}
}

func TestRestore_whatNobodySubscribesToIsDroppedByTheNextNegotiation(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	bob := o.watching("bob", 2)
	restore := &medianodev1.Restore{Tracks: []*medianodev1.RestoredTrack{promise("0", "TR_cam"), promise("1", "TR_gone")}}
	if got := bob.arrive(restore, nil); len(got.MidToTrack) != 2 {
		t.Fatalf("got %v, want both tracks placed", got.MidToTrack)
	}
	o.subscribe(bob, "TR_cam")
	if got := bob.negotiate(); len(got.MidToTrack) != 1 || got.MidToTrack["0"] != "TR_cam" {
		t.Errorf("got %v, want TR_cam alone", got.MidToTrack)
	}
	if r := o.subscribe(bob, "TR_gone"); r.Refused["TR_gone"] == "" {
		t.Errorf("got %v: the promise is over, and the track is not here", r)
	}
	call(o, o.Unsubscribe, &medianodev1.UnsubscribeRequest{Session: bob.session, Tracks: []string{"TR_cam"}})
	if r := o.subscribe(bob, "TR_cam"); r.Refused["TR_cam"] == "" {
		t.Errorf("got %v: an unsubscribed track that is not here", r)
	}
}

// A simulcast publisher labels its packets only until a receiver has reported on
// them: what is sent on which section is known from the other node alone.
func TestRestore_streamsWithoutALabelAreKnown(t *testing.T) {
	for name, known := range map[string]bool{"restored": true, "not restored": false} {
		t.Run(name, func(t *testing.T) {
			o := newOrchestrator(t, startNode(t, nil))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			events := o.events(ctx)
			alice, video := o.camera(webrtc.MimeTypeVP8)
			ssrc := uint32(alice.GetSenders()[0].GetParameters().Encodings[0].SSRC)
			restore := &medianodev1.Restore{}
			if known {
				restore.Sources = []*medianodev1.RestoredSource{{Mid: "0", Rid: "q", Ssrc: 7}, {Mid: "0", Rid: "f", Ssrc: ssrc, RepairSsrc: 9}}
			}
			simulcast := func(sdp string) string {
				sdp = regexp.MustCompile(`(?m)^a=ssrc.*\r\n`).ReplaceAllString(sdp, "")
				return strings.Replace(sdp, "a=mid:0\r\n", "a=mid:0\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n", 1)
			}
			if got := alice.arrive(restore, simulcast, camera()); len(got.Published) != 1 || got.Published[0].Track != "TR_cam" {
				t.Fatalf("published: got %v\n%s", got.Published, got.Sdp)
			}
			stop := make(chan struct{})
			defer close(stop)
			go sendFrames(video, stop)
			if !known {
				until(t, events, func(e *medianodev1.EventsResponse) *medianodev1.SessionReport {
					if e.GetTrackLive() != nil {
						t.Errorf("a stream without a label became %v", e.GetTrackLive())
					}
					for _, r := range e.GetHeartbeat().GetReports() {
						if r.Figures.Connected {
							return r
						}
					}
					return nil
				})
				return
			}
			live := until(t, events, (*medianodev1.EventsResponse).GetTrackLive)
			if len(live.Layers) != 1 || live.Layers[0].Rid != "f" || live.Layers[0].Ssrc != ssrc || live.Mid != "0" {
				t.Errorf("got %v, want layer f with SSRC %d", live, ssrc)
			}
		})
	}
}

// The client does not open its data channels again: it believes that they are.
func TestRestore_dataChannelsAreOpenAtOnce(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	alice := o.join("alice", everything())
	alice.negotiate()
	bob := o.watching("bob", 1)
	for _, d := range bob.data {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var channels []*medianodev1.RestoredChannel
	opened := make(chan *webrtc.DataChannel, 3)
	for i, label := range []string{"_reliable", "_lossy", "other"} {
		negotiated, id := true, uint16(2*i)
		init := &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id}
		if label == "_lossy" {
			ordered, zero := false, uint16(0)
			init.Ordered, init.MaxRetransmits = &ordered, &zero
		}
		d, err := bob.CreateDataChannel(label, init)
		if err != nil {
			t.Fatal(err)
		}
		d.OnMessage(func(m webrtc.DataChannelMessage) { bob.got <- m })
		d.OnOpen(func() { opened <- d })
		bob.data[label] = d
		channels = append(channels, &medianodev1.RestoredChannel{Label: label, Id: uint32(id)})
	}
	bob.arrive(&medianodev1.Restore{Channels: channels}, nil)
	for range 3 {
		within(t, "channel", opened)
	}
	for range 2 {
		within(t, "data channel of alice", alice.opened)
	}
	for _, label := range []string{"_reliable", "_lossy"} {
		if err := bob.data[label].Send(dataPacket("from bob")); err != nil {
			t.Fatal(err)
		}
		if sender := senderOf(t, within(t, "data of bob on "+label, alice.got).Data); sender != "bob" {
			t.Errorf("%s: got sender %q, want bob", label, sender)
		}
		if err := alice.data[label].Send(dataPacket("from alice")); err != nil {
			t.Fatal(err)
		}
		if sender := senderOf(t, within(t, "data of alice on "+label, bob.got).Data); sender != "alice" {
			t.Errorf("%s: got sender %q, want alice", label, sender)
		}
	}
}

func TestRestore_refusesByName(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	bob := o.watching("bob", 1)
	offer, err := bob.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	try := func(session, sdp string, r *medianodev1.Restore) error {
		_, err := o.Offer(t.Context(), connect.NewRequest(&medianodev1.OfferRequest{Session: session, Sdp: sdp, Restore: r}))
		return err
	}
	one := promise("0", "TR_cam")
	for field, bad := range map[string]*medianodev1.Restore{
		"restore.tracks[0]":  {Tracks: []*medianodev1.RestoredTrack{{Mid: "1", Track: "a b", Stream: "s"}}},
		"restore.tracks[1]":  {Tracks: []*medianodev1.RestoredTrack{one, promise("2", "TR_cam")}},
		"mid":                {Tracks: []*medianodev1.RestoredTrack{one, promise("0", "TR_other")}},
		"sources[0]":         {Sources: []*medianodev1.RestoredSource{{Mid: "1"}}},
		"restore.channels[1": {Channels: []*medianodev1.RestoredChannel{{Label: "a", Id: 2}, {Label: "b", Id: 2}}},
		"restore.channels[0": {Channels: []*medianodev1.RestoredChannel{{Label: "a", Id: 65535}}},
		"at most 8, got 9":   {Channels: make([]*medianodev1.RestoredChannel, 9)},
	} {
		if err := try(bob.session, offer.SDP, bad); connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, field) {
			t.Errorf("got %v, want invalid_argument that names %s", err, field)
		}
	}
	good := &medianodev1.Restore{Tracks: []*medianodev1.RestoredTrack{one}, Channels: []*medianodev1.RestoredChannel{{Label: "_reliable", Id: 0}}}
	if err := try(bob.session, "v=0\r\nrubbish", good); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("got %v, want invalid_argument", err)
	}
	if got := bob.arrive(good, nil); got.MidToTrack["0"] != "TR_cam" {
		t.Errorf("after refused offers: got %v, want the track placed", got.MidToTrack)
	}
	if err := try(bob.session, offer.SDP, good); connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, "first offer") {
		t.Errorf("a second time: got %v, want invalid_argument", err)
	}
	call(o, o.CreateSession, &medianodev1.CreateSessionRequest{
		Session: "SE_dual", Mode: medianodev1.Mode_MODE_DUAL, Room: "RM_1", Participant: "PA_dual", Identity: "dual", Permissions: everything(),
	})
	if err := try("SE_dual", offer.SDP, good); connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, "MODE_SINGLE") {
		t.Errorf("a dual session: got %v, want invalid_argument", err)
	}
	call(o, o.CreateSession, &medianodev1.CreateSessionRequest{
		Session: "SE_deaf", Mode: medianodev1.Mode_MODE_SINGLE, Room: "RM_1", Participant: "PA_deaf", Identity: "deaf",
	})
	r := call(o, o.Offer, &medianodev1.OfferRequest{Session: "SE_deaf", Sdp: offer.SDP, Restore: good})
	if len(r.MidToTrack) != 0 {
		t.Errorf("without the permission to subscribe: got %v", r.MidToTrack)
	}
}
