package medianode_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
)

func TestRelay_twoNodesShareARoom(t *testing.T) {
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			c := newCommander(t)
			a, b := c.add(setup), c.add(setup)
			a.source("alice")
			if version := c.link("L", a, b); version != 2 {
				t.Errorf("got version %d, want 2", version)
			}
			c.route(b, map[*site]string{a: "L"})
			c.route(a, map[*site]string{b: "L"})
			b.hasTracks("alice")
			bob := b.watch("bob", "alice", size(1280, 720))
			bob.hears(20)
			bob.sees("f", 20)
			bob.seesAfter(size(320, 180), "q")
			bob.seesAfter(size(1280, 720), "f")
		})
	}
}

// inAChain are three nodes of which the middle one passes on what the outer ones
// have for each other.
func inAChain(t *testing.T, middle func(*medianode.Config)) (c *commander, x, y, z *site) {
	c = newCommander(t)
	x, y, z = c.add(nil), c.add(middle), c.add(nil)
	c.link("XY", x, y)
	c.link("YZ", y, z)
	c.route(x, map[*site]string{y: "XY", z: "XY"})
	c.route(y, map[*site]string{x: "XY", z: "YZ"})
	c.route(z, map[*site]string{x: "YZ", y: "YZ"})
	return c, x, y, z
}

func TestRelay_throughANodeInTheMiddle(t *testing.T) {
	_, x, y, z := inAChain(t, nil)
	x.source("alice")
	y.hasTracks("alice")
	z.hasTracks("alice")
	carol := z.watch("carol", "alice", size(1280, 720))
	carol.hears(20)
	carol.sees("f", 20)
	// The lowest layer is always there for who comes next.
	layers := func(n uint32) func(*medianodev1.RelayReport) bool {
		return func(r *medianodev1.RelayReport) bool { return r.Layers == n }
	}
	x.report("three layers on the first link", "XY", layers(3))
	y.report("three layers on the second link", "YZ", layers(3))

	// Others who want the same cost the links nothing.
	dave := z.watch("dave", "alice", size(1280, 720))
	bob := y.watch("bob", "alice", size(1280, 720))
	dave.sees("f", 20)
	bob.sees("f", 20)
	before := x.report("a report", "XY", layers(3))
	after := x.report("another", "XY", layers(3))
	// 20 ms of packets with their headers are 1,190 bytes at most; reports are 5
	// or 6 seconds apart, so two copies were some 500 times that. A source that
	// finds no processor sends less.
	if sent := after.SentBytes - before.SentBytes; sent == 0 || sent > 400*1190 {
		t.Errorf("%d bytes were sent between two reports, want those of one copy", sent)
	}
	if after.RelayBytes == 0 || after.RelayBytes > after.SentBytes {
		t.Errorf("the other node acknowledged %d of %d bytes", after.RelayBytes, after.SentBytes)
	}

	// Who wants another layer gets it, on both links once.
	bob.seesAfter(size(640, 360), "h")
	dave.sees("f", 20)
	x.report("four layers on the first link", "XY", layers(4))
	y.report("three layers on the second link", "YZ", layers(3))
	for _, v := range []*viewer{carol, dave} {
		v.seesAfter(size(320, 180), "q")
	}
	y.report("two layers on the second link", "YZ", layers(2))
	x.report("three layers on the first link", "XY", layers(3))
	if text := metrics(t, x.node); !strings.Contains(text, "drtc_medianode_relay_layers_count 3") || !strings.Contains(text, "drtc_medianode_relay_links_count 1") {
		t.Error("metrics do not show one link with three layers")
	}
}

func metrics(t *testing.T, n *medianode.Node) string {
	t.Helper()
	resp, err := http.Get(n.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRelay_inAMesh(t *testing.T) {
	c := newCommander(t)
	x, y, z := c.add(nil), c.add(nil), c.add(nil)
	c.link("XY", x, y)
	c.link("YZ", y, z)
	c.link("XZ", x, z)
	c.route(x, map[*site]string{y: "XY", z: "XZ"})
	c.route(y, map[*site]string{x: "XY", z: "YZ"})
	c.route(z, map[*site]string{x: "XZ", y: "YZ"})
	x.source("alice")
	y.source("bob")
	for at, of := range map[*site][]string{x: {"bob"}, y: {"alice"}, z: {"alice", "bob"}} {
		at.hasTracks(of...)
	}
	z.watch("carol", "alice", size(1280, 720)).sees("f", 20)
	z.watch("dave", "bob", size(320, 180)).sees("q", 20)
	x.watch("eve", "bob", size(1280, 720)).sees("f", 20)

	// Routes change: what came straight comes around, and nobody negotiates.
	carol := z.watch("carol2", "alice", size(1280, 720))
	carol.sees("f", 20)
	mark := z.events.mark()
	c.route(z, map[*site]string{x: "YZ", y: "YZ"})
	z.events.await("the track by the other way", mark, available("TR_cam-alice", true))
	carol.sees("f", 50)
	y.report("two tracks on the way around", "YZ", func(r *medianodev1.RelayReport) bool { return r.Layers == 5 })
	x.report("no layers straight", "XZ", func(r *medianodev1.RelayReport) bool { return r.Layers == 0 })
}

func TestRelay_dataReachesEverybodyOnce(t *testing.T) {
	_, x, y, z := inAChain(t, nil)
	people := map[string]*participant{}
	for name, at := range map[string]*site{"alice": x, "amy": x, "bob": y, "carol": z} {
		p := at.join(name, everything())
		p.negotiate()
		people[name] = p
	}
	for _, p := range people {
		for range 2 {
			within(t, "open data channel", p.opened)
		}
	}
	for _, label := range []string{"_reliable", "_lossy"} {
		for sender, p := range people {
			// The node knows a channel just after its client.
			for _, text := range []string{"first", "second"} {
				if err := p.data[label].Send(dataPacket(text)); err != nil {
					t.Fatal(err)
				}
			}
			for name, other := range people {
				if name == sender {
					continue
				}
				for _, text := range []string{"first", "second"} {
					m := within(t, text+" of "+sender+" for "+name, other.got)
					if senderOf(t, m.Data) != sender || !strings.Contains(string(m.Data), text) {
						t.Errorf("%s: %s got %q of %s, want %s of %s", label, name, m.Data, senderOf(t, m.Data), text, sender)
					}
				}
			}
		}
	}
	for name, p := range people {
		if len(p.got) > 0 {
			t.Errorf("%s got more than was sent", name)
		}
	}
}

func TestRelay_muteAndEndReachOtherNodes(t *testing.T) {
	_, x, _, z := inAChain(t, nil)
	alice := x.source("alice")
	z.hasTracks("alice")
	carol := z.watch("carol", "alice", size(1280, 720))
	carol.sees("f", 20)
	mute := func(muted bool) {
		call(x.orchestrator, x.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam-alice", Muted: muted})
	}
	mute(true)
	carol.seesNothing()
	mute(false)
	carol.sees("f", 20)

	mark := z.events.mark()
	call(x.orchestrator, x.Unpublish, &medianodev1.UnpublishRequest{Session: alice.session, Track: "TR_cam-alice"})
	z.events.await("end of the track", mark, available("TR_cam-alice", false))
	sub := call(z.orchestrator, z.Subscribe, &medianodev1.SubscribeRequest{Session: carol.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam-alice", Stream: "s"}}})
	if sub.Refused["TR_cam-alice"] == "" {
		t.Error("a track that has ended on its own node was subscribed to on another")
	}
}

// A node that is restarted is another: new orders bring its links back, and who
// watches beyond it goes on without a negotiation.
func TestRelay_aNodeInTheMiddleIsRestarted(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "middle.key")
	same := func(cfg *medianode.Config) { cfg.KeyFile = keyFile }
	c, x, y, z := inAChain(t, same)
	x.source("alice")
	z.hasTracks("alice")
	carol := z.watch("carol", "alice", size(1280, 720))
	carol.sees("f", 20)
	atX, atZ := x.events.mark(), z.events.mark()
	y.stop()
	x.events.await("end of the link", atX, linkState("XY", medianodev1.RelayState_STATE_CLOSED))
	z.events.await("end of the track", atZ, available("TR_cam-alice", false))

	again := c.add(same)
	if again.node.ID() != y.node.ID() {
		t.Fatal("the node is another one")
	}
	c.link("XY", x, again)
	c.link("YZ", again, z)
	c.route(again, map[*site]string{x: "XY", z: "YZ"})
	carol.sees("f", 50)
}

// The publisher's client goes to another node: those who watch on a third go on
// as soon as its media is there.
func TestRelay_aPublisherMoves(t *testing.T) {
	c := newCommander(t)
	x, y, z := c.add(nil), c.add(nil), c.add(nil)
	c.link("XY", x, y)
	c.link("YZ", y, z)
	c.route(y, map[*site]string{x: "XY", z: "YZ"})
	before := x.source("alice")
	y.hasTracks("alice")
	bob := y.watch("bob", "alice", size(1280, 720))
	bob.sees("f", 20)
	mark := y.events.mark()
	z.source("alice")
	y.events.await("the track from its new node", mark, func(e *medianodev1.EventsResponse) bool {
		a := e.GetTrackAvailable()
		return a.GetTrack() == "TR_cam-alice" && a.GetAvailable() && a.GetOrigin() == z.node.ID().String()
	})
	bob.sees("f", 20)
	call(x.orchestrator, x.CloseSession, &medianodev1.CloseSessionRequest{Session: before.session})
	bob.sees("f", 50)
	bob.hears(20)

	// And back, to where those who watch are.
	y.source("alice")
	bob.sees("f", 50)
}

// Nodes of two versions share a room in the older one's words.
func TestRelay_nodesOfTwoVersionsShareARoom(t *testing.T) {
	older := func(cfg *medianode.Config) { cfg.RelayMaxVersion = 1 }
	c := newCommander(t)
	x, y, z := c.add(nil), c.add(older), c.add(nil)
	for link, ends := range map[string][2]*site{"XY": {x, y}, "YZ": {y, z}} {
		if version := c.link(link, ends[0], ends[1]); version != 1 {
			t.Errorf("link %s speaks version %d, want 1", link, version)
		}
	}
	if version := c.link("XZ", x, z); version != 2 {
		t.Errorf("link XZ speaks version %d, want 2", version)
	}
	c.route(y, map[*site]string{x: "XY", z: "YZ"})
	c.route(z, map[*site]string{x: "YZ", y: "YZ"}) // the old one in between
	c.route(x, map[*site]string{z: "XZ", y: "XY"})
	alice := x.source("alice")
	z.hasTracks("alice")
	carol := z.watch("carol", "alice", size(1280, 720))
	carol.hears(20)
	carol.sees("f", 20)
	bob := y.watch("bob", "alice", size(320, 180))
	bob.sees("q", 20)
	mute := func(muted bool) {
		call(x.orchestrator, x.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam-alice", Muted: muted})
	}
	mute(true)
	carol.seesNothing()
	mute(false)
	carol.sees("f", 20)
	y.source("dora")
	z.hasTracks("dora")
	z.watch("eve", "dora", size(1280, 720)).sees("f", 20)
}

// A link is its owner's: to others it does not exist.
func TestRelay_strangersCannotTouchALink(t *testing.T) {
	c := newCommander(t)
	x, y := c.add(nil), c.add(nil)
	c.link("L", x, y)
	c.route(y, map[*site]string{x: "L"})
	x.source("alice")
	y.hasTracks("alice")
	bob := y.watch("bob", "alice", size(1280, 720))

	stranger := newOrchestrator(t, y.node)
	call(stranger, stranger.CloseRelay, &medianodev1.CloseRelayRequest{Link: "L"})
	call(stranger, stranger.SetRelayRoutes, &medianodev1.SetRelayRoutesRequest{Room: "RM_1"})
	ofX, _ := c.prepare("M", x, y)
	call(stranger, stranger.PrepareRelay, &medianodev1.PrepareRelayRequest{Link: "M", Room: "RM_1", Peer: x.node.ID().String()})
	_, err := stranger.OpenRelay(t.Context(), connect.NewRequest(openRequest("M", x, ofX)))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !contains(err, "orchestrator") {
		t.Errorf("a description for another Orchestrator: got %v, want failed_precondition", err)
	}
	bob.sees("f", 50)
	stranger.join("eve", everything())
	sub := call(stranger, stranger.Subscribe, &medianodev1.SubscribeRequest{Session: "SE_eve", Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam-alice", Stream: "s"}}})
	if sub.Refused["TR_cam-alice"] == "" {
		t.Error("a stranger was subscribed to a track of a room of the same name")
	}

	// Its owner can.
	mark := x.events.mark()
	call(y.orchestrator, y.CloseRelay, &medianodev1.CloseRelayRequest{Link: "L"})
	x.events.await("end of the link at the other end", mark, linkState("L", medianodev1.RelayState_STATE_CLOSED))
}

// Two rooms between two nodes share their connection, and one may end.
func TestRelay_linksShareATrunk(t *testing.T) {
	c := newCommander(t)
	x, y := c.add(nil), c.add(nil)
	c.link("L", x, y)
	other := newCommander(t)
	x2, y2 := &site{orchestrator: command(t, x.node, other.key), node: x.node}, &site{orchestrator: command(t, y.node, other.key), node: y.node}
	x2.follow(t)
	y2.follow(t)
	other.link("L", x2, y2) // the same name, another owner
	if text := metrics(t, x.node); !strings.Contains(text, "drtc_medianode_relay_trunks_count 1") {
		t.Error("two links between two nodes have two connections")
	}
	call(y2.orchestrator, y2.CloseRelay, &medianodev1.CloseRelayRequest{Link: "L"})
	x2.events.await("end of the other link", 0, linkState("L", medianodev1.RelayState_STATE_CLOSED))
	c.route(y, map[*site]string{x: "L"})
	x.source("alice")
	y.hasTracks("alice")
	y.watch("bob", "alice", size(1280, 720)).sees("f", 20)

	// The same call again is no other link; another link of the same room is.
	ofX, ofY := c.prepare("L", x, y)
	call(x.orchestrator, x.OpenRelay, openRequest("L", y, ofY))
	call(y.orchestrator, y.OpenRelay, openRequest("L", x, ofX))
	ofX, _ = c.prepare("L2", x, y)
	_, err := y.OpenRelay(t.Context(), connect.NewRequest(openRequest("L2", x, ofX)))
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("a second link of a room between two nodes: got %v, want already_exists", err)
	}
}

// Terms hold for links as for sessions: a member that has lost a room can't order
// its links any more, and who claims the room learns of them.
func TestRelay_obeysTheMemberWithTheHighestTerm(t *testing.T) {
	c := newCommander(t)
	x, y := c.add(nil), c.add(nil)
	c.link("L", x, y)
	c.route(y, map[*site]string{x: "L"})
	x.source("alice")
	y.hasTracks("alice")

	claim := connect.NewRequest(&medianodev1.ClaimRoomRequest{Room: "RM_1"})
	claim.Header().Set(control.HeaderMember, "second")
	claim.Header().Set(control.HeaderTerm, "2")
	r, err := y.ClaimRoom(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.Msg.Links, r.Msg.Tracks); got != "[L] [TR_cam-alice TR_mic-alice]" {
		t.Errorf("got %s, want the link and the tracks of the other node", got)
	}
	peer := x.node.ID().String()
	for name, order := range map[string]func() error{
		"PrepareRelay": func() error {
			_, err := y.PrepareRelay(t.Context(), connect.NewRequest(&medianodev1.PrepareRelayRequest{Link: "M", Room: "RM_1", Peer: peer}))
			return err
		},
		"OpenRelay": func() error {
			_, err := y.OpenRelay(t.Context(), connect.NewRequest(&medianodev1.OpenRelayRequest{Link: "M", Room: "RM_1", Peer: peer}))
			return err
		},
		"CloseRelay": func() error {
			_, err := y.CloseRelay(t.Context(), connect.NewRequest(&medianodev1.CloseRelayRequest{Link: "L"}))
			return err
		},
		"SetRelayRoutes": func() error {
			_, err := y.SetRelayRoutes(t.Context(), connect.NewRequest(&medianodev1.SetRelayRoutesRequest{Room: "RM_1"}))
			return err
		},
	} {
		if err := order(); connect.CodeOf(err) != connect.CodeFailedPrecondition || !contains(err, "term") {
			t.Errorf("%s of the member before: got %v, want failed_precondition with the term", name, err)
		}
	}
}
