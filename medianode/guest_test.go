package medianode_test

import (
	"context"
	"slices"
	"testing"

	"connectrpc.com/connect"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// in is the site for those who join another room than RM_1.
func (s *site) in(room string) *site {
	there, o := *s, *s.orchestrator
	o.room = room
	there.orchestrator = &o
	return &there
}

// guest makes a session in RM_1 that shows the camera and the microphone of a
// source in another room.
func (s *site) guest(name string, of *source) {
	s.t.Helper()
	call(s.orchestrator, s.CreateSession, &medianodev1.CreateSessionRequest{
		Session: "SE_" + name, Mode: medianodev1.Mode_MODE_GUEST, Room: "RM_1", Participant: "PA_" + name, Identity: name, Application: "shop",
	})
	for _, kind := range []string{"TR_cam-", "TR_mic-"} {
		call(s.orchestrator, s.AliasTrack, &medianodev1.AliasTrackRequest{
			Session: "SE_" + name, SourceSession: of.session, SourceTrack: kind + of.session[len("SE_"):], Track: kind + name,
		})
	}
}

func trackLive(session, track string) func(*medianodev1.EventsResponse) bool {
	return func(e *medianodev1.EventsResponse) bool {
		l := e.GetTrackLive()
		return l.GetSession() == session && l.GetTrack() == track && l.GetMime() != ""
	}
}

// A participant of one room is seen in another one, on its own node and on
// another, as in its own.
func TestGuest_isSeenInAnotherRoom(t *testing.T) {
	c := newCommander(t)
	x, y := c.add(nil), c.add(nil)
	c.link("XY", x, y)
	c.route(y, map[*site]string{x: "XY"})
	alice := x.in("RM_0").source("alice")
	x.events.await("her camera", 0, trackLive("SE_alice", "TR_cam-alice"))
	x.guest("guest", alice)
	x.events.await("the guest's camera", 0, trackLive("SE_guest", "TR_cam-guest"))
	y.hasTracks("guest")

	carol := y.watch("carol", "guest", size(1280, 720))
	carol.sees("f", 20)
	carol.hears(20)
	// She alone wants the best picture, and the publisher is told so.
	x.events.await("demand of the highest layer", 0, func(e *medianodev1.EventsResponse) bool {
		d := e.GetLayerDemand()
		return d.GetSession() == "SE_alice" && d.GetTrack() == "TR_cam-alice" && slices.Contains(d.GetLayers(), 2)
	})
	bob := x.watch("bob", "guest", size(1280, 720))
	bob.sees("f", 20)
	dave := x.in("RM_0").watch("dave", "alice", size(320, 180))
	dave.sees("q", 20)

	muted := func(session, track string, muted bool) {
		t.Helper()
		call(x.orchestrator, x.MuteTrack, &medianodev1.MuteTrackRequest{Session: session, Track: track, Muted: muted})
	}
	muted("SE_alice", "TR_cam-alice", true)
	carol.seesNothing()
	bob.seesNothing()
	muted("SE_guest", "TR_cam-guest", true)
	muted("SE_alice", "TR_cam-alice", false)
	dave.sees("q", 20)
	carol.seesNothing()
	bob.seesNothing()
	muted("SE_guest", "TR_cam-guest", false)
	carol.sees("f", 20)
	bob.sees("f", 20)

	atX, atY := x.events.mark(), y.events.mark()
	call(x.orchestrator, x.Unpublish, &medianodev1.UnpublishRequest{Session: "SE_alice", Track: "TR_cam-alice"})
	x.events.await("the end of the guest's camera", atX, func(e *medianodev1.EventsResponse) bool {
		return e.GetTrackEnded().GetSession() == "SE_guest" && e.GetTrackEnded().GetTrack() == "TR_cam-guest"
	})
	y.events.await("its end on the other node", atY, available("TR_cam-guest", false))
	carol.hears(20)
	call(x.orchestrator, x.CloseSession, &medianodev1.CloseSessionRequest{Session: "SE_guest"})
	y.events.await("the end of the guest", atY, available("TR_mic-guest", false))
	if r := call(x.orchestrator, x.Subscribe, &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_mic-guest", Stream: "s"}}}); r.Refused["TR_mic-guest"] == "" {
		t.Error("a track of a guest that has gone was subscribed to")
	}
}

// A guest that comes before its source has sent anything is told when it does.
func TestGuest_waitsForItsSource(t *testing.T) {
	c := newCommander(t)
	x := c.add(nil)
	alice := x.in("RM_0").source("alice")
	x.guest("guest", alice)
	x.events.await("the guest's camera", 0, trackLive("SE_guest", "TR_cam-guest"))
	x.events.await("the guest's microphone", 0, trackLive("SE_guest", "TR_mic-guest"))
	// The client that goes takes everything with it.
	mark := x.events.mark()
	call(x.orchestrator, x.CloseSession, &medianodev1.CloseSessionRequest{Session: alice.session})
	for _, track := range []string{"TR_cam-guest", "TR_mic-guest"} {
		x.events.await("the end of "+track, mark, func(e *medianodev1.EventsResponse) bool {
			return e.GetTrackEnded().GetSession() == "SE_guest" && e.GetTrackEnded().GetTrack() == track
		})
	}
	// And may come back, as may the guest's tracks by their names.
	again := x.in("RM_0").source("alice")
	mark = x.events.mark()
	for _, kind := range []string{"TR_cam-", "TR_mic-"} {
		call(x.orchestrator, x.AliasTrack, &medianodev1.AliasTrackRequest{
			Session: "SE_guest", SourceSession: again.session, SourceTrack: kind + "alice", Track: kind + "guest",
		})
	}
	x.events.await("the guest's camera again", mark, trackLive("SE_guest", "TR_cam-guest"))
	x.watch("bob", "guest", size(640, 360)).sees("h", 20)
}

func TestGuest_takesNoPlaceOfAClient(t *testing.T) {
	c := newCommander(t)
	x := c.add(nil)
	alice := x.in("RM_0").source("alice")
	x.guest("guest", alice)
	count := func(when string) {
		t.Helper()
		beat := x.events.await("heartbeat", x.events.mark(), func(e *medianodev1.EventsResponse) bool { return e.GetHeartbeat() != nil }).GetHeartbeat()
		if beat.Sessions != 1 {
			t.Errorf("%s: the node tells of %d sessions, want alice's alone", when, beat.Sessions)
		}
	}
	count("with the guest")
	call(x.orchestrator, x.CloseSession, &medianodev1.CloseSessionRequest{Session: "SE_guest"})
	count("without it")
}

func TestAliasTrack_refuses(t *testing.T) {
	c := newCommander(t)
	x := c.add(nil)
	alice := x.in("RM_0").source("alice")
	x.guest("guest", alice)
	x.emptyGuest("SE_other", "RM_2", "other application")
	x.emptyGuest("SE_home", "RM_0", "shop")
	x.emptyGuest("SE_third", "RM_3", "shop")
	x.join("bob", everything())
	alias := func(session, sourceSession, source, track string) *medianodev1.AliasTrackRequest {
		return &medianodev1.AliasTrackRequest{Session: session, SourceSession: sourceSession, SourceTrack: source, Track: track}
	}
	stranger := newOrchestrator(t, x.node)
	for name, test := range map[string]struct {
		by   *orchestrator
		m    *medianodev1.AliasTrackRequest
		want connect.Code
	}{
		"a session that is not there":    {x.orchestrator, alias("SE_none", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodeNotFound},
		"a client's session":             {x.orchestrator, alias("SE_bob", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodeInvalidArgument},
		"a session of somebody else":     {stranger, alias("SE_third", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodeNotFound},
		"no track":                       {x.orchestrator, alias("SE_third", "SE_alice", "TR_none", "TR_x"), connect.CodeNotFound},
		"a track of another session":     {x.orchestrator, alias("SE_third", "SE_bob", "TR_cam-alice", "TR_x"), connect.CodeNotFound},
		"no name":                        {x.orchestrator, alias("SE_third", "SE_alice", "TR_cam-alice", ""), connect.CodeInvalidArgument},
		"a name that is taken":           {x.orchestrator, alias("SE_third", "SE_alice", "TR_cam-alice", "TR_mic-alice"), connect.CodeAlreadyExists},
		"a name that another guest has":  {x.orchestrator, alias("SE_third", "SE_alice", "TR_cam-alice", "TR_cam-guest"), connect.CodeAlreadyExists},
		"an alias of an alias":           {x.orchestrator, alias("SE_third", "SE_guest", "TR_cam-guest", "TR_x"), connect.CodeInvalidArgument},
		"the room that it is in anyhow":  {x.orchestrator, alias("SE_home", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodeInvalidArgument},
		"another application's track":    {x.orchestrator, alias("SE_other", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodePermissionDenied},
		"a second name in the same room": {x.orchestrator, alias("SE_guest", "SE_alice", "TR_cam-alice", "TR_x"), connect.CodeAlreadyExists},
	} {
		if _, err := test.by.AliasTrack(context.Background(), connect.NewRequest(test.m)); connect.CodeOf(err) != test.want {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	// A guest is no client.
	if _, err := x.Offer(context.Background(), connect.NewRequest(&medianodev1.OfferRequest{Session: "SE_guest", Sdp: "v=0"})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("an offer of a guest: got %v, want InvalidArgument", err)
	}
	r := call(x.orchestrator, x.Subscribe, &medianodev1.SubscribeRequest{Session: "SE_third", Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam-guest", Stream: "s"}}})
	if r.Refused["TR_cam-guest"] == "" {
		t.Error("a guest was subscribed to a track")
	}
	// What was refused has left nothing behind.
	call(x.orchestrator, x.AliasTrack, alias("SE_third", "SE_alice", "TR_cam-alice", "TR_x"))
	call(x.orchestrator, x.AliasTrack, alias("SE_third", "SE_alice", "TR_cam-alice", "TR_x"))
}

// emptyGuest makes a guest session that shows nothing yet.
func (s *site) emptyGuest(session, room, application string) {
	s.t.Helper()
	call(s.orchestrator, s.CreateSession, &medianodev1.CreateSessionRequest{
		Session: session, Mode: medianodev1.Mode_MODE_GUEST, Room: room, Participant: "PA_" + session, Identity: session, Application: application,
	})
}
