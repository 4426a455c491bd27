package roomservice

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const testSecret = "a secret that is long enough for a test"

// house owns rooms as the Orchestrator does, on one lock: nodes that do at once
// what they are told, and clients whose messages are kept.
type house struct {
	t      *testing.T
	server *Server
	url    string

	mu      sync.Mutex // guards what follows
	now     time.Time
	rooms   map[signal.RoomName]*room.Room
	said    map[room.Conn][]room.Message
	closed  map[room.Conn]bool
	refused map[room.Conn]string
	orders  []room.ToNode
	conns   room.Conn
	err     error         // of every Do
	hold    chan struct{} // if not nil, Do waits for it
	held    chan struct{} // told when Do waits
}

func open(t *testing.T, change func(*Config)) *house {
	t.Helper()
	h := &house{
		t: t, now: time.Now(), rooms: map[signal.RoomName]*room.Room{}, said: map[room.Conn][]room.Message{},
		closed: map[room.Conn]bool{}, refused: map[room.Conn]string{}, held: make(chan struct{}, 100),
	}
	c := Config{
		Keys: map[string]signal.Key{
			"k1": {Secret: testSecret, Application: "app"}, "k2": {Secret: testSecret + "2", Application: "other"},
		},
		Rooms: h, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	var err error
	if h.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.server.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *house) Do(ctx context.Context, name signal.RoomName, create bool, do func(time.Time, *room.Room) []room.Effect) error {
	h.mu.Lock()
	hold, err := h.hold, h.err
	h.mu.Unlock()
	if hold != nil {
		h.held <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[name]
	if r == nil {
		if !create {
			return ErrNoRoom
		}
		r = room.New(room.DefaultConfig(), drtc.RoomID("RM_"+name.Application+"_"+name.Name), name.Name, h.now)
		h.rooms[name] = r
	}
	h.perform(name, r, do(h.now, r))
	return nil
}

func (h *house) List(_ context.Context, application string, names []string) ([]room.Info, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []room.Info
	for name, r := range h.rooms {
		if name.Application != application {
			continue
		}
		saved, err := r.Snapshot()
		if err != nil {
			return nil, err
		}
		info, err := room.ReadInfo(room.DefaultConfig(), saved)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// perform carries out effects, with nodes that always obey.
func (h *house) perform(name signal.RoomName, r *room.Room, effects []room.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case room.ToClient:
			h.said[e.Conn] = append(h.said[e.Conn], e.Message)
		case room.CloseClient:
			h.closed[e.Conn] = true
		case room.Refuse:
			h.refused[e.Conn] = e.Reason
		case room.NeedPlan:
			p := plan.Plan{Strategy: plan.Proximity, Homes: map[drtc.ParticipantID]drtc.NodeID{}}
			for _, m := range r.Shape().Members {
				p.Homes[m.ID] = drtc.NodeID{1}
			}
			h.perform(name, r, r.Handle(h.now, room.Planned{Plan: p}))
		case room.ToNode:
			h.orders = append(h.orders, e)
			if _, ok := e.Command.(room.OpenSession); ok {
				h.perform(name, r, r.Handle(h.now, room.SessionOpened{Node: e.Node, Session: e.Session}))
			}
		case room.Ended:
			delete(h.rooms, name)
		case room.ToRoom:
			other := signal.RoomName{Application: name.Application, Name: e.Room}
			if to := h.rooms[other]; to != nil {
				h.perform(other, to, to.Handle(h.now, e.Order))
			}
		}
	}
}

// handle gives a room of app a command.
func (h *house) handle(roomName string, c room.Command) {
	name := signal.RoomName{Application: "app", Name: roomName}
	err := h.Do(context.Background(), name, true, func(now time.Time, r *room.Room) []room.Effect { return r.Handle(now, c) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// join lets somebody in and returns the connection.
func (h *house) join(roomName, identity string, change func(*room.Join)) room.Conn {
	h.mu.Lock()
	h.conns++
	conn := h.conns
	h.mu.Unlock()
	j := room.Join{
		Conn: conn, Participant: pa(roomName, identity), Session: drtc.SessionID("SE_" + roomName + "_" + identity),
		Identity: drtc.Identity(identity), Permission: room.Permission{Publish: true, Subscribe: true, PublishData: true},
		Client: room.Client{Version: 16}, AutoSubscribe: true, Application: "app", TokenFrom: h.now,
	}
	if change != nil {
		change(&j)
	}
	h.handle(roomName, j)
	h.handle(roomName, room.SessionChanged{Session: j.Session, Connected: true})
	return conn
}

// publish makes a camera of somebody live.
func (h *house) publish(roomName, identity string, id drtc.TrackID) {
	h.handle(roomName, room.AddTrack{Participant: pa(roomName, identity), Track: room.Track{
		ID: id, CID: string(id), Kind: room.Video, Source: room.Camera,
	}})
	h.handle(roomName, room.TrackLive{
		Session: drtc.SessionID("SE_" + roomName + "_" + identity), Track: id, MID: "0", MIME: "video/VP8",
	})
}

func pa(roomName, identity string) drtc.ParticipantID {
	return drtc.ParticipantID("PA_" + roomName + "_" + identity)
}

// told returns the messages of one type that a client was sent, and forgets all
// that it was sent.
func told[M room.Message](h *house, conn room.Conn) (list []M) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.said[conn] {
		if m, ok := m.(M); ok {
			list = append(list, m)
		}
	}
	h.said[conn] = nil
	return list
}

// ordered returns the commands of one type that nodes were given.
func ordered[C room.NodeCommand](h *house) (list []C) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.orders {
		if c, ok := o.Command.(C); ok {
			list = append(list, c)
		}
	}
	return list
}

// token signs a token of key k1.
func token(t *testing.T, grant auth.VideoGrant) string {
	t.Helper()
	return tokenOf(t, "k1", testSecret, grant)
}

func tokenOf(t *testing.T, key, secret string, grant auth.VideoGrant) string {
	t.Helper()
	text, err := auth.NewAccessToken(key, secret).SetVideoGrant(&grant).SetIdentity("server").SetValidFor(time.Minute).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// everything is what a server's token may grant in the room r, with a way to s.
func everything() auth.VideoGrant {
	return auth.VideoGrant{RoomCreate: true, RoomList: true, RoomAdmin: true, Room: "r", DestinationRoom: "s"}
}

// inBoth runs a test with clients of both encodings.
func inBoth(t *testing.T, change func(*Config), test func(t *testing.T, h *house, c livekit.RoomService, ctx context.Context)) {
	for name, dial := range map[string]func(string, livekit.HTTPClient, ...twirp.ClientOption) livekit.RoomService{
		"protobuf": livekit.NewRoomServiceProtobufClient, "JSON": livekit.NewRoomServiceJSONClient,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, change)
			test(t, h, dial(h.url, http.DefaultClient), with(t, token(t, everything())))
		})
	}
}

// with carries a token in the context of a client's calls.
func with(t *testing.T, token string) context.Context {
	t.Helper()
	ctx, err := twirp.WithHTTPRequestHeaders(context.Background(), http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// wantCode fails unless err is a Twirp error of this code whose text has words.
func wantCode(t *testing.T, what string, err error, code twirp.ErrorCode, words ...string) {
	t.Helper()
	var e twirp.Error
	if !errors.As(err, &e) || e.Code() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(e.Msg(), w) {
			t.Errorf("%s: got %q, want a text with %q", what, e.Msg(), w)
		}
	}
}
