package whip_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/whip"
)

const (
	testKey    = "APItest"
	testSecret = "secret-secret-secret-secret-secret"
	patience   = 10 * time.Second // for what must happen; never waited out when tests pass
)

// sections of offers.
const (
	head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
		"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
	audio      = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
	video      = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n"
	publishing = head + audio + "a=sendonly\r\na=msid:s mic\r\n" + video + "a=sendonly\r\na=msid:s cam\r\n"
	playing    = head + audio + "a=recvonly\r\n" + video + "a=recvonly\r\n"
	answerSDP  = "v=0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:node\r\n" +
		"a=ice-pwd:nodenodenodenodenodenode\r\na=fingerprint:sha-256 00\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:node\r\na=ice-pwd:nodenodenodenodenodenode\r\n"
	fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\na=end-of-candidates\r\n"
	restart = "a=ice-ufrag:efgh\r\na=ice-pwd:9876543210987654321098\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"

	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

// rooms stands for the rest of the Orchestrator. Its first answer to a Join and
// to every Offer is that of respond.
type rooms struct {
	mu      sync.Mutex
	refuse  error // of Enter
	respond func(out signal.Outlet, offer room.Offer)
	outlets map[room.Conn]signal.Outlet
	joins   []room.Join
	posts   []room.Command
	posted  chan room.Command
}

func (r *rooms) Enter(_ context.Context, _ signal.RoomName, out signal.Outlet, first func(room.Conn) room.Command) (room.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return 0, r.refuse
	}
	conn := room.Conn(len(r.joins) + 1)
	join := first(conn).(room.Join) //nolint:errcheck // that is what is tested
	r.joins = append(r.joins, join)
	r.outlets[conn] = out
	r.respond(out, *join.Offer)
	return conn, nil
}

func (r *rooms) Post(_ context.Context, _ signal.RoomName, c room.Command) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, c)
	if o, ok := c.(room.Offer); ok {
		for i, join := range r.joins {
			if join.Participant == o.Participant {
				r.respond(r.outlets[room.Conn(i+1)], o)
			}
		}
	}
	r.posted <- c
	return nil
}

// let changes how rooms respond.
func (r *rooms) let(respond func(signal.Outlet, room.Offer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.respond = respond
}

func answers(out signal.Outlet, o room.Offer) {
	out.Send(room.Welcome{})
	out.Send(room.Answer{ID: o.ID, SDP: answerSDP})
}

// server is the real handler over such rooms.
type server struct {
	t     *testing.T
	url   string
	rooms *rooms
	whip  *whip.Server
}

func newServer(t *testing.T, change func(*whip.Config, *signal.Config)) *server {
	t.Helper()
	s := &server{t: t, rooms: &rooms{respond: answers, outlets: map[room.Conn]signal.Outlet{}, posted: make(chan room.Command, 100)}}
	log := discard()
	gate := signal.Config{Keys: map[string]signal.Key{testKey: {Secret: testSecret}}, Rooms: s.rooms, Log: log, ConnectRate: -1}
	c := whip.Config{Rooms: s.rooms, Log: log}
	if change != nil {
		change(&c, &gate)
	}
	g, err := signal.New(gate)
	if err != nil {
		t.Fatal(err)
	}
	c.Gate = g
	if s.whip, err = whip.New(c); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.whip.Register(mux)
	h := httptest.NewServer(mux)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = s.whip.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		stop()
		<-ended
		h.Close()
	})
	s.url = h.URL
	return s
}

func token(t *testing.T, identity, room string, grants ...string) string {
	t.Helper()
	tok, err := signal.Token(testKey, testSecret, signal.Grants{Identity: identity, Name: "Name of " + identity, Room: room, Names: grants}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// request is one HTTP request; an empty type of a body with one is that of the
// method.
type request struct {
	method, path, token, kind, body string
	header                          http.Header
}

type response struct {
	status int
	body   string
	header http.Header
}

func (s *server) do(r request) response {
	s.t.Helper()
	q, err := http.NewRequestWithContext(s.t.Context(), r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range r.header {
		q.Header[k] = v
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.kind == "" {
		r.kind = map[string]string{"POST": sdpType, "PATCH": fragmentType}[r.method]
	}
	if r.kind != "" {
		q.Header.Set("Content-Type", r.kind)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{resp.StatusCode, string(b), resp.Header}
}

// opened opens a session and returns its URL and entity tag.
func (s *server) opened(path, token, offer string) (url, tag string) {
	s.t.Helper()
	r := s.do(request{method: "POST", path: path, token: token, body: offer})
	if r.status != http.StatusCreated {
		s.t.Fatalf("POST %s: got %d %q, want 201", path, r.status, r.body)
	}
	return r.header.Get("Location"), r.header.Get("ETag")
}

// heard waits until a room hears a command of type T.
func heard[T room.Command](s *server) T {
	s.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case c := <-s.rooms.posted:
			if v, ok := c.(T); ok {
				return v
			}
		case <-limit:
			var want T
			s.t.Fatalf("the room heard no %T", want)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// eventually waits until probe is true.
func eventually(t *testing.T, what string, probe func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !probe() {
		select {
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}
