package moderate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/roomservice"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const testSecret = "a secret that is long enough for a test"

// house owns one room, m, of app, with nodes that do at once what they are told.
type house struct {
	t   *testing.T
	url string

	mu    sync.Mutex // guards what follows
	room  *room.Room
	now   time.Time
	said  map[room.Conn][]room.Message
	conns map[string]room.Conn
	err   error // of every Do
}

// Enter and Post implement signal.Rooms, which are not asked here.
func (h *house) Enter(context.Context, signal.RoomName, signal.Outlet, func(room.Conn) room.Command) (room.Conn, error) {
	return 0, nil
}
func (h *house) Post(context.Context, signal.RoomName, room.Command) error { return nil }

func (h *house) Do(_ context.Context, name signal.RoomName, _ bool, do func(time.Time, *room.Room) []room.Effect) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.err != nil:
		return h.err
	case name != signal.RoomName{Application: "app", Name: "m"}:
		return roomservice.ErrNoRoom
	}
	h.perform(do(h.now, h.room))
	return nil
}

func (h *house) perform(effects []room.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case room.ToClient:
			h.said[e.Conn] = append(h.said[e.Conn], e.Message)
		case room.NeedPlan:
			p := plan.Plan{Homes: map[drtc.ParticipantID]drtc.NodeID{}}
			for _, m := range h.room.Shape().Members {
				p.Homes[m.ID] = drtc.NodeID{1}
			}
			h.perform(h.room.Handle(h.now, room.Planned{Plan: p}))
		case room.ToNode:
			if _, ok := e.Command.(room.OpenSession); ok {
				h.perform(h.room.Handle(h.now, room.SessionOpened{Node: e.Node, Session: e.Session}))
			}
		}
	}
}

func (h *house) handle(c room.Command) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.perform(h.room.Handle(h.now, c))
}

func (h *house) join(identity string, lobby bool) {
	h.mu.Lock()
	conn := room.Conn(len(h.conns) + 1)
	h.conns[identity] = conn
	h.mu.Unlock()
	h.handle(room.Join{
		Conn: conn, Participant: drtc.ParticipantID("PA_" + identity), Session: drtc.SessionID("SE_" + identity),
		Identity: drtc.Identity(identity), Permission: room.Permission{Publish: true, Subscribe: true},
		Lobby: lobby, Rules: &room.Rules{Succession: room.Succession{On: true}}, TokenFrom: h.now,
	})
}

func (h *house) track(identity, id string, source room.Source) {
	kind := room.Audio
	if source == room.Camera || source == room.ScreenShare {
		kind = room.Video
	}
	h.handle(room.AddTrack{Participant: drtc.ParticipantID("PA_" + identity), Track: room.Track{ID: drtc.TrackID(id), CID: id, Kind: kind, Source: source}})
	h.handle(room.TrackLive{Session: drtc.SessionID("SE_" + identity), Track: drtc.TrackID(id)})
}

func (h *house) there() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.room.Participants() {
		text := string(p.Identity)
		if r := p.Attributes[room.AttributeRole]; r != "" {
			text += " " + r
		}
		if p.Attributes[room.AttributeLobby] != "" {
			text += " waiting"
		}
		for _, t := range p.Tracks {
			if t.Muted {
				text += " -" + string(t.ID)
			}
		}
		list = append(list, text)
	}
	return list
}

func open(t *testing.T, change func(*Config)) *house {
	t.Helper()
	h := &house{t: t, now: time.Now(), said: map[room.Conn][]room.Message{}, conns: map[string]room.Conn{}}
	h.room = room.New(room.DefaultConfig(), "RM_m", "m", h.now)
	gate, err := signal.New(signal.Config{
		Keys:  map[string]signal.Key{"k1": {Secret: testSecret, Application: "app"}},
		Rooms: h, Log: slog.New(slog.DiscardHandler), ConnectBurst: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Gate: gate, Rooms: h, Log: slog.New(slog.DiscardHandler)}
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
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func token(t *testing.T, identity, room string, grants ...string) string {
	t.Helper()
	text, err := signal.Token("k1", testSecret, signal.Grants{Identity: identity, Room: room, Names: grants}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answer is what any request may be answered with.
type answer struct {
	Participants, Waiting []person
	Error                 *failure
}

func (h *house) ask(token, method, action, body string) (int, answer) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+"/drtc/v1/rooms/m/"+action, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		h.t.Fatalf("%s: the answer is no JSON: %v: %q", action, err, text)
	}
	if (a.Error != nil) != (resp.StatusCode != http.StatusOK) || a.Error != nil && (a.Error.Message == "" || a.Error.Fix == "") {
		h.t.Errorf("%s: status %d with the error %+v: want message and fix for all but 200", action, resp.StatusCode, a.Error)
	}
	return resp.StatusCode, a
}

func (h *house) want(people ...string) {
	h.t.Helper()
	if got := h.there(); !slices.Equal(got, people) {
		h.t.Errorf("in the room are %q, want %q", got, people)
	}
}

// A meeting from its begin to its end, by its host.
func TestServer_aHostRunsAMeeting(t *testing.T) {
	h := open(t, nil)
	ann := token(t, "ann", "m")
	h.join("ann", true)
	for _, name := range []string{"bob", "cid", "dan", "eve"} {
		h.join(name, true)
	}
	status, a := h.ask(ann, http.MethodGet, "lobby", "")
	if status != http.StatusOK || len(a.Waiting) != 4 || a.Waiting[0].Identity != "bob" || !a.Waiting[0].Waiting || a.Waiting[0].Since.IsZero() {
		t.Errorf("the lobby: got %d and %+v, want bob and three more", status, a)
	}
	post := func(action, body string) answer {
		t.Helper()
		status, a := h.ask(ann, http.MethodPost, action, body)
		if status != http.StatusOK {
			t.Errorf("%s %s: got %d, %+v", action, body, status, a.Error)
		}
		return a
	}
	if a := post("accept", `{"identity":"bob"}`); len(a.Participants) != 1 || a.Participants[0].Identity != "bob" || a.Participants[0].Waiting {
		t.Errorf("accept: got %+v, want bob, inside", a)
	}
	post("deny", `{"identity":"cid"}`)
	h.want("ann host", "bob", "dan waiting", "eve waiting")
	post("accept", `{"all":true}`)
	h.want("ann host", "bob", "dan", "eve")

	h.track("bob", "TR_mic", room.Microphone)
	h.track("bob", "TR_cam", room.Camera)
	h.track("dan", "TR_screen", room.ScreenShare)
	h.track("dan", "TR_dan", room.Microphone)
	h.track("ann", "TR_ann", room.Microphone)
	post("mute", `{"identity":"bob","track":"TR_cam"}`)
	h.want("ann host", "bob -TR_cam", "dan", "eve")
	post("mute", `{"identity":"dan","sources":["screen_share"]}`)
	post("mute", `{"all":true}`)
	h.want("ann host", "bob -TR_mic -TR_cam", "dan -TR_screen -TR_dan", "eve")
	post("role", `{"identity":"eve","role":"viewer"}`)
	post("remove", `{"identity":"dan"}`)
	post("host", `{"identity":"bob","keep":true}`)
	h.want("ann host", "bob host -TR_mic -TR_cam", "eve viewer")
	post("host", `{"identity":"eve"}`)
	h.want("ann", "bob host -TR_mic -TR_cam", "eve host")
	if status, a := h.ask(ann, http.MethodPost, "remove", `{"identity":"bob"}`); status != http.StatusForbidden || a.Error.Field != "Authorization" {
		t.Errorf("ann after she handed over: got %d, %+v", status, a.Error)
	}

	// Who was removed does not come back by the token that it had.
	h.join("dan", false)
	h.want("ann", "bob host -TR_mic -TR_cam", "eve host")
}

func TestServer_mayReturn(t *testing.T) {
	h := open(t, nil)
	h.join("ann", false)
	h.join("bob", false)
	if status, _ := h.ask(token(t, "ann", "m"), http.MethodPost, "remove", `{"identity":"bob","may_return":true}`); status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	h.join("bob", false)
	h.want("ann host", "bob")
}

// An application's server needs no place in the room.
func TestServer_administratorsAreHosts(t *testing.T) {
	h := open(t, nil)
	h.join("ann", false)
	h.join("bob", false)
	admin := token(t, "server", "m", "roomAdmin")
	if status, a := h.ask(admin, http.MethodPost, "host", `{"identity":"bob"}`); status != http.StatusOK {
		t.Errorf("got %d, %+v", status, a.Error)
	}
	h.want("ann", "bob host")
	if status, _ := h.ask(admin, http.MethodGet, "lobby", ""); status != http.StatusOK {
		t.Errorf("the lobby: got %d", status)
	}
}

func TestServer_refusalsNameFieldAndFix(t *testing.T) {
	h := open(t, nil)
	h.join("ann", false)
	h.join("bob", false)
	h.join("cid", true)
	ann, bob, cid := token(t, "ann", "m"), token(t, "bob", "m"), token(t, "cid", "m")
	for _, c := range []struct {
		token, method, action, body string
		status                      int
		field                       string
	}{
		{"", "POST", "mute", `{}`, 401, "Authorization"},
		{"x.y.z", "POST", "mute", `{}`, 401, "Authorization"},
		{token(t, "ann", "other"), "POST", "mute", `{}`, 403, "room"},
		{bob, "POST", "mute", `{"identity":"ann"}`, 403, "Authorization"},
		{bob, "GET", "lobby", ``, 403, "Authorization"},
		{cid, "POST", "accept", `{"identity":"cid"}`, 403, "Authorization"},
		{cid, "GET", "lobby", ``, 403, "Authorization"},
		{token(t, "nobody", "m"), "POST", "accept", `{"identity":"cid"}`, 403, "Authorization"},
		{ann, "POST", "dance", `{"identity":"bob"}`, 404, "action"},
		{ann, "GET", "mute", ``, 405, ""},
		{ann, "POST", "lobby", `{}`, 405, ""},
		{ann, "POST", "mute", ``, 400, ""},
		{ann, "POST", "mute", `[]`, 400, ""},
		{ann, "POST", "mute", `{"identity":1}`, 400, "identity"},
		{ann, "POST", "mute", `{"identiti":"bob"}`, 400, ""},
		{ann, "POST", "mute", `{}`, 400, "identity"},
		{ann, "POST", "mute", `{"identity":"` + strings.Repeat("x", 513) + `"}`, 400, "identity"},
		{ann, "POST", "mute", `{"identity":"` + strings.Repeat("x", 5000) + `"}`, 413, ""},
		{ann, "POST", "mute", `{"identity":"bob","sources":["nose"]}`, 400, "sources"},
		{ann, "POST", "mute", `{"identity":"bob","track":"TR_1","sources":["camera"]}`, 400, "track"},
		{ann, "POST", "mute", `{"identity":"bob","track":"TR_1"}`, 404, "track"},
		{ann, "POST", "mute", `{"identity":"nobody"}`, 404, "identity"},
		{ann, "POST", "remove", `{"all":true}`, 400, "all"},
		{ann, "POST", "accept", `{"all":true,"identity":"bob"}`, 400, "identity"},
		{ann, "POST", "accept", `{"identity":"bob"}`, 409, "identity"},
		{ann, "POST", "deny", `{"identity":"bob"}`, 409, "identity"},
		{ann, "POST", "role", `{"identity":"bob"}`, 400, "role"},
		{ann, "POST", "role", `{"identity":"bob","role":"` + strings.Repeat("x", 65) + `"}`, 400, "role"},
		{ann, "POST", "host", `{"identity":"cid"}`, 404, "identity"}, // not from the lobby
	} {
		status, a := h.ask(c.token, c.method, c.action, c.body)
		if status != c.status || a.Error == nil || a.Error.Field != c.field {
			t.Errorf("%s %s %.60s: got %d, %+v, want %d about %q", c.method, c.action, c.body, status, a.Error, c.status, c.field)
		}
	}
	h.want("ann host", "bob", "cid waiting")
}

func TestServer_saysWhenTheRoomIsNotThere(t *testing.T) {
	h := open(t, nil)
	h.join("ann", false)
	for err, want := range map[error]int{
		roomservice.ErrNoRoom: 404, roomservice.ErrElsewhere: 503, context.DeadlineExceeded: 503, fmt.Errorf("x"): 503,
	} {
		h.err = err
		for _, c := range [][2]string{{"GET", "lobby"}, {"POST", "mute"}} {
			if status, _ := h.ask(token(t, "ann", "m"), c[0], c[1], `{"identity":"ann"}`); status != want {
				t.Errorf("%v: %s: got %d, want %d", err, c[1], status, want)
			}
		}
	}
}

func TestServer_boundsHowOftenOneAsks(t *testing.T) {
	var reports []string
	now := time.Now()
	h := open(t, func(c *Config) {
		c.Burst, c.Now = 3, func() time.Time { return now }
		c.Report = func(action string, status int) { reports = append(reports, fmt.Sprint(action, " ", status)) }
	})
	h.join("ann", false)
	ann := token(t, "ann", "m")
	for range 4 {
		h.ask(ann, http.MethodGet, "lobby", "")
	}
	h.ask(token(t, "bob", "m"), http.MethodGet, "lobby", "") // has an allowance of his own
	now = now.Add(time.Second)
	h.ask(ann, http.MethodGet, "lobby", "")
	want := []string{"lobby 200", "lobby 200", "lobby 200", "lobby 429", "lobby 403", "lobby 200"}
	if !slices.Equal(reports, want) {
		t.Errorf("got %q, want %q", reports, want)
	}
	for range 10 { // guesses of tokens count for the address
		h.ask("x.y.z", http.MethodGet, "lobby", "")
	}
	if last := reports[len(reports)-1]; last != "lobby 429" {
		t.Errorf("the last guess had %q, want 429", last)
	}
}

func TestConfig_namesTheField(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Gate") {
		t.Errorf("got %v, want that Gate is named", err)
	}
}
