package control

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// network is a service behind real HTTP and real signatures.
type network struct {
	service *Service
	url     string
	http    *http.Client
	self    drtc.NodeID
	key     *identity.Key // of the operator
}

func newNetwork(t *testing.T, s *Service) *network {
	t.Helper()
	key := func() *identity.Key {
		k, err := identity.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	w := &network{service: s, self: key().ID(), key: key()}
	guard, err := httpauth.New(httpauth.Config{Policy: rpcauth.Policy{Self: w.self}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(s.Handler())
	server := httptest.NewServer(guard.Middleware(mux))
	t.Cleanup(server.Close)
	w.url, w.http = server.URL, server.Client()
	return w
}

// as calls with the headers of a member; header is "" for none of them.
func (w *network) as(member, term string) medianodev1connect.ControlServiceClient {
	signed := &httpauth.Transport{
		Base: headers{w.http.Transport, member, term}, Key: w.key, Audience: w.self, Now: time.Now, Rand: rand.Reader,
	}
	return medianodev1connect.NewControlServiceClient(&http.Client{Transport: signed}, w.url)
}

type headers struct {
	base         http.RoundTripper
	member, term string
}

func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if h.member != "" {
		r.Header.Set(HeaderMember, h.member)
	}
	if h.term != "" {
		r.Header.Set(HeaderTerm, h.term)
	}
	return h.base.RoundTrip(r)
}

func create(c medianodev1connect.ControlServiceClient, session, room string) error {
	_, err := c.CreateSession(context.Background(), connect.NewRequest(&medianodev1.CreateSessionRequest{
		Session: session, Room: room, Participant: "PA_1", Identity: "ann", Mode: medianodev1.Mode_MODE_SINGLE,
	}))
	return err
}

func wantCode(t *testing.T, doing string, err error, want connect.Code) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && connect.CodeOf(err) != want {
		t.Errorf("%s: got %v, want %v", doing, err, want)
	}
}

// procedures calls what touches a room, each with a session or a room that exists.
func procedures(c medianodev1connect.ControlServiceClient) map[string]func(context.Context) error {
	const session, room = "SE_1", "RM_1"
	return map[string]func(context.Context) error{
		"CreateSession": func(context.Context) error { return create(c, "SE_2", room) },
		"CloseSession":  unary(c.CloseSession, &medianodev1.CloseSessionRequest{Session: session}),
		"UpdateSession": unary(c.UpdateSession, &medianodev1.UpdateSessionRequest{Session: session}),
		"GetSession":    unary(c.GetSession, &medianodev1.GetSessionRequest{Session: session}),
		"Offer":         unary(c.Offer, &medianodev1.OfferRequest{Session: session}),
		"Answer":        unary(c.Answer, &medianodev1.AnswerRequest{Session: session}),
		"AddCandidates": unary(c.AddCandidates, &medianodev1.AddCandidatesRequest{Session: session}),
		"Subscribe":     unary(c.Subscribe, &medianodev1.SubscribeRequest{Session: session}),
		"Unsubscribe":   unary(c.Unsubscribe, &medianodev1.UnsubscribeRequest{Session: session}),
		"SetSources":    unary(c.SetSources, &medianodev1.SetSourcesRequest{Session: session}),
		"SetTrackSettings": unary(c.SetTrackSettings,
			&medianodev1.SetTrackSettingsRequest{Session: session}),
		"SetPublisherLayers": unary(c.SetPublisherLayers,
			&medianodev1.SetPublisherLayersRequest{Session: session}),
		"MuteTrack":  unary(c.MuteTrack, &medianodev1.MuteTrackRequest{Session: session}),
		"Unpublish":  unary(c.Unpublish, &medianodev1.UnpublishRequest{Session: session}),
		"AliasTrack": unary(c.AliasTrack, &medianodev1.AliasTrackRequest{Session: session}),
		"SendData":   unary(c.SendData, &medianodev1.SendDataRequest{Room: room, Packet: []byte{0x08, 0x00}}),
		"ClaimRoom":  unary(c.ClaimRoom, &medianodev1.ClaimRoomRequest{Room: room}),
	}
}

func unary[I, O any](call func(context.Context, *connect.Request[I]) (*connect.Response[O], error), m *I) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := call(ctx, connect.NewRequest(m))
		return err
	}
}

func TestTerm_lowerIsRefusedByEveryProcedure(t *testing.T) {
	w := newNetwork(t, newService(t))
	wantCode(t, "create with term 7", create(w.as("b", "7"), "SE_1", "RM_1"), 0)
	for who, c := range map[string]medianodev1connect.ControlServiceClient{
		"a lower term": w.as("a", "6"), "the same term of another": w.as("a", "7"),
		"no term": w.as("b", ""), "no header": w.as("", ""),
	} {
		for name, call := range procedures(c) {
			err := call(t.Context())
			wantCode(t, name+" with "+who, err, connect.CodeFailedPrecondition)
			var refused *connect.Error
			if ok := asError(err, &refused); !ok || refused.Meta().Get(HeaderTerm) != "7" || !strings.HasPrefix(refused.Message(), "term: ") {
				t.Errorf("%s with %s: got %v, want term 7 in the refusal", name, who, err)
			}
		}
	}
	if got := w.service.Sessions(); got != 1 {
		t.Errorf("%d sessions are left, want the one", got)
	}
	// Nothing was forgotten in the list above.
	known := procedures(w.as("", ""))
	methods := medianodev1.File_drtc_medianode_v1_control_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		elsewhere := []string{"Events", "RenewEvents", "Drain", "GetClaims", "DeliverReceipts", "PrepareRelay", "OpenRelay", "CloseRelay", "SetRelayRoutes"}
		if known[name] == nil && !slices.Contains(elsewhere, name) {
			t.Errorf("%s is not tested", name)
		}
	}
}

func asError(err error, target **connect.Error) bool {
	e, ok := err.(*connect.Error) //nolint:errorlint // what the client returns
	*target = e
	return ok
}

func TestTerm_higherIsAdopted(t *testing.T) {
	w := newNetwork(t, newService(t))
	wantCode(t, "a creates with 1", create(w.as("a", "1"), "SE_1", "RM_1"), 0)
	wantCode(t, "b creates with 2", create(w.as("b", "2"), "SE_2", "RM_1"), 0)
	wantCode(t, "a goes on", create(w.as("a", "1"), "SE_3", "RM_1"), connect.CodeFailedPrecondition)
	resp, err := w.as("a", "3").ClaimRoom(t.Context(), connect.NewRequest(&medianodev1.ClaimRoomRequest{Room: "RM_1"}))
	if err != nil || !slices.Equal(resp.Msg.Sessions, []string{"SE_1", "SE_2"}) {
		t.Errorf("a claims with 3: got %v, %v, want both sessions", resp, err)
	}
	wantCode(t, "b goes on", create(w.as("b", "2"), "SE_3", "RM_1"), connect.CodeFailedPrecondition)
	wantCode(t, "b in another room", create(w.as("b", "2"), "SE_3", "RM_2"), 0)
}

func TestTerm_roomsOfOthersAreOthers(t *testing.T) {
	s := newService(t)
	w := newNetwork(t, s)
	wantCode(t, "one operator", create(w.as("a", "9"), "SE_1", "RM_1"), 0)
	other := *w
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other.key = key
	wantCode(t, "another, with a lower term", create(other.as("a", "1"), "SE_1", "RM_1"), 0)
}

func TestTerm_callersWithoutHeadersAreAsBefore(t *testing.T) {
	s := newService(t)
	w := newNetwork(t, s)
	wantCode(t, "create", create(w.as("", ""), "SE_1", "RM_1"), 0)
	wantCode(t, "claim", procedures(w.as("", ""))["ClaimRoom"](t.Context()), 0)
	wantCode(t, "close", procedures(w.as("", ""))["CloseSession"](t.Context()), 0)
	if len(s.tenures) != 0 || len(s.feeds) != 1 {
		t.Errorf("%d terms and %d feeds are kept, want none and one", len(s.tenures), len(s.feeds))
	}
}

func TestStanding_malformedHeadersAreRefused(t *testing.T) {
	w := newNetwork(t, newService(t))
	for _, c := range [][2]string{
		{strings.Repeat("m", 33), "1"}, {"a b", "1"}, {"ä", "1"}, {"a", "-1"}, {"a", "x"}, {"a", "18446744073709551616"},
	} {
		wantCode(t, fmt.Sprint(c), create(w.as(c[0], c[1]), "SE_1", "RM_1"), connect.CodeInvalidArgument)
		stream, err := w.as(c[0], c[1]).Events(t.Context(), connect.NewRequest(&medianodev1.EventsRequest{}))
		if err == nil {
			stream.Receive()
			err = stream.Err()
		}
		wantCode(t, fmt.Sprint("events of ", c), err, connect.CodeInvalidArgument)
	}
}

// member is a context as the interceptor makes it, but for the gate.
func member(name string, term uint64) context.Context {
	return context.WithValue(context.Background(), standingKey{}, &standing{member: name, term: term})
}

// openMember follows the events of a member.
func (s *Service) openMember(name string) *stream {
	ctx, cancel := context.WithCancel(member(name, 0))
	st := &stream{end: cancel}
	go func() {
		st.err = s.follow(ctx, owner, &medianodev1.EventsRequest{}, func(batch ...*medianodev1.EventsResponse) error {
			st.got = append(st.got, batch...)
			return nil
		})
	}()
	synctest.Wait()
	return st
}

// closed lists the sessions whose end the stream told.
func (st *stream) closed() (sessions []string) {
	for _, m := range st.got {
		if c := m.GetSessionState(); c != nil {
			sessions = append(sessions, c.Session)
		}
	}
	return sessions
}

func (st *stream) resynced() []string {
	for _, m := range st.got {
		if r := m.GetResync(); r != nil {
			return r.Sessions
		}
	}
	return nil
}

func TestHand_eventsFollowTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		room := scoped(owner, "RM_1")
		if err := s.enter(member("a", 1), owner, room); err != nil {
			t.Fatal(err)
		}
		var sessions []*session
		for i := range 4 {
			sessions = append(sessions, s.addSession(t, owner, drtc.SessionID(fmt.Sprint("SE_", i))))
		}
		a, b := s.openMember("a"), s.openMember("b")
		defer b.end()
		if len(a.resynced()) != 4 || len(b.resynced()) != 0 {
			t.Errorf("a is told of %v and b of %v, want all and none", a.resynced(), b.resynced())
		}
		s.end(sessions[0], "long ago")
		time.Sleep(2 * replay)
		s.end(sessions[1], "just now")
		s.tell(sessions[3], 77)
		synctest.Wait()
		a.end() // it dies; what follows nobody hears of yet
		s.end(sessions[2], "while nobody listens")
		time.Sleep(2 * replay)
		if err := s.enter(member("b", 2), owner, room); err != nil {
			t.Fatal(err)
		}
		time.Sleep(heartbeat)
		synctest.Wait()
		if got, want := a.closed(), []string{"SE_0", "SE_1"}; !slices.Equal(got, want) {
			t.Errorf("a heard that %v closed, want %v", got, want)
		}
		if got, want := b.closed(), []string{"SE_1", "SE_2"}; !slices.Equal(got, want) {
			t.Errorf("b heard that %v closed, want %v: what was new when a died, and what came then", got, want)
		}
		if got := b.reports()["SE_3"]; len(got) != 1 || got[0].ReceivedBytes != 77 {
			t.Errorf("b heard the figures %v, want those that a had", got)
		}
		a = s.openMember("a") // it wakes
		defer a.end()
		if len(a.resynced()) != 0 {
			t.Errorf("a is told of %v when it comes back, want nothing", a.resynced())
		}
		a.got = nil
		s.tell(sessions[3], 78)
		s.end(sessions[3], "at last")
		time.Sleep(heartbeat)
		synctest.Wait()
		if len(a.closed()) != 0 || len(a.reports()) != 0 || !slices.Contains(b.closed(), "SE_3") {
			t.Errorf("the last end: a heard %v and %v, b %v, want b alone to hear it", a.closed(), a.reports(), b.closed())
		}
	})
}

func TestFollow_membersSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		a, b, plain := s.openMember("a"), s.openMember("b"), s.openStream(owner)
		time.Sleep(time.Minute)
		synctest.Wait()
		if a.err != nil || b.err != nil || plain.err != nil {
			t.Errorf("streams ended with %v, %v, %v, want all open", a.err, b.err, plain.err)
		}
		again := s.openMember("a")
		if connect.CodeOf(a.err) != connect.CodeAborted || b.err != nil {
			t.Errorf("a second one of a: the first ended with %v and b's with %v, want aborted and open", a.err, b.err)
		}
		for _, st := range []*stream{again, b, plain} {
			st.end()
		}
		synctest.Wait()
	})
}

// A call that is at work when a higher term comes ends before it counts.
func TestAdopt_waitsForCallsUnderWay(t *testing.T) {
	s := newService(t)
	room := scoped(owner, "RM_1")
	old := &standing{member: "a", term: 1, holds: true}
	ctx := context.WithValue(context.Background(), standingKey{}, old)
	if err := s.enter(ctx, owner, room); err != nil {
		t.Fatal(err)
	}
	adopted := make(chan error)
	newer := &standing{member: "b", term: 2, holds: true}
	go func() {
		adopted <- s.enter(context.WithValue(context.Background(), standingKey{}, newer), owner, room)
	}()
	for old.in.gate.TryRLock() { // until the higher term waits
		old.in.gate.RUnlock()
		runtime.Gosched()
	}
	if err := s.enter(ctx, owner, room); err != nil {
		t.Errorf("the call at work enters again: %v", err)
	}
	holder := func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.holder(room)
	}
	select {
	case err := <-adopted:
		t.Errorf("the higher term got %v while a call of the lower one is at work", err)
	default:
	}
	if got := holder(); got != "a" {
		t.Errorf("the room is %q's while a call of a is at work", got)
	}
	old.leave()
	if err := <-adopted; err != nil || holder() != "b" {
		t.Errorf("after it: got %v and holder %q, want b", err, holder())
	}
	newer.leave()
}

func TestKnows_membersAreBounded(t *testing.T) {
	s := newService(t)
	for i := range maxMembers {
		if err := s.enter(member(fmt.Sprint("m", i), 1), owner, scoped(owner, fmt.Sprint("RM_", i))); err != nil {
			t.Fatal(err)
		}
	}
	err := s.enter(member("one-more", 1), owner, scoped(owner, "RM_x"))
	wantCode(t, "a new room of one more", err, connect.CodeResourceExhausted)
	wantCode(t, "a higher term of one more", s.enter(member("one-more", 2), owner, scoped(owner, "RM_0")), connect.CodeResourceExhausted)
	_, err = s.streamOf(owner, "one-more")
	wantCode(t, "a stream of one more", err, connect.CodeResourceExhausted)
	wantCode(t, "one that is known", s.enter(member("m1", 2), owner, scoped(owner, "RM_0")), 0)
	wantCode(t, "another owner", s.enter(member("one-more", 1), drtc.NodeID{2}, scoped(drtc.NodeID{2}, "RM_0")), 0)
}

// What is kept of terms goes with the room, and is bounded before.
func TestForgetTerms_withTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		room := scoped(owner, "RM_1")
		if err := s.enter(member("a", 5), owner, room); err != nil {
			t.Fatal(err)
		}
		e := s.addSession(t, owner, "SE_1")
		stream := s.openMember("a")
		defer stream.end()
		time.Sleep(time.Hour)
		s.sweep(time.Now())
		wantCode(t, "a lower term while the room is there", s.enter(member("b", 4), owner, room), connect.CodeFailedPrecondition)
		s.end(e, "closed")
		s.sweep(time.Now())
		time.Sleep(keepTerm)
		s.sweep(time.Now())
		wantCode(t, "just after it", s.enter(member("b", 4), owner, room), connect.CodeFailedPrecondition)
		time.Sleep(time.Second)
		s.sweep(time.Now())
		if len(s.tenures) != 0 {
			t.Errorf("%d terms are kept of rooms that are gone", len(s.tenures))
		}
		other := drtc.NodeID{7}
		if err := s.enter(member("a", 1), other, scoped(other, "RM_1")); err != nil {
			t.Fatal(err)
		}
		for i := range 3 * maxIdleTerms {
			if err := s.enter(member("a", 1), owner, scoped(owner, fmt.Sprint("RM_", i))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Microsecond)
		}
		last := fmt.Sprint("RM_", 3*maxIdleTerms-1)
		if len(s.tenures) != maxIdleTerms+1 || s.tenures[scoped(other, "RM_1")] == nil || s.tenures[scoped(owner, last)] == nil {
			t.Errorf("%d terms are kept, want %d, the newest, and those of others", len(s.tenures), maxIdleTerms+1)
		}
	})
}

// Sessions wait for another member as long as one of the operator is here.
func TestSweep_orphansOfMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		if err := s.enter(member("a", 1), owner, scoped(owner, "RM_1")); err != nil {
			t.Fatal(err)
		}
		s.addSession(t, owner, "SE_1")
		a, b := s.openMember("a"), s.openMember("b")
		a.end()
		synctest.Wait()
		time.Sleep(2 * s.cfg.OrphanAfter)
		s.sweep(time.Now())
		if s.Sessions() != 1 {
			t.Fatal("the sessions of a dead member ended while another was here to take them")
		}
		time.Sleep(2 * s.cfg.OrphanAfter)
		s.sweep(time.Now())
		if s.Sessions() != 0 {
			t.Error("the sessions of a dead member stay for ever when nobody takes them")
		}
		s.addSession(t, owner, "SE_2")
		b.end()
		synctest.Wait()
		time.Sleep(s.cfg.OrphanAfter + time.Second)
		s.sweep(time.Now())
		if s.Sessions() != 0 {
			t.Error("the sessions stay when no member is here")
		}
	})
}

// Whatever is called in whatever order, a room is written by one member a term,
// and terms never go back.
func TestEnter_likeAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newService(t)
		type known struct {
			member string
			term   uint64
		}
		model := map[string]known{}
		for range rapid.IntRange(1, 100).Draw(rt, "calls") {
			room := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "room")
			who := known{rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "member"), rapid.Uint64Range(0, 5).Draw(rt, "term")}
			now := model[room]
			err := s.enter(member(who.member, who.term), owner, scoped(owner, room))
			claimed := s.tenures[scoped(owner, room)] != nil
			if may := now == (known{}) && (who == (known{}) || who.term >= now.term) || who.term > now.term || who == now; may != (err == nil) {
				rt.Fatalf("%+v in room %s of %+v: got %v", who, room, now, err)
			}
			if err == nil {
				model[room] = who
			}
			if claimed && s.holder(scoped(owner, room)) != model[room].member {
				rt.Fatalf("room %s is held by %q, want %q", room, s.holder(scoped(owner, room)), model[room].member)
			}
		}
	})
}

// Figures of a room whose member nobody hears of go nowhere else.
func TestOnPeerReport_goesToTheHolder(t *testing.T) {
	s := newService(t)
	if err := s.enter(member("a", 1), owner, scoped(owner, "RM_1")); err != nil {
		t.Fatal(err)
	}
	e := s.addSession(t, owner, "SE_1")
	s.OnEvent(engine.PeerReport{Peer: e.publisher.peer, Figures: engine.Figures{ReceivedBytes: 5}})
	if got := s.feeds[feedKey{owner, "a"}].waiting(); len(got) != 1 {
		t.Errorf("a's feed has %d reports, want 1", len(got))
	}
	if f := s.feeds[feedKey{owner: owner}]; f != nil && len(f.waiting()) != 0 {
		t.Error("the feed without a name has reports")
	}
}

func FuzzReadStanding(f *testing.F) {
	f.Add("a", "1")
	f.Add("a.b_c-D9", "18446744073709551615")
	f.Add("ä", "-1")
	f.Fuzz(func(t *testing.T, name, term string) {
		st, err := readStanding(http.Header{HeaderMember: {name}, HeaderTerm: {term}})
		if err != nil {
			return
		}
		if len(st.member) > maxMember || st.member != name || strconv.FormatUint(st.term, 10) != strings.TrimLeft(term, "0") && st.term != 0 {
			t.Errorf("%q, %q: got %+v", name, term, st)
		}
	})
}
