package signal

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

const secret = "secret-secret-secret-secret-secret"

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func packed(t testing.TB, jr *livekit.JoinRequest, compression livekit.WrappedJoinRequest_Compression) []byte {
	t.Helper()
	b := marshal(t, jr)
	if compression == livekit.WrappedJoinRequest_GZIP {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b = z.Bytes()
	}
	return marshal(t, &livekit.WrappedJoinRequest{Compression: compression, JoinRequest: b})
}

func TestDecodeJoinRequest_takesEveryFormOfBase64(t *testing.T) {
	want := &livekit.JoinRequest{Metadata: "??>>~~", ParticipantSid: "PA_1", PublisherOffer: &livekit.SessionDescription{Sdp: strings.Repeat("v=0\r\n", 3000)}}
	for _, compression := range []livekit.WrappedJoinRequest_Compression{livekit.WrappedJoinRequest_NONE, livekit.WrappedJoinRequest_GZIP} {
		raw := packed(t, want, compression)
		for name, enc := range map[string]*base64.Encoding{
			"standard": base64.StdEncoding, "url": base64.URLEncoding, "raw": base64.RawStdEncoding, "raw url": base64.RawURLEncoding,
		} {
			for _, text := range []string{enc.EncodeToString(raw), strings.ReplaceAll(enc.EncodeToString(raw), "+", " ")} {
				got, err := decodeJoinRequest(text)
				if err != nil || !proto.Equal(got, want) {
					t.Errorf("%v, %s: got %v and %v, want the request", compression, name, got, err)
				}
			}
		}
	}
}

func FuzzDecodeJoinRequest(f *testing.F) {
	jr := &livekit.JoinRequest{ClientInfo: &livekit.ClientInfo{Protocol: 17}, PublisherOffer: &livekit.SessionDescription{Sdp: "v=0"}}
	for _, c := range []livekit.WrappedJoinRequest_Compression{0, 1, 9} {
		f.Add(base64.StdEncoding.EncodeToString(packed(f, jr, c)))
	}
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		jr, err := decodeJoinRequest(text)
		if (jr == nil) == (err == nil) {
			t.Errorf("got %v and %v, want one of both", jr, err)
		}
		if err != nil && !errors.Is(err, errJoinRequest) {
			t.Errorf("got %v, want errJoinRequest", err)
		}
	})
}

// No message of a client, however strange, may do more than be ignored.
func FuzzCommandsFrom(f *testing.F) {
	for _, m := range []*livekit.SignalRequest{
		{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: "c", Layers: []*livekit.VideoLayer{{Quality: -5}, {Quality: 99}}}}},
		{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{Quality: -1, Priority: 1 << 31}}},
		{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{}}},
		{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: `{"candidate":"x"}`}}},
		{Message: &livekit.SignalRequest_SubscriptionPermission{}},
	} {
		f.Add(marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m := &livekit.SignalRequest{}
		if proto.Unmarshal(frame, m) != nil {
			return
		}
		commands, response := commandsFrom("PA_1", m, func() drtc.TrackID { return "TR_1" })
		for _, c := range commands {
			if a, ok := c.(room.AddTrack); ok && (a.Track.CID == "" || len(a.Track.Layers) > 3 || a.Track.ID != "TR_1") {
				t.Errorf("announced %+v", a.Track)
			}
		}
		if response != nil {
			marshal(t, response)
		}
	})
}

func TestCommandsFrom_readsWhatClientsSend(t *testing.T) {
	for _, c := range []struct {
		name string
		in   *livekit.SignalRequest
		want []room.Command
	}{
		{
			"simulcast camera", &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "c", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 1280, Height: 720,
				SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "vp8", Layers: []*livekit.VideoLayer{
					{Quality: livekit.VideoQuality_HIGH, Width: 1280}, {Quality: livekit.VideoQuality_LOW, Width: 320}, {Quality: livekit.VideoQuality_MEDIUM, Width: 640},
				}}},
			}}},
			[]room.Command{room.AddTrack{Participant: "PA_1", Track: room.Track{
				ID: "TR_1", CID: "c", Kind: room.Video, Source: room.Camera, Width: 1280, Height: 720, MIME: "video/VP8",
				Layers: []room.Layer{{Quality: 0, Width: 320, RID: "q"}, {Quality: 1, Width: 640, RID: "h"}, {Quality: 2, Width: 1280, RID: "f"}},
			}}},
		},
		{
			"single layer has no stream id", &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "c", Type: livekit.TrackType_VIDEO, Layers: []*livekit.VideoLayer{{Quality: livekit.VideoQuality_HIGH}},
			}}},
			[]room.Command{room.AddTrack{Participant: "PA_1", Track: room.Track{ID: "TR_1", CID: "c", Kind: room.Video, Layers: []room.Layer{{Quality: 2}}}}},
		},
		{
			"codec", &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "c", Type: livekit.TrackType_VIDEO, SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "h264"}, {Codec: "vp8"}},
			}}},
			[]room.Command{room.AddTrack{Participant: "PA_1", Track: room.Track{ID: "TR_1", CID: "c", Kind: room.Video, MIME: "video/H264"}}},
		},
		{
			"codec that is not forwarded", &livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: "c", Type: livekit.TrackType_VIDEO, SimulcastCodecs: []*livekit.SimulcastCodec{{Codec: "h265"}},
			}}},
			[]room.Command{room.AddTrack{Participant: "PA_1", Track: room.Track{ID: "TR_1", CID: "c", Kind: room.Video, MIME: "video/VP8"}}},
		},
		{
			"size", &livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{
				TrackSids: []string{"TR_a"}, Width: 320, Height: 180, Fps: 15, Priority: 1,
			}}},
			[]room.Command{room.SetTrack{Participant: "PA_1", Tracks: []drtc.TrackID{"TR_a"}, Settings: room.Settings{Width: 320, Height: 180, FPS: 15, Priority: 999}}},
		},
		{
			"quality off", &livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{
				TrackSids: []string{"TR_a"}, Quality: livekit.VideoQuality_OFF,
			}}},
			[]room.Command{room.SetTrack{Participant: "PA_1", Tracks: []drtc.TrackID{"TR_a"}, Settings: room.Settings{Disabled: true}}},
		},
		{
			"candidate", &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: `{"candidate":"candidate:1","sdpMid":"0"}`}}},
			[]room.Command{room.Trickle{Participant: "PA_1", Candidates: []string{"candidate:1"}}},
		},
		{"end of candidates", &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: `{"candidate":""}`}}}, nil},
		{
			"state after a resume", &livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
				Subscription: &livekit.UpdateSubscription{TrackSids: []string{"TR_a"}}, TrackSidsDisabled: []string{"TR_b"},
				DataChannels: []*livekit.DataChannelInfo{{Label: "_reliable", Id: 1}, {Label: strings.Repeat("x", 513), Id: 3}},
			}}},
			[]room.Command{
				room.SyncState{Participant: "PA_1", Channels: []room.Channel{{Label: "_reliable", ID: 1}}},
				room.Subscribe{Participant: "PA_1", Tracks: []drtc.TrackID{"TR_a"}},
				room.SetTrack{Participant: "PA_1", Tracks: []drtc.TrackID{"TR_b"}, Settings: room.Settings{Disabled: true}},
			},
		},
		{
			"grants", &livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: &livekit.SubscriptionPermission{
				TrackPermissions: []*livekit.TrackPermission{{ParticipantIdentity: "bob", TrackSids: []string{"TR_a"}}},
			}}},
			[]room.Command{room.SetPermission{Participant: "PA_1", Grants: []room.Grant{{Identity: "bob", Tracks: []drtc.TrackID{"TR_a"}}}}},
		},
		{"ignored", &livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateLayers{}}, nil}, //nolint:staticcheck // older clients
	} {
		got, response := commandsFrom("PA_1", c.in, func() drtc.TrackID { return "TR_1" })
		if !reflect.DeepEqual(got, c.want) || response != nil {
			t.Errorf("%s: got %+v and %v, want %+v", c.name, got, response, c.want)
		}
	}
}

func TestCommandsFrom_refusesWhatIsNotOffered(t *testing.T) {
	for _, m := range []*livekit.SignalRequest{
		{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Cid: "c", Sid: "TR_a"}}},
		{Message: &livekit.SignalRequest_PublishDataTrackRequest{PublishDataTrackRequest: &livekit.PublishDataTrackRequest{}}},
		{Message: &livekit.SignalRequest_StoreDataBlobRequest{StoreDataBlobRequest: &livekit.StoreDataBlobRequest{RequestId: 1}}},
		{Message: &livekit.SignalRequest_GetDataBlobRequest{GetDataBlobRequest: &livekit.GetDataBlobRequest{RequestId: 1}}},
	} {
		commands, response := commandsFrom("PA_1", m, nil)
		if r := response.GetRequestResponse(); len(commands) > 0 || r.GetReason() == livekit.RequestResponse_OK || r.GetMessage() == "" {
			t.Errorf("%v: got %v and %v, want a refusal with a text", m, commands, response)
		}
	}
}

func TestToken_saysWhatIsMissing(t *testing.T) {
	good := Grants{Identity: "ann", Room: "r"}
	for want, try := range map[string]func() (string, error){
		"api key":    func() (string, error) { return Token("", secret, good, time.Hour) },
		"api secret": func() (string, error) { return Token("k", "", good, time.Hour) },
		"identity":   func() (string, error) { return Token("k", secret, Grants{Room: "r"}, time.Hour) },
		"room":       func() (string, error) { return Token("k", secret, Grants{Identity: "a"}, time.Hour) },
		"ttl":        func() (string, error) { return Token("k", secret, good, 0) },
		"canPublish": func() (string, error) {
			return Token("k", secret, Grants{Identity: "a", Room: "r", Names: []string{"publish"}}, time.Hour)
		},
		"source:screen_share ": func() (string, error) {
			return Token("k", secret, Grants{Identity: "a", Room: "r", Names: []string{"source:tv"}}, time.Hour)
		},
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
	}
	if _, err := Token("k", secret, Grants{Identity: "a", Room: "r", Names: []string{"tv"}}, time.Hour); !errors.Is(err, ErrGrant) {
		t.Errorf("unknown grant: got %v, want ErrGrant", err)
	}
}

func TestToken_isUnderstoodByTheProtocolsLibrary(t *testing.T) {
	text, err := Token("k", secret, Grants{
		Identity: "ann", Name: "Ann", Room: "r", Metadata: "m", Attributes: map[string]string{"a": "b"},
		Names: []string{"!canSubscribe", "hidden", "canUpdateOwnMetadata", "source:camera"},
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.ParseAPIToken(text)
	if err != nil {
		t.Fatal(err)
	}
	_, g, err := v.Verify(secret)
	if err != nil {
		t.Fatal(err)
	}
	if v.APIKey() != "k" || g.Identity != "ann" || g.Name != "Ann" || g.Metadata != "m" || g.Attributes["a"] != "b" || !g.Video.RoomJoin || g.Video.Room != "r" {
		t.Errorf("token says %+v %+v", g, g.Video)
	}
	p := permissionFrom(Caller{grants: g})
	want := room.Permission{Publish: true, PublishData: true, Sources: []room.Source{room.Camera}, UpdateMetadata: true, Hidden: true}
	if p.MayPublish(room.Microphone) || !p.MayPublish(room.Camera) || p.Subscribe || !reflect.DeepEqual(p.Sources, want.Sources) || !p.UpdateMetadata || !p.Hidden {
		t.Errorf("permission is %+v, want %+v", p, want)
	}
}

func TestLimiter_countsTheClientNotTheProxy(t *testing.T) {
	l := &limiter{
		perSecond: 1, burst: 1, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		addresses: map[netip.Addr]*rate.Limiter{},
	}
	at := time.Unix(1000, 0)
	from := func(remote string, forwarded ...string) bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		return l.allow(r, at)
	}
	for _, c := range []struct {
		name      string
		remote    string
		forwarded []string
		want      bool
	}{
		{"first", "192.0.2.1:5", nil, true},
		{"again", "192.0.2.1:6", nil, false},
		{"claims to be another", "192.0.2.1:6", []string{"192.0.2.9"}, false},
		{"through the proxy", "10.0.0.1:5", []string{"192.0.2.2"}, true},
		{"again through the proxy", "10.0.0.2:5", []string{"192.0.2.2"}, false},
		{"invents a hop before it", "10.0.0.2:5", []string{"192.0.2.77, 192.0.2.2"}, false},
		{"two proxies", "10.0.0.2:5", []string{"192.0.2.3", "10.9.9.9"}, true},
		{"an IPv6 network", "[2001:db8::1]:5", nil, true},
		{"another address of it", "[2001:db8::2]:5", nil, false},
		{"another network", "[2001:db8:1::2]:5", nil, true},
	} {
		if got := from(c.remote, c.forwarded...); got != c.want {
			t.Errorf("%s: allowed %v, want %v", c.name, got, c.want)
		}
	}
	if at = at.Add(time.Second); !from("192.0.2.1:7") {
		t.Error("a second later: not allowed")
	}
	for i := range maxAddresses {
		l.addresses[netip.AddrFrom4([4]byte{172, byte(i >> 16), byte(i >> 8), byte(i)})] = rate.NewLimiter(1, 1)
	}
	if !from("198.51.100.1:1") || len(l.addresses) > maxAddresses {
		t.Errorf("with full memory: %d addresses remembered, want idle ones forgotten", len(l.addresses))
	}
}

// hall is Rooms with one room whose outlets a test holds.
type hall struct {
	posted  chan room.Command
	entered chan Outlet
	err     error
}

func newHall() *hall {
	return &hall{posted: make(chan room.Command, 100), entered: make(chan Outlet, 10)}
}

func (h *hall) Enter(_ context.Context, _ RoomName, out Outlet, first func(room.Conn) room.Command) (room.Conn, error) {
	if h.err != nil {
		return 0, h.err
	}
	h.posted <- first(7)
	h.entered <- out
	return 7, nil
}

func (h *hall) Post(_ context.Context, _ RoomName, c room.Command) error {
	h.posted <- c
	return nil
}

func serve(t *testing.T, h *hall, change func(*Config)) (*Server, string) {
	t.Helper()
	c := Config{Keys: map[string]Key{"k": {Secret: secret}}, Rooms: h, Log: slog.New(slog.DiscardHandler), ConnectRate: -1}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Register(mux)
	server := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; server.Close() })
	tok, err := Token("k", secret, Grants{Identity: "ann", Room: "r"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"access_token": {tok}, "join_request": {base64.URLEncoding.EncodeToString(
		packed(t, &livekit.JoinRequest{ClientInfo: &livekit.ClientInfo{Protocol: 16}}, 0))}}
	return s, strings.Replace(server.URL, "http", "ws", 1) + "/rtc/v1?" + q.Encode()
}

func TestServer_upgradesOnlyWithAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(*hall, Outlet)
		status int
	}{
		{"refused", func(_ *hall, o Outlet) { o.Refuse("no node is free") }, http.StatusServiceUnavailable},
		{"silent", func(*hall, Outlet) {}, http.StatusServiceUnavailable},
		{"answered", func(_ *hall, o Outlet) { o.Send(room.WelcomeBack{}) }, http.StatusSwitchingProtocols},
	} {
		h := newHall()
		_, at := serve(t, h, func(c *Config) { c.FirstWait = 100 * time.Millisecond })
		go func() { c.do(h, <-h.entered) }()
		ws, resp, err := websocket.Dial(context.Background(), at, nil)
		if resp == nil || resp.StatusCode != c.status {
			t.Errorf("%s: got %v and %v, want status %d", c.name, resp, err, c.status)
		}
		if ws != nil {
			ws.CloseNow() //nolint:errcheck // only the status matters
		}
		if j, ok := (<-h.posted).(room.Join); !ok || j.Identity != "ann" || !j.AutoSubscribe {
			t.Errorf("%s: the room got %+v, want ann's join", c.name, j)
		}
		if d, ok := (<-h.posted).(room.Dropped); !ok || d.Conn != 7 {
			t.Errorf("%s: the room got %+v, want that connection 7 ended", c.name, d)
		}
	}
}

func TestServer_roomThatCanNotBeEnteredIsUnavailable(t *testing.T) {
	h := newHall()
	h.err = errors.New("closing down")
	_, at := serve(t, h, nil)
	_, resp, _ := websocket.Dial(context.Background(), at, nil) //nolint:bodyclose // the library keeps it small
	if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, want 503", resp)
	}
}

func TestServer_cutsOffClientsThatDoNotRead(t *testing.T) {
	h := newHall()
	s, at := serve(t, h, func(c *Config) { c.MaxQueue, c.WriteTimeout = 8, 200*time.Millisecond })
	connected := make(chan struct{})
	go func() {
		out := <-h.entered
		out.Send(room.WelcomeBack{})
		<-connected
		// More than the socket's buffers and the queue take, in a moment.
		big := room.Answer{SDP: strings.Repeat("s", 1<<20)}
		for range 1000 {
			out.Send(big)
		}
	}()
	ws, _, err := websocket.Dial(context.Background(), at, nil) //nolint:bodyclose // upgraded
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // cut off already
	close(connected)
	<-h.posted // the join
	select {
	case c := <-h.posted:
		if _, ok := c.(room.Dropped); !ok {
			t.Errorf("the room got %+v, want that the connection ended", c)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the client is still connected")
	}
	if got := s.Sockets(); got > 1 {
		t.Errorf("%d sockets are counted", got)
	}
}

func TestServer_refreshedTokensCarryWhatTheParticipantMayDo(t *testing.T) {
	h := newHall()
	_, at := serve(t, h, nil)
	go func() {
		out := <-h.entered
		out.Send(room.RefreshToken{
			Name: "New", Metadata: "m", Attributes: map[string]string{"a": "b"},
			Permission: room.Permission{Subscribe: true, Publish: true, Sources: []room.Source{room.Camera}},
		})
	}()
	ws, _, err := websocket.Dial(context.Background(), at, nil) //nolint:bodyclose // upgraded
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // the test is over
	_, frame, err := ws.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	m := &livekit.SignalResponse{}
	if err := proto.Unmarshal(frame, m); err != nil {
		t.Fatal(err)
	}
	v, err := auth.ParseAPIToken(m.GetRefreshToken())
	if err != nil {
		t.Fatal(err)
	}
	claims, g, err := v.Verify(secret)
	if err != nil {
		t.Fatal(err)
	}
	if g.Identity != "ann" || g.Name != "New" || g.Metadata != "m" || g.Attributes["a"] != "b" || g.Video.Room != "r" || !g.Video.RoomJoin ||
		!g.Video.GetCanSubscribe() || g.Video.GetCanPublishData() || !slices.Equal(g.Video.CanPublishSources, []string{"camera"}) {
		t.Errorf("refreshed token says %+v %+v", g, g.Video)
	}
	if life := claims.ExpiresAt.Sub(claims.NotBefore.Time); life != refreshedLife {
		t.Errorf("refreshed token lives %v, want %v", life, refreshedLife)
	}
}

func TestServer_pingsQuietClients(t *testing.T) {
	h := newHall()
	_, at := serve(t, h, func(c *Config) { c.PingInterval = 20 * time.Millisecond })
	go func() { (<-h.entered).Send(room.WelcomeBack{}) }()
	pings := make(chan struct{}, 100)
	ws, _, err := websocket.Dial(context.Background(), at, &websocket.DialOptions{ //nolint:bodyclose // upgraded
		OnPingReceived: func(context.Context, []byte) bool { pings <- struct{}{}; return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // the test is over
	go func() {
		for {
			if _, _, err := ws.Read(context.Background()); err != nil {
				return
			}
		}
	}()
	for range 3 {
		<-pings
	}
}

// What a server does to a participant reaches its client in the protocol's words.
func TestServer_tellsWhatServersOrdered(t *testing.T) {
	h := newHall()
	_, at := serve(t, h, nil)
	go func() {
		out := <-h.entered
		out.Send(room.Muted{Track: "TR_1", Muted: true})
		out.Send(room.Moved{
			Room: room.Info{ID: "RM_2", Name: "s"},
			Self: room.Participant{ID: "PA_1", Identity: "ann", Metadata: "m", Permission: room.Permission{Subscribe: true}},
		})
		out.Send(room.Goodbye{Reason: room.Migration, Action: room.Reconnect})
	}()
	ws, _, err := websocket.Dial(context.Background(), at, nil) //nolint:bodyclose // upgraded
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // the test is over
	next := func() *livekit.SignalResponse {
		_, frame, err := ws.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		m := &livekit.SignalResponse{}
		if err := proto.Unmarshal(frame, m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next().GetMute(); m.GetSid() != "TR_1" || !m.GetMuted() {
		t.Errorf("got %v, want that TR_1 is muted", m)
	}
	moved := next().GetRoomMoved()
	if moved.GetRoom().GetName() != "s" || moved.GetParticipant().GetIdentity() != "ann" {
		t.Errorf("got %v, want that ann is in s", moved)
	}
	v, err := auth.ParseAPIToken(moved.GetToken())
	if err != nil {
		t.Fatal(err)
	}
	_, g, err := v.Verify(secret)
	if err != nil {
		t.Fatal(err)
	}
	if g.Identity != "ann" || g.Metadata != "m" || g.Video.Room != "s" || !g.Video.RoomJoin || g.Video.GetCanPublish() || !g.Video.GetCanSubscribe() {
		t.Errorf("the token for the other room says %+v %+v", g, g.Video)
	}
	if l := next().GetLeave(); l.GetAction() != livekit.LeaveRequest_RECONNECT {
		t.Errorf("got %v, want to join anew", l)
	}
}

func TestReadToken_tellsFromWhenItCounts(t *testing.T) {
	text, err := auth.NewAccessToken("k", secret).SetVideoGrant(&auth.VideoGrant{RoomList: true}).SetValidFor(time.Hour).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Authorization", "Bearer "+text)
	before := time.Now()
	c, err := ReadToken(r, map[string]Key{"k": {Secret: secret, Application: "app"}}, before)
	if err != nil {
		t.Fatal(err)
	}
	if c.Application != "app" || !c.Grants.Video.RoomList || c.Grants.Video.RoomJoin || before.Sub(c.ValidFrom).Abs() > time.Minute {
		t.Errorf("got %+v", c)
	}
	if j := joinFrom(Caller{grants: c.Grants, validFrom: c.ValidFrom}, nil); !j.TokenFrom.Equal(c.ValidFrom) {
		t.Errorf("the Join says %v, want %v", j.TokenFrom, c.ValidFrom)
	}
}
