package orchestrator_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
)

// readGolden reads the sections of a trace.
func readGolden(t *testing.T, path string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{}
	var name string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]")
		default:
			sections[name] = append(sections[name], line)
		}
	}
	return sections
}

// mark returns the trace since the last call, without trickles and repeats.
func (p *person) mark() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := slices.DeleteFunc(slices.Clone(p.trace), func(l string) bool { return strings.HasSuffix(l, " trickle") })
	p.trace = nil
	return slices.Compact(lines)
}

func (p *person) permitAll() {
	p.t.Helper()
	p.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{
		SubscriptionPermission: &livekit.SubscriptionPermission{AllParticipants: true},
	}})
}

// The whole call of the trace, step by step. The node reports media when the
// test says so, as slowly as a real one does.
func TestTrace_basicCallHasTheOrderOfTheRealServer(t *testing.T) {
	golden := readGolden(t, "testdata/basic_single.txt")
	n := newNetwork(t, 1, nil)
	node := n.nodes[0]
	node.auto = false
	check := func(p *person, section string) {
		t.Helper()
		// The two directions cross on the wire: each has its order, and what
		// lies between them is the network's.
		all, want := p.mark(), golden[section]
		for _, direction := range []string{"<-", "->"} {
			only := func(lines []string) []string {
				return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, direction) })
			}
			if !slices.Equal(only(all), only(want)) || len(want) == 0 {
				t.Errorf("%s:\n got %s\nwant %s", section, strings.Join(all, ", "), strings.Join(want, ", "))
				break
			}
		}
	}
	act := func(f func()) { node.mu.Lock(); defer node.mu.Unlock(); f() }

	ann, _ := n.join("ann", "r", "canUpdateOwnMetadata")
	ann.expect("answer")
	ann.sendOffer()
	ann.permitAll()
	ann.expect("answer")
	video := ann.announce("video-1", livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA)
	audio := ann.announce("audio-1", livekit.TrackType_AUDIO, livekit.TrackSource_MICROPHONE)
	ann.lines = append(ann.lines, "send video-1 video", "send audio-1 audio")
	ann.negotiate()
	annSession := node.sessionOf(video.GetSid())
	act(func() { node.connected(annSession) })
	ann.expectUpdate("ann", inState(livekit.ParticipantInfo_ACTIVE))
	act(func() {
		node.live(annSession, video.GetSid(), "6", "video/VP8")
		node.live(annSession, audio.GetSid(), "7", "audio/opus")
	})
	ann.expectUpdate("ann", hasTrack(audio.GetSid()))
	check(ann, "ann alone")

	bob, _ := n.join("bob", "r")
	bob.expect("answer")
	var bobSession string
	act(func() {
		for id := range node.sessions {
			if id != annSession {
				bobSession = id
			}
		}
		node.connected(bobSession)
	})
	bob.expectUpdate("bob", inState(livekit.ParticipantInfo_ACTIVE))
	check(bob, "bob")
	ann.expectUpdate("bob", inState(livekit.ParticipantInfo_ACTIVE))
	for i, track := range []string{video.GetSid(), audio.GetSid()} {
		node.send(subscriptionActive(bobSession, track))
		ann.expect("trackSubscribed")
		if i == 0 {
			node.send(layerDemand(annSession, track, 0, 1, 2))
			ann.expect("subscribedQualityUpdate")
		}
	}
	check(ann, "ann when bob comes and sees her")

	bobAudio := bob.announce("audio-2", livekit.TrackType_AUDIO, livekit.TrackSource_MICROPHONE)
	bob.lines = append(bob.lines, "send audio-2 audio")
	bob.negotiate()
	act(func() { node.live(bobSession, bobAudio.GetSid(), "6", "audio/opus") })
	ann.expect("mediaSectionsRequirement")
	ann.negotiate()
	check(ann, "ann when bob publishes")

	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: "m", RequestId: 7},
	}})
	if got := ann.expect("requestResponse").GetRequestResponse(); got.GetRequestId() != 7 || got.GetReason() != livekit.RequestResponse_OK {
		t.Errorf("answer to the metadata update is %v, want request 7 and OK", got)
	}
	check(ann, "ann changes her metadata")

	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{Mute: &livekit.MuteTrackRequest{Sid: audio.GetSid(), Muted: true}}})
	ann.expectUpdate("ann", mutedTrack(audio.GetSid(), true))
	ann.send(
		&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}},
		&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{PingReq: &livekit.Ping{Timestamp: 1}}})
	ann.expect("pongResp")
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	ann.expect("leave")
	check(ann, "ann mutes, then leaves")
}
