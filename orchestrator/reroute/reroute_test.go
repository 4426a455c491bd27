package reroute_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/reroute"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

var secret = bytes.Repeat([]byte("s"), 32)

// site is members behind real listeners, and who has which room.
type site struct {
	mu      sync.Mutex
	owners  map[tenure.Key]tenure.Owner
	failing bool
	members map[string]*member
}

type member struct {
	name    string
	server  *httptest.Server
	sockets *sockets
	handler *reroute.Handler
	now     time.Time

	mu       sync.Mutex
	outcomes []string
}

// sockets are all that a member's process has open.
type sockets struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (s *sockets) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c, err
}

// kill closes them as the kernel does when the process dies.
func (s *sockets) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Close()
	for _, c := range s.conns {
		if c != nil {
			c.Close()
		}
	}
}

func newSite(t *testing.T, change func(*reroute.Config), names ...string) *site {
	t.Helper()
	s := &site{owners: map[tenure.Key]tenure.Owner{}, members: map[string]*member{}}
	for _, name := range names {
		m := &member{name: name, now: time.Now()}
		c := reroute.Config{
			Self: name, Secret: secret, Owner: s.owner, Next: m, Now: func() time.Time { return m.now },
			Room: func(r *http.Request) (tenure.Key, bool) {
				room := r.URL.Query().Get("room")
				return tenure.Key(room), room != ""
			},
			Report: func(outcome string) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.outcomes = append(m.outcomes, outcome)
			},
		}
		if change != nil {
			change(&c)
		}
		var err error
		if m.handler, err = reroute.New(c); err != nil {
			t.Fatal(err)
		}
		m.server = httptest.NewUnstartedServer(m.handler)
		m.sockets = &sockets{Listener: m.server.Listener}
		m.server.Listener = m.sockets
		m.server.Start()
		t.Cleanup(m.server.Close)
		s.members[name] = m
	}
	return s
}

func (s *site) owner(_ context.Context, room tenure.Key) (tenure.Owner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing {
		return tenure.Owner{}, errors.New("no store")
	}
	return s.owners[room], nil
}

func (s *site) give(room tenure.Key, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[room] = tenure.Owner{Member: name, URL: s.members[name].server.URL, Term: 1}
}

func (m *member) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.outcomes) == 0 {
		return ""
	}
	return m.outcomes[len(m.outcomes)-1]
}

// ServeHTTP echoes: a WebSocket word for word, another request as a line.
func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s from %s %q %q %q", m.name, r.Method, r.URL.RequestURI(), body, r.RemoteAddr,
			r.Header["X-Forwarded-For"], r.Header["X-Drtc-Reroute"], r.Header.Get("Authorization"))
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow() //nolint:errcheck // closed either way
	for {
		kind, word, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, []byte(m.name+": "+string(word))); err != nil {
			return
		}
	}
}

func get(t *testing.T, url string, change ...func(*http.Request)) (status int, body string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestHandler_sendsARequestToTheOwner(t *testing.T) {
	client := netip.MustParseAddr("203.0.113.9")
	s := newSite(t, func(c *reroute.Config) { c.Client = func(*http.Request) netip.Addr { return client } }, "a", "b")
	s.give("x", "b")
	a := s.members["a"]
	status, body, _ := get(t, a.server.URL+"/rtc?room=x&token=a%20b", func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		r.Header.Set("Authorization", "Bearer t")
	})
	if want := `b POST /rtc?room=x&token=a%20b body from 203.0.113.9:0 [] [] "Bearer t"`; status != 200 || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
	if a.last() != reroute.Sent || s.members["b"].last() != reroute.Served {
		t.Errorf("a reports %q and b %q", a.last(), s.members["b"].last())
	}
	s.give("x", "a")
	if _, body, _ := get(t, a.server.URL+"/rtc?room=x"); !strings.HasPrefix(body, "a POST") {
		t.Errorf("a's own room: got %s", body)
	}
	if _, body, _ := get(t, a.server.URL+"/rtc?room=free"); !strings.HasPrefix(body, "a POST") {
		t.Errorf("a room that nobody has: got %s", body)
	}
	if _, body, _ := get(t, a.server.URL+"/healthz"); !strings.HasPrefix(body, "a POST") {
		t.Errorf("a request without a room: got %s", body)
	}
}

func talk(t *testing.T, c *websocket.Conn, word string) string {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(word)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func dial(t *testing.T, m *member, room string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), m.server.URL+"/rtc?room="+room, nil) //nolint:bodyclose // the library's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() }) //nolint:errcheck // closed either way
	return c
}

func TestHandler_carriesWebSockets(t *testing.T) {
	s := newSite(t, nil, "a", "b")
	s.give("x", "b")
	var group sync.WaitGroup
	for i := range 20 {
		c := dial(t, s.members["a"], "x")
		group.Go(func() {
			for j := range 50 {
				word := fmt.Sprint(i, " ", j)
				if got := talk(t, c, word); got != "b: "+word {
					t.Errorf("got %q, want b to say %q", got, word)
				}
			}
		})
	}
	group.Wait()
}

// The room moves: the connection through a is cut, and the next one goes right.
func TestHandler_cutsWhenTheOwnerChanges(t *testing.T) {
	s := newSite(t, nil, "a", "b", "c")
	s.give("x", "b")
	conn := dial(t, s.members["a"], "x")
	talk(t, conn, "hello")
	s.give("x", "c")
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("a word came from a member that the room has left")
	}
	if got := talk(t, dial(t, s.members["a"], "x"), "again"); got != "c: again" {
		t.Errorf("got %q, want c", got)
	}
}

func TestHandler_ownerDies(t *testing.T) {
	s := newSite(t, func(c *reroute.Config) { c.Hold = -1 }, "a", "b")
	s.give("x", "b")
	a, b := s.members["a"], s.members["b"]
	conn := dial(t, a, "x")
	talk(t, conn, "hello")
	b.sockets.kill()
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("a word came from a dead member")
	}
	status, _, h := get(t, a.server.URL+"/rtc?room=x")
	if status != http.StatusServiceUnavailable || h.Get("Retry-After") != "1" || a.last() != reroute.Unheard {
		t.Errorf("while it is dead: got %d, Retry-After %q, %q", status, h.Get("Retry-After"), a.last())
	}
	s.give("x", "a") // a has taken it
	if got := talk(t, dial(t, a, "x"), "again"); got != "a: again" {
		t.Errorf("got %q, want a", got)
	}
}

// Nobody has to come again: a request waits until a dead member's room has been
// taken by another one, or for as long as Hold says.
func TestHandler_holdsRequestsUntilTheRoomHasAnOwner(t *testing.T) {
	s := newSite(t, nil, "a", "b", "c")
	a := s.members["a"]
	s.members["b"].sockets.kill()
	for _, heir := range []string{"a", "c"} {
		s.give("x", "b")
		asked := make(chan struct{}, 1)
		answer := make(chan string, 1)
		go func() {
			asked <- struct{}{}
			answer <- visit(t, a.server.URL+"/rtc?room=x")
		}()
		<-asked
		select {
		case got := <-answer:
			t.Fatalf("while nobody has the room: got %s", got)
		case <-time.After(100 * time.Millisecond):
		}
		s.give("x", heir)
		if got := <-answer; !strings.HasPrefix(got, "200 "+heir+" ") {
			t.Errorf("got %s, want an answer of %s", got, heir)
		}
	}
}

func TestHandler_holdsNothingForLong(t *testing.T) {
	s := newSite(t, func(c *reroute.Config) { c.Hold, c.MaxRequests = 700*time.Millisecond, 1 }, "a", "b")
	s.give("x", "b")
	a := s.members["a"]
	s.members["b"].sockets.kill()
	for range 2 { // nothing is kept of the first
		if got := visit(t, a.server.URL+"/rtc?room=x"); !strings.HasPrefix(got, "503 ") || a.last() != reroute.Unheard {
			t.Errorf("nobody takes the room: got %s and %q", got, a.last())
		}
	}
	// A body that was read can't be sent again.
	began := time.Now()
	if status, _, h := get(t, a.server.URL+"/rtc?room=x"); status != http.StatusServiceUnavailable || h.Get("Retry-After") != "1" {
		t.Errorf("with a body: got %d, Retry-After %q", status, h.Get("Retry-After"))
	}
	if took := time.Since(began); took > 600*time.Millisecond {
		t.Errorf("with a body: an answer after %v, want it at once", took)
	}
}

// visit gets a page without sending a body.
func visit(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(r.StatusCode, " ", string(text))
}

// A and B each think that the other has the room: one step and an answer.
func TestHandler_goesNoFurtherThanOneStep(t *testing.T) {
	s := newSite(t, nil, "a", "b", "c")
	s.give("x", "b")
	b, err := reroute.New(reroute.Config{
		Self: "b", Secret: secret, Next: s.members["b"],
		Room: func(*http.Request) (tenure.Key, bool) { return "x", true },
		Owner: func(context.Context, tenure.Key) (tenure.Owner, error) {
			return tenure.Owner{Member: "a", URL: s.members["a"].server.URL}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.members["b"].server.Config.Handler = b
	status, body, h := get(t, s.members["a"].server.URL+"/rtc?room=x")
	if status != http.StatusServiceUnavailable || h.Get("Retry-After") != "1" || !strings.Contains(body, "moved") {
		t.Errorf("got %d %s, want 503", status, body)
	}
}

func TestHandler_refusesWhatNoMemberSent(t *testing.T) {
	s := newSite(t, nil, "a", "b")
	s.give("x", "b")
	b := s.members["b"]
	// What a sends is caught on its way.
	caught := make(chan *http.Request, 1)
	spy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { caught <- r }))
	defer spy.Close()
	s.mu.Lock()
	s.owners["x"] = tenure.Owner{Member: "b", URL: spy.URL}
	s.mu.Unlock()
	get(t, s.members["a"].server.URL+"/rtc?room=x")
	good := (<-caught).Header.Get("X-Drtc-Reroute")
	with := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Drtc-Reroute", value) }
	}
	b.now = time.Now()
	if status, body, _ := get(t, b.server.URL+"/rtc?room=x", with(good)); status != 200 {
		t.Fatalf("the header as it was: got %d %s", status, body)
	}
	for name, c := range map[string]struct {
		path, value string
		late        time.Duration
	}{
		"another URL":         {"/rtc?room=y", good, 0},
		"another path":        {"/other?room=x", good, 0},
		"another client":      {"/rtc?room=x", strings.Replace(good, "127.0.0.1", "203.0.113.1", 1), 0},
		"another member":      {"/rtc?room=x", strings.Replace(good, "b;", "a;", 1), 0},
		"no code":             {"/rtc?room=x", good[:strings.LastIndex(good, ";")+1], 0},
		"nothing":             {"/rtc?room=x", "", 0},
		"words":               {"/rtc?room=x", "b;1;2;3;4;5", 0},
		"something long":      {"/rtc?room=x", strings.Repeat("x", 10_000), 0},
		"too late":            {"/rtc?room=x", good, 31 * time.Second},
		"too early":           {"/rtc?room=x", good, -31 * time.Second},
		"without a room, too": {"/healthz", "x", 0},
	} {
		b.now = time.Now().Add(c.late)
		if status, _, _ := get(t, b.server.URL+c.path, with(c.value)); status != http.StatusForbidden || b.last() != reroute.Forged {
			t.Errorf("%s: got %d, want 403", name, status)
		}
	}
	b.now = time.Now()
	twice := func(r *http.Request) { r.Header["X-Drtc-Reroute"] = []string{good, good} }
	if status, _, _ := get(t, b.server.URL+"/rtc?room=x", twice); status != http.StatusForbidden {
		t.Errorf("two headers: got %d, want 403", status)
	}
	// For a it is no more good, though a shares the secret.
	s.members["a"].now = time.Now()
	if status, _, _ := get(t, s.members["a"].server.URL+"/rtc?room=x", with(good)); status != http.StatusForbidden {
		t.Errorf("at another member: got %d, want 403", status)
	}
}

func TestHandler_isBounded(t *testing.T) {
	s := newSite(t, func(c *reroute.Config) { c.MaxRequests = 2 }, "a", "b")
	s.give("x", "b")
	a := s.members["a"]
	first := dial(t, a, "x")
	talk(t, first, "1")
	talk(t, dial(t, a, "x"), "2")
	if status, _, h := get(t, a.server.URL+"/rtc?room=x"); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || a.last() != reroute.Full {
		t.Errorf("a third: got %d and %q", status, a.last())
	}
	if err := first.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	for status := 0; status != http.StatusOK; { // its place becomes free
		status, _, _ = get(t, a.server.URL+"/rtc?room=x")
	}
}

func TestHandler_withoutAStore(t *testing.T) {
	s := newSite(t, nil, "a")
	s.failing = true
	a := s.members["a"]
	if status, _, _ := get(t, a.server.URL+"/rtc?room=x"); status != http.StatusServiceUnavailable || a.last() != reroute.Unknown {
		t.Errorf("got %d and %q, want 503 and unknown", status, a.last())
	}
	s.failing = false
	s.owners["x"] = tenure.Owner{Member: "gone"}
	if status, _, _ := get(t, a.server.URL+"/rtc?room=x"); status != http.StatusServiceUnavailable || a.last() != reroute.Unknown {
		t.Errorf("a member without a URL: got %d and %q", status, a.last())
	}
}

// A client that sends half a request and waits takes no place for ever: the
// owner ends it, as it ends its own.
func TestHandler_endsWithItsClient(t *testing.T) {
	s := newSite(t, nil, "a", "b")
	s.give("x", "b")
	a := s.members["a"]
	conn, err := net.Dial("tcp", a.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /rtc?room=x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
	conn.Close()
	// The server of a waits for the request to end when it closes.
	a.server.Close()
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("a closed connection is read")
	}
}

func TestSecret_isOfTheKey(t *testing.T) {
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	same, err := identity.ParseKey(key.Hex())
	if err != nil {
		t.Fatal(err)
	}
	other, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := func(k *identity.Key) string {
		s, err := reroute.Secret(k)
		if err != nil || len(s) != 32 {
			t.Fatalf("got %d bytes, %v", len(s), err)
		}
		return string(s)
	}
	if of(key) != of(same) || of(key) == of(other) || strings.Contains(key.Hex(), fmt.Sprintf("%x", of(key))) {
		t.Error("want the same of the same key and another of another, and not the key")
	}
}

func TestConfig_namesTheField(t *testing.T) {
	s := newSite(t, nil, "a")
	good := reroute.Config{Self: "a", Secret: secret, Owner: s.owner, Next: http.NotFoundHandler(), Room: func(*http.Request) (tenure.Key, bool) { return "", false }}
	for field, change := range map[string]func(*reroute.Config){
		"Self":        func(c *reroute.Config) { c.Self = "" },
		"Secret":      func(c *reroute.Config) { c.Secret = secret[1:] },
		"Next":        func(c *reroute.Config) { c.Next = nil },
		"MaxRequests": func(c *reroute.Config) { c.MaxRequests = -1 },
	} {
		c := good
		change(&c)
		if _, err := reroute.New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want it to name %s", err, field)
		}
	}
}

func FuzzVerify(f *testing.F) {
	h, err := reroute.New(reroute.Config{
		Self: "a", Secret: secret, Next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		Owner: func(context.Context, tenure.Key) (tenure.Owner, error) { return tenure.Owner{}, nil },
		Room:  func(*http.Request) (tenure.Key, bool) { return "x", true },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a;1777000000000;127.0.0.1;AAAA")
	f.Add("a;;-;")
	f.Add(";;;")
	f.Fuzz(func(t *testing.T, value string) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/rtc?room=x", http.NoBody)
		r.Header["X-Drtc-Reroute"] = []string{value}
		if h.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%q: got %d, want 403", value, w.Code)
		}
	})
}
