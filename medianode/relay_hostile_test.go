package medianode_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/relay"
	"github.com/drtc-network/drtc/medianode/transport"
)

// hostile is a node that says what it likes over a real trunk.
type hostile struct {
	*impostor
	transport *transport.Transport
}

// silence hears nothing of its transport.
type silence struct{}

func (silence) OnEvent(engine.Event)                 {}
func (silence) OnData(engine.PeerID, string, []byte) {}
func (silence) OnClosed(engine.PeerID, error)        {}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	i := newImpostor(t)
	for i.key.ID().String() > i.self.node.ID().String() { // so that it begins the trunk
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		i.key = key
	}
	w, err := transport.New(transport.Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Workers: 1, Handler: silence{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &hostile{i, w}
}

// connect opens link L at the node and says hello and that it is open.
func (h *hostile) connect() {
	t := h.t
	t.Helper()
	theirs := h.prepares("L")
	mine := h.describes()
	mine.Fingerprint, mine.Addresses = sumOf(t, h.transport.Fingerprint()), []string{h.transport.Addrs()[0].String()}
	if _, err := h.opens("L", h.signs(mine)); err != nil {
		t.Fatal(err)
	}
	remote, err := transport.ParseFingerprint("sha-256 " + strings.ReplaceAll(fmt.Sprintf("% X", theirs.Fingerprint), " ", ":"))
	if err != nil {
		t.Fatal(err)
	}
	err = h.transport.Open(transport.PeerConfig{
		PeerConfig: engine.PeerConfig{
			ID: 1, Room: "relay", Receiver: meter.Relay, Relay: true, Check: []netip.AddrPort{netip.MustParseAddrPort(theirs.Addresses[0])},
			Local: engine.ICE{Ufrag: mine.Ufrag, Pwd: mine.Pwd}, Remote: engine.ICE{Ufrag: theirs.Ufrag, Pwd: theirs.Pwd},
		},
		RemoteFingerprints: []transport.Fingerprint{remote}, Active: true, SCTP: true, SendQueueBytes: 64 << 20, SendQueueMessages: 100_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, label := range map[uint16]string{0: "relay", 2: "relay-reliable", 4: "relay-lossy"} {
		if err := h.transport.OpenChannel(1, transport.ChannelConfig{Label: label, Negotiated: &id}); err != nil {
			t.Fatal(err)
		}
	}
	h.say(
		relay.Hello{Version: 2, Node: h.key.ID(), Peer: h.self.node.ID()},
		relay.Open{Number: 1, Owner: h.c.key.ID(), Link: "L", Room: "RM_1", Instance: relay.Instance{mine.IssuedAtMs, theirs.IssuedAtMs}},
	)
	h.self.events.await("connected link", 0, linkState("L", medianodev1.RelayState_STATE_CONNECTED))
	call(h.self.orchestrator, h.self.SetRelayRoutes, &medianodev1.SetRelayRoutesRequest{Room: "RM_1", Routes: []*medianodev1.RelayRoute{{Origin: h.key.ID().String(), Link: "L"}}})
}

// sumOf is the hash in a fingerprint.
func sumOf(t *testing.T, fingerprint string) []byte {
	t.Helper()
	_, digits, _ := strings.Cut(fingerprint, " ")
	sum, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// say sends messages, as many in a frame as fit.
func (h *hostile) say(messages ...relay.Message) {
	h.t.Helper()
	var frame []byte
	for _, m := range messages {
		next, ok := relay.AppendFrame(frame, relay.Encode(nil, relay.Version2, m))
		if !ok {
			h.send("relay", frame)
			next, _ = relay.AppendFrame(nil, relay.Encode(nil, relay.Version2, m))
		}
		frame = next
	}
	h.send("relay", frame)
}

func (h *hostile) send(label string, b []byte) {
	h.t.Helper()
	if err := h.transport.SendData(1, label, b); err != nil && !errors.Is(err, transport.ErrPeer) {
		h.t.Fatal(err)
	}
}

// track is an announcement of a track of the hostile node's own.
func (h *hostile) track(id string, ssrc uint32) relay.Track {
	return relay.Track{Number: 1, Track: drtc.TrackID(id), Announcement: relay.Announcement{
		Path: []drtc.NodeID{h.key.ID()}, Codecs: []relay.Codec{{Mime: relay.Opus, Channels: 2}}, Streams: []relay.Stream{{SSRC: ssrc}},
	}}
}

// Whatever another node sends: what can't be honest ends the connection with a
// reason, and this node goes on.
func TestRelay_hostileNodesLoseTheirTrunk(t *testing.T) {
	for name, attack := range map[string]func(*hostile){
		"rubbish":          func(h *hostile) { h.send("relay", []byte("rubbish")) },
		"a message cut":    func(h *hostile) { h.send("relay", []byte{0, 5, 6, 0, 0, 0, 1}) },
		"an unknown link":  func(h *hostile) { h.say(relay.Gone{Number: 9, Track: "TR_x"}) },
		"a second hello":   func(h *hostile) { h.say(relay.Hello{Version: 2, Node: h.key.ID(), Peer: h.self.node.ID()}) },
		"another's track":  func(h *hostile) { k := h.track("TR_x", 1); k.Path = append(k.Path, drtc.NodeID{1}); h.say(k) },
		"data cut short":   func(h *hostile) { h.send("relay-reliable", []byte{1}) },
		"data of nobody":   func(h *hostile) { h.send("relay-lossy", make([]byte, 40)) },
		"too many tracks":  func(h *hostile) { h.floodTracks() },
		"a flood of words": func(h *hostile) { h.flood() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			h.connect()
			mark := h.self.events.mark()
			attack(h)
			e := h.self.events.await("end of the link", mark, linkState("L", medianodev1.RelayState_STATE_CLOSED))
			if reason := e.GetRelayState().Reason; !strings.Contains(reason, "breaks the protocol") {
				t.Errorf("got %q, want to hear who broke the protocol", reason)
			}
			if text := metrics(t, h.self.node); !strings.Contains(text, "relay_violations_total 1") {
				t.Error("the metrics count no violation")
			}
			h.self.join("alice", everything()).negotiate()
		})
	}
}

func (h *hostile) floodTracks() {
	var all []relay.Message
	for i := range relay.MaxTracks + 1 {
		all = append(all, h.track(fmt.Sprint("TR_", i), uint32(i+1)))
	}
	h.say(all...)
}

func (h *hostile) flood() {
	words := slices.Repeat([]relay.Message{relay.Want{Number: 1, Track: "TR_x"}}, 20_000)
	h.say(words...)
}

// A track that is another's here, in this room or in one of somebody else, is not
// taken over.
func TestRelay_hostileNodesTakeNobodysTrack(t *testing.T) {
	h := newHostile(t)
	h.self.source("alice")
	h.connect()
	h.say(h.track("TR_mic-alice", 5), h.track("TR_own", 6))
	h.self.events.await("the node's own track", 0, available("TR_own", true))
	for _, e := range h.self.events.since(0) {
		if a := e.GetTrackAvailable(); a.GetTrack() == "TR_mic-alice" {
			t.Errorf("got %v: a client's own track was replaced", a)
		}
	}
	h.self.watch("bob", "alice", size(1280, 720)).hears(20)

	// What is too long, or for nobody, reaches no client.
	carol := h.self.join("carol", everything())
	carol.negotiate()
	for range 2 {
		within(t, "open data channel", carol.opened)
	}
	packet := func(number uint32, origin drtc.NodeID, text string) []byte {
		return relay.EncodeData(nil, relay.Version2, relay.Data{Number: number, Origin: origin, Hops: 1, Sequence: 7, Packet: dataPacket(text)})
	}
	h.send("relay-reliable", packet(1, drtc.NodeID{1}, "of a node without a route"))
	h.send("relay-reliable", packet(1, h.key.ID(), "true"))
	h.send("relay-reliable", packet(1, h.key.ID(), "the same again"))
	h.send("relay-reliable", relay.EncodeData(nil, relay.Version2, relay.Data{Number: 1, Origin: h.key.ID(), Hops: 1, Sequence: 8, Packet: bytes.Repeat([]byte{255}, 100)}))
	h.send("relay-reliable", relay.EncodeData(nil, relay.Version2, relay.Data{Number: 1, Origin: h.key.ID(), Hops: 1, Sequence: 9, Packet: dataPacket("last")}))
	for _, want := range []string{"true", "last"} {
		if m := within(t, "data", carol.got); !strings.Contains(string(m.Data), want) {
			t.Errorf("got %q, want %q", m.Data, want)
		}
	}
}
