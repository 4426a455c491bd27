package roomservice

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// clientOf is a client whose connections end with the test.
func clientOf(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// signalRoom remembers whom it was told to await.
type signalRoom struct {
	name     string
	identity drtc.Identity
}

func (s *signalRoom) await(_ context.Context, name signal.RoomName, id drtc.Identity) (room.Info, error) {
	s.name, s.identity = name.Name, id
	return room.Info{ID: "RM_there", Name: name.Name}, nil
}

// elsewhere is a house of whose rooms one is with another process.
type elsewhere struct {
	*house
	room string
}

func (e elsewhere) Do(ctx context.Context, name signal.RoomName, create bool, do func(time.Time, *room.Room) []room.Effect) error {
	if name.Name == e.room {
		return ErrElsewhere
	}
	return e.house.Do(ctx, name, create, do)
}

// calls are all methods, on the room r.
func calls(c livekit.RoomService) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"CreateRoom": func(ctx context.Context) error {
			_, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
			return err
		},
		"ListRooms": func(ctx context.Context) error {
			_, err := c.ListRooms(ctx, &livekit.ListRoomsRequest{})
			return err
		},
		"DeleteRoom": func(ctx context.Context) error {
			_, err := c.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: "r"})
			return err
		},
		"ListParticipants": func(ctx context.Context) error {
			_, err := c.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: "r"})
			return err
		},
		"GetParticipant": func(ctx context.Context) error {
			_, err := c.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: "r", Identity: "ann"})
			return err
		},
		"RemoveParticipant": func(ctx context.Context) error {
			_, err := c.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: "r", Identity: "ann"})
			return err
		},
		"MutePublishedTrack": func(ctx context.Context) error {
			_, err := c.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: "r", Identity: "ann", TrackSid: "TR_1", Muted: true})
			return err
		},
		"UpdateParticipant": func(ctx context.Context) error {
			_, err := c.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: "r", Identity: "ann", Name: "n"})
			return err
		},
		"UpdateSubscriptions": func(ctx context.Context) error {
			_, err := c.UpdateSubscriptions(ctx, &livekit.UpdateSubscriptionsRequest{Room: "r", Identity: "ann"})
			return err
		},
		"SendData": func(ctx context.Context) error {
			_, err := c.SendData(ctx, &livekit.SendDataRequest{Room: "r", Data: []byte("x")})
			return err
		},
		"UpdateRoomMetadata": func(ctx context.Context) error {
			_, err := c.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: "r", Metadata: "m"})
			return err
		},
		"ForwardParticipant": func(ctx context.Context) error {
			_, err := c.ForwardParticipant(ctx, &livekit.ForwardParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"})
			return err
		},
		"MoveParticipant": func(ctx context.Context) error {
			_, err := c.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: "r", Identity: "ann", DestinationRoom: "s"})
			return err
		},
		"PerformRpc": func(ctx context.Context) error {
			_, err := c.PerformRpc(ctx, &livekit.PerformRpcRequest{Room: "r", DestinationIdentity: "ann"})
			return err
		},
	}
}

func TestGrants_openWhatTheyNameAndNothingElse(t *testing.T) {
	h := open(t, nil)
	ann := h.join("r", "ann", nil)
	all := calls(livekit.NewRoomServiceProtobufClient(h.url, clientOf(t)))
	if got, want := len(all), livekit.File_livekit_room_proto.Services().ByName("RoomService").Methods().Len(); got != want {
		t.Fatalf("%d methods are called here, the service has %d", got, want)
	}
	yes, no := true, false
	needs := func(method string) string {
		switch method {
		case "CreateRoom", "DeleteRoom":
			return "roomCreate"
		case "ListRooms":
			return "roomList"
		}
		return "roomAdmin"
	}
	for name, grant := range map[string]auth.VideoGrant{
		"a participant's":   {RoomJoin: true, Room: "r", CanPublish: &yes, CanUpdateOwnMetadata: &yes},
		"nothing":           {},
		"roomList":          {RoomList: true, Room: "r", CanSubscribe: &no},
		"roomCreate":        {RoomCreate: true, Room: "r"},
		"admin elsewhere":   {RoomAdmin: true, Room: "s", DestinationRoom: "r"},
		"admin of no room":  {RoomAdmin: true},
		"a destination too": {DestinationRoom: "s", Room: "r"},
	} {
		for method, call := range all {
			if need := needs(method); need == name {
				continue
			}
			wantCode(t, name+": "+method, call(with(t, token(t, grant))), twirp.Unauthenticated, needs(method))
		}
	}
	if h.closed[ann] {
		t.Error("ann was let go")
	}
	// Moving needs the destination besides.
	for _, method := range []string{"MoveParticipant", "ForwardParticipant"} {
		err := all[method](with(t, token(t, auth.VideoGrant{RoomAdmin: true, Room: "r"})))
		wantCode(t, method, err, twirp.Unauthenticated, "destinationRoom")
	}
}

func TestApplications_canNotSeeEachOther(t *testing.T) {
	h := open(t, nil)
	h.join("r", "ann", nil)
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	ctx := with(t, tokenOf(t, "k2", testSecret+"2", everything()))
	list, err := c.ListRooms(ctx, &livekit.ListRoomsRequest{})
	if err != nil || len(list.Rooms) != 0 {
		t.Errorf("got %v and %v, want no rooms", list, err)
	}
	people, err := c.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: "r"})
	if err != nil || len(people.Participants) != 0 {
		t.Errorf("got %v and %v, want nobody", people, err)
	}
	for method, call := range calls(c) {
		switch method {
		case "CreateRoom", "ListRooms", "ListParticipants", "PerformRpc":
			continue
		}
		wantCode(t, method, call(ctx), twirp.NotFound, "room")
	}
	own, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
	if err != nil || own.Sid == "RM_app_r" || own.NumParticipants != 0 {
		t.Errorf("got %v and %v, want a room of its own", own, err)
	}
}

func TestAbsentRooms_areNotMadeByTheWay(t *testing.T) {
	h := open(t, nil)
	ctx := with(t, token(t, everything()))
	for method, call := range calls(livekit.NewRoomServiceJSONClient(h.url, clientOf(t))) {
		switch method {
		case "CreateRoom", "ListRooms", "ListParticipants", "PerformRpc":
			continue
		}
		wantCode(t, method, call(ctx), twirp.NotFound, "requested room does not exist")
	}
	if len(h.rooms) != 0 {
		t.Errorf("%d rooms were made", len(h.rooms))
	}
}

func TestTokens_thatAreNoneAreRefused(t *testing.T) {
	h := open(t, nil)
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	for what, text := range map[string]string{
		"malformed":    "x",
		"unknown key":  tokenOf(t, "k9", testSecret, everything()),
		"wrong secret": tokenOf(t, "k1", "another secret that is just as long", everything()),
	} {
		_, err := c.ListRooms(with(t, text), &livekit.ListRoomsRequest{})
		wantCode(t, what, err, twirp.Unauthenticated, "access token")
		if err != nil && strings.Contains(err.Error(), text) && len(text) > 10 {
			t.Errorf("%s: the answer quotes the token", what)
		}
	}
	_, err := c.ListRooms(context.Background(), &livekit.ListRoomsRequest{})
	wantCode(t, "none", err, twirp.Unauthenticated, "no access token")
}

// post sends bytes and returns the status and the body.
func post(t *testing.T, h *house, method, path, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+token(t, everything()))
	resp, err := clientOf(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestGarbage_isNamed(t *testing.T) {
	h := open(t, nil)
	const create = "/twirp/livekit.RoomService/CreateRoom"
	for _, c := range []struct {
		what, method, path, contentType, body string
		status                                int
		code                                  string
	}{
		{"GET", "GET", create, "application/json", "", 404, "bad_route"},
		{"an unknown method", "POST", "/twirp/livekit.RoomService/Nope", "application/json", "{}", 404, "bad_route"},
		{"another service", "POST", "/twirp/livekit.Egress/ListEgress", "application/json", "{}", 501, "unimplemented"},
		{"no service", "POST", "/twirp/", "application/json", "{}", 501, "unimplemented"},
		{"another type", "POST", create, "text/plain", "{}", 404, "bad_route"},
		{"no JSON", "POST", create, "application/json", "{", 400, "malformed"},
		{"another JSON", "POST", create, "application/json", `{"name":7}`, 400, "malformed"},
		{"no protobuf", "POST", create, "application/protobuf", "\xff\xff\xff", 400, "malformed"},
		{"too long", "POST", create, "application/protobuf", strings.Repeat("x", 513<<10), 429, "resource_exhausted"},
		{"no name", "POST", create, "application/json", "{}", 400, "invalid_argument"},
		{"a long name", "POST", create, "application/json", `{"name":"` + strings.Repeat("n", 513) + `"}`, 400, "invalid_argument"},
		{"a preset", "POST", create, "application/json", `{"name":"r","room_preset":"p"}`, 400, "room_preset"},
		{"a long wait", "POST", create, "application/json", `{"name":"r","empty_timeout":604801}`, 400, "empty_timeout"},
		{"a long stay", "POST", create, "application/json", `{"name":"r","departure_timeout":604801}`, 400, "departure_timeout"},
		{"recording", "POST", create, "application/json", `{"name":"r","egress":{}}`, 501, "egress"},
		{"agents", "POST", create, "application/json", `{"name":"r","agents":[{}]}`, 501, "agents"},
		{"no identity", "POST", "/twirp/livekit.RoomService/GetParticipant", "application/json", `{"room":"r"}`, 400, "identity"},
		{"no track", "POST", "/twirp/livekit.RoomService/MutePublishedTrack", "application/json", `{"room":"r","identity":"a","muted":true}`, 400, "track_sid"},
		{"a time before time", "POST", "/twirp/livekit.RoomService/RemoveParticipant", "application/json", `{"room":"r","identity":"a","revoke_token_ts":"-1"}`, 400, "revoke_token_ts"},
	} {
		status, text := post(t, h, c.method, c.path, c.contentType, c.body)
		if status != c.status || !strings.Contains(text, c.code) {
			t.Errorf("%s: got %d %s, want %d and %s", c.what, status, text, c.status, c.code)
		}
	}
	if len(h.rooms) != 0 {
		t.Errorf("%d rooms were made", len(h.rooms))
	}
	if status, text := post(t, h, "POST", create, "application/json; charset=utf-8", `{"name":"r","emptyTimeout":9,"newer":1}`); status != 200 || !strings.Contains(text, `"empty_timeout":9`) {
		t.Errorf("a field of a newer version: got %d %s, want the room", status, text)
	}
	if status, _ := post(t, h, "OPTIONS", create, "", ""); status != http.StatusNoContent {
		t.Errorf("OPTIONS: got %d, want 204", status)
	}
}

func TestOverload_isAnsweredAtOnce(t *testing.T) {
	outcomes := make(chan string, 100)
	h := open(t, func(c *Config) {
		c.MaxAtOnce, c.Timeout = 2, 300*time.Millisecond
		c.Report = func(method, outcome string) { outcomes <- method + " " + outcome }
	})
	h.hold = make(chan struct{})
	c := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t))
	ctx := with(t, token(t, everything()))
	failed := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
			failed <- err
		}()
	}
	<-h.held
	<-h.held
	_, err := c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
	wantCode(t, "a third request", err, twirp.ResourceExhausted, "try again")
	for range 2 {
		wantCode(t, "a room that does not answer", <-failed, twirp.DeadlineExceeded, "in time")
	}
	for _, want := range []string{" resource_exhausted", "CreateRoom http_408", "CreateRoom http_408"} {
		if got := <-outcomes; got != want {
			t.Errorf("reported %q, want %q", got, want)
		}
	}
	h.mu.Lock()
	h.hold, h.err = nil, errors.New("the store does not answer")
	h.mu.Unlock()
	_, err = c.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
	wantCode(t, "a composition that fails", err, twirp.Unavailable, "store")
}

func TestElsewhere_seesWholeRequestsOfOneRoom(t *testing.T) {
	var seen []string
	h := open(t, func(c *Config) {
		c.Elsewhere = func(w http.ResponseWriter, r *http.Request, name signal.RoomName) bool {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+" "+name.Application+"/"+name.Name)
			q := &livekit.CreateRoomRequest{}
			if strings.HasSuffix(r.URL.Path, "/CreateRoom") && (proto.Unmarshal(body, q) != nil || q.Name != "r") {
				t.Errorf("the body is not whole: %q", body)
			}
			out, err := proto.Marshal(&livekit.Room{Sid: "RM_there"})
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/protobuf")
			_, _ = w.Write(out)
			return true
		}
	})
	all := calls(livekit.NewRoomServiceProtobufClient(h.url, clientOf(t)))
	ctx := with(t, token(t, everything()))
	got, err := livekit.NewRoomServiceProtobufClient(h.url, clientOf(t)).CreateRoom(ctx, &livekit.CreateRoomRequest{Name: "r"})
	if err != nil || got.Sid != "RM_there" {
		t.Errorf("got %v and %v, want the other process's answer", got, err)
	}
	for method, call := range all {
		seen = nil
		_ = call(ctx) // the answers are not of the right type
		if want := method + " app/r"; method != "ListRooms" && (len(seen) != 1 || seen[0] != want) {
			t.Errorf("%s: seen %q, want %q", method, seen, want)
		}
		if method == "ListRooms" && len(seen) != 0 {
			t.Errorf("ListRooms was handed on as %q", seen)
		}
	}
	seen = nil
	if err := all["CreateRoom"](context.Background()); err == nil || len(seen) != 0 {
		t.Errorf("a request without a token was handed on: %v %q", err, seen)
	}
}

func TestConfig_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Keys":    func(c *Config) { c.Keys = nil },
		"Rooms":   func(c *Config) { c.Rooms = nil },
		"Log":     func(c *Config) { c.Log = nil },
		"MaxBody": func(c *Config) { c.MaxBody = -1 },
	} {
		c := open(t, nil).server.config
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want an error that names %s", err, field)
		}
	}
}

// The room that a request is said to concern is the one that its method acts on.
func FuzzConcerns(f *testing.F) {
	q := &livekit.SendDataRequest{Room: "r", Data: []byte("d")}
	raw, err := proto.Marshal(q)
	if err != nil {
		f.Fatal(err)
	}
	text, err := protojson.Marshal(q)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("application/protobuf", raw)
	f.Add("application/json", text)
	f.Add("application/json; charset=utf-8", []byte(`{"room":"a","room":"b"}`))
	f.Add("application/protobuf", append(raw, raw...))
	f.Add("x", []byte{})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got := concerns("SendData", contentType, body)
		if got == "" {
			return
		}
		q := &livekit.SendDataRequest{}
		switch {
		case strings.HasPrefix(strings.TrimSpace(strings.ToLower(contentType)), "application/json"):
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, q)
		default:
			err = proto.Unmarshal(body, q)
		}
		if err != nil || q.Room != got {
			t.Errorf("said to concern %q, is about %q (%v)", got, q.Room, err)
		}
	})
}
