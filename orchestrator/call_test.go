package orchestrator_test

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
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
