package medianode_test

import (
	"context"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

func TestNode_dataGoesToWhomItNames(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	var people []*participant
	for _, name := range []string{"alice", "bob", "carol"} {
		p := o.join(name, everything())
		p.negotiate()
		people = append(people, p)
	}
	alice, bob, carol := people[0], people[1], people[2]
	for _, p := range people {
		for range 2 {
			within(t, "open data channel", p.opened)
		}
	}
	// The node knows a channel just after its client: a packet of each first.
	for _, p := range people {
		if err := p.data["_reliable"].Send(dataPacket("hello")); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range people {
		for range 2 {
			within(t, "greeting", p.got)
		}
	}
	secret := protowire.AppendString(protowire.AppendTag(dataPacket("for carol"), 5, protowire.BytesType), "carol")
	if err := alice.data["_reliable"].Send(secret); err != nil {
		t.Fatal(err)
	}
	if err := alice.data["_reliable"].Send(dataPacket("for all")); err != nil {
		t.Fatal(err)
	}
	if m := within(t, "what is for carol", carol.got); !strings.Contains(string(m.Data), "for carol") {
		t.Errorf("carol got %q first, want what is for her", m.Data)
	}
	if m := within(t, "what is for all", bob.got); !strings.Contains(string(m.Data), "for all") {
		t.Errorf("bob got %q, want only what is for all", m.Data)
	}

	// The Orchestrator's own packet, to one session.
	call(o, o.SendData, &medianodev1.SendDataRequest{Room: "RM_1", Sessions: []string{bob.session}, Reliable: true, Packet: dataPacket("from the server")})
	within(t, "the server's packet", bob.got)

	call(o, o.UpdateSession, &medianodev1.UpdateSessionRequest{Session: alice.session, Permissions: &medianodev1.Permissions{Subscribe: true}})
	if err := alice.data["_reliable"].Send(dataPacket("not allowed any more")); err != nil {
		t.Fatal(err)
	}
	if err := carol.data["_reliable"].Send(dataPacket("the next")); err != nil {
		t.Fatal(err)
	}
	if m := within(t, "the next packet", bob.got); senderOf(t, m.Data) != "carol" {
		t.Errorf("got a packet of %q, who may not send data", senderOf(t, m.Data))
	}
}

// Who waits to be let in may nothing: it gets what names it, and nothing that is
// said to everybody.
func TestNode_whoMayNothingHearsNothing(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	alice, bob := o.join("alice", everything()), o.join("bob", &medianodev1.Permissions{})
	for _, p := range []*participant{alice, bob} {
		p.negotiate()
		for range 2 {
			within(t, "open data channel", p.opened)
		}
	}
	// The node knows a channel just after its client: packets that are answered
	// first. Bob's own goes nowhere.
	for len(bob.got) == 0 {
		call(o, o.SendData, &medianodev1.SendDataRequest{Room: "RM_1", Sessions: []string{bob.session}, Reliable: true, Packet: dataPacket("are you there")})
	}
	for len(bob.got) > 0 {
		<-bob.got
	}
	if err := alice.data["_reliable"].Send(dataPacket("among us")); err != nil {
		t.Fatal(err)
	}
	call(o, o.SendData, &medianodev1.SendDataRequest{Room: "RM_1", Reliable: true, Packet: dataPacket("to everybody")})
	if m := within(t, "what is for everybody", alice.got); !strings.Contains(string(m.Data), "to everybody") {
		t.Errorf("alice got %q", m.Data)
	}
	if err := alice.data["_reliable"].Send(protowire.AppendString(protowire.AppendTag(dataPacket("for bob"), 5, protowire.BytesType), "bob")); err != nil {
		t.Fatal(err)
	}
	for {
		m := within(t, "what is for bob", bob.got)
		switch text := string(m.Data); {
		case strings.Contains(text, "are you there"):
			continue
		case !strings.Contains(text, "for bob"):
			t.Errorf("bob got %q, which is not for him", text)
		}
		break
	}
}

func TestNode_revokedPermissionEndsTracks(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	alice, _ := o.publisher(o.events(ctx))
	bob := o.join("bob", everything())
	call(o, o.UpdateSession, &medianodev1.UpdateSessionRequest{Session: alice.session, Permissions: &medianodev1.Permissions{Subscribe: true}})
	r := call(o, o.Subscribe, &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "s"}}})
	if r.Refused["TR_cam"] == "" {
		t.Error("a track of somebody who may not publish any more was subscribed to")
	}
}

func TestNode_newerEventStreamTakesOver(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	older, err := o.Events(ctx, connect.NewRequest(&medianodev1.EventsRequest{}))
	if err != nil || !older.Receive() {
		t.Fatal("no first stream", err)
	}
	newer := o.events(ctx)
	until(t, newer, (*medianodev1.EventsResponse).GetHeartbeat)
	for older.Receive() { // what was on the way
	}
	if connect.CodeOf(older.Err()) != connect.CodeAborted {
		t.Errorf("the older stream ended with %v, want aborted", older.Err())
	}
	if got := call(o, o.RenewEvents, &medianodev1.RenewEventsRequest{}); got.LeaseLeftMs == 0 {
		t.Error("the renewed lease has no time left")
	}
}
