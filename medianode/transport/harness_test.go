package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

var loopback4 = netip.MustParseAddrPort("127.0.0.1:0")

// node is a running Transport with the real core, and what it reported.
type node struct {
	*Transport
	cores  []*spy // of each worker
	events chan engine.Event
	data   chan message
	closed chan closure
	stop   context.CancelFunc
	done   chan error
}

type message struct {
	peer    engine.PeerID
	label   string
	payload []byte
}

type closure struct {
	peer   engine.PeerID
	reason error
}

func (n *node) OnEvent(e engine.Event) {
	select {
	case n.events <- e:
	default:
	}
}

func (n *node) OnData(peer engine.PeerID, label string, payload []byte) {
	n.data <- message{peer, label, payload}
}

func (n *node) OnClosed(peer engine.PeerID, reason error) { n.closed <- closure{peer, reason} }

// spy is the real core, with the keys that it was lent.
type spy struct {
	*engine.Core
	mu   sync.Mutex
	keys map[engine.PeerID]*protection
}

func (s *spy) Protect(now time.Time, id engine.PeerID, p engine.Protection, batch *engine.Batch) error {
	s.mu.Lock()
	s.keys[id] = p.(*protection)
	s.mu.Unlock()
	return s.Core.Protect(now, id, p, batch)
}

// keysOf returns the keys that a peer's core was lent, or nil.
func (n *node) keysOf(id engine.PeerID) *protection {
	for _, s := range n.cores {
		s.mu.Lock()
		keys := s.keys[id]
		s.mu.Unlock()
		if keys != nil {
			return keys
		}
	}
	return nil
}

// do runs fn with the core of a peer that is open.
func (n *node) do(t testing.TB, id engine.PeerID, fn func(time.Time, *engine.Core, *engine.Batch)) {
	t.Helper()
	if err := n.Do(id, fn); err != nil {
		t.Fatal(err)
	}
}

// setup is how a node may be run.
type setup struct {
	name     string
	workers  int
	together int
	portable bool
}

// The ways to run a node.
var (
	oneWorker = setup{name: "one worker", workers: 1}
	// Two peers of a room are with different workers.
	twoWorkers      = setup{name: "two workers", workers: 2, together: 1}
	portableSockets = setup{name: "portable sockets", workers: 1, portable: true}
)

// overSetups runs a test on every setup that the system has.
func overSetups(t *testing.T, test func(t *testing.T, on setup)) {
	t.Helper()
	for _, on := range []setup{oneWorker, twoWorkers, portableSockets} {
		if on.workers <= maxWorkers {
			t.Run(on.name, func(t *testing.T) { test(t, on) })
		}
	}
}

// one is a datagram as a socket gives it.
func one(from netip.AddrPort, b []byte) []mmsg.Packet {
	return []mmsg.Packet{{From: from, Payload: b}}
}

// startNode runs a Transport until the test ends and checks that Run returns.
func startNode(t testing.TB, on setup, configure func(*Config)) *node {
	t.Helper()
	n := &node{
		events: make(chan engine.Event, 4096),
		data:   make(chan message, 4096),
		closed: make(chan closure, 64),
		done:   make(chan error, 1),
	}
	cfg := Config{Listen: []netip.AddrPort{loopback4}, Handler: n, Workers: on.workers, Together: on.together, Portable: on.portable, Logger: slog.New(slog.DiscardHandler)}
	if configure != nil {
		configure(&cfg)
	}
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.Transport, err = newTransport(cfg, func(c *engine.Core) core {
		n.cores = append(n.cores, &spy{Core: c, keys: map[engine.PeerID]*protection{}})
		return n.cores[len(n.cores)-1]
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, n.done, "Run to return"); err != nil {
			t.Errorf("Run: %v", err)
		}
		n.done <- nil
	})
	return n
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// eventually repeats check until it has nothing to say.
func eventually(t testing.TB, check func() string) {
	t.Helper()
	tick, deadline := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(problem)
		}
	}
}

// awaitClosed waits for the end of a peer and checks the reason.
func (n *node) awaitClosed(t testing.TB, id engine.PeerID, reason error) {
	t.Helper()
	c := receive(t, n.closed, "OnClosed")
	if c.peer != id || !errors.Is(c.reason, reason) {
		t.Fatalf("OnClosed(%d, %v), want (%d, %v)", c.peer, c.reason, id, reason)
	}
}

// awaitConnected waits until the core has the peer's keys.
func (n *node) awaitConnected(t testing.TB, id engine.PeerID) {
	t.Helper()
	awaitEvent(t, n, func(e engine.PeerState) bool { return e.Peer == id && e.State == engine.StateConnected })
}

// awaitEvent waits for an event of one type that is as wanted.
func awaitEvent[E engine.Event](t testing.TB, n *node, wanted func(E) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event := <-n.events:
			if e, ok := event.(E); ok && wanted(e) {
				return
			}
		case <-deadline:
			var e E
			t.Fatalf("waited %v for %T", patience, e)
		}
	}
}

// any event of a type will do.
func anyEvent[E engine.Event](E) bool { return true }

// client is a stock PeerConnection on the other side.
type client struct {
	*webrtc.PeerConnection
	id     engine.PeerID
	states chan webrtc.PeerConnectionState
}

// clientConfig says what a client is like.
type clientConfig struct {
	profiles   []dtls.SRTPProtectionProfile // those that it offers; nil for its own list
	ipv6       bool
	settings   func(*webrtc.SettingEngine)
	prepare    func(*webrtc.PeerConnection) // tracks and channels before the offer
	peer       func(*PeerConfig)            // changes to how the node opens it
	through    []netip.AddrPort             // candidates of the answer; nil for the node's
	maxMessage int                          // what the answer allows; 0 for MaxMessage
	opened     func() []string              // after Open; returns lines for the answer's media section
}

func newClient(t testing.TB, cfg clientConfig) *client {
	t.Helper()
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if cfg.ipv6 { // of itself pion gathers no [::1]
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Fatal(err)
		}
		mux := webrtc.NewICEUDPMux(quiet().NewLogger("ice"), conn)
		t.Cleanup(func() { _ = mux.Close() })
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
		s.SetICEUDPMux(mux)
	}
	s.LoggerFactory = quiet()
	if cfg.profiles != nil {
		s.SetSRTPProtectionProfiles(cfg.profiles...)
	}
	if cfg.settings != nil {
		cfg.settings(&s)
	}
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	c := &client{PeerConnection: pc, states: make(chan webrtc.PeerConnectionState, 16)}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { c.states <- s })
	if cfg.prepare != nil {
		cfg.prepare(pc)
	}
	return c
}

// join makes a client, opens its peer and gives it the node's answer.
func (n *node) join(t testing.TB, id engine.PeerID, cfg clientConfig) *client {
	t.Helper()
	c := newClient(t, cfg)
	c.id = id
	offer, err := c.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	peer := PeerConfig{
		PeerConfig: engine.PeerConfig{
			ID: id, Room: "RM_test", Session: "SE_test",
			Local:  engine.ICE{Ufrag: fmt.Sprintf("node%04d", id), Pwd: fmt.Sprintf("password-of-the-node-%08d", id)},
			Remote: engine.ICE{Ufrag: attribute(offer.SDP, "ice-ufrag"), Pwd: attribute(offer.SDP, "ice-pwd")},
		},
		RemoteFingerprints: []Fingerprint{mustFingerprint(t, attribute(offer.SDP, "fingerprint"))},
		SCTP:               strings.Contains(offer.SDP, "m=application"),
	}
	if cfg.peer != nil {
		cfg.peer(&peer)
	}
	if err := n.Open(peer); err != nil {
		t.Fatal(err)
	}
	var section []string
	if cfg.opened != nil {
		section = cfg.opened()
	}
	if err := c.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer, SDP: n.answer(offer.SDP, peer, cfg, section),
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer writes the node's side of an offer: ICE-lite, everything bundled.
func (n *node) answer(offer string, peer PeerConfig, cfg clientConfig, section []string) string {
	candidates := cfg.through
	if candidates == nil {
		candidates = n.Addrs()
	}
	var mids, sections []string
	for offered := range strings.SplitSeq(offer, "\r\nm=") {
		kind, _, _ := strings.Cut(offered, " ")
		if kind != "audio" && kind != "application" {
			continue
		}
		mid := attribute(offered, "mid")
		mids = append(mids, mid)
		setup := "passive"
		if peer.Active {
			setup = "active"
		}
		lines := []string{
			"c=IN IP4 0.0.0.0", "a=mid:" + mid, "a=ice-ufrag:" + peer.Local.Ufrag, "a=ice-pwd:" + peer.Local.Pwd,
			"a=fingerprint:" + n.Fingerprint(), "a=setup:" + setup,
		}
		if kind == "audio" {
			lines = append([]string{"m=audio 9 UDP/TLS/RTP/SAVPF 111"}, append(lines, "a=rtcp-mux", "a=rtpmap:111 opus/48000/2")...)
			lines = append(lines, section...)
		} else {
			lines = append([]string{"m=application 9 UDP/DTLS/SCTP webrtc-datachannel"}, append(lines, "a=sctp-port:5000",
				fmt.Sprintf("a=max-message-size:%d", cmp.Or(cfg.maxMessage, MaxMessage)))...)
		}
		for i, addr := range candidates {
			lines = append(lines, fmt.Sprintf("a=candidate:%d 1 udp %d %s %d typ host", i+1, 2130706431-i, addr.Addr(), addr.Port()))
		}
		sections = append(sections, strings.Join(append(lines, "a=end-of-candidates"), "\r\n"))
	}
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE " + strings.Join(mids, " ") +
		"\r\n" + strings.Join(sections, "\r\n") + "\r\n"
}

// awaitState waits until the client reaches a state.
func (c *client) awaitState(t testing.TB, want webrtc.PeerConnectionState) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-c.states:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("waited %v for client state %v", patience, want)
		}
	}
}

func attribute(sdp, name string) string {
	_, rest, _ := strings.Cut(sdp, "a="+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func mustFingerprint(t testing.TB, text string) Fingerprint {
	t.Helper()
	f, err := ParseFingerprint(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// withChannel prepares a client with a data channel that reports what arrives.
func withChannel(t testing.TB, label string, options *webrtc.DataChannelInit, dc **webrtc.DataChannel, open chan<- string, got chan<- message) func(*webrtc.PeerConnection) {
	return func(pc *webrtc.PeerConnection) {
		channel, err := pc.CreateDataChannel(label, options)
		if err != nil {
			t.Fatal(err)
		}
		*dc = channel
		channel.OnOpen(func() { open <- label })
		channel.OnMessage(func(m webrtc.DataChannelMessage) { got <- message{label: label, payload: m.Data} })
	}
}

// awaitChannels waits until the node knows so many channels of peer 1. A client
// hears that its channel is open just before the node has noted it.
func (n *node) awaitChannels(t testing.TB, count int) {
	t.Helper()
	eventually(t, func() string {
		c := n.directory.peer(1).channels
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.list) != count {
			return fmt.Sprintf("%d channels are noted, want %d", len(c.list), count)
		}
		return ""
	})
}
