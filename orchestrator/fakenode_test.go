package orchestrator_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// fakeNode is a Media Node without media: a real control service over TLS and
// HTTP/2 that verifies signatures. Its SDP is a list of lines:
//
//	recv audio|video      a section that can receive
//	send CID audio|video  a section that sends
//	bad                   an SDP that is refused
type fakeNode struct {
	medianodev1connect.UnimplementedControlServiceHandler
	id     drtc.NodeID
	server *httptest.Server

	mu               sync.Mutex
	sessions         map[string]*fakeSession
	restores         int // offers that took up a session of another node
	calls            []string
	refuse           string // CreateSession fails with this
	others, most     uint32 // sessions of others that it has, and how many it takes if not 100
	full             string // and the heartbeat says so beforehand
	frozen           chan struct{}
	streams          map[chan *medianodev1.EventsResponse]bool
	sequence         uint64
	instance         string
	auto             bool // connect and go live at once
	sequenceOfClient uint32
}

type fakeSession struct {
	room       string
	subscribed []string
	streams    map[string]string
	placed     map[string]string // mid to track
	published  map[string]string // cid to track
	active     map[string]bool
	settings   map[string]*medianodev1.TrackSettings
	offered    bool
}

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{
		id: key.ID(), sessions: map[string]*fakeSession{}, streams: map[chan *medianodev1.EventsResponse]bool{},
		instance: "1", auto: true,
	}
	guard, err := httpauth.New(httpauth.Config{Policy: rpcauth.Policy{Self: n.id}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(medianodev1connect.NewControlServiceHandler(n))
	n.server = httptest.NewUnstartedServer(guard.Middleware(mux))
	n.server.EnableHTTP2 = true
	n.server.StartTLS()
	t.Cleanup(n.kill)
	return n
}

// kill ends the node as a crash would: connections break, new ones are refused.
func (n *fakeNode) kill() {
	n.server.CloseClientConnections()
	n.server.Listener.Close() //nolint:errcheck // closed twice is fine
	n.thaw()
	n.server.Close()
}

func (n *fakeNode) record() discovery.Node {
	return discovery.Node{
		ID: n.id, URL: n.server.URL, TLSFingerprint: sha256.Sum256(n.server.Certificate().Raw),
		Region: drtc.Europe, Place: &drtc.Place{Lat: 50, Lon: 8}, PlaceName: "Testville", Version: drtc.Version, CapacityMbps: 1000, IssuedAt: time.Now(),
	}
}

// freeze makes the node answer nothing, as a stopped process would.
func (n *fakeNode) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = make(chan struct{})
}

func (n *fakeNode) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen != nil {
		close(n.frozen)
		n.frozen = nil
	}
}

func (n *fakeNode) note(format string, args ...any) {
	n.mu.Lock()
	frozen := n.frozen
	n.calls = append(n.calls, fmt.Sprintf(format, args...))
	n.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (n *fakeNode) called() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

func (n *fakeNode) sessionCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.sessions)
}

// emit sends an event on all streams. The caller holds mu.
func (n *fakeNode) emit(e *medianodev1.EventsResponse) {
	n.sequence++
	e.Sequence, e.Instance = n.sequence, n.instance
	for s := range n.streams {
		select {
		case s <- e:
		default:
		}
	}
}

// send emits an event from a test.
func (n *fakeNode) send(e *medianodev1.EventsResponse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.emit(e)
}

// sessionOf is the session that publishes a track, or the one session that has
// been subscribed to it.
func (n *fakeNode) sessionOf(track string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, s := range n.sessions {
		if slices.Contains(slices.Collect(maps.Values(s.published)), track) {
			return id
		}
	}
	return ""
}

func (n *fakeNode) connected(session string) {
	n.emit(&medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SessionState{SessionState: &medianodev1.SessionState{
		Session: session, State: medianodev1.SessionState_STATE_CONNECTED,
	}}})
}

func (n *fakeNode) live(session, track, mid, mime string) {
	n.emit(&medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackLive{TrackLive: &medianodev1.TrackLive{
		Session: session, Track: track, Mid: mid, Mime: mime, Layers: []*medianodev1.LiveLayer{{Ssrc: 1}},
	}}})
}

func subscriptionActive(session, track string) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SubscriptionActive{
		SubscriptionActive: &medianodev1.SubscriptionActive{Session: session, Track: track},
	}}
}

func layerDemand(session, track string, layers ...uint32) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_LayerDemand{
		LayerDemand: &medianodev1.LayerDemand{Session: session, Track: track, Layers: layers},
	}}
}

func (n *fakeNode) session(id string) (*fakeSession, error) {
	s := n.sessions[id]
	if s == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no session %s", id))
	}
	return s, nil
}

func (n *fakeNode) CreateSession(_ context.Context, r *connect.Request[medianodev1.CreateSessionRequest]) (*connect.Response[medianodev1.CreateSessionResponse], error) {
	n.note("create %s publish=%v subscribe=%v", r.Msg.Identity, r.Msg.Permissions.GetPublish(), r.Msg.Permissions.GetSubscribe())
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != "" {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%s", n.refuse))
	}
	n.sessions[r.Msg.Session] = &fakeSession{
		room: r.Msg.Room, placed: map[string]string{}, published: map[string]string{}, streams: map[string]string{},
		active: map[string]bool{}, settings: map[string]*medianodev1.TrackSettings{},
	}
	return connect.NewResponse(&medianodev1.CreateSessionResponse{Addresses: []string{"127.0.0.1:9"}}), nil
}

func (n *fakeNode) CloseSession(_ context.Context, r *connect.Request[medianodev1.CloseSessionRequest]) (*connect.Response[medianodev1.CloseSessionResponse], error) {
	n.note("close")
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sessions, r.Msg.Session)
	return connect.NewResponse(&medianodev1.CloseSessionResponse{}), nil
}

func (n *fakeNode) GetSession(_ context.Context, r *connect.Request[medianodev1.GetSessionRequest]) (*connect.Response[medianodev1.GetSessionResponse], error) {
	n.note("get")
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.session(r.Msg.Session); err != nil {
		return nil, err
	}
	return connect.NewResponse(&medianodev1.GetSessionResponse{
		Figures: &medianodev1.SessionFigures{Connected: true}, LastReliableSequence: n.sequenceOfClient,
	}), nil
}

func (n *fakeNode) Offer(_ context.Context, r *connect.Request[medianodev1.OfferRequest]) (*connect.Response[medianodev1.OfferResponse], error) {
	n.note("offer")
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.session(r.Msg.Session)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.Msg.Sdp, "bad") {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("malformed SDP"))
	}
	if r.Msg.Restore != nil {
		n.restores++
	}
	answer := &medianodev1.OfferResponse{MidToTrack: s.placed, Restarted: !s.offered}
	first := !s.offered
	s.offered = true
	kinds := map[string]string{}
	for _, p := range r.Msg.Publications {
		kinds[p.Cid] = p.Track
	}
	var went []func()
	for mid, line := range strings.Split(strings.TrimSpace(r.Msg.Sdp), "\n") {
		word := strings.Fields(line)
		switch {
		case len(word) == 3 && word[0] == "send":
			if track := kinds[word[1]]; track != "" && s.published[word[1]] == "" {
				s.published[word[1]] = track
				mid, mime := fmt.Sprint(mid), map[string]string{"audio": "audio/opus", "video": "video/VP8"}[word[2]]
				went = append(went, func() { n.live(r.Msg.Session, track, mid, mime) })
			}
			kind := medianodev1.Kind_KIND_AUDIO
			mime := "audio/opus"
			if word[2] == "video" {
				kind, mime = medianodev1.Kind_KIND_VIDEO, "video/VP8"
			}
			answer.Published = append(answer.Published, &medianodev1.PublishedSection{
				Mid: fmt.Sprint(mid), Cid: word[1], Kind: kind, Track: s.published[word[1]], Mime: mime,
			})
		case len(word) == 2 && word[0] == "recv" && s.placed[fmt.Sprint(mid)] == "":
			for _, track := range s.subscribed {
				if n.kindOf(track) == word[1] && !slices.Contains(slices.Collect(maps.Values(s.placed)), track) {
					s.placed[fmt.Sprint(mid)] = track
					break
				}
			}
		}
	}
	answer.MissingAudio, answer.MissingVideo = n.missing(s)
	answer.MidToTrack = maps.Clone(s.placed)
	answer.Sdp = "m=answer\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=candidate:2 1 udp 1 ::1 9 typ host\r\n"
	if n.auto {
		if first {
			n.connected(r.Msg.Session)
		}
		for _, f := range went {
			f()
		}
		n.activate(r.Msg.Session)
	}
	return connect.NewResponse(answer), nil
}

// activate reports the first packets of all placed tracks.
func (n *fakeNode) activate(session string) {
	s := n.sessions[session]
	for _, mid := range slices.Sorted(maps.Keys(s.placed)) {
		track := s.placed[mid]
		if s.active[track] {
			continue
		}
		s.active[track] = true
		n.emit(subscriptionActive(session, track))
		if n.kindOf(track) == "video" {
			for id, p := range n.sessions {
				if slices.Contains(slices.Collect(maps.Values(p.published)), track) {
					n.emit(layerDemand(id, track, 0, 1, 2))
				}
			}
		}
	}
}

// kindOf goes by the cid, which tests name after the kind.
func (n *fakeNode) kindOf(track string) string {
	for _, s := range n.sessions {
		for cid, t := range s.published {
			if t == track && strings.Contains(cid, "video") {
				return "video"
			}
		}
	}
	return "audio"
}

func (n *fakeNode) missing(s *fakeSession) (audio, video uint32) {
	for _, track := range s.subscribed {
		if slices.Contains(slices.Collect(maps.Values(s.placed)), track) {
			continue
		}
		if n.kindOf(track) == "video" {
			video++
		} else {
			audio++
		}
	}
	return audio, video
}

func (n *fakeNode) Subscribe(_ context.Context, r *connect.Request[medianodev1.SubscribeRequest]) (*connect.Response[medianodev1.SubscribeResponse], error) {
	n.note("subscribe %d", len(r.Msg.Subscriptions))
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.session(r.Msg.Session)
	if err != nil {
		return nil, err
	}
	for _, sub := range r.Msg.Subscriptions {
		s.subscribed = append(s.subscribed, sub.Track)
		s.streams[sub.Track] = sub.Stream
	}
	// Sections that a client offered before are free, so none are missing.
	return connect.NewResponse(&medianodev1.SubscribeResponse{NegotiationNeeded: s.offered}), nil
}

func (n *fakeNode) Unsubscribe(_ context.Context, r *connect.Request[medianodev1.UnsubscribeRequest]) (*connect.Response[medianodev1.UnsubscribeResponse], error) {
	n.note("unsubscribe %d", len(r.Msg.Tracks))
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.session(r.Msg.Session)
	if err != nil {
		return nil, err
	}
	for _, t := range r.Msg.Tracks {
		s.subscribed = slices.DeleteFunc(s.subscribed, func(x string) bool { return x == t })
		maps.DeleteFunc(s.placed, func(_, x string) bool { return x == t })
	}
	return connect.NewResponse(&medianodev1.UnsubscribeResponse{NegotiationNeeded: true}), nil
}

func (n *fakeNode) SetTrackSettings(_ context.Context, r *connect.Request[medianodev1.SetTrackSettingsRequest]) (*connect.Response[medianodev1.SetTrackSettingsResponse], error) {
	n.note("settings %dx%d layer=%d disabled=%v", r.Msg.Settings.GetWidth(), r.Msg.Settings.GetHeight(), r.Msg.Settings.GetMaxLayer(), r.Msg.Settings.GetDisabled())
	return connect.NewResponse(&medianodev1.SetTrackSettingsResponse{}), nil
}

func (n *fakeNode) MuteTrack(_ context.Context, r *connect.Request[medianodev1.MuteTrackRequest]) (*connect.Response[medianodev1.MuteTrackResponse], error) {
	n.note("mute %v", r.Msg.Muted)
	return connect.NewResponse(&medianodev1.MuteTrackResponse{}), nil
}

func (n *fakeNode) AddCandidates(_ context.Context, r *connect.Request[medianodev1.AddCandidatesRequest]) (*connect.Response[medianodev1.AddCandidatesResponse], error) {
	n.note("candidates %s", strings.Join(r.Msg.Candidates, ","))
	return connect.NewResponse(&medianodev1.AddCandidatesResponse{}), nil
}

func (n *fakeNode) Events(ctx context.Context, r *connect.Request[medianodev1.EventsRequest], out *connect.ServerStream[medianodev1.EventsResponse]) error {
	events := make(chan *medianodev1.EventsResponse, 1000)
	n.mu.Lock()
	n.streams[events] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.streams, events)
		n.mu.Unlock()
	}()
	if r.Msg.After == 0 {
		n.mu.Lock()
		var sessions []string
		for id := range n.sessions {
			sessions = append(sessions, id)
		}
		first := resync(sessions...)
		first.Sequence, first.Instance = n.sequence, n.instance
		frozen := n.frozen != nil
		n.mu.Unlock()
		if !frozen { // what there is comes before the node counts as up
			if err := out.Send(first); err != nil {
				return err
			}
		}
	}
	heartbeat := time.NewTicker(100 * time.Millisecond)
	defer heartbeat.Stop()
	for {
		n.mu.Lock()
		frozen := n.frozen
		beat := &medianodev1.EventsResponse{Sequence: n.sequence, Instance: n.instance, Event: &medianodev1.EventsResponse_Heartbeat{
			Heartbeat: &medianodev1.Heartbeat{Sessions: uint32(len(n.sessions)) + n.others, MaxSessions: max(100, n.most), LeaseLeftMs: 600_000, Refuses: n.full},
		}}
		n.mu.Unlock()
		if frozen != nil {
			select {
			case <-frozen:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if err := out.Send(beat); err != nil {
			return err
		}
	drain:
		for {
			select {
			case e := <-events:
				if err := out.Send(e); err != nil {
					return err
				}
			case <-heartbeat.C:
				break drain
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func trackEnded(session, track string) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackEnded{
		TrackEnded: &medianodev1.TrackEnded{Session: session, Track: track},
	}}
}

func speakers(room, session string, level float32) *medianodev1.EventsResponse {
	s := &medianodev1.SpeakerLevels{Room: room}
	if session != "" {
		s.Speakers = []*medianodev1.SpeakerLevel{{Session: session, Level: level, Active: true}}
	}
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SpeakerLevels{SpeakerLevels: s}}
}

func report(session string, roundTripUs uint32, loss float32) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_Heartbeat{Heartbeat: &medianodev1.Heartbeat{
		MaxSessions: 100, LeaseLeftMs: 600_000, Reports: []*medianodev1.SessionReport{{
			Session: session, Figures: &medianodev1.SessionFigures{RoundTripUs: roundTripUs, UplinkLoss: loss, Connected: true},
		}},
	}}}
}

func resync(sessions ...string) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_Resync{Resync: &medianodev1.Resync{Sessions: sessions}}}
}
