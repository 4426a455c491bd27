package transport

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
	"github.com/pion/rtp"
)

// trunk is an association of two nodes. The initiator has it as peer 9, so that
// it can have clients besides; the other as peer 1.
type trunk struct {
	initiator, other *node
}

const (
	atInitiator = engine.PeerID(9)
	atOther     = engine.PeerID(1)
)

// The channels of a trunk, whose stream ids both sides know.
func trunkChannels() []ChannelConfig {
	control, reliable, lossy, never := uint16(0), uint16(2), uint16(4), uint16(0)
	return []ChannelConfig{
		{Label: "relay", Negotiated: &control},
		{Label: "relay-reliable", Negotiated: &reliable},
		{Label: "relay-lossy", Negotiated: &lossy, Unordered: true, MaxRetransmits: &never},
	}
}

// connectTrunk opens both ends of a trunk. change may spoil what one of them is told.
func connectTrunk(t *testing.T, initiator, other *node, through []netip.AddrPort, change func(initiator, other *PeerConfig)) trunk {
	t.Helper()
	near := engine.ICE{Ufrag: "initiator", Pwd: "password-of-the-initiator"}
	far := engine.ICE{Ufrag: "other", Pwd: "password-of-the-other-end"}
	a := PeerConfig{
		PeerConfig:         engine.PeerConfig{ID: atInitiator, Session: "SE_trunk", Local: near, Remote: far, Check: through, Relay: true},
		RemoteFingerprints: []Fingerprint{mustFingerprint(t, other.Fingerprint())}, Active: true, SCTP: true,
	}
	b := PeerConfig{
		PeerConfig:         engine.PeerConfig{ID: atOther, Session: "SE_trunk", Local: far, Remote: near, Relay: true},
		RemoteFingerprints: []Fingerprint{mustFingerprint(t, initiator.Fingerprint())}, SCTP: true,
	}
	if change != nil {
		change(&a, &b)
	}
	for _, end := range []struct {
		node *node
		cfg  PeerConfig
	}{{other, b}, {initiator, a}} {
		if err := end.node.Open(end.cfg); err != nil {
			t.Fatal(err)
		}
		for _, channel := range trunkChannels() {
			if err := end.node.OpenChannel(end.cfg.ID, channel); err != nil {
				t.Fatal(err)
			}
		}
	}
	return trunk{initiator, other}
}

// await waits until both ends are in a state.
func (k trunk) await(t *testing.T, state engine.State) {
	t.Helper()
	awaitEvent(t, k.initiator, func(e engine.PeerState) bool { return e.Peer == atInitiator && e.State == state })
	awaitEvent(t, k.other, func(e engine.PeerState) bool { return e.Peer == atOther && e.State == state })
}

// exchange sends a message on a channel in both directions.
func (k trunk) exchange(t *testing.T, label string, payload []byte) {
	t.Helper()
	for _, way := range []struct {
		from, to     *node
		sender, peer engine.PeerID
	}{{k.initiator, k.other, atInitiator, atOther}, {k.other, k.initiator, atOther, atInitiator}} {
		if err := way.from.SendData(way.sender, label, payload); err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		got := receive(t, way.to.data, "a message on "+label)
		if got.peer != way.peer || got.label != label || !bytes.Equal(got.payload, payload) {
			t.Fatalf("got %d bytes from peer %d on %q, want %d from %d on %q", len(got.payload), got.peer, got.label, len(payload), way.peer, label)
		}
	}
}

// Two nodes join over their ports: one checks until it is answered and begins
// DTLS, the other is as for a client. The three channels need no announcement.
func TestTrunk_connects(t *testing.T) { overSetups(t, testTrunk_connects) }

func testTrunk_connects(t *testing.T, on setup) {
	a, b := startNode(t, on, nil), startNode(t, on, nil)
	nobody := netip.MustParseAddrPort("127.0.0.9:9")
	k := connectTrunk(t, a, b, []netip.AddrPort{nobody, b.Addrs()[0]}, nil)
	k.await(t, engine.StateConnected)
	for _, channel := range trunkChannels() {
		k.exchange(t, channel.Label, []byte("on "+channel.Label))
	}
	k.exchange(t, "relay-reliable", bytes.Repeat([]byte{7}, MaxRelayMessage))
	if err := a.SendData(atInitiator, "relay", make([]byte, MaxRelayMessage+1)); err == nil {
		t.Error("a message above MaxRelayMessage was taken")
	}
	if profile := a.keysOf(atInitiator).gcm.cipher; profile == nil {
		t.Error("the trunk is not protected by AES-GCM")
	}
	a.Close(atInitiator)
	b.awaitClosed(t, atOther, ErrClosedByPeer)
}

// What a client publishes on one node reaches a client of the other.
func TestTrunk_carriesMedia(t *testing.T) { overSetups(t, testTrunk_carriesMedia) }

func testTrunk_carriesMedia(t *testing.T, on setup) {
	a, b := startNode(t, on, nil), startNode(t, on, nil)
	k := connectTrunk(t, a, b, b.Addrs(), nil)
	k.await(t, engine.StateConnected)
	track := a.publish(t, 1, clientConfig{})
	const ssrc, rtx = 77, 78
	coded := opus
	coded.RTXNumber = 112
	var err error
	b.do(t, atOther, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		err = c.AddReceive(now, atOther, engine.ReceiveSection{
			Mid: "TR_a", Codecs: []engine.PayloadType{coded}, SSRCs: []engine.SourceGroup{{SSRC: ssrc, RTX: rtx}}, Active: true,
		})
		if err == nil {
			err = c.Publish(now, atOther, engine.TrackConfig{ID: "TR_a", Mid: "TR_a", Room: "RM_test"})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	home, err := a.Home(1)
	if err != nil {
		t.Fatal(err)
	}
	a.do(t, atInitiator, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		err = c.RelayLayer(now, atInitiator, engine.RelayConfig{
			Track: "TR_a", Home: home, Room: "RM_test", Application: "app", SSRC: ssrc, RTX: rtx, Codec: coded,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	got := b.subscribe(t, 2, clientConfig{})
	tick, deadline := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for sequence, received := uint16(65530), 0; received < 20; {
		select {
		case packet := <-got:
			if want := []byte("an opus frame"); !bytes.Equal(packet.Payload, want) {
				t.Fatalf("the subscriber got payload %q, want %q", packet.Payload, want)
			}
			received++
		case <-tick.C:
			if err := track.WriteRTP(&rtp.Packet{
				Header: rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: uint32(sequence) * 960}, Payload: []byte("an opus frame"),
			}); err != nil {
				t.Fatal(err)
			}
			sequence++
		case <-deadline:
			t.Fatal("no media arrived")
		}
	}
	eventually(t, func() string { // what arrived is known by the other node's next report
		var f engine.RelayFigures
		a.do(t, atInitiator, func(_ time.Time, c *engine.Core, _ *engine.Batch) { f, _ = c.RelayFigures(atInitiator, "RM_test") })
		if f.AcknowledgedBytes == 0 || f.SentBytes < f.AcknowledgedBytes || f.Layers != 1 || !f.Connected {
			return fmt.Sprintf("the initiator counts %+v, want acknowledged bytes of one layer", f)
		}
		return ""
	})
}

// Neither end talks to one whose certificate is not the one that was described.
func TestTrunk_refusesAnotherCertificate(t *testing.T) {
	for name, change := range map[string]func(initiator, other *PeerConfig){
		"of the other end": func(a, b *PeerConfig) { a.RemoteFingerprints = b.RemoteFingerprints },
		"of the initiator": func(a, b *PeerConfig) { b.RemoteFingerprints = a.RemoteFingerprints },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t, oneWorker, nil), startNode(t, oneWorker, nil)
			connectTrunk(t, a, b, b.Addrs(), change)
			refuser, id := a, atInitiator
			if name == "of the initiator" {
				refuser, id = b, atOther
			}
			refuser.awaitClosed(t, id, ErrFingerprint)
		})
	}
}

// Who does not know the password gets no further than the first check.
func TestTrunk_refusesAnotherPassword(t *testing.T) {
	a, b := startNode(t, oneWorker, nil), startNode(t, oneWorker, nil)
	connectTrunk(t, a, b, b.Addrs(), func(a, _ *PeerConfig) { a.Remote.Pwd = "a password that is not the one" })
	eventually(t, func() string {
		if n := b.sum(func(c engine.Counters) uint64 { return c.STUNRefused }); n < 3 {
			return fmt.Sprintf("%d checks were refused, want more", n)
		}
		return ""
	})
	if n := a.sum(func(c engine.Counters) uint64 { return c.ChecksAnswered }); n != 0 {
		t.Errorf("%d checks count as answered, want none", n)
	}
}

// The initiator's port changes: its next check, half a second later at most,
// moves the other end, and nothing that is reliable is lost.
func TestTrunk_followsTheInitiator(t *testing.T) { overSetups(t, testTrunk_followsTheInitiator) }

func testTrunk_followsTheInitiator(t *testing.T, on setup) {
	a, b := startNode(t, on, nil), startNode(t, on, nil)
	r := newRelay(t, b.Addrs()[0])
	k := connectTrunk(t, a, b, []netip.AddrPort{r.addr()}, nil)
	k.await(t, engine.StateConnected)
	for range 2 {
		k.exchange(t, "relay", []byte("before"))
		r.rebind()
		awaitEvent(t, b, anyEvent[engine.PeerMoved])
		k.exchange(t, "relay", []byte("after"))
	}
}

// A trunk over which nothing comes for 1.5 s is disconnected at both ends, and
// comes back by itself.
func TestTrunk_comesBack(t *testing.T) {
	a, b := startNode(t, oneWorker, nil), startNode(t, oneWorker, nil)
	r := newRelay(t, b.Addrs()[0])
	k := connectTrunk(t, a, b, []netip.AddrPort{r.addr()}, nil)
	k.await(t, engine.StateConnected)
	began := time.Now()
	r.interrupt(true)
	k.await(t, engine.StateDisconnected)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("noticed after %v, want about 1.5 s", d)
	}
	r.interrupt(false)
	k.await(t, engine.StateConnected)
	k.exchange(t, "relay", []byte("again"))
}

// A relay peer has bounds of its own where it is told some.
func TestTrunk_bounds(t *testing.T) {
	n := startNode(t, oneWorker, nil)
	cfg := PeerConfig{PeerConfig: engine.PeerConfig{ID: 1, Relay: true, Local: engine.ICE{Ufrag: "a", Pwd: "b"}}, DataRate: MaxMessage}
	if err := n.Open(cfg); err == nil {
		t.Error("a DataRate below the largest message was taken")
	}
	cfg.DataRate, cfg.SendQueueBytes, cfg.DataMessages = 50<<20, 8<<20, 30_000
	if err := n.Open(cfg); err != nil {
		t.Fatal(err)
	}
	b := n.directory.peer(1).bounds
	if b.rate != 50<<20 || b.queueBytes != 8<<20 || b.messages != 30_000 || b.queueMessages != n.cfg.SendQueueMessages {
		t.Errorf("got %+v", b)
	}
}

// The answer to a check comes to whichever worker the kernel gives it, from an
// address that nobody knows yet: it says itself whose it is.
func TestTrunk_answersFindTheirWorker(t *testing.T) {
	n := startNode(t, twoWorkers, nil)
	for core := range engine.CoreID(2) {
		answer := stun.AppendBindingSuccess(nil, [12]byte{byte(core), 7}, n.Addrs()[0], "password")
		for _, w := range n.workers {
			if got, known := w.home(&one(loopback4, answer)[0]); got != core || !known {
				t.Errorf("worker %d takes an answer to core %d for core %d's (%v)", w.id, core, got, known)
			}
		}
	}
	stray := stun.AppendBindingSuccess(nil, [12]byte{9, 7}, n.Addrs()[0], "password")
	if got, known := n.workers[1].home(&one(loopback4, stray)[0]); got != 1 || known {
		t.Errorf("an answer to nobody is for core %d (%v), want the worker's own", got, known)
	}
}
