package transport

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/webrtc/v4"
)

func TestUpdate_addsDataChannelsLater(t *testing.T) { overSetups(t, testUpdate_addsDataChannelsLater) }

func testUpdate_addsDataChannelsLater(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	client := n.join(t, 1, clientConfig{
		prepare: dataOnly(t), peer: func(p *PeerConfig) { p.SCTP = false },
	})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	if err := n.SendData(1, "_reliable", nil); !errors.Is(err, ErrChannel) {
		t.Errorf("SendData without an association: %v, want %v", err, ErrChannel)
	}
	for range 2 { // asking twice is asking once
		if err := n.Update(1, Update{SCTP: true}); err != nil {
			t.Fatal(err)
		}
	}
	n.expectOpen(t, client)
}

func TestUpdate_refuses(t *testing.T) { overSetups(t, testUpdate_refuses) }

func testUpdate_refuses(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	offered := mustFingerprint(t, attribute(client.LocalDescription().SDP, "fingerprint"))
	other := fingerprintOf([]byte("another certificate"))
	ice := engine.ICE{Ufrag: "fresh", Pwd: "a-fresh-password-of-the-node"}
	for _, c := range []struct {
		name   string
		peer   engine.PeerID
		update Update
		want   error
	}{
		{"same fingerprint", 1, Update{RemoteFingerprints: []Fingerprint{offered}}, nil},
		{"another fingerprint", 1, Update{RemoteFingerprints: []Fingerprint{other}, Local: &ice, Remote: &ice}, ErrFingerprintChanged},
		{"one more fingerprint", 1, Update{RemoteFingerprints: []Fingerprint{offered, other}}, ErrFingerprintChanged},
		{"unknown peer", 2, Update{}, ErrPeer},
	} {
		if err := n.Update(c.peer, c.update); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for name, u := range map[string]Update{
		"Update.Remote":             {Local: &ice},
		"Update.RemoteFingerprints": {RemoteFingerprints: []Fingerprint{{}}},
	} {
		if err := n.Update(1, u); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error that names %s", u, err, name)
		}
	}
}

// A node that offers opens the peer first and learns from the answer who the
// client must be, maybe after its first checks and DTLS datagrams.
func TestUpdate_answerBringsTheFingerprint(t *testing.T) {
	overSetups(t, testUpdate_answerBringsTheFingerprint)
}

func testUpdate_answerBringsTheFingerprint(t *testing.T, on setup) {
	for _, active := range []bool{false, true} {
		n := startNode(t, on, nil)
		var answer Update
		client := n.join(t, 1, clientConfig{prepare: dataOnly(t), peer: func(p *PeerConfig) {
			remote := p.Remote
			answer = Update{RemoteFingerprints: p.RemoteFingerprints, Remote: &remote, Active: active}
			p.RemoteFingerprints, p.Remote, p.Active = nil, engine.ICE{}, active
		}})
		awaitEvent(t, n, anyEvent[engine.PeerReachable])
		if n.keysOf(1) != nil {
			t.Error("keys before the fingerprint was known")
		}
		if err := n.Update(1, answer); err != nil {
			t.Fatal(err)
		}
		client.awaitState(t, webrtc.PeerConnectionStateConnected)
		n.expectOpen(t, client)
		wrong := Update{RemoteFingerprints: []Fingerprint{fingerprintOf(nil)}}
		if err := n.Update(1, wrong); !errors.Is(err, ErrFingerprintChanged) {
			t.Errorf("another answer: %v, want %v", err, ErrFingerprintChanged)
		}
	}
}

// ICE restarts keep DTLS: the same client goes on under new credentials.
func TestUpdate_restartsICE(t *testing.T) { overSetups(t, testUpdate_restartsICE) }

func testUpdate_restartsICE(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	n.expectOpen(t, client)
	offer, err := client.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	local := engine.ICE{Ufrag: "restarted", Pwd: "another-password-of-the-node"}
	remote := engine.ICE{Ufrag: attribute(offer.SDP, "ice-ufrag"), Pwd: attribute(offer.SDP, "ice-pwd")}
	if err := n.Update(1, Update{
		Local: &local, Remote: &remote,
		RemoteFingerprints: []Fingerprint{mustFingerprint(t, attribute(offer.SDP, "fingerprint"))},
	}); err != nil {
		t.Fatal(err)
	}
	answer := n.answer(offer.SDP, PeerConfig{PeerConfig: engine.PeerConfig{Local: local}}, clientConfig{}, nil)
	if err := client.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	n.expectOpen(t, client)
}

func TestOpen_refuses(t *testing.T) { overSetups(t, testOpen_refuses) }

func testOpen_refuses(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	ok := PeerConfig{
		PeerConfig:         engine.PeerConfig{ID: 1, Local: engine.ICE{Ufrag: "one", Pwd: "password"}},
		RemoteFingerprints: []Fingerprint{fingerprintOf(nil)},
	}
	if err := n.Open(ok); err != nil {
		t.Fatal(err)
	}
	if err := n.Open(ok); !errors.Is(err, ErrPeer) {
		t.Errorf("the same id: %v, want %v", err, ErrPeer)
	}
	same := ok
	same.ID = 2
	if err := n.Open(same); !errors.Is(err, engine.ErrPeerExists) {
		t.Errorf("the same ufrag: %v, want %v", err, engine.ErrPeerExists)
	}
	empty := ok
	empty.ID, empty.RemoteFingerprints = 3, []Fingerprint{{}}
	if err := n.Open(empty); err == nil || !strings.Contains(err.Error(), "RemoteFingerprints") {
		t.Errorf("an empty fingerprint: %v, want an error that names RemoteFingerprints", err)
	}
	n.Close(1)
	if err := n.Open(ok); err != nil {
		t.Errorf("the id of a peer that was closed: %v", err)
	}
	n.awaitClosed(t, 1, ErrClosed)
	n.stop()
	n.awaitClosed(t, 1, ErrClosed)
	if err := receive(t, n.done, "Run to return"); err != nil {
		t.Error(err)
	}
	n.done <- nil
	same.Local.Ufrag = "late"
	if err := n.Open(same); !errors.Is(err, ErrPeer) {
		t.Errorf("after Run: %v, want %v", err, ErrPeer)
	}
}

func TestConsent_lossClosesThePeer(t *testing.T) { overSetups(t, testConsent_lossClosesThePeer) }

func testConsent_lossClosesThePeer(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	n.awaitConnected(t, 1)
	n.do(t, 1, func(now time.Time, c *engine.Core, batch *engine.Batch) {
		c.HandleTimeout(now.Add(time.Minute), batch) // in which no check has come
	})
	n.awaitClosed(t, 1, ErrConsent)
	client.awaitState(t, webrtc.PeerConnectionStateClosed)
}

func TestAddrs_areBoundAndDistinct(t *testing.T) { overSetups(t, testAddrs_areBoundAndDistinct) }

func testAddrs_areBoundAndDistinct(t *testing.T, on setup) {
	n := startNode(t, on, func(cfg *Config) {
		cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::1]:0"), loopback4}
	})
	addrs := n.Addrs()
	if len(addrs) != 2 || !addrs[0].Addr().Is4() || !addrs[1].Addr().Is6() || addrs[0].Port() == 0 || addrs[1].Port() == 0 {
		t.Errorf("Addrs: %v, want a bound IPv4 and IPv6 address", addrs)
	}
}
