package nodes_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// node is a control service that does what its fields say.
type node struct {
	medianodev1connect.UnimplementedControlServiceHandler
	id     drtc.NodeID
	server *httptest.Server

	mu      sync.Mutex
	calls   []string
	offer   func(*medianodev1.OfferRequest) (*medianodev1.OfferResponse, error)
	mutes   []error // results of the next mutes
	script  []*medianodev1.EventsResponse
	asked   []*medianodev1.EventsRequest
	cut     chan struct{} // closing it ends the streams
	silent  bool
	beat    func() // called after each heartbeat, may be nil
	lease   uint32
	renewed chan struct{}
}

func key(t *testing.T) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{id: key(t).ID(), cut: make(chan struct{}), renewed: make(chan struct{}, 10), lease: 600_000}
	guard, err := httpauth.New(httpauth.Config{Policy: rpcauth.Policy{Self: n.id}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(medianodev1connect.NewControlServiceHandler(n))
	n.server = httptest.NewUnstartedServer(guard.Middleware(mux))
	n.server.EnableHTTP2 = true
	n.server.StartTLS()
	t.Cleanup(n.server.Close)
	return n
}

func (n *node) target() nodes.Target {
	return nodes.Target{ID: n.id, URL: n.server.URL, Fingerprint: sha256.Sum256(n.server.Certificate().Raw)}
}

func (n *node) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, s)
}

func (n *node) called() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

func (n *node) CreateSession(_ context.Context, r *connect.Request[medianodev1.CreateSessionRequest]) (*connect.Response[medianodev1.CreateSessionResponse], error) {
	n.note(fmt.Sprintf("create %s of %s in %s, hidden %v, unreported %v", r.Msg.Session, r.Msg.Identity, r.Msg.Room, r.Msg.Permissions.GetHidden(), r.Msg.Unreported))
	return connect.NewResponse(&medianodev1.CreateSessionResponse{}), nil
}

func (n *node) GetSession(context.Context, *connect.Request[medianodev1.GetSessionRequest]) (*connect.Response[medianodev1.GetSessionResponse], error) {
	return connect.NewResponse(&medianodev1.GetSessionResponse{LastReliableSequence: 7}), nil
}

func (n *node) Offer(_ context.Context, r *connect.Request[medianodev1.OfferRequest]) (*connect.Response[medianodev1.OfferResponse], error) {
	n.note("offer " + r.Msg.Sdp)
	answer, err := n.offer(r.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(answer), nil
}

func (n *node) SetSources(_ context.Context, r *connect.Request[medianodev1.SetSourcesRequest]) (*connect.Response[medianodev1.SetSourcesResponse], error) {
	refused := map[string]string{}
	for _, s := range r.Msg.Sources {
		n.note("show " + s.Track + " in " + s.Seat)
		if s.Track == "TR_bad" {
			refused[s.Seat] = "codec"
		}
	}
	return connect.NewResponse(&medianodev1.SetSourcesResponse{Refused: refused}), nil
}

func (n *node) MuteTrack(_ context.Context, r *connect.Request[medianodev1.MuteTrackRequest]) (*connect.Response[medianodev1.MuteTrackResponse], error) {
	n.note("mute " + r.Msg.Track)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mutes) > 0 {
		err := n.mutes[0]
		n.mutes = n.mutes[1:]
		if err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&medianodev1.MuteTrackResponse{}), nil
}

func (n *node) RenewEvents(context.Context, *connect.Request[medianodev1.RenewEventsRequest]) (*connect.Response[medianodev1.RenewEventsResponse], error) {
	n.renewed <- struct{}{}
	return connect.NewResponse(&medianodev1.RenewEventsResponse{}), nil
}

func (n *node) Events(ctx context.Context, r *connect.Request[medianodev1.EventsRequest], out *connect.ServerStream[medianodev1.EventsResponse]) error {
	n.mu.Lock()
	n.asked = append(n.asked, r.Msg)
	script, cut, instance := n.script, n.cut, fmt.Sprint("i", len(n.asked))
	if len(script) > 0 && script[0].Instance != "" {
		instance = script[0].Instance
	}
	n.mu.Unlock()
	for _, e := range script {
		e.Instance = instance
		if err := out.Send(e); err != nil {
			return err
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n.mu.Lock()
		silent, lease, beat := n.silent, n.lease, n.beat
		n.mu.Unlock()
		if !silent {
			if err := out.Send(&medianodev1.EventsResponse{Instance: instance, Sequence: uint64(len(script)), Event: &medianodev1.EventsResponse_Heartbeat{
				Heartbeat: &medianodev1.Heartbeat{Sessions: 3, MaxSessions: 9, EgressBps: 5, LeaseLeftMs: lease, Refuses: strings.Repeat("ä", 200), ShedRatio: 1.5},
			}}); err != nil {
				return err
			}
			if beat != nil {
				beat()
			}
		}
		select {
		case <-tick.C:
		case <-cut:
			return errors.New("cut")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// world is a Pool and what it emits.
type world struct {
	t      *testing.T
	pool   *nodes.Pool
	events chan nodes.Event
}

func newWorld(t *testing.T, change func(*nodes.Config)) *world {
	t.Helper()
	w := &world{t: t, events: make(chan nodes.Event, 1000)}
	c := nodes.Config{
		Key: key(t), Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Emit: func(e nodes.Event) { w.events <- e }, Silence: 500 * time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	var err error
	if w.pool, err = nodes.New(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.pool.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *world) next() nodes.Event {
	w.t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(10 * time.Second):
		w.t.Fatal("no event came")
		panic("unreachable")
	}
}

func (w *world) keep(n *node) {
	w.t.Helper()
	w.pool.Keep([]nodes.Target{n.target()})
	if e := w.next(); !e.Up || e.Node != n.id {
		w.t.Fatalf("first event is %+v, want that the node is up", e)
	}
}

// ask sends a command and returns a channel for its result.
func (w *world) ask(n *node, session drtc.SessionID, c room.NodeCommand) chan room.Command {
	result := make(chan room.Command, 1)
	w.pool.Send(nodes.Order{Node: n.id, Session: session, Command: c, Done: func(r room.Command) { result <- r }})
	return result
}

func TestPool_keepsTheOrderOfASessionAndNotOfOthers(t *testing.T) {
	n := newNode(t)
	release := make(chan struct{})
	n.offer = func(r *medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) {
		if r.Sdp == "slow" {
			<-release
		}
		return &medianodev1.OfferResponse{Sdp: "answer to " + r.Sdp}, nil
	}
	w := newWorld(t, func(c *nodes.Config) { c.CallTimeout = 5 * time.Second })
	w.keep(n)
	slow := w.ask(n, "SE_1", room.SendOffer{SDP: "slow"})
	after := w.ask(n, "SE_1", room.SendOffer{SDP: "after"})
	other := w.ask(n, "SE_2", room.SendOffer{SDP: "other"})
	if got := (<-other).(room.Offered); got.SDP != "answer to other" {
		t.Errorf("the other session got %+v", got)
	}
	select {
	case r := <-after:
		t.Errorf("the second offer of a session overtook the first: %+v", r)
	default:
	}
	close(release)
	<-slow
	<-after
	if got := n.called(); slices.Index(got, "offer slow") > slices.Index(got, "offer after") {
		t.Errorf("calls came as %v", got)
	}
}

func TestPool_givesUpAfterTheDeadline(t *testing.T) {
	n := newNode(t)
	release := make(chan struct{})
	defer close(release)
	n.offer = func(*medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) { <-release; return nil, nil }
	w := newWorld(t, func(c *nodes.Config) { c.CallTimeout = 100 * time.Millisecond })
	w.keep(n)
	got := (<-w.ask(n, "SE_1", room.SendOffer{ID: 4})).(room.Offered)
	if got.Err == "" || got.ID != 4 || got.Session != "SE_1" || got.Invalid {
		t.Errorf("got %+v, want the failure of offer 4", got)
	}
}

// After a restart clients resume before the nodes have been looked up.
func TestPool_questionAboutASessionWaitsForItsNode(t *testing.T) {
	n := newNode(t)
	w := newWorld(t, nil)
	early := w.ask(n, "SE_1", room.InspectSession{})
	w.keep(n)
	if got, ok := (<-early).(room.Inspected); !ok || !got.Found || got.LastSequence != 7 {
		t.Errorf("got %+v, want the session that the node has", got)
	}
}

func TestPool_answersForNodesThatAreNotThere(t *testing.T) {
	w := newWorld(t, nil)
	nobody := &node{id: drtc.NodeID{9}}
	for _, c := range []room.NodeCommand{room.OpenSession{}, room.InspectSession{}, room.SendOffer{}, room.SubscribeTracks{Subscriptions: []room.Subscription{{Track: "TR_1"}}}, room.SetSources{Seats: []room.Showing{{Seat: "video-0"}}}} {
		switch r := (<-w.ask(nobody, "SE_1", c)).(type) {
		case room.SessionOpened:
			if r.Err == "" {
				t.Error("a session was opened on nobody")
			}
		case room.Inspected:
			if r.Found {
				t.Error("a session was found on nobody")
			}
		case room.Offered:
			if r.Err == "" {
				t.Error("an offer was answered by nobody")
			}
		case room.SourcesSet:
			if r.Err == "" || len(r.Seats) != 1 {
				t.Errorf("got %+v, want the failure with its seat", r)
			}
		case room.Subscribed:
			if r.Err == "" || len(r.Tracks) != 1 {
				t.Errorf("got %+v, want the failure with its track", r)
			}
		}
	}
	w.pool.Send(nodes.Order{Node: nobody.id, Session: "SE_1", Command: room.CloseSession{}, Done: func(r room.Command) { t.Errorf("closing gave %+v, want nothing", r) }})
}

func TestPool_laneIsBounded(t *testing.T) {
	n := newNode(t)
	release := make(chan struct{})
	n.offer = func(*medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) {
		<-release
		return &medianodev1.OfferResponse{}, nil
	}
	w := newWorld(t, func(c *nodes.Config) { c.MaxLane, c.CallTimeout = 2, 5*time.Second })
	w.keep(n)
	var results []chan room.Command
	for range 4 {
		results = append(results, w.ask(n, "SE_1", room.SendOffer{}))
	}
	if got := (<-results[3]).(room.Offered); got.Err == "" {
		t.Error("the command beyond the lane's end was taken")
	}
	close(release)
	for _, r := range results[:3] {
		if got := (<-r).(room.Offered); got.Err != "" {
			t.Errorf("got %q, want an answer", got.Err)
		}
	}
}

func TestPool_repeatsWhatMayBeRepeated(t *testing.T) {
	n := newNode(t)
	away := connect.NewError(connect.CodeUnavailable, errors.New("busy"))
	n.mutes = []error{away, away, nil, connect.NewError(connect.CodeNotFound, errors.New("no such track"))}
	n.offer = func(*medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) { return nil, away }
	w := newWorld(t, nil)
	w.keep(n)
	w.pool.Send(nodes.Order{Node: n.id, Session: "SE_1", Command: room.MuteTrack{Track: "a"}})
	w.pool.Send(nodes.Order{Node: n.id, Session: "SE_1", Command: room.MuteTrack{Track: "b"}})
	<-w.ask(n, "SE_1", room.SendOffer{SDP: "c"})
	if got, want := n.called(), []string{"mute a", "mute a", "mute a", "mute b", "offer c"}; !slices.Equal(got, want) {
		t.Errorf("calls were %v, want %v", got, want)
	}
}

func TestPool_translatesOffers(t *testing.T) {
	n := newNode(t)
	var asked *medianodev1.OfferRequest
	n.offer = func(r *medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) {
		if r.Sdp == "bad" {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("line 1"))
		}
		asked = r
		return &medianodev1.OfferResponse{
			Sdp: "a", MidToTrack: map[string]string{"0": "TR_1"}, MissingAudio: 1, MissingVideo: 2, Restarted: true,
			Refused:   map[string]string{"TR_2": "codec"},
			Published: []*medianodev1.PublishedSection{{Mid: "3", Cid: "c", Kind: medianodev1.Kind_KIND_VIDEO, Track: "TR_3", Mime: "video/VP8"}},
		}, nil
	}
	w := newWorld(t, nil)
	w.keep(n)
	got := <-w.ask(n, "SE_1", room.SendOffer{ID: 5, SDP: "o", Publications: []room.Publication{{Track: "TR_3", CID: "c", Kind: room.Video, Muted: true, MIME: "video/H264", Layers: []room.Layer{{RID: "q", Width: 1}}}}})
	want := room.Offered{
		Session: "SE_1", ID: 5, SDP: "a", MIDs: map[string]drtc.TrackID{"0": "TR_1"}, MissingAudio: 1, MissingVideo: 2, Restarted: true,
		Refused:   map[drtc.TrackID]string{"TR_2": "codec"},
		Published: []room.Section{{MID: "3", CID: "c", Kind: room.Video, Track: "TR_3", MIME: "video/VP8"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if p := asked.Publications[0]; p.Track != "TR_3" || p.Cid != "c" || p.Kind != medianodev1.Kind_KIND_VIDEO || !p.Muted || p.Mime != "video/H264" || p.Layers[0].Rid != "q" {
		t.Errorf("node was told %v", p)
	}
	if got := (<-w.ask(n, "SE_1", room.SendOffer{SDP: "bad"})).(room.Offered); !got.Invalid || got.Err != "line 1" {
		t.Errorf("bad SDP gave %+v, want that it is invalid and why", got)
	}
}

func TestPool_opensSessionsAsTheyAreAsked(t *testing.T) {
	n := newNode(t)
	w := newWorld(t, nil)
	w.keep(n)
	open := room.OpenSession{Room: "RM_1", Identity: "ann"}
	if got, want := <-w.ask(n, "SE_1", open), (room.SessionOpened{Node: n.id, Session: "SE_1"}); got != room.Command(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	open.Permission.Hidden, open.Guest = true, true
	<-w.ask(n, "SE_2", open)
	want := []string{"create SE_1 of ann in RM_1, hidden false, unreported false", "create SE_2 of ann in RM_1, hidden true, unreported true"}
	if got := n.called(); !slices.Equal(got, want) {
		t.Errorf("node was told %q, want %q", got, want)
	}
}

func TestPool_translatesSeats(t *testing.T) {
	n := newNode(t)
	var asked *medianodev1.OfferRequest
	n.offer = func(r *medianodev1.OfferRequest) (*medianodev1.OfferResponse, error) {
		asked = r
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("no codec"))
	}
	w := newWorld(t, nil)
	w.keep(n)
	offered := (<-w.ask(n, "SE_1", room.SendOffer{SDP: "o", Seats: []room.Seat{{ID: "video-0", Kind: room.Video, Stream: "main"}}})).(room.Offered)
	if !offered.Invalid || !offered.Unusable || offered.Err != "no codec" {
		t.Errorf("an offer without a codec gave %+v, want that it is unusable", offered)
	}
	if s := asked.Seats[0]; s.Seat != "video-0" || s.Kind != medianodev1.Kind_KIND_VIDEO || s.Stream != "main" {
		t.Errorf("node was told of the seat %v", s)
	}
	seats := []room.Showing{{Seat: "video-0", Track: "TR_1"}, {Seat: "video-1", Track: "TR_bad"}, {Seat: "audio-0"}}
	got := <-w.ask(n, "SE_1", room.SetSources{Seats: seats})
	if want := (room.SourcesSet{Session: "SE_1", Seats: seats, Refused: map[drtc.TrackID]string{"video-1": "codec"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := n.called()[1:], []string{"show TR_1 in video-0", "show TR_bad in video-1", "show  in audio-0"}; !slices.Equal(got, want) {
		t.Errorf("node was told %q, want %q", got, want)
	}
}

func TestPool_translatesEvents(t *testing.T) {
	n := newNode(t)
	n.script = []*medianodev1.EventsResponse{
		{Sequence: 1, Event: &medianodev1.EventsResponse_SessionState{SessionState: &medianodev1.SessionState{Session: "SE_1", State: medianodev1.SessionState_STATE_CONNECTED}}},
		{Sequence: 2, Event: &medianodev1.EventsResponse_TrackLive{TrackLive: &medianodev1.TrackLive{Session: "SE_1", Track: "TR_1", Mid: "2", Mime: "video/VP8", Layers: []*medianodev1.LiveLayer{{Rid: "q", Ssrc: 5, RepairSsrc: 6}}}}},
		{Sequence: 3, Event: &medianodev1.EventsResponse_SpeakerLevels{SpeakerLevels: &medianodev1.SpeakerLevels{Room: "RM_1", Speakers: []*medianodev1.SpeakerLevel{{Session: "SE_1", Level: 0.5, Active: true}}}}},
		{Sequence: 3, Event: &medianodev1.EventsResponse_Heartbeat{Heartbeat: &medianodev1.Heartbeat{Reports: []*medianodev1.SessionReport{
			{Session: "SE_1", Figures: &medianodev1.SessionFigures{RoundTripUs: 1500, UplinkLoss: 7, DownlinkLoss: 0.25, SentBytes: 9, Connected: true}},
			{Session: "SE_2"},
		}}}},
		{Sequence: 5}, // of a newer node
		{Sequence: 6, Event: &medianodev1.EventsResponse_LayerDemand{LayerDemand: &medianodev1.LayerDemand{Session: "SE_1", Track: "TR_1", Layers: []uint32{0, 2}}}},
		{Sequence: 7, Event: &medianodev1.EventsResponse_TrackEnded{TrackEnded: &medianodev1.TrackEnded{Session: "SE_1", Track: "TR_1", Reason: "gone"}}},
		{Sequence: 8, Event: &medianodev1.EventsResponse_NegotiationNeeded{NegotiationNeeded: &medianodev1.NegotiationNeeded{Session: "SE_1", MissingVideo: 1}}},
		{Sequence: 9, Event: &medianodev1.EventsResponse_SubscriptionActive{SubscriptionActive: &medianodev1.SubscriptionActive{Session: "SE_1", Track: "TR_1"}}},
		{Sequence: 10, Event: &medianodev1.EventsResponse_Resync{Resync: &medianodev1.Resync{Sessions: []string{"SE_1"}}}},
	}
	w := newWorld(t, nil)
	w.keep(n)
	for _, want := range []nodes.Event{
		{Session: "SE_1", Command: room.SessionChanged{Session: "SE_1", Connected: true}},
		{Session: "SE_1", Command: room.TrackLive{Session: "SE_1", Track: "TR_1", MID: "2", MIME: "video/VP8", Layers: []room.Layer{{RID: "q", SSRC: 5, Repair: 6}}}},
		{Room: "RM_1", Command: room.SpeakerLevels{Node: n.id, Speakers: []room.SessionLevel{{Session: "SE_1", Level: 0.5, Active: true}}}},
		{Session: "SE_1", Command: room.SessionReport{Session: "SE_1", Figures: room.Figures{RoundTrip: 1500 * time.Microsecond, UplinkLoss: 1, DownlinkLoss: 0.25, SentBytes: 9, Connected: true}}},
		{Session: "SE_2", Command: room.SessionReport{Session: "SE_2"}},
		{Session: "SE_1", Command: room.LayerDemand{Session: "SE_1", Track: "TR_1", Layers: []uint32{0, 2}}},
		{Session: "SE_1", Command: room.TrackEnded{Session: "SE_1", Track: "TR_1", Reason: "gone"}},
		{Session: "SE_1", Command: room.NegotiationNeeded{Session: "SE_1", MissingVideo: 1}},
		{Session: "SE_1", Command: room.SubscriptionActive{Session: "SE_1", Track: "TR_1"}},
		{Command: room.NodeSynced{Node: n.id, Sessions: []drtc.SessionID{"SE_1"}}},
	} {
		want.Node = n.id
		if got := w.next(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func (n *node) cutStreams() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.cut)
	n.cut = make(chan struct{})
}

func TestLink_goesOnAfterACutStream(t *testing.T) {
	n := newNode(t)
	n.script = []*medianodev1.EventsResponse{{Instance: "same", Sequence: 1}}
	w := newWorld(t, nil)
	w.keep(n)
	n.cutStreams()
	// The second stream begins where the first one ended, and no loss is told.
	for {
		n.mu.Lock()
		asked := slices.Clone(n.asked)
		n.mu.Unlock()
		if len(asked) >= 2 {
			if asked[1].After != 1 || asked[1].Instance != "same" {
				t.Errorf("second stream asked for %v, want what comes after 1 of the same instance", asked[1])
			}
			break
		}
		select {
		case e := <-w.events:
			t.Fatalf("got %+v, want no event", e)
		case <-time.After(time.Millisecond):
		}
	}
	if s := w.pool.Status(n.id); !s.Up || s.Sessions != 3 || s.MaxSessions != 9 || s.EgressBps != 5 ||
		s.Refuses != strings.Repeat("ä", 100) || s.ShedRatio != 1 {
		t.Errorf("status is %+v, want up and the heartbeat's figures", s)
	}
}

func TestLink_losesARestartedNode(t *testing.T) {
	n := newNode(t)
	w := newWorld(t, nil)
	w.keep(n)
	n.cutStreams() // the next stream has another instance
	if _, lost := w.next().Command.(room.NodeLost); !lost {
		t.Error("want that the node is lost")
	}
	if !w.next().Up {
		t.Error("want that the node is up again")
	}
}

func TestLink_losesASilentNode(t *testing.T) {
	n := newNode(t)
	w := newWorld(t, nil)
	w.keep(n)
	began := time.Now()
	n.mu.Lock()
	n.silent = true
	n.mu.Unlock()
	if _, lost := w.next().Command.(room.NodeLost); !lost {
		t.Error("want that the node is lost")
	}
	if took := time.Since(began); took < 400*time.Millisecond || took > 3*time.Second {
		t.Errorf("lost after %v, want about 500 ms", took)
	}
	if w.pool.Status(n.id).Up {
		t.Error("status is up")
	}
	n.mu.Lock()
	n.silent = false
	n.mu.Unlock()
	if !w.next().Up {
		t.Error("want that the node is up again")
	}
}

func TestLink_losesADeadNodeAtOnce(t *testing.T) {
	n := newNode(t)
	w := newWorld(t, func(c *nodes.Config) { c.Silence = 30 * time.Second })
	w.keep(n)
	n.server.Listener.Close() //nolint:errcheck // this is the failure
	n.server.CloseClientConnections()
	if _, lost := w.next().Command.(room.NodeLost); !lost {
		t.Error("want that the node is lost")
	}
}

func TestLink_renewsItsLease(t *testing.T) {
	n := newNode(t)
	n.lease = 100
	w := newWorld(t, nil)
	w.keep(n)
	for range 2 {
		<-n.renewed
	}
}

func TestPool_dropsWhatIsNotKept(t *testing.T) {
	n, m := newNode(t), newNode(t)
	w := newWorld(t, nil)
	w.keep(n)
	w.keep(m)
	if w.pool.Status(n.id).Up || !w.pool.Status(m.id).Up {
		t.Errorf("status of the two is %+v and %+v, want only the second up", w.pool.Status(n.id), w.pool.Status(m.id))
	}
	// A new certificate is a new connection.
	changed := m.target()
	changed.Fingerprint[0] ^= 1
	w.pool.Keep([]nodes.Target{changed})
	if w.pool.Status(m.id).Up {
		t.Error("a node is up with another certificate than its record names")
	}
}

func TestConfig_namesTheField(t *testing.T) {
	good := nodes.Config{Key: key(t), Now: time.Now, Rand: rand.Reader, Emit: func(nodes.Event) {}, Log: slog.Default()}
	for want, change := range map[string]func(*nodes.Config){
		"Key":         func(c *nodes.Config) { c.Key = nil },
		"Emit":        func(c *nodes.Config) { c.Emit = nil },
		"CallTimeout": func(c *nodes.Config) { c.CallTimeout = time.Hour },
		"Silence":     func(c *nodes.Config) { c.Silence = -1 },
	} {
		c := good
		change(&c)
		if _, err := nodes.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
	}
}
