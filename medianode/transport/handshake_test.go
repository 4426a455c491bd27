package transport

import (
	"crypto"
	"net/netip"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"
)

// gcm tells which profile a peer got by where its SRTCP index is.
func gcm(p *protection) bool { return p.indexFromEnd == 4 }

func dataOnly(t testing.TB) func(*webrtc.PeerConnection) {
	return func(pc *webrtc.PeerConnection) {
		if _, err := pc.CreateDataChannel("_reliable", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHandshake_roleAndProfile(t *testing.T) { overSetups(t, testHandshake_roleAndProfile) }

func testHandshake_roleAndProfile(t *testing.T, on setup) {
	sha := []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	both := []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM}
	for _, c := range []struct {
		name     string
		active   bool
		ipv6     bool
		profiles []dtls.SRTPProtectionProfile
		wantGCM  bool
	}{
		{name: "passive prefers GCM", profiles: both, wantGCM: true},
		{name: "passive falls back to SHA1_80", profiles: sha},
		{name: "active offers GCM alone", active: true, profiles: both, wantGCM: true},
		{name: "IPv6", ipv6: true, wantGCM: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, on, func(cfg *Config) {
				if c.ipv6 {
					cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::1]:0")}
				}
			})
			client := n.join(t, 1, clientConfig{
				ipv6: c.ipv6, profiles: c.profiles, prepare: dataOnly(t),
				peer: func(p *PeerConfig) { p.Active = c.active },
			})
			client.awaitState(t, webrtc.PeerConnectionStateConnected)
			n.awaitConnected(t, 1)
			if got := gcm(n.keysOf(1)); got != c.wantGCM {
				t.Errorf("AES-GCM: got %v, want %v", got, c.wantGCM)
			}
			n.Close(1)
			n.awaitClosed(t, 1, ErrClosed)
			client.awaitState(t, webrtc.PeerConnectionStateClosed) // close_notify arrived
		})
	}
}

func TestHandshake_wrongFingerprintIsRefused(t *testing.T) {
	overSetups(t, testHandshake_wrongFingerprintIsRefused)
}

func testHandshake_wrongFingerprintIsRefused(t *testing.T, on setup) {
	for _, active := range []bool{false, true} {
		n := startNode(t, on, nil)
		client := n.join(t, 1, clientConfig{prepare: dataOnly(t), peer: func(p *PeerConfig) {
			p.Active = active
			p.RemoteFingerprints = []Fingerprint{fingerprintOf([]byte("somebody else"))}
		}})
		n.awaitClosed(t, 1, ErrFingerprint)
		if n.keysOf(1) != nil {
			t.Error("the core was lent keys")
		}
		_ = client.Close()
	}
}

func TestHandshake_acceptsLongerHashes(t *testing.T) {
	overSetups(t, testHandshake_acceptsLongerHashes)
}

func testHandshake_acceptsLongerHashes(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	for _, hash := range []crypto.Hash{crypto.SHA384, crypto.SHA512} {
		der := n.certificate.Certificate[0]
		h := hash.New()
		h.Write(der)
		f := mustFingerprint(t, Fingerprint{hash: hash, sum: string(h.Sum(nil))}.String())
		if !f.matches(der) || f.matches(der[1:]) {
			t.Errorf("%v: matches the right certificate %v, a wrong one %v; want true, false", hash, f.matches(der), f.matches(der[1:]))
		}
	}
}

func TestHandshake_timesOut(t *testing.T) { overSetups(t, testHandshake_timesOut) }

func testHandshake_timesOut(t *testing.T, on setup) {
	n := startNode(t, on, func(cfg *Config) { cfg.HandshakeTimeout = time.Second })
	n.drop(func(d engine.Datagram) bool { return isDTLS(d.Payload) })
	n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	n.awaitClosed(t, 1, ErrHandshakeTimeout)
}

// drop makes the node lose datagrams that it sends.
func (n *node) drop(which func(engine.Datagram) bool) {
	for _, w := range n.workers {
		w.enter(func(time.Time) { w.egress = &filter{next: w.egress, drop: which} })
	}
}

// filter is an Egress that loses datagrams.
type filter struct {
	next Egress
	drop func(engine.Datagram) bool
}

func (f *filter) Send(datagrams []engine.Datagram) {
	for i := range datagrams {
		if !f.drop(datagrams[i]) {
			f.next.Send(datagrams[i : i+1])
		}
	}
}

func isDTLS(b []byte) bool { return len(b) > 0 && b[0] >= 20 && b[0] <= 63 }

func TestHandshake_lastFlightIsRepeated(t *testing.T) {
	overSetups(t, testHandshake_lastFlightIsRepeated)
}

func testHandshake_lastFlightIsRepeated(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	var lost atomic.Int32
	n.drop(func(d engine.Datagram) bool {
		// As server our last flight begins with ChangeCipherSpec.
		return isDTLS(d.Payload) && d.Payload[0] == recordChangeCipherSpec && lost.Add(1) <= 2
	})
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t), settings: func(s *webrtc.SettingEngine) {
		s.SetDTLSRetransmissionInterval(50 * time.Millisecond)
	}})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	if got := lost.Load(); got < 3 {
		t.Errorf("last flight sent %d times, want at least 3", got)
	}
}

func TestHandshake_alertWhileEstablishedNeedsTheCipher(t *testing.T) {
	overSetups(t, testHandshake_alertWhileEstablishedNeedsTheCipher)
}

func testHandshake_alertWhileEstablishedNeedsTheCipher(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	n.awaitConnected(t, 1)
	var from netip.AddrPort
	n.do(t, 1, func(_ time.Time, c *engine.Core, _ *engine.Batch) { from = c.Address(1) })
	for _, forged := range [][]byte{
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40}, // fatal handshake_failure
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 98, 0, 2, 1, 0},  // close_notify
		{20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 97, 0, 2, 9, 9},  // broken ChangeCipherSpec
		{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 96, 0, 1, 7},     // plain application data
	} {
		n.workers[0].handle(one(from, forged))
	}
	n.expectOpen(t, client)
}

func TestHandshake_slotsAreBounded(t *testing.T) { overSetups(t, testHandshake_slotsAreBounded) }

func testHandshake_slotsAreBounded(t *testing.T, on setup) {
	n := startNode(t, on, func(cfg *Config) { cfg.MaxHandshakes = 1 })
	n.handshakes <- struct{}{} // somebody holds the only slot
	client := n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	awaitEvent(t, n, anyEvent[engine.PeerReachable])
	if n.keysOf(1) != nil {
		t.Error("a handshake went past the bound")
	}
	<-n.handshakes
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	eventually(t, func() string {
		if len(n.handshakes) != 0 {
			return "the slot was not given back"
		}
		return ""
	})
}

// expectOpen checks that a data channel of the client opens and carries data
// both ways, which shows that DTLS and SCTP live.
func (n *node) expectOpen(t testing.TB, c *client) {
	t.Helper()
	open, got := make(chan string, 1), make(chan message, 1)
	var dc *webrtc.DataChannel
	withChannel(t, "probe", nil, &dc, open, got)(c.PeerConnection)
	receive(t, open, "the probe channel")
	if err := dc.Send([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	m := receive(t, n.data, "ping")
	if err := n.SendData(m.peer, m.label, []byte("pong")); err != nil {
		t.Fatal(err)
	}
	if reply := receive(t, got, "pong"); string(reply.payload) != "pong" {
		t.Errorf("got %q, want pong", reply.payload)
	}
}

func TestClose_leavesNoGoroutine(t *testing.T) { overSetups(t, testClose_leavesNoGoroutine) }

func testClose_leavesNoGoroutine(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	for id := engine.PeerID(1); id <= 3; id++ {
		client := n.join(t, id, clientConfig{prepare: dataOnly(t)})
		client.awaitState(t, webrtc.PeerConnectionStateConnected)
		n.expectOpen(t, client)
		if id == 1 {
			client.goodbye(t)
			n.awaitClosed(t, 1, ErrClosedByPeer)
		}
		if id == 2 {
			n.Close(2)
			n.awaitClosed(t, 2, ErrClosed)
		}
		if id == 3 {
			n.stop()
			n.awaitClosed(t, 3, ErrClosed)
		}
		_ = client.Close()
	}
	if err := receive(t, n.done, "Run to return"); err != nil {
		t.Errorf("Run: %v", err)
	}
	n.done <- nil
	awaitNoGoroutine(t, "medianode/transport.(*", "pion/dtls", "pion/sctp")
}

// goodbye ends the client's DTLS, with a close_notify that has left when it
// returns. Close of a PeerConnection promises none: what its SCTP begins to say
// on another goroutine comes too late if ICE is taken down first.
func (c *client) goodbye(t testing.TB) {
	t.Helper()
	if err := c.SCTP().Transport().Stop(); err != nil {
		t.Fatal(err)
	}
}

// awaitNoGoroutine waits until no stack names any of the packages. pion's own
// goroutines end a moment after its Close.
func awaitNoGoroutine(t testing.TB, names ...string) {
	t.Helper()
	eventually(t, func() string {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
			t.Fatal(err)
		}
		for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
			for _, name := range names {
				if strings.Contains(stack, name) {
					return "a goroutine is left:\n" + stack
				}
			}
		}
		return ""
	})
}
