package orchestrator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator"
)

// resume connects again with the same session.
func (p *person) resume() {
	p.t.Helper()
	jr := joinRequest("")
	jr.Reconnect, jr.ParticipantSid, jr.ReconnectReason = true, p.sid, livekit.ReconnectReason_RR_SIGNAL_DISCONNECTED
	p.seen = nil
	p.connect(jr)
}

func TestResume_sameSessionGoesOn(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	bob, _ := n.join("bob", "r")
	bob.expect("answer")
	cid, _ := n.join("cid", "r")
	ann.expectUpdate("cid", nil)
	n.nodes[0].sequenceOfClient = 42

	ann.ws.CloseNow() //nolint:errcheck // this is the failure
	<-ann.closed
	video := bob.publish("video-1").GetSid() // what happens meanwhile …
	cid.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	bob.expectUpdate("cid", inState(livekit.ParticipantInfo_DISCONNECTED))

	ann.resume()
	first := <-ann.in
	if kindOf(first) != "reconnect" || first.GetReconnect().GetLastMessageSeq() != 42 {
		t.Fatalf("first message after a resume is %v, want reconnect with sequence 42", first)
	}
	// … is told afterwards.
	ann.expectUpdate("cid", inState(livekit.ParticipantInfo_DISCONNECTED))
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
		Subscription: &livekit.UpdateSubscription{}, TrackSidsDisabled: []string{video},
	}}})
	ann.seeTrack(video)
	if got := n.nodes[0].sessionCount(); got != 2 {
		t.Errorf("node has %d sessions, want ann's and bob's", got)
	}
	for _, m := range bob.seen {
		for _, p := range m.GetUpdate().GetParticipants() {
			if p.GetIdentity() == "ann" && p.GetState() == livekit.ParticipantInfo_DISCONNECTED {
				t.Error("bob was told that ann left, want a resume that nobody sees")
			}
		}
	}
}

func TestResume_takesOverFromAnOpenConnection(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	old := ann.closed
	ann.resume()
	ann.expect("reconnect")
	select {
	case <-old:
	case <-time.After(patience):
		t.Error("the old connection is still open")
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}})
	ann.expect("pong")
}

func TestResume_refusesWhatItDoesNotKnow(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	for _, c := range []struct{ name, sid string }{{"ann", "PA_UNKNOWN"}, {"bob", ann.sid}} {
		p := n.newPerson(c.name, "r")
		p.sid = c.sid
		p.resume()
		first := <-p.in
		if got := first.GetLeave(); got.GetReason() != livekit.DisconnectReason_STATE_MISMATCH || got.GetAction() != livekit.LeaveRequest_RECONNECT {
			t.Errorf("%s resuming %s: first message is %v, want leave with STATE_MISMATCH and RECONNECT", c.name, c.sid, first)
		}
		p.expectClosed(websocket.StatusNormalClosure)
	}
}

func TestResume_goesOnInANewSessionWhenTheNodeHasForgotten(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	ann.ws.CloseNow() //nolint:errcheck // this is the failure
	n.nodes[0].mu.Lock()
	clear(n.nodes[0].sessions)
	n.nodes[0].mu.Unlock()
	ann.resume()
	ann.expect("reconnect")
	ann.negotiate()
	if got := n.nodes[0].sessionCount(); got != 1 {
		t.Errorf("the node has %d sessions, want a new one of ann's", got)
	}
}

func TestResume_notAfterTheGraceTime(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.Grace = 200 * time.Millisecond })
	ann, _ := n.join("ann", "r")
	bob, _ := n.join("bob", "r")
	ann.ws.CloseNow() //nolint:errcheck // this is the failure
	gone := bob.expectUpdate("ann", inState(livekit.ParticipantInfo_DISCONNECTED))
	if gone.GetDisconnectReason() != livekit.DisconnectReason_SIGNAL_CLOSE {
		t.Errorf("ann went for %v, want SIGNAL_CLOSE", gone.GetDisconnectReason())
	}
	eventually(t, "ann's session ends", func() bool { return n.nodes[0].sessionCount() == 1 })
	ann.resume()
	ann.expect("leave")
}

func TestResume_acrossARestartOfTheOrchestrator(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	video := ann.publish("video-1").GetSid()
	ann.expectUpdate("ann", hasTrack(video))
	n.stop()
	ann.expectClosed(websocket.StatusGoingAway)
	if got := n.nodes[0].sessionCount(); got != 1 {
		t.Fatalf("node has %d sessions while the orchestrator is away, want 1", got)
	}
	n.start()
	ann.resume()
	ann.expect("reconnect")
	ann.negotiate()
	bob, join := n.join("bob", "r")
	if !hasTrack(video)(join.GetOtherParticipants()[0]) {
		t.Errorf("bob sees %v after the restart, want ann's track", join.GetOtherParticipants())
	}
	bob.expect("answer")
}

func TestJoin_sameIdentityReplacesTheOldOne(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	bob, _ := n.join("bob", "r")
	second, _ := n.join("ann", "r")
	got := ann.expect("leave").GetLeave()
	if got.GetReason() != livekit.DisconnectReason_DUPLICATE_IDENTITY || got.GetAction() != livekit.LeaveRequest_DISCONNECT {
		t.Errorf("the old one is told %v, want DUPLICATE_IDENTITY and DISCONNECT", got)
	}
	ann.expectClosed(websocket.StatusNormalClosure)
	gone := bob.expectUpdate("ann", inState(livekit.ParticipantInfo_DISCONNECTED))
	if gone.GetSid() != ann.sid {
		t.Errorf("bob sees %s go, want the old one, %s", gone.GetSid(), ann.sid)
	}
	bob.expectUpdate("ann", func(p *livekit.ParticipantInfo) bool { return p.GetSid() == second.sid })
	eventually(t, "the old session ends", func() bool { return n.nodes[0].sessionCount() == 2 })
}

func TestJoin_ownFullReconnectIsNoDuplicate(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	bob, _ := n.join("bob", "r")
	ann.ws.CloseNow() //nolint:errcheck // this is the failure
	<-ann.closed
	second, join := n.join("ann", "r")
	if len(join.GetOtherParticipants()) != 1 {
		t.Errorf("ann sees %v, want bob only", join.GetOtherParticipants())
	}
	bob.expectUpdate("ann", func(p *livekit.ParticipantInfo) bool { return p.GetSid() == second.sid })
}

func TestNode_fullOneIsPassedOver(t *testing.T) {
	n := newNetwork(t, 2, nil)
	n.nodes[0].refuse = "no more sessions"
	_, join := n.join("ann", "r")
	if got, want := join.GetServerInfo().GetNodeId(), n.nodes[1].id.String(); got != want {
		t.Errorf("ann is on %s, want the node that takes her, %s", got, want)
	}
}

func TestNode_refusalReachesTheClient(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.AllocateWait = 0 })
	n.nodes[0].refuse = "no more sessions"
	_, resp, err := n.dial(token(t, "ann", "r"), joinRequest(""))
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %v, want 503", resp)
	}
	n.discovery.set()
	_, resp, err = n.dial(token(t, "ann", "r2"), joinRequest(""))
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("without nodes: got %v, want 503", resp)
	}
}

// A node that says that it is overloaded is not asked, and the client hears why.
func TestNode_overloadedOneIsNotAsked(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.AllocateWait = 0 })
	node := n.nodes[0]
	node.mu.Lock()
	node.full = "node is overloaded: it leaves out 40 % of its video"
	node.mu.Unlock()
	room := 0
	eventually(t, "the refusal", func() bool {
		room++
		_, resp, err := n.dial(token(t, "ann", fmt.Sprint("r", room)), joinRequest(""))
		if err == nil {
			return false // the heartbeat is still to come
		}
		body, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "leaves out 40 % of its video")
	})
	asked := len(node.called())
	if _, _, err := n.dial(token(t, "bob", "again"), joinRequest("")); err == nil {
		t.Error("bob got in")
	}
	if got := node.called(); len(got) != asked {
		t.Errorf("the node was called: %v", got[asked:])
	}
}

func TestNode_wrongCertificateIsNotUsed(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.AllocateWait = 300 * time.Millisecond })
	impostor := newFakeNode(t)
	record := impostor.record()
	record.TLSFingerprint[0] ^= 1
	n.discovery.mu.Lock()
	n.discovery.nodes = []discovery.Node{record}
	n.discovery.mu.Unlock()
	n.discovery.changed <- struct{}{}
	_, resp, err := n.dial(token(t, "ann", "r"), joinRequest(""))
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %v, want 503", resp)
	}
	if got := impostor.called(); len(got) != 0 {
		t.Errorf("the impostor was called: %v", got)
	}
}

// lose ends the node that carries a room in one of two ways and checks that
// everybody comes back on another one.
func testNodeLoss(t *testing.T, lose func(*fakeNode), within time.Duration) {
	n := newNetwork(t, 3, nil)
	ann, join := n.join("ann", "r")
	bob, _ := n.join("bob", "r")
	nodeOf := func(j *livekit.JoinResponse) *fakeNode {
		i := slices.IndexFunc(n.nodes, func(f *fakeNode) bool { return f.id.String() == j.GetServerInfo().GetNodeId() })
		return n.nodes[i]
	}
	lost := nodeOf(join)
	// A room on another node, which must not notice.
	var other *person
	for i := 0; other == nil; i++ {
		p, j := n.join("cid", "other-"+strings.Repeat("x", i))
		if nodeOf(j) != lost {
			other = p
		}
	}
	ann.expect("answer") // who has none yet is placed elsewhere and hears of nothing
	bob.expect("answer")
	began := time.Now()
	lose(lost)
	for _, p := range []*person{ann, bob} {
		if got := p.expect("leave").GetLeave(); got.GetAction() != livekit.LeaveRequest_RESUME {
			t.Errorf("%s is told %v, want RESUME", p.name, got)
		}
		p.expectClosed(websocket.StatusNormalClosure)
		for _, m := range p.seen {
			if u := m.GetUpdate(); u != nil && slices.ContainsFunc(u.GetParticipants(), func(i *livekit.ParticipantInfo) bool {
				return i.GetState() == livekit.ParticipantInfo_DISCONNECTED
			}) {
				t.Errorf("%s saw somebody leave", p.name)
			}
		}
	}
	if took := time.Since(began); took > within {
		t.Errorf("everybody was told after %v, want within %v", took, within)
	}
	for _, p := range []*person{ann, bob} { // with the sessions that they have
		p.resume()
		p.expect("reconnect")
		p.negotiate()
	}
	if got := n.restored(); got != 2 {
		t.Errorf("%d sessions were taken up on another node, want ann's and bob's", got)
	}
	other.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{Sdp: other.sdp(), Id: 2}}})
	other.expectThat("answer", func(m *livekit.SignalResponse) bool { return m.GetAnswer().GetId() == 2 })
}

func TestNode_killedOneIsReplaced(t *testing.T) {
	testNodeLoss(t, (*fakeNode).kill, time.Second)
}

func TestNode_frozenOneIsReplaced(t *testing.T) {
	testNodeLoss(t, (*fakeNode).freeze, 3*time.Second)
}

func TestNode_closesSessionsThatItKeptForNobody(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	n.nodes[0].mu.Lock()
	n.nodes[0].sessions["SE_LEFTOVER"] = &fakeSession{}
	var ids []string
	for id := range n.nodes[0].sessions {
		ids = append(ids, id)
	}
	n.nodes[0].emit(resync(ids...))
	n.nodes[0].mu.Unlock()
	eventually(t, "the leftover session is closed", func() bool { return n.nodes[0].sessionCount() == 1 })
	ann.negotiate()
	n.nodes[0].send(resync())
	if got := ann.expect("leave").GetLeave().GetAction(); got != livekit.LeaveRequest_RESUME {
		t.Errorf("a session that the node lost: action %v, want RESUME", got)
	}
}

func TestDrills_onlyWhereAllowed(t *testing.T) {
	drill := &livekit.SignalRequest{Message: &livekit.SignalRequest_Simulate{Simulate: &livekit.SimulateScenario{
		Scenario: &livekit.SimulateScenario_ServerLeave{ServerLeave: true},
	}}}
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.TestDrills = true })
	ann, _ := n.join("ann", "r")
	ann.send(drill)
	ann.expect("leave")
	n = newNetwork(t, 1, nil)
	ann, _ = n.join("ann", "r")
	ann.send(drill)
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}})
	ann.expect("pong")
}

func TestOrchestrator_servesMetricsHealthAndRoot(t *testing.T) {
	n := newNetwork(t, 1, nil)
	n.join("ann", "r")
	if status, body, _ := n.get("/healthz"); status != http.StatusOK || !strings.Contains(body, `"nodes_up":1`) {
		t.Errorf("health is %d %s, want 200 and one node up", status, body)
	}
	status, body, _ := n.get("/metrics")
	for _, want := range []string{
		"drtc_orchestrator_rooms 1", "drtc_orchestrator_sessions 1", "drtc_orchestrator_sockets 1",
		`drtc_orchestrator_connections_total{outcome="accepted"} 1`, `drtc_orchestrator_plans_total{strategy="proximity"} 1`,
		`drtc_orchestrator_node_call_seconds_count{command="OpenSession"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics (%d) lack %s", status, want)
		}
	}
	if status, _, _ := n.get("/"); status != http.StatusOK {
		t.Errorf("root is %d, want 200", status)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodHead, n.o.URL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD of the root: %v %v, want 200", resp, err)
	}
}

func TestOrchestrator_emptyRoomsEnd(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.EmptyTimeout = 100 * time.Millisecond })
	ann, first := n.join("ann", "r")
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	eventually(t, "the room ends", func() bool {
		_, body, _ := n.get("/healthz")
		return strings.Contains(body, `"rooms":0`)
	})
	eventually(t, "its state is deleted", func() bool {
		entries, err := n.store.List(context.Background(), "rooms.")
		return err == nil && len(entries) == 0
	})
	_, second := n.join("ann", "r")
	if first.GetRoom().GetSid() == second.GetRoom().GetSid() {
		t.Error("the new room has the id of the old one")
	}
	if _, body, _ := n.get("/metrics"); !strings.Contains(body, "drtc_orchestrator_store_failures_total 0\n") {
		t.Error("the end of a room counts as a failure of the store")
	}
}

func TestConfig_namesWhatIsWrong(t *testing.T) {
	good := func() orchestrator.Config {
		c := orchestrator.DefaultConfig()
		c.Dir, c.Keys = "x", []orchestrator.Key{{Key: testKey, Secret: testSecret}}
		return c
	}
	c := good()
	if err := c.Validate(); err != nil {
		t.Fatalf("the default is refused: %v", err)
	}
	for want, change := range map[string]func(*orchestrator.Config){
		"listen":           func(c *orchestrator.Config) { c.Listen = "" },
		"dir":              func(c *orchestrator.Config) { c.Dir = "" },
		"keys is empty":    func(c *orchestrator.Config) { c.Keys = nil },
		"secret must have": func(c *orchestrator.Config) { c.Keys[0].Secret = "short" },
		"comes twice":      func(c *orchestrator.Config) { c.Keys = append(c.Keys, c.Keys[0]) },
		"max_nodes":        func(c *orchestrator.Config) { c.MaxNodes = 0 },
		"Grace":            func(c *orchestrator.Config) { c.Grace = 0 },
		"HalfDistanceKm":   func(c *orchestrator.Config) { c.Plan.Allocate.HalfDistanceKm = 0 },
		"tls_key":          func(c *orchestrator.Config) { c.TLSCert = "x" },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
	}
}

func TestResume_takesTheOfferInTheRequest(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	ann.ws.CloseNow() //nolint:errcheck // this is the failure
	<-ann.closed
	jr := joinRequest(ann.sdp())
	jr.Reconnect, jr.ParticipantSid, jr.PublisherOffer.Id = true, ann.sid, 9
	ann.connect(jr)
	ann.expect("reconnect")
	if got := ann.expectThat("answer", func(m *livekit.SignalResponse) bool { return m.GetAnswer().GetId() == 9 }); got == nil {
		t.Error("the offer was not answered")
	}
}
