package medianode_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode"
)

// commander is one Orchestrator over several nodes.
type commander struct {
	t   *testing.T
	key *identity.Key
}

// site is a node as its commander sees it.
type site struct {
	*orchestrator
	node   *medianode.Node
	events *chronicle
	stop   func()
}

// chronicle keeps all events of a node, so that several may be waited for in any
// order.
type chronicle struct {
	t    *testing.T
	mu   sync.Mutex
	list []*medianodev1.EventsResponse
	more chan struct{}
}

func newCommander(t *testing.T) *commander {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &commander{t: t, key: key}
}

// add runs a node and follows its events.
func (c *commander) add(change func(*medianode.Config)) *site {
	c.t.Helper()
	n, stop := runNode(c.t, change)
	s := &site{orchestrator: command(c.t, n, c.key), node: n, stop: stop}
	s.follow(c.t)
	return s
}

// follow keeps the node's events until the test ends.
func (s *site) follow(t *testing.T) {
	s.events = &chronicle{t: t, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stream := s.orchestrator.events(ctx)
	go func() {
		for e := range stream {
			s.events.note(e)
		}
	}()
}

func (c *chronicle) note(e *medianodev1.EventsResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, e)
	close(c.more)
	c.more = make(chan struct{})
}

// mark is a place in the chronicle from which on to look.
func (c *chronicle) mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.list)
}

func (c *chronicle) since(mark int) []*medianodev1.EventsResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list[mark:]
}

// await returns the first event since a mark that is as wanted.
func (c *chronicle) await(what string, since int, wanted func(*medianodev1.EventsResponse) bool) *medianodev1.EventsResponse {
	c.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		c.mu.Lock()
		list, more := c.list[since:], c.more
		c.mu.Unlock()
		for _, e := range list {
			if wanted(e) {
				return e
			}
		}
		since += len(list)
		select {
		case <-more:
		case <-deadline:
			c.t.Fatalf("no %s within 15 s", what)
		}
	}
}

func linkState(link string, state medianodev1.RelayState_State) func(*medianodev1.EventsResponse) bool {
	return func(e *medianodev1.EventsResponse) bool {
		r := e.GetRelayState()
		return r.GetLink() == link && r.GetState() == state
	}
}

func available(track string, is bool) func(*medianodev1.EventsResponse) bool {
	return func(e *medianodev1.EventsResponse) bool {
		a := e.GetTrackAvailable()
		return a.GetTrack() == track && a.GetAvailable() == is
	}
}

// prepare gets the descriptions of both ends of a link.
func (c *commander) prepare(link string, a, b *site) (ofA, ofB *medianodev1.SignedDescription) {
	c.t.Helper()
	ofA = call(a.orchestrator, a.PrepareRelay, &medianodev1.PrepareRelayRequest{Link: link, Room: "RM_1", Peer: b.node.ID().String()}).Description
	ofB = call(b.orchestrator, b.PrepareRelay, &medianodev1.PrepareRelayRequest{Link: link, Room: "RM_1", Peer: a.node.ID().String()}).Description
	return ofA, ofB
}

func openRequest(link string, peer *site, of *medianodev1.SignedDescription) *medianodev1.OpenRelayRequest {
	return &medianodev1.OpenRelayRequest{Link: link, Room: "RM_1", Peer: peer.node.ID().String(), Description: of, Application: "shop"}
}

// link opens a link between two nodes and waits until it is connected.
func (c *commander) link(link string, a, b *site) (version uint32) {
	c.t.Helper()
	atA, atB := a.events.mark(), b.events.mark()
	ofA, ofB := c.prepare(link, a, b)
	version = call(a.orchestrator, a.OpenRelay, openRequest(link, b, ofB)).Version
	if other := call(b.orchestrator, b.OpenRelay, openRequest(link, a, ofA)).Version; other != version {
		c.t.Errorf("link %s: one end speaks version %d, the other %d", link, version, other)
	}
	a.events.await("connected link "+link, atA, linkState(link, medianodev1.RelayState_STATE_CONNECTED))
	b.events.await("connected link "+link, atB, linkState(link, medianodev1.RelayState_STATE_CONNECTED))
	return version
}

// route says by which links a node gets the tracks of others.
func (c *commander) route(at *site, links map[*site]string) {
	c.t.Helper()
	m := &medianodev1.SetRelayRoutesRequest{Room: "RM_1"}
	for origin, link := range links {
		m.Routes = append(m.Routes, &medianodev1.RelayRoute{Origin: origin.node.ID().String(), Link: link})
	}
	call(at.orchestrator, at.SetRelayRoutes, m)
}

// source publishes simulcast VP8, whose layers can be told by their packets'
// sizes, and audio.
type source struct {
	*participant
	stop chan struct{}
}

var rids = []string{"q", "h", "f"}

// sizes of the packets of the layers.
var payloads = map[string]int{"q": 150, "h": 400, "f": 900}

func (s *site) source(name string) *source {
	t := s.t
	t.Helper()
	p := s.join(name, everything())
	audio, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "mic-"+name, "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddTrack(audio); err != nil {
		t.Fatal(err)
	}
	layers := map[string]*webrtc.TrackLocalStaticRTP{}
	var sender *webrtc.RTPSender
	for _, rid := range rids {
		layers[rid], err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam-"+name, "s", webrtc.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		if sender == nil {
			sender, err = p.AddTrack(layers[rid])
		} else {
			err = sender.AddEncoding(layers[rid])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.negotiate(
		&medianodev1.Publication{Track: "TR_cam-" + name, Cid: "cam-" + name, Kind: medianodev1.Kind_KIND_VIDEO, Layers: []*medianodev1.Layer{
			{Rid: "q", Width: 320, Height: 180, Bitrate: 100_000}, {Rid: "h", Width: 640, Height: 360, Bitrate: 300_000}, {Rid: "f", Width: 1280, Height: 720, Bitrate: 900_000},
		}},
		&medianodev1.Publication{Track: "TR_mic-" + name, Cid: "mic-" + name, Kind: medianodev1.Kind_KIND_AUDIO},
	)
	src := &source{participant: p, stop: make(chan struct{})}
	t.Cleanup(sync.OnceFunc(func() { close(src.stop) }))
	var mid string
	for _, tr := range p.GetTransceivers() {
		if tr.Sender() == sender {
			mid = tr.Mid()
		}
	}
	ids := map[string]uint8{}
	for _, x := range sender.GetParameters().HeaderExtensions {
		ids[x.URI] = uint8(x.ID)
	}
	go send(src.stop, audio, layers, mid, ids)
	return src
}

// send writes a key frame of one packet on each layer and an audio packet every
// 20 ms.
func send(stop <-chan struct{}, audio *webrtc.TrackLocalStaticRTP, layers map[string]*webrtc.TrackLocalStaticRTP, mid string, ids map[string]uint8) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		audio.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, Payload: make([]byte, 60)})
		for _, rid := range rids {
			p := &rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i * 1800), Marker: true},
				Payload: append([]byte{0x10, 0}, make([]byte, payloads[rid]-2)...),
			}
			_ = p.SetExtension(ids["urn:ietf:params:rtp-hdrext:sdes:mid"], []byte(mid))
			_ = p.SetExtension(ids["urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"], []byte(rid))
			layers[rid].WriteRTP(p)
		}
	}
}

// viewer is a participant that watches one camera and hears its microphone.
type viewer struct {
	*participant
	tracks chan *webrtc.TrackRemote
	video  *webrtc.TrackRemote
	audio  *webrtc.TrackRemote
}

// watch joins a viewer that wants a camera in a size, and waits for its tracks.
func (s *site) watch(name, of string, settings *medianodev1.TrackSettings) *viewer {
	t := s.t
	t.Helper()
	v := &viewer{participant: s.join(name, everything()), tracks: make(chan *webrtc.TrackRemote, 4)}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := v.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	v.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { v.tracks <- r })
	r := call(v.o, v.o.Subscribe, &medianodev1.SubscribeRequest{Session: v.session, Subscriptions: []*medianodev1.Subscription{
		{Track: "TR_cam-" + of, Stream: "PA_" + of + "|camera", Settings: settings}, {Track: "TR_mic-" + of, Stream: "PA_" + of + "|mic"},
	}})
	if len(r.Refused) > 0 {
		t.Fatalf("%s: refused %v", name, r.Refused)
	}
	v.negotiate()
	for range 2 {
		if r := within(t, "track for "+name, v.tracks); r.Kind() == webrtc.RTPCodecTypeVideo {
			v.video = r
		} else {
			v.audio = r
		}
	}
	return v
}

// sees reads video until so many packets in a row are of a layer, each with the
// number after the one before.
func (v *viewer) sees(rid string, packets int) {
	t := v.o.t
	t.Helper()
	var last *rtp.Packet
	row := 0
	deadline := time.Now().Add(10 * time.Second)
	for row < packets {
		if time.Now().After(deadline) {
			t.Fatalf("%s sees no %s: %d in a row, the last packet had %d bytes", v.session, rid, row, len(last.Payload))
		}
		if err := v.video.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		p, _, err := v.video.ReadRTP()
		if err != nil {
			t.Fatalf("%s sees no %s: %v after %d in a row", v.session, rid, err, row)
		}
		// The descriptor may have grown on the way.
		if n := len(p.Payload) - payloads[rid]; n < 0 || n > 16 || last != nil && p.SequenceNumber != last.SequenceNumber+1 {
			row = 0
		} else {
			row++
		}
		last = p
	}
}

// seesNothing reads video until none has come for half a second.
func (v *viewer) seesNothing() {
	t := v.o.t
	t.Helper()
	for range 500 {
		if err := v.video.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.video.ReadRTP(); err != nil {
			return
		}
	}
	t.Fatalf("%s still sees something", v.session)
}

func (v *viewer) hears(packets int) {
	t := v.o.t
	t.Helper()
	if err := v.audio.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range packets {
		if _, _, err := v.audio.ReadRTP(); err != nil {
			t.Fatalf("%s hears nothing: %v", v.session, err)
		}
	}
}

// report is the next one of a link that is as wanted.
func (s *site) report(what, link string, wanted func(*medianodev1.RelayReport) bool) *medianodev1.RelayReport {
	s.t.Helper()
	var found *medianodev1.RelayReport
	s.events.await(what, s.events.mark(), func(e *medianodev1.EventsResponse) bool {
		for _, r := range e.GetHeartbeat().GetRelays() {
			if r.Link == link && wanted(r) {
				found = r
			}
		}
		return found != nil
	})
	return found
}

func (s *site) hasTracks(of ...string) {
	s.t.Helper()
	for _, name := range of {
		for _, kind := range []string{"TR_cam-", "TR_mic-"} {
			s.events.await(kind+name+" available", 0, available(kind+name, true))
		}
	}
}

func size(width, height uint32) *medianodev1.TrackSettings {
	return &medianodev1.TrackSettings{Width: width, Height: height}
}

// seesAfter changes what the viewer wants.
func (v *viewer) seesAfter(settings *medianodev1.TrackSettings, rid string) {
	v.o.t.Helper()
	call(v.o, v.o.SetTrackSettings, &medianodev1.SetTrackSettingsRequest{Session: v.session, Tracks: []string{v.video.ID()}, Settings: settings})
	v.sees(rid, 20)
}
