package orchestrator_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
)

const (
	testKey    = "APItest"
	testSecret = "secret-secret-secret-secret-secret"
	patience   = 10 * time.Second // for what must happen; never waited out when tests pass
)

// fixedDiscovery is a list of nodes that a test may change.
type fixedDiscovery struct {
	mu      sync.Mutex
	nodes   []discovery.Node
	changed chan struct{}
}

func (d *fixedDiscovery) Snapshot() []discovery.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.nodes)
}

func (d *fixedDiscovery) Changed() <-chan struct{} { return d.changed }

func (d *fixedDiscovery) set(nodes ...*fakeNode) {
	d.mu.Lock()
	d.nodes = nil
	for _, n := range nodes {
		d.nodes = append(d.nodes, n.record())
	}
	d.mu.Unlock()
	d.changed <- struct{}{}
}

// network is an Orchestrator with fake nodes.
type network struct {
	t         *testing.T
	o         *orchestrator.Orchestrator
	discovery *fixedDiscovery
	nodes     []*fakeNode
	stop      func()
	dir       string
	store     state.Store
	change    func(*orchestrator.Config)
}

func newNetwork(t *testing.T, nodeCount int, change func(*orchestrator.Config)) *network {
	t.Helper()
	n := &network{t: t, dir: t.TempDir(), change: change}
	store, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n.store = store
	n.discovery = &fixedDiscovery{changed: make(chan struct{}, 10)}
	for range nodeCount {
		node := newFakeNode(t)
		n.nodes = append(n.nodes, node)
		n.discovery.nodes = append(n.discovery.nodes, node.record())
	}
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

// start runs an Orchestrator with the network's key and store.
func (n *network) start() {
	n.t.Helper()
	c := orchestrator.DefaultConfig()
	c.Listen, c.Dir = "127.0.0.1:0", n.dir
	c.Keys = []orchestrator.Key{{Key: testKey, Secret: testSecret}}
	c.ConnectRate = -1
	if n.change != nil {
		n.change(&c)
	}
	o, err := orchestrator.New(c, orchestrator.Parts{Discovery: n.discovery, Store: n.store}, slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	n.o = o
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("orchestrator ended with %v", err)
		}
	})
}

func token(t *testing.T, identity, room string, grants ...string) string {
	t.Helper()
	tok, err := signal.Token(testKey, testSecret, signal.Grants{Identity: identity, Name: "Name of " + identity, Room: room, Names: grants}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// joinRequest is what a client asks for by default.
func joinRequest(offer string) *livekit.JoinRequest {
	jr := &livekit.JoinRequest{
		ClientInfo:         &livekit.ClientInfo{Sdk: livekit.ClientInfo_JS, Protocol: 17, Version: "2.23.0", ClientProtocol: 1},
		ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true, AdaptiveStream: true},
	}
	if offer != "" {
		jr.PublisherOffer = &livekit.SessionDescription{Type: "offer", Sdp: offer, Id: 1}
	}
	return jr
}

func wrap(t *testing.T, jr *livekit.JoinRequest) string {
	t.Helper()
	b, err := proto.Marshal(jr)
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err = proto.Marshal(&livekit.WrappedJoinRequest{Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: z.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (n *network) wsURL(path, token, join string) string {
	q := url.Values{"access_token": {token}}
	if join != "" {
		q.Set("join_request", join)
	}
	return strings.Replace(n.o.URL(), "http", "ws", 1) + path + "?" + q.Encode()
}

// person is a client that speaks the raw protocol.
type person struct {
	t      *testing.T
	n      *network
	name   string
	token  string
	ws     *websocket.Conn
	in     chan *livekit.SignalResponse
	closed chan error

	mu    sync.Mutex
	trace []string

	sid   string
	offer uint32
	lines []string // of the SDP
	seen  []*livekit.SignalResponse
}

// defaultLines is the first offer of a browser: three sections of each kind to
// receive with.
func defaultLines() []string {
	return []string{"recv audio", "recv audio", "recv audio", "recv video", "recv video", "recv video"}
}

func (n *network) dial(token string, jr *livekit.JoinRequest) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, n.wsURL("/rtc/v1", token, wrap(n.t, jr)), nil)
	if ws != nil {
		ws.SetReadLimit(10 << 20)
	}
	return ws, resp, err
}

// restored counts the sessions that nodes took up from others.
func (n *network) restored() (sum int) {
	for _, node := range n.nodes {
		node.mu.Lock()
		sum += node.restores
		node.mu.Unlock()
	}
	return sum
}

func (n *network) newPerson(name, room string, grants ...string) *person {
	return &person{t: n.t, n: n, name: name, token: token(n.t, name, room, grants...), lines: defaultLines()}
}

// join connects a person and takes the first message.
func (n *network) join(name, room string, grants ...string) (*person, *livekit.JoinResponse) {
	n.t.Helper()
	p := n.newPerson(name, room, grants...)
	p.offer = 1
	p.connect(joinRequest(p.sdp()))
	j := p.expect("join").GetJoin()
	p.sid = j.GetParticipant().GetSid()
	return p, j
}

func (p *person) sdp() string { return strings.Join(p.lines, "\n") + "\n" }

func (p *person) connect(jr *livekit.JoinRequest) {
	p.t.Helper()
	ws, _, err := p.n.dial(p.token, jr)
	if err != nil {
		p.t.Fatalf("%s: connecting: %v", p.name, err)
	}
	p.ws = ws
	p.in, p.closed = make(chan *livekit.SignalResponse, 10_000), make(chan error, 1)
	in, closed := p.in, p.closed
	p.t.Cleanup(func() { ws.CloseNow() }) //nolint:errcheck // ended by the test already
	go func() {
		for {
			_, frame, err := ws.Read(context.Background())
			if err != nil {
				closed <- err
				close(in)
				return
			}
			m := &livekit.SignalResponse{}
			if err := proto.Unmarshal(frame, m); err != nil {
				p.t.Errorf("%s: unreadable frame: %v", p.name, err)
			}
			p.note("<- " + kindOf(m))
			in <- m
		}
	}()
}

func (p *person) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trace = append(p.trace, line)
}

// kindOf is the message's name as JavaScript clients show it.
func kindOf(m any) string {
	var name string
	switch v := m.(type) {
	case *livekit.SignalResponse:
		name = reflect.TypeOf(v.GetMessage()).Elem().Name()
	case *livekit.SignalRequest:
		name = reflect.TypeOf(v.GetMessage()).Elem().Name()
	}
	_, name, _ = strings.Cut(name, "_")
	return strings.ToLower(name[:1]) + name[1:]
}

// send sends messages; all are noted before the first one can be answered.
func (p *person) send(list ...*livekit.SignalRequest) {
	p.t.Helper()
	for _, m := range list {
		p.note("-> " + kindOf(m))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range list {
		b, err := proto.Marshal(m)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := p.ws.Write(ctx, websocket.MessageBinary, b); err != nil {
			p.t.Fatalf("%s: sending %s: %v", p.name, kindOf(m), err)
		}
	}
}

// expectThat waits for a message of a kind for which ok holds, and takes it.
// Others are kept for later.
func (p *person) expectThat(kind string, ok func(*livekit.SignalResponse) bool) *livekit.SignalResponse {
	p.t.Helper()
	for i, m := range p.seen {
		if kindOf(m) == kind && (ok == nil || ok(m)) {
			p.seen = slices.Delete(p.seen, i, i+1)
			return m
		}
	}
	timeout := time.After(patience)
	for {
		select {
		case m, open := <-p.in:
			if !open {
				p.t.Fatalf("%s: connection ended while waiting for %s; got %s", p.name, kind, p.traceText())
			}
			if kindOf(m) == kind && (ok == nil || ok(m)) {
				return m
			}
			p.seen = append(p.seen, m)
		case <-timeout:
			p.t.Fatalf("%s: no %s came; got %s", p.name, kind, p.traceText())
		}
	}
}

func (p *person) expect(kind string) *livekit.SignalResponse {
	p.t.Helper()
	return p.expectThat(kind, nil)
}

func (p *person) traceText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.trace, ", ")
}

// expectUpdate waits until a participant is seen for whom ok holds.
func (p *person) expectUpdate(identity string, ok func(*livekit.ParticipantInfo) bool) *livekit.ParticipantInfo {
	p.t.Helper()
	var found *livekit.ParticipantInfo
	p.expectThat("update", func(m *livekit.SignalResponse) bool {
		for _, info := range m.GetUpdate().GetParticipants() {
			if info.GetIdentity() == identity && (ok == nil || ok(info)) {
				found = info
				return true
			}
		}
		return false
	})
	return found
}

// sendOffer offers the person's sections anew.
func (p *person) sendOffer() uint32 {
	p.t.Helper()
	p.offer++
	p.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{
		Type: "offer", Sdp: p.sdp(), Id: p.offer,
	}}})
	return p.offer
}

// negotiate offers and waits for the answer with the same id.
func (p *person) negotiate() *livekit.SessionDescription {
	p.t.Helper()
	id := p.sendOffer()
	return p.expectThat("answer", func(m *livekit.SignalResponse) bool { return m.GetAnswer().GetId() == id }).GetAnswer()
}

// announce asks for a track and returns its sid.
func (p *person) announce(cid string, kind livekit.TrackType, source livekit.TrackSource) *livekit.TrackInfo {
	p.t.Helper()
	a := &livekit.AddTrackRequest{Cid: cid, Type: kind, Source: source, Name: cid}
	if kind == livekit.TrackType_VIDEO {
		a.Width, a.Height = 1280, 720
		for q := range livekit.VideoQuality(3) {
			a.Layers = append(a.Layers, &livekit.VideoLayer{Quality: q, Width: 320 << q, Height: 180 << q})
		}
	}
	p.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: a}})
	return p.expectThat("trackPublished", func(m *livekit.SignalResponse) bool {
		return m.GetTrackPublished().GetCid() == cid
	}).GetTrackPublished().GetTrack()
}

// publish announces a track and offers it.
func (p *person) publish(cid string) *livekit.TrackInfo {
	p.t.Helper()
	kind, source, name := livekit.TrackType_AUDIO, livekit.TrackSource_MICROPHONE, "audio"
	if strings.Contains(cid, "video") {
		kind, source, name = livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA, "video"
	}
	t := p.announce(cid, kind, source)
	p.lines = append(p.lines, "send "+cid+" "+name)
	p.negotiate()
	return t
}

// seeTrack renegotiates until a track has a section.
func (p *person) seeTrack(sid string) {
	p.t.Helper()
	for range 5 {
		for _, track := range p.negotiate().GetMidToTrackId() {
			if track == sid {
				return
			}
		}
	}
	p.t.Fatalf("%s: no section carries %s; got %s", p.name, sid, p.traceText())
}

func (p *person) expectClosed(code websocket.StatusCode) {
	p.t.Helper()
	select {
	case err := <-p.closed:
		if got := websocket.CloseStatus(err); got != code {
			p.t.Errorf("%s: connection ended with %v, want status %d", p.name, err, code)
		}
	case <-time.After(patience):
		p.t.Errorf("%s: connection is still open, want it closed with %d", p.name, code)
	}
}

// get fetches a path.
func (n *network) get(path string) (int, string, http.Header) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.o.URL()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// eventually waits for a condition that no message announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen", what)
		}
	}
}
