package orchestrator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/orchestrator"
)

func hasTrack(sid string) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool {
		for _, t := range p.GetTracks() {
			if t.GetSid() == sid {
				return true
			}
		}
		return false
	}
}

func mutedTrack(sid string, muted bool) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool {
		for _, t := range p.GetTracks() {
			if t.GetSid() == sid {
				return t.GetMuted() == muted
			}
		}
		return false
	}
}

func inState(s livekit.ParticipantInfo_State) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool { return p.GetState() == s }
}

func TestCall_twoPeoplePublishAndSubscribe(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, join := n.join("ann", "r")
	if got, want := join.GetServerInfo().GetProtocol(), int32(16); got != want {
		t.Errorf("advertised protocol %d, want %d", got, want)
	}
	if got := join.GetServerInfo().GetNodeId(); got != n.nodes[0].id.String() {
		t.Errorf("join names node %s, want %s", got, n.nodes[0].id)
	}
	ann.expect("refreshToken")
	if got := ann.expect("answer").GetAnswer(); got.GetId() != 1 {
		t.Errorf("answer has id %d, want that of the offer, 1", got.GetId())
	}
	video := ann.publish("video-1")
	ann.expectUpdate("ann", hasTrack(video.GetSid()))

	bob, join := n.join("bob", "r")
	if len(join.GetOtherParticipants()) != 1 || !hasTrack(video.GetSid())(join.GetOtherParticipants()[0]) {
		t.Fatalf("bob sees %v, want ann with her track", join.GetOtherParticipants())
	}
	answer := bob.expect("answer").GetAnswer()
	if len(answer.GetMidToTrackId()) != 1 {
		t.Errorf("bob's first answer carries %v, want ann's track", answer.GetMidToTrackId())
	}
	ann.expectUpdate("bob", nil)
	if got := ann.expect("trackSubscribed").GetTrackSubscribed().GetTrackSid(); got != video.GetSid() {
		t.Errorf("ann hears that %s is subscribed, want %s", got, video.GetSid())
	}
	quality := ann.expect("subscribedQualityUpdate").GetSubscribedQualityUpdate()
	if c := quality.GetSubscribedCodecs()[0]; c.GetCodec() != "vp8" || len(c.GetQualities()) != 3 || !c.GetQualities()[2].GetEnabled() {
		t.Errorf("wanted qualities are %v, want all three of vp8", quality)
	}

	audio := bob.publish("audio-1")
	ann.expectUpdate("bob", hasTrack(audio.GetSid()))
	ann.expect("subscriptionPermissionUpdate")
	ann.expect("mediaSectionsRequirement")
	ann.seeTrack(audio.GetSid())
	bob.expect("trackSubscribed")

	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	if got := bob.expect("leave").GetLeave(); got.GetAction() != livekit.LeaveRequest_DISCONNECT {
		t.Errorf("echo of the leave has action %v, want DISCONNECT", got.GetAction())
	}
	bob.expectClosed(websocket.StatusNormalClosure)
	ann.expectUpdate("bob", inState(livekit.ParticipantInfo_DISCONNECTED))
	eventually(t, "bob's session ends", func() bool { return n.nodes[0].sessionCount() == 1 })
}

func TestCall_threePeopleSeeEachOther(t *testing.T) {
	n := newNetwork(t, 1, nil)
	var people []*person
	tracks := map[string]string{}
	for _, name := range []string{"ann", "bob", "cid"} {
		p, _ := n.join(name, "r")
		people = append(people, p)
		p.expect("answer")
		tracks[name] = p.publish("video-" + name).GetSid()
	}
	for _, p := range people {
		want := map[string]bool{}
		for name, sid := range tracks {
			if name != p.name {
				want[sid] = true
			}
		}
		// Sections appear as the others' tracks become live.
		eventually(t, p.name+" is sent both other tracks", func() bool {
			got := p.negotiate().GetMidToTrackId()
			seen := 0
			for _, sid := range got {
				if want[sid] {
					seen++
				}
			}
			return seen == 2 && len(got) == 2
		})
	}
	if got := n.nodes[0].sessionCount(); got != 3 {
		t.Errorf("node has %d sessions, want 3", got)
	}
}

func TestCall_unsubscribeAndSettingsReachTheNode(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	video := ann.publish("video-1").GetSid()
	ann.expectUpdate("ann", hasTrack(video)) // it is live: bob is subscribed as he joins
	bob, _ := n.join("bob", "r")
	bob.expect("answer")
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{
		TrackSids: []string{video}, Width: 320, Height: 180,
	}}})
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{
		TrackSids: []string{video}, Quality: livekit.VideoQuality_MEDIUM,
	}}})
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{
		TrackSids: []string{video}, Subscribe: false,
	}}})
	bob.expect("mediaSectionsRequirement")
	if got := bob.negotiate().GetMidToTrackId(); len(got) != 0 {
		t.Errorf("after unsubscribing the answer carries %v, want nothing", got)
	}
	for _, want := range []string{"settings 320x180 layer=0 disabled=false", "settings 0x0 layer=2 disabled=false", "unsubscribe 1"} {
		if !slices.Contains(n.nodes[0].called(), want) {
			t.Errorf("node was not told %q; it was told %v", want, n.nodes[0].called())
		}
	}
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{
		ParticipantTracks: []*livekit.ParticipantTracks{{ParticipantSid: ann.sid, TrackSids: []string{video}}}, Subscribe: true,
	}}})
	bob.expect("mediaSectionsRequirement")
	bob.seeTrack(video)
}

func TestCall_unpublishedTrackGoesEverywhere(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	video := ann.publish("video-1").GetSid()
	bob, join := n.join("bob", "r")
	if len(join.GetOtherParticipants()[0].GetTracks()) != 1 {
		bob.expectUpdate("ann", hasTrack(video))
	}
	n.nodes[0].send(trackEnded(n.nodes[0].sessionOf(video), video))
	if got := ann.expect("trackUnpublished").GetTrackUnpublished().GetTrackSid(); got != video {
		t.Errorf("ann hears that %s is unpublished, want %s", got, video)
	}
	bob.expectUpdate("ann", func(p *livekit.ParticipantInfo) bool { return len(p.GetTracks()) == 0 && p.GetVersion() > 2 })
}

func TestCall_speakersAndQualityAreReported(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.ReportInterval = 200 * time.Millisecond })
	ann, join := n.join("ann", "r")
	ann.expect("answer")
	audio := ann.publish("audio-1").GetSid()
	bob, _ := n.join("bob", "r")
	session := n.nodes[0].sessionOf(audio)
	n.nodes[0].send(speakers(join.GetRoom().GetSid(), session, 0.5))
	for _, p := range []*person{ann, bob} {
		s := p.expect("speakersChanged").GetSpeakersChanged().GetSpeakers()
		if len(s) != 1 || s[0].GetSid() != ann.sid || s[0].GetLevel() != 0.5 || !s[0].GetActive() {
			t.Errorf("%s hears speakers %v, want ann at 0.5", p.name, s)
		}
	}
	n.nodes[0].send(speakers(join.GetRoom().GetSid(), "", 0))
	if s := bob.expect("speakersChanged").GetSpeakersChanged().GetSpeakers(); len(s) != 1 || s[0].GetActive() {
		t.Errorf("bob hears speakers %v, want ann silent", s)
	}
	n.nodes[0].send(report(session, 20_000, 0.3))
	q := bob.expect("connectionQuality").GetConnectionQuality().GetUpdates()
	if len(q) != 1 || q[0].GetParticipantSid() != ann.sid || q[0].GetQuality() != livekit.ConnectionQuality_POOR {
		t.Errorf("bob hears qualities %v, want ann's as poor", q)
	}
	bob.expectThat("roomUpdate", func(m *livekit.SignalResponse) bool {
		r := m.GetRoomUpdate().GetRoom()
		return r.GetNumParticipants() == 2 && r.GetNumPublishers() == 1
	})
	status, body, header := n.get("/drtc/v1/session?access_token=" + ann.token)
	if status != 200 || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("session answer is %d %s with headers %v", status, body, header)
	}
	s := decode[struct {
		Node struct {
			ID, Region string
			PlaceName  string `json:"place_name"`
		}
		RoundTrip *float64 `json:"rtt_ms"`
		Loss      float64
		Reasons   []string
	}](t, body)
	if s.Node.ID != n.nodes[0].id.String() || s.Node.PlaceName != "Testville" || s.RoundTrip == nil || *s.RoundTrip != 20 || s.Loss < 0.29 || len(s.Reasons) == 0 {
		t.Errorf("session answer is %s, want the node, 20 ms, 0.3 loss and reasons", body)
	}
	if status, _, _ := n.get("/drtc/v1/session?access_token=" + token(t, "nobody", "r")); status != 404 {
		t.Errorf("session of somebody who is not there: status %d, want 404", status)
	}
}

func TestSession_roundTripIsNullUntilItIsMeasured(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	status, body, _ := n.get("/drtc/v1/session?access_token=" + ann.token)
	if status != 200 || !strings.Contains(body, `"rtt_ms":null`) {
		t.Errorf("session answer is %d %s, want 200 and no round trip yet", status, body)
	}
}

func TestCall_candidatesTravelBothWays(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	var final []bool
	for range 2 {
		final = append(final, ann.expect("trickle").GetTrickle().GetFinal())
	}
	if !slices.Equal(final, []bool{false, true}) {
		t.Errorf("final marks of the node's candidates are %v, want the last one only", final)
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{
		CandidateInit: `{"candidate":"candidate:9 1 udp 1 192.0.2.1 5 typ host","sdpMid":"0"}`,
	}}})
	eventually(t, "the candidate reaches the node", func() bool {
		return slices.Contains(n.nodes[0].called(), "candidates candidate:9 1 udp 1 192.0.2.1 5 typ host")
	})
}
