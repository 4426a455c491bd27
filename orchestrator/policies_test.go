package orchestrator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/policy"
)

// withPolicy is an Orchestrator whose only application has a policy.
func withPolicy(t *testing.T, a policy.Application) *network {
	a.Name = testKey
	return newNetwork(t, 1, func(c *orchestrator.Config) { c.Applications = []policy.Application{a} })
}

// moderate asks for something as p.
func (p *person) moderate(action, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.n.o.URL()+"/drtc/v1/rooms/r/"+action, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func attribute(name, value string) func(*livekit.ParticipantInfo) bool {
	return func(p *livekit.ParticipantInfo) bool { return p.GetAttributes()[name] == value }
}

// The first participant is host; the second waits, is let in, and sees the first.
func TestPolicy_aMeetingWithALobby(t *testing.T) {
	n := withPolicy(t, policy.Application{Policy: "host", Host: policy.HostSettings{Lobby: true}})
	alice, joined := n.join("alice", "r")
	if got := joined.GetParticipant().GetAttributes()["drtc.role"]; got != "host" {
		t.Fatalf("alice has the role %q, want host", got)
	}
	sid := alice.publish("alice-audio").GetSid()
	bob, joined := n.join("bob", "r")
	if got := joined.GetParticipant().GetAttributes()["drtc.lobby"]; got != "waiting" || len(joined.GetOtherParticipants()) != 0 {
		t.Fatalf("bob's lobby is %q and he sees %d others, want that he waits and sees nobody", got, len(joined.GetOtherParticipants()))
	}
	alice.expectUpdate("bob", attribute("drtc.lobby", "waiting"))
	if status, text := bob.moderate("accept", `{"identity":"bob"}`); status != http.StatusForbidden {
		t.Errorf("bob lets himself in: got %d, %s", status, text)
	}
	if status, text := alice.moderate("accept", `{"identity":"bob"}`); status != http.StatusOK {
		t.Fatalf("accept: got %d, %s", status, text)
	}
	bob.expectUpdate("alice", hasTrack(sid))
	bob.expectUpdate("bob", func(p *livekit.ParticipantInfo) bool {
		return p.GetAttributes()["drtc.lobby"] == "" && p.GetPermission().GetCanPublish()
	})
	bob.seeTrack(sid)
	if status, text := alice.moderate("host", `{"identity":"bob"}`); status != http.StatusOK {
		t.Fatalf("host: got %d, %s", status, text)
	}
	alice.expectUpdate("bob", attribute("drtc.role", "host"))
	if status, text := bob.moderate("mute", `{"identity":"alice"}`); status != http.StatusOK {
		t.Fatalf("mute: got %d, %s", status, text)
	}
	alice.expect("mute")
}

func TestPolicy_audioOnlyRefusesVideo(t *testing.T) {
	n := withPolicy(t, policy.Application{Policy: "audio"})
	alice, _ := n.join("alice", "r")
	alice.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: "cam", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA,
	}}})
	refused := alice.expect("requestResponse").GetRequestResponse()
	if refused.GetReason() != livekit.RequestResponse_NOT_ALLOWED || !strings.Contains(refused.GetMessage(), "audio only") {
		t.Errorf("got %v, want that it is not allowed in an audio room", refused)
	}
	alice.publish("alice-audio")
}

// What a policy refuses is a 403 with the reason, whichever way somebody comes.
func TestPolicy_refusalsReachTheClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"admit":false,"reason":"members only"}`)
	}))
	defer server.Close()
	n := withPolicy(t, policy.Application{Policy: "webhook", Webhook: policy.WebhookSettings{
		URL: server.URL, Secret: testSecret, OnFailure: policy.OnFailureAdmit,
	}})
	_, resp, err := n.dial(token(t, "alice", "r"), joinRequest(""))
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("got %v, %v, want a 403", resp, err)
	}
	r, err := http.NewRequest(http.MethodPost, n.o.URL()+"/whip/r/alice", strings.NewReader("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"+
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"+
		"a=fingerprint:sha-256 "+strings.Repeat("00:", 31)+"00\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/sdp")
	r.Header.Set("Authorization", "Bearer "+token(t, "alice", "r"))
	resp, err = http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), "members only") {
		t.Errorf("WHIP: got %d, %s, want a 403 with the reason", resp.StatusCode, text)
	}
}

// A policy of the application's own is told who comes, and makes it host.
func TestPolicy_ordersReachTheRoom(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer := `{"admit":true}`
		if strings.Contains(string(body), `"participant_joined"`) {
			answer = `{"orders":[{"do":"host","identity":"alice"}]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	n := withPolicy(t, policy.Application{Policy: "webhook", Webhook: policy.WebhookSettings{
		URL: server.URL, Secret: testSecret, OnFailure: policy.OnFailureRefuse, Events: true,
	}})
	n.nodes[0].auto = true
	alice, _ := n.join("alice", "r")
	alice.negotiate()
	alice.expectUpdate("alice", attribute("drtc.role", "host"))
}
