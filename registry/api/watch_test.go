package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/registry/index"
)

// living is a Registry whose contents change.
type living struct {
	*backend
	board Board
	mu    sync.Mutex // guards held
}

func newLiving(n int) *living {
	l := &living{backend: newBackend(n)}
	l.board.Publish(l.nodes, root, time.Now())
	return l
}

func (l *living) View() View { return l.board.View() }

func (l *living) Held(id drtc.NodeID) (envelope.Envelope, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backend.Held(id)
}

func (l *living) all() Backend {
	return Backend{Registry: self, Network: "devnet", Records: l, Nodes: l, Peering: l, Health: l.Health, Receipts: l.Receipts}
}

// change holds e and shows what change makes of it; nil shows nothing.
func (l *living) change(e envelope.Envelope, entry *index.Entry) {
	l.mu.Lock()
	l.held[e.Subject] = e
	l.mu.Unlock()
	l.board.Publish(l.View().Nodes.With([]index.Change{{ID: e.Subject, Entry: entry}}), root, time.Now())
}

// renew is a newer record of node i.
func (l *living) renew(i int, seq uint64, change func(*index.Entry)) {
	p, _ := signedNode(i)
	e := recordOf(p, seq)
	entry := index.NewEntry(p, &e)
	if change != nil {
		change(entry)
	}
	l.change(e, entry)
}

func (l *living) leave(i int) {
	e := l.held[nodeID(i)]
	e.Seq, e.Flags, e.Body = e.Seq+1<<61, envelope.Tombstone, nil
	l.change(e, nil)
}

func (l *living) serve(t *testing.T, change func(*Config)) (string, registryv1connect.RegistryServiceClient) {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	h, err := New(c, l.all(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL, registryv1connect.NewRegistryServiceClient(s.Client(), s.URL)
}

// watching is a client of Watch.
type watching struct {
	t      *testing.T
	stream *connect.ServerStreamForClient[registryv1.WatchResponse]
}

func watch(t *testing.T, rpc registryv1connect.RegistryServiceClient, region string) watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := rpc.Watch(ctx, connect.NewRequest(&registryv1.WatchRequest{Region: region}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); stream.Close() })
	return watching{t, stream}
}

// next is what the next message says, ids in short form.
func (w watching) next() string {
	w.t.Helper()
	if !w.stream.Receive() {
		w.t.Fatalf("the stream ended: %v", w.stream.Err())
	}
	return said(w.stream.Msg())
}

func said(m *registryv1.WatchResponse) string {
	var words []string
	for _, r := range m.GetRecords() {
		word := fmt.Sprint("+", r.GetSubject()[19], ":", r.GetSeq()%1000)
		if r.GetFlags() == 1 {
			word = fmt.Sprint("-", r.GetSubject()[19])
		}
		words = append(words, word)
	}
	for _, id := range m.GetHidden() {
		words = append(words, fmt.Sprint("?", id[19]))
	}
	if m.GetComplete() {
		words = append(words, "complete")
	}
	return strings.Join(words, " ")
}

func TestWatch_everythingAndThenChanges(t *testing.T) {
	l := newLiving(0)
	l.renew(1, 11, nil)
	l.renew(2, 12, nil)
	l.renew(3, 13, func(e *index.Entry) { e.State = index.Down })
	_, rpc := l.serve(t, nil)
	w := watch(t, rpc, "")
	for _, step := range []struct {
		does func()
		want string
	}{
		{func() {}, "+1:11 +2:12 complete"},
		{func() { l.renew(2, 22, nil) }, "+2:22 complete"},
		{func() { l.renew(4, 14, nil) }, "+4:14 complete"},
		{func() { l.leave(1) }, "-1 complete"},
		{func() { l.renew(2, 22, func(e *index.Entry) { e.State = index.Down }) }, "?2 complete"},
		{func() { l.renew(2, 22, nil) }, "+2:22 complete"},
		{func() { l.renew(3, 13, nil) }, "+3:13 complete"},
		{func() { // the record stands and is past
			l.board.Publish(l.View().Nodes.With([]index.Change{{ID: nodeID(3)}}), root, time.Now())
		}, "?3 complete"},
		{func() { // what is not about records is not told
			l.renew(4, 14, func(e *index.Entry) { e.Quality, e.State, e.PlaceVerdict = 0.1, index.Suspect, "refuted" })
			l.renew(4, 24, nil)
		}, "+4:24 complete"},
	} {
		step.does()
		if got := w.next(); got != step.want {
			t.Fatalf("got %q, want %q", got, step.want)
		}
	}
}

func TestWatch_ofOneRegion(t *testing.T) {
	l := newLiving(2)
	_, rpc := l.serve(t, nil)
	europe, asia := watch(t, rpc, "eu"), watch(t, rpc, "ASI")
	if got := europe.next(); !strings.HasPrefix(got, "+1") || !strings.HasSuffix(got, "complete") {
		t.Errorf("Europe: got %q, want both nodes", got)
	}
	if got := asia.next(); got != "complete" {
		t.Errorf("Asia: got %q, want none", got)
	}
	p, _ := signedNode(2)
	p.Region = drtc.Asia
	e := recordOf(p, 33)
	l.change(e, index.NewEntry(p, &e))
	if got := europe.next(); got != "?2 complete" {
		t.Errorf("Europe: got %q, want that 2 is gone", got)
	}
	if got := asia.next(); got != "+2:33 complete" {
		t.Errorf("Asia: got %q, want that 2 is there", got)
	}
	moon := watch(t, rpc, "MOON")
	if moon.stream.Receive() || connect.CodeOf(moon.stream.Err()) != connect.CodeInvalidArgument || !strings.Contains(moon.stream.Err().Error(), "region") {
		t.Errorf("the moon: got %v, want an error that names region", moon.stream.Err())
	}
}

// Many nodes come in messages of bounded size, each once.
func TestWatch_manyNodes(t *testing.T) {
	l := newLiving(1000)
	_, rpc := l.serve(t, nil)
	w := watch(t, rpc, "")
	seen, messages := map[string]bool{}, 0
	for complete := false; !complete; messages++ {
		if !w.stream.Receive() {
			t.Fatal(w.stream.Err())
		}
		m := w.stream.Msg()
		complete = m.GetComplete()
		for _, r := range m.GetRecords() {
			seen[string(r.GetSubject())] = true
		}
		if n := len(m.GetRecords()); n > watchRecords {
			t.Errorf("%d records in a message", n)
		}
	}
	if len(seen) != 1000 || messages != 4 {
		t.Errorf("%d nodes in %d messages, want 1000 in 4", len(seen), messages)
	}
}

func TestWatch_placesAreBounded(t *testing.T) {
	l := newLiving(0)
	_, rpc := l.serve(t, func(c *Config) { c.MaxWatchersPerAddress = 2 })
	first, second := watch(t, rpc, ""), watch(t, rpc, "")
	first.next()
	second.next()
	third := watch(t, rpc, "")
	if third.stream.Receive() || connect.CodeOf(third.stream.Err()) != connect.CodeResourceExhausted || !strings.Contains(third.stream.Err().Error(), "your address") {
		t.Errorf("third: got %v, want resource_exhausted", third.stream.Err())
	}

	p := newPlaces(2, 2)
	leave, err := p.enter("192.0.2.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.enter("[2001:db8::1]:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.enter("192.0.2.2:1"); err == nil {
		t.Error("a third of two places was given")
	}
	leave()
	if _, err := p.enter("192.0.2.2:1"); err != nil {
		t.Errorf("after one left: %v", err)
	}
	if _, err := p.enter("nobody"); err == nil {
		t.Error("a place for no address")
	}
	if len(p.taken) != 2 {
		t.Errorf("remembers %v, want those who are there", p.taken)
	}
}

func TestWatch_endsWithTheRegistry(t *testing.T) {
	l := newLiving(1)
	h, err := New(DefaultConfig(), l.all(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := httptest.NewUnstartedServer(h)
	s.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	s.Start()
	t.Cleanup(s.Close)
	w := watch(t, registryv1connect.NewRegistryServiceClient(s.Client(), s.URL), "")
	w.next()
	stop()
	if w.stream.Receive() || connect.CodeOf(w.stream.Err()) != connect.CodeUnavailable {
		t.Errorf("got %v, want unavailable", w.stream.Err())
	}
}

// A client that reads nothing is cut off when a write does not end.
func TestWatch_silentReaderIsCutOff(t *testing.T) {
	l := newLiving(0)
	metrics := prometheus.NewRegistry()
	c := DefaultConfig()
	c.Timeout = 100 * time.Millisecond
	h, err := New(c, l.all(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(ended)
	}))
	t.Cleanup(s.Close)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: 7\r\n\r\n\x00\x00\x00\x00\x02{}", registryv1connect.RegistryServiceWatchProcedure)
	for i := 0; ; i++ { // until the buffers of the connection are full
		var changes []index.Change
		for n := range 1000 {
			p, _ := signedNode(n + 1)
			p.PlaceName = strings.Repeat("x", 4000)
			e := recordOf(p, uint64(i+1))
			l.mu.Lock()
			l.held[e.Subject] = e
			l.mu.Unlock()
			changes = append(changes, index.Change{ID: p.NodeID, Entry: index.NewEntry(p, &e)})
		}
		l.board.Publish(l.View().Nodes.With(changes), root, time.Now())
		select {
		case <-ended:
			return
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the stream did not end")
		}
	}
}

// watchWith runs a watcher against a client that takes its time.
func watchWith(ctx context.Context, l *living, lag time.Duration, send func(*registryv1.WatchResponse) error) error {
	w := watcher{backend: l.all(), lag: lag, send: send}
	return w.run(ctx)
}

// Who reads, but too slowly, is told so: what it knows would have to be kept.
func TestWatcher_isCutOffWhenFarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiving(3 * watchRecords)
		var heard []string
		err := watchWith(t.Context(), l, time.Minute, func(m *registryv1.WatchResponse) error {
			heard = append(heard, said(m))
			l.renew(1, uint64(len(heard)), nil)
			time.Sleep(31 * time.Second)
			return nil
		})
		if !errors.Is(err, errBehind) || len(heard) != 2 {
			t.Errorf("got %v after %d messages, want errBehind after 62 s", err, len(heard))
		}
	})
}

// Nobody is behind while nothing changes, however slowly it reads.
func TestWatcher_slowIsNotBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiving(3 * watchRecords)
		done := errors.New("done")
		messages := 0
		err := watchWith(t.Context(), l, time.Minute, func(*registryv1.WatchResponse) error {
			time.Sleep(59 * time.Second)
			if messages++; messages == 8 {
				return done
			}
			return nil
		})
		if !errors.Is(err, done) {
			t.Errorf("got %v after %d messages, want none", err, messages)
		}
	})
}

// Changes are told together, and a quiet stream has a pulse.
func TestWatcher_restsAndPulses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiving(0)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var heard []string
		go func() {
			for i := range 10 { // within one rest
				time.Sleep(9 * time.Millisecond)
				l.renew(i+1, 1, nil)
			}
			for range 30 { // a new View without another node
				time.Sleep(time.Second)
				v := l.View()
				l.board.Publish(v.Nodes, v.Root, time.Now())
			}
			cancel()
		}()
		err := watchWith(ctx, l, time.Minute, func(m *registryv1.WatchResponse) error {
			heard = append(heard, fmt.Sprint(time.Since(began).Truncate(100*time.Millisecond), " ", len(m.GetRecords()), m.GetComplete()))
			return nil
		})
		want := []string{"0s 0 true", "100ms 10 true", "10.1s 0 true", "20.1s 0 true"}
		if !errors.Is(err, errEnds) || !slices.Equal(heard[:min(len(want), len(heard))], want) {
			t.Errorf("got %v and %q, want %q", err, heard, want)
		}
	})
}

func TestBoard_wakesWhoWaits(t *testing.T) {
	var b Board
	empty := b.View()
	if empty.Nodes.Len() != 0 || empty.Newer == nil {
		t.Fatalf("got %+v, want an empty Snapshot", empty)
	}
	s := new(index.Snapshot).With(nil)
	b.Publish(s, root, time.UnixMilli(5))
	<-empty.Newer
	v := b.View()
	if v.Nodes != s || v.Root != root || !v.At.Equal(time.UnixMilli(5)) {
		t.Errorf("got %+v", v)
	}
	select {
	case <-v.Newer:
		t.Error("there is nothing newer")
	default:
	}
}
