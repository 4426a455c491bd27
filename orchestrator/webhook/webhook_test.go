package webhook

import (
	"context"
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

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	foreign "github.com/livekit/protocol/webhook"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const testSecret = "a secret that is long enough for a test"

// send runs a Sender until the test ends, or until the function is called.
func send(t *testing.T, url string, change func(*Config)) (*Sender, func()) {
	t.Helper()
	c := Config{
		Hooks: []Hook{{URL: url, Key: "k1"}},
		Keys: map[string]signal.Key{
			"k1": {Secret: testSecret, Application: "app"}, "k2": {Secret: testSecret + "2"},
		},
		Log: slog.New(slog.DiscardHandler), Backoff: time.Millisecond, Timeout: 10 * time.Second,
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return s, stop
}

// server is a receiver on a port of its own.
func server(t *testing.T, do http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(do)
	t.Cleanup(s.Close)
	return s.URL
}

func started(id string) room.Event {
	return room.Event{Kind: room.EventRoomStarted, At: time.Now(), Room: room.Info{ID: drtc.RoomID(id), Name: id}}
}

func TestSender_isVerifiedByTheProtocolsLibrary(t *testing.T) {
	type received struct {
		event  *livekit.WebhookEvent
		err    error
		header http.Header
		life   time.Duration
	}
	got := make(chan received, 10)
	url := server(t, func(_ http.ResponseWriter, r *http.Request) {
		in := received{header: r.Header.Clone()}
		if v, err := auth.ParseAPIToken(r.Header.Get("Authorization")); err == nil {
			if claims, _, err := v.Verify(testSecret); err == nil {
				in.life = claims.ExpiresAt.Sub(claims.NotBefore.Time)
			}
		}
		in.event, in.err = foreign.ReceiveWebhookEvent(r, auth.NewSimpleKeyProvider("k1", testSecret))
		got <- in
	})
	s, _ := send(t, url, nil)
	at := time.Unix(1_700_000_000, 0)
	info := room.Info{ID: "RM_1", Name: "r", Metadata: "m", Participants: 1}
	ann := room.Participant{ID: "PA_1", Identity: "ann", State: room.Active, Attributes: map[string]string{"a": "ü"}}
	s.Notify("app", room.Event{Kind: room.EventParticipantJoined, At: at, Room: info, Participant: ann})
	s.Notify("app", room.Event{Kind: room.EventTrackPublished, At: at, Room: info, Participant: ann, Track: room.Track{ID: "TR_1", Kind: room.Video}})
	s.Notify("app", room.Event{Kind: room.EventRoomFinished, At: at, Room: info, Deleted: true})

	first, second, third := <-got, <-got, <-got
	for _, in := range []received{first, second, third} {
		if in.err != nil {
			t.Fatalf("the library refuses it: %v", in.err)
		}
		if in.life != 5*time.Minute {
			t.Errorf("the signature lives %v, want 5 min", in.life)
		}
		if ct := in.header.Get("Content-Type"); ct != foreign.ContentType {
			t.Errorf("content type %q, want %q", ct, foreign.ContentType)
		}
		if strings.HasPrefix(in.header.Get("Authorization"), "Bearer") {
			t.Error("the header has the word Bearer")
		}
		if in.event.CreatedAt != 1_700_000_000 || !strings.HasPrefix(in.event.Id, "EV_") || in.event.Room.GetSid() != "RM_1" {
			t.Errorf("got %v", in.event)
		}
	}
	if e := first.event; e.Event != foreign.EventParticipantJoined || e.Room.Metadata != "m" || e.Participant.Attributes["a"] != "ü" ||
		e.Participant.State != livekit.ParticipantInfo_ACTIVE {
		t.Errorf("joined: got %v", e)
	}
	if e := second.event; e.Event != foreign.EventTrackPublished || e.Track.Sid != "TR_1" || e.Track.Type != livekit.TrackType_VIDEO ||
		e.Participant.Identity != "ann" || len(e.Participant.Attributes) != 0 || e.Room.Metadata != "" {
		t.Errorf("published: got %v, want the track and the names of room and participant", e)
	}
	if e := third.event; e.Event != foreign.EventRoomFinished || e.RoomEndReason != livekit.RoomEndReason_ROOM_END_API_DELETE {
		t.Errorf("finished: got %v", e)
	}
	if first.event.Id == second.event.Id {
		t.Errorf("two events have the id %s", first.event.Id)
	}
}

func TestNames_areTheProtocols(t *testing.T) {
	got := names()
	for kind, want := range map[room.EventKind]string{
		room.EventRoomStarted: foreign.EventRoomStarted, room.EventRoomFinished: foreign.EventRoomFinished,
		room.EventParticipantJoined: foreign.EventParticipantJoined, room.EventParticipantLeft: foreign.EventParticipantLeft,
		room.EventParticipantAborted: foreign.EventParticipantConnectionAborted,
		room.EventTrackPublished:     foreign.EventTrackPublished, room.EventTrackUnpublished: foreign.EventTrackUnpublished,
	} {
		if got[kind] != want {
			t.Errorf("kind %d is called %q, want %q", kind, got[kind], want)
		}
	}
}

// idOf reads the id of an event that was posted.
func idOf(r *http.Request) string {
	e, err := foreign.ReceiveWebhookEvent(r, auth.NewSimpleKeyProvider("k1", testSecret))
	if err != nil {
		return err.Error()
	}
	return e.Room.GetSid() + " " + e.Id
}

func TestSender_triesAgainInTheOrderOfTheRoom(t *testing.T) {
	var mu sync.Mutex
	var a []string
	failures := 3
	otherDone := make(chan struct{})
	allDone := make(chan struct{})
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		id := idOf(r)
		if strings.HasPrefix(id, "RM_b") {
			close(otherDone)
			return
		}
		<-otherDone // the other room does not wait for this one
		mu.Lock()
		defer mu.Unlock()
		a = append(a, id)
		if failures > 0 {
			failures--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if len(a) == 3+5 {
			close(allDone)
		}
	})
	outcomes := make(chan string, 100)
	s, _ := send(t, url, func(c *Config) { c.Report = func(o string) { outcomes <- o } })
	for range 5 {
		s.Notify("app", started("RM_a"))
	}
	s.Notify("app", started("RM_b"))
	<-allDone
	mu.Lock()
	defer mu.Unlock()
	if !(a[0] == a[1] && a[1] == a[2] && a[2] == a[3]) {
		t.Errorf("got %q, want the first event four times", a)
	}
	if rest := slices.Compact(slices.Clone(a)); len(rest) != 5 {
		t.Errorf("got %q, want five events, each until it was taken", rest)
	}
	count := map[string]int{}
	for range 3 + 6 {
		count[<-outcomes]++
	}
	if count["retried"] != 3 || count["sent"] != 6 {
		t.Errorf("reported %v, want 3 retried and 6 sent", count)
	}
}

func TestSender_givesUp(t *testing.T) {
	other := make(chan string, 10)
	elsewhere := server(t, func(_ http.ResponseWriter, r *http.Request) { other <- r.URL.Path })
	for _, c := range []struct {
		what    string
		status  int
		retried int
	}{
		{"an error of ours", http.StatusBadRequest, 0},
		{"a receiver that is gone", http.StatusGone, 0},
		{"a redirect", http.StatusTemporaryRedirect, 0},
		{"one that can't", http.StatusNotImplemented, 0},
		{"a busy one", http.StatusTooManyRequests, 2},
		{"a broken one", http.StatusBadGateway, 2},
	} {
		url := server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, strings.Repeat("x", 64<<10)) // of which little is read
		})
		outcomes := make(chan string, 10)
		s, stop := send(t, url, func(cfg *Config) { cfg.Attempts, cfg.Report = 3, func(o string) { outcomes <- o } })
		s.Notify("app", started("RM_a"))
		retried, last := 0, <-outcomes
		for ; last == "retried"; last = <-outcomes {
			retried++
		}
		if last != "failed" || retried != c.retried {
			t.Errorf("%s: %d times again and then %q, want %d and failed", c.what, retried, last, c.retried)
		}
		stop()
	}
	if len(other) != 0 {
		t.Errorf("a redirect was followed to %s", <-other)
	}
}

func TestSender_connectionsThatAreRefusedAreTriedAgain(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	outcomes := make(chan string, 10)
	sender, _ := send(t, s.URL+"/secret-path", func(c *Config) {
		c.Attempts, c.Report = 2, func(o string) { outcomes <- o }
		c.Log = slog.New(slog.NewTextHandler(writer(func(p []byte) {
			if strings.Contains(string(p), "secret-path") {
				t.Errorf("the log has the URL: %s", p)
			}
		}), nil))
	})
	sender.Notify("app", started("RM_a"))
	if a, b := <-outcomes, <-outcomes; a != "retried" || b != "failed" {
		t.Errorf("got %s and %s, want retried and failed", a, b)
	}
}

// writer is an io.Writer.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestSender_dropsTheOldestAndNeverBlocks(t *testing.T) {
	begun, open := make(chan struct{}, 1), make(chan struct{})
	got := make(chan string, 100)
	url := server(t, func(_ http.ResponseWriter, r *http.Request) {
		id := idOf(r)
		select {
		case begun <- struct{}{}:
		default:
		}
		<-open
		got <- id[:5]
	})
	dropped := make(chan string, 100)
	s, _ := send(t, url, func(c *Config) {
		c.Lanes, c.MaxQueue = 1, 3
		c.Report = func(o string) {
			if o == "dropped" {
				dropped <- o
			}
		}
	})
	s.Notify("app", started("RM_0"))
	<-begun // it is under way, and no more in the queue
	for i := range 5 {
		s.Notify("app", started(fmt.Sprintf("RM_%d", i+1)))
	}
	if len(dropped) != 2 || s.Waiting() != 3 {
		t.Errorf("%d dropped and %d waiting, want 2 and 3", len(dropped), s.Waiting())
	}
	close(open)
	for _, want := range []string{"RM_0 ", "RM_3 ", "RM_4 ", "RM_5 "} {
		if id := <-got; id != want {
			t.Errorf("got %q, want %q", id, want)
		}
	}
}

func TestSender_tellsApplicationsOfTheirOwnRooms(t *testing.T) {
	got := make(chan string, 10)
	url := server(t, func(_ http.ResponseWriter, r *http.Request) {
		v, err := auth.ParseAPIToken(r.Header.Get("Authorization"))
		if err != nil {
			t.Error(err)
			return
		}
		got <- r.URL.Path + " " + v.APIKey()
	})
	s, _ := send(t, url, func(c *Config) {
		c.Hooks = []Hook{{URL: url + "/1", Key: "k1"}, {URL: url + "/2", Key: "k2"}}
	})
	if !s.Wants("app") || !s.Wants("k2") || s.Wants("k1") || s.Wants("other") {
		t.Error("the applications with receivers are not app and k2")
	}
	s.Notify("other", started("RM_x"))
	s.Notify("k2", started("RM_a"))
	if to := <-got; to != "/2 k2" {
		t.Errorf("sent to %q, want /2 with k2", to)
	}
	s.Notify("app", started("RM_b"))
	if to := <-got; to != "/1 k1" {
		t.Errorf("sent to %q, want /1 with k1", to)
	}
}

func TestRun_endsWhileAReceiverHangs(t *testing.T) {
	begun, open := make(chan struct{}, 1), make(chan struct{})
	url := server(t, func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-open })
	t.Cleanup(func() { close(open) }) // before the server closes
	s, stop := send(t, url, nil)
	s.Notify("app", started("RM_a"))
	<-begun
	stop()
	s.Notify("app", started("RM_a"))
	if s.Waiting() != 1 {
		t.Errorf("%d events wait, want 1", s.Waiting())
	}
}

func TestConfig_namesTheField(t *testing.T) {
	keys := map[string]signal.Key{"k": {Secret: testSecret}}
	base := Config{Keys: keys, Log: slog.New(slog.DiscardHandler), Hooks: []Hook{{URL: "https://example.com/hook?x=1", Key: "k"}}}
	if err := base.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"Log":                func(c *Config) { c.Log = nil },
		"Attempts":           func(c *Config) { c.Attempts = 21 },
		"MaxQueue":           func(c *Config) { c.MaxQueue = -1 },
		"at most 100":        func(c *Config) { c.Hooks = make([]Hook, 101) },
		"webhooks[0]: key":   func(c *Config) { c.Hooks = []Hook{{URL: "http://h", Key: "absent"}} },
		"scheme":             func(c *Config) { c.Hooks = []Hook{{URL: "file:///etc/passwd", Key: "k"}} },
		"want a host":        func(c *Config) { c.Hooks = []Hook{{URL: "http:///x", Key: "k"}} },
		"user and password":  func(c *Config) { c.Hooks = []Hook{{URL: "http://u:p@h", Key: "k"}} },
		"fragment":           func(c *Config) { c.Hooks = []Hook{{URL: "http://h#f", Key: "k"}} },
		"url: can't be read": func(c *Config) { c.Hooks = []Hook{{URL: "http://h\x7f", Key: "k"}} },
	} {
		c := base
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
