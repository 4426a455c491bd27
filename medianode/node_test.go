package medianode_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// openNode makes a node on loopback.
func openNode(t *testing.T, change func(*medianode.Config)) *medianode.Node {
	t.Helper()
	cfg := medianode.DefaultConfig()
	cfg.KeyFile = filepath.Join(t.TempDir(), "node.key")
	cfg.Listen, cfg.MetricsListen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MediaListen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	cfg.Region = "EU"
	cfg.Admission = control.Admission{Mode: control.AdmitAnyone}
	if change != nil {
		change(&cfg)
	}
	n, err := medianode.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startNode runs a node until the test ends.
func startNode(t *testing.T, change func(*medianode.Config)) *medianode.Node {
	t.Helper()
	n, _ := runNode(t, change)
	return n
}

// runNode runs a node until the returned function is called or the test ends.
func runNode(t *testing.T, change func(*medianode.Config)) (n *medianode.Node, stop func()) {
	t.Helper()
	n = openNode(t, change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("node ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("node did not stop")
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// orchestrator is a client of the control service with a key of its own.
type orchestrator struct {
	medianodev1connect.ControlServiceClient
	t    *testing.T
	room string // of who joins
}

func newOrchestrator(t *testing.T, n *medianode.Node) *orchestrator {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return command(t, n, key)
}

// command makes a client of the control service with a key.
func command(t *testing.T, n *medianode.Node, key *identity.Key) *orchestrator {
	t.Helper()
	pin := n.Pin()
	base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if sha256.Sum256(raw[0]) != pin {
				return errors.New("certificate is not the pinned one")
			}
			return nil
		},
	}}
	t.Cleanup(base.CloseIdleConnections)
	client := &http.Client{Transport: &httpauth.Transport{Base: base, Key: key, Audience: n.ID(), Now: time.Now, Rand: rand.Reader}}
	return &orchestrator{medianodev1connect.NewControlServiceClient(client, n.URL()), t, "RM_1"}
}

func call[Req, Resp any](o *orchestrator, f func(context.Context, *connect.Request[Req]) (*connect.Response[Resp], error), m *Req) *Resp {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := f(ctx, connect.NewRequest(m))
	if err != nil {
		o.t.Fatal(err)
	}
	return r.Msg
}

// participant is a stock PeerConnection in a session of the node.
type participant struct {
	*webrtc.PeerConnection
	o       *orchestrator
	session string
	data    map[string]*webrtc.DataChannel
	got     chan webrtc.DataChannelMessage
	opened  chan string
}

func (o *orchestrator) join(name string, perms *medianodev1.Permissions) *participant {
	o.t.Helper()
	return o.joinWith(name, perms)
}

// joinWith is join with further options of the client's library.
func (o *orchestrator) joinWith(name string, perms *medianodev1.Permissions, options ...func(*webrtc.API)) *participant {
	o.t.Helper()
	call(o, o.CreateSession, &medianodev1.CreateSessionRequest{
		Session: "SE_" + name, Mode: medianodev1.Mode_MODE_SINGLE, Room: o.room, Participant: "PA_" + name, Identity: name, Permissions: perms,
		Application: "shop",
	})
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	options = append(options, webrtc.WithSettingEngine(se), defaultMedia(o.t))
	pc, err := webrtc.NewAPI(options...).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { pc.Close() })
	p := &participant{PeerConnection: pc, o: o, session: "SE_" + name, data: map[string]*webrtc.DataChannel{}, got: make(chan webrtc.DataChannelMessage, 100), opened: make(chan string, 2)}
	ordered, zero := false, uint16(0)
	for label, init := range map[string]*webrtc.DataChannelInit{"_reliable": nil, "_lossy": {Ordered: &ordered, MaxRetransmits: &zero}} {
		d, err := pc.CreateDataChannel(label, init)
		if err != nil {
			o.t.Fatal(err)
		}
		d.OnMessage(func(m webrtc.DataChannelMessage) { p.got <- m })
		d.OnOpen(func() { p.opened <- label })
		p.data[label] = d
	}
	return p
}

func defaultMedia(t *testing.T) func(*webrtc.API) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	return webrtc.WithMediaEngine(m)
}

// negotiate makes an offer and takes the node's answer.
func (p *participant) negotiate(announce ...*medianodev1.Publication) *medianodev1.OfferResponse {
	p.o.t.Helper()
	offer, err := p.CreateOffer(nil)
	if err == nil {
		err = p.SetLocalDescription(offer)
	}
	if err != nil {
		p.o.t.Fatal(err)
	}
	r := call(p.o, p.o.Offer, &medianodev1.OfferRequest{Session: p.session, Sdp: offer.SDP, Publications: announce})
	if err := p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.Sdp}); err != nil {
		p.o.t.Fatalf("the client refuses the answer: %v\n%s", err, r.Sdp)
	}
	return r
}

func within[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s within 10 s", what)
		panic("unreachable")
	}
}

func everything() *medianodev1.Permissions {
	return &medianodev1.Permissions{Publish: true, Subscribe: true, PublishData: true}
}

// events follows the node's reports.
func (o *orchestrator) events(ctx context.Context) <-chan *medianodev1.EventsResponse {
	o.t.Helper()
	stream, err := o.Events(ctx, connect.NewRequest(&medianodev1.EventsRequest{}))
	if err != nil {
		o.t.Fatal(err)
	}
	ch := make(chan *medianodev1.EventsResponse, 1000)
	go func() {
		defer close(ch)
		for stream.Receive() {
			ch <- stream.Msg()
		}
	}()
	return ch
}

func until[T any](t *testing.T, ch <-chan *medianodev1.EventsResponse, pick func(*medianodev1.EventsResponse) *T) *T {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case e, ok := <-ch:
			if !ok {
				t.Fatalf("event stream ended before a %T", *new(T))
			}
			if v := pick(e); v != nil {
				return v
			}
		case <-deadline:
			t.Fatalf("no %T within 10 s", *new(T))
		}
	}
}

// setups are the ways to run the media side of a node; with two workers, two
// clients of a room are with different ones.
var setups = map[string]func(*medianode.Config){
	"one worker":       func(c *medianode.Config) { c.Workers = 1 },
	"two workers":      func(c *medianode.Config) { c.Workers, c.WorkerRoomPeers = 2, 1 },
	"portable sockets": func(c *medianode.Config) { c.Portable = true },
}

func TestNode_carriesMediaAndDataBetweenStockClients(t *testing.T) {
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) { testNode_carriesMediaAndDataBetweenStockClients(t, setup) })
	}
}

func testNode_carriesMediaAndDataBetweenStockClients(t *testing.T, setup func(*medianode.Config)) {
	n := startNode(t, setup)
	o := newOrchestrator(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := o.events(ctx)

	alice, bob := o.join("alice", everything()), o.join("bob", everything())
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.AddTrack(video); err != nil {
		t.Fatal(err)
	}
	got := alice.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO})
	if len(got.Published) != 1 || got.Published[0].Track != "TR_cam" || got.Published[0].Mime != "video/VP8" {
		t.Fatalf("published: got %v, want TR_cam as video/VP8", got.Published)
	}
	if _, err := bob.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	tracks := make(chan *webrtc.TrackRemote, 1)
	bob.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { tracks <- r })
	bob.negotiate()

	stop := make(chan struct{})
	defer close(stop)
	go sendFrames(video, stop)
	live := until(t, events, (*medianodev1.EventsResponse).GetTrackLive)
	if live.Track != "TR_cam" || live.Mime != "video/VP8" {
		t.Errorf("track live: got %v", live)
	}
	sub := call(o, o.Subscribe, &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "PA_alice|camera"}}})
	if !sub.NegotiationNeeded || sub.MissingVideo != 0 || len(sub.Refused) != 0 {
		t.Fatalf("subscribe: got %v, want a negotiation on the free section", sub)
	}
	// Media that comes before the client knows the answer meets a race of the
	// client's library between its two ways to learn an SSRC.
	call(o, o.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam", Muted: true})
	answer := bob.negotiate()
	call(o, o.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam"})
	if len(answer.MidToTrack) != 1 {
		t.Errorf("mid to track: got %v", answer.MidToTrack)
	}
	remote := within(t, "remote track", tracks)
	if remote.ID() != "TR_cam" || remote.StreamID() != "PA_alice|camera" {
		t.Errorf("got track %q of stream %q", remote.ID(), remote.StreamID())
	}
	var before *rtp.Packet
	for range 60 {
		p, _, err := remote.ReadRTP()
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("sequence %d after %d", p.SequenceNumber, before.SequenceNumber)
		}
		before = p
	}
	until(t, events, (*medianodev1.EventsResponse).GetSubscriptionActive)

	for range 4 {
		within(t, "data channel", mergeOpened(alice, bob))
	}
	for _, label := range []string{"_reliable", "_lossy"} {
		packet := dataPacket("hello " + label)
		if err := alice.data[label].Send(packet); err != nil {
			t.Fatal(err)
		}
		m := within(t, "data on "+label, bob.got)
		if sender := senderOf(t, m.Data); sender != "alice" {
			t.Errorf("%s: got sender %q, want alice", label, sender)
		}
	}

	report := until(t, events, func(e *medianodev1.EventsResponse) *medianodev1.SessionReport {
		for _, r := range e.GetHeartbeat().GetReports() {
			if r.Session == alice.session {
				return r
			}
		}
		return nil
	})
	if !report.Figures.Connected {
		t.Errorf("report: got %v", report)
	}
	call(o, o.CloseSession, &medianodev1.CloseSessionRequest{Session: alice.session})
	closed := until(t, events, func(e *medianodev1.EventsResponse) *medianodev1.SessionState {
		if s := e.GetSessionState(); s.GetState() == medianodev1.SessionState_STATE_CLOSED {
			return s
		}
		return nil
	})
	if closed.Session != alice.session {
		t.Errorf("closed: got %v", closed)
	}
}

func mergeOpened(ps ...*participant) <-chan string {
	out := make(chan string, 1)
	go func() {
		select {
		case v := <-ps[0].opened:
			out <- v
		case v := <-ps[1].opened:
			out <- v
		}
	}()
	return out
}

// sendFrames writes a key frame of two packets every 10 ms.
func sendFrames(track *webrtc.TrackLocalStaticRTP, stop <-chan struct{}) {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		for k := range 2 {
			first := byte(0x10)
			if k == 1 {
				first = 0
			}
			track.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(2*i + k), Timestamp: uint32(i * 900), Marker: k == 1},
				Payload: append([]byte{first, 0}, make([]byte, 900)...),
			})
		}
	}
}

func TestNode_answersWithTheCodecThatIsAskedFor(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	alice := o.join("alice", everything())
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000}, "cam", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.AddTrack(video); err != nil {
		t.Fatal(err)
	}
	got := alice.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO, Mime: "video/AV1"})
	if len(got.Published) != 1 || got.Published[0].Mime != "video/AV1" {
		t.Errorf("published: got %v, want video/AV1", got.Published)
	}
}

func TestNode_strangersSeeNothingOfASession(t *testing.T) {
	n := startNode(t, nil)
	o, stranger := newOrchestrator(t, n), newOrchestrator(t, n)
	o.join("alice", everything()).negotiate()
	_, err := stranger.GetSession(t.Context(), connect.NewRequest(&medianodev1.GetSessionRequest{Session: "SE_alice"}))
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("another Orchestrator's session: got %v, want not_found", err)
	}
	_, err = stranger.SendData(t.Context(), connect.NewRequest(&medianodev1.SendDataRequest{Room: "RM_1", Packet: dataPacket("x")}))
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("data into another Orchestrator's room: got %v, want not_found", err)
	}
	if call(stranger, stranger.CloseSession, &medianodev1.CloseSessionRequest{Session: "SE_alice"}); call(o, o.GetSession, &medianodev1.GetSessionRequest{Session: "SE_alice"}) == nil {
		t.Error("a stranger closed the session")
	}
}

func TestNode_refusesBadInputByName(t *testing.T) {
	n := startNode(t, func(c *medianode.Config) { c.MaxSessions = 1 })
	o := newOrchestrator(t, n)
	create := func(m *medianodev1.CreateSessionRequest) error {
		_, err := o.CreateSession(t.Context(), connect.NewRequest(m))
		return err
	}
	good := func() *medianodev1.CreateSessionRequest {
		return &medianodev1.CreateSessionRequest{Session: "SE_1", Mode: medianodev1.Mode_MODE_SINGLE, Room: "r", Participant: "p", Identity: "i"}
	}
	for field, m := range map[string]func(*medianodev1.CreateSessionRequest){
		"session":  func(m *medianodev1.CreateSessionRequest) { m.Session = "" },
		"room":     func(m *medianodev1.CreateSessionRequest) { m.Room = string(make([]byte, 65)) },
		"identity": func(m *medianodev1.CreateSessionRequest) { m.Identity = "" },
		"mode":     func(m *medianodev1.CreateSessionRequest) { m.Mode = 9 },
	} {
		req := good()
		m(req)
		if err := create(req); connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, field) {
			t.Errorf("bad %s: got %v, want invalid_argument that names it", field, err)
		}
	}
	if err := create(good()); err != nil {
		t.Fatal(err)
	}
	if err := create(good()); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("the same session: got %v, want already_exists", err)
	}
	second := good()
	second.Session = "SE_2"
	if err := create(second); connect.CodeOf(err) != connect.CodeResourceExhausted || !contains(err, "full") {
		t.Errorf("a full node: got %v, want resource_exhausted and why", err)
	}
	_, err := o.Offer(t.Context(), connect.NewRequest(&medianodev1.OfferRequest{Session: "SE_1", Sdp: "v=0\r\nrubbish"}))
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, "sdp") {
		t.Errorf("malformed SDP: got %v, want invalid_argument that names sdp", err)
	}
}

func TestNode_boundsTheOffersOfASession(t *testing.T) {
	o := newOrchestrator(t, startNode(t, nil))
	o.join("alice", everything())
	for range 100 {
		_, err := o.Offer(t.Context(), connect.NewRequest(&medianodev1.OfferRequest{Session: "SE_alice", Sdp: "v=0"}))
		if connect.CodeOf(err) == connect.CodeResourceExhausted {
			return
		}
	}
	t.Error("100 offers in a moment were all looked at")
}

func TestNode_admitsOnlyWhomItsOperatorAllows(t *testing.T) {
	friend, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, func(c *medianode.Config) {
		c.Admission = control.Admission{Mode: control.AdmitAllowList}
		c.Admission.Allow = append(c.Admission.Allow, friend.ID())
	})
	o := newOrchestrator(t, n)
	_, err = o.GetSession(t.Context(), connect.NewRequest(&medianodev1.GetSessionRequest{Session: "x"}))
	if connect.CodeOf(err) != connect.CodePermissionDenied || !contains(err, "not admitted") {
		t.Errorf("a stranger: got %v, want permission_denied", err)
	}
}

func TestNode_refusedPublisherPublishesNothing(t *testing.T) {
	n := startNode(t, nil)
	o := newOrchestrator(t, n)
	p := o.join("mute", &medianodev1.Permissions{Subscribe: true})
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddTrack(video); err != nil {
		t.Fatal(err)
	}
	got := p.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO})
	for _, s := range got.Published {
		if s.Track != "" {
			t.Errorf("section %s was matched to %s without permission", s.Mid, s.Track)
		}
	}
}
